"""Reading and refusing: every broken file or frame gives one message with file, frame and remedy."""

import gzip
import json

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.io import write
from crossprune.harness.data.cards import DataOptions, load_dataset
from crossprune.harness.data.files.formats import read_file
from crossprune.harness.data.files.labels import Keys
from crossprune.harness.data.files.mlearn import read_mlearn
from crossprune.harness.data.frames import energy_of, forces_of, group_of, stress_of
from crossprune.harness.data.validation import MIN_DISTANCE, too_close
from crossprune.harness.errors import DataError, StudyError

VOIGT = np.arange(1.0, 7.0) / 100


def labelled(seed=0, *, group="bulk", stress=True, **results) -> Atoms:
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.05, seed=seed)
    atoms.info["group"] = group
    labels = {"energy": -4.0 - seed, "forces": np.full((4, 3), 0.1 * seed)} | results
    if stress:
        labels["stress"] = VOIGT
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


@pytest.fixture
def frames():
    return [labelled(seed) for seed in range(6)]


@pytest.mark.parametrize("name", ["data.extxyz", "data.xyz", "data.extxyz.gz", "data.db"])
def test_labels_survive(tmp_path, frames, name):
    if name.endswith(".db"):
        with connect(tmp_path / name) as database:
            for atoms in frames:
                database.write(atoms, group=atoms.info["group"])
    else:
        write(tmp_path / name, frames, format="extxyz")
    records = read_file(tmp_path / name, Keys()).records
    for atoms, record in zip(frames, records, strict=True):
        assert energy_of(record.atoms) == pytest.approx(energy_of(atoms))
        np.testing.assert_allclose(forces_of(record.atoms), forces_of(atoms), atol=1e-8)
        np.testing.assert_allclose(stress_of(record.atoms), VOIGT, atol=1e-12)
        assert group_of(record.atoms) == "bulk"


def test_free_energy_comes_first_because_the_forces_are_its_derivative(tmp_path):
    write(tmp_path / "data.extxyz", labelled(0, energy=-1.0, free_energy=-1.5))
    [record] = read_file(tmp_path / "data.extxyz", Keys()).records
    assert energy_of(record.atoms) == -1.5
    [record] = read_file(tmp_path / "data.extxyz", Keys(energy="energy")).records
    assert energy_of(record.atoms) == -1.0


def test_own_keys_and_virial_sign(tmp_path):
    atoms = bulk("Cu", cubic=True)
    virial = np.diag([3.0, 2.0, 1.0])
    virial[0, 1] = virial[1, 0] = 0.5
    atoms.info |= {"dft_energy": -2.0, "dft_virial": virial, "kind": "hot", "time": 7}
    atoms.arrays["dft_forces"] = np.ones((4, 3))
    write(tmp_path / "data.xyz", atoms, format="extxyz")
    keys = Keys(energy="dft_energy", forces="dft_forces", virial="dft_virial", group="kind", order="time")
    [record] = read_file(tmp_path / "data.xyz", keys).records
    assert (energy_of(record.atoms), group_of(record.atoms), record.order) == (-2.0, "hot", 7)
    expected = -np.array([3.0, 2.0, 1.0, 0.0, 0.0, 0.5]) / atoms.get_volume()
    np.testing.assert_allclose(stress_of(record.atoms), expected, atol=1e-10)


def breakage(kind: str) -> tuple[Atoms, str]:
    atoms = labelled(9)
    results = atoms.calc.results
    if kind == "nan":
        results["forces"][1, 2] = np.nan
        return atoms, "forces has NaN or infinite values; recompute or remove"
    if kind == "infinite energy":
        results["energy"] = np.inf
        return atoms, "energy has NaN or infinite values; recompute or remove"
    if kind == "no energy":
        del results["energy"]
        atoms.info["dft_energy"] = -1.0
        return atoms, "no energy; give --energy-key dft_energy, or set energy_key = "
    if kind == "no forces":
        del results["forces"]
        return atoms, "no forces; label the frame, or set forces_key"
    if kind == "no cell":
        atoms.cell[:] = 0
        del results["stress"]
        return atoms, "periodic, but the cell has no volume: a vector along a periodic direction is zero"
    atoms.positions *= 0.1
    return atoms, f"two atoms are closer than {MIN_DISTANCE} Å; give positions and cell in Å"


