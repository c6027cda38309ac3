"""Turn prepared arrays and labels of a subset into what training reads: whitened, weighted, contiguous."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from crossprune.adapters.nnp.functions import SymmetryFunctions
from crossprune.adapters.nnp.options import NnpOptions
from crossprune.adapters.nnp.weak import Displaced, displace
from crossprune.adapters.nnp.whitening import Whitening
from crossprune.harness.contract import FloatArray, GroupWeight, IntArray, Prepared, Weights
from crossprune.harness.data.frames import element_counts, energy_of, forces_of, group_of, offsets, stress_of
from crossprune.harness.errors import DataError

AT_ONCE = 2048
"""Rows of derivatives that are whitened at a time."""


@dataclass(frozen=True)
class TrainingSet:
    """Chosen frames, their labels with the weights of the loss, and their prepared derivatives.

    ``inputs`` no unit, shape (n_atoms, k); ``jacobian`` 1/Å, shape (n_slots, 3, k); ``virial`` shape
    (n_atoms, 6, k), empty if stress is not fitted; ``slot_atom`` numbers the atoms of this set;
    ``energies`` eV, offsets subtracted; ``forces`` eV/Å; ``stresses`` eV/Å³, 0 where the label is missing.
    ``energy_weight`` 1/eV, ``force_weight`` Å/eV, ``stress_weight`` Å³/eV: factors on residuals, per frame.
    """

    kinds: IntArray
    starts: IntArray
    volumes: FloatArray
    inputs: FloatArray
    jacobian: FloatArray
    virial: FloatArray
    slot_start: IntArray
    slot_atom: IntArray
    energies: FloatArray
    forces: FloatArray
    stresses: FloatArray
    energy_weight: FloatArray
    force_weight: FloatArray
    stress_weight: FloatArray
    displaced: Displaced | None = None

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.energies)

    def rows(self, frames: IntArray) -> IntArray:
        """Return the atoms of some frames, in the frames' order."""
        return np.concatenate([np.arange(self.starts[i], self.starts[i + 1]) for i in frames])

    def sizes(self, frames: IntArray) -> IntArray:
        """Return the numbers of atoms of some frames."""
        sizes: IntArray = self.starts[frames + 1] - self.starts[frames]
        return sizes


def training_set(
    functions: SymmetryFunctions,
    options: NnpOptions,
    prepared: Prepared,
    subset: IntArray,
    weights: Weights,
    base: FloatArray,
    rng: np.random.Generator,
) -> tuple[TrainingSet, list[Whitening]]:
    """Gather labels and prepared arrays of ``subset``; whiten with the subset's own statistics.

    Raises
    ------
    DataError
        If a label is missing or not finite, or stress is asked for and no frame has it.
    """
    frames = [prepared.frames[index] for index in subset]
    kinds = _kinds(frames, functions.elements)
    atoms, slots, slot_start, slot_atom = _gather(prepared, subset)
    values = np.asarray(prepared.arrays["values"][atoms])
    whitenings = [
        Whitening.of(values[kinds == kind], options.whitening, options.n_functions)
        for kind in range(len(functions.elements))
    ]
    dtype = np.dtype(options.precision)
    slot_kinds = np.repeat(kinds, np.diff(slot_start))
    stressed = atoms if options.stress_weight else atoms[:0]
    labels = _labels(frames, functions.elements, base, use_stress=options.stress_weight > 0)
    factors = _weights(frames, options, weights)
    pool = None
    if options.taylor_weight or options.spatial_weight:
        raw = displace(
            functions,
            frames,
            displacement=options.displacement,
            n_draws=options.n_displacements,
            rng=rng,
        )
        pool = _white_pool(raw, kinds, whitenings, dtype)
    return TrainingSet(
        kinds=kinds,
        starts=offsets(frames),
        volumes=np.array([abs(np.linalg.det(one.cell.array)) or 1.0 for one in frames]).astype(dtype),
        inputs=_white(values, np.arange(len(atoms)), kinds, whitenings, dtype, centre=True),
        jacobian=_white(prepared.arrays["jacobian"], slots, slot_kinds, whitenings, dtype, centre=False),
        virial=_white(prepared.arrays["virial"], stressed, kinds, whitenings, dtype, centre=False),
        slot_start=slot_start,
        slot_atom=slot_atom,
        **{name: array.astype(dtype) for name, array in (labels | factors).items()},
        displaced=pool,
    ), whitenings


