from __future__ import annotations

import re
from pathlib import Path

import pytest
from crossprune.harness.contract import GroupWeight
from crossprune.harness.data.cards import DataOptions, load_dataset
from crossprune.harness.engine.grid import expand
from crossprune.harness.engine.loading import require_groups, require_weight
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
    assert expand(read_study(path))


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
        ({"study": [1, 2]}, r"x.toml: study is no table; write it as \[study\]"),
        ({"data": "in.xyz", "study": AXES}, r"x.toml: data is no table; write it as \[data\]"),
        ({"data": [{"x": 1}], "study": AXES}, r"x.toml: data is no table"),
        ({"study": AXES, "options": 5}, r"x.toml: options is no table"),
        ({"data": {"x": 1}, "study": {**AXES, "datasets": 5}}, r'x belongs into .*: \[data\."NAME"\]'),
        ({"data": {"x": 1}, "study": AXES}, r'x belongs into .*: \[data\."si-pbe"\]'),
        ({"study": AXES, "optoins": {}}, r"unknown table 'optoins'; did you mean 'options'"),
        ({"study": {**AXES, "fraction": [0.1]}}, r"unknown key 'fraction'; did you mean 'fractions'"),
        ({"study": {**AXES, "fractions": [0.0]}}, r"fraction 0.0 is not in \(0, 1\]"),
        ({"study": {**AXES, "seeds": [1, 1]}}, r"seeds has a value twice"),
        ({"study": {**AXES, "models": []}, "md": {"enabled": True}}, "models is empty: name the models"),
        ({"study": {**AXES, "methods": []}}, "methods is empty"),
        ({"study": {**AXES, "seeds": [0.5]}}, r"seeds: expected int, got 0.5"),
        (
            {"study": AXES, "weights": {"Elastic": {"force": 1}}},
            r"unknown key 'force'; did you mean 'forces'",
        ),
        ({"study": {**AXES, "options": {}}}, r"options is a table of its own"),
        ({"study": {**AXES, "name": "../x"}}, r"'../x' is no name"),
        ({"study": {**AXES, "name": "a\0b"}}, r"is no name"),
        ({"study": {**AXES, "name": "a" * 5000}}, r"\(5000 characters\) is no name"),
        ({"study": {**AXES, "models": ["a/b"]}, "options": {"a/b": {"adapter": "mean"}}}, "'a/b' is no name"),
        ({"study": AXES, "options": {"\x1b[2J": {"adapter": "mean"}}}, "is no name"),
        ({"study": {**AXES, "datasets": ["a\0.xyz"]}}, r"datasets: .* is no path"),
        ({"study": {**AXES, "models": ["random"]}}, r"'random' is the choice by chance"),
        ({"study": {**AXES, "seeds": [2**64]}}, r"seed 18446744073709551616 is not between 0 and"),
        ({"study": {**AXES, "seeds": [-1]}}, r"seed -1 is not between 0 and"),
        ({"study": AXES, "weights": {"G": {"energy": -1}}}, r"weights.G: energy is -1; give 0, or a number"),
        (
            {"study": AXES, "weights": {"G": {"forces": 1e-300}}},
            r"weights.G: forces is 1e-300; .* from 1e-15",
        ),
        ({"study": AXES, "weights": {"G": {"stress": 1e160}}}, r"weights.G: stress is 1e\+160; .* to 1e\+15"),
        ({"study": AXES, "weights": {"G": {"forces": float("nan")}}}, r"forces: expected a finite number"),
        ({"study": AXES, "weights": {"G": {"stress": float("inf")}}}, r"stress: expected a finite number"),
        (
            {"study": AXES, "limits": {"timeout_s": float("nan")}},
            r"timeout_s: expected a finite number, got nan",
        ),
        ({"study": AXES, "limits": {"memory_gb": 10**400}}, r"memory_gb: expected a finite number, got 1000"),
        (
            {"study": AXES, "properties": {"budget_evaluations": 0}},
            r"properties: budget_evaluations is 0; give a number above 0",
        ),
        (
            {"study": AXES, "properties": {"budget_s": 600}},
            r"\[properties\]: there is no budget_s any more; give budget_evaluations",
        ),
        (
            {"study": AXES, "md": {"budget_s": 600.0}},
            r"\[md\]: there is no budget_s any more; steps and ramp_steps",
        ),
        ({"study": AXES, "md": {"ramp_from": 3.0, "ramp_to": 2.0}}, r"ramp_from is 3.0; give a number"),
        (
            {"study": AXES, "md": {"starts": ["v"], "ensembles": ["nve"]}},
            r"starts has 'v': a frame starts NVT",
        ),
        ({"study": AXES, "md": {"ramp_steps": 0}}, r"ramp_steps must be positive"),
        ({"study": AXES, "md": {"melting_fractions": [0.5, -0.5]}}, r"melting_fractions must be positive"),
        ({"study": AXES, "md": {"repeat": -1}}, r"repeat must not be negative, got -1"),
    ],
)
def test_wrong_studies_say_what_is_wrong(document, message):
    with pytest.raises(StudyError, match=message):
        parse_study(document, "x.toml")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 0.0])
def test_limits_made_in_code_are_checked_too(value):
    with pytest.raises(ValueError, match="give a number above 0"):
        Limits(timeout_s=value)
    with pytest.raises(ValueError, match="give a number above 0"):
        Limits(memory_gb=value)


def test_the_largest_seed_is_a_number_of_the_table():
    assert parse(seeds=[0, 2**63 - 1]).seeds == (0, 2**63 - 1)


def test_weights_of_a_group_that_no_data_set_has_are_refused():
    dataset = load_dataset("si-pbe", options=DataOptions(smoke=True))
    for group, message in (("Vacancy", "did you mean 'vacancy'"), ("x", "known: ")):
        study = parse_study({"study": AXES, "weights": {group: {"energy": 2}}}, "x.toml")
        with pytest.raises(StudyError, match=rf"\[weights.{group}\]: unknown group '{group}'.*{message}"):
            require_groups(study, [dataset])
    study = parse_study({"study": AXES, "weights": {dataset.groups[0]: {"energy": 2}}}, "x.toml")
    require_groups(study, [dataset])


def test_weights_must_leave_something_to_fit_to():
    dataset = load_dataset("si-pbe", options=DataOptions(smoke=True))
    trained = sorted({dataset.groups[index] for index in dataset.indices("train")})
    nothing = {group: {"energy": 0, "forces": 0} for group in trained}
    study = parse_study({"study": AXES, "weights": nothing}, "x.toml")
    with pytest.raises(StudyError, match=rf"0 in every group of si-pbe .*\({', '.join(trained)}\), so there"):
        require_weight(study, {"si-pbe": dataset})
    for name in ("energy", "forces"):
        one_counts = {**nothing, trained[-1]: {"energy": 0, "forces": 0, name: 1e-15}}
        require_weight(parse_study({"study": AXES, "weights": one_counts}, "x.toml"), {"si-pbe": dataset})


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
