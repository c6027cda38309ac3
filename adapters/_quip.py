"""QUIP's conventions: structures, extended XYZ, descriptor strings, stress and parameter files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.neighborlist import neighbor_list
from crossprune.harness.contract import FloatArray, GroupWeight
from crossprune.harness.frames import energy_of, forces_of, stress_of

ENERGY, FORCES, VIRIAL, NAME = "cp_energy", "cp_forces", "cp_virial", "cp_weights"
"""Our own label names: gap_fit picks up labels called ``energy``, ``virial`` or ``stress`` unasked."""
NO_LABEL = "cp_none"
"""A name that no file has, for the labels that must not be fitted."""
XML = "gap.xml"
"""Name of the parameter file; the sparse points lie beside it in ``gap.xml.sparseX.*``."""
LABEL = "GAP_crossprune"
"""Label that replaces gap_fit's time stamp, so that equal fits give equal files."""
DISTANCE_DIGITS = 4
"""Distances that agree to so many digits (Å) count as one when sparse points are limited."""
MARGIN = 1.5
"""Vacuum beyond the cutoff around a cluster, Å; QUIP's neighbour shell is 1 Å wider than the cutoff."""


@dataclass(frozen=True)
class GapOptions:
    """Kernel, sparse points, expected errors and limits of a GAP fit."""

    cutoff: float = 5.0
    """Radius of an atom's environment, Å."""
    transition_width: float = 0.5
    """Width over which neighbours fade out below the cutoff, Å."""
    n_max: int = 8
    """Number of radial functions."""
    l_max: int = 6
    """Highest angular momentum."""
    atom_sigma: float = 0.5
    """Width of the Gaussian that stands for a neighbour, Å."""
    zeta: float = 4.0
    """Power of the SOAP kernel."""
    delta: float = 1.0
    """Standard deviation of an atom's many-body energy, eV."""
    n_sparse: int = 500
    """SOAP sparse points per element; fewer where the subset has fewer environments."""
    pair_n_sparse: int = 15
    """Sparse distances per pair of elements; at least 2, or 0 for no pair kernel."""
    pair_cutoff: float = 5.0
    """Largest distance of the pair kernel, Å."""
    pair_delta: float = 1.0
    """Standard deviation of a pair's energy, eV."""
    pair_theta: float = 1.0
    """Length scale of the pair kernel, Å."""
    sigma_energy_per_atom: float = 0.002
    """Expected error of energies, eV per atom."""
    sigma_force: float = 0.05
    """Expected error of force components, eV/Å."""
    sigma_virial_per_atom: float = 0.05
    """Expected error of virial components, eV per atom."""
    use_stress: bool = False
    """Fit to stress as well, where frames have it; doubles the cost for small cells."""
    jitter: float = 1e-8
    """Number added to the diagonal of the sparse points' covariance, against duplicates."""
    fitter: Literal["fast", "gap_fit"] = "fast"
    """Linear algebra on kernel rows computed once, or the program gap_fit for every fit."""
    pool_per_configuration: int = 64
    """``fast``: candidates for sparse points that a configuration offers, per element."""
    rows_gb: float = 16.0
    """``fast``: space allowed to the kernel rows, GB."""
    timeout_s: float = 3600.0
    """Wall time allowed to gap_fit, s."""
    memory_gb: float = 8.0
    """Resident memory allowed to gap_fit, GB."""

    def __post_init__(self) -> None:
        """Reject numbers that gap_fit answers with a crash."""
        counts = {"pair_n_sparse", "l_max", "use_stress"}
        for name, value in asdict(self).items():
            if isinstance(value, str):
                continue
            if value < 0 or (value == 0 and name not in counts):
                raise ValueError(
                    f"{name} must be {'at least 0' if name in counts else 'positive'}, got {value}"
                )
        if self.pair_n_sparse == 1:
            raise ValueError("pair_n_sparse must be 0 or at least 2, got 1")
        if self.transition_width > self.cutoff:
            raise ValueError(f"transition_width {self.transition_width} exceeds cutoff {self.cutoff}")

    @property
    def reach(self) -> float:
        """Largest distance at which atoms interact, Å."""
        return max(self.cutoff, self.pair_cutoff)


