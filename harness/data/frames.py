"""Labelled structures as arrays: labels, groups, validation, content hashes and compact storage."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers
from crossprune.harness.contract import FloatArray, IntArray, save_arrays
from crossprune.harness.contract.neighbours import closed_cell, heights
from crossprune.harness.errors import DataError
from numpy.typing import NDArray
from scipy.spatial import cKDTree

GROUP = "group"
"""Key of ``Atoms.info`` that holds a frame's group."""
REACH = 7.5
"""Å; far enough for the neighbours that `spacing` looks at: 80 in lithium."""
NEAREST, FARTHEST = 12, 50
"""Neighbours that `spacing` looks at: beyond the first shells, whose distances tell crystals apart."""
LOOKED_AT = 50
"""Frames that `spacing` looks at, evenly spread."""
SOURCE = "source.json"
"""File beside a stored data set's frames: what labels of another level stand with them."""
OWN_DIGITS = 32
"""Digits of a data set's hash that labels of another level do not change: choices by chance rest on them."""
SPLITS = ("train", "test", "ood")
"""Names of the parts of a data set; models are fitted on subsets of ``train`` only."""


@dataclass(frozen=True, repr=False)
class SourceLabels:
    """Labelled structures of another level of theory, which nobody chooses and nobody is tested on."""

    name: str
    """What the study calls them."""
    frames: tuple[Atoms, ...]
    """Structures with their labels."""
    usable: tuple[bool, ...]
    """Whether a fit may see each: structures of the parts test and ood are withheld."""


@dataclass(frozen=True, repr=False)
class DataSet:
    """Labelled frames with their split.

    Parameters
    ----------
    name
        Name in results, such as ``mlearn-Mo``.
    frames
        Structures with energy, forces and, where known, stress in a ``SinglePointCalculator``.
    split
        ``train``, ``test`` or ``ood`` per frame.
    isolated_atom_energies
        Energy of each isolated atom (eV), or None if the source gives none.
    """

    name: str
    frames: tuple[Atoms, ...]
    split: tuple[str, ...]
    isolated_atom_energies: dict[str, float] | None = None
    notes: tuple[str, ...] = ()
    """What loading left out or changed, for the report; not part of the content hash."""
    source: SourceLabels | None = None
    """Labels of another level, for fits that carry something over."""

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        if len(self.frames) != len(self.split):
            raise DataError(f"{self.name}: {len(self.frames)} frames but {len(self.split)} split entries")
        if unknown := set(self.split) - set(SPLITS):
            raise DataError(f"{self.name}: unknown split {sorted(unknown)}; allowed: {', '.join(SPLITS)}")
        for part in ("train", "test"):
            if part not in self.split:
                raise DataError(f"{self.name}: no frame is in the {part!r} part")

    def __repr__(self) -> str:
        """Say in a line what it holds: name, number of frames, elements, sizes of the parts."""
        parts = ", ".join(f"{self.split.count(part)} {part}" for part in SPLITS if part in self.split)
        return f"DataSet({self.name!r}, {len(self.frames)} frames of {', '.join(self.elements)}: {parts})"

    def indices(self, part: str) -> IntArray:
        """Return the indices of one part's frames, ascending."""
        return np.flatnonzero(self.parts == part).astype(np.int64)

    @functools.cached_property
    def parts(self) -> NDArray[np.str_]:
        """Part of each frame, shape (n_frames,)."""
        return np.array(self.split)

    @functools.cached_property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols in the data set, sorted."""
        return elements_of(self.frames)

    @functools.cached_property
    def spacing(self) -> float | None:
        """Typical spacing of atoms, Å, whatever is trained on; see `spacing`."""
        return spacing(self.frames)

    @functools.cached_property
    def sizes(self) -> IntArray:
        """Atoms of each frame, shape (n_frames,)."""
        return np.array([len(atoms) for atoms in self.frames], dtype=np.int64)

    @functools.cached_property
    def groups(self) -> tuple[str, ...]:
        """Group of each frame."""
        return tuple(group_of(atoms) for atoms in self.frames)

    @functools.cached_property
    def numbered_groups(self) -> tuple[tuple[str, ...], IntArray]:
        """Names of the groups, sorted, and the number among them of each frame's, shape (n_frames,)."""
        names, numbers = np.unique(np.array(self.groups), return_inverse=True)
        return tuple(names.tolist()), numbers.astype(np.int64)


