"""What the page says of latent spaces and of what is chosen, in studies that fit nothing too."""

from __future__ import annotations

import json
import re
import tomllib

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis.spaces import described
from crossprune.harness.analysis.spaces.composition import COLUMNS
from crossprune.harness.engine.loop import run
from crossprune.harness.engine.processes.pool import SerialExecutor
from crossprune.harness.engine.results import read_overall
from crossprune.harness.engine.study import parse_study
from crossprune.harness.store.objects import Store
from crossprune.reports.drawing.evidence import shown_overlaps
from crossprune.reports.drawing.shares import HEIGHT, MOST_KINDS, OTHERS, composition_figures, over_seeds
from crossprune.reports.page import write_report
from crossprune.reports.spaces import notices

STUDY = """
[study]
name = "only choosing"
datasets = ["si-pbe"]
models = {models}
choosers = ["mean", "composition"]
poolings = ["mean", "mean_std"]
fractions = [0.2, 0.4, 1.0]
seeds = [0, 1]
[data.si-pbe]
categories = {{ "<b>hot" = ["md-*"], slab = ["surface-*"] }}
"""


def ran(folder, models):
    """Run a study, and return its page without scripts, and the names of its sections."""
    text = STUDY.format(models=models)
    run(parse_study(tomllib.loads(text), "x"), Store(folder), SerialExecutor()).write(
        folder / "results.parquet"
    )
    provenance = {"toml": text, "study": "only choosing"}
    (folder / "provenance.json").write_text(json.dumps(provenance))
    page = write_report(read_overall(folder / "results.parquet"), folder, provenance).read_text()
    plain = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    return plain, re.findall(r'<section id="(\w+)">', plain)


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chosen")
    return folder, *ran(folder, "[]")


@pytest.mark.slow
def test_a_study_that_only_chooses_has_a_page_worth_looking_at(chosen):
    _, page, sections = chosen
    of_choices = ["spaces", "composition", "map", "overlap"]
    assert sections == [*of_choices, "failures", "kept", "provenance", "supplement", "words"]
    assert "What do latent spaces choose? Nothing is fitted. 30 choices: 30 done." in page
    assert "No result" not in page
    assert "2 of 62 have a copy by symmetry in train" in page
    assert "<b>hot" not in page
    assert "&lt;b&gt;hot" in page
    linked = set(re.findall(r'href="#(\w+)"', page))
    assert linked == set(sections), "every link has its section"
    assert page.count('<form id="switches"') == 1
    for caption in (
        "Is the pool worth pruning",
        "Does the split leak",
        "What is wrong with each latent space",
    ):
        assert caption in page
    assert page.count('class="shares"') == 5, "random, and two choosers in two spaces"


@pytest.mark.slow
def test_a_study_with_models_has_them_beside_its_answer(tmp_path):
    page, sections = ran(tmp_path, '["mean"]')
    assert {"answer", "matrix", "spaces", "composition", "map", "overlap", "cost"} <= set(sections)
    head = page[page.index('<section id="statistics">') : page.index('<section id="answer">')]
    assert "have a copy by symmetry in train" in head
    assert page.count("0.4 times") <= 1, "a notice comes once"


@pytest.mark.slow
def test_spaces_are_looked_at_once_and_again_when_the_choice_is_another(chosen, monkeypatch):
    folder = chosen[0]
    calls = []
    real = described.before_choosing
    monkeypatch.setattr(described, "before_choosing", lambda looks: calls.append(1) or real(looks))
    results = read_overall(folder / "results.parquet")
    write_report(results, folder, {})
    assert not calls
    found = pd.read_parquet(folder / "analysis" / "worth.parquet")
    assert set(found["chooser"]) == {"mean", "composition"}
    (folder / "analysis" / "worth.parquet").write_bytes(b"")
    write_report(results, folder, {})
    assert len(calls) == 1, "what is damaged is computed again"
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "analysis" / "worth.parquet"), found)
    write_report(results[results["chooser"] != "mean"], folder, {})
    assert len(calls) == 2


