"""Softness of every model of a run: the same numbers as of a potential alone, and nothing left out unsaid."""

from __future__ import annotations

import shutil

import crossprune
import numpy as np
import pandas as pd
import pytest
from ase.io import write
from crossprune.harness.analysis.outcomes.curvature import curvature_of, tables_of
from crossprune.harness.analysis.outcomes.softening import BY, PREFIX, Looked, softening_of, summary_of
from crossprune.harness.checks.subject import sample_frames
from crossprune.harness.contract import save_arrays
from crossprune.harness.data.frames import element_counts
from crossprune.harness.engine.results import properties_table
from crossprune.harness.engine.stored import stored_dataset
from crossprune.harness.errors import DataError, StudyError
from crossprune.harness.evaluation.metrics import labels_of

MODELS, SEEDS, FRACTIONS = ["mean", "uf3"], [0, 1], [0.5, 1.0]
CELL = {"dataset": "x", "model": "uf3", "chooser": "random", "method": "random", "fraction": 0.1, "seed": 0}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Run a study on frames of an alloy by EMT, in two groups; half of them are for test."""
    folder = tmp_path_factory.mktemp("softness")
    frames = sample_frames(["Au", "Cu"], 60)
    for index, atoms in enumerate(frames):
        atoms.info["group"] = ("first", "second")[index % 2]
    write(folder / "alloy.extxyz", frames)
    axes = {"name": "t", "datasets": [str(folder / "alloy.extxyz")], "choosers": ["uf3"], "models": MODELS}
    study = {
        "study": {**axes, "fractions": FRACTIONS, "seeds": SEEDS},
        "options": {"uf3": {"resolution_3b": 0}},
        "data": {str(folder / "alloy.extxyz"): {"test_fraction": 0.5}},
    }
    crossprune.run(study, store=folder / "run", workers=0)
    return folder / "run"


@pytest.fixture
def root(ran, tmp_path):
    shutil.copytree(ran, tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.slow
def test_rows_are_those_of_each_potential_alone(ran):
    found = crossprune.softening_of_run(ran)
    results = crossprune.results(ran)
    cells = results[(results["group"] == "all") & (results["split"] == "test") & (results["model"] == "uf3")]
    assert len(found.table) == 3 * len(cells)
    assert set(found.table["split"]) == {"test"}
    numbers = found.table.select_dtypes("number").columns
    for fit in sorted(set(cells["fit_key"])):
        mine = found.table[found.table["fit_key"] == fit].drop_duplicates("group")
        alone = crossprune.softening(ran / "objects" / "fit" / fit[:2] / fit / "potential", split="test")
        assert mine["group"].tolist() == alone.table["group"].tolist() == ["all", "first", "second"]
        assert mine["verdict"].tolist() == alone.table["verdict"].tolist()
        for name in [one for one in numbers if one in alone.table]:
            np.testing.assert_allclose(mine[name], alone.table[name], rtol=1e-6, err_msg=name)
        for name in [one for one in numbers if one.startswith(PREFIX)]:
            theirs = alone.energies[name.removeprefix(PREFIX)]
            np.testing.assert_allclose(mine[name], theirs, rtol=1e-5, atol=1e-9, err_msg=name)
        assert mine["excess_slope"].notna().all()


@pytest.mark.slow
@pytest.mark.parametrize(("factor", "verdict"), [(0.8, "soft"), (1.25, "hard"), (1.0, "neither")])
def test_a_known_softness_is_found(root, factor, verdict):
    """Predictions that are a factor times the truth, with noise, and elements' energies of another kind."""
    rng = np.random.default_rng(0)
    table = crossprune.results(root)
    row = table[(table["model"] == "uf3") & (table["fraction"] == 0.5)].iloc[0]
    fit = root / "objects" / "fit" / row["fit_key"][:2] / row["fit_key"]
    dataset = stored_dataset(root, row["dataset_key"])
    unseen = np.setdiff1d(np.arange(len(dataset.frames)), np.load(fit / "subset.npy"))
    frames = [dataset.frames[index] for index in unseen]
    truth, counts = labels_of(frames), element_counts(frames, dataset.elements)
    arrays = dict(np.load(fit / "predictions.npz"))
    arrays["forces"] = factor * truth.forces + rng.normal(0.0, 1e-3, truth.forces.shape)
    arrays["energies"] = factor * truth.energies + counts @ np.array([-300.0, 20.0])
    save_arrays(fit / "predictions.npz", arrays)
    (fit / "manifest.json").unlink()  # else the change would be damage
    found = crossprune.softening_of_run(root, resamples=300).table
    mine = found[found["fit_key"] == row["fit_key"]]
    whole = mine[mine["group"] == "all"].iloc[0]
    for name in ("median_slope", "pooled_slope", "theil_sen", "excess_slope", "excess_theil_sen"):
        assert whole[name] == pytest.approx(factor, rel=0.01)
    for name in ("median_scale", "scale", "excess_scale"):
        assert whole[name] == pytest.approx(1 / factor, rel=0.01)
    assert mine["verdict"].tolist() == [verdict] * len(mine)
    if factor != 1:
        assert whole["excess_verdict"] == verdict
        assert whole["share_below_one"] == (factor < 1)


