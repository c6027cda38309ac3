"""Cross-validate settings of UF3 on training parts, for its page: python docs/settings_uf3.py Mo Si Li."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from crossprune.adapters.linear.reweighting import folds_by_group
from crossprune.adapters.uf3 import Uf3, Uf3Options
from crossprune.harness.contract import IntArray, Prepared
from crossprune.harness.data.cards import load_dataset
from crossprune.harness.data.frames import energy_of, forces_of, group_of

START = {"inner_fraction": 0.5, "resolution_3b": 9}
"""The first line of the table; the next ones name what differs."""
N_FEW, N_DRAWS = 20, 6
"""Frames of the small fits, and how many random draws of them."""


def lines(spacing: float) -> Iterator[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]]:
    """Yield options that need rows of their own, and options of fits to them."""
    start = {**START, "cutoff_3b": round(1.65 * spacing, 2)}
    yield start, ({},)
    for name, values in {
        "resolution_3b": (6, 12),
        "resolution_2b": (14, 30),
        "inner_fraction": (0.35, 0.6),
        "cutoff_3b": (1.5 * spacing, 1.8 * spacing, 2.0 * spacing),
        "cutoff": (2.0 * spacing, 2.5 * spacing),
        "knot_spacing": ("lammps", "inverse"),
    }.items():
        for value in values:
            yield {**start, name: value}, ({},)
    curvatures = (1e-10, 1e-8, 1e-6, 1e-4)
    fits = [{"curvature_2b": one, "curvature_3b": one, "ridge_3b": one / 100} for one in curvatures]
    yield {}, [*fits, {"regularisation": "evidence"}]


def errors(
    adapter: Uf3, prepared: Prepared, frames: Sequence[Atoms], fitted: IntArray, left: IntArray
) -> tuple[float, float]:
    """Return energy MAE (meV/atom) and force MAE (eV/Å) on the frames that are left out."""
    potential = adapter.fit(prepared, fitted, weights={}, rng=np.random.default_rng(0))
    found = adapter.predict(potential, prepared, left)
    energies, sizes = np.array([energy_of(frames[i]) for i in left]), np.array([len(frames[i]) for i in left])
    forces = np.concatenate([forces_of(frames[i]) for i in left])
    energy = 1e3 * float(np.abs((found.energies - energies) / sizes).mean())
    return energy, float(np.abs(found.forces - forces).mean())


def main() -> None:
    """Print a line per setting: errors on five folds, and of fits to few frames on all others."""
    for element in sys.argv[1:]:
        dataset = load_dataset(f"mlearn-{element}")
        frames = [dataset.frames[index] for index in dataset.indices("train")]
        folds = folds_by_group([group_of(atoms) for atoms in frames])
        for rows, fits in lines(dataset.spacing):
            options = Uf3Options(**{**Uf3.geometry(dataset.spacing), **rows})
            adapter = Uf3([element], options)
            prepared = adapter.prepare(frames)
            for fit in fits:
                adapter.options = dataclasses.replace(options, **fit)
                kept = [(np.flatnonzero(folds != one), np.flatnonzero(folds == one)) for one in range(5)]
                orders = [np.random.default_rng(one).permutation(len(frames)) for one in range(N_DRAWS)]
                few = [(order[:N_FEW], order[N_FEW:]) for order in orders]
                said = [
                    "{:.2f}, {:.4f}".format(
                        *np.mean([errors(adapter, prepared, frames, *one) for one in parts], axis=0)
                    )
                    for parts in (kept, few)
                ]
                print(element, {**rows, **fit}, adapter.n_columns, *said, sep=" | ", flush=True)


if __name__ == "__main__":
    main()