def boxed(atoms: Atoms, cutoff: float) -> Atoms:
    """Copy a structure, with nothing but numbers and positions, into a cell that QUIP can use.

    QUIP needs three cell vectors even where nothing is periodic, and all atoms inside them. Directions that
    are not periodic get a vector perpendicular to the others, longer than the structure by twice the cutoff.
    """
    copy = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    free = np.flatnonzero(~atoms.pbc)
    if len(free) == 0:
        return copy
    cell = np.array(atoms.cell)
    kept = np.flatnonzero(atoms.pbc)
    normals = _complement(cell[kept])
    shift = np.zeros(3)
    for axis, normal in zip(free, normals, strict=True):
        heights = atoms.positions @ normal
        cell[axis] = normal * (np.ptp(heights) + 2 * (cutoff + MARGIN))
        shift += normal * (cutoff + MARGIN - heights.min())
    copy.set_cell(cell)
    copy.translate(shift)
    return copy


def _complement(vectors: FloatArray) -> FloatArray:
    """Return an orthonormal basis perpendicular to ``vectors``: shape (3 - n_vectors, 3)."""
    if len(vectors) == 0:
        return np.eye(3)
    basis: FloatArray = np.linalg.svd(vectors)[2][len(vectors) :]
    return basis


def write_training(
    path: Path,
    frames: Sequence[Atoms],
    weights: Sequence[GroupWeight],
    names: Mapping[GroupWeight, str],
    options: GapOptions,
) -> None:
    """Write extended XYZ with our own label names; a label of weight 0 is left out.

    Frames of equal weights share a name: gap_fit's list of names is limited in length, data sets are not
    limited in groups. The virial is −V·stress, as nine numbers (symmetric, so their order does not matter).
    """
    with path.open("w") as stream:
        for atoms, weight in zip(frames, weights, strict=True):
            stream.write(_xyz(atoms, names[weight], weight, options))


def _xyz(atoms: Atoms, name: str, weight: GroupWeight, options: GapOptions) -> str:
    box = boxed(atoms, options.reach)
    header = [f'Lattice="{_join(np.array(box.cell).ravel())}"']
    columns = [box.positions]
    properties = "species:S:1:pos:R:3"
    if weight.forces > 0:
        properties += f":{FORCES}:R:3"
        columns.append(forces_of(atoms))
    header.append(f"Properties={properties}")
    header.append('pbc="{}"'.format(" ".join("T" if one else "F" for one in atoms.pbc)))
    header.append(f"{NAME}={name}")
    if weight.energy > 0:
        header.append(f"{ENERGY}={energy_of(atoms):.17g}")
    stress = stress_of(atoms)
    if options.use_stress and weight.stress > 0 and stress is not None and atoms.cell.rank == 3:
        header.append(f'{VIRIAL}="{_join(virial_of(stress, atoms.get_volume()).ravel())}"')
    rows = np.concatenate(columns, axis=1)
    lines = [f"{symbol} {_join(row)}" for symbol, row in zip(atoms.get_chemical_symbols(), rows, strict=True)]
    return "\n".join([str(len(atoms)), " ".join(header), *lines]) + "\n"


def _join(values: FloatArray) -> str:
    return " ".join(f"{value:.17g}" for value in values)


def virial_of(stress: FloatArray, volume: float) -> FloatArray:
    """Return −V·stress (eV, shape (3, 3)) from a stress in Voigt order xx yy zz yz xz xy."""
    xx, yy, zz, yz, xz, xy = -volume * stress
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def stress_from(virial: FloatArray, volume: float) -> FloatArray:
    """Return the stress (eV/Å³, Voigt order, shape (6,)) from a virial (eV, shape (3, 3))."""
    stress = -(virial + virial.T) / (2 * volume)
    return np.array([stress[0, 0], stress[1, 1], stress[2, 2], stress[1, 2], stress[0, 2], stress[0, 1]])


def soap_string(elements: Sequence[str], options: GapOptions) -> str:
    """Return QUIP's definition of the SOAP density for all ``elements`` as neighbours, without its centre."""
    species = " ".join(str(atomic_numbers[element]) for element in elements)
    return (
        f"soap cutoff={options.cutoff:.10g} cutoff_transition_width={options.transition_width:.10g} "
        f"n_max={options.n_max} l_max={options.l_max} atom_sigma={options.atom_sigma:.10g} "
        f"n_species={len(elements)} species_Z={{{species}}}"
    )


