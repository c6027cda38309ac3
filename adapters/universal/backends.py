"""The packages with universal models: what they are called, what carries their weights, what runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SEVENN = "sevenn/pretrained_potentials"


@dataclass(frozen=True)
class Backend:
    """A package that runs models."""

    distributions: tuple[str, ...]
    """Installed packages whose versions results rest on; the first is what pip installs."""
    beside: tuple[str, ...] = ("ase", "pymatgen", "pymatgen-core")
    """Others that find neighbours for some; their versions count where they are installed."""
    published: Mapping[str, str] = field(default_factory=dict)
    """Names of models to their weights among the installed files of the package, ``*`` for any text."""
    modals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of published models that have several levels of theory, their names."""
    has_modals: bool = False
    """Whether other models may have some."""
    one_kin: bool = True
    """Whether all models are versions of one architecture."""
    files: tuple[str, ...] = ()
    """Of weights that are a folder; empty where they are one file."""
    downloads: bool = False
    """Whether its network can be fetched by name, where a network allows it: `Network.download`."""
    runs_code: bool = False
    """Whether the format of the weights holds code that loading runs."""


COMMON = ("numpy", "torch")
BACKENDS: Mapping[str, Backend] = {
    "chgnet": Backend(
        distributions=("chgnet", *COMMON),
        published={name: f"chgnet/pretrained/{name}/*.pth.tar" for name in ("0.3.0", "0.2.0", "r2scan")},
    ),
    "diep": Backend(
        distributions=("diep", "torch-geometric", *COMMON),
        published={"fold1": "diep/pretrained_models/diep_fold1"},
        files=("model.pt", "state.pt"),
    ),
    "mace": Backend(
        distributions=("mace-torch", "e3nn", *COMMON),
        downloads=True,
        runs_code=True,
        has_modals=True,
    ),
    "matgl": Backend(
        distributions=("matgl", "torch-geometric", *COMMON),
        one_kin=False,
        files=("model.pt", "state.pt"),
        downloads=True,
    ),
    "sevenn": Backend(
        distributions=("sevenn", "e3nn", "torch-geometric", *COMMON),
        modals={"7net-mf-0": ("PBE", "R2SCAN")},
        has_modals=True,
        published={
            "7net-0": f"{SEVENN}/SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
            "7net-0_22may2024": f"{SEVENN}/SevenNet_0__22May2024/checkpoint_sevennet_0.pth",
            "7net-l3i5": f"{SEVENN}/SevenNet_l3i5/checkpoint_l3i5.pth",
            "7net-mf-0": f"{SEVENN}/SevenNet_MF_0/checkpoint_sevennet_mf_0.pth",
        },
    ),
}
"""By the name that stands before the colon of ``model``."""
