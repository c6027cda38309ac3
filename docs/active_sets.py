"""What pace_activeset, MaxVol and D-optimal design choose of silicon, for docs/selection.md.

Run it as python docs/active_sets.py; it needs crossprune[pacemaker]. 40 functions of ACE describe atoms, each
choice has as many configurations as the active set of pace_activeset, and the linear fit of these functions
to it is scored on the test part.
"""

from __future__ import annotations

import numpy as np
from crossprune.adapters.ace import Ace, AceOptions
from crossprune.harness.data.cards import load_dataset
from crossprune.harness.data.frames import energy_of, forces_of
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.maxvol import independent
from crossprune.harness.selection.methods import METHODS

CUTOFF = 4.7
SEEDS = {"maxvol": 1, "d_optimal": 1, "d_optimal_exchange": 1, "fps": 5, "random": 5}
"""How many picks of each method are averaged: those of the first three do not depend on the seed."""


def main() -> None:
    """Print a row for each choice."""
    from pyace.activelearning import compute_active_set

    dataset = load_dataset("si-pbe")
    train, test = ([dataset.frames[index] for index in dataset.indices(part)] for part in ("train", "test"))
    ace = Ace(["Si"], AceOptions(max_functions=40, cutoff=CUTOFF))
    sizes = [len(atoms) for atoms in train]
    candidates = Candidates(
        np.concatenate([ace.features(atoms) for atoms in train]), np.concatenate([[0], np.cumsum(sizes)])
    )
    rows = independent(candidates.environments())
    owners = np.repeat(np.arange(len(train)), sizes)
    _, found = compute_active_set({0: rows.copy()}, {0: owners}, tol=1.01, max_iters=300)
    active = sorted({int(owner) for owner in found[0]})

    prepared = ace.prepare(train)
    energies = np.array([energy_of(atoms) / len(atoms) for atoms in test])
    forces = np.concatenate([forces_of(atoms) for atoms in test])

    def scores(chosen: list[int]) -> list[float]:
        of_chosen = rows[np.isin(owners, chosen)]
        model = ace.fit(prepared, np.array(chosen), weights={}, rng=np.random.default_rng(0))
        predicted = model.predict_many(test)
        per_atom = predicted.energies / [len(atoms) for atoms in test]
        return [
            len(of_chosen),
            np.linalg.slogdet(of_chosen.T @ of_chosen)[1],
            1e3 * np.abs(per_atom - energies).mean(),
            np.abs(predicted.forces - forces).mean(),
        ]

    print(f"{len(active)} configurations of {len(train)}; log det of atoms' features; MAE meV/atom, eV/Å")
    table = {"pace_activeset": [scores(active)]}
    for name, n_seeds in SEEDS.items():
        generators = map(np.random.default_rng, range(n_seeds))
        picked = (
            [rng.permutation(len(train))[: len(active)] for rng in generators]
            if name == "random"
            else [METHODS[name].choose(candidates, len(active), rng) for rng in generators]
        )
        table[name] = [scores(sorted(chosen.tolist())) for chosen in picked]
    for name, values in table.items():
        atoms, volume, energy, force = np.mean(values, axis=0)
        print(f"{name:20} {atoms:5.0f} atoms {volume:8.1f} {energy:8.1f} {force:8.4f}")


if __name__ == "__main__":
    main()
