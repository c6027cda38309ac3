"""What workers do with a block of frames: read it, tell copies, describe it; results lie in files."""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from crossprune.harness.contract import Adapter, Descriptor, FloatArray, IntArray
from crossprune.harness.data.files.extxyz import FrameText
from crossprune.harness.data.files.labels import Keys, RawFrame, without_labels
from crossprune.harness.data.structures import first_copies
from crossprune.harness.data.validation import check_frame
from crossprune.harness.errors import StudyError
from crossprune.harness.lookup import AdapterSpec
from crossprune.harness.selection.axes import POOLINGS
from crossprune.harness.selection.gathering import vectors_of
from crossprune.harness.store.objects import write_file

Space = tuple[str, str]
"""Space and pooling."""


@dataclass(frozen=True)
class Described:
    """One point per frame of a block, or all of its vectors."""

    values: FloatArray
    """Points, shape (n_frames, k), or vectors, shape (Σ n_vectors, k)."""
    offsets: IntArray
    """Frame i holds the values offsets[i] to offsets[i + 1], shape (n_frames + 1,)."""
    largest: float
    """Largest size of what was pooled."""


def read_block(frames: Sequence[FrameText | Atoms], places: Sequence[str], keys: Keys, file: Path) -> None:
    """Read and check structures and groups, and lay them in a file; labels are not looked at.

    Raises
    ------
    DataError
        If a frame cannot be read or is broken; the message names it.
    """
    structures = []
    for one, place in zip(frames, places, strict=True):
        atoms = one.parsed() if isinstance(one, FrameText) else one
        structure = without_labels(RawFrame.of(atoms, place), keys)
        check_frame(structure, place)
        structures.append(structure)
    arrays = {
        "numbers": np.concatenate([one.numbers for one in structures]),
        "positions": np.concatenate([one.positions for one in structures]),
        "cells": np.array([one.cell.array for one in structures]),
        "pbc": np.array([one.pbc for one in structures]),
        "sizes": np.array([len(one) for one in structures], dtype=np.int64),
        "groups": np.array([one.info["group"] for one in structures], dtype=np.str_),
    }
    _write(file, arrays)


def structures_in(file: Path) -> list[Atoms]:
    """Return the structures of a block, without labels."""
    with np.load(file) as held:
        arrays = {name: held[name] for name in ("numbers", "positions", "cells", "pbc", "sizes")}
    ends = np.cumsum(arrays["sizes"])
    return [
        Atoms(arrays["numbers"][first:last], arrays["positions"][first:last], cell=cell, pbc=pbc)
        for first, last, cell, pbc in zip(
            (ends - arrays["sizes"]).tolist(), ends.tolist(), arrays["cells"], arrays["pbc"], strict=True
        )
    ]


def copies_in(file: Path, known: Sequence[Path]) -> list[bool]:
    """Tell which structures of a block are copies of those in other blocks."""
    return [one is not None for one in first_copies(structures_in(file), _all_of(tuple(known)))]


@functools.lru_cache(maxsize=1)
def _all_of(files: tuple[Path, ...]) -> list[Atoms]:
    return [one for file in files for one in structures_in(file)]


def describe_block(
    structures: Path, spec: AdapterSpec, elements: tuple[str, ...], space: Space, whole: bool, file: Path
) -> None:
    """Describe the structures of a block, and lay points, or with ``whole`` all vectors, in a file.

    Raises
    ------
    StudyError
        If the family describes nothing, or has no design rows and these are asked for.
    ValueError
        If what it gives is not finite, or of another shape than it says.
    """
    adapter, frames = _adapter(spec, elements), structures_in(structures)
    where, pooling = space
    if where == "atoms":
        if not isinstance(adapter, Descriptor):
            raise StudyError(f"adapter {spec.adapter!r} is no descriptor, so it cannot choose data")
        vectors = np.asarray(adapter.features_many(frames), dtype=np.float64)
        n_vectors = sum(map(adapter.n_vectors, frames))
    else:
        vectors = np.concatenate([adapter.design_rows(one) for one in frames])
        n_vectors = sum(1 + 3 * len(one) for one in frames)
    if vectors.ndim != 2 or len(vectors) != n_vectors or not np.isfinite(vectors).all():
        raise ValueError(
            f"adapter {spec.adapter!r} gave vectors of shape {vectors.shape} for {n_vectors}, "
            f"{np.count_nonzero(~np.isfinite(vectors))} of their numbers not finite"
        )
    sizes = np.array([len(one) for one in frames], dtype=np.int64)
    values, offsets = vectors_of(vectors, sizes, np.arange(len(frames)), space=where, pooling=pooling)
    largest = float(np.abs(values).max(initial=0.0))
    if not whole:
        values, offsets = POOLINGS[pooling](values, offsets), np.arange(len(frames) + 1)
    _write(file, {"values": values, "offsets": offsets, "largest": np.array(largest)})


def described_in(file: Path) -> Described:
    """Return what `describe_block` wrote."""
    with np.load(file) as held:
        return Described(held["values"], held["offsets"], float(held["largest"]))


@functools.lru_cache(maxsize=8)
def _made(key: str, elements: tuple[str, ...]) -> list[Adapter[Any]]:
    return []


def _adapter(spec: AdapterSpec, elements: tuple[str, ...]) -> Adapter[Any]:
    """Make an adapter once per process: programs and tables behind it take longer than a block."""
    held = _made(spec.fingerprint, elements)
    if not held:
        held.append(spec.make(elements))
    return held[0]


def is_whole(file: Path) -> bool:
    """Say whether a file of arrays is there to its end; another is written again."""
    return file.is_file() and zipfile.is_zipfile(file)


def _write(file: Path, arrays: dict[str, Any]) -> None:
    def save(temporary: Path) -> None:
        with temporary.open("wb") as stream:  # a path without the ending would be given it
            np.savez(stream, **arrays)

    write_file(file, save)
