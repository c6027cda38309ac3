"""What a page carries of cells and structures: the numbers it was given, small, and inert."""

from __future__ import annotations

import base64
import gzip
import json
import re
import tomllib
from html import unescape

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis.details.gathered import Details
from crossprune.harness.data.frames import energy_of, forces_of
from crossprune.harness.engine.results import read_overall
from crossprune.reports.embedding import packed_json
from crossprune.reports.opened.assessed import runs_of, values_of
from crossprune.reports.opened.cells import cell_data
from crossprune.reports.opened.nested import few_digits, parts_of, rows_of
from crossprune.reports.opened.structures import frame_data
from crossprune.reports.page import write_report

EVIL = "</script><b>evil"


@pytest.fixture(scope="module")
def cells(opened):
    return cell_data(opened.overall, opened.details)


def unpacked(page: str) -> dict[str, object]:
    """Return what the packed scripts of a page hold, by name."""
    found = re.findall(r'<script type="application/gzip" data-name="([^"]*)">([^<]*)</script>', page)
    return {unescape(name): json.loads(gzip.decompress(base64.b64decode(text))) for name, text in found}


def test_curves_hold_every_repeat(opened, cells):
    curves = cells["cell/si-pbe/mean"]["curves"]
    assert curves["fractions"] == ["0.25", "0.5", "1"]
    table = opened.overall[(opened.overall["model"] == "mean") & (opened.overall["split"] == "ood")]
    for way, (chooser, method) in {"random": ("random", "random"), "mean · fps": ("mean", "fps")}.items():
        line = curves["outcomes"]["energy:ood"][way]
        assert line["runs"] == ["seed 0", "seed 1"]
        here = table[(table["chooser"] == chooser) & (table["method"] == method)]
        here = here[here["pooling"] != "max"]
        wide = here.pivot_table(index="seed", columns="fraction", values="energy_mae_mev_per_atom")
        np.testing.assert_allclose(np.array(line["values"]), wide.to_numpy(), rtol=1e-3)
        sizes = here.groupby("fraction")["n_configurations"].mean()
        assert curves["sizes"][way] == sizes.tolist()


def test_a_cell_holds_its_groups_and_the_predictions_of_its_first_seed(opened, cells):
    own, shared = cells["cell/si-pbe/mean"], cells["set/si-pbe"]
    groups = opened.details.groups
    here = groups[(groups["way"] == "mean · fps, max pooling") & (groups["fraction"] == 0.5)]
    here = here[(here["model"] == "mean") & (here["split"] == "test")].set_index("group")
    part = own["groups"]["test"]
    energies, forces = part["ways"]["mean · fps, max pooling"]["0.5"]
    for name, energy, force in zip(part["names"], energies, forces, strict=True):
        assert energy == pytest.approx(here.loc[name, "energy_mae_mev_per_atom"], rel=5e-3)
        assert force == pytest.approx(here.loc[name, "force_mae_ev_per_angstrom"], rel=5e-3)
    fit = own["fits"]["test"]["mean · fps, max pooling"]["0.5"]
    fits = opened.details.fits
    row = fits[
        (fits["fit_key"] == own["keys"]["mean · fps, max pooling"]["0.5"])
        & (fits["part"] == "test")
        & (fits["way"] == "mean · fps, max pooling")
    ]
    row = row.iloc[0]
    labels = np.array(shared["parts"]["test"]["labels"]) / 1e4
    np.testing.assert_allclose(labels + np.array(fit["errors"]) / 1e3, row["energies"], rtol=2e-3)
    assert np.cumsum(fit["filled"]).tolist() == row["filled"].tolist()
    assert cells["cells"]["shown"] == cells["cells"]["fits"] == 20


