"""A universal model as a module whose energy and features can be differentiated."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray


@dataclass(frozen=True)
class Forward:
    """What a model says of one structure, as functions of ``positions`` and ``strain``."""

    energy: torch.Tensor
    """eV of the whole structure, shape ()."""
    features: torch.Tensor
    """Invariants of each atom, shape (n_atoms, n_features)."""
    positions: torch.Tensor
    """Å, shape (n_atoms, 3)."""
    strain: torch.Tensor
    """No unit, shape (3, 3) or (1, 3, 3): cell and positions are multiplied from the right by 1 + strain."""


class Network(ABC):
    """A published model.

    Parameters
    ----------
    weights
        Content of the files of the weights.
    modal
        Which of several levels of theory, for models that have some; empty for others.
    device
        Of PyTorch.
    """

    module: torch.nn.Module
    elements: tuple[str, ...]
    cutoff: float
    """Å; of the list of neighbours."""

    @abstractmethod
    def __init__(self, weights: Sequence[bytes], modal: str, device: torch.device) -> None: ...

    @classmethod
    def download(cls, name: str) -> Path:
        """Fetch a published model into its package's cache; return where the weights are."""
        raise ValueError("its models are not fetched by name")

    @abstractmethod
    def graph(self, atoms: Atoms) -> Any:
        """Return what the model sees of a structure that is periodic along three vectors."""

    @abstractmethod
    def forward(self, graph: Any) -> Forward:
        """Compute energy and features, with all that derivatives need."""


@dataclass(frozen=True)
class Found:
    """Numbers of one structure: see `crossprune.adapters.universal.link.Answer`."""

    energy: float
    forces: NDArray[np.float64]
    stress: NDArray[np.float64]
    features: NDArray[np.float64]
    slopes: NDArray[np.float64]
    strained: NDArray[np.float64]


def evaluate(
    network: Network, atoms: Atoms, *, mix: NDArray[np.float64] | None = None, slopes: bool = False
) -> Found:
    """Compute energy (eV), forces (eV/Å), stress (eV/Å³, shape (6,), ASE's order and sign) and features.

    Parameters
    ----------
    atoms
        Periodic along three vectors.
    mix
        Factor on the energy, then none or one for each feature's sum over atoms (eV); the energy is the sum.
    slopes
        Whether to compute the derivatives of the summed features as well: minus those by positions, shape
        (n_features, n_atoms, 3), 1/Å, and those by strain over the volume, shape (n_features, 6), 1/Å³.
    """
    found = network.forward(network.graph(atoms))
    energy = found.energy
    if mix is not None:
        energy = float(mix[0]) * energy
        if len(mix) not in (1, found.features.shape[1] + 1):
            raise ValueError(f"{len(mix) - 1} factors for {found.features.shape[1]} features")
        if len(mix) > 1:
            factors = torch.as_tensor(mix[1:], dtype=found.features.dtype, device=found.features.device)
            energy = energy + (found.features.sum(dim=0) * factors).sum()
    by_place, by_strain = _gradients(energy, found, more=slopes)
    summed = [found.features[:, at].sum() for at in range(found.features.shape[1] if slopes else 0)]
    pairs = [_gradients(one, found, more=one is not summed[-1]) for one in summed]
    n, k = len(atoms), len(pairs)
    return Found(
        energy=float(energy.detach()),
        forces=-by_place,
        stress=_voigt(by_strain[None], atoms.get_volume())[0],
        features=_numbers(found.features),
        slopes=-np.array([one for one, _ in pairs]).reshape(k, n, 3),
        strained=_voigt(np.array([one for _, one in pairs]).reshape(k, 3, 3), atoms.get_volume()),
    )


def _gradients(
    scalar: torch.Tensor, found: Forward, *, more: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Differentiate by positions and strain; zeros where nothing depends on them, as for one atom alone."""
    leaves = [found.positions, found.strain]
    if not scalar.requires_grad:
        return np.zeros(found.positions.shape), np.zeros((3, 3))
    pair = torch.autograd.grad(scalar, leaves, retain_graph=more, allow_unused=True)
    by_place, by_strain = (
        torch.zeros_like(leaf) if one is None else one for one, leaf in zip(pair, leaves, strict=True)
    )
    return _numbers(by_place), _numbers(by_strain).reshape(3, 3)


def _numbers(tensor: torch.Tensor) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = tensor.detach().cpu().numpy().astype(np.float64)
    return numbers


def _voigt(by_strain: NDArray[np.float64], volume: float) -> NDArray[np.float64]:
    """Return xx yy zz yz xz xy of derivatives by strain over the volume, shape (n, 6)."""
    tensors = (by_strain + by_strain.transpose(0, 2, 1)) / (2 * volume)
    places = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
    return np.stack([tensors[:, i, j] for i, j in places], axis=1)


def require_no_modal(modal: str) -> None:
    """Raise `ValueError` where a level of theory is asked of a model that has one."""
    if modal:
        raise ValueError(f"modal is {modal!r}, and these weights have none; leave it out")


def safe_load(content: bytes, *extra: Any) -> Any:
    """Read tensors and plain values; `pickle.UnpicklingError` for a file that holds anything else.

    What packages allowed for themselves when they were imported does not count: NumPy's arrays, for one, may
    be told that bytes of a file are pointers. ``extra`` are types, or pairs of one and its name in files.
    """
    torch.serialization.clear_safe_globals()
    with torch.serialization.safe_globals(list(extra)):
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def set_parameters(module: torch.nn.Module, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Set named parameters, of the shapes that they have.

    Raises
    ------
    ValueError
        If a name is unknown or a shape differs.
    """
    own = dict(module.named_parameters())
    for name, array in arrays.items():
        if name not in own or own[name].shape != array.shape:
            raise ValueError(f"the model has no parameter {name!r} of shape {array.shape}")
        with torch.no_grad():
            own[name].copy_(torch.as_tensor(array))