def label(atoms: Atoms, *, energy: float, forces: FloatArray, stress: FloatArray | None, group: str) -> Atoms:
    """Return a copy of ``atoms`` that carries labels and group, and nothing else.

    ``energy`` eV; ``forces`` eV/Å, shape (n_atoms, 3); ``stress`` eV/Å³, shape (6,), ASE's order and sign.
    """
    frame = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    frame.info[GROUP] = group
    results = {"energy": float(energy), "forces": np.asarray(forces, dtype=np.float64)}
    if stress is not None:
        results["stress"] = np.asarray(stress, dtype=np.float64)
    frame.calc = SinglePointCalculator(frame, **results)
    return frame


def group_of(atoms: Atoms) -> str:
    """Return a frame's group; ``"all"`` is reserved, frames without a group are ``"none"``."""
    return str(atoms.info.get(GROUP, "none"))


def energy_of(atoms: Atoms) -> float:
    """Return the energy label (eV)."""
    return float(_results(atoms, "energy"))


def forces_of(atoms: Atoms) -> FloatArray:
    """Return the force labels (eV/Å, shape (n_atoms, 3))."""
    return np.asarray(_results(atoms, "forces"), dtype=np.float64)


def stress_of(atoms: Atoms) -> FloatArray | None:
    """Return the stress label (eV/Å³, shape (6,)); None if there is none, or a direction is not periodic.

    Along an open direction a cell has no length that the energy depends on, and the volume is arbitrary.
    """
    results = getattr(atoms.calc, "results", {})
    if results.get("stress") is None or not atoms.pbc.all():
        return None
    return np.asarray(results["stress"], dtype=np.float64)


def _results(atoms: Atoms, key: str) -> float | FloatArray:
    results = getattr(atoms.calc, "results", {})
    if results.get(key) is None:
        raise DataError(
            f"structure {atoms.get_chemical_formula()} has no {key} label; attach it with "
            "ase.calculators.singlepoint.SinglePointCalculator"
        )
    value: float | FloatArray = results[key]
    return value


def elements_of(frames: Iterable[Atoms]) -> tuple[str, ...]:
    """Return the chemical symbols in ``frames``, sorted."""
    return tuple(sorted({symbol for atoms in frames for symbol in atoms.get_chemical_symbols()}))


def species_of(atoms: Atoms, elements: Sequence[str]) -> IntArray:
    """Return the index of each atom's element: shape (n_atoms,); −1 for one that is not among them."""
    table = np.full(max(atomic_numbers.values()) + 1, -1, dtype=np.int64)
    for index, element in enumerate(elements):
        table[atomic_numbers[element]] = index
    species: IntArray = table[atoms.numbers]
    return species


def element_counts(frames: Sequence[Atoms], elements: Sequence[str]) -> FloatArray:
    """Count atoms per element: shape (n_frames, n_elements)."""
    return np.array(
        [[atoms.get_chemical_symbols().count(element) for element in elements] for atoms in frames],
        dtype=np.float64,
    ).reshape(len(frames), len(elements))


def beyond_composition(energies: FloatArray, counts: FloatArray) -> FloatArray:
    """Return energies per atom less what the elements explain, eV/atom, shape (n_frames,).

    Parameters
    ----------
    energies
        Of whole frames, eV, shape (n_frames,).
    counts
        Atoms of each element, shape (n_frames, n_elements). The elements' energies are those of least
        squares on these frames, of least norm where compositions do not tell them apart.
    """
    sizes = counts.sum(axis=1)
    per_atom, shares = energies / sizes, counts / sizes[:, None]
    left: FloatArray = per_atom - shares @ np.linalg.lstsq(shares, per_atom, rcond=1e-10)[0]
    return left