@pytest.mark.parametrize("kind", ["nan", "infinite energy", "no energy", "no forces", "no cell", "units"])
def test_broken_frame(tmp_path, frames, kind):
    bad, message = breakage(kind)
    path = tmp_path / "data.extxyz"
    for atoms in [*frames[:2], bad, *frames[2:]]:
        write(path, atoms, format="extxyz", append=True)
    with pytest.raises(DataError, match=rf"data\.extxyz, frame 2: {message}"):
        load_dataset(path)


def test_wrong_shape_of_forces(tmp_path):
    atoms = bulk("Cu", cubic=True)
    atoms.info["energy"] = -1.0
    atoms.arrays["two"] = np.ones((4, 2))
    write(tmp_path / "data.extxyz", atoms)
    with pytest.raises(DataError, match=r"frame 0: forces has shape \(4, 2\), expected \(4, 3\); check"):
        load_dataset(tmp_path / "data.extxyz", options=DataOptions(forces_key="two"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"energy_key": "enrgy"}, r"frame 0: no 'enrgy' \(energy_key\); keys of this frame: .*energy"),
        ({"group_key": "kind"}, r"frame 0: no 'kind' \(group_key\); keys of this frame: group"),
        ({"split_key": "part"}, r"frame 0: no 'part' \(split_key\); keys of this frame: group"),
        ({"split_key": "group"}, r"frame 0: no part of a given split \('bulk'\); set split_key"),
        ({"order_key": "time"}, r"no frame has 'time' \(order_key\)"),
    ],
)
def test_unknown_key(tmp_path, frames, options, message):
    write(tmp_path / "data.extxyz", frames)
    with pytest.raises(DataError, match=message):
        load_dataset(tmp_path / "data.extxyz", options=DataOptions(**options))


@pytest.mark.parametrize("cut", [-20, -200, 40])
def test_truncated_xyz(tmp_path, frames, cut):
    write(tmp_path / "whole.extxyz", frames)
    (tmp_path / "cut.extxyz").write_text((tmp_path / "whole.extxyz").read_text()[:cut])
    with pytest.raises(DataError, match=r"cut\.extxyz, frame \d: not readable .* truncated or malformed"):
        load_dataset(tmp_path / "cut.extxyz")


