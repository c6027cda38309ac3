"""SNAP: spectral neighbour analysis, linear or quadratic in the bispectrum, run by LAMMPS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from crossprune.adapters.linear.fitter import LinearFitter, LinearOptions, LinearPotential, Rows, stress_rows
from crossprune.adapters.linear.least_squares import Solution
from crossprune.adapters.programs.lammps import (
    BAR_PER_EV_PER_CUBIC_ANGSTROM,
    Box,
    LammpsPotential,
    Session,
    require_lammps,
)
from crossprune.adapters.programs.overlays import overlaid, require_over, require_reference
from crossprune.adapters.programs.pair_commands import FOLDER
from crossprune.harness.contract import (
    SMALLEST_SLOPE,
    Capabilities,
    Descriptor,
    FloatArray,
    IntArray,
    require_elements,
)
from crossprune.harness.errors import DataError, StudyError

ENERGY_ROWS, STRESS_ROWS = 1, 6
COEFFICIENTS, PARAMETERS = "model.snapcoeff", "model.snapparam"
"""Names of LAMMPS's two files of a SNAP."""
KEYS = ("rcutfac", "twojmax", "rfac0", "rmin0", "bzeroflag", "quadraticflag", "chemflag")
"""Parameters that a fit writes; LAMMPS would take a default for one that is missing."""
SWITCHES = ("bnormflag", "wselfallflag")
"""Options that are LAMMPS's keywords, written where they are on."""
CUTOFF = 1.85
"""Cutoff over the spacing of atoms: about 28 neighbours; see docs/tuning.md."""
GLOBAL, ATOM, ARRAY = 0, 1, 2  # LAMMPS's constants for what `extract_compute` returns


@dataclass(frozen=True)
class SnapOptions(LinearOptions):
    """Bispectrum and fit (Thompson 2015, doi:10.1016/j.jcp.2014.12.018)."""

    twojmax: int = 8
    """Twice the largest angular momentum; 6 gives 30 components, 8 gives 55."""
    cutoff: float = 4.8
    """Distance at which a neighbour's contribution ends, Å (equal radii; see ``radii``)."""
    rfac0: float = 0.99363
    """Fraction of the angle range that distances are mapped to (dimensionless)."""
    rmin0: float = 0.0
    """Distance that is mapped to angle 0, Å."""
    quadratic: bool = False
    """Add all products of two components (Wood 2018, doi:10.1063/1.5017641)."""
    explicit_multi_element: bool = False
    """Resolve the neighbours' elements (EME-SNAP, doi:10.1021/acs.jpca.0c02450); for alloys."""
    radii: Mapping[str, float] = field(default_factory=dict)
    """Radius per element in units where 0.5 is the default: r_cut(ij) = cutoff · (R_i + R_j)."""
    element_weights: Mapping[str, float] = field(default_factory=dict)
    """Neighbour density weight per element; default: evenly spaced from 1 down to 0.5."""
    bnormflag: bool = False
    """Divide each component by 2j + 1 (LAMMPS's keyword), as FitSNAP's example of InP does."""
    wselfallflag: bool = False
    """With explicit elements: the atom itself is in the densities of all of them, not in its own alone."""
    bzeroflag: bool = True
    """Subtract the components of an atom alone, so that the offset is a free atom's energy."""
    reference: tuple[str, ...] = ()
    """Pair commands of LAMMPS for a potential under the fit, which learns what that leaves, atom types in
    alphabetical order: ("pair_style zbl 4.0 4.8",), or with pair_coeff lines. Styles without files."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        super().__post_init__()
        if self.reference:
            try:
                require_reference(self.reference)
            except DataError as error:
                raise ValueError(f"reference: {error}") from None
        if not 1 <= self.twojmax <= 14:
            raise ValueError(f"twojmax must be between 1 and 14, got {self.twojmax}")
        if self.cutoff <= self.rmin0:
            raise ValueError(f"cutoff must exceed rmin0, got {self.cutoff} and {self.rmin0} Å")
        if self.rmin0 < 0:
            raise ValueError(f"rmin0 must not be negative, got {self.rmin0} Å")
        if not 0 < self.rfac0 <= 1:
            raise ValueError(f"rfac0 must be in (0, 1], got {self.rfac0}")
        if self.radii and min(self.radii.values()) <= 0:
            raise ValueError(f"radii must be positive, got {dict(self.radii)}")


class SnapPotential(LammpsPotential, LinearPotential):
    """A fitted SNAP in LAMMPS's own format."""

    adapter: ClassVar[str] = "snap"

    def __init__(
        self,
        elements: Sequence[str],
        commands: Sequence[str],
        files: Mapping[str, str],
        info: Mapping[str, float | str] | None = None,
        *,
        coefficients: FloatArray | None = None,
        offsets: FloatArray | None = None,
    ) -> None:
        super().__init__(elements, commands, files, info)
        if coefficients is None or offsets is None:
            _require_parameters(files)
            require_over(commands, elements, "snap", _files_of(elements))
            blocks = _read_coefficients(files[COEFFICIENTS], len(elements))
            offsets, coefficients = blocks[:, 0], blocks[:, 1:].ravel()
            if commands[0].split()[1] == "hybrid/overlay":
                coefficients = np.append(coefficients, 1.0)
        self.coefficients = coefficients
        self.offsets = offsets


