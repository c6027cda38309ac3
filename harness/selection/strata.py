"""Selection inside strata, each with its share of the budget; and at random, with the shares of another."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
from crossprune.harness.contract import IntArray
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.clustering import kmeans_labels

Choose = Callable[[Candidates, int, np.random.Generator], IntArray]
"""``(candidates, n_chosen, rng) -> indices``, distinct, in the order of picking."""


def groups(candidates: Candidates, rng: np.random.Generator) -> IntArray:
    """Number the group of each configuration, by name, shape (n_configurations,).

    Raises
    ------
    ValueError
        If groups are not known.
    """
    _, labels = np.unique(np.asarray(candidates.groups, dtype=np.str_), return_inverse=True)
    if len(labels) != candidates.n_configurations:
        raise ValueError("a stratified choice needs the group of every configuration")
    return labels.astype(np.int64)


def clusters(candidates: Candidates, rng: np.random.Generator) -> IntArray:
    """Number the k-means cluster of each configuration, shape (n_configurations,).

    √(n/2) clusters of pooled points, a rule of thumb (Mardia 1979, Multivariate Analysis): as many
    for every budget, so that larger ones contain smaller ones.
    """
    points = candidates.points()
    if points.shape[1] == 0:
        return np.zeros(len(points), dtype=np.int64)
    return kmeans_labels(points, max(1, round(np.sqrt(len(points) / 2))), rng)


STRATA: dict[str, Callable[[Candidates, np.random.Generator], IntArray]] = {
    "groups": groups,
    "clusters": clusters,
}
"""What a method can be applied inside of, by the name after the @ of a method."""


def choose_within(
    strata: str,
    choose: Choose,
    pooled: bool,
    candidates: Candidates,
    n_chosen: int,
    rng: np.random.Generator,
) -> IntArray:
    """Choose inside each stratum by itself, in proportion to its size, and interleave the lists by `turns`.

    Parameters
    ----------
    strata
        A key of `STRATA`.
    choose, pooled
        The method inside strata, and whether it looks at one point per configuration. The space is that of
        all candidates: nothing is scaled again. Each stratum starts from the same state of ``rng``.
    candidates, n_chosen, rng
        As for every method. Given configurations count in their stratum, and a stratum's size is what is
        left of it.

    Returns
    -------
    IntArray
        Indices in the order of picking; larger budgets contain smaller ones if they do for ``choose``.
    """
    labels = STRATA[strata](candidates, copy.deepcopy(rng))
    vectors = candidates.points() if pooled else candidates.environments()
    sizes = np.ones_like(candidates.sizes) if pooled else candidates.sizes
    free = np.ones(candidates.n_configurations, dtype=bool)
    free[candidates.given] = False
    order = turns(np.bincount(labels, weights=free).astype(np.int64), n_chosen)
    picked = np.empty(n_chosen, dtype=np.int64)
    for stratum in np.unique(order):
        members = np.flatnonzero(labels == stratum)
        part = Candidates(
            features=vectors[np.repeat(labels == stratum, sizes)],
            offsets=np.concatenate([[0], np.cumsum(sizes[members])]).astype(np.int64),
            groups=[candidates.groups[index] for index in members.tolist()] if len(candidates.groups) else (),
            mean_forces=None if candidates.mean_forces is None else candidates.mean_forces[members],
            energies=None if candidates.energies is None else candidates.energies[members],
            scaling="none",
            given=np.searchsorted(members, candidates.given[labels[candidates.given] == stratum]),
        )
        places = np.flatnonzero(order == stratum)
        picked[places] = members[choose(part, len(places), copy.deepcopy(rng))]
    return picked


def with_shares_of(
    choose: Choose, candidates: Candidates, n_chosen: int, rng: np.random.Generator
) -> IntArray:
    """Choose at random as many of each group as ``choose`` does, pick by pick: a control.

    What a choice is worth beyond its shares of groups is what it gains over this. The i-th pick is drawn
    from the group of the i-th of ``choose``, so that larger budgets contain smaller ones if they do there.
    The draws take nothing from the generator of ``choose``: given the same ``rng``, groups are those of the
    plain method.

    Raises
    ------
    ValueError
        If groups are not known.
    """
    labels = groups(candidates, rng)
    copied = labels[choose(candidates, n_chosen, copy.deepcopy(rng))]
    drawn = copy.deepcopy(rng).spawn(1)[0].permutation(len(labels))
    drawn = drawn[~np.isin(drawn, candidates.given)]
    picked = np.empty(n_chosen, dtype=np.int64)
    for group in np.unique(copied):
        places = np.flatnonzero(copied == group)
        picked[places] = drawn[labels[drawn] == group][: len(places)]
    return picked


def turns(sizes: IntArray, n_chosen: int) -> IntArray:
    """Return whose turn each pick is, shape (n_chosen,).

    First one of every stratum, the largest first; then the i-th of a stratum of n has rank (i - ½) / n, and
    the smallest ranks follow (Sainte-Laguë's divisors 1, 3, 5, …; largest remainders are not nested,
    Balinski & Young 1975, Am. Math. Mon. 82, 701). The share of each is its proportion to within one, save
    where the first turns of small strata take more.
    """
    strata = np.repeat(np.arange(len(sizes)), sizes)
    turn = np.arange(len(strata)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    ranks = (turn + 0.5) / sizes[strata]
    return strata[np.lexsort((ranks, turn > 0))][:n_chosen]