def soap_part(element: str, n_sparse: int, elements: Sequence[str], options: GapOptions) -> str:
    """Return gap_fit's definition of the SOAP kernel of ``element``."""
    return (
        f"{soap_string(elements, options)} Z={atomic_numbers[element]} covariance_type=dot_product "
        f"zeta={options.zeta:.10g} delta={options.delta:.10g} sparse_method=cur_points "
        f"n_sparse={n_sparse} add_species=F"
    )


def pair_part(elements: tuple[str, str], n_sparse: int, options: GapOptions) -> str:
    """Return gap_fit's definition of the pair kernel of two elements."""
    return (
        f"distance_2b cutoff={options.pair_cutoff:.10g} "
        f"cutoff_transition_width={options.transition_width:.10g} "
        f"Z1={atomic_numbers[elements[0]]} Z2={atomic_numbers[elements[1]]} covariance_type=ard_se "
        f"delta={options.pair_delta:.10g} theta_uniform={options.pair_theta:.10g} "
        f"sparse_method=uniform n_sparse={n_sparse} add_species=F"
    )


def count_distances(frames: Sequence[Atoms], cutoff: float, enough: int) -> dict[tuple[str, str], int]:
    """Count different distances within ``cutoff`` per pair of elements (sorted), up to ``enough``."""
    found: dict[tuple[str, str], FloatArray] = {}
    for atoms in frames:
        symbols = np.array(atoms.get_chemical_symbols())
        first, second, distances = neighbor_list("ijd", atoms, cutoff)
        pairs = np.sort([symbols[first], symbols[second]], axis=0).T
        for one, other in np.unique(pairs, axis=0).tolist():
            known = found.get((one, other), np.empty(0))
            if len(known) < enough:
                chosen = distances[(pairs == (one, other)).all(axis=1)]
                found[one, other] = np.union1d(known, np.round(chosen, DISTANCE_DIGITS))
    return {pair: min(len(values), enough) for pair, values in found.items()}


def kernels(
    frames: Sequence[Atoms], elements: Sequence[str], options: GapOptions
) -> tuple[str, dict[str, int]]:
    """Return gap_fit's ``gap=`` value and the number of SOAP sparse points per element.

    One SOAP kernel per element that occurs, one pair kernel per pair of elements that meets within the
    cutoff at two distances or more (gap_fit divides by their range). Never more sparse points than there are
    environments or distances, because gap_fit aborts otherwise.
    """
    parts = []
    if options.pair_n_sparse > 0:
        counts = count_distances(frames, options.pair_cutoff, options.pair_n_sparse)
        for (one, other), n_distances in sorted(counts.items()):
            if n_distances < 2:
                continue
            parts.append(pair_part((one, other), n_distances, options))
    n_sparse: dict[str, int] = {}
    for element in elements:
        n_atoms = sum(int(np.sum(atoms.numbers == atomic_numbers[element])) for atoms in frames)
        if n_atoms == 0:
            continue
        n_sparse[element] = min(options.n_sparse, n_atoms)
        parts.append(soap_part(element, n_sparse[element], elements, options))
    return "{" + ":".join("{" + part + "}" for part in parts) + "}", n_sparse


def sigmas(names: Mapping[GroupWeight, str], options: GapOptions) -> str:
    """Return gap_fit's ``config_type_sigma``: each name with its expected errors."""
    parts = [":".join([name, *expected_errors(weight, options)]) for weight, name in names.items()]
    return "{" + ":".join(parts) + "}"


def expected_errors(weight: GroupWeight, options: GapOptions) -> list[str]:
    """Return expected errors of energy, force, virial and Hessian, divided by the weights."""
    values = (
        options.sigma_energy_per_atom / (weight.energy or 1.0),
        options.sigma_force / (weight.forces or 1.0),
        options.sigma_virial_per_atom / (weight.stress or 1.0),
        1.0,
    )
    return [f"{value:.10g}" for value in values]


def read_parameters(folder: Path) -> dict[str, bytes]:
    """Read the parameter file and its sparse points, with gap_fit's time stamp replaced by `LABEL`."""
    text = (folder / XML).read_text()
    found = re.search(r'<GAP_params[^>]*label="([^"]+)"', text)
    if found is None:
        raise RuntimeError(f"gap_fit wrote a {XML} without a label")
    files = {XML: text.replace(found[1], LABEL).encode()}
    for path in sorted(folder.glob(f"{XML}.sparseX.*")):
        files[path.name.replace(found[1], LABEL)] = path.read_bytes()
    return files