def spacing(frames: Sequence[Atoms]) -> float | None:
    """Return the typical spacing of atoms: the cube root of the volume of one, as atoms see it; Å.

    The sphere that holds an atom's k nearest neighbours, at distance r_k, gives (4π/3k)^(1/3) r_k; an atom's
    mean over k = 12 to 50 smooths shells, and the median over atoms passes over surfaces, vacuum and cells
    of other density. Nothing but structures counts.

    Returns
    -------
    float or None
        Å; None where no atom has twelve neighbours within 7.5 Å, as in small molecules.
    """
    looked_at = np.unique(np.linspace(0, len(frames) - 1, LOOKED_AT).astype(int))
    distances = np.concatenate([_nearest(frames[index]) for index in looked_at])
    ranks = np.arange(NEAREST, FARTHEST + 1)
    is_there = np.isfinite(distances)
    radii = np.where(is_there, distances, 0.0) * (4 * np.pi / (3 * ranks)) ** (1 / 3)
    counts = is_there.sum(axis=1)
    known = counts > 0
    return float(np.median(radii[known].sum(axis=1) / counts[known])) if known.any() else None


def _nearest(atoms: Atoms) -> FloatArray:
    """Return the distances of each atom's 12th to 50th neighbour, Å; infinite where it has none in reach."""
    cell = closed_cell(atoms)
    reach = np.where(atoms.pbc, np.floor(REACH / heights(cell)) + 1, 0).astype(int)
    shifts = np.array(np.meshgrid(*(np.arange(-n, n + 1) for n in reach))).reshape(3, -1).T
    positions = atoms.get_positions(wrap=True)
    images = (positions + (shifts @ cell)[:, None]).reshape(-1, 3)
    near = ((images > positions.min(axis=0) - REACH) & (images < positions.max(axis=0) + REACH)).all(axis=1)
    tree = cKDTree(images[near])
    distances, _ = tree.query(positions, k=FARTHEST + 1, distance_upper_bound=REACH)
    return np.asarray(distances)[:, NEAREST:]  # the atom itself comes first


def offsets(frames: Sequence[Atoms]) -> IntArray:
    """Return where each frame's atoms begin in concatenated arrays: shape (n_frames + 1,)."""
    return np.concatenate([[0], np.cumsum([len(atoms) for atoms in frames])]).astype(np.int64)


def content_hash(dataset: DataSet) -> str:
    """Hash structures, labels, groups and split, but not the name: equal on any machine.

    What it is without labels of another level comes first, `OWN_DIGITS` long, and their hash after it.
    """
    return _with_source(_hash(_to_arrays(dataset.frames), dataset, ("name", "notes")), dataset)


def prepared_hash(dataset: DataSet) -> str:
    """Hash what fitters prepare: structures, labels and groups, also those of another level; no split."""
    return _with_source(frames_hash(dataset), dataset, with_usable=False)


def frames_hash(dataset: DataSet) -> str:
    """Hash structures, labels and groups, but no split: what does not look at parts rests on it."""
    return _hash(_to_arrays(dataset.frames), dataset, ("name", "notes", "split"))


def structures_hash(dataset: DataSet) -> str:
    """Hash elements, positions, cells and groups, and nothing that was calculated."""
    arrays = _to_arrays(dataset.frames)
    found = {name: arrays[name] for name in ("lengths", "numbers", "positions", "cells", "pbc")}
    return _hash(found, dataset, ("name", "notes", "split", "isolated_atom_energies"))


