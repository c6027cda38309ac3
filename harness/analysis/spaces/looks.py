"""A latent space as a chooser would see it, beside the structures: from a store, or computed now."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from ase import Atoms
from crossprune.harness.analysis.spaces.latent import stored_specs
from crossprune.harness.contract import Descriptor, FloatArray, IntArray
from crossprune.harness.data.copies import leaking
from crossprune.harness.data.frames import (
    DataSet,
    element_counts,
    elements_of,
    frames_hash,
    group_of,
    spacing,
)
from crossprune.harness.data.twins import twins
from crossprune.harness.engine.keys import features_key, rows_key
from crossprune.harness.engine.stored import STAGE_OF, stored_dataset, stored_vectors
from crossprune.harness.errors import StudyError
from crossprune.harness.lookup import AdapterSpec
from crossprune.harness.selection.axes import MODEL
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.gathering import Metric, kinds_of, vectors_of
from crossprune.harness.store.objects import Store
from numpy.typing import NDArray

SPACE = ["dataset", "chooser", "space", "pooling", "scaling"]
"""Columns that name a latent space."""
ATOMS, ROWS = "atoms", "rows"
MOST_BYTES = 1 << 30
"""Vectors held at once when nothing is stored; of more configurations a sample is described."""
Axes = tuple[str, str, str]
"""Space, pooling and scaling."""


@dataclass(frozen=True, eq=False)
class Structures:
    """What is known of the configurations of a data set; labels play no part."""

    name: str
    frames: tuple[Atoms, ...]
    parts: NDArray[np.str_]
    """Part of each, shape (n,)."""
    copies: NDArray[np.bool_] | None
    """Those of test and ood that have a copy by symmetry in train, shape (n,); None where labels, by which
    copies are told, are not there."""
    energies: dict[str, float] | None = None
    """Of isolated atoms, eV: some families ask for them."""
    is_first: bool = True
    """Whether this is the data set's own split, not another pool of the same frames."""
    n_all: int = 0
    """Configurations of which these are a sample; 0 if they are all."""

    @classmethod
    def of(cls, dataset: DataSet, name: str, *, is_first: bool = True) -> Structures:
        """Take the structures of a labelled data set."""
        copy_of = twins(dataset.frames, dataset.split)
        marks = np.zeros(len(dataset.frames), dtype=np.bool_)
        for part in ("test", "ood"):
            marks[leaking(copy_of, dataset.split, part)] = True
        energies = dataset.isolated_atom_energies
        return cls(name, dataset.frames, dataset.parts, marks, energies, is_first)

    @classmethod
    def unlabelled(cls, frames: Sequence[Atoms], name: str) -> Structures:
        """Take frames without labels: all of them may be chosen."""
        return cls(name, tuple(frames), np.full(len(frames), "train"), None)

    @functools.cached_property
    def groups(self) -> NDArray[np.str_]:
        """Group of each, shape (n,)."""
        return np.array([group_of(atoms) for atoms in self.frames])

    @functools.cached_property
    def sizes(self) -> IntArray:
        """Atoms of each, shape (n,)."""
        return np.array([len(atoms) for atoms in self.frames], dtype=np.int64)

    def some(self, n: int, rng: np.random.Generator) -> Structures:
        """Draw ``n`` configurations, of each part its share and at least one."""
        if n >= len(self.frames):
            return self
        shares = {one: np.flatnonzero(self.parts == one) for one in np.unique(self.parts)}
        drawn = [
            rng.permutation(one)[: max(1, round(n * len(one) / len(self.frames)))] for one in shares.values()
        ]
        kept = np.sort(np.concatenate(drawn))
        return replace(
            self,
            frames=tuple(self.frames[index] for index in kept),
            parts=self.parts[kept],
            copies=None if self.copies is None else self.copies[kept],
            n_all=self.n_all or len(self.frames),
        )

    def volumes(self, chosen: IntArray) -> FloatArray:
        """Return volumes per atom, Å³; NaN without a cell. Shape (n_chosen,)."""
        frames = [self.frames[index] for index in chosen]
        return np.array(
            [atoms.get_volume() / len(atoms) if atoms.cell.rank == 3 else np.nan for atoms in frames]
        )

    def compositions(self, chosen: IntArray) -> FloatArray:
        """Return shares of the elements, shape (n_chosen, n_elements)."""
        counts = element_counts([self.frames[index] for index in chosen], elements_of(self.frames))
        shares: FloatArray = counts / counts.sum(axis=1, keepdims=True)
        return shares


