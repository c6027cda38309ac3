"""What is carried over from labels of another level: all where they agree, a difference where planted."""

from __future__ import annotations

import dataclasses
import tomllib

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.io import write
from crossprune.harness.contract.transfer import REFERENCES, WAYS, Transfer
from crossprune.harness.data.cards import DataOptions, load_dataset
from crossprune.harness.data.frames import SourceLabels, energy_of, forces_of, group_of, label
from crossprune.harness.data.twins import stand_among
from crossprune.harness.engine.loading import load_splits
from crossprune.harness.engine.loop import run
from crossprune.harness.engine.processes.pool import SerialExecutor
from crossprune.harness.engine.study import parse_study
from crossprune.harness.engine.transfer import Labels, fit_with_source
from crossprune.harness.errors import StudyError
from crossprune.harness.lookup import resolve
from crossprune.harness.store.objects import Store
from crossprune.reports.opened.studies import head_of, tail_of

SHIFT = -3.2
FACTOR = 1.05
SNAP = {"twojmax": 4, "cutoff": 4.5}
FORCES = "force_mae_ev_per_angstrom"
N_SOURCE = 60


@pytest.fixture(scope="module")
def world(require_adapter):
    """A SNAP that labels everything, another one that is 5 % harder and lies lower, and the adapter."""
    require_adapter("snap")
    frames = load_dataset("si-pbe").frames[: 2 * N_SOURCE]
    spec = resolve("snap", {"snap": SNAP})
    adapter = spec.make(["Si"])
    prepared = adapter.prepare(frames)
    source = adapter.fit(prepared, np.arange(N_SOURCE), weights={}, rng=np.random.default_rng(0))
    return spec, source, frames


def labelled(potential, frames, *, factor=1.0, shift=0.0):
    found = []
    for atoms in frames:
        said = potential.predict(atoms)
        energy = factor * said.energy + shift * len(atoms)
        found.append(
            label(atoms, energy=energy, forces=factor * said.forces, stress=None, group=group_of(atoms))
        )
    return found


def results(study, folder):
    return run(study, Store(folder), SerialExecutor()).table


def fitted(world, way, references="target", *, n=8, factor=FACTOR, shift=SHIFT):
    """Fit by a way of transfer to n target labels; return force and energy errors on the rest."""
    spec, source, frames = world
    target = labelled(source, frames[N_SOURCE:], factor=factor, shift=shift)
    cheap = labelled(source, frames[:N_SOURCE])
    adapter = spec.make(["Si"])
    prepared = adapter.prepare([*target, *cheap])
    prepared = dataclasses.replace(prepared, source=len(target) + np.arange(N_SOURCE))
    labels = Labels(prepared, np.arange(n), {}, np.random.default_rng(0))
    found = fit_with_source(
        lambda known: spec.make(["Si"], known), Transfer(way, references), labels, repr((way, factor, shift))
    )
    rest = target[n:]
    said = found.predict_many(rest)
    sizes = np.array(list(map(len, rest)))
    forces = np.abs(said.forces - np.concatenate(list(map(forces_of, rest)))).mean()
    energies = np.abs(said.energies - np.array(list(map(energy_of, rest)))) / sizes
    return forces, energies.mean()


@pytest.mark.parametrize("way", ["source", "pooled", "delta", "prior"])
def test_without_a_difference_nothing_is_gained_or_lost(world, way):
    """Target and source are one: what a source says is right already, but for the ridge of a fit, 1e-5."""
    forces, energies = fitted(world, way, factor=1.0, shift=0.0)
    assert forces < 1e-4
    assert energies < 1e-5


def test_a_shift_alone_is_found_by_any_way_that_refers_to_the_target(world):
    for way in ("source", "pooled", "delta", "prior"):
        forces, energies = fitted(world, way, factor=1.0, n=1)
        assert forces < 1e-4, way
        assert energies < 1e-5, way


def test_without_references_of_the_target_the_shift_is_in_the_way(world):
    for way in ("source", "pooled"):
        with_them, without = (fitted(world, way, one, factor=1.0, n=8) for one in ("target", "source"))
        assert without[1] > 0.1
        assert without[1] > 1e3 * with_them[1]
    assert fitted(world, "pooled", "none", factor=1.0, n=8)[1] > 0.1


