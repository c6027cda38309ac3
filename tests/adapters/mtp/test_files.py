"""Files of MLIP: what is written is read again, and what is broken is refused with its line."""

from __future__ import annotations

import re

import numpy as np
import pytest
from ase.build import bulk
from crossprune.harness.errors import DataError, StudyError

mtp = pytest.importorskip("crossprune.adapters.mtp", exc_type=ImportError)


def potential(elements=("Mo",), **options):
    from crossprune.adapters.linear import Solution

    made = mtp.Mtp(elements, mtp.MtpOptions(**{"level": 8, "radial_step": 4, "cutoff": 4.2, **options}))
    rng = np.random.default_rng(2)
    return made.potential(Solution(rng.normal(size=made.n_columns), rng.normal(size=len(elements)), 1.0))


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mtp")
    return potential().export(folder)[0].read_text()


@pytest.mark.parametrize("elements", [("Mo",), ("Mo", "Nb", "W")])
@pytest.mark.parametrize("radial", ["fixed", "fitted"])
def test_files_lose_no_digit(elements, radial, tmp_path):
    model = potential(elements, radial=radial)
    path, settings = model.export(tmp_path)
    again = mtp.read_potential(path)
    atoms = bulk("Mo", "bcc", 3.1, cubic=True).repeat((2, 1, 1))
    atoms.symbols = [elements[k % len(elements)] for k in range(4)]
    atoms.rattle(0.1, seed=1)
    one, other = model.predict(atoms), again.predict(atoms)
    assert again.elements == elements
    assert one.energy == other.energy
    np.testing.assert_array_equal(one.forces, other.forces)
    assert settings.read_text() == "mtp-filename potential.mtp\nselect FALSE\n"


def test_scaling_and_newer_keys_are_read(text, tmp_path):
    path = tmp_path / "Mo.mtp"
    coefficients = potential().model.radial.coefficients
    changed = text.replace("scaling = 1.0", "scaling = 0.5").replace("min_dist =", "min =")
    changed = changed.replace("max_dist =", "max =").replace("radial_basis_size =", "size =")
    path.write_text(changed.replace("potential_tag = Mo", "potential_tag ="))
    found = mtp.read_potential(path)
    np.testing.assert_array_equal(found.model.radial.coefficients, 0.5 * coefficients)
    assert found.elements == ("Mo",)  # by the file's name


def test_elements_are_given_where_the_file_has_none(tmp_path):
    path = potential(("Mo", "W")).export(tmp_path)[0]
    path.write_text(path.read_text().replace("potential_tag = Mo W", "potential_tag ="))
    with pytest.raises(StudyError, match=r"2 species without names.*as in mtp:potential.mtp:Mo,W"):
        mtp.read_potential(path)
    assert mtp.read_potential(f"{path}:W,Ta").elements == ("W", "Ta")
    for wrong in ("W", "W,W", "W,Xx", "W,Ta,Mo"):
        with pytest.raises(StudyError, match="append one symbol for each"):
            mtp.read_potential(f"{path}:{wrong}")