def table(shares, n_seeds=2):
    """Make a composition of one way: category to its shares at two fractions, and in the pool."""
    rows = [
        (
            "x",
            "snap",
            "fps",
            "atoms",
            "mean",
            "standard",
            "configurations",
            fraction,
            seed,
            one,
            0,
            share,
            pool,
        )
        for one, (*values, pool) in shares.items()
        for fraction, share in zip((0.1, 0.5), values, strict=True)
        for seed in range(n_seeds)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def heights(path):
    """Return the height of each step of an outline, and of the bar at its right."""
    found = []
    for part in path.split("Z")[:-1]:
        ups = [float(one) for one in re.findall(r"V([\d.]+)", part)]
        n = len(ups) // 2
        found += [low - high for high, low in zip(ups[:n], ups[n:][::-1], strict=True)]
    return np.array(found)


def test_the_stacks_are_the_shares():
    [one] = composition_figures(table({"a": (0.5, 0.25, 0.2), "b": (0.5, 0.75, 0.8)}))
    [(name, drawing)] = one.figures
    assert name == "snap · fps · atoms · mean · standard"
    assert [category for category, _ in one.legend] == ["b", "a"], "the largest of the pool at the bottom"
    paths = re.findall(r'd="([^"]*)"', str(drawing))
    drawn = np.array([heights(path) for path in paths])
    np.testing.assert_allclose(drawn / drawn.sum(axis=0), [[0.5, 0.75, 0.8], [0.5, 0.25, 0.2]], atol=0.002)
    assert drawn.max() < HEIGHT


@pytest.mark.parametrize("n", [MOST_KINDS + 1, MOST_KINDS + 5])
def test_of_many_kinds_the_small_ones_are_one(n):
    shares = {f"kind {one:02d}": (1 / n, 1 / n, 1 / n) for one in range(n)}
    shares["kind 00"] = (1 / n + 0.01, 1 / n - 0.01, 1 / n)
    [one] = composition_figures(table(shares))
    names = [category for category, _ in one.legend]
    assert len(names) == len(set(names)) == MOST_KINDS + 1
    assert names[-1] == OTHERS
    assert "kind 00" in names, "large somewhere"
    assert len({colour for _, colour in one.legend}) == len(names)


def test_shares_are_means_over_seeds():
    mixed = table({"a": (0.5, 0.25, 0.2), "b": (0.5, 0.75, 0.8)})
    mixed.loc[(mixed["seed"] == 0) & (mixed["category"] == "a"), "share"] += 0.1
    found = over_seeds(mixed).set_index(["fraction", "category"])["share"]
    assert found[0.1, "a"] == pytest.approx(0.55)
    assert found[0.1, "b"] == pytest.approx(0.5)


def test_notices_name_errors_and_leaks_and_nothing_else():
    space = {"dataset": "x", "chooser": "snap", "space": "rows", "pooling": "mean", "scaling": "standard"}
    findings = pd.DataFrame(
        [
            {**space, "level": "error", "remark": "noise"},
            {**space, "level": "note", "remark": "nothing"},
        ]
    )
    leak = {"part": "test", "n_tested": 20, "twins": 3, "copies": 0.0, "tells": True, "by_chance": 0.9}
    leakage = pd.DataFrame(
        [
            {**space, **leak, "level": "warning", "of_group_split": 0.2, "remark": "test leaks: 3 of 20"},
            {**space, **leak, "part": "ood", "level": "note", "of_group_split": 1.0, "remark": "farther"},
        ]
    )
    first, second = notices({"findings": findings, "leakage": leakage})
    assert first.startswith(
        "x: the part test leaks: up to 3 of 20 are as good as in train for a space; 0.2 times"
    )
    assert second == "x: in 1 of the spaces of snap a choice is not about the descriptor: noise."
    assert notices({}) == []


def test_overlaps_of_many_ways_are_shown_at_one_fraction():
    pairs = [(f"way {one}", f"way {two}") for two in range(15) for one in range(two)]
    many = pd.DataFrame(
        [("x", fraction, *pair, 0.1, 0.1) for fraction in (0.1, 0.5) for pair in pairs],
        columns=["dataset", "fraction", "first", "second", "jaccard", "jaccard_by_chance"],
    )
    assert set(shown_overlaps(many)["fraction"]) == {0.1}
    few = many[many["first"].isin(["way 0", "way 1"])]
    assert set(shown_overlaps(few)["fraction"]) == {0.1, 0.5}
