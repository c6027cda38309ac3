"""Train networks by stochastic Gauss-Newton steps on energies, forces and stress."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from crossprune.adapters.nnp.curvature import Dense, Rows
from crossprune.adapters.nnp.data import TrainingSet
from crossprune.adapters.nnp.model import Model
from crossprune.adapters.nnp.residuals import Residuals
from crossprune.harness.contract import IntArray
from scipy.linalg import LinAlgError

LAST = 0.005
"""Last step's part of the Gauss-Newton step; `Settings.step` is the first one's."""
EASED = 0.01
"""Last step's damping over the first one's."""
LONGEST = 0.5
"""Longest step over the length of all weights."""
REFERENCE = 10_000
"""Atoms that `Settings.steps` is for; others get as many times the fourth root of their number over this."""
LEAST = 20
"""Steps that the smallest subset gets."""
PART = 8
"""A step takes the forces of no more than this part of all atoms, so that batches differ."""
EVERY = 5
"""Steps between two looks at the validation part."""
DENSE = 4096
"""Weights up to which curvature is kept as a matrix, of 64 MiB then."""


@dataclass(frozen=True)
class Settings:
    """How to train: the options of `crossprune.adapters.nnp.options.NnpOptions` that matter here."""

    steps: int
    batch_size: int
    batch_atoms: int
    step: float
    damping: float
    weight_decay: float
    taylor_weight: float
    spatial_weight: float


def train(
    data: TrainingSet, model: Model, settings: Settings, validation: IntArray, rng: np.random.Generator
) -> dict[str, float]:
    """Take damped Gauss-Newton steps on batches; keep the weights that are best on ``validation``.

    A batch is some frames with their energies, and the forces of some of their atoms. Its curvature JᵀJ
    joins a running mean over the batches before it, whose memory grows as steps shrink. On a linear problem
    that is recursive least squares; the extended Kalman filter, with which networks have long been trained
    (Singhal and Wu 1989, doi:10.1109/ICASSP.1989.266646; for potentials Singraber 2019,
    doi:10.1021/acs.jctc.8b01092), keeps the inverse instead and takes a label at a time.

    Steps shrink as a cosine, damping as a power; both follow the number of atoms, not of frames.
    Only weights of the second half are candidates: before, a low loss on few frames is luck.

    Returns
    -------
    dict
        Facts for the results table.

    Raises
    ------
    RuntimeError
        If the loss stops being finite, or the best model is no better than zero energies and forces.
    """
    training = np.setdiff1d(np.arange(data.n_frames), validation)
    n_atoms = int(data.sizes(training).sum())
    steps = max(LEAST, round(settings.steps * (n_atoms / REFERENCE) ** 0.25))
    batch_atoms = max(1, min(settings.batch_atoms, n_atoms // PART))
    residuals = Residuals(
        data,
        model,
        taylor_weight=settings.taylor_weight,
        spatial_weight=settings.spatial_weight,
        rng=rng,
    )
    residuals.match_scale(training)
    curvature = (Dense if model.weights.size <= DENSE else Rows)(model.weights.size, model.dtype)
    deck = _Deck(training, rng)
    best, best_step, kept = math.inf, 0, model.weights
    for step in range(steps):
        part = step / (steps - 1)
        size = LAST + (settings.step - LAST) * 0.5 * (1 + math.cos(math.pi * part))
        frames = deck.draw(settings.batch_size)
        atoms = data.rows(frames)
        if len(atoms) > batch_atoms:
            atoms = np.sort(rng.choice(atoms, batch_atoms, replace=False))
        found, derivatives = residuals.linearise(frames, atoms)
        if not np.isfinite(found).all():
            raise RuntimeError(_diverged(f"a prediction is not finite at step {step}"))
        try:
            direction = curvature.direction(
                derivatives,
                found,
                model.weights.ravel(),
                share=max(size, 1 / (step + 1)),
                damping=settings.damping * EASED**part,
                decay=settings.weight_decay / (3 * n_atoms),
            )
        except LinAlgError as error:
            raise RuntimeError(_diverged(f"{error}, at step {step}")) from None
        change = -size * direction.reshape(model.weights.shape)
        length = float(np.linalg.norm(change)) / (LONGEST * float(np.linalg.norm(model.weights)))
        model.weights = model.weights + change / max(1.0, length)
        if (step + 1) % EVERY == 0 or step == steps - 1:
            score = residuals.loss(validation)
            if score < best and part >= 0.5:
                best, best_step, kept = score, step + 1, model.weights
    model.weights = kept
    final = residuals.loss(training)
    if not (math.isfinite(final) and final < 1):
        raise RuntimeError(
            _diverged(f"after {steps} steps the loss is {final:.3g} of that of zero predictions")
        )
    return {
        "validation_loss": best,
        "training_loss": final,
        "steps": float(steps),
        "best_step": float(best_step),
    }


class _Deck:
    """Frames in random order, shuffled again whenever all were drawn."""

    def __init__(self, frames: IntArray, rng: np.random.Generator) -> None:
        self._frames, self._rng = frames, rng
        self._left = np.empty(0, dtype=np.int64)

    def draw(self, count: int) -> IntArray:
        count = min(count, len(self._frames))
        if len(self._left) < count:
            fresh = self._rng.permutation(self._frames)
            again = np.isin(fresh, self._left)
            self._left = np.concatenate([self._left, fresh[~again], fresh[again]])
        drawn, self._left = self._left[:count], self._left[count:]
        return drawn


def _diverged(what: str) -> str:
    return (
        f"training of adapter 'nnp' failed: {what}; lower step or raise damping, or look for wrong labels or "
        "overlapping atoms in the chosen frames"
    )


__all__ = ["Settings", "train"]
