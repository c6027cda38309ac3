"""Trainable networks in numpy on whitened symmetry functions, one per element, and derivatives by weights."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from crossprune.adapters.nnp.network import ACTIVATIONS, Network
from crossprune.adapters.nnp.whitening import Whitening
from crossprune.harness.contract import FloatArray, IntArray
from numpy.typing import NDArray

AT_ONCE = 4096
"""Tangents that are followed through the networks at a time: their arrays stay in the cache."""


class Hidden(NamedTuple):
    """A hidden layer's σ′, ∂E/∂z and σ″ ∂E/∂h of all atoms, shapes (n, nodes): h = σ(z), no unit."""

    slope: FloatArray
    adjoint: FloatArray
    bend: FloatArray


@dataclass(frozen=True)
class Centres:
    """What the networks make of some atoms, with all that derivatives by weights need.

    ``energies`` shape (n,) and ``slopes`` ∂E/∂x, shape (n, k), are those of the plain networks, no unit: an
    energy in eV is that times the model's ``scale``. ``layers`` has the values of each layer, inputs first.
    """

    kinds: IntArray
    energies: FloatArray
    slopes: FloatArray
    layers: tuple[FloatArray, ...]
    hidden: tuple[Hidden, ...]


class Model:
    """The trainable networks of all elements, on whitened inputs, with one output scale in eV.

    Parameters
    ----------
    n_elements, n_inputs
        Number of networks, and of inputs of each.
    hidden
        Nodes of the hidden layers.
    activation
        ``tanh`` or ``softplus``.
    dtype
        Numbers that networks are evaluated in; the weights themselves are in double precision.
    rng
        Draws the start: weights of variance 1/n_in, biases 0.
    """

    def __init__(
        self,
        n_elements: int,
        n_inputs: int,
        *,
        hidden: Sequence[int],
        activation: str,
        dtype: np.dtype[np.floating],
        rng: np.random.Generator,
    ) -> None:
        self.activation, self.dtype = activation, dtype
        self.sizes = (n_inputs, *hidden, 1)
        self.weights = np.stack([_start(self.sizes, rng) for _ in range(n_elements)])
        """θ, no unit: an element's matrices (n_in, n_out) and biases by layers; shape (n_elements, n)."""
        self.scale = 1.0
        """eV."""

    def evaluate(self, inputs: FloatArray, kinds: IntArray) -> Centres:
        """Evaluate atoms of the given kinds; shape of ``inputs``: (n, k)."""
        n, nodes = len(inputs), self.sizes[1:-1]
        energies, slopes = np.zeros(n, self.dtype), np.zeros(inputs.shape, self.dtype)
        layers = (inputs, *(np.zeros((n, size), self.dtype) for size in nodes))
        hidden = tuple(Hidden(*np.zeros((3, n, size), self.dtype)) for size in nodes)
        for kind in range(len(self.weights)):
            rows = np.flatnonzero(kinds == kind)
            if len(rows):
                energies[rows], slopes[rows] = self._network(kind, rows, layers, hidden)
        return Centres(kinds, energies, slopes, layers, hidden)

    def _network(
        self, kind: int, rows: IntArray, layers: Sequence[FloatArray], hidden: Sequence[Hidden]
    ) -> tuple[FloatArray, FloatArray]:
        """Return energies and slopes of one element's atoms; fill in their layers."""
        matrices, biases = self._unpack(self.weights[kind].astype(self.dtype))
        value, curvatures = layers[0][rows], []
        for layer, one, matrix, bias in zip(layers[1:], hidden, matrices, biases, strict=False):
            value, one.slope[rows], curvature = _activate(self.activation, value @ matrix + bias)
            layer[rows] = value
            curvatures.append(curvature)
        energies = (value @ matrices[-1] + biases[-1])[:, 0]
        back = np.broadcast_to(matrices[-1][:, 0], value.shape)
        for one, curvature, matrix in zip(
            reversed(hidden), reversed(curvatures), reversed(matrices[:-1]), strict=True
        ):
            one.bend[rows] = curvature * back
            adjoint = one.slope[rows] * back
            one.adjoint[rows] = adjoint
            back = adjoint @ matrix.T
        return energies, back

    def _unpack(self, weights: FloatArray) -> tuple[list[FloatArray], list[FloatArray]]:
        """Return each layer's matrix and biases."""
        matrices, biases = [], []
        for start, n_in, n_out in self._blocks():
            matrices.append(weights[start : start + n_in * n_out].reshape(n_in, n_out))
            biases.append(weights[start + n_in * n_out : start + (n_in + 1) * n_out])
        return matrices, biases

    def _blocks(self) -> Iterator[tuple[int, int, int]]:
        """Tell where each layer's parameters start, and how many nodes it reads and has."""
        start = 0
        for n_in, n_out in itertools.pairwise(self.sizes):
            yield start, n_in, n_out
            start += (n_in + 1) * n_out

    def energy_rows(self, centres: Centres, starts: IntArray, rows: FloatArray, *, factor: float = 1) -> None:
        """Add ∂/∂θ of ``factor`` Σ E to ``rows``; row r sums centres ``starts[r]:starts[r + 1]``.

        Shape of ``rows``: (n_rows, n_elements × parameters of a network).
        """
        for kind in range(len(self.weights)):
            place, real = _padded(starts, centres.kinds == kind)
            out, weight = self._own(rows, kind), (factor * real[:, :, None]).astype(self.dtype)
            for block, layer, one in zip(self._blocks(), centres.layers, centres.hidden, strict=False):
                _add_layer(out, block, layer[place], weight * one.adjoint[place])
            *_, last = self._blocks()
            _add_layer(out, last, centres.layers[-1][place], weight)

    def slope_rows(
        self,
        centres: Centres,
        vectors: FloatArray,
        numbers: IntArray,
        starts: IntArray,
        rows: FloatArray,
        *,
        factor: float = 1,
    ) -> FloatArray:
        """Return ``factor`` Σ v · ∂E/∂x of each row, and add its derivative by θ to ``rows``.

        Row r sums ``vectors[starts[r]:starts[r + 1]]``, shape (n, k), each at the centre that ``numbers``
        names. The chain rule twice: Pearlmutter 1994, doi:10.1162/neco.1994.6.1.147.
        """
        values = np.zeros(len(rows), self.dtype)
        longest = max(1, int(np.diff(starts).max()))
        for first in range(0, len(rows), max(1, AT_ONCE // longest)):
            part = slice(first, first + max(1, AT_ONCE // longest))
            for kind in range(len(self.weights)):
                place, real = _padded(starts[part.start : part.stop + 1], centres.kinds[numbers] == kind)
                if place.size:
                    weight = (factor * real[:, :, None]).astype(self.dtype)
                    out = self._own(rows[part], kind)
                    values[part] += self._follow(kind, centres, weight * vectors[place], numbers[place], out)
        return values

    def _follow(
        self, kind: int, centres: Centres, vectors: FloatArray, numbers: IntArray, out: FloatArray
    ) -> FloatArray:
        """As `slope_rows`, with one row of vectors, shape (n_rows, n, k), for each row of the result."""
        matrices = self._unpack(self.weights[kind].astype(self.dtype))[0]
        blocks = list(self._blocks())
        moved, arguments = [vectors], []
        for matrix, one in zip(matrices, centres.hidden, strict=False):
            arguments.append(moved[-1] @ matrix)
            moved.append(one.slope[numbers] * arguments[-1])
        out[:, blocks[-1][0] : -1] += moved[-1].sum(axis=1)
        values: FloatArray = (moved[-1] @ matrices[-1]).sum(axis=(1, 2))
        back: FloatArray | None = None
        for level in reversed(range(len(arguments))):
            one = centres.hidden[level]
            pull = one.bend[numbers] * arguments[level]
            if back is not None:
                pull += one.slope[numbers] * back
            _add_product(out, blocks[level], moved[level], one.adjoint[numbers])
            _add_layer(out, blocks[level], centres.layers[level][numbers], pull)
            if level:
                back = pull @ matrices[level].T
        return values

    def _own(self, rows: FloatArray, kind: int) -> FloatArray:
        """Return the columns of one element's network."""
        n = self.weights.shape[1]
        return rows[:, kind * n : (kind + 1) * n]

    def networks(self, whitenings: Sequence[Whitening], seen: Sequence[bool]) -> list[Network]:
        """Fold whitening and output scale into plain networks; an element without data gives 0 eV."""
        result = []
        for own, whitening, known in zip(self.weights, whitenings, seen, strict=True):
            weights, biases = self._unpack(own.copy())
            weights[0] = (whitening.scale[:, None] * whitening.matrix) @ weights[0]
            weights[-1], biases[-1] = weights[-1] * self.scale * known, biases[-1] * self.scale * known
            hidden = (self.activation,) * (len(weights) - 1)
            w = whitening
            result.append(
                Network(tuple(weights), tuple(biases), hidden, w.centre, w.scale, w.lowest, w.highest)
            )
        return result


def _start(sizes: Sequence[int], rng: np.random.Generator) -> FloatArray:
    layers = [
        (rng.normal(size=n_in * n_out) / math.sqrt(n_in), np.zeros(n_out))
        for n_in, n_out in itertools.pairwise(sizes)
    ]
    return np.concatenate([part for layer in layers for part in layer])


def _activate(name: str, argument: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return σ, σ′ and σ″ of the arguments."""
    value = ACTIVATIONS[name][1](argument)
    slope = ACTIVATIONS[name][2](argument, value)
    return value, slope, slope * (-2 * value if name == "tanh" else 1 - slope)


def _padded(starts: IntArray, mine: NDArray[np.bool_]) -> tuple[IntArray, NDArray[np.bool_]]:
    """Number the entries that are mine in each of the ranges ``starts[r]:starts[r + 1]``.

    Returns their places and which of these are real, both of shape (n_ranges, longest).
    """
    own = np.flatnonzero(mine)
    ends = np.searchsorted(own, starts)
    counts = np.diff(ends)
    column = np.arange(counts.max())
    real = column < counts[:, None]
    return own[np.where(real, ends[:-1, None] + column, 0)] if len(own) else column[None], real


def _add_layer(out: FloatArray, block: tuple[int, int, int], values: FloatArray, pulls: FloatArray) -> None:
    """Add Σ h ⊗ ∂/∂z to a layer's matrix and Σ ∂/∂z to its biases; shapes (n_rows, n, nodes)."""
    start, n_in, n_out = block
    _add_product(out, block, values, pulls)
    out[:, start + n_in * n_out : start + (n_in + 1) * n_out] += pulls.sum(axis=1)


def _add_product(out: FloatArray, block: tuple[int, int, int], left: FloatArray, right: FloatArray) -> None:
    start, n_in, n_out = block
    product = np.matmul(left.transpose(0, 2, 1), right)
    out[:, start : start + n_in * n_out] += product.reshape(len(out), -1)


__all__ = ["Centres", "Hidden", "Model"]
