"""n2p2's files: what is written is read back, in either units, and in n2p2's order."""

from __future__ import annotations

import dataclasses
import json
import re

import numpy as np
import pytest
from ase.units import Bohr, Hartree
from crossprune.harness.checks.subject import bare, sample_frames
from crossprune.harness.errors import DataError, StudyError
from crossprune.harness.lookup import load_potential

pytest.importorskip("numba", reason="needs numba: pip install 'crossprune[nnp]'")

from crossprune.adapters.nnp import Nnp, NnpOptions, read_potential
from crossprune.adapters.nnp.network import Network
from crossprune.adapters.nnp.potential import NnpPotential

OPTIONS = NnpOptions(
    cutoff=4.2, n_radial=3, angular_sharpness=(1.0,), zetas=(1.0, 4.0), hidden=(6, 5), steps=20
)


@pytest.fixture(scope="module")
def frames():
    return sample_frames(["Au", "Cu"], 6)


@pytest.fixture(scope="module")
def fitted(frames):
    return fit(frames, OPTIONS)


def fit(frames, options):
    adapter = Nnp(["Au", "Cu"], options)
    return adapter.fit(adapter.prepare(frames), np.arange(6), weights={}, rng=np.random.default_rng(0))


def same(one, two, atoms):
    expected, found = one.predict(bare(atoms)), two.predict(bare(atoms))
    # 1e-8: the files carry 17 digits, Bohr and Hartree are converted back and forth.
    assert found.energy == pytest.approx(expected.energy, abs=1e-8)
    np.testing.assert_allclose(found.forces, expected.forces, atol=1e-8)
    np.testing.assert_allclose(found.stress, expected.stress, atol=1e-8)


@pytest.mark.parametrize(
    "change", [{}, {"angular": "wide", "activation": "softplus", "cutoff_function": "polynomial"}]
)
def test_exported_potential_is_read_back(frames, change, tmp_path):
    potential = fit(frames, dataclasses.replace(OPTIONS, **change))
    names = {path.name for path in potential.export(tmp_path)}
    assert names == {"input.nn", "scaling.data", "weights.029.data", "weights.079.data"}
    same(potential, load_potential(f"nnp:{tmp_path}"), frames[5])


def test_order_is_that_of_n2p2(fitted, tmp_path):
    fitted.export(tmp_path)
    lines = [line.split() for line in (tmp_path / "input.nn").read_text().splitlines()]
    assert ["elements", "Cu", "Au"] in lines  # by atomic number, not by name
    radial = [line for line in lines if line[0] == "symfunction_short" and line[1:3] == ["Cu", "2"]]
    # η, r_s, then the neighbour's number: copper before gold at equal parameters.
    keys = [(float(line[4]), float(line[5]), {"Cu": 0, "Au": 1}[line[3]]) for line in radial]
    assert keys == sorted(keys)
    angular = [line for line in lines if line[0] == "symfunction_short" and line[1:3] == ["Cu", "3"]]
    keys = [(float(line[5]), float(line[7]), int(line[6])) for line in angular]
    assert keys == sorted(keys)
    assert len(angular) == 12


def test_files_in_hartree_and_bohr_give_the_same(fitted, frames, tmp_path):
    fitted.export(tmp_path)

    def converted(match):
        head, numbers = match[1], match[2].split()
        factors = [Bohr**2, 1 / Bohr, 1 / Bohr] if len(numbers) == 3 else [Bohr**2, 1, 1, 1 / Bohr]
        scaled = [f"{float(n) * f:.17g}" if f != 1 else n for n, f in zip(numbers, factors, strict=True)]
        return f"{head} {' '.join(scaled)}"

    text = (tmp_path / "input.nn").read_text()
    text = re.sub(r"(?m)^(symfunction_short \w+ 2 \w+) (.*)$", converted, text)
    text = re.sub(r"(?m)^(symfunction_short \w+ 3 \w+ \w+) (.*)$", converted, text)
    text = re.sub(r"(?m)^(atom_energy \w+) (.*)$", lambda m: f"{m[1]} {float(m[2]) / Hartree:.17g}", text)
    # The networks stay in eV: n2p2's normalisation says so.
    text += f"mean_energy 0.0\nconv_energy {Hartree:.17g}\nconv_length 1.0\n"
    (tmp_path / "input.nn").write_text(text)
    same(fitted, read_potential(f"{tmp_path}:Hartree-Bohr"), frames[5])


def test_scaling_to_the_range_of_the_data(fitted, frames, tmp_path):
    """Networks on inputs scaled to [0, 1] by their range, as the published mlearn potentials have them."""
    fitted.export(tmp_path)
    text = (tmp_path / "input.nn").read_text()
    (tmp_path / "input.nn").write_text(text.replace("functions_sigma", "functions"))
    read = read_potential(str(tmp_path))
    network = read.members[0][0]
    values = np.array([network.lowest, network.highest])
    np.testing.assert_allclose((values - network.centre) / network.scale, [[0] * 18, [1] * 18])