@dataclass(frozen=True, eq=False)
class Look:
    """One latent space of one data set."""

    names: tuple[str, ...]
    """Values of `SPACE`."""
    structures: Structures
    vectors: FloatArray
    """Of all configurations: of their atoms, of themselves, or design rows."""
    metric: Metric | None = None
    """That of the family's own fit, where the scaling is `MODEL`."""

    def candidates(self, chosen: IntArray) -> Candidates:
        """Gather some configurations, without labels or groups.

        Raises
        ------
        StudyError
            If deviations between vectors are asked for where each configuration has one.
        """
        _, _, space, pooling, scaling = self.names
        sizes = self.structures.sizes
        values, offsets = vectors_of(self.vectors, sizes, chosen, space=space, pooling=pooling)
        if self.metric is not None:
            frames = [self.structures.frames[index] for index in chosen]
            values = self.metric(values, kinds_of(frames, elements_of(self.structures.frames), space))
        return Candidates(values, offsets, scaling=scaling, pooling=pooling)

    @property
    def train(self) -> IntArray:
        """Configurations that may be chosen."""
        return np.flatnonzero(self.structures.parts == "train").astype(np.int64)


def stored_looks(root: Path, subsets: pd.DataFrame) -> Iterator[Look]:
    """Look at every latent space of a store in which something was chosen.

    Parameters
    ----------
    root
        The store.
    subsets
        Of `crossprune.harness.analysis.spaces.chosen.chosen_subsets`. Methods that pool nothing have no space
        of configurations; vectors that are not stored, or were computed by other code, are left out.
    """
    specs, store = stored_specs(root), Store(root)
    pooled = subsets[(subsets["space"] != "") & (subsets["pooling"] != "")]
    known: dict[str, Structures] = {}
    seen: set[str] = set()
    for (name, key, source), part in pooled.groupby(["dataset", "dataset_key", "source"], sort=False):
        dataset = stored_dataset(store.root, str(key))
        known[str(key)] = Structures.of(dataset, str(name), is_first=source not in seen)
        seen.add(str(source))
        for (chooser, space), axes in part.groupby(["chooser", "space"]):
            if chooser not in specs:
                continue
            stage = STAGE_OF[str(space)]
            key_of = features_key if stage == "features" else rows_key
            spec = specs[chooser].following(dataset.spacing)
            vectors = key_of(frames_hash(dataset), spec)
            if not store.has(stage, vectors):
                continue
            values = stored_vectors(store, vectors, str(space))
            for pooling, scaling in sorted(set(zip(axes["pooling"], axes["scaling"], strict=True))):
                names = (str(name), str(chooser), str(space), pooling, scaling)
                metric = None
                if scaling == MODEL:
                    metric = spec.make(dataset.elements, dataset.isolated_atom_energies).metric
                yield Look(names, known[str(key)], values, metric)


def fresh_looks(structures: Structures, spec: AdapterSpec, axes: Iterable[Axes]) -> Iterator[Look]:
    """Describe structures by a family now, and look at them in some of its spaces.

    Of more configurations than `MOST_BYTES` hold a sample is described.

    Raises
    ------
    StudyError
        If the family describes nothing, or has no design rows, or no metric, and these are asked for.
    """
    spec = spec.following(spacing(structures.frames))
    adapter = spec.make(elements_of(structures.frames), structures.energies)
    by_stage: dict[str, list[Axes]] = {}
    for one in axes:
        by_stage.setdefault(ATOMS if one[0] == ATOMS else ROWS, []).append(one)
    for stage, wanted in by_stage.items():
        if stage == ATOMS and not isinstance(adapter, Descriptor):
            raise StudyError(f"adapter {spec.adapter!r} is no descriptor, so it cannot choose data")
        describe = (
            adapter.features if isinstance(adapter, Descriptor) and stage == ATOMS else adapter.design_rows
        )
        first = describe(structures.frames[0])
        mean = max(first.nbytes * structures.sizes.mean() / len(structures.frames[0]), 1.0)
        part = structures.some(int(MOST_BYTES / mean), np.random.default_rng(0))
        if isinstance(adapter, Descriptor) and stage == ATOMS:
            vectors = adapter.features_many(part.frames)
        else:
            vectors = np.concatenate([describe(atoms) for atoms in part.frames])
        for space, pooling, scaling in wanted:
            metric = adapter.metric if scaling == MODEL else None
            yield Look((structures.name, spec.label, space, pooling, scaling), part, vectors, metric)
