"""What universal models cost, and how matgl reads old weights: the numbers of docs/families/universal.md.

Needs the extra [universal] and, in CROSSPRUNE_DATA, the folder universal: python docs/universal_costs.py
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import numpy as np
import psutil
from ase import Atoms
from ase.build import bulk
from crossprune.adapters.universal import Universal, UniversalOptions, read_potential
from crossprune.adapters.universal.places import weights_of
from crossprune.harness.checks.subject import sample_frames

MODELS = ("chgnet:0.3.0", "sevenn:7net-0", "diep:fold1", "matgl:TensorNet-MatPES-PBE-v2025.1-PES")
OLD = ("M3GNet-MP-2021.2.8-PES", "M3GNet-MatPES-PBE-v2025.1-PES", "TensorNet-MatPES-PBE-v2025.1-PES")
CRYSTALS = {
    "MgO": ("rocksalt", 4.25),
    "TiN": ("rocksalt", 4.24),
    "NaCl": ("rocksalt", 5.69),
    "Si": ("diamond", 5.47),
    "C": ("diamond", 3.57),
}


def seconds(rows: Callable[[Atoms], object], atoms: Atoms) -> float:
    """Time one call."""
    start = time.perf_counter()
    rows(atoms)
    return time.perf_counter() - start


def costs() -> None:
    """Print what models take for a frame, and what a worker holds."""
    atoms = bulk("Mo", cubic=True).repeat(3)
    atoms.rattle(0.05, seed=0)
    for model in MODELS:
        start = time.perf_counter()
        plain = Universal(["Mo"], UniversalOptions(model=model))
        plain.features(atoms)
        begun = time.perf_counter() - start
        linear = Universal(["Mo"], UniversalOptions(model=model, head="linear"))
        linear.rows(bulk("Mo", cubic=True))
        memory = max(one.memory_info().rss for one in psutil.Process().children()) / 1e9
        took, with_slopes = seconds(plain.rows, atoms), seconds(linear.rows, atoms)
        print(
            f"{model}: start and first frame {begun:.1f} s, a frame of {len(atoms)} atoms {took:.2f} s, with "
            f"derivatives of {plain.n_features} features {with_slopes:.1f} s; worker {memory:.2f} GB"
        )
    frames = sample_frames(("Cu",), 12)
    tuned = Universal(["Cu"], UniversalOptions(head="finetune", epochs=4))
    prepared = tuned.prepare(frames)
    start = time.perf_counter()
    tuned.fit(prepared, np.arange(12), weights={}, rng=np.random.default_rng(0))
    print(f"finetune, a frame of 4 or 8 atoms and epoch: {(time.perf_counter() - start) / 48:.2f} s")


def readings() -> None:
    """Print energies by weights of matgl 1 or 2, as they are read here and by the installed matgl."""
    import matgl
    from matgl.ext.ase import PESCalculator

    for name in OLD:
        potential = read_potential(f"matgl:{name}")
        theirs = PESCalculator(matgl.load_model(weights_of(potential.options)))
        for formula, (kind, length) in CRYSTALS.items():
            atoms = bulk(formula, kind, a=length)
            atoms.calc = theirs
            ours, other = potential.predict(atoms).energy, atoms.get_potential_energy()
            print(f"{name}, {formula}: {ours / len(atoms):.4f} eV/atom, by matgl {other / len(atoms):.2f}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    costs()
    readings()