@pytest.mark.parametrize("way", ["delta", "prior"])
def test_a_planted_difference_is_recovered_as_labels_grow(world, way):
    few, many = fitted(world, way, n=2), fitted(world, way, n=50)
    assert many[0] < 1e-4
    assert many[1] < 1e-5
    assert many[0] < few[0]
    pooled = fitted(world, "pooled", n=50)
    assert pooled[0] > 100 * many[0], "pooled labels contradict each other for ever"


def test_a_prior_is_never_much_worse_than_none_and_far_better_with_few(world):
    plain, prior = (fitted(world, way, n=2)[0] for way in ("none", "prior"))
    assert prior < 0.5 * plain


def test_references_and_ways_are_checked():
    for bad, message in (
        ({"way": "pool"}, "did you mean 'pooled'"),
        ({"way": "delta", "references": "targets"}, "did you mean 'target'"),
        ({"way": "none", "references": "source"}, "sees no source labels"),
    ):
        with pytest.raises(ValueError, match=message):
            Transfer(**bad)
    assert all(Transfer(way).way == way for way in WAYS)
    assert set(REFERENCES) == {"none", "source", "target"}


STUDY = {
    "study": {
        "name": "transfer",
        "datasets": ["si-pair"],
        "fractions": [0.05],
        "seeds": [0],
        "models": ["snap", "mean"],
    },
    "options": {"snap": SNAP},
    "data": {"si-pair": {"smoke": True}},
    "transfer": {"source": "pbe", "target": "r2scan", "ways": ["source", "pooled", "delta", "prior"]},
}


def test_a_study_runs_every_way_and_says_who_cannot(tmp_path):
    study = parse_study(STUDY, "study.toml")
    assert study.models == (
        *("snap", "mean"),
        *(f"{model}-{way}" for model in ("snap", "mean") for way in ("source", "pooled", "delta", "prior")),
    )
    again = results(study, tmp_path / "store")
    cells = again[(again["group"] == "all") & (again["split"] == "test") | (again["status"] != "done")]
    cells = cells.drop_duplicates("model").set_index("model")
    assert (cells["status"].drop(["mean-delta", "mean-prior"]) == "done").all()
    assert cells.loc[["mean-delta", "mean-prior"], "status"].eq("skipped").all()
    assert cells.loc["mean-delta", "reason"].endswith("cannot be fitted towards a source model")
    assert cells.loc["snap-source", FORCES] < cells.loc["snap", FORCES]
    pd.testing.assert_frame_equal(
        results(study, tmp_path / "other")[["model", FORCES]], again[["model", FORCES]]
    )


def test_labels_of_tested_structures_are_withheld_and_change_no_fit():
    """Source labels of test structures are in the store, and no number rests on them."""
    study = parse_study(STUDY, "study.toml")
    [dataset] = load_splits(study, study.labels).values()
    source = dataset.source
    assert source is not None
    held = [one for one, part in zip(dataset.frames, dataset.split, strict=True) if part != "train"]
    assert sum(not one for one in source.usable) == len(held)
    changed = [
        one
        if usable
        else label(
            one, energy=energy_of(one) + 99.0, forces=-forces_of(one), stress=None, group=group_of(one)
        )
        for one, usable in zip(source.frames, source.usable, strict=True)
    ]
    other = dataclasses.replace(dataset, source=SourceLabels("pbe", tuple(changed), source.usable))
    spec = resolve("snap-pooled", study.options)
    found = []
    for one in (dataset, other):
        adapter = spec.make(one.elements)
        prepared = dataclasses.replace(
            adapter.prepare((*one.frames, *one.source.frames)),
            source=len(one.frames) + np.flatnonzero(one.source.usable),
        )
        labels = Labels(prepared, one.indices("train")[:4], {}, np.random.default_rng(0))
        potential = fit_with_source(
            lambda known, one=one: spec.make(one.elements, known), spec.transfer, labels, str(id(one))
        )
        found.append(potential.coefficients)
    np.testing.assert_array_equal(*found)


