"""Errors of predictions against labels, overall and per group: arrays in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.units import GPa
from crossprune.harness.contract import FloatArray, IntArray, Predictions
from crossprune.harness.data.frames import DataSet, energy_of, forces_of, offsets, stress_of

ALL = "all"
"""Group name of the row over all groups."""
METRICS = (
    "energy_mae_mev_per_atom",
    "energy_rmse_mev_per_atom",
    "force_mae_ev_per_angstrom",
    "force_rmse_ev_per_angstrom",
    "stress_mae_gpa",
)


def labels_of(frames: Sequence[Atoms]) -> Predictions:
    """Gather the labels of ``frames`` in the form of predictions."""
    none = np.full(6, np.nan)
    stresses = [stress_of(atoms) for atoms in frames]
    return Predictions(
        energies=np.array([energy_of(atoms) for atoms in frames]),
        forces=np.concatenate([forces_of(atoms) for atoms in frames]),
        stresses=np.array([none if stress is None else stress for stress in stresses]),
    )


def errors(
    predicted: Predictions, labels: Predictions, sizes: IntArray, chosen: IntArray
) -> dict[str, float]:
    """Compute the error metrics over some frames.

    Parameters
    ----------
    predicted, labels
        For all frames.
    sizes
        Atoms per frame, shape (n_frames,).
    chosen
        Indices of the frames to average over.

    Returns
    -------
    dict
        `METRICS`: energies per atom (meV), forces per component (eV/Å), stress per component (GPa;
        NaN where no frame has it).
    """
    starts = np.concatenate([[0], np.cumsum(sizes)])
    atoms = np.concatenate([np.arange(starts[index], starts[index + 1]) for index in chosen])
    energy = 1e3 * (predicted.energies - labels.energies)[chosen] / sizes[chosen]
    force = (predicted.forces - labels.forces)[atoms]
    stress = (predicted.stresses - labels.stresses)[chosen] / GPa
    has_stress = np.isfinite(labels.stresses[chosen]).all(axis=1)
    return {
        "energy_mae_mev_per_atom": _mae(energy),
        "energy_rmse_mev_per_atom": _rmse(energy),
        "force_mae_ev_per_angstrom": _mae(force),
        "force_rmse_ev_per_angstrom": _rmse(force),
        "stress_mae_gpa": _mae(stress[has_stress]) if has_stress.any() else float("nan"),
    }


def errors_by_group(
    predicted: Predictions, labels: Predictions, sizes: IntArray, groups: Sequence[str], chosen: IntArray
) -> list[dict[str, float | str | int]]:
    """Compute `errors` over ``chosen`` and over each group in it; one mapping per row."""
    names = np.array(groups)[chosen]
    parts = [(ALL, chosen)] + [(name, chosen[names == name]) for name in sorted(set(names.tolist()))]
    return [
        {
            "group": name,
            "n_eval_configurations": len(part),
            "n_eval_atoms": int(sizes[part].sum()),
            **errors(predicted, labels, sizes, part),
        }
        for name, part in parts
    ]


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
    sizes = np.diff(offsets(dataset.frames))
    of_unseen = np.repeat(np.isin(np.arange(len(sizes)), unseen), sizes)
    known = Predictions(labels.energies[unseen], labels.forces[of_unseen], labels.stresses[unseen])
    groups, parts = np.array(dataset.groups)[unseen], np.array(dataset.split)[unseen]
    rows = []
    for split, part in (("test", "test"), ("ood", "ood"), ("remainder", "train")):
        chosen = np.flatnonzero(parts == part)
        if len(chosen):
            found = errors_by_group(predicted, known, sizes[unseen], groups.tolist(), chosen)
            rows += [{"split": split, **row} for row in found]
    return rows


def _mae(values: FloatArray) -> float:
    return float(np.abs(values).mean())


def _rmse(values: FloatArray) -> float:
    return float(np.sqrt(np.square(values).mean()))
