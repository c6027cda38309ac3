"""Alloy potentials: bonds per pair, cores, densities per element; the many ways to write one file."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from ase import Atoms

pytest.importorskip("numba", reason="needs numba: pip install 'crossprune[ace]'")

from crossprune.adapters.ace import Ace, AceOptions, read_potential
from crossprune.adapters.ace.write import write_yace, write_yaml
from crossprune.harness.errors import DataError

STEP = 1e-5
"""Central differences, Å: truncation and rounding both stay below 1e-7 eV/Å here."""

ALLOY = """
# Two elements; each pair has radial functions, cutoffs and a core of its own.
metadata: {comment: made for this test, nested: {a: 1}}
global: {DeltaSplineBins: 1e-3}
species:
  - speciesblock: Al
    ndensityi: 1
    npoti: FinnisSinclair
    parameters: [1.0, 1.0]
    rho_core_cut: 40
    drho_core_cut: 20
    nradmaxi: 1
    lmaxi: 2
    nradbaseij: 2
    radbase: ChebExpCos
    radparameters: [3.0]
    radcoefficients: [[[1, 2], [0.5, -1e-1], [0.3, 0.2]]]
    rcutij: 5.0
    dcutij: 0.01
    NameOfCutoffFunctionij: cos
    core-repulsion: [40, 0.7]
    r_in: 2.1
    delta_in: 0.5
    inner_cutoff_type: INNER
    nbody:
      - {type: Al Al, nr: [1], nl: [0], c: 1.0}
      - {type: Al Al, nr: [2], nl: [0], c: [-4e-1]}
      - {type: Al Al Al, nr: [1, 1], nl: [1, 1], c: 0.3}
      - {type: Al Al Al Al Al, nr: [1, 1, 1, 1], nl: [1, 1, 1, 1], lint: [2, 2], c: 0.05}
  - speciesblock: Ni
    ndensityi: 3
    npoti: FinnisSinclairShiftedScaled
    parameters: [1, 1, 0.7, 0.5, 0.2, 0.75]
    rho_core_cut: 60
    drho_core_cut: 30
    lmaxi: 2
    nradmaxi: 1
    nradbaseij: 1
    radbase: ChebPow
    radparameters: [2.5]
    radcoefficients: [[[1], [2], [0.5]]]
    rcutij: 4.7
    dcutij: 0.02
    core-repulsion: [50, 0.9]
    r_in: 1.9
    delta_in: 0.4
    inner_cutoff_type: INNER
    nbody:
      - {type: Ni Ni, nr: [1], nl: [0], c: [1.0, 2.0, -0.5]}
      - {type: Ni Ni Ni, nr: [1, 1], nl: [2, 2], c: [0.3, 0.2, 0.1]}
  - speciesblock: Al Ni
    lmaxi: 1
    nradmaxi: 2
    nradbaseij: 3
    radbase: SBessel
    radcoefficients: [1, 0.5, 0.3, 0, 0.2, 0, 1, 0.7, 0, 0.1, 0, 1]  # flat: k, n, l
    rcutij: 5.3
    dcutij: 0.01
    core-repulsion: [45, 0.8]
    r_in: 2.0
    delta_in: 0.6
    inner_cutoff_type: INNER
    nbody:
      - {type: Al Ni, nr: [3], nl: [0], c: 0.6}
      - {type: Al Al Ni, nr: [1, 2], nl: [1, 1], c: 0.8}
      - {type: Al Al Ni Ni, nr: [1, 1, 2], nl: [1, 1, 0], lint: [0], c: 0.4}
  - speciesblock: Ni Al   # its bond is that of Al Ni
    nbody:
      - {type: Ni Al, nr: [1], nl: [0], c: [0.5, 0.2, 0.3]}
      - {type: Ni Al Ni, nr: [2, 1], nl: [1, 1], c: [-0.3, 0.2, 0.2]}
