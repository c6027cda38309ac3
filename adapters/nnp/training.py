"""Train networks on prepared symmetry functions with energies, forces and stress in the loss, in torch."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from crossprune.adapters.nnp import kernels
from crossprune.adapters.nnp.model import Model, Tensor
from crossprune.adapters.nnp.weak import Displaced
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.errors import MissingPackage

try:
    import torch
except ModuleNotFoundError:
    raise MissingPackage("adapter 'nnp'", "torch", "crossprune[nnp]") from None

WARM_UP = 50
"""Steps over which the learning rate rises to its start value."""
AVERAGE = 0.995
"""Memory of the running mean of the weights: 200 steps, a few epochs of a small subset."""
ANNEALED = 0.1
"""Part of the learning rate below which weights are candidates: the last fifth of the cosine."""
SMALLEST = 0.01
"""Part of the learning rate below which training stops: seven times halved."""
TINY = 1e-12
"""Mean square of labels or forces below which there is nothing to scale by."""


@dataclass(frozen=True)
class Settings:
    """How to train: the options of `crossprune.adapters.nnp.options.NnpOptions` that matter here."""

    steps: int
    batch_size: int
    learning_rate: float
    patience: int
    clip: float
    taylor_weight: float
    spatial_weight: float


@dataclass(frozen=True)
class TrainingSet:
    """Chosen frames, their labels with the weights of the loss, and their prepared derivatives.

    ``inputs`` no unit, shape (n_atoms, k); ``jacobian`` 1/Å, shape (n_slots, 3, k); ``virial`` shape
    (n_atoms, 6, k), empty if stress is not fitted; ``slot_atom`` numbers the atoms of this set;
    ``energies`` eV, offsets subtracted; ``forces`` eV/Å; ``stresses`` eV/Å³, 0 where the label is missing.
    ``energy_weight`` 1/eV, ``force_weight`` Å/eV, ``stress_weight`` Å³/eV: factors on residuals, per frame.
    """

    kinds: IntArray
    starts: IntArray
    volumes: FloatArray
    inputs: FloatArray
    jacobian: FloatArray
    virial: FloatArray
    slot_start: IntArray
    slot_atom: IntArray
    energies: FloatArray
    forces: FloatArray
    stresses: FloatArray
    energy_weight: FloatArray
    force_weight: FloatArray
    stress_weight: FloatArray
    displaced: Displaced | None = None

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.energies)

    def rows(self, frames: IntArray) -> IntArray:
        """Return the atoms of some frames, in the frames' order."""
        return np.concatenate([np.arange(self.starts[i], self.starts[i + 1]) for i in frames])

    def sizes(self, frames: IntArray) -> IntArray:
        """Return the numbers of atoms of some frames."""
        sizes: IntArray = self.starts[frames + 1] - self.starts[frames]
        return sizes


