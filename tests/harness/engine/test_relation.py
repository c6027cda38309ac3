"""Whose descriptor chose: by family and options, not by name."""

from __future__ import annotations

from collections import Counter

import pytest
from crossprune.harness.engine.plan import Plan
from crossprune.harness.engine.study import Study
from crossprune.harness.store.objects import Store

OPTIONS = {
    "linear": {"adapter": "snap", "twojmax": 4, "ridge": 1e-3},
    "quadratic": {"adapter": "snap", "twojmax": 4, "quadratic": True},
    "snap": {"twojmax": 4},
}


@pytest.fixture
def study():
    return Study(
        name="x",
        datasets=("si-pbe",),
        models=("linear", "mean", "quadratic", "snap"),
        choosers=("snap", "quadratic"),
        fractions=(0.1,),
        seeds=(0,),
        options=OPTIONS,
    )


def test_own_is_the_same_descriptor_whatever_its_name(study, tmp_path):
    plan = Plan.of(study, Store(tmp_path))
    found = {(cell.choice.chooser, cell.model): plan.relation(cell) for cell in plan.keys}
    expected = {
        ("snap", "snap"): "own",
        ("snap", "linear"): "own",  # only its fitter reads the ridge
        ("snap", "quadratic"): "kin",
        ("quadratic", "snap"): "kin",
        ("quadratic", "quadratic"): "own",
        ("snap", "mean"): "other",
        ("random", "snap"): "random",
    }
    assert expected.items() <= found.items()
    assert Counter(found.values()) == {"own": 3, "kin": 3, "other": 2, "random": 4}
