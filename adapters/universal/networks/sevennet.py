"""SevenNet (Park 2024, doi:10.1021/acs.jctc.4c00190), weights of its package or of a file."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from crossprune.adapters.universal.networks.network import Forward, Network, safe_load

READOUT, FORCES = "reduce_input_to_hidden", "force_output"
"""Modules: what turns features into energies, and what differentiates these."""
NUMBERS = {"f8": "<f8", "f4": "<f4", "i8": "<i8", "i4": "<i4", "b1": "?"}
"""Kinds of numbers in arrays, as NumPy writes them, and what they are read as."""


class _Kind:
    """Stands for NumPy's dtype in a file, of which most kinds are harmful."""

    def __init__(self, code: str, *flags: bool) -> None:
        if code not in NUMBERS:
            raise ValueError(f"arrays of kind {code!r} are not read")
        self.code = NUMBERS[code]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ("<", "|"):
            raise ValueError(f"arrays of byte order {state[1]!r} are not read")


class _Array:
    """Stands for an array in a file."""

    values: np.ndarray[Any, Any]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, content = state
        flat = np.frombuffer(bytes(content), dtype=kind.code)
        self.values = flat.reshape(shape, order="F" if fortran else "C").copy()


def _reconstruct(*ignored: Any) -> _Array:
    """Stand for NumPy's function of this name."""
    return _Array()


STANDING_IN = (
    (_reconstruct, "numpy.core.multiarray._reconstruct"),
    (_reconstruct, "numpy._core.multiarray._reconstruct"),
    (_Array, "numpy.ndarray"),
    (_Kind, "numpy.dtype"),
)
"""For what SevenNet's files hold beside tensors and plain values."""


def _plain(value: Any) -> Any:
    """Put arrays in the place of what stood for them."""
    if isinstance(value, _Array):
        return value.values
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _checkpoint(weights: bytes) -> Any:
    """Return the package's object for a file, which its own reader would read as a program."""
    from sevenn import checkpoint

    content = _plain(safe_load(weights, *STANDING_IN))
    if not (isinstance(content, dict) and {"config", "model_state_dict"} <= content.keys()):
        raise ValueError("these are no weights of SevenNet: no config, or no model_state_dict")
    found = checkpoint.SevenNetCheckpoint("read before")
    found._config_original = content["config"]
    found._config = checkpoint._config_cp_routine(content["config"])
    found._model_state_dict = content["model_state_dict"]
    found._loaded = True
    return found


class Sevennet(Network):
    """Features are the scalars of each atom after the last interaction; ``modal`` is one of several."""

    def __init__(self, weights: Sequence[bytes], modal: str, device: torch.device) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about accelerators that are not installed
            from sevenn.atom_graph_data import AtomGraphData
            from sevenn.train.dataload import unlabeled_atoms_to_graph

            checkpoint = _checkpoint(weights[0])
            model: Any = checkpoint.build_model()
        known = list(model.modal_map or {})
        if modal not in (known or [""]):
            raise ValueError(
                f"modal is {modal!r}, and these weights have "
                + (f"the modals {', '.join(known)}; give one" if known else "none; leave it out")
            )
        del model._modules[FORCES]
        model.key_grad = None
        model.set_is_batch_data(False)
        model._modules[READOUT].register_forward_pre_hook(self._keep)
        self.module = model.to(device).eval()
        self.elements = tuple(sorted(chemical_symbols[int(number)] for number in model.type_map))
        self.cutoff = float(checkpoint.config["cutoff"])
        self._modal, self._device = modal, device
        self._arrays, self._data = unlabeled_atoms_to_graph, AtomGraphData
        self._seen: torch.Tensor | None = None

    def _keep(self, module: torch.nn.Module, given: Any) -> None:
        self._seen = given[0]["x"]

    def graph(self, atoms: Atoms) -> Any:
        """Return the arrays of the graph."""
        return self._arrays(atoms, self.cutoff, with_shift=True)

    def forward(self, graph: Any) -> Forward:
        """Run the network on edges made of strained positions and cell."""
        data = self._data.from_numpy_dict({name: one for name, one in graph.items() if name != "data_info"})
        data = data.to(self._device)
        if self._modal:
            data["data_modality"] = self._modal
        positions = data["pos"].detach().requires_grad_(True)
        strain = torch.zeros(3, 3, dtype=positions.dtype, device=self._device, requires_grad=True)
        stretched = torch.eye(3, dtype=positions.dtype, device=self._device) + strain
        source, target = data["edge_index"]
        shifts = data["pbc_shift"].to(positions.dtype) @ data["cell_lattice_vectors"].to(positions.dtype)
        data["edge_vec"] = (positions[target] - positions[source] + shifts.reshape(-1, 3)) @ stretched
        energy = self.module(data)["inferred_total_energy"]
        assert self._seen is not None
        features, self._seen = self._seen, None
        return Forward(energy.reshape(()), features, positions, strain)