"""
CORES = ("density", "distance", "zbl")


@pytest.fixture
def cluster() -> Atoms:
    """Pairs inside and outside the cores: nearest distances from 1.6 to 2.6 Å."""
    positions = [[0, 0, 0], [1.6, 0.2, 0], [0.1, 2.2, 0.3], [1.9, 2.0, 1.4], [0.4, 0.5, 2.4], [3.9, 1.1, 0.7]]
    return Atoms("AlNiAlNiAlNi", positions=positions)


def written(folder, text, name="alloy.yaml"):
    (folder / name).write_text(text)
    return folder / name


def same(first, second, atoms, tolerance=1e-13):
    a, b = first.predict(atoms), second.predict(atoms)
    assert b.energy == pytest.approx(a.energy, rel=tolerance)
    np.testing.assert_allclose(b.forces, a.forces, rtol=0, atol=tolerance * abs(a.forces).max())


@pytest.mark.parametrize("core", CORES)
def test_forces_and_stress_are_derivatives(tmp_path, cluster, core):
    potential = read_potential(written(tmp_path, ALLOY.replace("INNER", core)))
    found = potential.predict(cluster).forces
    for atom in range(len(cluster)):
        for axis in range(3):
            energies = []
            for sign in (1, -1):
                moved = cluster.copy()
                moved.positions[atom, axis] += sign * STEP
                energies.append(potential.predict(moved).energy)
            slope = -(energies[0] - energies[1]) / (2 * STEP)
            assert found[atom, axis] == pytest.approx(slope, abs=1e-5 * max(1.0, abs(found).max()))
    crystal = Atoms("AlNi", positions=[[0, 0, 0], [1.3, 1.4, 1.5]], cell=[2.7, 2.9, 3.1], pbc=True)
    stress, energies = potential.predict(crystal).stress, []
    for sign in (1, -1):
        strained = crystal.copy()
        strained.set_cell(crystal.cell.array * [1 + sign * STEP, 1, 1], scale_atoms=True)
        energies.append(potential.predict(strained).energy)
    slope = (energies[0] - energies[1]) / (2 * STEP) / crystal.get_volume()
    assert stress[0] == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("core", CORES)
def test_the_core_is_in_use_and_survives_both_formats(tmp_path, cluster, core):
    potential = read_potential(written(tmp_path, ALLOY.replace("INNER", core)))
    others = [one for one in CORES if one != core]
    for one in others:
        other = read_potential(written(tmp_path, ALLOY.replace("INNER", one), "other.yaml"))
        assert abs(other.predict(cluster).energy - potential.predict(cluster).energy) > 1e-3
    write_yaml(potential.model, tmp_path / "again.yaml")
    write_yace(potential.model, tmp_path / "again.yace")
    same(potential, read_potential(tmp_path / "again.yaml"), cluster, 0.0)
    same(potential, read_potential(tmp_path / "again.yace"), cluster)


def test_a_core_of_one_pair_acts_on_this_pair_only(tmp_path):
    """The pair's own core decides, from either side; at 1.5 Å the expansion of a dimer is gone."""
    text = ALLOY.replace("INNER", "distance")
    stronger = text.replace("core-repulsion: [45, 0.8]", "core-repulsion: [90, 0.8]")
    first = read_potential(written(tmp_path, text))
    second = read_potential(written(tmp_path, stronger, "stronger.yaml"))
    apart = np.array([[0, 0, 0], [0, 0, 1.2]])
    for formula, ratio in (("Al2", 1.0), ("Ni2", 1.0), ("AlNi", 2.0), ("NiAl", 2.0)):
        atoms = Atoms(formula, positions=apart)
        pair = second.predict(atoms).energy / first.predict(atoms).energy
        assert pair == pytest.approx(ratio, rel=1e-6), formula


def test_a_core_in_one_block_of_a_pair_is_that_of_both(tmp_path, cluster):
    """The bond stands in one block of the pair, its core in the other."""
    text = ALLOY.replace("INNER", "distance")
    core = (
        "    core-repulsion: [45, 0.8]\n    r_in: 2.0\n    delta_in: 0.6\n    inner_cutoff_type: distance\n"
    )
    assert core in text
    moved = text.replace(core, "").replace("that of Al Ni\n", f"that of Al Ni\n{core}")
    first, second = written(tmp_path, text), written(tmp_path, moved, "moved.yaml")
    same(read_potential(first), read_potential(second), cluster)


def test_zbl_is_multiplied_by_the_height(tmp_path):
    """Deep inside the core, an atom of a dimer has half of ZBL times the first of ``core-repulsion``."""
    potential = read_potential(written(tmp_path, ALLOY.replace("INNER", "zbl")))
    r, energies = 0.5, {}
    for formula in ("Al2", "AlNi", "Ni2"):
        energies[formula] = potential.predict(Atoms(formula, positions=[[0, 0, 0], [0, 0, r]])).energy
    for formula, (first, second), height in (
        ("Al2", (13, 13), 40.0),
        ("AlNi", (13, 28), 45.0),
        ("Ni2", (28, 28), 50.0),
    ):
        x = r * (first**0.23 + second**0.23) / 0.46850
        heights, decays = (0.18175, 0.50986, 0.28022, 0.02817), (3.1998, 0.94229, 0.4029, 0.20162)
        screening = sum(a * np.exp(-b * x) for a, b in zip(heights, decays, strict=True))
        # The polynomial that ends ZBL at the cutoff shifts it by less than 0.2 % here.
        assert energies[formula] == pytest.approx(
            height * 14.399645 * first * second / r * screening, rel=2e-3
        )


