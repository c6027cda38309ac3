"""Fine-tuning of a network, in the worker: Adam on energies, forces and stresses of a few structures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from crossprune.adapters.universal.messages import PARAMETER, unpack_frames
from crossprune.adapters.universal.networks.network import Network
from numpy.typing import NDArray

FEWEST = 10
"""Structures from which on some of them stop the training."""
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
        leaves = [found.positions, found.strain]
        pair = torch.autograd.grad(found.energy, leaves, create_graph=train, allow_unused=True)
        by_place, by_strain = (
            torch.zeros_like(leaf) if one is None else one for one, leaf in zip(pair, leaves, strict=True)
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
    wanted = round(float(task["validation"]) * len(frames)) if len(frames) >= FEWEST else 0
    n_held = min(wanted, len(frames) - 1)
    held, fitted = [frames[at] for at in order[:n_held]], [frames[at] for at in order[n_held:]]
    trained = _trained(network, frames, str(task["layers"]))
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


def _trained(network: Network, frames: Sequence[Frame], layers: str) -> dict[str, torch.nn.Parameter]:
    """Return the parameters to train: those that energies depend on, of any structure.

    Those of the last layers have no part in the features of any; without bonds, few parameters have a part.
    """
    own = {name: one for name, one in network.module.named_parameters() if one.requires_grad}
    parameters = list(own.values())
    for_energy, for_features = set[str](), set[str]()
    for frame in frames:
        found = network.forward(frame.graph)
        energy = torch.autograd.grad(found.energy, parameters, retain_graph=True, allow_unused=True)
        features = torch.autograd.grad(found.features.sum(), parameters, allow_unused=True)
        for_energy |= {name for name, one in zip(own, energy, strict=True) if one is not None}
        for_features |= {name for name, one in zip(own, features, strict=True) if one is not None}
    wanted = for_energy if layers == "all" else for_energy - for_features
    return {name: one for name, one in own.items() if name in wanted}


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
