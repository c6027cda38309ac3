"""Models of matgl (M3GNet, TensorNet, CHGNet and others) and DIEP, which saves and runs models in its way."""

from __future__ import annotations

import copy
import inspect
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from ase import Atoms
from crossprune.adapters.universal.networks.network import Forward, Network, require_no_modal, safe_load

STATE, ARGUMENTS = "state.pt", "model.pt"
CLASS, MODULE = "@class", "@module"
OLD = "element_refs.onehot"
"""A buffer that only weights of matgl 1 and 2 have."""
OWNER = "materialyze"
"""Whose models `Matgl.download` fetches."""


def turn_edges(model: Any) -> bool:
    """Let a model sum messages at the other end of each edge, as its weights of matgl 1 or 2 were trained.

    matgl 3 and 4 read such weights as their own. Crystals of one element do not notice; M3GNet-MP puts MgO at
    -2.04 eV/atom and its nitrides and halides as far off, in matgl's own calculator as well, where it means
    -5.96. Columns of a weight are exchanged where it sees one end and then the other.

    Returns
    -------
    bool
        Whether it is known how, which is so for M3GNet and TensorNet.
    """
    kind = type(model).__name__
    if kind == "M3GNet":
        for layer in model.graph_layers:
            conv, width = layer.conv, int(model.embedding.layer_node_embedding.embedding_dim)
            for first in (conv.node_update_func.layers[0], conv.node_update_func.gates[0]):
                _exchange(first.weight, width)
            conv.node_update_ = _with_turned_edges(conv.node_update_)
    elif kind == "TensorNet":
        _exchange(model.tensor_embedding.emb2.weight, model.tensor_embedding.emb2.in_features // 2)
    return kind in ("M3GNet", "TensorNet")


def _exchange(weight: torch.Tensor, width: int) -> None:
    with torch.no_grad():
        first = weight[:, :width].clone()
        weight[:, :width] = weight[:, width : 2 * width]
        weight[:, width : 2 * width] = first


def _with_turned_edges(update: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def turned(edge_index: torch.Tensor, *others: Any, **named: Any) -> torch.Tensor:
        return update(edge_index.flip(0), *others, **named)

    return turned


@dataclass(frozen=True)
class Parts:
    """What is taken of a package."""

    potential: Any
    """Class of potentials."""
    models: ModuleType
    """Module with the classes of models."""
    converter: Any
    """Class of what makes graphs of structures."""


class Graphs(Network):
    """Features are what the readout of energies per atom sees."""

    def __init__(self, weights: Sequence[bytes], modal: str, device: torch.device) -> None:
        require_no_modal(modal)
        potential = self._load(weights)
        self.module = potential.to(device).eval()
        self.elements = tuple(potential.model.element_types)
        self.cutoff = float(potential.model.cutoff)
        self._device = device
        self._converter = self.parts().converter(element_types=self.elements, cutoff=self.cutoff)
        self._seen: torch.Tensor | None = None
        potential.model.final_layer.register_forward_pre_hook(self._keep)

    def _load(self, contents: Sequence[bytes]) -> Any:
        """Build the potential from its arguments.

        The package's own loader imports whatever module these name, and calls what they name in it.
        """
        arguments = self._built(safe_load(contents[0]))
        potential = self.parts().potential(
            **{name: one for name, one in arguments.items() if not name.startswith("@")}
        )
        state = safe_load(contents[1])
        found = potential.load_state_dict(state, strict=False)
        self._is_misread = OLD in state and not turn_edges(potential.model)
        own = {name for name, _ in potential.named_parameters()}
        if missing := sorted(own & set(found.missing_keys)):
            raise ValueError(f"{STATE} lacks {', '.join(missing[:3])} of {len(missing)} parameters")
        return potential

    def _built(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Replace tables that stand for a model of the package by that model."""
        built = dict(arguments)
        for name, table in arguments.items():
            if isinstance(table, dict) and CLASS in table and MODULE in table:
                cls = getattr(self.parts().models, str(table[CLASS]), None)
                if not (inspect.isclass(cls) and issubclass(cls, torch.nn.Module)):
                    raise ValueError(f"{table[MODULE]}.{table[CLASS]} is no model of this package")
                built[name] = cls(**table["init_args"])
        return built

    @abstractmethod
    def parts(self) -> Parts:
        """Return what is taken of the package."""

    def _keep(self, module: torch.nn.Module, given: Any) -> None:
        first = given[0]
        self._seen = first if isinstance(first, torch.Tensor) else first.node_feat

    def graph(self, atoms: Atoms) -> Any:
        """Return the graph, the cell and the state."""
        if self._is_misread and len(set(atoms.numbers.tolist())) > 1:
            raise ValueError(
                "these weights were written by matgl 1 or 2, and how to read them for several elements is "
                "not known of this kind of model; take weights of matgl 3 or later"
            )
        wrapped = atoms.copy()
        wrapped.wrap()  # images are searched around where atoms lie
        graph, cell, state = self._converter.get_graph(wrapped)
        state = torch.as_tensor(state, dtype=torch.float32)
        return graph.to(self._device), cell.reshape(1, 3, 3).to(self._device), state.to(self._device)

    def forward(self, graph: Any) -> Forward:
        """Run the network on strained positions and cell, with the potential's scale and references."""
        potential: Any = self.module
        plain, cell, state = graph
        seen = copy.copy(plain)
        strain = torch.zeros(3, 3, dtype=cell.dtype, device=cell.device, requires_grad=True)
        lattice = cell @ (torch.eye(3, dtype=cell.dtype, device=cell.device) + strain)
        seen.lattice = lattice.expand(seen.edge_index.shape[1], 3, 3)
        seen.pbc_offshift = seen.pbc_offset.to(cell.dtype) @ lattice[0]
        seen.pos = seen.frac_coords.to(cell.dtype) @ lattice[0]
        energy = potential.data_std * potential.model(g=seen, state_attr=state) + potential.data_mean
        if potential.calc_repuls:
            energy = energy + potential.repuls(potential.model.element_types, seen)
        if potential.element_refs is not None:
            energy = energy + torch.squeeze(potential.element_refs(seen))
        assert self._seen is not None
        features, self._seen = self._seen, None
        return Forward(energy.reshape(()), features, seen.pos, strain)


class Matgl(Graphs):
    """Models of matgl (Ko 2025, doi:10.1038/s41524-025-01742-y)."""

    def parts(self) -> Parts:
        """Import matgl."""
        from matgl import models
        from matgl.apps.pes import Potential
        from matgl.ext.ase import Atoms2Graph

        return Parts(Potential, models, Atoms2Graph)

    @classmethod
    def download(cls, name: str) -> Path:
        """Fetch one of the models that the authors publish."""
        from huggingface_hub import hf_hub_download
        from matgl.config import MATGL_CACHE

        files = [
            hf_hub_download(repo_id=f"{OWNER}/{name}", filename=file, cache_dir=MATGL_CACHE)
            for file in (ARGUMENTS, STATE)
        ]
        return Path(files[0]).parent


class Diep(Graphs):
    """DIEP (of the package diep), trained on MatPES r2SCAN."""

    def parts(self) -> Parts:
        """Import diep."""
        from diep import models
        from diep.apps.pes import Potential
        from diep.ext.ase import Atoms2Graph

        return Parts(Potential, models, Atoms2Graph)