def test_pools_are_repeats_of_one_data_set(opened):
    twice = pd.concat(
        [opened.overall.assign(pool=pool, source="si-pbe") for pool in (0, 1)], ignore_index=True
    )
    twice["dataset"] = "si-pbe, pool " + twice["pool"].astype(str)
    found = cell_data(twice, Details())
    assert found["cells"]["sets"] == {"si-pbe, pool 0": "si-pbe", "si-pbe, pool 1": "si-pbe"}
    runs = found["cell/si-pbe/mean"]["curves"]["outcomes"]["force:test"]["random"]["runs"]
    assert runs == ["pool 0, seed 0", "pool 0, seed 1", "pool 1, seed 0", "pool 1, seed 1"]


def test_what_is_not_done_is_said_with_its_reason(opened):
    table = opened.overall.copy()
    lost = (table["chooser"] == "random") & (table["seed"] == 1) & (table["fraction"] == 0.25)
    table.loc[lost, ["status", "reason"]] = ("out_of_memory", "Traceback\n  line\nMemoryError: " + "x" * 999)
    own = cell_data(table, Details())["cell/si-pbe/mean"]
    (sentence,) = own["unfinished"]["random"]["0.25"]
    assert sentence.startswith("seed 1: out of memory: MemoryError: xxx")
    assert len(sentence) <= 200
    assert own["curves"]["outcomes"]["force:test"]["random"]["values"][1][0] is None
    assert list(own["unfinished"]) == ["random"]


def test_the_study_of_a_cell_gives_its_numbers_again(opened, cells, finished, tmp_path):
    own, shared = cells["cell/si-pbe/flat"], cells["set/si-pbe"]
    way = shared["ways"]["composition · fps, max pooling"]["study"]
    text = f"{shared['study']}{way}fractions = [{shared['fractions']['0.25']}]\n{own['study']}"
    assert tomllib.loads(text)["options"] == {"flat": {"adapter": "mean"}}
    again = read_overall(finished(tmp_path / "again", text) / "results.parquet")
    keys = ["chooser", "method", "pooling", "fraction", "seed", "model", "split"]
    both = opened.overall.merge(again[again["chooser"] == "composition"], on=keys, suffixes=("", "_again"))
    assert len(both) == 2 * 3, "seeds and parts"
    for name in ("energy_mae_mev_per_atom", "force_mae_ev_per_angstrom", "fit_key"):
        assert (both[name] == both[f"{name}_again"]).all()


def test_frames_are_those_of_the_data_set(opened):
    ((name, found),) = frame_data(opened.details).items()
    (structures,) = opened.details.structures
    dataset = structures.dataset
    assert name == "frames/si-pbe"
    assert found["index"] == list(range(30)), "all are on the map or in a parity plot"
    for place, index in enumerate(found["index"]):
        atoms, drawn = dataset.frames[index], found["atoms"][place]
        assert found["groups"][found["group"][place]] == dataset.groups[index]
        assert found["parts"][found["part"][place]] == dataset.split[index]
        assert found["energy"][place] / 1e4 == pytest.approx(energy_of(atoms) / len(atoms), abs=5.1e-5)
        forces = forces_of(atoms)
        assert found["force"][place] == pytest.approx(np.linalg.norm(forces, axis=1).max(), rel=1e-3)
        positions = np.reshape(drawn["positions"], (-1, 3)) / 1000
        np.testing.assert_allclose(positions, atoms.get_positions(wrap=True), atol=5.1e-4)
        np.testing.assert_allclose(np.reshape(drawn["forces"], (-1, 3)) / 1000, forces, atol=5.1e-4)
        np.testing.assert_allclose(np.reshape(drawn["cell"], (3, 3)), atoms.cell.array, rtol=1e-4, atol=1e-9)
    for (source, way, fraction), subset in opened.details.chosen.items():
        digits = found["chosen"][way][f"{fraction:g}"]
        bits = [(int(digits[one >> 2], 16) >> (3 - (one & 3))) & 1 for one in range(30)]  # as structure.js
        assert source == "si-pbe"
        assert np.flatnonzero(bits).tolist() == subset.tolist()


