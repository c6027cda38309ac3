"""Fine-tuning, on this side: labels, weights and seed for the worker, and what comes back of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from crossprune.adapters.universal.link import Link
from crossprune.adapters.universal.messages import PARAMETER
from crossprune.adapters.universal.potential import UniversalPotential, in_box
from crossprune.harness.contract import FloatArray, GroupWeight, IntArray, Prepared, Weights
from crossprune.harness.data.frames import element_counts, energy_of, forces_of, group_of, stress_of

LARGEST_SEED = 2**31 - 1


def parameters_for(
    link: Link,
    base: UniversalPotential,
    prepared: Prepared,
    subset: IntArray,
    weights: Weights,
    rng: np.random.Generator,
) -> tuple[dict[str, FloatArray], dict[str, float | str]]:
    """Fine-tune the network to the frames ``subset``, energies less the energies per element of ``base``.

    Returns
    -------
    tuple
        Parameters that changed, by name, and facts for the results table: ``epochs_run``, ``best_epoch``,
        ``loss_before`` and ``loss_after``.
    """
    options = base.options
    frames = [prepared.frames[index] for index in subset]
    offsets = element_counts(frames, base.elements) @ base.offsets
    groups = [weights.get(group_of(atoms), GroupWeight()) for atoms in frames]
    stresses = [stress_of(atoms) for atoms in frames]
    own = (options.energy_weight, options.force_weight, options.stress_weight)
    factors = np.array([[one.energy, one.forces, one.stress] for one in groups]) * own
    factors[[one is None for one in stresses], 2] = 0.0
    task: dict[str, Any] = {
        "energies": np.array([energy_of(atoms) for atoms in frames]) - offsets,
        "forces": np.concatenate([forces_of(atoms) for atoms in frames]),
        "stresses": np.array([np.zeros(6) if one is None else one for one in stresses]),
        "weights": factors,
        "seed": int(rng.integers(LARGEST_SEED)),
    }
    for name in ("layers", "epochs", "learning_rate", "batch_size", "validation"):
        task[name] = getattr(options, name)
    answer = link.train(in_box(frames, float(link.facts["cutoff"])), task)
    found = {name: one for name, one in answer.items() if name.startswith(PARAMETER)}
    facts = {name: float(one) for name, one in answer.items() if name not in found}
    return {name.removeprefix(PARAMETER): one for name, one in found.items()}, dict(facts)