def _gather(prepared: Prepared, subset: IntArray) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Return the subset's atoms and slots in the prepared arrays, and its own slot bookkeeping."""
    starts = offsets(prepared.frames)
    slot_start = np.asarray(prepared.arrays["slot_start"])
    slot_atom = np.asarray(prepared.arrays["slot_atom"])
    atoms = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in subset])
    slots = np.concatenate([np.arange(slot_start[starts[i]], slot_start[starts[i + 1]]) for i in subset])
    lengths = np.diff(slot_start)[atoms]
    own_start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    own_offsets = offsets([prepared.frames[i] for i in subset])
    n_slots = [slot_start[starts[i + 1]] - slot_start[starts[i]] for i in subset]
    own_atom = slot_atom[slots] + np.repeat(own_offsets[:-1], n_slots)
    return atoms, slots, own_start, own_atom.astype(np.int64)


def _labels(
    frames: Sequence[Atoms], elements: Sequence[str], base: FloatArray, *, use_stress: bool
) -> dict[str, FloatArray]:
    stresses = np.zeros((len(frames), 6))
    if use_stress:
        given = [stress_of(atoms) for atoms in frames]
        if all(stress is None for stress in given):
            raise DataError("stress_weight is not 0, but no chosen frame has a stress label")
        stresses = np.array([np.zeros(6) if stress is None else stress for stress in given])
    labels = {
        "energies": np.array([energy_of(atoms) for atoms in frames])
        - element_counts(frames, elements) @ base,
        "forces": np.concatenate([forces_of(atoms) for atoms in frames]),
        "stresses": stresses,
    }
    for name, array in labels.items():
        if not np.isfinite(array).all():
            raise DataError(f"a label among the {name} of the chosen frames is not finite")
    return labels


def _weights(frames: Sequence[Atoms], options: NnpOptions, weights: Weights) -> dict[str, FloatArray]:
    """Return the factor on each frame's residuals, groups' weights included."""
    group = [weights.get(group_of(atoms), GroupWeight()) for atoms in frames]
    return {
        "energy_weight": np.array(
            [
                options.energy_weight * one.energy / len(atoms)
                for one, atoms in zip(group, frames, strict=True)
            ]
        ),
        "force_weight": np.array([options.force_weight * one.forces for one in group]),
        "stress_weight": np.array(
            [
                0.0 if stress_of(atoms) is None else options.stress_weight * one.stress
                for one, atoms in zip(group, frames, strict=True)
            ]
        ),
    }


def _white(
    array: FloatArray,
    rows: IntArray,
    kinds: IntArray,
    whitenings: Sequence[Whitening],
    dtype: np.dtype[np.floating],
    *,
    centre: bool,
) -> FloatArray:
    """Map the last axis of rows of ``array`` by the whitening of each one's element, a few at a time."""
    result = np.empty((len(rows), *array.shape[1:]), dtype)
    for start in range(0, len(rows), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        for kind in np.unique(kinds[part][: len(rows) - start]):
            mine = np.flatnonzero(kinds[part] == kind) + start
            whitening = whitenings[kind]
            raw = np.asarray(array[rows[mine]])
            result[mine] = (raw - whitening.centre if centre else raw) @ whitening.matrix
    return result


def _white_pool(
    raw: Displaced, kinds: IntArray, whitenings: Sequence[Whitening], dtype: np.dtype[np.floating]
) -> Displaced:
    def white(draws: FloatArray, *, centre: bool) -> FloatArray:
        every = np.arange(len(kinds))
        return np.stack([_white(draw, every, kinds, whitenings, dtype, centre=centre) for draw in draws])

    return Displaced(
        white(raw.first, centre=True),
        white(raw.second, centre=True),
        white(raw.toward, centre=False),
        white(raw.between, centre=False),
    )


def _kinds(frames: Sequence[Atoms], elements: Sequence[str]) -> IntArray:
    number = {element: index for index, element in enumerate(elements)}
    return np.array(
        [number[symbol] for atoms in frames for symbol in atoms.get_chemical_symbols()], dtype=np.int64
    )
