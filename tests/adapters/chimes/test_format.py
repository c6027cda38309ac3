"""The parameter format: round trips, and files that are broken or not supported."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from ase import Atoms
from crossprune.harness.errors import DataError

pytest.importorskip("numba")
options = pytest.importorskip("crossprune.adapters.chimes.options")
reader = pytest.importorskip("crossprune.adapters.chimes.reader")
writer = pytest.importorskip("crossprune.adapters.chimes.writer")
parameters_of = pytest.importorskip("crossprune.adapters.chimes.parameters")
chimes = pytest.importorskip("crossprune.adapters.chimes")

FORCE_FIELDS = [
    "published_params.liqC.2b.cubic",
    "published_params.liqC.2+3b.cubic",
    "published_params.CO2400K.2+3+4b.Tersoff.special.offsets",
    "published_params.Carbon-2.0.Small.2+3+4b.Tersoff",
    "validated_params.TiO2.2+3b.Tersoff",
]


def force_field(elements=("O", "Ti"), order_4b=2, seed=0, **changes):
    """A force field with random coefficients."""
    chosen = options.ChimesOptions(order_2b=4, order_3b=3, order_4b=order_4b, cutoff=5.0, cutoff_4b=5.0)
    empty = options.empty_model(elements, chosen, options.distances_by_radii(elements, chosen))
    rng = np.random.default_rng(seed)
    count = len(empty.unique_coefficients)
    return replace(empty.with_coefficients(rng.normal(size=count), rng.normal(size=len(elements))), **changes)


def assert_same(first, second) -> None:
    one, other = asdict(first), asdict(second)
    for body, types in one.pop("clusters").items():
        for a, b in zip(types, other["clusters"][body], strict=True):
            for key in a:
                np.testing.assert_array_equal(a[key], b[key], err_msg=f"{body}-body {key}")
    other.pop("clusters")
    assert one == other


@pytest.mark.parametrize("elements", [("Si",), ("O", "Ti"), ("C", "H", "O")])
def test_writing_and_reading_lose_nothing(elements):
    written = force_field(elements, order_4b=2 if len(elements) < 3 else 0)
    assert_same(written, reader.parse(writer.to_text(written, ["a comment"]), "test"))


def test_older_files_call_the_atoms_of_a_cluster_another_name():
    written = force_field(("C", "O"))
    text = writer.to_text(written)
    assert text.count("ATOMS: ") > 4
    assert_same(written, reader.parse(text.replace("ATOMS: ", "ATYMS: "), "test"))


def test_a_damaged_power_does_not_ask_for_all_memory():
    text = writer.to_text(force_field(("C",)))
    with pytest.raises(DataError, match=r"power 1000000000; at most 100 are read"):
        reader.parse(text.replace("\n3 ", "\n1000000000 ", 1), "test")


@pytest.mark.parametrize("name", FORCE_FIELDS)
def test_published_files_survive_a_round_trip(name, data_folder):
    read = reader.read_file(data_folder("chimes") / "force_fields" / f"{name}.txt")
    assert_same(read, reader.parse(writer.to_text(read), "test"))


@pytest.mark.parametrize(
    ("atoms", "order", "terms", "unique"),
    [
        # What the authors' files state as TOTAL and UNIQUE, and as last parameter index.
        ((0, 0, 0), 5, 112, 30),
        ((0, 0, 0), 8, 490, 112),
        ((0, 0, 1), 8, 490, 273),
        ((0, 0, 0, 0), 3, 636, 56),
        ((0, 0, 0, 0), 4, 3861, 256),
        ((0, 0, 0, 1), 4, 3861, 760),
        ((0, 0, 1, 1), 4, 3861, 1140),
    ],
)
def test_basis_has_the_published_number_of_terms(atoms, order, terms, unique):
    degrees, equivalent, parameter = parameters_of.basis_of(atoms, order)
    assert len(degrees) == terms
    assert len(set(parameter.tolist())) == unique
    assert np.all(equivalent <= np.arange(terms))


def test_older_and_newer_tables_of_pairs_and_odd_spacing_are_read():
    text = writer.to_text(force_field(("Si",)))
    assert "\t0.01\tMORSE" in text
    newer = text.replace("\t0.01\tMORSE", "\tMORSE").replace("# PAIRIDX", "!# PAIRIDX")
    assert_same(reader.parse(text, "a"), reader.parse(newer.replace("ATOM PAIRS:", "  ATOM   PAIRS:"), "b"))


def test_notes_on_the_fit_and_comments_are_skipped():
    text = writer.to_text(force_field(("Si",)))
    noted = text.replace("PAIRTYP:", "EXCL1B:\nEXCL2B: Si Si ! by hand\n## nothing\n! PAIRTYP: no\nPAIRTYP:")
    assert_same(reader.parse(text, "a"), reader.parse(noted, "b"))


def test_labels_other_than_elements_can_be_the_dummy_symbol():
    text = writer.to_text(force_field(("O", "Ti"))).replace("Ti", "X")
    potential = chimes.ChimesPotential(reader.parse(text, "test"))
    assert potential.elements == ("O", "X")
    original = chimes.ChimesPotential(force_field(("O", "Ti")))
    positions = [[0, 0, 0], [2.0, 0, 0], [0, 2.1, 0.3]]
    energies = [
        one.predict(Atoms(symbols, positions=positions)).energy
        for one, symbols in ((original, ["O", "Ti", "Ti"]), (potential, ["O", "X", "X"]))
    ]
    assert energies[0] == energies[1]


def test_defaults_are_those_of_the_calculator():
    lines = writer.to_text(force_field(("Si",))).splitlines()
    kept = [line for line in lines if not line.startswith(("FCUT", "PAIR CHEBYSHEV PENALTY"))]
    read = reader.parse("\n".join(kept), "test")
    assert (read.smoothing, read.penalty_distance, read.penalty_scale) == ("CUBIC", 0.01, 1.0e4)


def test_special_cutoffs_go_to_the_pairs_they_name():
    lines = [
        "SPECIAL 3B S_MAXIM: SPECIFIC 1",
        "TiOOOTiO TiO OO OTi 3.1 2.9 3.2",
        "SPECIAL 3B S_MINIM: ALL 1.05",
    ]
    plain = force_field(order_4b=0)
    text = writer.to_text(plain).replace("ATOM PAIR TRIPLETS:", "\n".join([*lines, "ATOM PAIR TRIPLETS:"]))
    read = reader.parse(text, "test").clusters[3]
    pairs = {frozenset((0,)): 2.9, frozenset((0, 1)): None}
    mixed = next(one for one in read if one.atoms == (0, 0, 1))
    assert mixed.outer == (pairs[frozenset((0,))], 3.1, 3.2)
    assert all(one.inner == (1.05,) * 3 for one in read)


def test_excluded_types_have_no_energy():
    full = force_field(("Si",), order_4b=0)
    none = replace(
        full.clusters[3][0],
        degrees=np.empty((0, 3), dtype=np.int64),
        equivalent=np.empty(0, dtype=np.int64),
        parameter=np.empty(0, dtype=np.int64),
        coefficients=np.empty(0),
        excluded=True,
    )
    without = replace(full, clusters={**full.clusters, 3: (none,)})
    text = writer.to_text(without)
    assert "EXCLUDED:" in text
    read = reader.parse(text, "test")
    assert_same(without, read)
    pairs_only = replace(full, clusters={**full.clusters, 3: ()}, orders=(4, 0, 0))
    atoms = Atoms("Si4", positions=[[0, 0, 0], [2.2, 0, 0], [0, 2.3, 0], [0.5, 0.4, 2.4]])
    energy = chimes.ChimesPotential(pairs_only).predict(atoms).energy
    assert chimes.ChimesPotential(read).predict(atoms).energy == pytest.approx(energy, rel=1e-13)


def spoiled(old: str, new: str) -> str:
    text = writer.to_text(force_field(order_4b=0))
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("FCUT TYPE:", "FCUT KIND:", r"line 24: unknown keyword: 'FCUT KIND: TERSOFF 0.5'"),
        (
            "FCUT TYPE: TERSOFF 0.5",
            "FCUT TYPE: SIGMOID 1",
            r"line 24: unknown cutoff function; known: CUBIC",
        ),
        ("FCUT TYPE: TERSOFF 0.5", "FCUT TYPE: TERSOFF", r"line 24: expected the fraction"),
        ("USECOUL: false", "USECOUL: true", r"line 2: charges and over-coordination"),
        ("USECOUL: false", "USECOUL: perhaps", r"line 2: expected true or false"),
        ("\tMORSE\t", "\tINVRSE_R\t", r"line 20: only the MORSE transformation"),
        ("1\tTi\t0", "1\tXx\t0", r"line 15: 'Xx' is no chemical symbol"),
        ("ATOMS: O O Ti", "ATOMS: O O Zr", r"unknown atom type 'Zr'; the file's types: O, Ti"),
        ("PAIRS: OO OTi OTi", "PAIRS: OTi OO OO", r"these are not the pairs of O O Ti"),
        ("PAIRTYPE PARAMS: 1", "PAIRTYPE PARAMS: 7", r"has no 'PAIRTYPE PARAMS:' for this pair"),
        ("ATOM PAIR TRIPLETS: 4", "ATOM PAIR TRIPLETS: 5", r"5 3-body types announced, found \[0, 1, 2, 3\]"),
        ("\n0 0 1 1 0 0", "\n0 0 1 one 0 0", r"expected a power \(an integer\) as word 4"),
        ("PAIRTYP: CHEBYSHEV", "PAIRTYP: SPLINE", r"unknown keyword: 'PAIRTYP: SPLINE"),
        ("PENALTY DIST: 0.1", "PENALTY DIST: nan", r"a distance is not finite"),
        ("ENERGY OFFSET 2", "ENERGY OFFSET 9", r"energy offsets of unknown atom types \[9\]"),
    ],
)
def test_broken_files_are_refused_with_the_line(old, new, message):
    with pytest.raises(DataError, match=message):
        reader.parse(spoiled(old, new), "ff.txt")


def test_every_truncation_is_noticed():
    lines = writer.to_text(force_field(order_4b=0)).rstrip("\n").splitlines()
    assert lines[-1] == "ENDFILE"
    for end in range(0, len(lines) - 1, 7):
        text = "\n".join(lines[:end])
        with pytest.raises(DataError, match=rf"ff.txt, line {len(text.splitlines())}: .*truncated"):
            reader.parse(text, "ff.txt")


def test_absent_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"cannot read the ChIMES parameter file .*nothing\.txt"):
        chimes.read_parameters(tmp_path / "nothing.txt")