def test_rows_are_laid_out_as_their_table_says():
    rng = np.random.default_rng(0)
    rows = [(way, share, name) for way in "ab" for share in (0.1, 0.25) for name in "xyz"]
    table = pd.DataFrame(rows, columns=["way", "fraction", "name"]).assign(one=rng.normal(size=12), two=1.0)
    table = table.drop(index=[4]).sample(frac=1, random_state=0)
    found = dict(rows_of(table, ["way", "fraction"], "name", ["x", "y", "z"], ["one", "two"]))
    assert list(found) == [key for key, _ in parts_of(table, ["way", "fraction"])]
    for (way, share), numbers in found.items():
        here = table[(table["way"] == way) & (table["fraction"] == float(share))].set_index("name")
        np.testing.assert_array_equal(numbers, here.reindex(["x", "y", "z"])[["one", "two"]].T)
    assert few_digits([0.123456, float("nan"), float("inf"), 1e17]) == [0.1235, None, None, 1e17]


def assessed(**columns: object) -> pd.DataFrame:
    shared = {"dataset": "x", "chooser": "snap", "method": "fps", "fraction": 0.1, "model": "gap"}
    return pd.DataFrame(columns).assign(**shared)


def test_properties_are_means_over_repeats_with_their_first_reason():
    table = assessed(
        seed=[0, 1, 0],
        structure=["bulk", "bulk", "vacancy"],
        property=["b_gpa", "b_gpa", "e_ev"],
        value=[90.0, 100.0, np.nan],
        reference=[80.0, 80.0, np.nan],
        status=["done", "suspect", "failed"],
        reason=["", "unstable", "no minimum"],
    )
    tree = values_of(table)["x/gap"]
    assert tree["names"] == [["bulk", "b_gpa"], ["vacancy", "e_ev"]]
    assert tree["reference"] == [80.0, None]
    cell = tree["ways"]["snap · fps"]["0.1"]
    assert cell["value"] == [95.0, None]
    assert (cell["n"], cell["of"], cell["suspect"]) == ([2, 0], [2, 1], [1, 0])
    assert [tree["reasons"][one] for one in cell["why"]] == ["unstable", "no minimum"]


def test_runs_are_listed_one_by_one():
    table = assessed(
        seed=[0, 1],
        start="crystal",
        ensemble="nve",
        temperature_k=843.5,
        survived=pd.array([True, None], dtype="boolean"),
        survival_ps=[0.3, np.nan],
        planned_ps=0.3,
        failure="",
        reason=["", "no potential"],
    )
    tree = runs_of(table)["x/gap"]
    assert tree["ways"]["snap · fps"]["0.1"] == [
        [0, "crystal", "nve", 843.5, 1, 0.3, 0.3, -1],
        [1, "crystal", "nve", 843.5, None, None, 0.3, 0],
    ]
    assert tree["reasons"] == ["no potential"]
    assert runs_of(None) == values_of(None) == {}


@pytest.mark.slow
def test_a_page_carries_cells_frames_and_the_viewer(opened):
    page = write_report(opened.overall, opened.root, {}, whole=opened.table).read_text()
    names = set(unpacked(page))
    assert {"cells", "set/si-pbe", "cell/si-pbe/mean", "cell/si-pbe/flat", "frames/si-pbe"} <= names
    assert page.count('data-library="3dmol"') == 1
    ways = unpacked(page)["set/si-pbe"]["ways"]
    assert 'poolings = ["max"]' in ways["mean · fps, max pooling"]["study"]
    each = [one for name in names for one in [packed_json(unpacked(page)[name])] if name.startswith("cell/")]
    assert max(map(len, each)) < 30_000


@pytest.mark.slow
def test_names_are_inert_and_a_table_alone_has_no_viewer(make_results, tmp_path):
    results = make_results(lambda *_: 0.2, models=("snap", EVIL), choosers=("random", EVIL))
    page = write_report(results, tmp_path, {}).read_text()
    assert EVIL not in page
    found = unpacked(page)
    assert f"cell/mlearn-Mo/{EVIL}" in found
    assert f"{EVIL} · fps" in found["set/mlearn-Mo"]["ways"]
    assert 'data-library="3dmol"' not in page
