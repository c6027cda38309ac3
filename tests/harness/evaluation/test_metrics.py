from __future__ import annotations

import numpy as np
import pytest
from ase.units import GPa
from crossprune.harness.contract import Predictions
from crossprune.harness.evaluation.metrics import METRICS, errors_by_group

SIZES = np.array([1, 2, 4])


def zero():
    return Predictions(np.zeros(3), np.zeros((7, 3)), np.full((3, 6), np.nan))


def overall(predicted, labels, chosen):
    return errors_by_group(predicted, labels, SIZES, ["x", "y", "x"], chosen)[0]


def test_energy_errors_are_per_atom_and_force_errors_per_component():
    labels = zero()
    forces = np.zeros((7, 3))
    forces[1] = [0.3, 0.0, 0.0]
    predicted = Predictions(np.array([0.010, 0.010, 0.010]), forces, labels.stresses)
    found = overall(predicted, labels, np.array([0, 1]))
    assert found["energy_mae_mev_per_atom"] == pytest.approx((10 + 5) / 2)
    assert found["energy_rmse_mev_per_atom"] == pytest.approx(np.sqrt((100 + 25) / 2))
    assert found["force_mae_ev_per_angstrom"] == pytest.approx(0.3 / 9)
    assert found["force_rmse_ev_per_angstrom"] == pytest.approx(0.3 / 3)
    assert np.isnan(found["stress_mae_gpa"])


def test_stress_errors_are_over_the_frames_that_have_stress():
    labels, stresses = zero(), np.full((3, 6), np.nan)
    stresses[2] = 0.0
    labels = Predictions(labels.energies, labels.forces, stresses)
    predicted = Predictions(labels.energies, labels.forces, np.full((3, 6), 2 * GPa))
    assert overall(predicted, labels, np.arange(3))["stress_mae_gpa"] == pytest.approx(2.0)


def test_groups_add_up_to_all():
    rng = np.random.default_rng(0)
    labels = zero()
    predicted = Predictions(rng.normal(size=3), rng.normal(size=(7, 3)), labels.stresses)
    rows = errors_by_group(predicted, labels, SIZES, ["b", "a", "b"], np.arange(3))
    assert [row["group"] for row in rows] == ["all", "a", "b"]
    assert rows[0]["n_eval_atoms"] == rows[1]["n_eval_atoms"] + rows[2]["n_eval_atoms"] == 7
    weighted = sum(row["force_mae_ev_per_angstrom"] * row["n_eval_atoms"] for row in rows[1:]) / 7
    assert rows[0]["force_mae_ev_per_angstrom"] == pytest.approx(weighted)
    assert set(METRICS) <= rows[0].keys()


def test_every_number_is_that_of_its_definition():
    rng = np.random.default_rng(1)
    sizes = rng.integers(1, 9, size=30)
    n_atoms = int(sizes.sum())
    labels, predicted = (
        Predictions(rng.normal(size=30), rng.normal(size=(n_atoms, 3)), rng.normal(size=(30, 6)))
        for _ in range(2)
    )
    labels.stresses[::3] = np.nan
    groups = [str(one) for one in rng.integers(0, 4, size=30)]
    chosen = np.sort(rng.permutation(30)[:20])
    ends = np.cumsum(sizes)
    rows = errors_by_group(predicted, labels, sizes, groups, chosen)
    assert [row["group"] for row in rows] == ["all", *sorted({groups[one] for one in chosen})]
    for row in rows:
        part = [one for one in chosen if row["group"] in ("all", groups[one])]
        atoms = np.concatenate([np.arange(ends[one] - sizes[one], ends[one]) for one in part])
        energy = 1e3 * (predicted.energies - labels.energies)[part] / sizes[part]
        force = (predicted.forces - labels.forces)[atoms]
        stress = ((predicted.stresses - labels.stresses) / GPa)[[one for one in part if one % 3]]
        assert (row["n_eval_configurations"], row["n_eval_atoms"]) == (len(part), len(atoms))
        expected = [abs(energy).mean(), np.sqrt((energy**2).mean()), abs(force).mean()]
        expected += [np.sqrt((force**2).mean()), abs(stress).mean()]
        expected += [np.quantile(abs(one), 0.95, method="inverted_cdf") for one in (energy, force.ravel())]
        own = rows[1:] if row["group"] == "all" else [row]
        expected += [max(one[name] for one in own) for name in (METRICS[0], METRICS[2])]
        assert [row[metric] for metric in METRICS] == pytest.approx(expected, rel=1e-12)
