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
"""Fall of the cost, about a relative error, below which another weight is not worth it."""
TINY = 1e-300
"""Keeps the logarithm finite where a weight of 0 leaves a kind of labels out."""
MOST_SWEEPS = 6
"""Passes over all weights per step."""


Key = tuple[str, bool]
"""Group, and whether forces are meant, not energies."""
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

    @property
    def key(self) -> Key:
        """Group, and whether these are forces."""
        return self.group, self.forces

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

    Each fold is predicted by a fit to the others. The cost is the logarithm of the error of energies per
    atom times that of force components, each the mean of the groups' root mean square errors, by their shares
    of the labels: nearly a mean absolute error, known from compressed rows. Units do not matter, and a group
    of bad labels, or one that the model cannot describe, does not drown the others as in a mean of squares.
    Weights are changed one at a time by factors of 4, 2 and √2 as long as the cost falls. Stresses go with
    energies.

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
        By group; empty for fewer than ten frames.
    """
    if len(groups) < FEWEST:
        return {}
    search = _Search.of(solver, gather, groups, folds)
    factors = dict.fromkeys(search.shares, 1.0)
    best = search.cost(factors)
    for step in STEPS:
        for _ in range(MOST_SWEEPS):
            before = best
            for key in sorted(factors):
                factors, best = _moved(search, factors, best, key, step)
            if best >= before:
                break
    found = {}
    for group in sorted(set(groups)):
        energy, forces = (factors.get((group, one), 1.0) for one in (False, True))
        found[group] = GroupWeight(energy, forces, stress=energy)
    return found


def _moved(
    search: _Search,
    factors: dict[Key, float],
    best: float,
    key: Key,
    step: float,
) -> tuple[dict[Key, float], float]:
    """Multiply one weight by ``step``, or its inverse, as long as the cost falls."""
    for factor in (step, 1 / step):
        while 1 / LARGEST <= factors[key] * factor <= LARGEST:
            tried = {**factors, key: factors[key] * factor}
            cost = search.cost(tried)
            if not cost < best - GAIN:
                break
            factors, best = tried, cost
    return factors, best


@dataclass(frozen=True)
class _Search:
    """Compressed rows of each fold: those of all other folds to fit to, and its own to predict."""

    solver: Solver
    template: WeightedRows
    parts: Sequence[tuple[list[Part], list[Part]]]
    """Of each fold: what is fitted to, and what is predicted."""
    shares: Mapping[Key, float]
    """Of each group among the labels of its kind."""

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
            others: dict[Key, list[Part]] = {}
            for (_, one), found in cells.items():
                for part in found if one != fold else ():
                    others.setdefault(part.key, []).append(part)
            parts.append(([joined(several) for several in others.values()], own))
        sizes: dict[Key, int] = {}
        for part in (part for found in cells.values() for part in found):
            sizes[part.key] = sizes.get(part.key, 0) + part.n_rows
        totals = [sum(size for key, size in sizes.items() if key[1] is kind) for kind in (False, True)]
        return cls(solver, template, parts, {key: size / totals[key[1]] for key, size in sizes.items()})

    def misfits(self, factors: Mapping[Key, float]) -> dict[Key, float]:
        """Return the mean squared residual of each group and kind with these weights, over all folds."""
        sums, counts = dict.fromkeys(factors, 0.0), dict.fromkeys(factors, 0)
        for others, own in self.parts:
            weights = [factors[part.key] for part in others]
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
                sums[part.key] += part.misfit(found)
                counts[part.key] += part.n_rows
        return {key: sums[key] / counts[key] for key in factors}

    def cost(self, factors: Mapping[Key, float]) -> float:
        """Return Σ_kinds ln Σ_groups share × root mean square, see `best_weights`."""
        errors = {False: TINY, True: TINY}
        for key, mean_square in self.misfits(factors).items():
            errors[key[1]] += self.shares[key] * float(np.sqrt(mean_square))
        return float(np.log(errors[False]) + np.log(errors[True]))


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
