"""Fine-tuning of a network, in the worker: Adam on energies, forces and stresses of a few structures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from crossprune.adapters.universal.messages import unpack_frames
from crossprune.adapters.universal.networks.network import Network
from numpy.typing import NDArray

PARAMETER = "parameter:"
"""Begins the names of parameters in an answer."""
LARGEST_STEP = 1.0
"""Norm that gradients are cut to, in units of the loss."""


class Frame:
    """A structure's graph, labels and the weights of their residuals, as tensors."""

    def __init__(self, network: Network, index: int, atoms: Any, task: Mapping[str, Any]) -> None:
        self.graph, self.n_atoms, self.volume = network.graph(atoms), len(atoms), atoms.get_volume()
        like = next(network.module.parameters())
        start = int(task["sizes"][:index].sum())

        def tensor(values: Any) -> torch.Tensor:
            return torch.as_tensor(values, dtype=like.dtype, device=like.device)

        self.energy = tensor(task["energies"][index])
        self.forces = tensor(task["forces"][start : start + self.n_atoms])
        self.stress = tensor(task["stresses"][index])
        self.weights = [float(one) for one in task["weights"][index]]

    def loss(self, network: Network, *, train: bool) -> torch.Tensor:
        """Sum the squares of weighted residuals: energy per atom, force components, stress components."""
        found = network.forward(self.graph)
        by_place, by_strain = torch.autograd.grad(
            found.energy, [found.positions, found.strain], create_graph=train
        )
        of_energy, of_forces, of_stress = self.weights
        total = (of_energy * (found.energy - self.energy) / self.n_atoms) ** 2
        total = total + of_forces**2 * ((by_place + self.forces) ** 2).sum()
        if of_stress:
            by_strain = by_strain.reshape(3, 3)
            symmetric = (by_strain + by_strain.T) / (2 * self.volume)
            rows, columns = [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]
            total = total + of_stress**2 * ((symmetric[rows, columns] - self.stress) ** 2).sum()
        return total


def fine_tune(
    network: Network, published: Mapping[str, NDArray[Any]], task: Mapping[str, Any]
) -> dict[str, Any]:
    """Train some or all parameters from the published ones; return those that changed.

    Parameters
    ----------
    published
        All parameters, as arrays.
    task
        Structures as of `pack_frames`; ``energies`` eV, ``forces`` eV/Å, ``stresses`` eV/Å³ and the
        ``weights`` of their residuals, shape (n_frames, 3), as arrays; ``layers``, ``epochs``,
        ``learning_rate``, ``batch_size``, ``validation``, ``seed``.

    Returns
    -------
    dict
        ``parameter:NAME`` arrays; ``epochs_run``, ``best_epoch``, ``loss_before``, ``loss_after``: mean loss
        of the structures that stopped it, or of all.
    """
    rng = np.random.default_rng(int(task["seed"]))
    torch.manual_seed(int(task["seed"]))
    frames = [Frame(network, index, atoms, task) for index, atoms in enumerate(unpack_frames(task))]
    order = rng.permutation(len(frames))
    n_held = round(float(task["validation"]) * len(frames)) if len(frames) >= 10 else 0
    held, fitted = [frames[at] for at in order[:n_held]], [frames[at] for at in order[n_held:]]
    trained = _trained(network, frames[0], str(task["layers"]))
    size, epochs = int(task["batch_size"]), int(task["epochs"])
    n_steps = epochs * math.ceil(len(fitted) / size)
    adam = torch.optim.Adam(trained.values(), lr=float(task["learning_rate"]))
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, n_steps)
    judged = held or fitted
    before = best = _mean(network, judged)
    best_epoch, kept = 0, _arrays(trained)
    for epoch in range(1, epochs + 1):
        shuffled = [fitted[at] for at in rng.permutation(len(fitted))]
        for start in range(0, len(shuffled), size):
            _step(network, shuffled[start : start + size], adam, list(trained.values()))
            cosine.step()
        now = _mean(network, judged)
        if now < best:
            best, best_epoch, kept = now, epoch, _arrays(trained)
        print(f"epoch {epoch} of {epochs}: loss {now:.6g}, best {best:.6g}", flush=True)
    changed = {name: one for name, one in kept.items() if not np.array_equal(one, published[name])}
    facts = {"epochs_run": epochs, "best_epoch": best_epoch, "loss_before": before, "loss_after": best}
    return {f"{PARAMETER}{name}": one for name, one in changed.items()} | facts


def _trained(network: Network, frame: Frame, layers: str) -> dict[str, torch.nn.Parameter]:
    """Return the parameters to train; those of the last layers have no part in the features."""
    own = {name: one for name, one in network.module.named_parameters() if one.requires_grad}
    found = network.forward(frame.graph)
    for_energy = torch.autograd.grad(found.energy, list(own.values()), retain_graph=True, allow_unused=True)
    for_features = torch.autograd.grad(found.features.sum(), list(own.values()), allow_unused=True)
    parts = zip(own.items(), for_energy, for_features, strict=True)
    return {
        name: one
        for (name, one), energy, features in parts
        if energy is not None and (layers == "all" or features is None)
    }


def _step(
    network: Network, batch: Sequence[Frame], adam: torch.optim.Optimizer, trained: list[torch.nn.Parameter]
) -> None:
    adam.zero_grad()
    for frame in batch:
        loss = frame.loss(network, train=True) / len(batch)
        gradients = torch.autograd.grad(loss, trained, allow_unused=True)
        for one, gradient in zip(trained, gradients, strict=True):
            if gradient is not None:
                one.grad = gradient if one.grad is None else one.grad + gradient
    torch.nn.utils.clip_grad_norm_(trained, LARGEST_STEP)
    adam.step()


def _mean(network: Network, frames: Sequence[Frame]) -> float:
    return float(np.mean([float(one.loss(network, train=False).detach()) for one in frames]))


def _arrays(trained: Mapping[str, torch.nn.Parameter]) -> dict[str, NDArray[Any]]:
    return {name: one.detach().cpu().numpy().copy() for name, one in trained.items()}
