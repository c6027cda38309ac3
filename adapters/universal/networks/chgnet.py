"""CHGNet (Deng 2023, doi:10.1038/s42256-023-00716-3), weights of its package or of a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from ase import Atoms
from ase.data import chemical_symbols
from chgnet.model.model import BatchedGraph, CHGNet
from crossprune.adapters.universal.networks.network import Forward, Network, require_no_modal, safe_load
from pymatgen.io.ase import AseAtomsAdaptor

OLD_BIAS = "atom_conv_layers.0.mlp_out.layers.1.bias"


class Chgnet(Network):
    """Features are the 64 of each atom before the last convolution, which its magnetic moments are of."""

    def __init__(self, weights: Sequence[bytes], modal: str, device: torch.device) -> None:
        require_no_modal(modal)
        content = safe_load(weights[0])
        content = content.get("model", content)
        # Version 0.2.0 has biases there, and its arguments do not say so.
        arguments = {"mlp_out_bias": OLD_BIAS in content["state_dict"], **content["model_args"]}
        model = CHGNet(**arguments)
        model.load_state_dict(content["state_dict"])
        self.module = model.to(device).eval()
        self.elements = tuple(chemical_symbols[1:95])
        self.cutoff = float(model.graph_converter.atom_graph_cutoff)
        self._device = device
        model.graph_converter.set_isolated_atom_response("ignore")

    def graph(self, atoms: Atoms) -> Any:
        """Return the crystal's graphs of atoms and of bonds."""
        return self.module.graph_converter(AseAtomsAdaptor.get_structure(atoms)).to(self._device)

    def forward(self, graph: Any) -> Forward:
        """Run the network; its energy is per atom."""
        model: Any = self.module
        batch = BatchedGraph.from_graphs(
            [graph],
            bond_basis_expansion=model.bond_basis_expansion,
            angle_basis_expansion=model.angle_basis_expansion,
            compute_stress=True,
        )
        found = model._compute(batch, return_atom_feas=True)
        energy = found["e"] + (0.0 if model.composition_model is None else model.composition_model([graph]))
        n_atoms = len(graph.atomic_number) if model.is_intensive else 1
        return Forward(
            energy=energy.reshape(()) * n_atoms,
            features=found["atom_fea"][0],
            positions=batch.atom_positions[0],
            strain=batch.strains[0],
        )
