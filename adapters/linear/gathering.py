"""Rows, labels and weights of a chosen subset, gathered from what was prepared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from crossprune.adapters.linear.blocks import WeightedRows, views
from crossprune.adapters.linear.options import LinearOptions
from crossprune.harness.contract import (
    SMALLEST_SLOPE,
    FloatArray,
    GroupWeight,
    IntArray,
    Prepared,
    Weights,
    components_of,
    require_weight,
    vanishing,
)
from crossprune.harness.data.frames import energy_of, forces_of, group_of, stress_of
from crossprune.harness.errors import DataError
from numpy.typing import NDArray


class Family(Protocol):
    """What is needed of a linear family."""

    @property
    def options(self) -> LinearOptions:
        """Weights of labels."""

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols, sorted."""

    @property
    def isolated_atom_energies(self) -> Mapping[str, float] | None:
        """Of each element, eV, if they are known."""

    @property
    def n_columns(self) -> int:
        """Number of coefficients."""

    @property
    def n_known(self) -> int:
        """How many of them are known to be 1, the last ones."""

    def column_kinds(self) -> IntArray:
        """Return each column's kind."""

    def column_scales(self) -> FloatArray:
        """Return what columns are small against, whatever the data."""

    def alone(self) -> FloatArray | None:
        """Return the energy rows of an atom alone, or None where they are zero."""


def weighted_rows(
    fitter: Family,
    prepared: Prepared,
    subset: IntArray,
    weights: Weights,
    kept: Sequence[IntArray] | None = None,
) -> WeightedRows:
    """Gather the rows, labels and weights of a subset.

    Energy rows are per atom. The last columns are the per-element offsets, unless the energies of
    isolated atoms are known and subtracted. What known columns contribute is subtracted as well.
    ``kept`` are the atoms of each frame whose force rows count, and then no stress row does; None keeps all.

    Raises
    ------
    TooFewFrames
        If the weights of all energies and forces are 0.
    DataError
        If stress has a weight, and no frame a label of it.
    """
    options, arrays = fitter.options, prepared.arrays
    frames = [prepared.frames[index] for index in subset]
    groups = [group_of(atoms) for atoms in frames]
    require_weight(groups, weights, energy_weight=options.energy_weight, force_weight=options.force_weight)
    group = [weights.get(one, GroupWeight()) for one in groups]
    sizes = np.array([len(atoms) for atoms in frames])
    n_free = fitter.n_columns - fitter.n_known
    counts = arrays["counts"][subset]
    energies = np.array([energy_of(atoms) for atoms in frames])
    if fitter.isolated_atom_energies:
        energies -= counts @ np.array([fitter.isolated_atom_energies[e] for e in fitter.elements])
        counts = counts[:, :0]
    rows = per_frame = _energy_rows(fitter, prepared, subset)
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
    forces = views(arrays["forces"], force_starts(prepared), subset)
    force_labels = [forces_of(atoms).ravel() for atoms in frames]
    slopes, places = np.array(arrays["slopes"][subset]), arrays["block"][subset].tolist()
    for index, atoms in enumerate(kept or ()):
        if len(atoms) < sizes[index]:  # slopes and block of a frame are those of all of its atoms
            own = components_of(atoms)
            forces[index], force_labels[index] = forces[index][own], force_labels[index][own]
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
        vanishing=_vanishing(fitter, prepared, subset, group, (per_frame, slopes), with_stress=kept is None),
    )


def _vanishing(
    fitter: Family,
    prepared: Prepared,
    subset: IntArray,
    group: Sequence[GroupWeight],
    energies_and_slopes: tuple[FloatArray, FloatArray],
    *,
    with_stress: bool,
) -> NDArray[np.bool_] | None:
    """Mark the columns that hold rounding noise in all rows that count; None if there are none.

    Sizes are those of rows without weights: energies per atom and stresses times the volume per atom (no
    unit), slopes of forces per Å, a length of the order of those over which the functions change. Where atoms
    have no neighbours all columns may be noise: scales that do not come from the rows see that.
    """
    options, arrays, n_free = fitter.options, prepared.arrays, fitter.n_columns - fitter.n_known
    sizes, (energies, slopes) = arrays["counts"][subset].sum(axis=1), energies_and_slopes
    parts = [
        (
            np.abs(energies) / sizes[:, None],
            [options.energy_weight * g.energy for g in group],
        ),
        (slopes, [options.force_weight * g.forces for g in group]),
    ]
    if options.stress_weight and with_stress:
        volumes = np.array([prepared.frames[index].cell.volume for index in subset]) / sizes
        stress = np.nan_to_num(arrays["stress"].reshape(-1, 6, fitter.n_columns)[subset])
        parts.append((np.abs(stress).max(axis=1) * volumes[:, None], [g.stress for g in group]))
    largest = np.max([*(part.max(axis=0) for part, _ in parts), fitter.column_scales()], axis=0)
    used = np.max([part[np.array(weight) > 0].max(axis=0, initial=0.0) for part, weight in parts], axis=0)
    kinds = fitter.column_kinds()[:n_free]
    found = vanishing(used[:n_free], largest[:n_free], kinds, SMALLEST_SLOPE)
    return found if found.any() else None


def _energy_rows(fitter: Family, prepared: Prepared, subset: IntArray) -> FloatArray:
    """Return energy rows, less those of the atoms alone where their energies are known."""
    rows: FloatArray = prepared.arrays["energy"][subset]
    alone = fitter.alone() if fitter.isolated_atom_energies else None
    return rows if alone is None else rows - prepared.arrays["counts"][subset] @ alone


def force_starts(prepared: Prepared) -> NDArray[np.int64]:
    """Return where each frame's force rows begin: shape (n_frames + 1,)."""
    sizes = prepared.arrays["counts"].sum(axis=1)
    return 3 * np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


__all__ = ["force_starts", "weighted_rows"]
