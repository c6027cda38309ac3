"""Tuning looks at training labels alone, goes on where it was, and writes what a study reads."""

from __future__ import annotations

import tomllib
from pathlib import Path

import crossprune
import numpy as np
import pytest
from crossprune.harness.data.cards import load_dataset
from crossprune.harness.engine.study import as_toml, parse_study
from crossprune.harness.errors import StudyError
from crossprune.harness.lookup import adapter_class, resolve
from crossprune.validation.search import FORCE, points_of

SMALL = {"order_2b": 6, "order_3b": 2}


def tuned(folder, **given):
    return crossprune.tune(
        "chimes", "si-pbe", store=folder, folds=3, options=SMALL, loading={"smoke": True}, **given
    )


@pytest.mark.slow
def test_the_best_point_has_the_least_score_and_is_a_table_of_a_study(tmp_path, require_adapter):
    require_adapter("chimes")
    found = tuned(tmp_path)
    space = adapter_class("chimes").search_space(load_dataset("si-pbe").spacing)
    assert len(found.tried) == len(found.points) >= len(space)  # the defaults are among them
    assert (found.tried["status"] == "done").all()
    assert (np.diff(found.tried["score"]) >= 0).all()
    assert found.tried["is_default"].sum() == 1
    assert found.tried[f"{FORCE}_spread"].gt(0).all()
    text = '[study]\nname = "x"\ndatasets = ["si-pbe"]\nmodels = ["chimes"]\n' + found.to_toml()
    spec = resolve("chimes", parse_study(tomllib.loads(text), "x").options)
    assert spec.tuned_on == "si-pbe"
    assert spec.options == resolve("chimes", {"chimes": dict(found.best)}).options
    before = sorted(path.name for path in (tmp_path / "objects" / "fit").rglob("*") if path.is_dir())
    again = tuned(tmp_path)
    assert again.tried.equals(found.tried)
    assert before == sorted(p.name for p in (tmp_path / "objects" / "fit").rglob("*") if p.is_dir())


def test_points_say_what_follows_the_data_and_what_is_fixed_stays():
    spacing = load_dataset("si-pbe").spacing
    points = points_of("nnp", "si-pbe", {"n_radial": 9}, {})
    assert points[0] == {**adapter_class("nnp").geometry(spacing), "n_radial": 9}
    assert {point["n_radial"] for point in points} == {9}
    assert len({(point["cutoff"], point.get("energy_weight")) for point in points}) == len(points)


def test_a_family_without_a_space_says_so():
    with pytest.raises(StudyError, match="'mean' has no search space"):
        points_of("mean", "si-pbe", {}, {})
    with pytest.raises(StudyError, match="did you mean 'cutoff'"):
        points_of("nnp", "si-pbe", {"cutof": 5.0}, {})


@pytest.mark.parametrize("value", [1, 1e-8, True, "tersoff", (1.0, 2.0), {"Mo": 0.5}])
def test_values_are_written_as_toml_reads_them(value):
    read = tomllib.loads(f"x = {as_toml(value)}")["x"]
    assert read == (list(value) if isinstance(value, tuple) else value)


def test_weights_of_a_family_that_is_not_linear_are_refused(tmp_path: Path):
    with pytest.raises(StudyError, match="not linear"):
        crossprune.reweight("mean", "si-pbe", store=tmp_path, folds=2, loading={"smoke": True})