def test_truncated_gzip(tmp_path, frames):
    write(tmp_path / "whole.extxyz", frames)
    packed = gzip.compress((tmp_path / "whole.extxyz").read_bytes())
    (tmp_path / "cut.extxyz.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(DataError, match=r"cut\.extxyz\.gz, frame \d: not readable"):
        load_dataset(tmp_path / "cut.extxyz.gz")


def test_files_that_are_no_data(tmp_path):
    (tmp_path / "empty.extxyz").touch()
    with pytest.raises(DataError, match=r"empty.extxyz is empty; give a file"):
        load_dataset(tmp_path / "empty.extxyz")
    with pytest.raises(DataError, match=r"no such file: .*missing.extxyz"):
        load_dataset(tmp_path / "missing.extxyz")
    (tmp_path / "frames.pdf").write_text("x")
    with pytest.raises(DataError, match=r"unknown kind of file; allowed: .xyz, .extxyz, .db, .json"):
        load_dataset(tmp_path / "frames.pdf")
    (tmp_path / "frames.db").write_text("no database")
    with pytest.raises(DataError, match=r"frames.db, frame 0: not readable .*not a database"):
        load_dataset(tmp_path / "frames.db")


def test_duplicates_across_train_and_test(tmp_path, frames):
    path = tmp_path / "data.extxyz"
    write(path, [*frames, frames[3]])
    with pytest.raises(
        DataError, match=r"frame 3 and .*frame 6.* same structure; 1 duplicates .*duplicates = "
    ):
        load_dataset(path)
    assert len(load_dataset(path, options=DataOptions(duplicates="keep")).frames) == 7


@pytest.mark.parametrize("distance", [MIN_DISTANCE - 0.02, MIN_DISTANCE + 0.02])
def test_distance_through_a_skewed_boundary(distance):
    cell = np.array([[4.0, 0.0, 0.0], [2.5, 3.0, 0.0], [-1.5, 1.0, 3.5]])
    direction = np.array([0.6, -0.5, 0.62])
    direction /= np.linalg.norm(direction)
    near_corner = 1e-3 * cell.sum(axis=0)
    atoms = Atoms("Si2", [near_corner, near_corner - distance * direction], cell=cell, pbc=True)
    atoms.wrap()
    assert too_close(atoms) == (distance < MIN_DISTANCE)


def mlearn_entry(**changes) -> dict:
    sites = [{"species": [{"element": "Mo", "occu": 1}], "xyz": [x, x, x]} for x in (0.0, 1.58)]
    lattice = {"matrix": (3.16 * np.eye(3)).tolist()}
    outputs = {"energy": -21.0, "forces": [[0.0] * 3] * 2, "virial_stress": [10.0, 20, 30, 40, 50, 60]}
    outputs |= changes
    return {"structure": {"lattice": lattice, "sites": sites}, "outputs": outputs, "group": "Elastic"}


def read_entries(path, text):
    path.write_text(text)
    return read_mlearn(path, stress_order=("xx", "yy", "zz", "xy", "yz", "xz"), group_from="entry")


def test_mlearn_stress_becomes_tension_in_ase_order(tmp_path):
    [record] = read_entries(tmp_path / "a.json", json.dumps([mlearn_entry()]))
    gpa = -np.array([1.0, 2.0, 3.0, 5.0, 6.0, 4.0])
    np.testing.assert_allclose(stress_of(record.atoms) * 160.2176634, gpa, rtol=1e-6)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([mlearn_entry(energy=float("nan"))], "frame 0: energy has NaN"),
        ([mlearn_entry(), mlearn_entry(forces=[[0.0] * 3])], r"frame 1: forces has shape \(1, 3\)"),
        ([{"structure": {}}], "frame 0: not an entry of the mlearn schema .KeyError: 'group'"),
        ([], "holds no list of structures"),
    ],
)
def test_broken_mlearn_entry(tmp_path, entries, message):
    with pytest.raises(DataError, match=message):
        read_entries(tmp_path / "a.json", json.dumps(entries))


def test_truncated_json(tmp_path):
    with pytest.raises(DataError, match=r"a\.json is truncated or not JSON .*; fetch it again"):
        read_entries(tmp_path / "a.json", json.dumps([mlearn_entry()])[:-30])


@pytest.mark.parametrize(
    "changes",
    [
        {"notes": "text"},
        {"notes": ["a"]},
        {"notes": {"Md": "1.2.3-1.2.3"}},
        {"description": "x, mode 1, strain 1.2.3"},
    ],
)
def test_mlearn_words_without_a_number_leave_the_order_of_the_file(tmp_path, changes):
    entries = [mlearn_entry(), {**mlearn_entry(), **changes}]
    (tmp_path / "a.json").write_text(json.dumps(entries))
    last = read_file(tmp_path / "a.json", Keys()).records[1]
    assert (last.sequence, last.order) == (group_of(last.atoms), 1.0)


@pytest.mark.parametrize("changes", [{"outputs": None}, {"outputs": [1, 2]}])
def test_mlearn_outputs_that_are_none(tmp_path, changes):
    (tmp_path / "a.json").write_text(json.dumps([mlearn_entry(), {**mlearn_entry(), **changes}]))
    with pytest.raises(DataError, match="frame 1: not an entry of the mlearn schema"):
        read_file(tmp_path / "a.json", Keys())


def test_true_is_no_energy(tmp_path, frames):
    with pytest.raises(DataError, match=r"frame 0: .*must be numbers, not true or false"):
        read_entries(tmp_path / "a.json", json.dumps([mlearn_entry(energy=True)]))
    header = 'Lattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3:forces:R:3 energy=T'
    (tmp_path / "a.xyz").write_text(f"1\n{header}\nCu 0 0 0 0 0 0\n")
    with pytest.raises(DataError, match="frame 0: energy is 'True', not a number"):
        read_file(tmp_path / "a.xyz", Keys())


def test_a_place_in_a_trajectory_is_finite(tmp_path, frames):
    frames[0].info["step"] = float("nan")
    write(tmp_path / "a.xyz", frames, format="extxyz")
    with pytest.raises(DataError, match=r"frame 0: 'step' \(order_key\) is nan; give a finite number"):
        read_file(tmp_path / "a.xyz", Keys(order="step"))