def test_three_densities_of_a_dimer_by_hand(tmp_path):
    """One neighbour, products of one factor only: F(ρ) by the published formula with three powers."""
    potential = read_potential(written(tmp_path, ALLOY.replace("INNER", "density")))
    r = 3.3
    energies = potential.energies(Atoms("Ni2", positions=[[0, 0, 0], [0, 0, r]]))
    x = 2 * (1 - (1 - r / 4.7) ** 2.5) - 1
    g = (1 - x) / 2
    core = 50 * np.exp(-0.9 * r**2) / r * (1 + np.cos(np.pi * r / 4.7)) / 2
    # Σ_m Y_2m Y*_2m = 5 for one neighbour with Y_00 = 1, so B = 5 R²/√5 with the coefficient of l = 2.
    b = np.sqrt(5) * (0.5 * g) ** 2
    total = 0.0
    for c1, c2, weight, power in ((1.0, 0.3, 1, 1), (2.0, 0.2, 0.7, 0.5), (-0.5, 0.1, 0.2, 0.75)):
        rho = c1 * g + c2 * b
        if power == 1:
            total += weight * rho
            continue
        n, size = 1 / power, abs(rho)
        x_o, y_o = n ** (n / (1 - n)) * np.exp(-size), n ** (1 / (1 - n)) * np.exp(-size)
        total += weight * np.sign(rho) * ((x_o + size) ** power - y_o)
    np.testing.assert_allclose(energies, total + core, rtol=1e-12)


def shuffled(tree):
    """Return a YAML tree with all mappings in reverse order."""
    if isinstance(tree, dict):
        return {key: shuffled(tree[key]) for key in reversed(tree)}
    return [shuffled(one) for one in tree] if isinstance(tree, list) else tree


@pytest.mark.parametrize("flow", [True, False, None])
def test_style_and_order_of_keys_do_not_matter(tmp_path, cluster, flow):
    text = ALLOY.replace("INNER", "zbl")
    tree = shuffled(yaml.safe_load(text))
    tree["species"] = tree["species"][::-1]
    path = written(tmp_path, yaml.safe_dump(tree, default_flow_style=flow, sort_keys=False), "other.yaml")
    same(read_potential(written(tmp_path, text)), read_potential(path), cluster)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("c: 1.0}", "c: 1}"),
        ("c: 1.0}", "c: [1E0]}"),
        ("c: 0.05", "c: 5e-2"),
        ("c: 0.05", "c: +0.5E-1"),
        ("rcutij: 5.3", "rcutij: 53e-1 # Å"),
        ("    NameOfCutoffFunctionij: cos\n", ""),
        ("    NameOfCutoffFunctionij: cos\n", '    NameOfCutoffFunctionij: ""\n    unknown_key: 7\n'),
        ("metadata: {comment: made for this test, nested: {a: 1}}\n", ""),
        ("metadata: {comment: made for this test, nested: {a: 1}}", "metadata:"),
        ("global: {DeltaSplineBins: 1e-3}\n", "auxdata: {_int: {i1: 1}}\n"),
        ("speciesblock: Al Ni", "speciesblock: 'Al  Ni'"),
        ("speciesblock: Al\n", "speciesblock: Al Al\n"),
        (
            "[1, 0.5, 0.3, 0, 0.2, 0, 1, 0.7, 0, 0.1, 0, 1]",
            "[[[1, 0.2, 0], [0.5, 0, 0.1]], [[0.3, 1, 0], [0, 0.7, 1]]]",
        ),
        (
            "      - {type: Al Al, nr: [2]",
            "      - {type: Al Al, nr: [1], nl: [0], c: 9, skip: true}\n      - {type: Al Al, nr: [2]",
        ),
        ("lmaxi: 1\n    nradmaxi: 2", "lmaxij: 1\n    nradmaxij: 2"),
    ],
)
def test_harmless_variants_are_read(tmp_path, cluster, old, new):
    text = ALLOY.replace("INNER", "density")
    assert old in text
    potential = read_potential(written(tmp_path, text))
    same(potential, read_potential(written(tmp_path, text.replace(old, new), "variant.yaml")), cluster)