class _Contract(torch.autograd.Function):
    """dE/dr of a batch from dE/dx: the compiled product with the Jacobian, and its transpose."""

    @staticmethod
    def forward(ctx: Any, slopes: Tensor, data: TrainingSet, rows: IntArray) -> Tensor:
        ctx.data, ctx.rows = data, rows
        gradient = np.zeros_like(data.forces)
        kernels.contract(
            data.jacobian, data.slot_start, data.slot_atom, slopes.detach().numpy(), rows, gradient
        )
        return torch.from_numpy(gradient[rows])

    @staticmethod
    def backward(ctx: Any, *pulls: Tensor) -> tuple[Tensor, None, None]:
        data, rows = ctx.data, ctx.rows
        pull = np.zeros_like(data.forces)
        pull[rows] = pulls[0].numpy()
        slopes = np.zeros((len(rows), data.jacobian.shape[2]), dtype=data.jacobian.dtype)
        kernels.spread(data.jacobian, data.slot_start, data.slot_atom, pull, rows, slopes)
        return torch.from_numpy(slopes), None, None


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread: its matrices here are small, and waiting threads cost more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@one_thread()
def train(
    data: TrainingSet, model: Model, settings: Settings, validation: IntArray, rng: np.random.Generator
) -> dict[str, float]:
    """Adam over shuffled batches; keep the running mean of the weights that is best on ``validation``.

    The learning rate warms up and decays as a cosine; it is halved whenever ``patience`` steps pass without
    a better validation loss, so that a subset that overfits early is annealed early. Only weights at a low
    learning rate are candidates: at a high one, a low loss on few frames is luck.
    Adam: Kingma and Ba 2015, arXiv 1412.6980; cosine: Loshchilov and Hutter 2017, arXiv 1608.03983;
    mean of the weights: Polyak and Juditsky 1992, doi:10.1137/0330046.

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
    loss = Loss(data, model, settings, rng)
    _match_scale(loss, training)
    optimiser = torch.optim.Adam(model.parameters, lr=settings.learning_rate)
    n_batches = math.ceil(len(training) / settings.batch_size)
    # Validation costs as much as a tenth of an epoch; never more often than every 20 steps.
    every = n_batches * max(1, round(20 / n_batches))
    average = _copy(model)
    best, best_step, kept = math.inf, 0, average
    step, last_change, factor, lowest = 0, 0, 1.0, math.inf
    while step < settings.steps and factor >= SMALLEST:
        order = rng.permutation(training)
        for batch in range(n_batches):
            optimiser.param_groups[0]["lr"] = factor * _learning_rate(settings, step)
            optimiser.zero_grad()
            value = loss(order[batch::n_batches], weak=True)
            if not math.isfinite(float(value.detach())):
                raise RuntimeError(_diverged(f"the loss is {float(value.detach())} at step {step}"))
            value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters, settings.clip)
            optimiser.step()
            _follow(average, model, max(1 - AVERAGE, 1 / (step + 1)))
            step += 1
        if step % every and step < settings.steps:
            continue
        score = _score(loss, validation, average)
        if score < lowest:
            lowest, last_change = score, step
        elif step - last_change > settings.patience:
            factor, last_change = factor / 2, step
        cool = factor * _learning_rate(settings, step) <= ANNEALED * settings.learning_rate
        if score < best and cool:
            best, best_step, kept = score, step, [one.clone() for one in average]
    _restore(model, kept)
    with torch.no_grad():
        final = float(loss(training))
    if not (math.isfinite(final) and final < 1):
        raise RuntimeError(
            _diverged(f"after {step} steps the loss is {final:.3g} of that of zero predictions")
        )
    return {
        "validation_loss": best,
        "training_loss": final,
        "steps": float(step),
        "best_step": float(best_step),
    }


class Loss:
    """Weighted mean squares of the residuals of some frames, over the mean squares of the labels."""

    def __init__(self, data: TrainingSet, model: Model, settings: Settings, rng: np.random.Generator) -> None:
        self.data, self.model, self.settings, self.rng = data, model, settings, rng
        self.inputs = torch.from_numpy(data.inputs)
        self.norm = 1.0
        size = self._sum(
            np.arange(data.n_frames),
            torch.from_numpy(data.energies),
            torch.from_numpy(data.forces),
            torch.from_numpy(data.stresses),
        )
        self.norm = max(float(size), TINY)

    def __call__(self, frames: IntArray, *, weak: bool = False) -> Tensor:
        """Return the loss of ``frames``; with the weakly supervised terms, if these are asked for."""
        data = self.data
        rows = data.rows(frames)
        energies, slopes = self.model.evaluate(self.inputs[rows], data.kinds[rows])
        forces = -_Contract.apply(slopes, data, rows)
        number = torch.from_numpy(np.repeat(np.arange(len(frames)), data.sizes(frames)))
        energies = energies.new_zeros(len(frames)).index_add(0, number, energies)
        total = self._sum(
            frames,
            energies - torch.from_numpy(data.energies[frames]),
            forces - torch.from_numpy(data.forces[rows]),
            self._stresses(frames, rows, slopes, number) - torch.from_numpy(data.stresses[frames]),
        )
        if weak and data.displaced is not None:
            total = total + self._weak(data.displaced, frames, rows, number, energies, slopes) / self.norm
        return total

    def _stresses(self, frames: IntArray, rows: IntArray, slopes: Tensor, number: Tensor) -> Tensor:
        stresses = slopes.new_zeros((len(frames), 6))
        if len(self.data.virial) == 0:
            return stresses
        atomic = torch.einsum("ivk,ik->iv", torch.from_numpy(self.data.virial[rows]), slopes)
        return stresses.index_add(0, number, atomic) / torch.from_numpy(self.data.volumes[frames, None])

    def _sum(self, frames: IntArray, energies: Tensor, forces: Tensor, stresses: Tensor) -> Tensor:
        data = self.data
        force_weight = np.repeat(data.force_weight[frames], data.sizes(frames))
        parts = [
            (torch.from_numpy(data.energy_weight[frames]) * energies).square().mean(),
            (torch.from_numpy(force_weight[:, None]) * forces).square().mean(),
        ]
        if len(data.virial):
            parts.append((torch.from_numpy(data.stress_weight[frames, None]) * stresses).square().mean())
        return sum(parts) / self.norm

    def _weak(
        self,
        displaced: Displaced,
        frames: IntArray,
        rows: IntArray,
        number: Tensor,
        energies: Tensor,
        slopes: Tensor,
    ) -> Tensor:
        """Taylor and spatial consistency of one displacement drawn from the pool, weighted."""
        one = displaced.pick(int(self.rng.integers(displaced.n_draws)), rows)
        first, second, toward, between = (torch.from_numpy(array) for array in one)
        kinds = self.data.kinds[rows]

        def total(atomic: Tensor) -> Tensor:
            return energies.new_zeros(len(frames)).index_add(0, number, atomic)

        there = total(self.model.evaluate(first, kinds)[0])
        weight = torch.from_numpy(self.data.energy_weight[frames])
        taylor = there - energies - total((slopes * toward).sum(dim=1))
        result = self.settings.taylor_weight * (weight * taylor).square().mean()
        if self.settings.spatial_weight:
            elsewhere, elsewhere_slopes = self.model.evaluate(second, kinds)
            spatial = there - total(elsewhere) - total((elsewhere_slopes * between).sum(dim=1))
            result = result + self.settings.spatial_weight * (weight * spatial).square().mean()
        return result


def _match_scale(loss: Loss, frames: IntArray) -> None:
    """Set the output scale so that the untrained forces are as large as the labels."""
    data = loss.data
    with torch.no_grad():
        rows = data.rows(frames)
        _, slopes = loss.model.evaluate(loss.inputs[rows], data.kinds[rows])
        given = float(_Contract.apply(slopes, data, rows).square().mean())
    wanted = float(np.mean(data.forces[rows] ** 2))
    loss.model.scale = math.sqrt(wanted / given) if wanted > 0 and given > TINY else 1.0


def _learning_rate(settings: Settings, step: int) -> float:
    decay = 0.5 * (1 + math.cos(math.pi * min(1.0, step / settings.steps)))
    return settings.learning_rate * max(decay, 1e-4) * min(1.0, (step + 1) / WARM_UP)


def _diverged(what: str) -> str:
    return (
        f"training of adapter 'nnp' failed: {what}; lower learning_rate, or look for wrong labels or "
        "overlapping atoms in the chosen frames"
    )


def _score(loss: Loss, frames: IntArray, weights: Sequence[Tensor]) -> float:
    """Return the loss of ``frames`` with other weights than the model's own."""
    own = _copy(loss.model)
    _restore(loss.model, weights)
    with torch.no_grad():
        score = float(loss(frames))
    _restore(loss.model, own)
    return score


def _follow(average: Sequence[Tensor], model: Model, step: float) -> None:
    """Move the running mean by the part ``step`` towards the model's weights."""
    with torch.no_grad():
        for mean, tensor in zip(average, model.parameters, strict=True):
            mean.lerp_(tensor, step)


def _copy(model: Model) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in model.parameters]


def _restore(model: Model, kept: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for tensor, value in zip(model.parameters, kept, strict=True):
            tensor.copy_(value)
