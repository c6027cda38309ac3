"""Fit MTPs to a metal and to an alloy with EMT labels, for the page of MTP: python docs/alloy_mtp.py."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import crossprune
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT

N_TRAIN, N_TEST = 60, 40
KINDS: Sequence[Mapping[str, Any]] = (
    {},
    {"level": 16, "radial_step": 4},
    {"level": 12, "radial_step": 4},
    {"level": 12, "radial": "fitted"},
)
"""Options of the fits; the first are the defaults."""


def frames(elements: Sequence[str], spacing: float) -> list[Atoms]:
    """Make strained and rattled face-centred cells of eight atoms, elements at random, labelled by EMT."""
    rng, found = np.random.default_rng(0), []
    for _ in range(N_TRAIN + N_TEST):
        atoms = bulk("Cu", "fcc", spacing, cubic=True).repeat((2, 1, 1))
        atoms.symbols[:] = rng.choice(elements, len(atoms))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.uniform(-0.06, 0.06, (3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(0, 0.12, atoms.positions.shape)
        atoms.calc = EMT()
        atoms.get_stress()
        found.append(atoms)
    return found


def main() -> None:
    """Print energy MAE (meV/atom), force MAE (eV/Å), number of parameters and seconds of each fit."""
    for elements, spacing in ((["Cu"], 3.6), (["Al", "Cu"], 3.8)):
        made = frames(elements, spacing)
        for kind in KINDS:
            crossprune.fit("mtp", made[:4], options={**kind, "iterations": 1})  # compiles
        for kind in KINDS:
            start = time.perf_counter()
            model = crossprune.fit("mtp", made[:N_TRAIN], options=kind)
            wall_s = time.perf_counter() - start
            errors = crossprune.evaluate(model, made[N_TRAIN:]).iloc[0]
            said = (
                f"{errors['energy_mae_mev_per_atom']:.2f}, {errors['force_mae_ev_per_angstrom']:.4f}",
                f"{model.info['n_parameters']:.0f}",
                f"{wall_s:.1f} s",
            )
            print("-".join(elements), dict(kind), *said, sep=" | ", flush=True)


if __name__ == "__main__":
    main()
