"""SevenNet (Park 2024, doi:10.1021/acs.jctc.4c00190), weights of its package or of a file."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from crossprune.adapters.universal.networks.network import Forward, Network, safe_load

READOUT, FORCES = "reduce_input_to_hidden", "force_output"
"""Modules: what turns features into energies, and what differentiates these."""
ARRAYS: tuple[Any, ...] = (
    np.ndarray,
    np.dtype,
    np.dtypes.Float64DType,
    np.dtypes.Float32DType,
    (np._core.multiarray._reconstruct, "numpy.core.multiarray._reconstruct"),
)
"""What its files hold beside tensors."""


class Sevennet(Network):
    """Features are the scalars of each atom after the last interaction; ``modal`` is one of several."""

    def __init__(self, weights: Path, modal: str, device: torch.device) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about accelerators that are not installed
            from sevenn.atom_graph_data import AtomGraphData
            from sevenn.train.dataload import unlabeled_atoms_to_graph
            from sevenn.util import load_checkpoint

            safe_load(weights, *ARRAYS)  # the package's own loader would run what else is in the file
            checkpoint = load_checkpoint(str(weights))
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
