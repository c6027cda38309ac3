"""Files of the package uf3 and of LAMMPS: nothing is lost, and what is wrong is said."""

from __future__ import annotations

import json
import re
import tracemalloc

import numpy as np
import pytest
from ase import Atoms
from crossprune.harness.checks.subject import sample_frames
from crossprune.harness.errors import DataError
from scipy.interpolate import BSpline

uf3 = pytest.importorskip("crossprune.adapters.uf3", exc_type=ImportError)
SMALL = {"cutoff": 5.0, "resolution_2b": 6, "cutoff_3b": 4.0, "resolution_3b": 5}


@pytest.fixture(scope="module")
def potential():
    """A potential of two elements whose alphabetical order is not that of their atomic numbers."""
    adapter = uf3.Uf3(["Au", "Cu"], uf3.Uf3Options(**SMALL))
    frames = sample_frames(("Au", "Cu"), 6)
    return adapter.fit(adapter.prepare(frames), np.arange(6), weights={}, rng=np.random.default_rng(0))


def sequences(one):
    return one.knots if isinstance(one.knots, tuple) else (one.knots,)


def written(potential, folder):
    return {path.suffix: path for path in potential.export(folder)}


@pytest.mark.parametrize("ending", [".json", ".uf3"])
def test_files_are_read_back_to_the_bit(ending, potential, tmp_path):
    read = uf3.read_potential(written(potential, tmp_path)[ending])
    for one, other in zip(
        (*potential.parameters.pairs, *potential.parameters.triples),
        (*read.parameters.pairs, *read.parameters.triples),
        strict=True,
    ):
        assert one.atoms == other.atoms
        np.testing.assert_array_equal(one.coefficients, other.coefficients)
        assert all(
            (knots == again).all() for knots, again in zip(sequences(one), sequences(other), strict=True)
        )
    assert (read.offsets == (potential.offsets if ending == ".json" else 0)).all()
    if ending == ".json":
        np.testing.assert_array_equal(read.coefficients, potential.coefficients)


def test_a_file_of_lammps_says_what_it_lacks(potential, tmp_path):
    files = written(potential, tmp_path)
    assert "no energies of isolated atoms" in uf3.read_potential(files[".uf3"]).info["lacks"]
    assert "lacks" not in uf3.read_potential(files[".json"]).info


def test_the_package_finds_elements_in_the_order_of_their_atomic_numbers(potential, tmp_path):
    content = json.loads(written(potential, tmp_path)[".json"].read_text())
    assert content["element_list"] == ["Cu", "Au"]
    assert set(content["knots"]) == {
        *("Cu-Cu", "Cu-Au", "Au-Au"),
        *(f"{centre}-{pair}" for centre in ("Cu", "Au") for pair in ("Cu-Cu", "Cu-Au", "Au-Au")),
    }
    mixed = np.array(content["coefficients"]["Au-Cu-Au"])
    (own,) = [one for one in potential.parameters.triples if one.atoms == (0, 0, 1)]
    np.testing.assert_array_equal(mixed, own.coefficients.transpose(1, 0, 2))


def test_tables_of_trims_are_read(potential, tmp_path):
    path = written(potential, tmp_path)[".json"]
    content = json.loads(path.read_text())
    del content["leading_trim_3b"]
    content |= {"leading_trim": {"2": 0, "3": 3}, "trailing_trim": {"2": 3, "3": 3}}
    path.write_text(json.dumps(content))
    np.testing.assert_array_equal(uf3.read_potential(path).coefficients, potential.coefficients)


def changed(content, change):
    change(content)
    return content


def set_in(*keys, value):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


