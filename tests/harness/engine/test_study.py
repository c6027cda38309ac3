from __future__ import annotations

import re
from pathlib import Path

import pytest
from crossprune.harness.contract import GroupWeight
from crossprune.harness.engine.grid import expand
from crossprune.harness.engine.study import Limits, parse_study, read_study
from crossprune.harness.errors import StudyError

ROOT = Path(__file__).parents[3]
AXES = {"name": "x", "datasets": ["si-pbe"], "models": ["snap"], "choosers": ["snap", "gap"]}


def parse(**changes):
    return parse_study({"study": {**AXES, **changes}}, "x.toml")


@pytest.mark.parametrize(
    "path", [ROOT / "harness" / "cli" / "demo.toml", *sorted((ROOT / "studies").glob("*.toml"))]
)
def test_shipped_studies_are_valid(path):
    assert len(expand(read_study(path))) >= 3


def test_the_study_of_the_readme_is_valid(tmp_path):
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    studies = [block for block in blocks if "[study]" in block]
    assert studies
    for block in studies:
        (tmp_path / "study.toml").write_text(block)
        assert expand(read_study(tmp_path / "study.toml"))


def test_the_random_base_line_is_always_there_once():
    cells = expand(parse(fractions=[0.1], seeds=[0], choosers=["snap", "random"], methods=["fps", "random"]))
    assert [(cell.choice.chooser, cell.choice.method) for cell in cells] == [
        ("random", "random"),
        ("snap", "fps"),
    ]


def test_the_number_of_cells_is_the_product():
    assert len(expand(parse(fractions=[0.1, 1.0], seeds=[0, 1, 2]))) == 3 * 2 * 3


def test_weights_are_read_per_group():
    study = parse_study({"study": AXES, "weights": {"Elastic": {"energy": 10}}}, "x.toml")
    assert study.weights == {"Elastic": GroupWeight(energy=10.0)}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, r"x.toml: the table \[study\] is missing"),
        ({"study": AXES, "optoins": {}}, r"unknown table 'optoins'; did you mean 'options'"),
        ({"study": {**AXES, "fraction": [0.1]}}, r"unknown key 'fraction'; did you mean 'fractions'"),
        ({"study": {**AXES, "fractions": [0.0]}}, r"fraction 0.0 is not in \(0, 1\]"),
        ({"study": {**AXES, "seeds": [1, 1]}}, r"seeds has a value twice"),
        ({"study": {**AXES, "models": []}}, r"models is empty"),
        ({"study": {**AXES, "seeds": [0.5]}}, r"seeds: expected int, got 0.5"),
        (
            {"study": AXES, "weights": {"Elastic": {"force": 1}}},
            r"unknown key 'force'; did you mean 'forces'",
        ),
        ({"study": {**AXES, "options": {}}}, r"options is a table of its own"),
    ],
)
def test_wrong_studies_say_what_is_wrong(document, message):
    with pytest.raises(StudyError, match=message):
        parse_study(document, "x.toml")


def test_axes_that_play_no_part_are_left_out():
    cells = expand(
        parse(
            fractions=[0.1],
            seeds=[0],
            choosers=["snap"],
            methods=["fps", "fps_atoms", "stratified"],
            scalings=["standard", "whitened"],
            poolings=["mean", "max"],
        )
    )
    found = {(c.choice.chooser, c.choice.method, c.choice.scaling, c.choice.pooling) for c in cells}
    assert found == {
        ("random", "random", "", ""),
        ("random", "stratified", "", ""),
        *(("snap", "fps", scaling, pool) for scaling in ("standard", "whitened") for pool in ("mean", "max")),
        ("snap", "fps_atoms", "standard", ""),
        ("snap", "fps_atoms", "whitened", ""),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scalings": ["whiten"]}, r"unknown scaling 'whiten'; did you mean 'whitened'"),
        ({"poolings": ["men"]}, r"unknown pooling 'men'; did you mean 'mean'"),
        ({"budget": "atom"}, r"unknown budget 'atom'; did you mean 'atoms'"),
    ],
)
def test_unknown_axes_are_refused(change, message):
    with pytest.raises(StudyError, match=message):
        expand(parse(**change))


@pytest.mark.parametrize("name", ["timeout_s", "memory_gb"])
def test_a_limit_is_above_zero(name):
    with pytest.raises(ValueError, match=f"{name} is 0; give a number above 0"):
        Limits(**{name: 0.0})