BROKEN = [
    ("MTP\n", "", "line 1: the first line is not 'MTP'"),
    ("version = 1.1.0", "version = 2.0", "line 2: version: read is 1.1.0, got '2.0'"),
    ("RBChebyshev", "RBTaylor", "line 7: radial_basis_type: read is RBChebyshev, got 'RBTaylor'"),
    ("version", "magnetic_basis_type", "unknown key 'magnetic_basis_type'"),
    ("scaling = 1.0", "scaling = nan", "line 4: scaling: 'nan' is no number"),
    ("scaling = 1.0", "scaling = 1e999", "a number is infinite"),
    ("scaling = 1.0", "scaling = 1e308", r"line 4: scaling: a number is beyond 1e\+30"),
    ("scaling = 1.0", "scaling = 1e30", r"line 4: scaling: radial coefficients times 1e\+30 are beyond"),
    ("scaling = 1.0", "scaling = 1.0\nscaling = 2.0", "line 5: scaling comes twice"),
    ("scaling = 1.0", "__import__('os')", "line 4: .* is not read"),
    ("species_count = 1", "species_count = 2", "radial_coeffs of all pairs of 2 species are needed"),
    ("species_count = 1", "species_count = 999", "expected an integer from 1 to 118"),
    ("max_dist = 4.2", "max_dist = 0.2", "expected 0 <= min_dist < max_dist"),
    ("max_dist = 4.2", "max_dist = 1000", "expected 0 <= min_dist < max_dist <= 30 Å, got 1.8 and 1000"),
    ("radial_basis_size = 8", "radial_basis_size = 7", "expected 7 numbers, got 8"),
    ("radial_funcs_count = 2", "radial_funcs_count = 3", "0-0: 2 rows, expected 3"),
    ("\t\t0-0", "\t\t0-1", "radial_coeffs of all pairs of 1 species"),
    ("{{0, 0, 0, 0}", "{{9, 0, 0, 0}", "alpha_index_basic: μ must be below 2"),
    ("{{0, 0, 0, 0}", "{{0, 0, 0, 99}", "powers at most 50"),
    ("{{0, 0, 0, 0}", "{{0, 0, 0}", "expected rows of four integers"),
    ("alpha_index_times = {{0, 0, 1, 11}", "alpha_index_times = {{0, 0, 1, 3}", "basic ones not as sums"),
    ("alpha_index_times = {{0, 0, 1, 11}", "alpha_index_times = {{0, 17, 1, 11}", "used before"),
    ("alpha_moments_count = 18", "alpha_moments_count = 999999999", "cannot make 999999999 moments"),
    ("alpha_scalar_moments = 9", "alpha_scalar_moments = 8", "expected 8 integers, got 9"),
    ("alpha_moment_mapping = {0, ", "alpha_moment_mapping = {18, ", "moments below 18 that are formed"),
    ("species_coeffs = {", "species_coeffs = {1.0, ", "expected 1 numbers, got 2"),
    ("moment_coeffs = {", "other = {", "unknown key 'other'"),
]


@pytest.mark.parametrize(("old", "new", "says"), BROKEN)
def test_broken_files_are_refused(text, tmp_path, old, new, says):
    assert old in text
    path = tmp_path / "Mo.mtp"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=says):
        mtp.read_potential(path)


@pytest.mark.parametrize("key", ["species_coeffs", "moment_coeffs"])
def test_numbers_that_overflow_in_a_sum_are_refused(text, tmp_path, key):
    path = tmp_path / "Mo.mtp"
    path.write_text(re.sub(rf"({key} = {{)[^,}}]+", r"\g<1>1e300", text))
    with pytest.raises(DataError, match=rf"{key}: a number is beyond 1e\+30"):
        mtp.read_potential(path)


def test_the_farthest_cutoff_is_that_of_options_and_files(tmp_path):
    made = potential(cutoff=30.0)
    assert mtp.read_potential(made.export(tmp_path)[0]).model.radial.cutoff == 30.0
    with pytest.raises(ValueError, match=r"cutoff must be at most 30 Å, got 30\.5"):
        mtp.MtpOptions(cutoff=30.5)


def test_truncated_and_untrained_files_are_refused(text, tmp_path):
    path = tmp_path / "Mo.mtp"
    lines = text.splitlines(keepends=True)
    for count in range(len(lines) - 1):
        path.write_text("".join(lines[:count]))
        with pytest.raises(DataError, match=r"Mo\.mtp"):
            mtp.read_potential(path)
    path.write_text("".join(line for line in lines if not line.startswith("moment_coeffs")))
    with pytest.raises(DataError, match="an untrained potential, fit it first"):
        mtp.read_potential(path)
    with pytest.raises(DataError, match=r"cannot read the \.mtp file"):
        mtp.read_potential(tmp_path / "none.mtp")
    path.write_bytes(b"MTP\n\xff\xfe")
    with pytest.raises(DataError, match=r"cannot read the \.mtp file"):
        mtp.read_potential(path)
