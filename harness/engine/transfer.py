"""Fits that carry something over from labels of another level of theory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from crossprune.harness.contract import Fitter, FloatArray, IntArray, Potential, Prepared, Weights
from crossprune.harness.contract.composition import regressed
from crossprune.harness.contract.transfer import Transfer
from crossprune.harness.data.frames import (
    element_counts,
    energy_of,
    forces_of,
    group_of,
    label,
    stress_of,
)
from crossprune.harness.errors import StudyError
from crossprune.harness.fingerprint import canonical_hash, seed_from

MakeFitter = Callable[[Mapping[str, float] | None], Fitter[Any]]
"""Makes the adapter, with the energies per element that are known or, from None, with regressed ones."""


@dataclass(frozen=True)
class Labels:
    """What a fit may see: prepared frames of both levels, and which of the target's are chosen."""

    prepared: Prepared
    chosen: IntArray
    """Frames with target labels, shape (n_chosen,)."""
    weights: Weights
    rng: np.random.Generator


def fit_with_source(make: MakeFitter, transfer: Transfer, labels: Labels, key: str) -> Potential:
    """Fit to chosen target labels and what a way of transfer takes from the source; see `WAYS`.

    Parameters
    ----------
    make
        The adapter, by what energies are counted from.
    transfer
        Way and references.
    labels
        What may be seen.
    key
        Of everything that the source model rests on: fits of one key share it.

    Raises
    ------
    StudyError
        If there are no source labels, or the adapter cannot be held to an earlier potential.
    """
    prepared = labels.prepared
    if transfer.way == "none":
        return _own(_adapter(make, transfer, prepared), labels, labels.chosen)
    if len(prepared.source) == 0:
        raise StudyError(f"transfer {transfer.way!r}: the data set has no labels of another level to use")
    adapter = _adapter(make, transfer, prepared)
    if transfer.way in ("pooled", "source"):
        if transfer.references == "target":
            shift = _difference(_source_model(_Source(key, adapter, labels)), adapter, labels)
            prepared = _shifted(prepared, adapter.elements, shift)
        seen = [prepared.source] if transfer.way == "source" else [labels.chosen, prepared.source]
        return _own(adapter, replace(labels, prepared=prepared), np.concatenate(seen))
    earlier = _source_model(_Source(key, adapter, labels))
    tuned = transfer.way == "prior"
    return adapter.fit_from(
        prepared, labels.chosen, earlier, tuned=tuned, weights=labels.weights, rng=labels.rng
    )


def _own(adapter: Fitter[Any], labels: Labels, frames: IntArray) -> Potential:
    return adapter.fit(labels.prepared, frames, weights=labels.weights, rng=labels.rng)


def _adapter(make: MakeFitter, transfer: Transfer, prepared: Prepared) -> Fitter[Any]:
    """Make the adapter that counts energies from the references."""
    if transfer.references == "target":
        return make(None)
    adapter = make(None)
    if transfer.references == "none":
        return make(dict.fromkeys(adapter.elements, 0.0))
    frames = [prepared.frames[index] for index in prepared.source]
    energies = regressed(element_counts(frames, adapter.elements), np.array(list(map(energy_of, frames))))
    return make(dict(zip(adapter.elements, energies.tolist(), strict=True)))


@dataclass(frozen=True)
class _Source:
    """The fit to the source labels, equal to another of the same key."""

    key: str
    adapter: Fitter[Any] = field(compare=False)
    labels: Labels = field(compare=False)


@functools.lru_cache(maxsize=4)
def _source_model(source: _Source) -> Potential:
    """Fit to all source labels that may be seen, once for all choices of target labels."""
    rng = np.random.default_rng(seed_from("source", source.key))
    return _own(source.adapter, replace(source.labels, rng=rng), source.labels.prepared.source)


def source_key(*rests_on: object) -> str:
    """Return the key of a source model."""
    return canonical_hash("source", *rests_on)


def _difference(earlier: Potential, adapter: Fitter[Any], labels: Labels) -> FloatArray:
    """Regress what the target's energies are above a source model's on the composition, eV per element."""
    frames = [labels.prepared.frames[index] for index in labels.chosen]
    predicted = adapter.predict(earlier, labels.prepared, labels.chosen).energies
    counts = element_counts(frames, adapter.elements)
    left = np.array([energy_of(atoms) for atoms in frames]) - predicted
    sizes = counts.sum(axis=1)
    return regressed(counts / sizes[:, None], left / sizes)


def _shifted(prepared: Prepared, elements: tuple[str, ...], shift: FloatArray) -> Prepared:
    """Count the source's energies from the target's references."""
    frames = list(prepared.frames)
    for index in prepared.source.tolist():
        atoms = frames[index]
        more = float(element_counts([atoms], elements)[0] @ shift)
        frames[index] = label(
            atoms,
            energy=energy_of(atoms) + more,
            forces=forces_of(atoms),
            stress=stress_of(atoms),
            group=group_of(atoms),
        )
    return replace(prepared, frames=frames)