@pytest.mark.slow
def test_what_is_left_out_is_said(root):
    notes = crossprune.softening_of_run(root).notes
    assert notes == [
        "part 'test' of 5 fits of mean left out: all predicted forces are zero, so no factor on them can be "
        "fitted"
    ]
    table = pd.read_parquet(root / "results.parquet")
    is_first = (table["model"] == "uf3") & (table["seed"] == 0)
    (of_first, of_second) = (table.loc[(table["model"] == "uf3") & (table["seed"] == seed)] for seed in SEEDS)
    gone = sorted(set(of_second["fit_key"]) - set(of_first["fit_key"]))[0]
    n_gone = table[table["fit_key"] == gone]["cell"].nunique()
    shutil.rmtree(root / "objects" / "fit" / gone[:2] / gone)
    lost = table.loc[is_first & (table["fraction"] == 0.5), "cell"].iloc[0]
    table.loc[table["cell"] == lost, ["status", "fit_key"]] = ["crashed", ""]
    table.loc[table["model"] == "mean", "chooser"] = "published"
    table.to_parquet(root / "results.parquet")
    found = crossprune.softening_of_run(root)
    assert found.notes == [
        "1 cells left out that are crashed: of uf3",
        f"{n_gone} cells left out whose predictions are not in the store any more: of uf3",
        "published potentials left out, whose predictions a store does not keep: mean; see crossprune "
        "softening POTENTIAL --data SET",
    ]
    assert gone not in set(found.table["fit_key"])
    shutil.rmtree(root / "objects" / "fit")
    with pytest.raises(DataError, match=r"no cell tells of softness; .* not in the store any more: of uf3"):
        softening_of(root, Looked(seed=1))


@pytest.mark.slow
def test_seeds_are_summarised_and_never_resampled(root):
    found = crossprune.softening_of_run(root)
    rows = found.table[(found.table["fraction"] == 0.5) & (found.table["chooser"] == "random")]
    whole = rows[rows["group"] == "all"]
    assert whole["seed"].tolist() == SEEDS
    assert set(whole["n_configurations"]) == {30}
    named = found.summary[found.summary["way"].eq("random") & found.summary["group"].eq("all")]
    (row,) = named[named["fraction"] == 0.5].to_dict("records")
    assert row["n_fits"] == 2
    for name in ("median_scale", "median_slope", "excess_slope"):
        low, high = sorted(whole[name])
        assert (row[f"{name}_lowest"], row[f"{name}_highest"]) == (low, high)
        assert row[name] == pytest.approx((low + high) / 2)
    assert row["median_scale_low"] == whole["median_scale_low"].min()
    (full,) = named[named["fraction"] == 1.0].to_dict("records")
    assert full["n_fits"] == 1  # both seeds share it
    mine = found.histogram[found.histogram["way"].eq("random") & found.histogram["fraction"].eq(0.5)]
    assert mine["n_slopes"].sum() == mine["n_scales"].sum() == whole["n_slopes"].sum()


@pytest.mark.slow
def test_tables_are_kept_until_asked_for_otherwise(root):
    first = softening_of(root)["softening"]
    assert (root / "analysis" / "softening.parquet").is_file()
    written = (root / "analysis" / "softening.parquet").stat().st_mtime_ns
    pd.testing.assert_frame_equal(softening_of(root)["softening"], first)
    windowed = crossprune.softening_of_run(root, force_window=(0.1, np.inf), groups=["second"], split="test")
    assert set(windowed.table["group"]) == {"all", "second"}
    assert windowed.table["n_atoms"].max() < first["n_atoms"].max()
    assert windowed.notes[-1] == "only atoms whose reference force is from 0.1 to below inf eV/Å"
    assert (root / "analysis" / "softening.parquet").stat().st_mtime_ns == written


