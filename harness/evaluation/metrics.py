"""Errors of predictions against labels, overall and per group: arrays in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.units import GPa
from crossprune.harness.contract import FloatArray, IntArray, Predictions
from crossprune.harness.data.frames import DataSet, energy_of, forces_of, stress_of

ALL = "all"
"""Group name of the row over all groups."""
METRICS = (
    "energy_mae_mev_per_atom",
    "energy_rmse_mev_per_atom",
    "force_mae_ev_per_angstrom",
    "force_rmse_ev_per_angstrom",
    "stress_mae_gpa",
    "energy_p95_mev_per_atom",
    "force_p95_ev_per_angstrom",
    "energy_worst_group_mev_per_atom",
    "force_worst_group_ev_per_angstrom",
)
"""Means, roots of mean squares, 95th percentiles, and the largest mean of a group."""
PERCENTILE = 0.95


def labels_of(frames: Sequence[Atoms]) -> Predictions:
    """Gather the labels of ``frames`` in the form of predictions."""
    none = np.full(6, np.nan)
    stresses = [stress_of(atoms) for atoms in frames]
    return Predictions(
        energies=np.array([energy_of(atoms) for atoms in frames]),
        forces=np.concatenate([forces_of(atoms) for atoms in frames]),
        stresses=np.array([none if stress is None else stress for stress in stresses]),
    )


def chosen_from(labels: Predictions, sizes: IntArray, chosen: IntArray) -> Predictions:
    """Take the frames ``chosen``, ascending, out of labels or predictions of frames of ``sizes`` atoms."""
    is_chosen = np.zeros(len(sizes), dtype=np.bool_)
    is_chosen[chosen] = True
    return Predictions(
        labels.energies[chosen], labels.forces[np.repeat(is_chosen, sizes)], labels.stresses[chosen]
    )


def errors_by_group(
    predicted: Predictions, labels: Predictions, sizes: IntArray, groups: Sequence[str], chosen: IntArray
) -> list[dict[str, float | str | int]]:
    """Compute the error metrics over ``chosen`` and over each group in it; one mapping per row.

    Parameters
    ----------
    predicted, labels
        For all frames.
    sizes
        Atoms per frame, shape (n_frames,).
    groups
        Group of each frame.
    chosen
        Indices of the frames to average over, at least one.

    Returns
    -------
    list
        `METRICS`: energies per atom (meV), forces per component (eV/Å), stress per component (GPa;
        NaN where no frame has it).
    """
    names, numbers = np.unique(np.asarray(groups), return_inverse=True)
    return _means(_errors_of_frames(predicted, labels, sizes), sizes, names.tolist(), numbers, chosen)


def errors_by_part(
    dataset: DataSet, labels: Predictions, unseen: IntArray, predicted: Predictions
) -> list[dict[str, float | str | int]]:
    """Compute errors on test, ood and the pruned-away part of training; never on what the model saw.

    Parameters
    ----------
    dataset
        All frames and their parts.
    labels
        Labels of all frames.
    unseen
        Indices of the frames that were not fitted, ascending.
    predicted
        Predictions of the frames ``unseen``.
    """
    known = chosen_from(labels, dataset.sizes, unseen)
    sizes, parts = dataset.sizes[unseen], dataset.parts[unseen]
    names, numbers = dataset.numbered_groups
    errors = _errors_of_frames(predicted, known, sizes)
    rows = []
    for split, part in (("test", "test"), ("ood", "ood"), ("remainder", "train")):
        chosen = np.flatnonzero(parts == part)
        if len(chosen):
            rows += [{"split": split, **row} for row in _means(errors, sizes, names, numbers[unseen], chosen)]
    return rows


@dataclass(frozen=True, eq=False)
class _Errors:
    """Absolute errors of frames."""

    sums: FloatArray
    """What each frame gives to the means, shape (n_frames, 6): energy per atom, absolute and squared; force
    components, absolute and squared; stress components, absolute, and whether there are labels of them."""
    components: FloatArray
    """Of forces, shape (n_atoms, 3)."""


def _errors_of_frames(predicted: Predictions, labels: Predictions, sizes: IntArray) -> _Errors:
    """Compute the errors of frames of ``sizes`` atoms."""
    energy = 1e3 * (predicted.energies - labels.energies) / sizes
    components = np.abs(predicted.forces - labels.forces)
    x, y, z = components.T  # sums of columns are faster than of rows of three
    starts = np.cumsum(sizes) - sizes
    with_stress = np.isfinite(labels.stresses).all(axis=1)
    stress = np.abs(predicted.stresses - labels.stresses).sum(axis=1) / GPa
    with np.errstate(over="ignore"):
        columns = [
            np.abs(energy),
            np.square(energy),
            np.add.reduceat(x + y + z, starts),
            np.add.reduceat(np.square(x) + np.square(y) + np.square(z), starts),
            np.where(with_stress, stress, 0.0),
            with_stress.astype(np.float64),
        ]
    return _Errors(np.stack(columns, axis=1), components)


def _means(
    errors: _Errors, sizes: IntArray, groups: Sequence[str], numbers: IntArray, chosen: IntArray
) -> list[dict[str, float | str | int]]:
    """Average over all of ``chosen``, and over each group in it; ``numbers`` count into ``groups``."""
    mine, owner = errors.sums[chosen], numbers[chosen]
    counts = np.bincount(owner, minlength=len(groups))
    there = np.flatnonzero(counts).tolist()
    by_group = np.stack([np.bincount(owner, one, len(groups))[there] for one in mine.T], axis=1)
    totals = np.vstack([mine.sum(axis=0), by_group])
    frames = np.concatenate([[len(chosen)], counts[there]])
    in_groups = np.bincount(owner, sizes[chosen], len(groups))[there]
    atoms = np.concatenate([[sizes[chosen].sum()], in_groups]).astype(np.int64)
    is_chosen = np.zeros(len(sizes), dtype=np.bool_)
    is_chosen[chosen] = True
    components = errors.components[np.repeat(is_chosen, sizes)].ravel()
    with np.errstate(invalid="ignore"):
        means = [
            totals[:, 0] / frames,
            np.sqrt(totals[:, 1] / frames),
            totals[:, 2] / (3 * atoms),
            np.sqrt(totals[:, 3] / (3 * atoms)),
            totals[:, 4] / (6 * totals[:, 5]),
            _percentiles(mine[:, 0], owner),
            _percentiles(components, np.repeat(owner, 3 * sizes[chosen])),
        ]
    means += [np.concatenate([[one[1:].max()], one[1:]]) for one in (means[0], means[2])]
    names = [ALL, *(groups[number] for number in there)]
    columns = [names, frames.tolist(), atoms.tolist(), *(one.tolist() for one in means)]
    fields = ("group", "n_eval_configurations", "n_eval_atoms", *METRICS)
    return [dict(zip(fields, row, strict=True)) for row in zip(*columns, strict=True)]


def _percentiles(values: FloatArray, owner: IntArray) -> FloatArray:
    """Return the smallest value that `PERCENTILE` of all, and of each owner's, do not exceed."""
    order = np.argsort(values)
    by_owner = values[order][np.argsort(owner[order], kind="stable")]
    counts = np.bincount(owner)
    counts = counts[counts > 0]
    ends = np.cumsum(counts)
    places = ends - counts + np.ceil(PERCENTILE * counts).astype(np.int64) - 1
    overall = values[order[math.ceil(PERCENTILE * len(values)) - 1]]
    return np.concatenate([[overall], by_owner[places]])