def test_masks_are_refused_with_transfer(tmp_path):
    masked = {**STUDY["study"], "masks": ["atoms"], "budget": "labels", "models": ["snap"]}
    study = parse_study({**STUDY, "study": masked}, "study.toml")
    table = results(study, tmp_path)
    skipped = table[table["model"] != "snap"]
    assert skipped["status"].eq("skipped").all()
    assert skipped["reason"].str.contains("carries over from whole frames").all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "pbq"}, "unknown data set 'pbq'"),
        ({"source": "r2scan"}, "source and target are both 'r2scan'"),
        ({"source": "si-pair"}, "is the data set itself; name one of its other levels"),
        ({"target": "pbee"}, "unknown level 'pbee'; did you mean 'pbe'"),
        ({"ways": ["deltas"]}, "did you mean 'delta'"),
        ({"source": "", "ways": ["delta"]}, "ways are given, and no source"),
        ({"references": []}, "references is empty"),
        ({"sources": "pbe"}, "did you mean 'source'"),
    ],
)
def test_what_cannot_be_is_said_before_anything_runs(tmp_path, change, message):
    document = {**STUDY, "transfer": {**STUDY["transfer"], **change}}
    with pytest.raises(StudyError, match=message):
        results(parse_study(document, "study.toml"), tmp_path / "store")


def test_a_model_of_the_same_name_is_not_replaced():
    own = {**STUDY["options"], "snap-prior": {"adapter": "snap"}}
    with pytest.raises(StudyError, match="makes a model 'snap-prior', and there is one already"):
        parse_study({**STUDY, "options": own}, "study.toml")


def test_transfer_without_a_source_is_said(world):
    spec = resolve("snap", {"snap": {**SNAP, "transfer": "delta"}})
    frames = load_dataset("si-pbe").frames[:4]
    labels = Labels(spec.make(["Si"]).prepare(frames), np.arange(4), {}, np.random.default_rng(0))
    with pytest.raises(StudyError, match="no labels of another level to use"):
        fit_with_source(lambda known: spec.make(["Si"], known), spec.transfer, labels, "none")


def loaded(**tables):
    """Load the data sets of a study with transfer; tables replace its own."""
    study = parse_study({**STUDY, **tables}, "study.toml")
    return list(load_splits(study, study.labels).values())


def test_a_source_changes_nothing_of_plain_models_and_choices_by_chance(tmp_path):
    plain = {name: STUDY[name] for name in ("study", "options", "data")}
    several = {**STUDY["study"], "seeds": [0, 1], "fractions": [0.3]}
    own = results(parse_study({**plain, "study": several}, "study.toml"), tmp_path / "plain")
    beside = results(parse_study({**STUDY, "study": several}, "study.toml"), tmp_path / "beside")
    keys = ["model", "seed", "split", "group", FORCES]
    shared = beside[beside["model"].isin(["snap", "mean"])]
    pd.testing.assert_frame_equal(shared[keys].reset_index(drop=True), own[keys].reset_index(drop=True))


def test_a_wrong_zero_of_energies_is_an_error_and_no_explosion(tmp_path):
    """Forces of what has the source's references are its own, and not those of `mean`."""
    document = {**STUDY, "transfer": {**STUDY["transfer"], "ways": ["source"], "references": ["source"]}}
    table = results(parse_study(document, "study.toml"), tmp_path)
    mine = table[(table["model"] == "snap-source-source") & (table["group"] == "all")]
    assert mine["energy_mae_mev_per_atom"].min() > 1000
    assert not mine["flag"].str.startswith("exploded").any()


def copies_of(atoms):
    """Return what the same crystal may look like in another file."""
    turned, twice, oblique, printed, moved = (atoms.copy() for _ in range(5))
    turned.rotate(40, (1, 2, 3), rotate_cell=True)
    cell = atoms.cell.array
    oblique.set_cell([cell[0], cell[0] + cell[1], cell[2]])
    printed.positions = atoms.positions.round(4)
    moved.positions += np.random.default_rng(0).normal(0, 2e-4, atoms.positions.shape)
    return {
        "turned": turned,
        "repeated": twice.repeat((2, 1, 1)),
        "in another cell": oblique,
        "four digits": printed,
        "nearly": moved,
        "wrapped": atoms[::-1],
    }


@pytest.mark.parametrize("look", sorted(copies_of(load_dataset("si-pbe").frames[0])))
def test_a_tested_structure_is_withheld_whatever_it_looks_like(look):
    dataset = load_dataset("si-pbe")
    tested = [dataset.frames[index] for index in dataset.indices("test")[:12]]
    train = [dataset.frames[index] for index in dataset.indices("train")[:12]]
    assert stand_among([copies_of(atoms)[look] for atoms in tested], tested) == [True] * len(tested)
    assert sum(stand_among([copies_of(atoms)[look] for atoms in tested], train)) == 0


