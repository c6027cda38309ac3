"""Choose configurations in a latent space: the table of methods, and budgets."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from crossprune.harness.contract import IntArray
from crossprune.harness.errors import StudyError, unknown_name
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.clustering import kmeans
from crossprune.harness.selection.determinantal import dpp
from crossprune.harness.selection.direct import direct
from crossprune.harness.selection.entropy import entropy_greedy, set_cover
from crossprune.harness.selection.farthest import farthest_environment, farthest_point, gradient_guided
from crossprune.harness.selection.label_choices import (
    energy_spread,
    force_highest,
    force_lowest,
    force_spread,
)
from crossprune.harness.selection.local_design import local_grade
from crossprune.harness.selection.maxvol import maxvol
from crossprune.harness.selection.optimal_design import d_optimal, d_optimal_exchange, leverage
from crossprune.harness.selection.strata import STRATA, Choose, choose_within, with_shares_of

RANDOM = "random"
"""Name of the base line, as chooser and as method."""
BUDGETS = ("configurations", "atoms", "labels")
"""What a fraction is a fraction of."""
GIVEN_MARK = " + "
"""Stands between the patterns of groups that are labelled already."""
SHARES = "shares"
"""``fps@shares`` is random, with as many of each group as fps takes."""


@dataclass(frozen=True)
class Method:
    """A selection method and what it depends on."""

    choose: Choose
    """``(candidates, n_chosen, rng) -> indices``, distinct, in the order of picking."""
    described: bool = True
    """It looks at features; if not, it needs no chooser and runs once, beside random."""
    pooled: bool = True
    """It looks at one point per configuration; if not, at atoms, and pooling plays no part."""
    nested: bool = True
    """Larger budgets contain smaller ones."""
    conditional: bool = False
    """It completes a set of given configurations."""
    masks: bool = False
    """It can choose single environments, each as if it were a configuration."""


def random_subset(candidates: Candidates, n_chosen: int, rng: np.random.Generator) -> IntArray:
    """Draw configurations uniformly without replacement; larger budgets contain smaller ones."""
    order, given = candidates.shuffled(rng)
    return np.delete(order, given)[:n_chosen]


def stratified(candidates: Candidates, n_chosen: int, rng: np.random.Generator) -> IntArray:
    """Draw at random in each group, in proportion to its size, to within one configuration.

    The i-th drawn of a group of n gets the rank (i + u) / n with one uniform u per group (systematic
    sampling, Cochran 1977, ch. 8); the smallest ranks are chosen, so larger budgets contain smaller.
    """
    labels = STRATA["groups"](candidates, rng)
    ranks = np.empty(len(labels))
    for group, shift in enumerate(rng.uniform(size=labels.max() + 1)):
        members = rng.permutation(np.flatnonzero(labels == group))
        ranks[members] = (np.arange(len(members)) + shift) / len(members)
    return np.argsort(ranks, kind="stable")[:n_chosen].astype(np.int64)


METHODS: dict[str, Method] = {
    RANDOM: Method(random_subset, described=False, pooled=False, conditional=True, masks=True),
    "stratified": Method(stratified, described=False, pooled=False, masks=True),
    "energy_spread": Method(energy_spread, described=False, pooled=False, conditional=True),
    "force_spread": Method(force_spread, described=False, pooled=False, conditional=True),
    "force_highest": Method(force_highest, described=False, pooled=False, conditional=True),
    "force_lowest": Method(force_lowest, described=False, pooled=False, conditional=True),
    "fps": Method(farthest_point, conditional=True),
    "fps_atoms": Method(farthest_environment, pooled=False, conditional=True, masks=True),
    "gradient_fps": Method(gradient_guided, nested=False),
    "cur": Method(leverage),
    "d_optimal": Method(d_optimal, conditional=True),
    "d_optimal_exchange": Method(d_optimal_exchange, nested=False, conditional=True),
    "maxvol": Method(maxvol, pooled=False, masks=True),
    "local_grade": Method(local_grade, pooled=False, conditional=True, masks=True),
    "dpp": Method(dpp, conditional=True),
    "kmeans": Method(kmeans, nested=False),
    "direct": Method(direct, nested=False),
    "set_cover": Method(set_cover, pooled=False, conditional=True, masks=True),
    "entropy": Method(entropy_greedy, pooled=False, conditional=True, masks=True),
}
"""Selection methods by the name that a study uses; inside strata, see `method_of`."""


def method_of(name: str) -> Method:
    """Return the method of a name: a key of `METHODS`, or ``fps@groups``, which is `fps` inside each group.

    What comes after the @ is a key of `STRATA`, or `SHARES`; any method that looks at features can come
    before.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    inner, mark, strata = name.partition("@")
    if inner not in METHODS:
        raise ValueError(unknown_name("selection method", inner, METHODS))
    method = METHODS[inner]
    if not mark:
        return method
    if strata not in (*STRATA, SHARES):
        raise ValueError(f"selection method {name!r}: {unknown_name('strata', strata, (*STRATA, SHARES))}")
    if not method.described:
        raise ValueError(f"selection method {name!r}: {inner!r} looks at no features; take 'stratified'")
    if strata == SHARES:
        return replace(method, choose=partial(with_shares_of, method.choose))
    inside = partial(choose_within, strata, method.choose, method.pooled)
    if strata == "clusters":
        return replace(method, choose=inside, pooled=True, masks=False)
    return replace(method, choose=inside)


