"""``crossprune.softening``: stored forces and potentials, and what is wrong with either in one line."""

from __future__ import annotations

import crossprune
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from crossprune.harness.errors import DataError, StudyError

KEYS = {"reference_key": "dft", "predicted_key": "model"}
FACTOR = 0.85


class Softened(Calculator):
    """EMT with forces that are too small."""

    implemented_properties = ["energy", "forces"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        inner = self.atoms.copy()
        inner.calc = EMT()
        self.results = {"energy": inner.get_potential_energy(), "forces": FACTOR * inner.get_forces()}


def copper(n_frames=16, seed=0):
    """Rattled frames with labels of EMT, half of them hot; the first is a perfect crystal."""
    rng, made = np.random.default_rng(seed), []
    for index in range(n_frames):
        atoms = bulk("Cu", cubic=True)
        width = 0.0 if index == 0 else (0.02, 0.1)[index % 2]
        atoms.positions += rng.normal(0.0, width, (len(atoms), 3))
        atoms.info["group"] = ("cold", "hot")[index % 2]
        known = atoms.copy()
        known.calc = EMT()
        results = {"energy": known.get_potential_energy(), "forces": known.get_forces()}
        atoms.calc = SinglePointCalculator(atoms, **results)
        made.append(atoms)
    return made


@pytest.fixture
def frames():
    rng, made = np.random.default_rng(1), copper()
    for atoms in made:
        atoms.arrays["dft"] = atoms.get_forces()
        atoms.arrays["model"] = FACTOR * atoms.get_forces() + rng.normal(0.0, 1e-3, (len(atoms), 3))
    return made


def test_a_file_and_its_frames_give_the_same(frames, tmp_path):
    write(tmp_path / "w.extxyz", frames, format="extxyz")
    from_file = crossprune.softening(tmp_path / "w.extxyz", **KEYS)
    from_frames = crossprune.softening(read(tmp_path / "w.extxyz", ":"), **KEYS)
    assert from_file.table.equals(from_frames.table)
    assert from_file.table["group"].tolist() == ["all", "cold", "hot"]
    whole = from_file.table.iloc[0]
    assert (whole["n_configurations"], whole["n_slopes"], whole["verdict"]) == (16, 15, "soft")
    assert whole["pooled_slope"] == pytest.approx(FACTOR, abs=0.005)
    assert len(from_file.configurations) == 16
    assert np.isnan(from_file.configurations["slope"][0])
    assert from_file.histogram.groupby("group")["n_slopes"].sum().to_dict() == {
        "all": 15,
        "cold": 7,
        "hot": 8,
    }


def test_a_key_may_name_what_is_read_as_a_result(frames, tmp_path):
    write(tmp_path / "w.extxyz", frames, format="extxyz")
    found = crossprune.softening(tmp_path / "w.extxyz", reference_key="forces", predicted_key="model")
    known = crossprune.softening(tmp_path / "w.extxyz", **KEYS)
    assert found.table.equals(known.table)


def test_a_calculator_is_asked_for_its_forces():
    found = crossprune.softening(Softened(), copper())
    whole = found.table.iloc[0]
    assert whole["part"] == "given"
    for name in ("pooled_slope", "median_slope", "theil_sen"):
        assert whole[name] == pytest.approx(FACTOR)
    assert whole["scale"] == pytest.approx(1 / FACTOR)
    assert whole["mae_scaled"] == pytest.approx(0.0, abs=1e-12)
    assert whole["verdict"] == "soft"
    assert crossprune.softening(EMT(), copper()).table["verdict"].tolist() == ["neither"] * 3


def test_a_potential_has_the_parts_of_evaluate():
    errors = crossprune.evaluate("lammps:sw:Si.sw", "si-pbe", split="ood")
    found = crossprune.softening("lammps:sw:Si.sw", "si-pbe", split="ood")
    assert set(found.table["group"]) == set(errors["group"])
    merged = errors.merge(found.table, on=["part", "group"])
    np.testing.assert_allclose(merged["force_mae_ev_per_angstrom"], merged["mae"])
    assert merged["n_eval_configurations"].tolist() == merged["n_configurations"].tolist()
    assert any("not known" in line for line in found.notes)


def test_a_window_is_stated_and_needs_both_forces(frames):
    found = crossprune.softening(frames, **KEYS, force_window=(0.1, np.inf))
    whole = found.table.iloc[0]
    norms = np.linalg.norm(np.concatenate([atoms.arrays["dft"] for atoms in frames]), axis=1)
    n_inside = int((norms >= 0.1).sum())
    assert whole["n_atoms"] == n_inside
    assert f"from 0.1 eV/Å up: {n_inside} of {len(norms)}" in found.notes[-1]
    assert whole["verdict"] == "soft"
    assert whole["scale_by_prediction"] == pytest.approx(1 / FACTOR, abs=0.01)


def test_groups_can_be_chosen(frames):
    found = crossprune.softening(frames, **KEYS, groups=["hot"])
    assert found.table["n_configurations"].tolist() == [8, 8]
    of_potential = crossprune.softening(Softened(), copper(), groups=["hot"])
    assert of_potential.table["n_configurations"].tolist() == [8, 8]
    for call in (
        lambda: crossprune.softening(frames, **KEYS, groups=["hto"]),
        lambda: crossprune.softening(Softened(), copper(), groups=["hto"]),
    ):
        with pytest.raises(StudyError, match=r"unknown group 'hto'; did you mean 'hot'\? known: cold, hot"):
            call()


def test_draws_are_seeded(frames):
    first, again, other = (
        crossprune.softening(frames, **KEYS, resamples=200, seed=seed).table for seed in (0, 0, 1)
    )
    assert first.equals(again)
    assert first["scale_low"].tolist() != other["scale_low"].tolist()
    assert first["median_scale"].tolist() == other["median_scale"].tolist()


def without(frames):
    del frames[3].arrays["model"]


def flat(frames):
    frames[3].arrays["model"] = np.zeros(4)


def nan(frames):
    frames[3].arrays["model"][2, 0] = np.nan


def words(frames):
    frames[3].arrays["model"] = np.array(["a", "b", "c", "d"])


def complex_numbers(frames):
    frames[3].arrays["model"] = frames[3].arrays["model"] + 0j


def truth_values(frames):
    frames[3].arrays["model"] = frames[3].arrays["model"] > 0


def reserved(frames):
    frames[3].info["group"] = "all"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (without, r"frame 3: no 'model' \(predicted_key\); keys of this frame: dft, "),
        (flat, r"frame 3: 'model' has shape \(4,\); expected \(4, 3\), a vector per atom"),
        (nan, "frame 3: 'model' of atom 2 is NaN, infinite or beyond"),
        (words, "frame 3: 'model' holds no real numbers; name the key of a vector per atom"),
        (complex_numbers, "frame 3: 'model' holds no real numbers"),
        (truth_values, "frame 3: 'model' holds no real numbers"),
        (reserved, "frame 3: the group's name 'all' stands for all groups"),
        (list.clear, "there are no frames"),
        (
            lambda frames: frames.__delitem__(slice(5, None)),
            r"4 of 5 configurations have reference forces that",
        ),
    ],
)
def test_faults_of_frames_are_said_in_a_line(frames, fault, said):
    fault(frames)
    with pytest.raises(DataError, match=said) as caught:
        crossprune.softening(frames, **KEYS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"reference_key": "dft"}, "--predicted-key is missing: stored forces have two keys"),
        ({"predicted_key": "model"}, "--reference-key is missing"),
        ({"reference_key": "dft", "predicted_key": "dft"}, "are both 'dft'; give two keys"),
        ({**KEYS, "data": "si-pbe"}, "--data: for a potential; the keys say that forces are stored"),
        ({**KEYS, "split": "test", "loading": {"seed": 1}}, "--split, seed: for a potential"),
        ({**KEYS, "force_window": (2.0, 1.0)}, "--force-window is 2 1; give the smallest and the largest"),
        ({**KEYS, "force_window": (-1.0, 1.0)}, "--force-window is -1 1"),
        ({**KEYS, "force_window": (0.0, np.nan)}, "--force-window is 0 nan"),
        ({**KEYS, "resamples": 0}, "resamples is 0; give 100 to 1000000, such as 2000"),
        ({**KEYS, "resamples": 1}, "resamples is 1; give 100 to"),  # one draw calls half of all noise soft
        ({**KEYS, "resamples": 10**9}, "resamples is 1000000000; give 100 to"),
        ({**KEYS, "force_window": (1.0,)}, r"--force-window is \(1.0,\); give two numbers"),
        ({**KEYS, "seed": -1}, "seed is -1; give 0 or more"),
        ({}, "frames were given: name their forces by --reference-key and --predicted-key"),
    ],
)
def test_calls_that_mean_nothing_are_refused(frames, how, said):
    with pytest.raises(StudyError, match=said):
        crossprune.softening(frames, **how)


def test_a_file_without_keys_or_no_file_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r"w.extxyz is a file of frames: name their forces"):
        crossprune.softening(tmp_path / "w.extxyz")
    write(tmp_path / "w.db", copper(1))
    with pytest.raises(StudyError, match=r"w.db is a file of frames: name their forces"):
        crossprune.softening(tmp_path / "w.db")
    with pytest.raises(DataError, match="no such file"):
        crossprune.softening(tmp_path / "w.extxyz", **KEYS)
    with pytest.raises(StudyError, match="holds no stored forces: give a file or a list of frames"):
        crossprune.softening(EMT(), **KEYS)
    with pytest.raises(StudyError, match="holds no stored forces: give a file or a list of frames"):
        crossprune.softening([1, 2], reference_key="dft", predicted_key="model")
    for potential in ("lammps:sw:Si.sw", tmp_path):
        with pytest.raises(StudyError, match="holds no stored forces: leave out the keys"):
            crossprune.softening(potential, **KEYS)


def test_a_model_without_forces_has_no_factor():
    mean = crossprune.fit("mean", copper())
    with pytest.raises(DataError, match="all predicted forces are zero, so no factor on them can be fitted"):
        crossprune.softening(mean, copper())
