"""Residuals of networks on energies, forces and stress, with their derivatives by the weights."""

from __future__ import annotations

import itertools
import math

import numpy as np
from crossprune.adapters.nnp import kernels
from crossprune.adapters.nnp.data import TrainingSet
from crossprune.adapters.nnp.model import Centres, Model
from crossprune.adapters.nnp.weak import Displaced
from crossprune.harness.contract import FloatArray, IntArray

TINY = 1e-12
"""Mean square of labels or forces below which there is nothing to scale by."""


class Residuals:
    """Weighted residuals whose squares add up to the loss: 1 is the loss of zero energies and forces.

    Parameters
    ----------
    data
        Frames and labels.
    model
        Networks; their weights are read at every call.
    taylor_weight, spatial_weight
        Weights of the weakly supervised terms relative to that of energies.
    rng
        Draws the displacements of these terms.
    """

    def __init__(
        self,
        data: TrainingSet,
        model: Model,
        *,
        taylor_weight: float,
        spatial_weight: float,
        rng: np.random.Generator,
    ) -> None:
        self.data, self.model, self.rng = data, model, rng
        self.weak_weights = (taylor_weight, spatial_weight)
        n_atoms, slots = int(data.starts[-1]), np.diff(data.slot_start)
        self._centre = np.repeat(np.arange(n_atoms), slots)
        self._by_atom = np.argsort(data.slot_atom, kind="stable")
        self._atom_start = np.searchsorted(data.slot_atom[self._by_atom], np.arange(n_atoms + 1))
        self._local = np.zeros(n_atoms, dtype=np.int64)
        every = np.arange(data.n_frames)
        size = self._loss(every, data.energies, data.forces, data.stresses)
        self.root = math.sqrt(max(size, TINY))
        """Root of the loss of zero energies and forces."""

    def loss(self, frames: IntArray) -> float:
        """Return the loss of frames, the weakly supervised terms left out."""
        data, scale = self.data, self.model.scale
        rows = data.rows(frames)
        centres = self.model.evaluate(data.inputs[rows], data.kinds[rows])
        energies = scale * np.add.reduceat(centres.energies, _starts(data.sizes(frames))[:-1])
        stresses = data.stresses[frames]
        if len(data.virial):
            atomic = np.einsum("ivk,ik->iv", data.virial[rows], centres.slopes)
            total = np.add.reduceat(atomic, _starts(data.sizes(frames))[:-1])
            stresses = scale * total / data.volumes[frames, None] - stresses
        return (
            self._loss(
                frames,
                energies - data.energies[frames],
                scale * self._forces(centres, rows) - data.forces[rows],
                stresses,
            )
            / self.root**2
        )

    def match_scale(self, frames: IntArray) -> None:
        """Set the model's output scale so that the forces of frames are as large as their labels."""
        data = self.data
        rows = data.rows(frames)
        centres = self.model.evaluate(data.inputs[rows], data.kinds[rows])
        given = float(np.mean(np.square(self._forces(centres, rows), dtype=np.float64)))
        wanted = float(np.mean(np.square(data.forces[rows], dtype=np.float64)))
        self.model.scale = math.sqrt(wanted / given) if wanted > 0 and given > TINY else 1.0

    def linearise(self, frames: IntArray, atoms: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return residuals r and ∂r/∂θ: energies and stresses of frames, forces of some of their atoms.

        The mean over batches of Σ r² is the loss, weakly supervised terms included. Shapes (n,) and
        (n, n_elements × parameters of a network).
        """
        data = self.data
        rows = data.rows(frames)
        self._local[rows] = np.arange(len(rows))
        starts = _starts(data.sizes(frames))
        here = self.model.evaluate(data.inputs[rows], data.kinds[rows])
        parts = [self._energies(here, frames, starts), self._chosen_forces(here, atoms)]
        if len(data.virial):
            parts.append(self._stresses(here, frames, rows, starts))
        if data.displaced is not None:
            parts += self._weak(data.displaced, here, frames, rows, starts)
        residuals, derivatives = zip(*parts, strict=True)
        return np.concatenate(residuals), np.concatenate(derivatives)

    def _rows(self, n: int) -> FloatArray:
        return np.zeros((n, self.model.weights.size), self.model.dtype)

    def _weighed(
        self, residuals: FloatArray, derivatives: FloatArray, factors: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        factors = (factors / self.root).astype(self.model.dtype)
        derivatives *= (self.model.scale * factors)[:, None].astype(self.model.dtype)
        return residuals * factors, derivatives

    def _energies(self, here: Centres, frames: IntArray, starts: IntArray) -> tuple[FloatArray, FloatArray]:
        data, derivatives = self.data, self._rows(len(frames))
        self.model.energy_rows(here, starts, derivatives)
        found = self.model.scale * np.add.reduceat(here.energies, starts[:-1])
        factors = data.energy_weight[frames] / math.sqrt(len(frames))
        return self._weighed(found - data.energies[frames], derivatives, factors)

    def _chosen_forces(self, here: Centres, atoms: IntArray) -> tuple[FloatArray, FloatArray]:
        data, derivatives = self.data, self._rows(3 * len(atoms))
        counts = self._atom_start[atoms + 1] - self._atom_start[atoms]
        first = _starts(counts)
        owner = np.repeat(np.arange(len(atoms)), counts)
        within = np.arange(first[-1]) - first[owner]
        slots = self._by_atom[self._atom_start[atoms][owner] + within]
        # Of each atom all slots' x come first, then y, then z: one row after the other.
        place = (3 * first[owner] + within)[:, None] + counts[owner][:, None] * np.arange(3)
        vectors = np.empty((3 * len(slots), data.inputs.shape[1]), data.jacobian.dtype)
        vectors[place.ravel()] = data.jacobian[slots].reshape(-1, vectors.shape[1])
        numbers = np.empty(3 * len(slots), dtype=np.int64)
        numbers[place.ravel()] = np.repeat(self._local[self._centre[slots]], 3)
        starts = _starts(np.repeat(counts, 3))
        found = self.model.slope_rows(here, vectors, numbers, starts, derivatives, factor=-1)
        frame = np.searchsorted(data.starts, atoms, side="right") - 1
        factors = np.repeat(data.force_weight[frame], 3) / math.sqrt(3 * len(atoms))
        return self._weighed(self.model.scale * found - data.forces[atoms].ravel(), derivatives, factors)

    def _stresses(
        self, here: Centres, frames: IntArray, rows: IntArray, starts: IntArray
    ) -> tuple[FloatArray, FloatArray]:
        data, derivatives = self.data, self._rows(6 * len(frames))
        counts = np.repeat(np.diff(starts), 6)
        numbers = np.concatenate([np.tile(np.arange(*ends), 6) for ends in itertools.pairwise(starts)])
        component = np.repeat(np.tile(np.arange(6), len(frames)), counts)
        vectors = data.virial[rows[numbers], component]
        found = self.model.slope_rows(here, vectors, numbers, _starts(counts), derivatives)
        volumes = np.repeat(data.volumes[frames], 6)
        derivatives /= volumes[:, None]
        factors = np.repeat(data.stress_weight[frames], 6) / math.sqrt(6 * len(frames))
        residuals = self.model.scale * found / volumes - data.stresses[frames].ravel()
        return self._weighed(residuals, derivatives, factors)

    def _weak(
        self, displaced: Displaced, here: Centres, frames: IntArray, rows: IntArray, starts: IntArray
    ) -> list[tuple[FloatArray, FloatArray]]:
        """Taylor and spatial consistency of one displacement drawn from the pool, weighted."""
        draw = int(self.rng.integers(displaced.n_draws))
        first, second, toward, between = displaced.pick(draw, rows)
        kinds = self.data.kinds[rows]
        there = self.model.evaluate(first, kinds)
        taylor, spatial = self.weak_weights
        result = [self._consistency(there, here, toward, frames, starts, taylor)]
        if spatial:
            elsewhere = self.model.evaluate(second, kinds)
            result.append(self._consistency(there, elsewhere, between, frames, starts, spatial))
        return result

    def _consistency(
        self,
        there: Centres,
        origin: Centres,
        vectors: FloatArray,
        frames: IntArray,
        starts: IntArray,
        weight: float,
    ) -> tuple[FloatArray, FloatArray]:
        """E(there) − E(origin) − Σ v · ∂E/∂x(origin)."""
        derivatives = self._rows(len(frames))
        self.model.energy_rows(there, starts, derivatives)
        self.model.energy_rows(origin, starts, derivatives, factor=-1)
        numbers = np.arange(int(starts[-1]))
        change = self.model.slope_rows(origin, vectors, numbers, starts, derivatives, factor=-1)
        found = np.add.reduceat(there.energies - origin.energies, starts[:-1]) + change
        factors = math.sqrt(weight / len(frames)) * self.data.energy_weight[frames]
        return self._weighed(self.model.scale * found, derivatives, factors)

    def _forces(self, centres: Centres, rows: IntArray) -> FloatArray:
        """Return forces of the plain networks on the atoms ``rows``: those of whole frames."""
        data = self.data
        gradient = np.zeros_like(data.forces)
        kernels.contract(data.jacobian, data.slot_start, data.slot_atom, centres.slopes, rows, gradient)
        return -gradient[rows]

    def _loss(
        self, frames: IntArray, energies: FloatArray, forces: FloatArray, stresses: FloatArray
    ) -> float:
        data = self.data
        force_weight = np.repeat(data.force_weight[frames], data.sizes(frames))
        parts = [data.energy_weight[frames] * energies, force_weight[:, None] * forces]
        if len(data.virial):
            parts.append(data.stress_weight[frames, None] * stresses)
        return float(sum(np.mean(np.square(part, dtype=np.float64)) for part in parts))


def _starts(counts: IntArray) -> IntArray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


__all__ = ["Residuals"]
