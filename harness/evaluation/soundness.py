"""Fits that ended well and predict nonsense: what counts as that, and what stands in for their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray, Predictions
from crossprune.harness.evaluation.metrics import METRICS

if TYPE_CHECKING:
    import pandas as pd

EXPLODED = "exploded"
"""First word of the flag of such a fit."""
UNDETERMINED = "not determined by the chosen ones"
"""Part of the flag of a fit whose energies of some compositions are guesses."""
N_LOOKED_AT = 20
"""Training frames that are predicted again, evenly spaced, so that looking costs less than fitting."""
WORSE_THAN_MEAN = 10.0
"""Error on own training frames over that of `mean`, which any fit can reach (no forces,
energies per element).

A fit that trades forces for energies, or stops early, may lose a factor of two or three; ten is no trade.
"""
BEYOND_LABELS = 1e3
"""Largest prediction over the largest training label. Colliding atoms may give ten times the forces seen."""
LEAST_FORCE, LEAST_ENERGY = 0.1, 0.1
"""eV/Å and eV/atom that count as the size of labels where these are smaller, as on perfect crystals."""
CLIPS = tuple(f"mean_{metric}" for metric in METRICS)
"""Columns of the errors of `mean` on the same frames; filled for exploded fits only."""


def looked_at(subset: IntArray) -> IntArray:
    """Return the frames among the chosen ones whose predictions `explosion` judges."""
    n_frames = min(len(subset), N_LOOKED_AT)
    return subset[np.linspace(0, len(subset) - 1, n_frames).round().astype(np.int64)]


def explosion(
    own: Predictions, own_labels: Predictions, own_sizes: IntArray, others: Predictions, other_sizes: IntArray
) -> str:
    """Say what is absurd about a model's predictions, beginning with `EXPLODED`; empty if nothing is.

    Only labels of training frames are looked at; the last two lengths of other predictions need none.

    Parameters
    ----------
    own, own_labels, own_sizes
        Predictions, labels and atoms of frames that the model was fitted to.
    others, other_sizes
        Predictions and atoms of all other frames.
    """
    per_atom = own_labels.energies / own_sizes
    force, energy = _rms(own_labels.forces), float(np.std(per_atom))
    found = {
        "training force error (eV/Å)": (
            _rms(own.forces - own_labels.forces),
            WORSE_THAN_MEAN * max(force, LEAST_FORCE),
        ),
        "training energy error (eV/atom)": (
            _rms((own.energies - own_labels.energies) / own_sizes),
            WORSE_THAN_MEAN * max(energy, LEAST_ENERGY),
        ),
        "largest force (eV/Å)": (
            float(np.abs(others.forces).max(initial=0.0)),
            BEYOND_LABELS * max(float(np.abs(own_labels.forces).max(initial=0.0)), LEAST_FORCE),
        ),
        "largest energy (eV/atom)": (
            float(np.abs(others.energies / other_sizes).max(initial=0.0)),
            BEYOND_LABELS * max(float(np.abs(per_atom).max()), LEAST_ENERGY),
        ),
    }
    reasons = [
        f"{name} {value:.2g}, allowed {limit:.2g}" for name, (value, limit) in found.items() if value > limit
    ]
    return f"{EXPLODED}: {'; '.join(reasons)}" if reasons else ""


def undetermined(chosen: FloatArray, others: FloatArray) -> str:
    """Say how many frames have compositions about which the chosen frames say nothing; empty if none.

    Parameters
    ----------
    chosen, others
        Atoms per element of the chosen and of all other frames, shapes (n_frames, n_elements).
    """
    fractions = [np.unique(counts / counts.sum(axis=1, keepdims=True), axis=0) for counts in (chosen, others)]
    _, singular, directions = np.linalg.svd(fractions[0])
    # The tolerance of `crossprune.adapters.linear.offsets.INDEPENDENT`, for the same fractions.
    rank = int(np.count_nonzero(singular > 1e-10 * singular.max(initial=0.0)))
    if rank == chosen.shape[1] or not len(others):
        return ""
    outside = np.abs(others / others.sum(axis=1, keepdims=True) @ directions[rank:].T).max(axis=1) > 1e-8
    count = int(np.count_nonzero(outside))
    return f"compositions of {count} frames are {UNDETERMINED}: energies are a guess" if count else ""


def as_mean(chosen: FloatArray, energies: FloatArray, others: FloatArray, n_atoms: int) -> Predictions:
    """Predict as `mean` does: energies per element by least squares, forces and stresses zero."""
    per_element = np.linalg.lstsq(chosen, energies, rcond=1e-10)[0]
    return Predictions(others @ per_element, np.zeros((n_atoms, 3)), np.zeros((len(others), 6)))


def with_mean(
    rows: Sequence[Mapping[str, float | str | int]], mean: Sequence[Mapping[str, float | str | int]]
) -> list[dict[str, float | str | int]]:
    """Put the errors of `mean` beside a model's own, row by row, under the names `CLIPS`."""
    return [
        {**row, **{clip: other[metric] for clip, metric in zip(CLIPS, METRICS, strict=True)}}
        for row, other in zip(rows, mean, strict=True)
    ]


def clipped(results: pd.DataFrame) -> pd.DataFrame:
    """Return results in which the errors of exploded fits are those of `mean` on the same frames.

    Leaving them out would leave out the worst, and with it favour whoever chose their data; as they
    are, one of them would be the mean.
    """
    gone = exploded(results)
    if not gone.any():
        return results
    found = results.copy()
    for clip, metric in zip(CLIPS, METRICS, strict=True):
        if metric in found.columns:
            found.loc[gone, metric] = found.loc[gone, clip] if clip in found.columns else np.nan
    return found


def exploded(results: pd.DataFrame) -> pd.Series[bool]:
    """Say of each row of a results table whether its fit exploded."""
    flags = results["flag"] if "flag" in results.columns else results.assign(flag="")["flag"]
    return flags.astype(str).str.startswith(EXPLODED)


def _rms(values: FloatArray) -> float:
    with np.errstate(over="ignore"):
        return float(np.sqrt(np.square(values).mean())) if values.size else 0.0