WRONG = {
    "not JSON": (None, "no JSON"),
    "unknown key": (set_in("layout", value=9), "unknown key 'layout'"),
    "no knots": (set_in("knots", value=3), "knots is missing, or no table"),
    "strange element": (set_in("coefficients", "Zz", value=0.0), "element_list"),
    "strange pair": (set_in("coefficients", "Cu-Zn", value=[0.0]), "'Cu-Zn' is no pair or triple of Au, Cu"),
    "missing pair": (lambda content: content["coefficients"].pop("Cu-Au"), "no coefficients of Au-Cu"),
    "missing triple": (
        lambda content: content["coefficients"].pop("Cu-Au-Au"),
        "no coefficients of Cu-Au-Au",
    ),
    "twice": (
        lambda content: content["coefficients"].update({"Au-Cu": content["coefficients"]["Cu-Au"]}),
        "two names",
    ),
    "text": (set_in("coefficients", "Cu-Au", 0, value="1"), "'1' is no number"),
    "too long": (lambda content: content["coefficients"]["Cu-Au"].append(0.0), "coefficients of shape"),
    "ragged": (lambda content: content["coefficients"]["Cu-Au-Au"][0][0].append(0.0), "unequal length"),
    "huge number": (set_in("coefficients", "Cu-Au", 0, value=10**400), "too large"),
    "infinite": (set_in("coefficients", "Cu", value=float("inf")), "Infinity is no finite number"),
    "falling knots": (
        lambda content: content["knots"]["Cu-Au"].reverse(),
        "knots between the ends must increase",
    ),
    "loose ends": (set_in("knots", "Cu-Au", 0, value=0.0), "must occur 4 times"),
    "asymmetric": (set_in("coefficients", "Cu-Au-Au", 3, 4, 3, value=7.0), "depend on the order of atoms"),
    "trim": (set_in("trailing_trim", value=-1), "trailing_trim must be a number from 0 to 100"),
    "too many functions": (
        lambda content: (
            content["knots"].update({"Cu-Cu": [0.0] * 3 + np.linspace(0, 5, 10_100).tolist() + [5.0] * 3}),
            content["coefficients"].update({"Cu-Cu": [0.0] * 10_102}),
        ),
        "Cu-Cu: 10102 functions along one distance are more than the 10000 allowed",
    ),
    "degree": (set_in("degree", value=2), "has no place in a model of degree 2"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_a_file_of_the_package_is_said(what, potential, tmp_path):
    path = written(potential, tmp_path)[".json"]
    change, says = WRONG[what]
    text = path.read_text()
    path.write_text(
        text[: len(text) // 2] if change is None else json.dumps(changed(json.loads(text), change))
    )
    with pytest.raises(DataError, match=says) as caught:
        uf3.read_potential(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed_to", "says"),
    [
        (r'"Cu": 1e999', "Cu: inf is too large"),
        (r'"Cu": -1e999', "Cu: -inf is too large"),
        (r'"Cu": 0.5, \g<0>', "the key 'Cu' is there twice"),
    ],
)
def test_numbers_that_overflow_and_keys_that_are_there_twice_are_refused(
    changed_to, says, potential, tmp_path
):
    path = written(potential, tmp_path)[".json"]
    text, count = re.subn(r'"Cu": -?[\d.e-]+', changed_to, path.read_text())
    assert count == 1
    path.write_text(text)
    with pytest.raises(DataError, match=says):
        uf3.read_potential(path)


def test_functions_of_many_knots_are_those_of_a_model_of_one_spline():
    """3,000 functions along a distance: memory goes with their number, and the energy is the spline's."""
    from crossprune.adapters.uf3.knots import clamped
    from crossprune.adapters.uf3.parameters import Pair, Parameters

    points = np.sort(np.random.default_rng(0).uniform(0.5, 5.0, 2_996))
    knots = clamped(np.concatenate([[0.001], points, [5.0]]))
    coefficients = np.append(np.random.default_rng(1).normal(size=len(knots) - 7), np.zeros(3))
    tracemalloc.start()
    parameters = Parameters(("Cu",), np.zeros(1), (Pair((0, 0), knots, coefficients),))
    potential = uf3.Uf3Potential(parameters)
    assert tracemalloc.get_traced_memory()[1] < 5e7
    tracemalloc.stop()
    spline = BSpline(knots, coefficients, 3)
    for distance in (0.3, 0.50001, 2.5, 4.9999):
        dimer = Atoms("Cu2", positions=[[0, 0, 0], [0, 0, distance]])
        assert potential.predict(dimer).energy == pytest.approx(2 * spline(distance), rel=1e-9, abs=1e-12)


LINES = {
    "cut off": (lambda lines: lines[:5], "ends in the middle of a block"),
    "units": (lambda lines: [lines[0].replace("metal", "real"), *lines[1:]], "line 1: expected a header"),
    "block": (lambda lines: [lines[0], "4B Cu Cu 0 3 nk", *lines[2:]], "line 2: expected '2B El El 0 3 nk'"),
    "element": (
        lambda lines: [lines[0], lines[1].replace("Au", "Ax"), *lines[2:]],
        "'Ax' is no chemical symbol",
    ),
    "trim": (lambda lines: [lines[0], lines[1].replace("0 3", "2 3"), *lines[2:]], "trims 0 and 3 only"),
    "uneven": (
        lambda lines: [*lines[:1], lines[1].replace("nk", "uk"), lines[2], uneven(lines[3]), *lines[4:]],
        "said to be even",
    ),
    "cutoff": (lambda lines: [*lines[:2], "7.0 " + lines[2].split()[1], *lines[3:]], "the last knot is 5 Å"),
    "fewer": (lambda lines: [*lines[:3], lines[3].rsplit(" ", 1)[0], *lines[4:]], "line 4: expected"),
    "word": (lambda lines: [*lines[:3], lines[3].replace("5.0", "five"), *lines[4:]], "line 4: could not"),
    "twice": (lambda lines: lines + lines[:7], "the pair Au-Au is there twice"),
    "missing": (lambda lines: lines[7:], "no block of the pair Au-Au"),
    "nothing": (lambda lines: ["# empty"], "no block '2B' of a pair"),
}


def uneven(line: str) -> str:
    numbers = [float(word) for word in line.split()]
    numbers[5] += 0.1
    return " ".join(map(repr, numbers))


@pytest.mark.parametrize("what", LINES)
def test_what_is_wrong_with_a_file_of_lammps_is_said(what, potential, tmp_path):
    path = written(potential, tmp_path)[".uf3"]
    change, says = LINES[what]
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    with pytest.raises(DataError, match=says) as caught:
        uf3.read_potential(path)
    assert str(path) in str(caught.value)


def test_other_formats_and_missing_files_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"unknown format '\.yaml'"):
        uf3.read_potential(tmp_path / "model.yaml")
    with pytest.raises(DataError, match="cannot be read"):
        uf3.read_potential(tmp_path / "model.uf3")
