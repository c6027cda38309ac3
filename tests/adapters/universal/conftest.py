"""Models that tests run on, and structures for them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

WEIGHTS = ("M3GNet-MP-2021.2.8", "M3GNet-MatPES-PBE-v2025.1", "TensorNet-MatPES-PBE-v2025.1")
CARRIED = {
    "chgnet:0.3.0": "",
    "chgnet:0.2.0": "",
    "chgnet:r2scan": "",
    "sevenn:7net-0": "",
    "sevenn:7net-mf-0": "PBE",
    "sevenn:7net-mf-0 ": "R2SCAN",
    "diep:fold1": "",
}
"""Models whose packages carry the weights, and the level of theory where there are several."""
BY_PATH = tuple(f"matgl:{name}-PES" for name in (*WEIGHTS, "TensorNet-MatPES-r2SCAN-v2025.1"))
"""Models whose weights are published data."""
MODELS = (*CARRIED, *BY_PATH)


@pytest.fixture(params=MODELS, ids=lambda one: one.strip() + ("-" + CARRIED.get(one, "")).rstrip("-"))
def options(request, require_adapter) -> dict[str, str]:
    """Return the options that name one of the models."""
    require_adapter("universal")
    if request.param in BY_PATH:
        request.getfixturevalue("data_folder")("universal")
    return {"model": request.param.strip(), "modal": CARRIED.get(request.param, "")}


@pytest.fixture
def crystal() -> Callable[[str], Atoms]:
    """Return ``crystal(symbol)``: a rattled triclinic cell of a few atoms."""

    def crystal(symbol: str) -> Atoms:
        atoms = bulk(symbol, cubic=True).repeat((2, 1, 1)) if symbol == "Mo" else bulk(symbol, cubic=True)
        atoms.rattle(0.08, seed=1)
        strain = np.array([[0.01, 0.02, 0.0], [0.0, 0.03, 0.01], [0.0, 0.0, -0.02]])
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        return atoms

    return crystal


@pytest.fixture
def other_environment(monkeypatch, require_adapter) -> Callable[[str, str], str]:
    """Return ``other_environment(name, package)``: its name, or a skip where it is not there."""
    require_adapter("universal")

    def other_environment(name: str, package: str) -> str:
        for folder in os.environ.get("CROSSPRUNE_ENVIRONMENTS", "").split(os.pathsep):
            if folder and list((Path(folder) / name).glob(f"lib/python3.*/site-packages/{package}")):
                return name
        pytest.skip(
            f"no environment {name!r} with {package} in CROSSPRUNE_ENVIRONMENTS; tox -e universal makes it"
        )

    return other_environment
