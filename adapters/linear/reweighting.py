"""Group weights of linear models by cross-validation, on rows compressed once per group and fold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from crossprune.adapters.linear.blocks import WeightedRows
from crossprune.adapters.linear.least_squares import Solution, compress
from crossprune.harness.contract import FloatArray, GroupWeight, IntArray, Weights

N_FOLDS = 5
LONG = 15
"""Frames of a group from which its folds are stretches: three per fold; fewer are dealt in turn."""
FEWEST = 10
"""Frames below which weights are left as they are: two per fold say nothing about a group."""
STEPS = (4.0, 2.0, 2**0.5)
"""Factors by which weights are tried, coarse to fine."""
LARGEST = 1024.0
"""Weights stay between this and its inverse."""
GAIN = 1e-3
"""Relative gain below which another weight is not worth it: validation errors are known no better."""
MOST_SWEEPS = 6
"""Passes over all weights per step."""


Solver = Callable[[WeightedRows], Solution]


@dataclass(frozen=True)
class Part:
    """Rows of one group, of energies (with stresses) or of forces: weighted as without group weights.

    ``design`` and ``target``, shape (n, k + n_offsets) and (n,), have the least-squares problem of
    ``n_rows`` rows.
    """

    group: str
    forces: bool
    design: FloatArray
    target: FloatArray
    n_rows: int

    def misfit(self, coefficients: FloatArray) -> float:
        """Return the sum of squared weighted residuals."""
        return float(((self.target - self.design @ coefficients) ** 2).sum())


def parts_of(rows: WeightedRows, group: str) -> list[Part]:
    """Compress rows of frames of one group: energies (with stresses) and forces apart."""
    energies = replace(rows, forces=(), force_labels=(), force_weights=np.empty(0), blocks=())
    forces = replace(rows, dense=rows.dense[:0], dense_target=rows.dense_target[:0])
    return [
        _compressed(group, is_forces, *one.stacked())
        for is_forces, one in ((False, energies), (True, forces))
        if len(one.dense) or len(one.forces)
    ]


def joined(parts: Sequence[Part]) -> Part:
    """Join parts of one group and kind."""
    design, target = np.vstack([one.design for one in parts]), np.concatenate([one.target for one in parts])
    found = _compressed(parts[0].group, parts[0].forces, design, target)
    return replace(found, n_rows=sum(one.n_rows for one in parts))


def _compressed(group: str, forces: bool, design: FloatArray, target: FloatArray) -> Part:
    n_rows = len(target)
    if n_rows > design.shape[1] + 1:
        design, target = compress(design, target)
    return Part(group, forces, design, target, n_rows)


def best_weights(
    solver: Solver, gather: Callable[[IntArray], WeightedRows], groups: Sequence[str], folds: IntArray
) -> dict[str, GroupWeight]:
    """Choose weights of energies and forces of each group that give the least validation error.

    Of the other folds' frames each fold is predicted; the error is the product of the root mean square
    errors of energies per atom and of force components over all frames, each counting once: a change of
    units does not matter, nor does any trade of one for the other at equal ratio. Weights are
    changed one at a time by factors of 4, 2 and √2 as long as the error falls. Stresses go with energies.

    Parameters
    ----------
    solver
        Solves the weighted problem as the family does, with its regularisation.
    gather
        Gives the weighted rows of some frames, by their places in ``groups``.
    groups, folds
        Of each frame, shape (n,).

    Returns
    -------
    dict
        By group; empty for fewer than ten frames, or if the errors of validation are 0.
    """
    if len(groups) < FEWEST:
        return {}
    search = _Search.of(solver, gather, groups, folds)
    keys = sorted({(part.group, part.forces) for part in search.parts[0][1] + search.parts[0][0]})
    factors = dict.fromkeys(keys, 1.0)
    best = search.error(factors)
    for step in STEPS:
        for _ in range(MOST_SWEEPS):
            before = best
            for key in keys:
                for factor in (step, 1 / step):
                    while True:
                        tried = {**factors, key: factors[key] * factor}
                        if not 1 / LARGEST <= tried[key] <= LARGEST:
                            break
                        error = search.error(tried)
                        if not error < best * (1 - GAIN):
                            break
                        factors, best = tried, error
            if best >= before:
                break
    found = {}
    for group in sorted(set(groups)):
        energy, forces = (factors.get((group, one), 1.0) for one in (False, True))
        found[group] = GroupWeight(energy, forces, stress=energy)
    return found


@dataclass(frozen=True)
class _Search:
    """Compressed rows of each fold: those of all other folds to fit to, and its own to predict."""

    solver: Solver
    template: WeightedRows
    parts: Sequence[tuple[list[Part], list[Part]]]
    sizes: tuple[int, int]
    """Energies and force components in all folds."""

    @classmethod
    def of(
        cls,
        solver: Solver,
        gather: Callable[[IntArray], WeightedRows],
        groups: Sequence[str],
        folds: IntArray,
    ) -> _Search:
        """Gather and compress the rows of every group and fold once."""
        names, cells = np.array(groups), {}
        template, basis = gather(np.arange(len(groups))).determined()
        for group in sorted(set(groups)):
            for fold in sorted(set(folds.tolist())):
                members = np.flatnonzero((names == group) & (folds == fold))
                if len(members):
                    rows = _with_offsets(gather(members), basis, template)
                    cells[group, fold] = parts_of(rows, group)
        parts = []
        for fold in sorted(set(folds.tolist())):
            own = [part for (_, one), found in cells.items() if one == fold for part in found]
            others: dict[tuple[str, bool], list[Part]] = {}
            for (_, one), found in cells.items():
                for part in found if one != fold else ():
                    others.setdefault((part.group, part.forces), []).append(part)
            parts.append(([joined(several) for several in others.values()], own))
        every = [part for _, own in parts for part in own]
        sizes = [sum(part.n_rows for part in every if part.forces is one) for one in (False, True)]
        return cls(solver, template, parts, (sizes[0], sizes[1]))

    def error(self, factors: Mapping[tuple[str, bool], float]) -> float:
        """Return the validation error with these weights, in the units of the weighted labels."""
        misfits = [0.0, 0.0]
        for others, own in self.parts:
            weights = [factors[part.group, part.forces] for part in others]
            rows = replace(
                self.template,
                dense=np.vstack([part.design * w for part, w in zip(others, weights, strict=True)]),
                dense_target=np.concatenate(
                    [part.target * w for part, w in zip(others, weights, strict=True)]
                ),
                forces=(),
                force_labels=(),
                force_weights=np.empty(0),
                blocks=(),
                n_rows=sum(part.n_rows for part in others),
            )
            solution = self.solver(rows)
            found = np.concatenate([solution.coefficients, solution.offsets])
            for part in own:
                misfits[part.forces] += part.misfit(found)
        roots = [np.sqrt(one / size) for one, size in zip(misfits, self.sizes, strict=True) if size]
        return float(np.prod(roots))


def _with_offsets(rows: WeightedRows, basis: FloatArray, template: WeightedRows) -> WeightedRows:
    """Give rows of some frames the columns of offsets, and the columns of noise, that those of all have."""
    k = rows.dense.shape[1] - rows.n_offsets
    dense = np.hstack([rows.dense[:, :k], rows.dense[:, k:] @ basis])
    return replace(rows, dense=dense, n_offsets=basis.shape[1], vanishing=template.vanishing)


def folds_by_group(groups: Sequence[str]) -> IntArray:
    """Number five folds: stretches of groups of at least 15 frames, all others in turn; shape (n_frames,)."""
    found, names, dealt = np.zeros(len(groups), dtype=np.int64), np.array(groups), 0
    for shift, group in enumerate(sorted(set(groups))):
        members = np.flatnonzero(names == group)
        if len(members) < LONG:
            found[members] = (dealt + np.arange(len(members))) % N_FOLDS
            dealt += len(members)
        else:
            found[members] = (np.arange(len(members)) * N_FOLDS // len(members) + shift) % N_FOLDS
    return found


def multiplied(weights: Weights, others: Weights) -> Weights:
    """Multiply the weights of each group; those that are named in neither are 1."""
    found = dict(weights)
    for group, other in others.items():
        one = weights.get(group, GroupWeight())
        found[group] = GroupWeight(
            one.energy * other.energy, one.forces * other.forces, one.stress * other.stress
        )
    return found
