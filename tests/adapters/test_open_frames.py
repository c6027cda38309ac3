"""Stress labels of frames that are not periodic in three directions: no family fits to them."""

from __future__ import annotations

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from crossprune.harness.checks.subject import sample_frames
from crossprune.harness.contract import Fitter
from crossprune.harness.data.frames import DataSet, content_hash, energy_of, forces_of, stress_of
from crossprune.harness.evaluation.metrics import errors_by_part, labels_of
from crossprune.harness.lookup import adapter_class

pytestmark = pytest.mark.slow  # fits every family twice

WITH_STRESS = {
    "ace": {"stress_weight": 1.0},
    "chimes": {"stress_weight": 1.0},
    "gap, fast": {"use_stress": True, "fitter": "fast"},
    "gap, gap_fit": {"use_stress": True, "fitter": "gap_fit"},
    "mean": {},
    "mtp": {"stress_weight": 1.0},
    "mtp, fitted": {"stress_weight": 1.0, "radial": "fitted", "iterations": 5},
    "nnp": {"stress_weight": 1.0},
    "pod": {"stress_weight": 1.0},
    "snap": {"stress_weight": 1.0},
    "uf3": {"stress_weight": 1.0},
}
N_CHOSEN = 12


def frames(stress):
    """Bulk, a slab, a wire and a molecule in a box; the open ones with a stress label or without."""
    made = sample_frames(["Cu"], 20)
    for index, pbc in (
        (1, [True, True, False]),
        (3, [True, False, False]),
        (4, False),
        (15, False),
        (16, [1, 1, 0]),
    ):
        atoms = made[index]
        results = {"energy": energy_of(atoms), "forces": forces_of(atoms)}
        if stress is not None:
            results["stress"] = np.full(6, stress)
        atoms.pbc = pbc
        atoms.calc = SinglePointCalculator(atoms, **results)
    return made


def fitted(name, stress):
    cls = adapter_class(name.partition(",")[0])
    adapter = cls(["Cu"], cls.options_type(**cls.smoke, **WITH_STRESS[name]))
    assert isinstance(adapter, Fitter)
    given = frames(stress)
    prepared, subset = adapter.prepare(given), np.arange(N_CHOSEN)
    potential = adapter.fit(prepared, subset, weights={}, rng=np.random.default_rng(0))
    dataset = DataSet("open", tuple(given), ("train",) * N_CHOSEN + ("test",) * 8)
    unseen = np.arange(N_CHOSEN, 20)
    rows = errors_by_part(dataset, labels_of(given), unseen, adapter.predict(potential, prepared, unseen))
    single = potential.predict_many(given)
    return content_hash(dataset), rows, single


@pytest.mark.parametrize("name", WITH_STRESS)
def test_a_stress_label_of_an_open_frame_changes_nothing(name, require_adapter):
    require_adapter(name.partition(",")[0])
    without, labelled = fitted(name, None), fitted(name, 0.5)
    assert without[0] == labelled[0]
    assert without[1] == labelled[1]
    assert np.isfinite(without[1][0]["stress_mae_gpa"])
    for one, other in zip(vars(without[2]).values(), vars(labelled[2]).values(), strict=True):
        np.testing.assert_array_equal(one, other)
    has_stress = np.isfinite(without[2].stresses).all(axis=1)
    assert has_stress.tolist() == [bool(atoms.pbc.all()) for atoms in frames(None)]
    assert [stress_of(atoms) is not None for atoms in frames(0.5)] == has_stress.tolist()
