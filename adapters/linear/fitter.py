"""Weighted ridge regression on design rows: shared by all families that are linear in their coefficients."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from ase import Atoms
from crossprune.adapters.linear.blocks import (
    WeightedRows,
    block_of,
    has_block,
    n_packed,
    solve_blocks,
    views,
)
from crossprune.adapters.linear.least_squares import Solution, solve
from crossprune.adapters.linear.metric import ridge_metric
from crossprune.harness.contract import (
    ENERGY_ROW,
    FORCE_ROW,
    SMALLEST_SLOPE,
    Fitter,
    FloatArray,
    GroupWeight,
    IntArray,
    Potential,
    Prediction,
    Predictions,
    Prepared,
    Weights,
    allocate,
    components_of,
    require_elements,
    vanishing,
)
from crossprune.harness.data.frames import (
    element_counts,
    energy_of,
    forces_of,
    group_of,
    offsets,
    stress_of,
)
from crossprune.harness.errors import DataError, TooFewFrames
from crossprune.harness.tables import from_table
from numpy.typing import NDArray


@dataclass(frozen=True)
class LinearOptions:
    """Weights and regularisation of a linear model."""

    energy_weight: float = 300.0
    """Weight of an energy per atom, 1/(eV/atom)."""
    force_weight: float = 1.0
    """Weight of a force component, 1/(eV/Å)."""
    stress_weight: float = 0.0
    """Weight of a stress component, 1/(eV/Å³); 0 leaves stress out of the fit."""
    ridge: float = 1e-8
    """Ridge strength, relative to the squared norm of each weighted column (dimensionless)."""

    def __post_init__(self) -> None:
        """Refuse negative values."""
        for name in ("energy_weight", "force_weight", "stress_weight", "ridge"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not (self.energy_weight or self.force_weight):
            raise ValueError("energy_weight and force_weight are both 0: nothing to fit")


AnyLinearOptions = TypeVar("AnyLinearOptions", bound=LinearOptions)


@dataclass(frozen=True)
class Rows:
    """Derivatives of one structure's predictions by the coefficients.

    ``energy``: eV, shape (k,); ``forces``: eV/Å, shape (3·n_atoms, k), atom-major x y z;
    ``stress``: eV/Å³, shape (6, k), ASE's order and sign, or None without a periodic cell.
    """

    energy: FloatArray
    forces: FloatArray
    stress: FloatArray | None


class LinearPotential(Potential):
    """A potential that is linear in ``coefficients`` and has an energy offset per element."""

    coefficients: FloatArray
    offsets: FloatArray
    """eV, shape (n_elements,), in the order of ``elements``."""


class RowsPotential(LinearPotential):
    """Predicts by the design rows of its fitter: slow, but a new family needs no code for it.

    A subclass names ``adapter`` and, once the fitter is defined, ``fitter_type``.
    """

    fitter_type: ClassVar[type[LinearFitter[Any]]]

    def __init__(self, fitter: LinearFitter[Any], solution: Solution) -> None:
        super().__init__(fitter.elements)
        self.fitter = fitter
        self.coefficients, self.offsets = solution.coefficients, solution.offsets

    def predict(self, atoms: Atoms) -> Prediction:
        """Multiply the rows of ``atoms`` with the coefficients."""
        self.require_elements(atoms)
        rows = self.fitter.rows(atoms)
        energy = rows.energy @ self.coefficients + element_counts([atoms], self.elements)[0] @ self.offsets
        stress = None if rows.stress is None else rows.stress @ self.coefficients
        return Prediction(float(energy), (rows.forces @ self.coefficients).reshape(-1, 3), stress)

    def write(self, folder: Path) -> None:
        """Write coefficients as text with 17 digits, options as JSON."""
        np.savetxt(folder / "coefficients.txt", np.concatenate([self.offsets, self.coefficients]))
        settings = {"elements": self.elements, "options": asdict(self.fitter.options)}
        (folder / "options.json").write_text(json.dumps(settings, indent=1))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what `write` wrote; `DataError` if it is not there or not readable."""
        try:
            settings = json.loads((folder / "options.json").read_text())
            options = from_table(cls.fitter_type.options_type, settings["options"], "options.json")
            values = np.loadtxt(folder / "coefficients.txt", ndmin=1)
            n_elements = len(settings["elements"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{folder} holds no readable {cls.adapter} potential ({error}); "
                "give the folder that `export` wrote"
            ) from None
        fitter = cls.fitter_type(settings["elements"], options)
        n_bad = np.count_nonzero(~np.isfinite(values))
        if len(values) != n_elements + fitter.n_columns or n_bad:
            raise DataError(
                f"{folder / 'coefficients.txt'} has {len(values)} numbers, {n_bad} of them NaN or infinite; "
                f"this {cls.adapter} potential needs {n_elements + fitter.n_columns}, all finite: fit it "
                "again, or fetch a whole copy"
            )
        return cls(fitter, Solution(values[n_elements:], values[:n_elements], float("nan")))

    def export(self, folder: Path) -> list[Path]:
        """Write what `write` writes: there is no other native format."""
        folder.mkdir(parents=True, exist_ok=True)
        self.write(folder)
        return [folder / "coefficients.txt", folder / "options.json"]


class LinearFitter(Fitter[AnyLinearOptions], Generic[AnyLinearOptions]):
    """Prepare design rows once; fit and predict any subset by linear algebra."""

    fit_options = frozenset({"energy_weight", "force_weight", "stress_weight", "ridge"})
    blocks: ClassVar[bool] = True
    """Whether refits sum products of rows; False where the design is too ill-conditioned for them."""
    n_known: ClassVar[int] = 0
    """How many columns, the last ones, have a coefficient that is known to be 1."""

    @property
    @abstractmethod
    def n_columns(self) -> int:
        """Number of coefficients, offsets not counted."""

    @abstractmethod
    def rows(self, atoms: Atoms) -> Rows:
        """Compute the design rows of one structure."""

    def design_rows(self, atoms: Atoms) -> FloatArray:
        """Stack the energy row per atom and the force rows of the columns that are fitted."""
        rows, n_free = self.rows(atoms), self.n_columns - self.n_known
        return np.vstack([rows.energy[:n_free] / len(atoms), rows.forces[:, :n_free]])

    def prior(self) -> FloatArray:
        """Return how much stronger each coefficient is held down, shape (n_columns,); override if unequal."""
        return np.ones(self.n_columns)

    def terms(self, features: FloatArray, kinds: IntArray) -> FloatArray:
        """Return what each atom adds to an energy row, from its features; override if these differ.

        Shape (n_atoms, n_columns less the known ones); ``kinds`` are the atoms' elements.
        """
        return features

    def metric(self, vectors: FloatArray, kinds: IntArray) -> FloatArray:
        """Weight rows as the fit does, and each column by its prior; see `ridge_metric`."""
        n_free = self.n_columns - self.n_known
        rows = self.terms(vectors, kinds) if (kinds >= 0).all() else vectors
        weights = np.ones(len(kinds))
        weights[kinds == ENERGY_ROW] = self.options.energy_weight
        weights[kinds == FORCE_ROW] = self.options.force_weight
        return ridge_metric(rows, weights, self.prior()[:n_free])

    @abstractmethod
    def potential(self, solution: Solution) -> LinearPotential:
        """Make the potential from its coefficients."""

    def column_kinds(self) -> IntArray:
        """Return each column's kind, see `crossprune.harness.contract.vanishing`; override for products."""
        return np.zeros(self.n_columns, dtype=np.int64)

    def solve(self, rows: WeightedRows) -> Solution:
        """Solve the weighted problem with the same ridge for all columns; override for another prior."""
        ridge = np.full(self.n_columns - self.n_known, self.options.ridge)
        found = solve_blocks(rows, ridge) if self.blocks else None
        return solve(*rows.stacked(), rows.n_offsets, ridge) if found is None else found

    def prepare(self, frames: Sequence[Atoms], *, workspace: Path | None = None) -> Prepared:
        """Compute the design rows of every frame, each for itself, and their products where small."""
        starts = offsets(frames)
        n_free = self.n_columns - self.n_known
        slopes = allocate(workspace, "slopes", (len(frames), self.n_columns))
        wanted = [self.blocks and has_block(len(atoms), n_free) for atoms in frames]
        place = np.where(wanted, np.cumsum(wanted) - 1, -1).astype(np.int64)
        energy = allocate(workspace, "energy", (len(frames), self.n_columns))
        forces = allocate(workspace, "forces", (3 * int(starts[-1]), self.n_columns))
        stress = allocate(workspace, "stress", (6 * len(frames), self.n_columns))
        blocks = allocate(workspace, "blocks", (sum(wanted), n_packed(n_free)))
        for index, atoms in enumerate(frames):
            require_elements(atoms, self.elements, f"adapter {self.name!r}")
            rows = self.rows(atoms)
            energy[index] = rows.energy
            forces[3 * starts[index] : 3 * starts[index + 1]] = rows.forces
            slopes[index] = np.abs(rows.forces).max(axis=0, initial=0.0)
            stress[6 * index : 6 * index + 6] = np.nan if rows.stress is None else rows.stress
            if wanted[index]:
                blocks[place[index]] = block_of(rows.forces[:, :n_free])
        arrays = {"energy": energy, "forces": forces, "stress": stress, "blocks": blocks, "block": place}
        return Prepared(frames, {**arrays, "slopes": slopes, "counts": element_counts(frames, self.elements)})

    def fit(
        self, prepared: Prepared, subset: IntArray, *, weights: Weights, rng: np.random.Generator
    ) -> LinearPotential:
        """Solve the weighted ridge problem of the chosen rows; ``rng`` is not used."""
        if len(subset) == 0:
            raise TooFewFrames(f"adapter {self.name!r} cannot be fitted to an empty subset")
        # Sorted: sums of the same numbers in another order would differ in the last bits.
        return self._solved(weighted_rows(self, prepared, np.sort(subset), weights))

    def fit_masked(
        self,
        prepared: Prepared,
        subset: IntArray,
        kept: Sequence[IntArray],
        *,
        weights: Weights,
        rng: np.random.Generator,
    ) -> LinearPotential:
        """Solve the weighted ridge problem of the force rows of ``kept`` and all energy rows."""
        if len(subset) == 0:
            raise TooFewFrames(f"adapter {self.name!r} cannot be fitted to an empty subset")
        order = np.argsort(subset)
        atoms = [np.sort(kept[place]) for place in order.tolist()]
        return self._solved(weighted_rows(self, prepared, subset[order], weights, atoms))

    def _solved(self, weighted: WeightedRows) -> LinearPotential:
        rows, basis = weighted.determined()
        solution = self.solve(rows)
        if rows.vanishing is not None:
            solution = replace(solution, coefficients=np.where(rows.vanishing, 0.0, solution.coefficients))
        if basis.shape[1] < len(basis):  # otherwise these are the offsets, to the last bit
            solution = replace(solution, offsets=basis @ solution.offsets)
        if self.isolated_atom_energies:
            known = np.array([self.isolated_atom_energies[element] for element in self.elements])
            solution = Solution(solution.coefficients, known, solution.condition_number)
        potential = self.potential(solution)
        potential.info["condition_number"] = solution.condition_number
        return potential

    def predict(self, potential: Potential, prepared: Prepared, indices: IntArray) -> Predictions:
        """Predict prepared frames by their rows."""
        if not isinstance(potential, LinearPotential):
            return super().predict(potential, prepared, indices)
        arrays, coefficients = prepared.arrays, potential.coefficients
        frames = np.arange(len(prepared.frames) + 1)
        forces = views(arrays["forces"], _force_starts(prepared), indices)
        stress = views(arrays["stress"], 6 * frames, indices)
        return Predictions(
            energies=arrays["energy"][indices] @ coefficients + arrays["counts"][indices] @ potential.offsets,
            forces=_times(forces, coefficients).reshape(-1, 3),
            stresses=_times(stress, coefficients).reshape(-1, 6),
        )


def weighted_rows(
    fitter: LinearFitter[AnyLinearOptions],
    prepared: Prepared,
    subset: IntArray,
    weights: Weights,
    kept: Sequence[IntArray] | None = None,
) -> WeightedRows:
    """Gather the rows, labels and weights of a subset.

    Energy rows are per atom. The last columns are the per-element offsets, unless the energies of
    isolated atoms are known and subtracted. What known columns contribute is subtracted as well.
    ``kept`` are the atoms of each frame whose force rows count, and then no stress row does; None keeps all.
    """
    options, arrays = fitter.options, prepared.arrays
    frames = [prepared.frames[index] for index in subset]
    group = [weights.get(group_of(atoms), GroupWeight()) for atoms in frames]
    sizes = np.array([len(atoms) for atoms in frames])
    n_free = fitter.n_columns - fitter.n_known
    counts = arrays["counts"][subset]
    energies = np.array([energy_of(atoms) for atoms in frames])
    if fitter.isolated_atom_energies:
        energies -= counts @ np.array([fitter.isolated_atom_energies[e] for e in fitter.elements])
        counts = counts[:, :0]
    rows = arrays["energy"][subset]
    weight = options.energy_weight * np.array([one.energy for one in group]) / sizes
    dense = [np.hstack([rows[:, :n_free], counts]) * weight[:, None]]
    targets = [(energies - rows[:, n_free:].sum(axis=1)) * weight]
    if options.stress_weight and kept is None:
        labels = [stress_of(atoms) for atoms in frames]
        has = np.array([one is not None for one in labels], dtype=bool)
        if not has.any():
            raise DataError(
                f"stress_weight is {options.stress_weight}, but no chosen frame has a stress label"
            )
        weight = np.repeat(options.stress_weight * np.array([one.stress for one in group])[has], 6)
        rows = arrays["stress"][(6 * subset[has][:, None] + np.arange(6)).ravel()]
        padding = np.zeros((len(rows), counts.shape[1]))
        dense.append(np.hstack([rows[:, :n_free], padding]) * weight[:, None])
        known = rows[:, n_free:].sum(axis=1)
        targets.append((np.concatenate([one for one in labels if one is not None]) - known) * weight)
    forces = views(arrays["forces"], _force_starts(prepared), subset)
    force_labels = [forces_of(atoms).ravel() for atoms in frames]
    slopes, places = np.array(arrays["slopes"][subset]), arrays["block"][subset].tolist()
    for index, atoms in enumerate(kept or ()):
        if len(atoms) < sizes[index]:  # slopes and block of a frame are those of all of its atoms
            rows = components_of(atoms)
            forces[index], force_labels[index] = forces[index][rows], force_labels[index][rows]
            slopes[index], places[index] = np.abs(forces[index]).max(axis=0, initial=0.0), -1
    n_used, blocks = len(subset) if options.force_weight else 0, np.asarray(arrays["blocks"])
    return WeightedRows(
        dense=np.concatenate(dense),
        dense_target=np.concatenate(targets),
        n_offsets=counts.shape[1],
        forces=[rows[:, :n_free] for rows in forces[:n_used]],
        force_labels=[
            labels - rows[:, n_free:].sum(axis=1)
            for labels, rows in zip(force_labels[:n_used], forces, strict=False)
        ],
        force_weights=options.force_weight * np.array([one.forces for one in group])[:n_used],
        blocks=[None if place < 0 else blocks[place] for place in places[:n_used]],
        vanishing=_vanishing(fitter, prepared, subset, group, slopes, with_stress=kept is None),
    )


def _vanishing(
    fitter: LinearFitter[AnyLinearOptions],
    prepared: Prepared,
    subset: IntArray,
    group: Sequence[GroupWeight],
    slopes: FloatArray,
    *,
    with_stress: bool,
) -> NDArray[np.bool_] | None:
    """Mark the columns that hold rounding noise in all rows that count; None if there are none.

    Sizes are those of rows without weights: energies per atom and stresses times the volume per atom (no
    unit), slopes of forces per Å, a length of the order of those over which the functions change.
    """
    options, arrays, n_free = fitter.options, prepared.arrays, fitter.n_columns - fitter.n_known
    sizes = arrays["counts"][subset].sum(axis=1)
    parts = [
        (
            np.abs(arrays["energy"][subset]) / sizes[:, None],
            [options.energy_weight * g.energy for g in group],
        ),
        (slopes, [options.force_weight * g.forces for g in group]),
    ]
    if options.stress_weight and with_stress:
        volumes = np.array([prepared.frames[index].cell.volume for index in subset]) / sizes
        stress = np.nan_to_num(arrays["stress"].reshape(-1, 6, fitter.n_columns)[subset])
        parts.append((np.abs(stress).max(axis=1) * volumes[:, None], [g.stress for g in group]))
    largest = np.max([part.max(axis=0) for part, _ in parts], axis=0)
    used = np.max([part[np.array(weight) > 0].max(axis=0, initial=0.0) for part, weight in parts], axis=0)
    kinds = fitter.column_kinds()[:n_free]
    found = vanishing(used[:n_free], largest[:n_free], kinds, SMALLEST_SLOPE)
    return found if found.any() else None


def _force_starts(prepared: Prepared) -> NDArray[np.int64]:
    """Return where each frame's force rows begin: shape (n_frames + 1,)."""
    sizes = prepared.arrays["counts"].sum(axis=1)
    return 3 * np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _times(pieces: Sequence[FloatArray], coefficients: FloatArray) -> FloatArray:
    return np.concatenate([np.empty(0), *(rows @ coefficients for rows in pieces)])


__all__ = ["LinearFitter", "LinearOptions", "LinearPotential", "Rows", "RowsPotential", "Solution", "solve"]