def budget(fraction: float, n_configurations: int) -> int:
    """Return how many configurations a fraction means: rounded to nearest, at least one.

    Raises
    ------
    StudyError
        If the fraction is not in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise StudyError(f"fraction {fraction} is not in (0, 1]; 0.1 keeps 10 % of the training set")
    return min(n_configurations, max(1, int(fraction * n_configurations + 0.5)))


def choose(
    method: str,
    candidates: Candidates,
    fraction: float,
    rng: np.random.Generator,
    costs: IntArray | None = None,
) -> IntArray:
    """Choose a fraction of the configurations, or of what they cost.

    Parameters
    ----------
    method
        A name that `method_of` knows.
    candidates
        What to choose from.
    fraction
        Of the number of configurations that are not given, or of the sum of their ``costs``, in (0, 1].
    rng
        The only source of randomness.
    costs
        Atoms or labels per configuration, shape (n_configurations,); None counts configurations. The
        picks are taken in their order as long as they fit, at least one.

    Returns
    -------
    IntArray
        Distinct indices of configurations that are not given, in the order of picking.

    Raises
    ------
    ValueError
        If there are given configurations and the method completes none.
    """
    known = method_of(method)
    select = known.choose
    if len(candidates.given) and not known.conditional:
        able = ", ".join(name for name, one in METHODS.items() if one.conditional)
        raise ValueError(f"{method!r} cannot complete a given set; these can: {able}")
    n_all = candidates.n_configurations - len(candidates.given)
    n_chosen = budget(fraction, n_all)
    if costs is None or fraction == 1.0:
        return select(candidates, n_chosen, rng)
    limit = fraction * float(np.delete(costs, candidates.given).sum())
    return affordable(lambda n: select(candidates, n, copy.deepcopy(rng)), costs, limit, n_chosen, n_all)


def affordable(
    pick: Callable[[int], IntArray], costs: IntArray, limit: float, n_first: int, n_all: int
) -> IntArray:
    """Take picks in their order as long as they fit, at least one.

    Parameters
    ----------
    pick
        ``n -> indices`` in the order of picking, from the same state at each call.
    costs, limit
        Of each configuration, shape (n_configurations,), and what all may cost.
    n_first, n_all
        How many picks to begin with, and how many there can be.
    """
    n_chosen = n_first
    while True:
        picked = pick(n_chosen)
        spent = np.cumsum(costs[picked])
        if spent[-1] > limit or n_chosen == n_all:
            return picked[: max(1, int(np.searchsorted(spent, limit, side="right")))]
        n_chosen = min(n_all, max(n_chosen + 1, int(1.1 * n_chosen * limit / spent[-1])))