class Snap(Descriptor[SnapOptions], LinearFitter[SnapOptions]):
    """Bispectrum components as latent space and as the basis of a linear model."""

    name = "snap"
    capabilities = Capabilities(exact_subset_refit=True, rows=True, metric=True, masks=True, prior=True)
    options_type = SnapOptions
    distributions: ClassVar[tuple[str, ...]] = ("lammps", "numpy", "scipy")
    smoke: ClassVar[Mapping[str, Any]] = {"twojmax": 4, "cutoff": 4.5}
    potential_type = SnapPotential

    def __init__(
        self,
        elements: Sequence[str],
        options: SnapOptions | None = None,
        isolated_atom_energies: Mapping[str, float] | None = None,
    ) -> None:
        require_lammps(self.name)
        super().__init__(elements, options, isolated_atom_energies)
        self._session = Session()
        if self.options.reference:
            try:
                overlaid(self.options.reference, self.elements, "snap", [])
            except DataError as error:
                raise StudyError(f"adapter 'snap': reference: {error}") from None

    @classmethod
    def geometry(cls, spacing: float) -> Mapping[str, Any]:
        """Scale the cutoff with the spacing of atoms, Å."""
        return {"cutoff": round(CUTOFF * spacing, 2)}

    @classmethod
    def search_space(cls, spacing: float) -> Sequence[Mapping[str, Any]]:
        """Three cutoffs, linear and quadratic, each with weak and strong energies."""
        kinds: Sequence[Mapping[str, Any]] = ({"twojmax": 8}, {"twojmax": 6, "quadratic": True})
        return [
            {**kind, "cutoff": round(factor * spacing, 2), "energy_weight": weight}
            for kind in kinds
            for factor in (1.7, 1.85, 2.0)
            for weight in (100.0, 300.0)
        ]

    @property
    def n_known(self) -> int:  # type: ignore[override]
        """The reference's column, where there is one."""
        return 1 if self.options.reference else 0

    @property
    def n_columns(self) -> int:
        """Number of coefficients of all elements, and the reference."""
        return len(self.elements) * self._per_element(quadratic=self.options.quadratic) + self.n_known

    def column_kinds(self) -> IntArray:
        """Return 0 for bispectrum components, 1 for their products."""
        linear = self._per_element(quadratic=False)
        block = np.arange(self._per_element(quadratic=self.options.quadratic)) >= linear
        kinds = np.tile(block.astype(np.int64), len(self.elements))
        return np.append(kinds, np.zeros(self.n_known, dtype=np.int64))

    def column_scales(self) -> FloatArray:
        """Return the largest component of an atom alone, of which ``bzeroflag`` leaves rounding.

        It is 2J + 1. A product is rounding where both of its factors are.
        """
        single = 1.0 if self.options.bnormflag else self.options.twojmax + 1.0
        return np.where(self.column_kinds() == 0, single, SMALLEST_SLOPE * single**2)

    def alone(self) -> FloatArray | None:
        """Return the rows of an atom alone, which are not zero without ``bzeroflag``."""
        if self.options.bzeroflag:
            return None
        return np.array([self.rows(Atoms(element)).energy for element in self.elements])

    def features(self, atoms: Atoms) -> FloatArray:
        """Return the bispectrum components of each atom (dimensionless); never their products."""
        require_elements(atoms, self.elements, "adapter 'snap'")
        self._load(atoms, "sna/atom", quadratic=False)
        order = np.argsort(self._session.lammps.numpy.extract_atom("id")[: len(atoms)])
        values = self._session.lammps.numpy.extract_compute("descriptor", ATOM, ARRAY)
        return np.array(values[: len(atoms)][order], dtype=np.float64)

    def terms(self, features: FloatArray, kinds: IntArray) -> FloatArray:
        """Add products where they are fitted, as LAMMPS orders them, in the columns of the atom's element."""
        values = features
        if self.options.quadratic:
            k = features.shape[1]
            products = [
                features[:, i : i + 1] * np.hstack([features[:, i : i + 1] / 2, features[:, i + 1 :]])
                for i in range(k)
            ]
            values = np.hstack([features, *products])
        own = kinds[:, None] == np.arange(len(self.elements))
        found: FloatArray = (own[:, :, None] * values[:, None, :]).reshape(len(features), -1)
        return found

    def rows(self, atoms: Atoms) -> Rows:
        """Read the design rows off ``compute snap``: energy, forces and virial in one pass.

        The last column is the reference's, where there is one.
        """
        box = self._load(atoms, "snap", quadratic=self.options.quadratic)
        table = np.array(self._session.lammps.numpy.extract_compute("descriptor", GLOBAL, ARRAY))
        table[-STRESS_ROWS:, -1] *= (
            atoms.get_volume() / BAR_PER_EV_PER_CUBIC_ANGSTROM if all(box.pbc) else 0.0
        )
        if not self.n_known:
            table = table[:, :-1]
        energy = np.array(table[0])
        forces = table[ENERGY_ROWS:-STRESS_ROWS].reshape(len(atoms), 3, -1)
        forces = np.einsum("xy,ayk->axk", box.rotation, forces).reshape(3 * len(atoms), -1)
        stress = None
        if all(box.pbc):
            xx, yy, zz, yz, xz, xy = -table[-STRESS_ROWS:] / atoms.get_volume()
            tensor = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
            rotated = np.einsum("ax,xyk,by->abk", box.rotation, tensor, box.rotation)
            stress = stress_rows(rotated)
        return Rows(energy, forces, stress)

    def potential(self, solution: Solution) -> SnapPotential:
        """Write the coefficients in LAMMPS's format, 17 digits each."""
        files = _files_of(self.elements)
        commands = ["pair_style snap", f"pair_coeff * * {files}"]
        if self.options.reference:
            over = f"pair_coeff * * snap {files}"
            commands = overlaid(self.options.reference, self.elements, "snap", [over])
        blocks = self._shared(solution.coefficients.reshape(len(self.elements), -1))
        lines = ["# fitted by crossprune", f"{len(self.elements)} {blocks.shape[1] + 1}"]
        for element, offset, block in zip(self.elements, solution.offsets, blocks, strict=True):
            lines.append(f"{element} {self._radius(element):.17g} {self._weight(element):.17g}")
            lines += [f"{value:.17g}" for value in (offset, *block)]
        texts = {COEFFICIENTS: "\n".join(lines) + "\n", PARAMETERS: self._parameters()}
        coefficients = np.append(blocks, np.ones(self.n_known))
        return SnapPotential(
            self.elements, commands, texts, coefficients=coefficients, offsets=solution.offsets
        )

    def _parameters(self) -> str:
        options = self.options
        lengths = [f"{value:.17g}" for value in (options.cutoff, options.rfac0, options.rmin0)]
        switches = map(int, (options.bzeroflag, options.quadratic, options.explicit_multi_element))
        values = [lengths[0], options.twojmax, *lengths[1:], *switches]
        lines = [f"{key} {value}\n" for key, value in zip(KEYS, values, strict=True)]
        lines += [f"{key} 1\n" for key in SWITCHES if getattr(options, key)]
        return "# fitted by crossprune\n" + "".join(lines)

    def _load(self, atoms: Atoms, style: str, *, quadratic: bool) -> Box:
        """Run LAMMPS on ``atoms`` with one descriptor compute."""
        options, session = self.options, self._session
        box = session.load(atoms, self.elements)
        radii = [self._radius(element) for element in self.elements]
        weights = map(self._weight, self.elements)
        reach = 2 * options.cutoff * max(radii)
        n = len(self.elements)
        chem = f" chem {n} {' '.join(map(str, range(n)))}" if options.explicit_multi_element else ""
        switches = "".join(f" {key} 1" for key in SWITCHES if getattr(options, key))
        listing = " ".join(f"{value:.17g}" for value in (*radii, *weights))
        pairs = [f"pair_style zero {reach + 0.01:.17g} nocoeff", "pair_coeff * *"]
        if options.reference and style == "snap":
            zero = f"zero {reach + 0.01:.17g} nocoeff"
            pairs = overlaid(options.reference, self.elements, zero, ["pair_coeff * * zero"])
        self._command(
            "\n".join(
                [
                    *pairs,
                    f"compute descriptor all {style} {options.cutoff:.17g} {options.rfac0:.17g} "
                    f"{options.twojmax} {listing} rmin0 {options.rmin0:.17g} "
                    f"bzeroflag {int(options.bzeroflag)} quadraticflag {int(quadratic)}{chem}{switches}",
                    "compute all all reduce sum c_descriptor[1]" if style == "sna/atom" else "",
                    f"thermo_style custom step {'c_all' if style == 'sna/atom' else 'c_descriptor[1][1]'}",
                    "run 0 post no",
                ]
            ),
            atoms,
        )
        return box

    def _command(self, commands: str, atoms: Atoms) -> None:
        """Give LAMMPS commands; a refusal is the reference's where there is one."""
        try:
            self._session.command(commands, atoms)
        except DataError as error:
            if not self.options.reference:
                raise
            raise StudyError(
                f"adapter 'snap': LAMMPS refuses reference = {list(self.options.reference)}: {error}"
            ) from None

    def _moments(self) -> list[tuple[int, int, int]]:
        """Return j1, j2, j of the components, doubled, in LAMMPS's order (Thompson 2015, section 2.2)."""
        top = self.options.twojmax
        return [
            (j1, j2, j)
            for j1 in range(top + 1)
            for j2 in range(j1 + 1)
            for j in range(j1 - j2, min(top, j1 + j2) + 1, 2)
            if j >= j1
        ]

    def _per_element(self, *, quadratic: bool) -> int:
        """Count the components per element."""
        linear = len(self._moments())
        if self.options.explicit_multi_element:
            linear *= len(self.elements) ** 3
        return linear + linear * (linear + 1) // 2 if quadratic else linear

    def _shared(self, blocks: FloatArray) -> FloatArray:
        """Give equal components the mean of their coefficients; no energy changes by it.

        With explicit elements the component of (j1, a), (j2, b), (j, c) is there again with the elements of
        equal moments exchanged. ``pair_style snap`` takes it for granted that their coefficients are equal:
        its forces are not the gradient of its energy otherwise.
        """
        if not self.options.explicit_multi_element:
            return blocks
        kinds = [
            tuple(sorted(zip(moments, elements, strict=True)))
            for elements in product(range(len(self.elements)), repeat=3)
            for moments in self._moments()
        ]
        numbers = {kind: number for number, kind in enumerate(dict.fromkeys(kinds))}
        members = np.zeros((len(numbers), len(kinds)))
        members[[numbers[kind] for kind in kinds], np.arange(len(kinds))] = 1.0
        mean = members.T @ (members / members.sum(axis=1, keepdims=True))
        n, found = len(kinds), blocks.copy()
        found[:, :n] = blocks[:, :n] @ mean
        if self.options.quadratic:
            i, j = np.triu_indices(n)
            matrix = np.zeros((len(blocks), n, n))
            matrix[:, i, j] = matrix[:, j, i] = blocks[:, n:]
            found[:, n:] = (mean @ matrix @ mean)[:, i, j]
        return found

    def _radius(self, element: str) -> float:
        return self.options.radii.get(element, 0.5)

    def _weight(self, element: str) -> float:
        spaced = np.linspace(1.0, 0.5, len(self.elements)) if len(self.elements) > 1 else [1.0]
        return self.options.element_weights.get(element, float(spaced[self.elements.index(element)]))


