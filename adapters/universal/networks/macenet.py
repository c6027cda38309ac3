"""MACE (Batatia 2022, doi:10.48550/arXiv.2206.07697), weights of a file or of its published models."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ase import Atoms
from ase.data import chemical_symbols
from crossprune.adapters.universal.networks.network import Forward, Network

with torch.serialization.safe_globals([slice]):  # in the constants that its e3nn reads when it is imported
    from mace.data import AtomicData, KeySpecification, config_from_atoms
    from mace.modules.utils import extract_invariant
    from mace.tools import AtomicNumberTable, torch_geometric, torch_tools


class Mace(Network):
    """Features are the scalars of each atom after all interactions; ``modal`` is the head of several.

    A file of MACE is a pickle of the whole model, code included: who starts this trusts it.
    """

    def __init__(self, weights: Sequence[bytes], modal: str, device: torch.device) -> None:
        model: Any = torch.load(io.BytesIO(weights[0]), map_location="cpu", weights_only=False)
        heads = list(getattr(model, "heads", None) or ["Default"])
        if modal not in heads and (modal or len(heads) > 1):
            raise ValueError(f"modal is {modal!r}, and these weights have the heads {', '.join(heads)}")
        self._head, self._heads = modal or heads[0], heads
        self.module = model.to(device).eval()
        numbers = [int(one) for one in model.atomic_numbers]
        self._table = AtomicNumberTable(numbers)
        self.elements = tuple(sorted(chemical_symbols[one] for one in numbers))
        self.cutoff = float(model.r_max)
        self._device, self._dtype = device, next(model.parameters()).dtype
        layout = model.products[0].linear.irreps_out
        self._layers, self._l_max = len(model.interactions), layout.lmax
        self._n_scalars = layout.count("0e")

    @classmethod
    def download(cls, name: str) -> Path:
        """Fetch one of the published models, MACE-MP-0 and its successors, such as ``small``."""
        from mace.calculators.foundations_models import download_mace_mp_checkpoint, mace_mp_names

        if name not in mace_mp_names:
            raise ValueError(f"published are {', '.join(one for one in mace_mp_names if one)}")
        return Path(download_mace_mp_checkpoint(name))

    def graph(self, atoms: Atoms) -> Any:
        """Return the batch of one structure."""
        with torch_tools.default_dtype(self._dtype):
            config = config_from_atoms(atoms, key_specification=KeySpecification(), head_name=self._head)
            data = AtomicData.from_config(config, z_table=self._table, cutoff=self.cutoff, heads=self._heads)
            loader = torch_geometric.dataloader.DataLoader([data], batch_size=1, shuffle=False)
            return next(iter(loader)).to(self._device)

    def forward(self, graph: Any) -> Forward:
        """Run the network, without the derivatives that it takes itself."""
        batch = graph.to_dict()
        positions = batch["positions"] = batch["positions"].detach().requires_grad_(True)
        found = self.module(batch, compute_force=False, compute_displacement=True)
        features = extract_invariant(
            found["node_feats"], num_layers=self._layers, num_features=self._n_scalars, l_max=self._l_max
        )
        return Forward(found["energy"].reshape(()), features, positions, found["displacement"])
