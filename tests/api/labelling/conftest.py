"""Pools of copper and gold to choose from, and small SNAPs to describe them."""

from __future__ import annotations

import crossprune
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule

SMALL = {
    "small": {"adapter": "snap", "twojmax": 2, "cutoff": 4.0},
    "larger": {"adapter": "snap", "twojmax": 4, "cutoff": 4.5},
}
"""Two choosers that take milliseconds."""


def make(seed, element="Cu"):
    """Return a crystal that is strained and rattled by its seed, with all that a file may carry."""
    rng = np.random.default_rng(seed)
    atoms = bulk(element, cubic=True)
    atoms.set_cell(atoms.cell * rng.uniform(0.95, 1.05), scale_atoms=True)
    atoms.rattle(rng.uniform(0.01, 0.4), seed=seed)
    atoms.set_momenta(rng.normal(size=(len(atoms), 3)))
    atoms.new_array("site", np.arange(len(atoms)))
    atoms.info |= {"config_type": "hot" if seed % 2 else "cold", "note": f"frame {seed}", "weight": 0.5}
    return atoms


@pytest.fixture
def pool(require_adapter):
    require_adapter("snap")
    return [make(seed) for seed in range(30)]


@pytest.fixture
def mixed(require_adapter):
    """Crystals, slabs, molecules, and an element that is in one frame only."""
    require_adapter("snap")
    slab = fcc111("Cu", (1, 1, 4), vacuum=6.0)
    slab.info["group"] = "surface"
    carbon = molecule("CO")
    frames = [make(seed, "Au" if seed % 3 else "Cu") for seed in range(8)]
    for one in frames:
        one.info["group"] = one.info["config_type"]
    return [
        *frames,
        slab,
        carbon,
        Atoms("Cu2", [[0, 0, 0], [0, 0, 2.2]]),
        bulk("CuAu", "cesiumchloride", a=3.1),
    ]


@pytest.fixture(scope="session")
def small():
    """Return options of two choosers."""
    return SMALL


@pytest.fixture(scope="session")
def rattled():
    """Return the function that makes a frame of a seed."""
    return make


@pytest.fixture(scope="session")
def chosen():
    """Return `crossprune.select` with a small chooser."""
    return lambda pool, n, **options: crossprune.select(
        pool, n, **{"chooser": "small", "options": SMALL} | options
    )
