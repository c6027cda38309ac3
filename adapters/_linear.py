"""Weighted ridge regression on design rows: shared by all families that are linear in their coefficients."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from ase import Atoms
from crossprune.harness.contract import (
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
    require_elements,
)
from crossprune.harness.errors import DataError, TooFewFrames
from crossprune.harness.frames import (
    element_counts,
    energy_of,
    forces_of,
    group_of,
    offsets,
    stress_of,
)
from crossprune.harness.tables import from_table
from numpy.typing import NDArray
from scipy.linalg import qr, solve_triangular, svdvals


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


@dataclass(frozen=True)
class Solution:
    """Coefficients, per-element offsets (eV) and the condition number of the scaled design."""

    coefficients: FloatArray
    offsets: FloatArray
    condition_number: float


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
        """Read what `write` wrote."""
        settings = json.loads((folder / "options.json").read_text())
        options = from_table(cls.fitter_type.options_type, settings["options"], "options.json")
        values = np.loadtxt(folder / "coefficients.txt", ndmin=1)
        n_elements = len(settings["elements"])
        solution = Solution(values[n_elements:], values[:n_elements], float("nan"))
        return cls(cls.fitter_type(settings["elements"], options), solution)

    def export(self, folder: Path) -> list[Path]:
        """Write what `write` writes: there is no other native format."""
        folder.mkdir(parents=True, exist_ok=True)
        self.write(folder)
        return [folder / "coefficients.txt", folder / "options.json"]


class LinearFitter(Fitter[AnyLinearOptions], Generic[AnyLinearOptions]):
    """Prepare design rows once; fit and predict any subset by linear algebra."""

    @property
    @abstractmethod
    def n_columns(self) -> int:
        """Number of coefficients, offsets not counted."""

    @abstractmethod
    def rows(self, atoms: Atoms) -> Rows:
        """Compute the design rows of one structure."""

    @abstractmethod
    def potential(self, solution: Solution) -> LinearPotential:
        """Make the potential from its coefficients."""

    def strengths(self, design: FloatArray, target: FloatArray, n_offsets: int) -> FloatArray:
        """Return the relative ridge of each column, shape (n_columns,); override for another prior."""
        return np.full(self.n_columns, self.options.ridge)

    def prepare(self, frames: Sequence[Atoms], *, workspace: Path | None = None) -> Prepared:
        """Compute the design rows of every frame, each for itself."""
        starts = offsets(frames)
        energy = allocate(workspace, "energy", (len(frames), self.n_columns))
        forces = allocate(workspace, "forces", (3 * int(starts[-1]), self.n_columns))
        stress = allocate(workspace, "stress", (6 * len(frames), self.n_columns))
        for index, atoms in enumerate(frames):
            require_elements(atoms, self.elements, f"adapter {self.name!r}")
            rows = self.rows(atoms)
            energy[index] = rows.energy
            forces[3 * starts[index] : 3 * starts[index + 1]] = rows.forces
            stress[6 * index : 6 * index + 6] = np.nan if rows.stress is None else rows.stress
        counts = element_counts(frames, self.elements)
        return Prepared(frames, {"energy": energy, "forces": forces, "stress": stress, "counts": counts})

    def fit(
        self, prepared: Prepared, subset: IntArray, *, weights: Weights, rng: np.random.Generator
    ) -> LinearPotential:
        """Solve the weighted ridge problem of the chosen rows; ``rng`` is not used."""
        if len(subset) == 0:
            raise TooFewFrames(f"adapter {self.name!r} cannot be fitted to an empty subset")
        design, target = weighted_system(self, prepared, subset, weights)
        n_offsets = 0 if self.isolated_atom_energies else len(self.elements)
        solution = solve(design, target, n_offsets, self.strengths(design, target, n_offsets))
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
        atoms, frames = _force_rows(prepared, indices), _stress_rows(indices)
        return Predictions(
            energies=arrays["energy"][indices] @ coefficients + arrays["counts"][indices] @ potential.offsets,
            forces=(arrays["forces"][atoms] @ coefficients).reshape(-1, 3),
            stresses=(arrays["stress"][frames] @ coefficients).reshape(-1, 6),
        )


def weighted_system(
    fitter: LinearFitter[AnyLinearOptions], prepared: Prepared, subset: IntArray, weights: Weights
) -> tuple[FloatArray, FloatArray]:
    """Stack the weighted rows and labels of a subset.

    Energy rows are per atom. The last columns are the per-element offsets, unless the energies of
    isolated atoms are known and subtracted.

    Returns
    -------
    tuple
        Design matrix, shape (n_rows, k + n_offsets), and target, shape (n_rows,); no unit.
    """
    options, arrays = fitter.options, prepared.arrays
    frames = [prepared.frames[index] for index in subset]
    group = [weights.get(group_of(atoms), GroupWeight()) for atoms in frames]
    sizes = np.array([len(atoms) for atoms in frames])
    counts = arrays["counts"][subset]
    energies = np.array([energy_of(atoms) for atoms in frames])
    if fitter.isolated_atom_energies:
        energies -= counts @ np.array([fitter.isolated_atom_energies[e] for e in fitter.elements])
        counts = counts[:, :0]
    n_offsets = counts.shape[1]

    w_energy = options.energy_weight * np.array([one.energy for one in group]) / sizes
    parts = [np.hstack([arrays["energy"][subset], counts]) * w_energy[:, None]]
    targets = [energies * w_energy]
    if options.force_weight:
        w_forces = np.repeat(options.force_weight * np.array([one.forces for one in group]), 3 * sizes)
        parts.append(_pad(arrays["forces"][_force_rows(prepared, subset)] * w_forces[:, None], n_offsets))
        targets.append(np.concatenate([forces_of(atoms).ravel() for atoms in frames]) * w_forces)
    if options.stress_weight:
        labels = [stress_of(atoms) for atoms in frames]
        has = np.array([one is not None for one in labels], dtype=bool)
        if not has.any():
            raise DataError(
                f"stress_weight is {options.stress_weight}, but no chosen frame has a stress label"
            )
        w_stress = np.repeat(options.stress_weight * np.array([one.stress for one in group])[has], 6)
        parts.append(_pad(arrays["stress"][_stress_rows(subset[has])] * w_stress[:, None], n_offsets))
        targets.append(np.concatenate([one for one in labels if one is not None]) * w_stress)
    return np.concatenate(parts), np.concatenate(targets)


def solve(design: FloatArray, target: FloatArray, n_offsets: int, ridge: float | FloatArray) -> Solution:
    """Solve min ‖Ax − y‖² + Σ_j ridge_j ‖A_j‖² x_j² by QR; the last columns are not regularised.

    Columns are scaled to unit norm, so that ``ridge`` has the same meaning for every column, family
    and subset size. QR on the rows keeps the digits that normal equations lose (Golub and Van Loan,
    Matrix Computations, 4th ed., sections 5.3 and 6.1).

    Raises
    ------
    DataError
        If a row or a label is not finite.
    """
    if not (np.isfinite(design).all() and np.isfinite(target).all()):
        raise DataError(
            "a design row or a label is not finite; look for NaN or overlapping atoms in the data"
        )
    norms = np.linalg.norm(design, axis=0)
    norms[norms == 0] = 1.0
    system = np.column_stack([design / norms, target])
    n = design.shape[1]
    triangle = _triangle(system)[: n + 1]
    singular = svdvals(triangle[:, :n])
    penalty = np.zeros(n)
    penalty[: n - n_offsets] = np.sqrt(ridge)
    augmented = _triangle(np.vstack([triangle, np.column_stack([np.diag(penalty), np.zeros(n)])]))
    r, z = augmented[:n, :n], augmented[:n, n]
    # Directions that neither data nor ridge determine: tiny pivots instead of infinite coefficients.
    diagonal = np.abs(np.diag(r))
    if diagonal.min() <= np.finfo(float).eps * diagonal.max():
        scaled = np.linalg.lstsq(r, z, rcond=None)[0]
    else:
        scaled = solve_triangular(r, z)
    coefficients = scaled / norms
    condition = float(singular[0] / singular[-1]) if singular[-1] > 0 else float("inf")
    return Solution(coefficients[: n - n_offsets], coefficients[n - n_offsets :], condition)


def _triangle(matrix: FloatArray) -> FloatArray:
    """Return R of the QR factorisation, padded with zero rows to a square matrix."""
    r = np.asarray(qr(matrix, mode="r", overwrite_a=True, check_finite=False)[0], dtype=np.float64)
    r = r[: matrix.shape[1]]
    missing = matrix.shape[1] - len(r)
    return np.vstack([r, np.zeros((missing, matrix.shape[1]))]) if missing else r


def _pad(rows: FloatArray, n_columns: int) -> FloatArray:
    return np.hstack([rows, np.zeros((len(rows), n_columns))])


def _force_rows(prepared: Prepared, indices: IntArray) -> NDArray[np.int64]:
    starts = offsets(prepared.frames) * 3
    pieces = [np.arange(starts[index], starts[index + 1]) for index in indices]
    return np.concatenate([np.empty(0, dtype=np.int64), *pieces])


def _stress_rows(indices: IntArray) -> NDArray[np.int64]:
    return (6 * indices[:, None] + np.arange(6)).ravel()


__all__ = ["LinearFitter", "LinearOptions", "LinearPotential", "Rows", "RowsPotential", "Solution", "solve"]