def test_cross_validation_sees_no_labels_of_what_is_reserved():
    folds = {"si-pair": {"smoke": True, "folds": 3}}
    whole, *_ = loaded()
    [dataset] = loaded(data=folds)
    assert dataset.source is not None
    assert sum(dataset.source.usable) == dataset.split.count("train")
    reserved = [atoms for atoms, part in zip(whole.frames, whole.split, strict=True) if part != "train"]
    seen = [
        atoms for atoms, usable in zip(dataset.source.frames, dataset.source.usable, strict=True) if usable
    ]
    assert not any(stand_among(reserved, seen))


def test_the_data_set_itself_is_no_source_however_it_is_spelt(tmp_path):
    path = tmp_path / "own.extxyz"
    write(path, list(load_dataset("si-pbe").frames[:12]))
    table = {**STUDY["study"], "datasets": [str(path)]}
    other = f"{tmp_path}/../{tmp_path.name}/own.extxyz"
    with pytest.raises(StudyError, match="is the data set itself"):
        loaded(study=table, data={}, transfer={"source": other, "ways": ["source"]})


def test_levels_of_one_mixed_file_are_source_and_target(tmp_path):
    path = tmp_path / "mixed.extxyz"
    loads = (load_dataset("si-pair", options=DataOptions(level=level)) for level in ("pbe", "r2scan"))
    pair = [dataset.frames[:20] for dataset in loads]
    for frames, name in zip(pair, ("PBE", "r2SCAN"), strict=True):
        for atoms in frames:
            write(path, Atoms(atoms, info={"functional": name}, calculator=atoms.calc), append=True)
    table = {**STUDY["study"], "datasets": [str(path)]}
    transfer = {"source": "PBE", "target": "r2SCAN", "ways": ["source"]}
    [dataset] = loaded(study=table, data={}, transfer=transfer)
    assert len(dataset.frames) == len(dataset.source.frames) == 20
    assert sum(dataset.source.usable) == dataset.split.count("train")
    assert energy_of(dataset.source.frames[0]) == energy_of(pair[0][0])


def test_a_source_of_few_frames_needs_no_split(tmp_path):
    path = tmp_path / "few.extxyz"
    write(path, [atoms.copy() for atoms in load_dataset("si-pbe").frames[:1]])
    frames = load_dataset("si-pbe").frames
    write(path, [Atoms(frames[0], calculator=frames[0].calc)])
    [dataset] = loaded(transfer={"source": str(path), "ways": ["source"]})
    assert len(dataset.source.frames) == 1


def test_energies_of_isolated_atoms_are_left_aside_for_all_models():
    own = {"si-pair": {"smoke": True, "isolated_atom_energies": {"Si": -1.0}}}
    [dataset] = loaded(data=own)
    assert dataset.isolated_atom_energies is None
    assert "energies of isolated atoms are left aside" in " ".join(dataset.notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": {"si-pair": {"smoke": True, "level": "pbe"}}}, r"target is 'r2scan', and .* level 'pbe'"),
        ({"study": {**STUDY["study"], "models": 3}}, "models: expected"),
        ({"study": {**STUDY["study"], "models": [["snap"]]}}, "models"),
        ({"options": {"snap": 3}}, r"options"),
        (
            {"transfer": {}, "options": {"snap": {"transfer": "prior"}}},
            "no labels to carry over; name them: source",
        ),
        (
            {"weights": {name: {"energy": 0, "forces": 0} for name in ("no such",)}},
            "unknown group 'no such'",
        ),
    ],
)
def test_contradictions_are_said(tmp_path, change, message):
    document = {**STUDY, **change}
    with pytest.raises(StudyError, match=message):
        results(parse_study(document, "study.toml"), tmp_path / "store")


def test_the_study_of_one_cell_keeps_source_and_its_table():
    document = {**STUDY, "data": {**STUDY["data"], "cheap.extxyz": {"energy_key": "e"}}}
    document["transfer"] = {**STUDY["transfer"], "source": "cheap.extxyz"}
    study = parse_study(document, "study.toml")
    again = tomllib.loads(head_of(study, "si-pair") + tail_of(document, study, "si-pair", ["snap-prior"], []))
    assert again["data"]["cheap.extxyz"] == {"energy_key": "e"}
    assert again["transfer"] == {"source": "cheap.extxyz", "target": "r2scan"}
    assert again["options"]["snap-prior"]["transfer"] == "prior"
    assert again["study"]["models"] == ["snap-prior"]