def test_missing_optional_keys_have_the_documented_defaults(tmp_path):
    """No core at all: nothing switches the expansion off, nothing is added to it."""
    optional = ("core-repulsion", "rho_core_cut", "drho_core_cut", "r_in", "delta_in", "inner_cutoff_type")
    tree = yaml.safe_load(ALLOY)
    for block in tree["species"]:
        for key in optional:
            block.pop(key, None)
    bare = read_potential(written(tmp_path, yaml.safe_dump(tree)))
    for bond in bare.model.bonds.values():
        assert (bond.core_height, bond.inner_type, bond.inner_cutoff) == (0.0, "density", 0.0)
    assert [one.embedding.core_cutoff for one in bare.model.centres] == [100000.0, 100000.0]
    far = Atoms("AlNi", positions=[[0, 0, 0], [0, 0, 5.1]])  # beyond all cores
    distance = read_potential(written(tmp_path, ALLOY.replace("INNER", "distance"), "core.yaml"))
    assert bare.predict(far).energy == pytest.approx(distance.predict(far).energy, abs=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("radbase: SBessel", "radbase: TEST_Bessel", r"species\[2\]: unknown radial functions 'TEST_Bessel'"),
        ("radparameters: [2.5]", "radparameters: []", r"species\[1\]: 'radparameters' is missing; ChebPow"),
        ("speciesblock: Al Ni\n", "speciesblock: Al Cu\n", r"species\[2\]: no block for Cu"),
        ("    radbase: SBessel\n", "", "no block 'Al Ni' with a 'radbase'"),
        ("c: 0.05}", "c: five}", r"species\[0\]\.nbody\[3\]\.c: expected numbers, got five"),
        ("rcutij: 5.3", "rcutij: -5.3", r"species\[2\]: cutoff -5.3"),
        (
            "core-repulsion: [45, 0.8]\n    r_in: 2.0\n    delta_in: 0.6\n    inner_cutoff_type: density",
            "core-repulsion: [45, 0.8]\n    inner_cutoff_type: zbl",
            "mix the inner cutoffs density and zbl",
        ),
        ("speciesblock: Ni\n", "speciesblock: Al\n", r"species\[1\]: a second block of 'Al'"),
        ("lint: [0]", "lint: [1]", r"species\[2\]\.nbody\[2\]: "),
        ("npoti: FinnisSinclair\n", "npoti: Exp\n", r"species\[0\]: unknown embedding 'Exp'"),
        ("[0.3, 0.2, 0.1]", "[0.3, 0.2]", r"species\[1\]: .*3"),
        ("    parameters: [1.0, 1.0]", "   parameters: [1.0, 1.0]", r"line \d+"),
    ],
)
def test_broken_alloys_are_refused_with_their_place(tmp_path, old, new, message):
    text = ALLOY.replace("INNER", "density")
    assert old in text
    path = written(tmp_path, text.replace(old, new, 1))
    with pytest.raises(DataError, match=message) as error:
        read_potential(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("elements: [Al, Ni]", "elements: [Al, Xx]", "unknown element Xx"),
        ("elements: [Al, Ni]", "elements: [Al]", "E0: 2 numbers do not fit|bond|index"),
        ("mus: [1]", "mus: [7]", "no element of index 7"),
        ("  [1, 1]: ", "  [1, 4]: ", r"bond \[1, 4\]|no bond"),
        ("num_ms_combs: 1,", "num_ms_combs: 2,", r"ms_combs: 1 numbers do not fit"),
    ],
)
def test_broken_tilde_files_are_refused(tmp_path, old, new, message):
    model = read_potential(written(tmp_path, ALLOY.replace("INNER", "zbl"))).model
    write_yace(model, tmp_path / "alloy.yace")
    text = (tmp_path / "alloy.yace").read_text()
    assert old in text
    (tmp_path / "alloy.yace").write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=message) as error:
        read_potential(tmp_path / "alloy.yace")
    assert "alloy.yace" in str(error.value)


def test_tilde_files_without_optional_keys(tmp_path, cluster):
    potential = read_potential(written(tmp_path, ALLOY.replace("INNER", "density")))
    write_yace(potential.model, tmp_path / "alloy.yace")
    lines = (tmp_path / "alloy.yace").read_text().splitlines()
    kept = [line for line in lines if not line.startswith(("E0", "deltaSpline"))]
    text = "\n".join(kept).replace(", inner_cutoff_type: density", "")
    same(potential, read_potential(written(tmp_path, text, "short.yace")), cluster)


def test_our_alloys_have_the_names_of_the_original(tmp_path):
    """The original's blocks of pairs say nradmaxi and lmaxi, as its single ones."""
    ace = Ace(["Ni", "Al"], AceOptions(cutoff=4.0, max_degrees=(2.0, 1.0)))
    from crossprune.adapters.linear.fitter import Solution

    paths = ace.potential(Solution(np.ones(ace.n_columns), np.zeros(2), 1.0)).export(tmp_path)
    tree = yaml.safe_load(next(path for path in paths if path.suffix == ".yaml").read_text())
    pairs = [block for block in tree["species"] if len(block["speciesblock"].split()) == 2]
    assert len(pairs) == 2
    assert all({"nradmaxi", "lmaxi", "nradbaseij", "rcutij", "r_in"} <= set(block) for block in pairs)