def compounds(frames):
    """As Deng 2025 publishes them: compounds, frames, structures as pymatgen writes them, labels of VASP."""
    found: dict[str, dict[str, dict]] = {}
    for number, atoms in enumerate(frames):
        sites = [
            {"species": [{"element": symbol, "occu": 1}], "abc": [0, 0, 0], "xyz": place}
            for symbol, place in zip(atoms.symbols, atoms.positions.tolist(), strict=True)
        ]
        structure = {"@class": "Structure", "lattice": {"matrix": atoms.cell.tolist()}, "sites": sites}
        labels = {"vasp_e": energy_of(atoms), "vasp_f": forces_of(atoms).tolist(), "vasp_s": [[0.0] * 3] * 3}
        found.setdefault(f"wbm-{number % 2}", {})[f"frame-{number}"] = {"structure": structure, **labels}
    return found


@pytest.mark.parametrize("name", ["states.json", "states.json.gz"])
def test_compounds_are_groups(tmp_path, frames, name):
    """Energies and forces come as they are; stress of unknown sign is left out."""
    path, opener = tmp_path / name, gzip.open if name.endswith("gz") else open
    with opener(path, "wt") as file:
        json.dump(compounds(frames), file)
    read = [record.atoms for record in read_file(path, Keys()).records]
    assert [group_of(atoms) for atoms in read] == ["wbm-0"] * 3 + ["wbm-1"] * 3
    for atoms, frame in zip(read, frames[::2] + frames[1::2], strict=True):
        assert atoms.get_chemical_formula() == "Cu4"
        assert atoms.pbc.all()
        np.testing.assert_allclose(atoms.positions, frame.positions)
        np.testing.assert_allclose(atoms.cell, frame.cell)
        assert energy_of(atoms) == energy_of(frame)
        np.testing.assert_array_equal(forces_of(atoms), forces_of(frame))
        assert stress_of(atoms) is None


def species(frame):
    return frame["structure"]["sites"][0]["species"]


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda frame: frame.pop("vasp_e"), "not a frame with structure, vasp_e and vasp_f"),
        (lambda frame: species(frame).append({"element": "Au"}), "site 0 is disordered"),
        (lambda frame: species(frame)[0].update(occu=0.5), "site 0 is disordered"),
        (lambda frame: species(frame)[0].update(element=119), "119 is no element"),
        (lambda frame: species(frame)[0].update(element="X"), "'X' is no element"),
        (lambda frame: frame.update(vasp_e=True), "vasp_e must be numbers"),
        (lambda frame: frame.update(vasp_f=[["0.1"] * 3] * 4), "vasp_f must be numbers"),
        (lambda frame: frame["vasp_f"].pop(), "forces"),
        (lambda frame: frame.update(vasp_f=[[float("nan")] * 3] * 4), "not finite|NaN|nan"),
    ],
    ids=["energy", "disorder", "occupation", "number", "dummy", "true", "text", "forces", "nan"],
)
def test_broken_compound(tmp_path, frames, break_it, message):
    document = compounds(frames)
    break_it(document["wbm-1"]["frame-3"])
    path = tmp_path / "states.json"
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match=message) as fault:
        read_file(path, Keys())
    assert "'frame-3' of 'wbm-1'" in str(fault.value)


def test_compounds_say_what_they_leave_out_and_what_is_open(tmp_path, frames):
    document = compounds(frames)
    document["wbm-0"]["frame-0"]["structure"]["lattice"]["pbc"] = [True, True, False]
    path = tmp_path / "states.json"
    path.write_text(json.dumps({"empty": {}, **document}))
    reading = read_file(path, Keys())
    assert [one for one in reading.notes if "vasp_s" in one]
    assert reading.records[0].atoms.pbc.tolist() == [True, True, False]
    with pytest.raises(StudyError, match="whose keys are fixed"):
        read_file(path, Keys(energy="vasp_e"))
    path.write_text(json.dumps({**document, "wbm-9": None}))
    with pytest.raises(DataError, match="'wbm-9': no frames by name"):
        read_file(path, Keys())