def _hash(arrays: Mapping[str, NDArray[Any]], dataset: DataSet, left_out: Collection[str]) -> str:
    digest = hashlib.blake2b(digest_size=OWN_DIGITS // 2)
    _add_arrays(digest, arrays)
    meta = {key: value for key, value in _meta(dataset).items() if key not in left_out}
    digest.update(json.dumps(meta, sort_keys=True).encode())
    return digest.hexdigest()


def _add_arrays(digest: hashlib.blake2b, arrays: Mapping[str, NDArray[Any]]) -> None:
    for name, array in sorted(arrays.items()):
        digest.update(f"{name}{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())


def _with_source(found: str, dataset: DataSet, *, with_usable: bool = True) -> str:
    """Add labels of another level to a hash; where there are none it is what it was."""
    if (source := dataset.source) is None:
        return found
    digest = hashlib.blake2b(digest_size=OWN_DIGITS // 2)
    _add_arrays(digest, _to_arrays(source.frames))
    said = [[group_of(atoms) for atoms in source.frames], list(source.usable) if with_usable else None]
    digest.update(json.dumps(said).encode())
    return f"{found}{digest.hexdigest()}"


def save(dataset: DataSet, folder: Path) -> None:
    """Write ``dataset`` into an existing folder, exact to the last bit."""
    arrays: dict[str, Any] = _to_arrays(dataset.frames)
    save_arrays(folder / "frames.npz", arrays)
    (folder / "dataset.json").write_text(json.dumps(_meta(dataset), sort_keys=True))
    if (source := dataset.source) is not None:
        save_arrays(folder / "source.npz", _to_arrays(source.frames))
        groups = [group_of(atoms) for atoms in source.frames]
        meta = {"name": source.name, "groups": groups, "usable": list(source.usable)}
        (folder / SOURCE).write_text(json.dumps(meta, sort_keys=True))


def load(folder: Path) -> DataSet:
    """Read what `save` wrote."""
    meta = json.loads((folder / "dataset.json").read_text())
    source = None
    if (folder / SOURCE).exists():
        said = json.loads((folder / SOURCE).read_text())
        frames = _from_arrays(folder / "source.npz", said["groups"])
        source = SourceLabels(said["name"], frames, tuple(said["usable"]))
    return DataSet(
        name=meta["name"],
        frames=_from_arrays(folder / "frames.npz", meta["groups"]),
        split=tuple(meta["split"]),
        isolated_atom_energies=meta["isolated_atom_energies"],
        notes=tuple(meta["notes"]),
        source=source,
    )


def _from_arrays(path: Path, groups: Sequence[str]) -> tuple[Atoms, ...]:
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    ends = np.concatenate([[0], np.cumsum(arrays["lengths"])])
    frames = []
    for index, group in enumerate(groups):
        atoms = slice(ends[index], ends[index + 1])
        stress = arrays["stresses"][index]
        frames.append(
            label(
                Atoms(
                    numbers=arrays["numbers"][atoms],
                    positions=arrays["positions"][atoms],
                    cell=arrays["cells"][index],
                    pbc=arrays["pbc"][index],
                ),
                energy=float(arrays["energies"][index]),
                forces=arrays["forces"][atoms],
                stress=None if np.isnan(stress).all() else stress,
                group=group,
            )
        )
    return tuple(frames)


def _to_arrays(frames: Sequence[Atoms]) -> dict[str, NDArray[Any]]:
    none = np.full(6, np.nan)
    stresses = [stress_of(atoms) for atoms in frames]
    return {
        "lengths": np.array([len(atoms) for atoms in frames], dtype=np.int64),
        "numbers": np.concatenate([atoms.numbers for atoms in frames]).astype(np.int64),
        "positions": np.concatenate([atoms.positions for atoms in frames]),
        "cells": np.array([atoms.cell.array for atoms in frames]),
        "pbc": np.array([atoms.pbc for atoms in frames]),
        "energies": np.array([energy_of(atoms) for atoms in frames]),
        "forces": np.concatenate([forces_of(atoms) for atoms in frames]),
        "stresses": np.array([none if stress is None else stress for stress in stresses]),
    }


def _meta(dataset: DataSet) -> dict[str, object]:
    return {
        "name": dataset.name,
        "groups": list(dataset.groups),
        "split": list(dataset.split),
        "isolated_atom_energies": dataset.isolated_atom_energies,
        "notes": list(dataset.notes),
    }
