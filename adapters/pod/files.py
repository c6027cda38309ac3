"""The two files of ``pair_style pod``: hyper-parameters, and coefficients; written, and strictly read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers
from crossprune.adapters.pod.basis import BODIES, Basis
from crossprune.harness.contract import FloatArray
from crossprune.harness.errors import DataError, unknown_name

PARAMETERS, COEFFICIENTS = "model_param.pod", "model_coeff.pod"
"""Names of the files of a potential."""
FITTED = "# fitted by crossprune\n"
LENGTHS = ("rin", "rcut")
RADIAL = tuple(f"{body}body_number_radial_basis_functions" for body in BODIES)
DEGREES = tuple(f"{body}body_angular_degree" for body in BODIES[1:])
CLUSTERS, COMPONENTS = "number_of_environment_clusters", "number_of_principal_components"
POLYNOMIALS = ("bessel_polynomial_degree", "inverse_polynomial_degree")
DEFAULTS: Mapping[str, float] = {
    "rin": 0.5,
    "rcut": 5.0,
    CLUSTERS: 1,
    COMPONENTS: 1,
    **dict(zip(POLYNOMIALS, (4, 8), strict=True)),
    "onebody": 1,
    **dict(zip(RADIAL, (8, 6, 4, 0, 0, 0), strict=True)),
    **dict(zip(DEGREES, (4, 3, 0, 0, 0), strict=True)),
}
"""What LAMMPS takes where a file is silent."""
MOST_LINES = 2_000_000
"""Of a coefficient file; a longer one is no potential."""


@dataclass(frozen=True)
class Coefficients:
    """Numbers of a coefficient file.

    ``offsets`` eV, shape (n_elements,), energies of the atoms; ``model`` eV, shape (n_elements, n), the
    coefficients of an atom's descriptors, cluster by cluster; ``rest`` projections and centroids of
    environment clusters, where there are any.
    """

    offsets: FloatArray
    model: FloatArray
    rest: FloatArray


def parameters_text(basis: Basis) -> str:
    """Write hyper-parameters as LAMMPS reads them, lengths with 17 digits."""
    values: list[tuple[str, object]] = [
        ("species", " ".join(basis.elements)),
        ("pbc", "1 1 1"),
        ("rin", f"{basis.inner_cutoff:.17g}"),
        ("rcut", f"{basis.cutoff:.17g}"),
        (CLUSTERS, basis.n_clusters),
        (COMPONENTS, basis.n_components),
        *zip(POLYNOMIALS, (basis.bessel, basis.inverse), strict=True),
        ("onebody", 1),
        *zip(RADIAL, basis.radial, strict=True),
        *zip(DEGREES, basis.degrees[1:], strict=True),
    ]
    return FITTED + "".join(f"{key} {value}\n" for key, value in values)


def read_parameters(text: str, where: str) -> Basis:
    """Read a parameter file.

    Raises
    ------
    DataError
        With file and line, for a word that is unknown or occurs twice, a value that is no number or out of
        range, or a file without species.
    """
    found: dict[str, float] = {}
    elements: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].replace('"', " ").replace("'", " ").split()
        if not words:
            continue
        place, key = f"{where}, line {number}", words[0]
        if key in found or (key == "species" and elements):
            raise DataError(f"{place}: {key} occurs twice")
        if key == "species":
            elements = _species(words[1:], place)
        elif key == "pbc":
            if len(words) != 4 or set(words[1:]) - {"0", "1"}:
                raise DataError(f"{place}: expected pbc and three numbers, 0 or 1")
        else:
            found[key] = _value(key, words[1:], place)
    if not elements:
        raise DataError(f"{where} names no species; is it a parameter file of pair_style pod?")
    values = {**DEFAULTS, **found}
    if values["onebody"] != 1:
        raise DataError(
            f"{where}: onebody {values['onebody']:g}: LAMMPS reads beyond its arrays without one-body terms; "
            "give onebody 1 and coefficients of 0"
        )
    try:
        return Basis(
            elements=elements,
            inner_cutoff=values["rin"],
            cutoff=values["rcut"],
            bessel=int(values[POLYNOMIALS[0]]),
            inverse=int(values[POLYNOMIALS[1]]),
            radial=tuple(int(values[key]) for key in RADIAL),
            degrees=(0, *(int(values[key]) for key in DEGREES)),
            n_clusters=int(values[CLUSTERS]),
            n_components=int(values[COMPONENTS]),
        )
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None


def _species(words: Sequence[str], place: str) -> tuple[str, ...]:
    if not words or set(words) - (set(atomic_numbers) - {"X"}) or len(set(words)) < len(words):
        raise DataError(f"{place}: expected species and distinct chemical symbols, got {' '.join(words)!r}")
    return tuple(words)


def _value(key: str, words: Sequence[str], place: str) -> float:
    """Read the one number of a key: a length, or a whole number."""
    if key not in DEFAULTS:
        raise DataError(
            f"{place}: {unknown_name('key', key[:60], {*DEFAULTS, 'species', 'pbc'})}; files of LAMMPS "
            "before 2024 have others, and today's LAMMPS does not read them"
        )
    try:
        (word,) = words
        value = float(word) if key in LENGTHS else float(int(word))
    except (ValueError, OverflowError):
        kind = "number" if key in LENGTHS else "whole number"
        raise DataError(f"{place}: expected {key} and one {kind}, got {' '.join(words)[:60]!r}") from None
    if not np.isfinite(value) or abs(value) > 1e6:
        raise DataError(f"{place}: {key} {value:g} is out of range")
    return value


def coefficients_text(basis: Basis, given: Coefficients) -> str:
    """Write coefficients as LAMMPS reads them, 17 digits each."""
    values = np.concatenate([np.column_stack([given.offsets, given.model]).ravel(), given.rest])
    head = f"{FITTED}model_coefficients: {' '.join(map(str, numbers_of(basis)))}\n"
    return head + "".join(f"{value:.17g}\n" for value in values)


def numbers_of(basis: Basis) -> list[int]:
    """Return how many coefficients, projections and centroids a potential has."""
    n = len(basis.elements)
    found = [n * (1 + basis.n_per_element), 0, 0]
    if basis.n_clusters > 1:
        found[1] = n * basis.n_components * basis.n_descriptors
        found[2] = n * basis.n_components * basis.n_clusters
    return found


def read_coefficients(text: str, basis: Basis, where: str) -> Coefficients:
    """Read a coefficient file of the potential with these hyper-parameters.

    Raises
    ------
    DataError
        If the file announces other numbers of coefficients than ``basis`` has, has more or fewer lines than
        it announces, or a line is no finite number.
    """
    if text.count("\n") > MOST_LINES:
        raise DataError(f"{where} has more than {MOST_LINES} lines; it is no coefficient file")
    lines = [line for line in (one.partition("#")[0].strip() for one in text.splitlines()) if line]
    words = lines[0].replace(":", " ").split() if lines else []
    if len(words) != 4 or not all(word.isascii() and word.isdigit() and len(word) < 10 for word in words[1:]):
        raise DataError(f"{where}: expected 'model_coefficients: N 0 0' first, got {' '.join(words)[:60]!r}")
    announced = [int(word) for word in words[1:]]
    needed = numbers_of(basis)
    if announced != needed or len(lines) != 1 + sum(needed):
        raise DataError(
            f"{where} announces {announced} numbers (coefficients, projections, centroids) and has "
            f"{len(lines) - 1} lines of them; the parameters of {', '.join(basis.elements)} need {needed}; "
            "is it cut off, or of another potential?"
        )
    try:
        values = np.array([float(line) for line in lines[1:]])
    except ValueError as error:
        raise DataError(f"{where}: {error}; is it damaged?") from None
    if not np.isfinite(values).all():
        raise DataError(f"{where} holds NaN or infinity; fit it again, or fetch a whole copy")
    blocks = values[: needed[0]].reshape(len(basis.elements), -1)
    return Coefficients(blocks[:, 0].copy(), blocks[:, 1:].copy(), values[needed[0] :])
