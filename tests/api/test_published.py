"""A published potential is a row beside the refits, and takes part in no comparison."""

from __future__ import annotations

import crossprune
import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis.answer import analyse, read_results
from crossprune.harness.engine.results import refits
from crossprune.harness.engine.study import parse_study
from crossprune.harness.engine.trials.published import UNKNOWN, needs, stored_published
from crossprune.harness.errors import StudyError
from crossprune.harness.store.objects import Store
from crossprune.harness.store.upkeep import find_waste, verify

pytestmark = pytest.mark.slow  # runs a study

SOURCE = "lammps:sw:Si.sw"
STUDY = {
    "study": {
        "name": "t",
        "datasets": ["si-pbe"],
        "choosers": ["mean"],
        "models": ["mean"],
        "fractions": [0.5, 1.0],
        "seeds": [0, 1],
    },
    "data": {"si-pbe": {"smoke": True}},
    "properties": {"enabled": True, "names": ["lattice"], "seeds": [1]},
    "md": {"enabled": True, "ensembles": ["nve"], "melting_fractions": [0.5], "steps": 5, "repeat": 1,
           "n_velocities": 1},
}  # fmt: skip


def with_published(*sources):
    return {**STUDY, "study": {**STUDY["study"], "published": list(sources)}}


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Run the same study with and without a published potential."""
    pytest.importorskip("lammps")
    folder = tmp_path_factory.mktemp("published")
    without = crossprune.run(STUDY, store=folder / "without", workers=0)
    beside = crossprune.run(with_published(SOURCE), store=folder / "with", workers=0)
    return without, beside


def test_its_errors_are_those_that_evaluate_gives(stores):
    rows = stores[1].results.query("chooser == 'published'")
    assert set(rows["split"]) == {"test", "ood"}
    assert set(rows["model"]) == {SOURCE}
    assert rows["fraction"].isna().all()
    assert (rows["flag"] == UNKNOWN).all()
    assert rows["n_configurations"].isna().all()
    for part in ("test", "ood"):
        expected = crossprune.evaluate(SOURCE, "si-pbe", split=part, loading={"smoke": True})
        here = rows[rows["split"] == part]
        assert here["group"].tolist() == expected["group"].tolist()
        for name in ("energy_mae_mev_per_atom", "force_mae_ev_per_angstrom", "n_eval_atoms"):
            assert here[name].tolist() == pytest.approx(expected[name].tolist())


def test_nothing_that_is_compared_changes(stores):
    without, beside = stores
    rest = refits(beside.results)
    volatile = ["store", "fit_s", "predict_s", "peak_memory_mb"]
    pd.testing.assert_frame_equal(
        rest.drop(columns=volatile), without.results.drop(columns=volatile), check_dtype=False
    )
    assert "published" not in set(read_results(beside.store)["chooser"])
    one, two = analyse(without.store), analyse(beside.store)
    assert one.keys() == two.keys()
    for name, table in one.items():
        pd.testing.assert_frame_equal(table, two[name], obj=name)
    alone = analyse(beside.store / "results.parquet")  # a table without its store
    pd.testing.assert_frame_equal(alone["answer"], analyse(without.store / "results.parquet")["answer"])


def test_it_has_properties_and_dynamics_whatever_seeds_and_models_are_asked_for(stores):
    for table in (stores[1].properties, stores[1].md):
        rows = table[table["chooser"] == "published"]
        assert len(rows)
        assert (rows["status"] == "done").all()
    lattice = stores[1].properties.query("chooser == 'published' and property == 'a_angstrom'")
    assert lattice["value"].to_numpy() == pytest.approx(5.431, abs=1e-3)  # Stillinger & Weber 1985
    assert (lattice["reference_seen"] == "").all()


def test_the_report_shows_it_apart(stores):
    without, beside = (one.report.read_text() for one in stores)
    assert '<section id="published">' in beside
    assert UNKNOWN in beside
    assert '<section id="published">' not in without


def test_its_row_gives_its_calculator_and_says_that_its_data_are_unknown(stores):
    row = stores[1].results.query("chooser == 'published'").iloc[0]
    atoms = crossprune.load_frames("si-pbe")[0]
    energy = []
    for source in (row, SOURCE):
        atoms.calc = crossprune.load_potential(source)
        energy.append(atoms.get_potential_energy())
    assert energy[0] == energy[1]
    with pytest.raises(StudyError, match="nobody knows its data"):
        crossprune.evaluate(row)


def test_the_store_is_whole_and_nothing_is_computed_twice(stores):
    store = Store(stores[1].store)
    assert verify(store).broken == ()
    keys, needed = needs(parse_study(with_published(SOURCE), "study"), store)
    waste = find_waste(store, keys, needed)
    assert (waste.records, waste.artefacts) == ((), ())
    rows = [*stored_published(parse_study(with_published(SOURCE), "study"), store)]
    assert [(cell.model, record.status) for _, cell, record in rows] == [(SOURCE, "done")]
    before = {path: path.stat().st_mtime for path in (store.root / "objects").rglob("*.json")}
    again = crossprune.run(with_published(SOURCE), store=store.root, workers=0)
    assert {path: path.stat().st_mtime for path in (store.root / "objects").rglob("*.json")} == before
    columns = ["model", "split", "group", "force_mae_ev_per_angstrom"]
    pd.testing.assert_frame_equal(again.results[columns], stores[1].results[columns])


def test_one_that_fits_no_data_set_is_an_error_before_anything_runs(tmp_path):
    pytest.importorskip("lammps")
    source = "lammps:snap:Mo_Zuo_JPCA2020"
    with pytest.raises(StudyError, match="knows Mo, and no data set"):
        crossprune.run(with_published(source), store=tmp_path / "st", workers=0)
    with pytest.raises(StudyError, match="has a value twice"):
        parse_study(with_published(SOURCE, SOURCE), "study")
    with pytest.raises(StudyError, match="'published' stands for published potentials"):
        parse_study({"study": {**STUDY["study"], "models": ["published"]}}, "study")


def test_curves_get_a_horizontal_line():
    from crossprune.reports.drawing.figures import learning_curve
    from crossprune.reports.tables import METRICS

    curves = pd.DataFrame(
        {
            "model": "snap",
            "chooser": "random",
            "method": "random",
            "fraction": [0.1, 1.0],
            "n_configurations": [10.0, 100.0],
            "mean": [0.2, 0.1],
            "standard_error": [0.01, 0.0],
            "n_seeds": [2, 2],
        }
    )
    plain = learning_curve(curves, METRICS[0], "snap", ["random"])
    drawn = learning_curve(curves, METRICS[0], "snap", ["random"], {"lammps:snap:X": 0.15})
    [level] = [one for one in drawn["data"] if one not in plain["data"]]
    assert level["x"] == [10.0, 100.0]
    assert np.all(np.array(level["y"]) == 0.15)
