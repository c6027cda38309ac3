"""The model families, by name: one table of strings, read lazily by the harness."""

from __future__ import annotations

ADAPTERS: dict[str, str] = {
    "ace": "crossprune.adapters.ace:Ace",
    "broken": "crossprune.adapters.broken:Broken",
    "chimes": "crossprune.adapters.chimes:Chimes",
    "gap": "crossprune.adapters.gap:Gap",
    "mean": "crossprune.adapters.mean:Mean",
    "nnp": "crossprune.adapters.nnp:Nnp",
    "snap": "crossprune.adapters.snap:Snap",
}
"""Adapter name to ``module:class``; packages from outside use the entry-point group."""

READERS: dict[str, str] = {
    "ace": "crossprune.adapters.ace:read_potential",
    "chimes": "crossprune.adapters.chimes:read_parameters",
    "lammps": "crossprune.adapters._lammps:read_potential",
    "nnp": "crossprune.adapters._nnp_n2p2:read_potential",
}
"""Scheme of a published potential (``lammps:snap:Mo_Zuo_JPCA2020``) to its reader."""

POTENTIALS: dict[str, str] = {
    "lammps": "crossprune.adapters._lammps:LammpsPotential",
    "pace": "crossprune.adapters._ace_potential:PacePotential",
}
"""Potentials that belong to no adapter; an adapter's own class loads what it fitted."""

EXTRAS: dict[str, str] = {
    "ace": "ace",
    "chimes": "chimes",
    "gap": "gap",
    "lammps": "snap",
    "nnp": "nnp",
    "snap": "snap",
}
"""Adapter or reader to the extra that installs what it needs."""
