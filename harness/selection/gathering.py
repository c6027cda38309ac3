"""Gather what a selection method may look at, and choose: the part of a selection that keys rest on."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from crossprune.harness.contract import ENERGY_ROW, FORCE_ROW, FloatArray, IntArray
from crossprune.harness.contract.environments import LABELS_OF_ATOM, environments_of, within
from crossprune.harness.data import frames
from crossprune.harness.errors import StudyError
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.methods import GIVEN_MARK, choose, method_of
from crossprune.harness.selection.methods import budget as budget_of

Metric = Callable[[FloatArray, IntArray], FloatArray]
"""``(vectors, kinds) -> points``."""


def order(
    dataset: frames.DataSet,
    candidates: Candidates | None,
    *,
    method: str,
    fraction: float,
    budget: str,
    mask: str = "none",
    rng: np.random.Generator,
) -> IntArray:
    """Choose frames of the training part, or environments; return them in the order of picking.

    Parameters
    ----------
    dataset
        Only frames of its training part are looked at.
    candidates
        What `gather` gives of the training part; None where all of it is taken.
    method, budget
        A name that `crossprune.harness.selection.methods.method_of` knows, and one of `BUDGETS`.
    mask
        One of `crossprune.harness.contract.environments.MASKS`.
    fraction
        Of the training part, or of what it costs, in (0, 1]. Of a nested method, `subset` takes smaller
        fractions out of this order.
    rng
        The only source of randomness.

    Returns
    -------
    IntArray
        Indices of frames in the data set, shape (n,); of a mask of atoms, frame and atom, shape (n, 2).
    """
    train = dataset.indices("train")
    if mask == "atoms":
        return _masked_order(dataset, candidates, method, fraction, rng)
    if fraction == 1.0 or candidates is None:
        return train
    return train[choose(method, candidates, fraction, rng, costs(dataset, train, budget))]


def _masked_order(
    dataset: frames.DataSet,
    candidates: Candidates | None,
    method: str,
    fraction: float,
    rng: np.random.Generator,
) -> IntArray:
    """Choose environments of the training part by labels; all of them where nothing limits the choice."""
    train = dataset.indices("train")
    every = environments_of(train, dataset.sizes[train])
    if fraction == 1.0 or candidates is None:
        return every
    limit = fraction * float(sum(n_labels(dataset.frames[index]) for index in train))
    n_chosen = min(len(every), max(1, int(limit / LABELS_OF_ATOM)))
    return within(every[method_of(method).choose(candidates.apart(), n_chosen, rng)], limit)


def given_in(dataset: frames.DataSet, given: str) -> IntArray:
    """Return the frames of the training part that are labelled already; indices in the data set, ascending.

    ``given`` are patterns of groups (`fnmatch`), with `GIVEN_MARK` between them; empty for none.
    """
    patterns = given.split(GIVEN_MARK) if given else []
    known = {group: any(fnmatch.fnmatchcase(group, one) for one in patterns) for group in set(dataset.groups)}
    train = dataset.indices("train")
    return train[np.array([known[dataset.groups[index]] for index in train], dtype=np.bool_)]


@dataclass(frozen=True)
class Pool:
    """The frames that a study may choose, and what each costs."""

    train: IntArray
    """Their indices in the data set, ascending."""
    costs: IntArray | None
    """Atoms or labels of each; None where all cost the same."""
    sizes: IntArray
    """Atoms of each."""
    given: IntArray
    """Those among them that are labelled already, and in every subset; indices in the data set."""

    @classmethod
    def of(cls, dataset: frames.DataSet, budget: str, given: str = "") -> Pool:
        """Gather the training part; ``given`` as in `given_in`."""
        train = dataset.indices("train")
        return cls(train, costs(dataset, train, budget), dataset.sizes[train], given_in(dataset, given))

    @property
    def free(self) -> IntArray:
        """The frames that can be picked, ascending."""
        return np.setdiff1d(self.train, self.given)

    def atoms_of(self, subset: IntArray) -> int:
        """Count the atoms of some of the frames, given by their indices in the data set, or environments."""
        if subset.ndim == 2:
            return len(subset)
        return int(self.sizes[np.searchsorted(self.train, subset)].sum())

    def subset(self, picked: IntArray, fraction: float) -> IntArray:
        """Take a fraction out of an order of picking that holds it, and what is given; ascending indices.

        The picks are taken in their order as long as they fit, at least one; the fraction is of frames that
        are not given. An order of environments,
        shape (n, 2), gives environments, the labels of which are a fraction of those of the frames.
        """
        if picked.ndim == 2:
            return self._environments(picked, fraction)
        if fraction == 1.0:
            return self.train
        if self.costs is None:
            return np.union1d(self.given, picked[: budget_of(fraction, len(self.train) - len(self.given))])
        spent = np.cumsum(self.costs[np.searchsorted(self.train, picked)])
        free = np.delete(self.costs, np.searchsorted(self.train, self.given))
        kept = np.searchsorted(spent, fraction * float(free.sum()), side="right")
        return np.union1d(self.given, picked[: max(1, int(kept))])

    def _environments(self, picked: IntArray, fraction: float) -> IntArray:
        if fraction == 1.0:
            return environments_of(self.train, self.sizes)
        assert self.costs is not None, "environments are chosen by labels"
        return np.unique(within(picked, fraction * float(self.costs.sum())), axis=0)


def gather(
    dataset: frames.DataSet,
    part: IntArray,
    vectors: FloatArray | None,
    *,
    space: str = "atoms",
    scaling: str = "standard",
    pooling: str = "mean",
    metric: Metric | None = None,
    given: str = "",
) -> Candidates:
    """Gather features or rows, groups, energies and forces of the frames ``part``, and of no others.

    Parameters
    ----------
    dataset, part
        Where to look, and the indices of the frames.
    vectors
        Features of all atoms of all frames, shape (Σ n_atoms, k), or one vector per frame, shape
        (n_frames, k), or design rows, shape (Σ (1 + 3 n_atoms), k); None for a method that looks at none.
    space, scaling, pooling
        One of `SPACES`; a scaling, see `crossprune.harness.selection.axes.scaling_of`; a key of `POOLINGS`.
    metric
        Maps the vectors of the part, and no others, before they are pooled; for the scaling `MODEL`.
    given
        What of the part is labelled already, as in `given_in`.

    Raises
    ------
    StudyError
        If deviations between vectors are asked for where each configuration has one.
    """
    structures = [dataset.frames[index] for index in part]
    if vectors is None:
        offsets = _starts(dataset.sizes[part])
        values = np.empty((int(offsets[-1]), 0))
    else:
        values, offsets = vectors_of(vectors, dataset.sizes, part, space=space, pooling=pooling)
    if metric is not None:
        values = metric(values, kinds_of(structures, dataset.elements, space))
    energies = np.array([frames.energy_of(one) for one in structures])
    groups = dataset.groups
    return Candidates(
        features=values,
        offsets=offsets,
        groups=[groups[index] for index in part],
        mean_forces=np.array([np.linalg.norm(frames.forces_of(one), axis=1).mean() for one in structures]),
        energies=frames.beyond_composition(energies, frames.element_counts(structures, dataset.elements)),
        scaling=scaling,
        pooling=pooling,
        given=np.flatnonzero(np.isin(part, given_in(dataset, given))).astype(np.int64),
    )


def vectors_of(
    vectors: FloatArray, sizes: IntArray, part: IntArray, *, space: str, pooling: str
) -> tuple[FloatArray, IntArray]:
    """Take the vectors of the frames ``part``, and where each frame's begin.

    Parameters
    ----------
    vectors, space, pooling
        As in `gather`.
    sizes
        Atoms of all frames, shape (n_frames,).

    Raises
    ------
    StudyError
        If deviations between vectors are asked for where each configuration has one.
    """
    # Where frames are atoms, one vector per frame is one per atom: no other lengths agree.
    is_one_each = space == "atoms" and len(vectors) == len(sizes)
    if is_one_each and pooling == "std":
        raise StudyError(
            "pooling 'std': the chooser describes each configuration by one vector, which has no deviation; "
            "give it mean, sum or max, which are that vector"
        )
    first, last = places(np.ones_like(sizes) if is_one_each else sizes, space)
    values = np.concatenate([vectors[first[index] : last[index]] for index in part])
    return values, _starts((last - first)[part])


def _starts(lengths: IntArray) -> IntArray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def kinds_of(structures: Sequence[Atoms], elements: Sequence[str], space: str) -> IntArray:
    """Return what each vector of some structures is of, see `Adapter.metric` of the contract."""
    if space == "atoms":
        place = {element: number for number, element in enumerate(elements)}
        symbols = (symbol for atoms in structures for symbol in atoms.get_chemical_symbols())
        return np.array([place[symbol] for symbol in symbols], dtype=np.int64)
    first, last = places(np.array([len(atoms) for atoms in structures], dtype=np.int64), space)
    kinds = np.full(int((last - first).sum()), FORCE_ROW, dtype=np.int64)
    if space == "rows":
        kinds[first] = ENERGY_ROW
    return kinds


def places(sizes: IntArray, space: str) -> tuple[IntArray, IntArray]:
    """Return where the vectors of each frame begin and end; ``sizes`` are its atoms, shape (n_frames,)."""
    lengths = sizes if space == "atoms" else 1 + 3 * sizes
    last = np.cumsum(lengths)
    return last - lengths + (space == "force_rows"), last


def costs(dataset: frames.DataSet, part: IntArray, budget: str) -> IntArray | None:
    """Return what each configuration costs in atoms or labels; None where each costs the same."""
    if budget == "configurations":
        return None
    cost = len if budget == "atoms" else n_labels
    return np.array([cost(dataset.frames[index]) for index in part], dtype=np.int64)


def n_labels(atoms: Atoms) -> int:
    """Count a configuration's labels: energy, forces and, where known, stress."""
    return 1 + 3 * len(atoms) + (0 if frames.stress_of(atoms) is None else 6)