def test_ensembles_get_a_folder_each(frames, tmp_path):
    potential = fit(frames, dataclasses.replace(OPTIONS, n_networks=2))
    potential.export(tmp_path)
    members = [read_potential(str(tmp_path / f"member{number}")) for number in range(2)]
    energies, *_ = potential.predict_members(bare(frames[5]))
    found = [member.predict(bare(frames[5])).energy for member in members]
    np.testing.assert_allclose(found, energies, atol=1e-9)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("input.nn", "cutoff_type 1 0.0", "cutoff_type 2", r"cutoff_type \['2'\] is not supported"),
        ("input.nn", "symfunction_short Cu 2", "symfunction_short Cu 12", "type 12 are not supported"),
        ("input.nn", "short t t l", "short g t l", "activations g t l are not supported"),
        (
            "input.nn",
            "cutoff_type 1 0.0",
            "normalize_nodes\ncutoff_type 1",
            "normalize_nodes is not supported",
        ),
        ("input.nn", "short t t l", "short t l", "has 3 layers after its inputs; .* got 1"),
        ("input.nn", " -1 1 4.2", " -0.5 1 4.2", r"symfunction_short Cu 3 Cu Cu .*: λ is -0.5; known: 1, -1"),
        ("input.nn", "2 Cu ", "2 Cu -", "eta=-.* of Cu is not of these elements, or out of range: 0 <= eta"),
        ("input.nn", "4.2", "4200", "symmetry functions must share one cutoff"),
        ("input.nn", " -1 1 4.2", " -1 0.5 4.2", "zeta=0.5.* out of range"),
        ("scaling.data", "   1    1 ", "   9    1 ", "lines for Cu, expected"),
        ("weights.029.data", " a         1 ", " b         1 ", "weights or biases are missing"),
        ("input.nn", "elements Cu Au", "", "holds no readable n2p2 potential"),
    ],
)
def test_what_cannot_be_read_is_said(fitted, tmp_path, file, old, new, message):
    fitted.export(tmp_path)
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read_potential(str(tmp_path))


def test_wrong_names_are_explained(tmp_path):
    with pytest.raises(
        StudyError, match=r"unknown units 'hartree'; did you mean|unknown units 'hartree'; known"
    ):
        read_potential(f"{tmp_path}:hartree")
    with pytest.raises(StudyError, match="no such folder 'absent'"):
        read_potential("absent")


def change(header, path, value):
    """Return the header with something else at a path of keys and places."""
    *way, last = path
    inner = header
    for key in way:
        inner = inner[key]
    inner[last] = value
    return header


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (["offsets", "Cu"], "1.5", "one finite energy for each of Au, Cu"),
        (["offsets", "Cu"], 10**400, "one finite energy for each"),
        (["offsets", "Ag"], 1.0, "one finite energy for each"),
        (["functions", "Cu", 0, "eta"], "x", "out of range"),
        (["functions", "Cu", 0, "eta"], 10**400, "out of range"),
        (["functions", "Cu", 0, "eta"], -1e5, "out of range"),
        (["functions", "Cu", 0, "shift"], 1e300, "out of range"),
        (["functions", "Cu", 0, "element"], "Ag", "is not of these elements"),
        (["functions", "Cu", -1, "elements"], ["Cu", "Ag"], "is not of these elements"),
        (["functions", "Cu", -1, "sign"], 0.5, "out of range"),
        (["functions", "Cu", -1, "zeta"], None, "out of range"),
        (["cutoff_function"], 7, "unknown cutoff function '7'"),
        (["cutoff"], 1e4, "at most 30 Å"),
        (["cutoff"], True, "the cutoff is no number"),
        (["functions", "Xx"], [], "expected chemical symbols"),
    ],
)
def test_headers_of_archives_say_what_can_be_used(fitted, tmp_path, path, value, says):
    fitted.write(tmp_path)
    archive = tmp_path / "nnp.npz"
    arrays = dict(np.load(archive))
    header = change(json.loads(str(arrays["header"])), path, value)
    np.savez(archive, **{**arrays, "header": np.array(json.dumps(header))})
    with pytest.raises(DataError, match=rf"nnp\.npz holds no readable networks: .*{says}"):
        NnpPotential.read(tmp_path)


def test_the_sharpest_set_that_options_allow_is_read_back(tmp_path):
    options = dataclasses.replace(
        OPTIONS, cutoff=0.1, n_radial=100, angular_sharpness=(1e4,), zetas=(1.0, 500.0)
    )
    functions = Nnp(["Cu"], options).functions
    n = functions.n_functions
    network = Network((np.ones((n, 1)),), (np.zeros(1),), (), *(np.full(n, x) for x in (0.0, 1.0, 0.0, 1.0)))
    NnpPotential(functions, [[network]], {"Cu": 1}).write(tmp_path)
    assert NnpPotential.read(tmp_path).functions == functions
