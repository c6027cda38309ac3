"""The program gap_fit: where it is, and the files and settings that it reads and writes."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from crossprune.adapters.gap.options import GapOptions
from crossprune.adapters.programs import quip
from crossprune.adapters.programs.quip import boxed, virial_of
from crossprune.harness.contract import FloatArray, GroupWeight, IntArray
from crossprune.harness.contract.neighbours import find_neighbours
from crossprune.harness.data.frames import energy_of, forces_of, stress_of
from crossprune.harness.errors import MissingPackage

ENERGY, FORCES, VIRIAL, NAME = "cp_energy", "cp_forces", "cp_virial", "cp_weights"
MASK = "cp_mask"
"""Our own label names: gap_fit picks up labels called ``energy``, ``virial`` or ``stress`` unasked."""
NO_LABEL = "cp_none"
"""A name that no file has, for the labels that must not be fitted."""
XML = "gap.xml"
"""Name of the parameter file; the sparse points lie beside it in ``gap.xml.sparseX.*``."""
LABEL = "GAP_crossprune"
"""Label that replaces gap_fit's time stamp, so that equal fits give equal files."""
DISTANCE_DIGITS = 4
"""Distances that agree to so many digits (Å) count as one when sparse points are limited."""


def write_training(
    path: Path,
    frames: Sequence[Atoms],
    weights: Sequence[GroupWeight],
    names: Mapping[GroupWeight, str],
    options: GapOptions,
    kept: Sequence[IntArray] | None = None,
) -> None:
    """Write extended XYZ with our own label names; a label of weight 0 is left out.

    Where some atoms are ``kept``, the column `MASK` is true of all others, and there is no virial.
    Frames of equal weights share a name: gap_fit's list of names is limited in length, data sets are not
    limited in groups. The virial is −V·stress, as nine numbers (symmetric, so their order does not matter).
    """
    masks: Sequence[IntArray | None] = [None] * len(frames) if kept is None else kept
    with path.open("w") as stream:
        for atoms, weight, some in zip(frames, weights, masks, strict=True):
            stream.write(_xyz(atoms, names[weight], weight, options, some))


def _xyz(atoms: Atoms, name: str, weight: GroupWeight, options: GapOptions, kept: IntArray | None) -> str:
    box = boxed(atoms, options.reach)
    header = [f'Lattice="{_join(np.array(box.cell).ravel())}"']
    columns = [box.positions]
    properties = "species:S:1:pos:R:3"
    if weight.forces > 0:
        properties += f":{FORCES}:R:3"
        columns.append(forces_of(atoms))
    hidden = np.isin(np.arange(len(atoms)), kept, invert=True) if kept is not None else None
    if hidden is not None:
        properties += f":{MASK}:L:1"
    header.append(f"Properties={properties}")
    header.append('pbc="{}"'.format(" ".join("T" if one else "F" for one in atoms.pbc)))
    header.append(f"{NAME}={name}")
    if weight.energy > 0:
        header.append(f"{ENERGY}={energy_of(atoms):.17g}")
    stress = stress_of(atoms)
    if options.use_stress and weight.stress > 0 and stress is not None and kept is None:
        header.append(f'{VIRIAL}="{_join(virial_of(stress, atoms.get_volume()).ravel())}"')
    rows = np.concatenate(columns, axis=1)
    lines = [f"{symbol} {_join(row)}" for symbol, row in zip(atoms.get_chemical_symbols(), rows, strict=True)]
    if hidden is not None:
        lines = [f"{line} {'T' if one else 'F'}" for line, one in zip(lines, hidden, strict=True)]
    return "\n".join([str(len(atoms)), " ".join(header), *lines]) + "\n"


def _join(values: FloatArray) -> str:
    return " ".join(f"{value:.17g}" for value in values)


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
        near = find_neighbours(atoms, cutoff)
        distances = near.distances
        pairs = np.sort([symbols[near.centres], symbols[near.index]], axis=0).T
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
        options.force_error / (weight.forces or 1.0),
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


def find_gap_fit() -> Path:
    """Return gap_fit's path: quippy's own program, else the environment's, else the search path's.

    quippy's comes first: what the environment's ``bin`` holds is a Python script around it, which turns a
    crash into an ordinary exit code, and whose death does not end the program.

    Raises
    ------
    MissingPackage
        If there is none.
    """
    own = Path(quip.quippy("convert").__file__).with_name("gap_fit")
    for path in (own, Path(sys.executable).with_name("gap_fit"), Path(shutil.which("gap_fit") or os.devnull)):
        if path.is_file() and os.access(path, os.X_OK):
            return path
    raise MissingPackage("adapter 'gap'", "quippy-ase", "crossprune[gap]")
