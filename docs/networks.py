"""Time and errors of fits of networks to mlearn-Mo, a line per seed and size, for docs/families/nnp.md.

Run it as OMP_NUM_THREADS=1 python docs/networks.py 0 1 2 3 4 in the environment of this version and, for a
comparison, of another: equal seeds take the same frames, validation frames and starts.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from crossprune.adapters.nnp import Nnp, NnpOptions
from crossprune.harness.data.cards import load_dataset
from crossprune.harness.data.frames import energy_of, forces_of

CUTOFF = 5.56
"""That of a study of this set, Å."""
FRACTIONS = (1.0, 0.1)


def main() -> None:
    """Print a line per seed and fraction."""
    dataset = load_dataset("mlearn-Mo")
    train, test = ([dataset.frames[index] for index in dataset.indices(part)] for part in ("train", "test"))
    sizes = np.array([len(atoms) for atoms in test])
    energies = np.array([energy_of(atoms) for atoms in test])
    forces = np.concatenate([forces_of(atoms) for atoms in test])
    adapter = Nnp(["Mo"], NnpOptions(cutoff=CUTOFF))
    prepared = adapter.prepare(train)
    adapter.fit(prepared, np.arange(3), weights={}, rng=np.random.default_rng(0))  # compiles and imports
    for seed in map(int, sys.argv[1:]):
        for fraction in FRACTIONS:
            order = np.random.default_rng(seed).permutation(len(train))
            chosen = np.sort(order[: round(fraction * len(train))])
            start = time.process_time()
            model = adapter.fit(prepared, chosen, weights={}, rng=np.random.default_rng(seed))
            took = time.process_time() - start
            found = model.predict_many(test)
            energy = 1e3 * np.abs((found.energies - energies) / sizes).mean()
            force = np.abs(found.forces - forces).mean()
            print(
                f"seed {seed}, {len(chosen)} frames: {took:.1f} s of processor time, "
                f"validation loss {model.info['validation_loss']:.5f}, "
                f"test {energy:.2f} meV/atom, {force:.4f} eV/Å",
                flush=True,
            )


if __name__ == "__main__":
    main()