@pytest.mark.slow
def test_calls_that_mean_nothing_are_refused(root):
    with pytest.raises(StudyError, match="unknown group 'secnod'; did you mean 'second'"):
        crossprune.softening_of_run(root, groups=["secnod"])
    with pytest.raises(StudyError, match="of a run: unknown split 'remainder'; known: "):
        crossprune.softening_of_run(root, split="remainder")
    with pytest.raises(StudyError, match="resamples is 5; give 100 to"):
        crossprune.softening_of_run(root, resamples=5)
    with pytest.raises(StudyError, match="is the folder of a run: softening_of_run looks at all its models"):
        crossprune.softening(root)
    shutil.rmtree(root / "objects")
    with pytest.raises(StudyError, match="has no folder objects"):
        crossprune.softening_of_run(root)
    (root / "results.parquet").unlink()
    with pytest.raises(StudyError, match="holds no finished run"):
        crossprune.softening_of_run(root)


def test_summaries_do_not_go_over_models_or_fractions():
    rows = [
        {**CELL, "model": model, "fraction": fraction, "seed": seed, "split": "test", "group": "all"}
        for model in ("a", "b")
        for fraction in (0.1, 1.0)
        for seed in (0, 1, 2)
    ]
    table = pd.DataFrame(rows).assign(verdict=["soft", "hard", "neither"] * 4, held_out="")
    table = table.assign(dataset_key="d", fit_key=np.arange(12).astype(str))
    for name in ("median_scale", "median_slope"):
        table = table.assign(**{f"{name}_low": 0.0, f"{name}_high": 2.0})
    for name in ("median_scale", "median_slope", "pooled_slope", "scale", "excess_scale", "excess_slope"):
        table[name] = np.arange(12.0)
    found = summary_of(table)
    assert found["median_scale"].tolist() == [1.0, 4.0, 7.0, 10.0]
    assert found["median_scale_highest"].tolist() == [2.0, 5.0, 8.0, 11.0]
    assert set(found["n_soft"]) == set(found["n_hard"]) == {1}
    assert not found.duplicated(BY).any()


def rows_of_properties(values, model="snap", seed=0):
    return [
        {**CELL, "model": model, "seed": seed, "cell": f"{model}{seed}", "structure": structure}
        | {"property": name, "value": value, "reference": reference, "status": "done", "reason": ""}
        for structure, name, value, reference in values
    ]


def test_curvature_is_a_ratio_and_of_frequencies_of_squares():
    rows = rows_of_properties(
        [
            ("diamond", "c11_gpa", 80.0, 100.0),
            ("diamond", "c11_at_reference_cell_gpa", 90.0, 100.0),
            ("diamond", "bulk_modulus_gpa", 95.0, 100.0),
            ("fcc", "bulk_modulus_gpa", 70.0, 100.0),
            ("hcp", "bulk_modulus_gpa", np.nan, 100.0),
            ("diamond", "energy_ev_per_atom", -5.0, -5.5),
            ("diamond", "c12_gpa", 0.7, 0.5),  # a reference that is noise
            ("phonon", "x_1_thz", 4.5, 5.0),
            ("phonon", "x_2_thz", -2.5, 5.0),
            ("phonon", "gamma_1_thz", 0.1, 0.0),
            ("phonon", "lowest_thz", -1.0, 5.0),
        ]
    )
    found = tables_of(properties_table(rows))["curvature"].set_index(["kind", "computed"])
    own = "in its own cell"
    assert found.loc["C11", own]["ratio"] == pytest.approx(0.8)
    assert found.loc["C11", "in the reference's cell"]["ratio"] == pytest.approx(0.9)
    bulk = found.loc["B", own]
    assert (bulk["n_values"], bulk["n_failed"]) == (3, 1)
    assert (bulk["ratio_lowest"], bulk["ratio_highest"]) == pytest.approx((0.7, 0.95))
    phonons = found.loc["phonons", own]
    assert phonons["n_values"] == 2
    assert (phonons["ratio_lowest"], phonons["ratio_highest"]) == pytest.approx((-0.25, 0.81))
    assert set(found.index.get_level_values("kind")) == {"C11", "B", "phonons"}


def test_curvatures_of_seeds_are_summarised(tmp_path):
    values = {0: 80.0, 1: 90.0, 2: 85.0}
    rows = [
        row
        for seed, one in values.items()
        for row in rows_of_properties([("fcc", "c44_gpa", one, 100.0)], seed=seed)
    ]
    (row,) = tables_of(properties_table(rows))["curvature_summary"].to_dict("records")
    assert (row["n_fits"], row["ratio"]) == (3, pytest.approx(0.85))
    assert (row["ratio_lowest"], row["ratio_highest"]) == pytest.approx((0.8, 0.9))
    assert all(table.empty for table in curvature_of(tmp_path).values())