def _files_of(elements: Sequence[str]) -> str:
    return f"{FOLDER}{COEFFICIENTS} {FOLDER}{PARAMETERS} {' '.join(elements)}"


def _require_parameters(files: Mapping[str, str]) -> None:
    """Raise `DataError` unless both files are there, and the parameters are those that a fit writes."""
    if set(files) != {COEFFICIENTS, PARAMETERS}:
        raise DataError(
            f"a SNAP consists of {COEFFICIENTS} and {PARAMETERS}, got {', '.join(files) or 'none'}"
        )
    words = [line.split() for line in files[PARAMETERS].splitlines() if not line.startswith("#")]
    given = [line[0] for line in words if len(line) == 2]
    known, missing = {*KEYS, *SWITCHES}, set(KEYS) - set(given)
    if missing or not known.issuperset(given) or len(set(given)) < len(words):
        raise DataError(f"{PARAMETERS} must set {', '.join(KEYS)}, each once; it sets {', '.join(given)}")


def _read_coefficients(text: str, n_elements: int) -> FloatArray:
    """Read a coefficient file: shape (n_elements, 1 + n_coefficients), the offset first.

    Raises
    ------
    DataError
        If it is not of so many elements, has more or fewer lines than it announces, or a line is no number.
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    try:
        given, per_element = map(int, lines[0].split()) if lines else (0, 0)
        starts = [2 + index * (per_element + 1) for index in range(given)]
        values = [[float(line) for line in lines[start : start + per_element]] for start in starts]
    except ValueError as error:
        raise DataError(f"{COEFFICIENTS}: {error}; is it damaged?") from None
    if given != n_elements or len(lines) != 1 + given * (per_element + 1) or per_element < 2:
        raise DataError(
            f"{COEFFICIENTS} has {len(lines)} lines, and announces {given} elements of {per_element} "
            f"coefficients; expected {n_elements} elements; is it cut off?"
        )
    return np.array(values)
