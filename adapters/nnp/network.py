"""Feed-forward networks in numpy: energies and their slopes by the inputs, one network per element."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from crossprune.harness.contract import FloatArray

Slope = Callable[[FloatArray, FloatArray], FloatArray]


def _softplus(x: FloatArray) -> FloatArray:
    y: FloatArray = np.logaddexp(0.0, x)
    return y


def _logistic(x: FloatArray) -> FloatArray:
    y: FloatArray = 0.5 * (1 + np.tanh(0.5 * x))
    return y


ACTIVATIONS: dict[str, tuple[str, Callable[[FloatArray], FloatArray], Slope]] = {
    "tanh": ("t", np.tanh, lambda x, y: 1 - y * y),
    "softplus": ("p", _softplus, lambda x, y: _logistic(x)),
    "logistic": ("s", _logistic, lambda x, y: y * (1 - y)),
    "linear": ("l", lambda x: x, lambda x, y: np.ones_like(x)),
}
"""Name to n2p2's letter, the function, and its slope from argument and value."""


@dataclass(frozen=True)
class Network:
    """One element's network; it takes symmetry functions as they are and gives eV.

    Parameters
    ----------
    weights
        One matrix per layer, shape (n_in, n_out); the last has one column.
    biases
        One vector per layer.
    activations
        Names of the hidden layers' activations, one per hidden layer; the output is linear.
    centre, scale
        Inputs are (G − centre)/scale, shapes (n_functions,).
    lowest, highest
        Range of G in the training data, shapes (n_functions,); outside it the network extrapolates.
    """

    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]
    activations: tuple[str, ...]
    centre: FloatArray
    scale: FloatArray
    lowest: FloatArray
    highest: FloatArray

    @property
    def n_inputs(self) -> int:
        """Number of symmetry functions that the network reads."""
        return len(self.centre)

    def evaluate(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return energies (eV, shape (n_atoms,)) and dE/dG (eV, shape (n_atoms, n_functions))."""
        layer = (values[:, : self.n_inputs] - self.centre) / self.scale
        slopes = []
        for weight, bias, name in zip(self.weights[:-1], self.biases[:-1], self.activations, strict=True):
            argument = layer @ weight + bias
            layer = ACTIVATIONS[name][1](argument)
            slopes.append(ACTIVATIONS[name][2](argument, layer))
        energies = (layer @ self.weights[-1] + self.biases[-1])[:, 0]
        back = np.broadcast_to(self.weights[-1][:, 0], (len(values), len(self.weights[-1])))
        for weight, slope in zip(reversed(self.weights[:-1]), reversed(slopes), strict=True):
            back = (back * slope) @ weight.T
        gradient = np.zeros_like(values)
        gradient[:, : self.n_inputs] = back / self.scale
        return energies, gradient

    def to_arrays(self) -> dict[str, FloatArray]:
        """Return the parameters by name, without the activations."""
        named = {f"weight{layer}": weight for layer, weight in enumerate(self.weights)}
        named |= {f"bias{layer}": bias for layer, bias in enumerate(self.biases)}
        return named | {name: getattr(self, name) for name in ("centre", "scale", "lowest", "highest")}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, FloatArray], activations: tuple[str, ...]) -> Network:
        """Rebuild a network from what `to_arrays` gave."""
        layers = range(len(activations) + 1)
        return cls(
            tuple(arrays[f"weight{layer}"] for layer in layers),
            tuple(arrays[f"bias{layer}"] for layer in layers),
            activations,
            arrays["centre"],
            arrays["scale"],
            arrays["lowest"],
            arrays["highest"],
        )
