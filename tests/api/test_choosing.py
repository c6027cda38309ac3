"""`crossprune.Selector`, and advice from refits."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune import Selector, select
from crossprune.harness.cli.main import app
from crossprune.harness.errors import StudyError
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from typer.testing import CliRunner

STUDY = """
[study]
name = "refits"
datasets = ["si-pbe"]
models = ["small"]
choosers = ["composition"]
fractions = [0.3, 1.0]
seeds = [0, 1, 2]
[data.si-pbe]
smoke = true
[options.small]
adapter = "snap"
twojmax = 2
"""


@pytest.fixture
def points():
    return np.random.default_rng(0).normal(size=(40, 3)) * [1.0, 5.0, 0.1]


@pytest.mark.parametrize("method", ["fps", "d_optimal", "kmeans", "direct", "random"])
def test_a_selector_chooses_in_the_manner_of_scikit_learn(points, method):
    selector = clone(Selector(n_to_select=6, method=method, seed=2)).fit(points)
    assert selector.get_params() == {"n_to_select": 6, "method": method, "scaling": "standard", "seed": 2}
    assert np.flatnonzero(selector.support_).tolist() == sorted(selector.indices_.tolist())
    np.testing.assert_array_equal(selector.transform(points), points[selector.indices_])
    assert (selector.n_features_in_, selector.support_.shape) == (3, (40,))


def test_a_selector_picks_what_is_farthest(points):
    selector = Selector(n_to_select=10, scaling="standard").fit(points)
    scaled = (points - points.mean(axis=0)) / points.std(axis=0)
    for step in range(1, 10):
        nearest = cdist(scaled, scaled[selector.indices_[:step]]).min(axis=1)
        assert selector.indices_[step] == nearest.argmax()
        assert selector.scores_[step] == pytest.approx(nearest.max())


def test_given_samples_are_completed_and_a_fraction_is_of_the_rest(points):
    selector = Selector(n_to_select=0.5).fit(points, given=[3, 4])
    assert selector.support_.sum() == 19
    assert not selector.support_[[3, 4]].any()


@pytest.mark.parametrize(
    ("options", "given", "says"),
    [
        ({"n_to_select": 41}, (), "41 samples are asked for, and 40"),
        ({"n_to_select": 0}, (), "give 1 to 40"),
        ({"method": "fsp"}, (), "did you mean 'fps'"),
        ({"method": "direct"}, (1,), "these can"),
        ({"method": "stratified"}, (), "group"),
        ({"scaling": "standrad"}, (), "did you mean 'standard'"),
        ({}, (40,), "given must be distinct"),
        ({}, [True, False], "of a mask"),
        ({}, [0.5], "given must be"),
        ({"n_to_select": -0.5}, (), "a part in"),
        ({"n_to_select": np.nan}, (), "a part in"),
        ({"n_to_select": True}, (), "a part in"),
        ({"n_to_select": "5"}, (), "a part in"),
    ],
)
def test_what_a_selector_cannot_do_is_said(points, options, given, says):
    with pytest.raises(StudyError, match=says):
        Selector(**{"n_to_select": 5, **options}).fit(points, given=given)


def test_parts_and_numbers_of_numpy_are_parts_and_numbers(points):
    assert len(Selector(np.float32(0.5)).fit(points).indices_) == 20
    assert len(Selector(1.0).fit(points).indices_) == 40
    assert len(Selector(np.int64(3)).fit(points, groups=None).indices_) == 3


def test_rows_of_something_else_are_not_taken(points):
    with pytest.raises(NotFittedError):
        Selector(5).transform(points)
    with pytest.raises(StudyError, match="3 samples"):
        Selector(5).fit(points).transform(points[:3])


@pytest.mark.parametrize("table", [[["a"]], [[1j]], None])
def test_tables_of_texts_are_refused(table):
    with pytest.raises(StudyError, match="finite numbers"):
        Selector(1).fit(table)


def test_tables_of_anything_but_numbers_are_refused(points):
    points[3, 1] = np.nan
    with pytest.raises(StudyError, match="finite numbers"):
        Selector(5).fit(points)


@pytest.fixture(scope="module")
def store(tmp_path_factory, require_adapter):
    require_adapter("snap")
    folder = tmp_path_factory.mktemp("refits")
    (folder / "study.toml").write_text(STUDY)
    words = ["run", str(folder / "study.toml"), "--store", str(folder / "store"), "--workers", "0"]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return folder / "store"


@pytest.mark.slow
def test_refits_say_who_chose_best_for_whom(store):
    found = select("si-pbe", 5, chooser="composition", refits=store)
    assert set(found.advice["model"]) == {"small"}
    assert set(found.advice["data"]) == {"si-pbe"}
    assert "composition · fps" in set(found.advice["way"])
    assert (found.advice["low"] <= found.advice["ratio"]).all()
    assert (found.advice["ratio"] <= found.advice["high"]).all()
    assert np.isfinite(found.advice[["low", "high"]]).all(axis=None)
    assert "In refits of small on si-pbe" in str(found)


@pytest.mark.slow
def test_refits_on_other_elements_say_nothing(store):
    from ase.build import bulk

    with pytest.raises(StudyError, match="no refits on data of exactly Cu"):
        select([bulk("Cu")] * 3, 1, chooser="composition", refits=store)
