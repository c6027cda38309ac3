"""How far ownership reaches: other ways to say whose a descriptor is, and other descriptors."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import labelled, relation_of
from crossprune.harness.analysis.statistics import CONFIDENCE, N_DRAWS
from crossprune.harness.contract import FloatArray
from crossprune.harness.engine.grid import KIN, OTHER, OWN
from crossprune.harness.evaluation.metrics import ALL
from scipy import stats

FEW = 4
"""Descriptors below which no order of them is rare."""
MOST = 8
"""Descriptors up to which all n! assignments are tried; beyond, `N_DRAWS` random ones."""
SCOPE = ["dataset", "ratio", "p", "p_smallest", "low_descriptor", "high_descriptor", "n_descriptors"]


@dataclass(frozen=True)
class Scope:
    """What a square of descriptors says of descriptors; logarithms."""

    estimate: float
    """Ownership: own / other."""
    p: float
    """Share of all assignments of descriptors to models whose own / other is at least as far from 0."""
    smallest: float
    """The smallest p that so many descriptors can give."""
    low: float
    """Prediction interval for ownership of one more descriptor like these."""
    high: float
    n: int


def over_assignments(errors: FloatArray) -> Scope:
    """Ask whether it matters which descriptor is whose.

    Under the null hypothesis names are exchangeable: every permutation of choosers against models gives an
    own / other as likely as that of the true assignment (a permutation test, Fisher 1935; the quality of
    choosers and models cancels in each). The prediction interval is Student's over the own terms of
    each descriptor.

    Parameters
    ----------
    errors
        Mean log errors, shape (n, n): choosers by models, own on the diagonal; n ≥ 2.
    """
    n = len(errors)
    rest = errors - errors.mean(axis=0) - errors.mean(axis=1, keepdims=True) + errors.mean()
    if n <= MOST:
        assignments = np.array(list(itertools.permutations(range(n))))
    else:
        drawn = np.random.default_rng(0).permuted(np.tile(np.arange(n), (N_DRAWS, 1)), axis=1)
        assignments = np.vstack([np.arange(n), drawn])
    sums = rest[assignments, np.arange(n)].sum(axis=1)
    scale = 1.0 / (n - 1)  # own / other is the mean of own residuals over 1 - 1/n
    estimate = float(sums[0]) * scale
    p = float((np.abs(sums) >= abs(sums[0]) * (1 - 1e-9)).mean())
    low = high = math.nan
    if n > 2:
        # Residuals of one own term each: r_jj = δ_j (1 - 2/n) + Σ δ / n²
        own = (np.diag(rest) - sums[0] / (n - 1) / n) / (1 - 2 / n)
        half = stats.t.isf((1 - CONFIDENCE) / 2, n - 1) * own.std(ddof=1) * math.sqrt(1 + 1 / n)
        low, high = estimate - half, estimate + half
    return Scope(estimate, p, 1.0 / len(assignments), low, high, n)


def scope(errors: pd.DataFrame) -> pd.DataFrame:
    """Apply `over_assignments` to each data set, and to their mean.

    Models without an own chooser, choosers without a model, and blocks of a data set, fraction, method
    and seed that have lost a cell are left out; of kin, the first by name stays.

    Returns
    -------
    pd.DataFrame
        ``dataset`` (``all`` for the mean), ``ratio`` (own / other), ``p``, ``p_smallest``,
        ``low_descriptor`` to ``high_descriptor``, where one more descriptor's ratio is to be expected (95 %),
        and ``n_descriptors``.
    """
    own = errors[errors["relation"] == OWN].drop_duplicates("model").set_index("model")["chooser"]
    own = own[~own.isin(_later_kin(errors))]
    squares: dict[str, FloatArray] = {}
    named_by: dict[str, list[str]] = {}
    for dataset, part in errors[errors["relation"].isin([OWN, OTHER])].groupby("source"):
        keys: list[Hashable] = ["dataset", "fraction", "method", "seed"]
        models = sorted(set(own.index) & set(part["model"]))
        if len(models) < 2:
            continue
        # Models that share a descriptor, as variants that only fit differently, are one of it.
        named = part.assign(owner=part["model"].map(own)).dropna(subset=["owner"])
        wide = named.pivot_table(
            index=[*keys, "chooser"], columns="owner", values="log_error", aggfunc=_whole
        )
        choosers = sorted(set(own[models]))
        if len(choosers) < 2:
            continue
        blocks = [
            one.droplevel(keys).reindex(index=choosers, columns=choosers).to_numpy()
            for _, one in wide.groupby(level=keys)
        ]
        whole = [one for one in blocks if np.isfinite(one).all()]
        if whole:
            squares[str(dataset)], named_by[str(dataset)] = np.mean(whole, axis=0), choosers
    if len(squares) > 1 and len({tuple(one) for one in named_by.values()}) == 1:
        squares[ALL] = np.mean(list(squares.values()), axis=0)
    rows = []
    for name, square in squares.items():
        found = over_assignments(square)
        ratio, low, high = (math.exp(one) for one in (found.estimate, found.low, found.high))
        rows.append((name, ratio, found.p, found.smallest, low, high, found.n))
    return pd.DataFrame(rows, columns=SCOPE)


def _later_kin(errors: pd.DataFrame) -> set[str]:
    """Return the descriptors that are kin of one that comes before them by name: no square has both."""
    own = errors[errors["relation"] == OWN].drop_duplicates("model").set_index("model")["chooser"]
    pairs = errors.loc[errors["relation"] == KIN, ["chooser", "model"]].drop_duplicates()
    related = [
        (chooser, own[model]) for chooser, model in pairs.itertuples(index=False) if model in own.index
    ]
    return {max(pair) for pair in related if pair[0] != pair[1]}


def _whole(values: pd.Series[float]) -> float:
    return float(values.mean(skipna=False))


def warning(results: pd.DataFrame) -> str:
    """Say that so few descriptors cannot tell ownership from quality, or return an empty string.

    Of n descriptors, one assignment to models in n! is the true one: below four, even the best possible
    result is as likely as 1 in 6 if it does not matter whose a descriptor is.
    """
    return too_few(n_owners(results))


def n_owners(results: pd.DataFrame) -> int:
    """Count the descriptors that choose for models of their own; models that share one count once."""
    table = results.drop_duplicates(["chooser", "method", "model"])
    own = table[(relation_of(labelled(table)) == OWN).to_numpy()]
    return int(own.drop_duplicates("model")["chooser"].nunique())


def too_few(n_own: int) -> str:
    """Say that so many descriptors that choose for models of their own are too few, if they are."""
    if n_own == 0 or n_own >= FEW:
        return ""
    who = "One descriptor chooses" if n_own == 1 else f"{n_own} descriptors choose"
    chance = (
        ""
        if n_own == 1
        else "Were it all the same whose a descriptor is, own data would still come out best for every "
        f"model in 1 of {math.factorial(n_own)} studies; "
    )
    return (
        f"{who} for models of their own here: too few to tell whether a model's own data are better from "
        f"whether these descriptors are. {chance}studies/answer-si-pbe.toml asks five."
    )
