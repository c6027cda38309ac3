"""Trainable networks in torch on whitened symmetry functions, one per element."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from crossprune.adapters.nnp.network import Network
from crossprune.adapters.programs.libraries import own_symbols
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.errors import MissingPackage
from numpy.typing import NDArray

try:
    with own_symbols():
        import torch
except ModuleNotFoundError:
    raise MissingPackage("adapter 'nnp'", "torch", "crossprune[nnp]") from None

Tensor = Any
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "softplus": torch.nn.functional.softplus,
}


@dataclass(frozen=True)
class Whitening:
    """Linear map of one element's inputs to uncorrelated ones of unit variance: x = (G − centre) @ matrix."""

    centre: FloatArray
    scale: FloatArray
    matrix: FloatArray
    lowest: FloatArray
    highest: FloatArray

    @classmethod
    def of(cls, values: FloatArray, floor: float, n_functions: int = 0) -> Whitening:
        """Compute the map from the chosen atoms' functions; shape of ``values``: (n_atoms, k).

        With ``n_functions``, only so many functions are let in, those that CUR picks.

        Symmetry functions of one family are nearly parallel, so that gradient descent on them crawls;
        directions of relative variance below ``floor`` are not blown up further.
        """
        k = values.shape[1]
        if len(values) == 0:
            return cls(np.zeros(k), np.ones(k), np.zeros((k, k)), np.zeros(k), np.zeros(k))
        centre, scale = values.mean(axis=0), values.std(axis=0)
        # A function that does not vary in the subset, up to rounding, says nothing about energies in it.
        dead = scale <= 1e-10 * (1e-3 + np.abs(centre))
        scale = np.where(dead, 1.0, scale)
        standard = (values - centre) / scale
        if 0 < n_functions < np.count_nonzero(~dead):
            dead |= ~_cur(standard, n_functions)
        standard[:, dead] = 0.0
        variance, vectors = np.linalg.eigh(standard.T @ standard / len(values))
        largest = variance[-1] if variance[-1] > 0 else 1.0
        matrix = vectors / np.sqrt(np.maximum(variance, floor * largest)) / scale[:, None]
        matrix[dead] = 0.0
        return cls(centre, scale, matrix, values.min(axis=0), values.max(axis=0))


def _cur(values: FloatArray, n_chosen: int) -> NDArray[np.bool_]:
    """Mark the columns that CUR picks (Imbalzano 2018, doi:10.1063/1.5024611; scikit-matter)."""
    from skmatter.feature_selection import CUR

    chosen = np.zeros(values.shape[1], dtype=bool)
    chosen[CUR(n_to_select=n_chosen).fit(values).selected_idx_] = True
    return chosen


class Model:
    """The trainable networks of all elements, on whitened inputs, with one output scale in eV."""

    def __init__(
        self,
        n_elements: int,
        n_inputs: int,
        *,
        hidden: Sequence[int],
        activation: str,
        dtype: Any,
        rng: np.random.Generator,
    ) -> None:
        self.activation = activation
        sizes = (n_inputs, *hidden, 1)
        self.layers = [
            [
                (
                    _parameter(rng.normal(size=(n_in, n_out)) / math.sqrt(n_in), dtype),
                    _parameter(np.zeros(n_out), dtype),
                )
                for n_in, n_out in itertools.pairwise(sizes)
            ]
            for _ in range(n_elements)
        ]
        self.scale = 1.0

    @property
    def parameters(self) -> list[Tensor]:
        """All tensors that training changes."""
        return [tensor for layers in self.layers for pair in layers for tensor in pair]

    def evaluate(self, inputs: Tensor, kinds: IntArray) -> tuple[Tensor, Tensor]:
        """Return energies (eV, shape (n,)) and dE/dx (eV, shape (n, k)) of atoms of the given kinds."""
        energies, slopes = inputs.new_zeros(len(inputs)), torch.zeros_like(inputs)
        for kind, layers in enumerate(self.layers):
            rows = torch.from_numpy(np.flatnonzero(kinds == kind))
            if len(rows):
                energy, slope = self._network(inputs[rows], layers)
                energies = energies.index_copy(0, rows, energy * self.scale)
                slopes = slopes.index_copy(0, rows, slope * self.scale)
        return energies, slopes

    def _network(self, layer: Tensor, layers: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        slopes = []
        for weight, bias in layers[:-1]:
            argument = torch.addmm(bias, layer, weight)
            layer = ACTIVATIONS[self.activation](argument)
            slopes.append(1 - layer * layer if self.activation == "tanh" else torch.sigmoid(argument))
        weight, bias = layers[-1]
        energy = (layer @ weight + bias)[:, 0]
        back = weight[:, 0]
        for (weight, _), slope in zip(reversed(layers[:-1]), reversed(slopes), strict=True):
            back = (slope * back) @ weight.T
        return energy, back

    def networks(self, whitenings: Sequence[Whitening], seen: Sequence[bool]) -> list[Network]:
        """Fold whitening and output scale into plain networks; an element without data gives 0 eV."""
        result = []
        for layers, whitening, known in zip(self.layers, whitenings, seen, strict=True):
            weights = [weight.detach().numpy().astype(np.float64) for weight, _ in layers]
            biases = [bias.detach().numpy().astype(np.float64) for _, bias in layers]
            weights[0] = (whitening.scale[:, None] * whitening.matrix) @ weights[0]
            weights[-1], biases[-1] = weights[-1] * self.scale * known, biases[-1] * self.scale * known
            hidden = (self.activation,) * (len(layers) - 1)
            w = whitening
            result.append(
                Network(tuple(weights), tuple(biases), hidden, w.centre, w.scale, w.lowest, w.highest)
            )
        return result


def _parameter(array: FloatArray, dtype: Any) -> Tensor:
    return torch.from_numpy(np.asarray(array, dtype=dtype)).requires_grad_()
