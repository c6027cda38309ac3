"""Comparisons as linear functions of cells' log errors: pairs, and ownership in an additive model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import (
    NOBODY,
    SETTING,
    budget_of,
    is_control,
    is_random,
    uncontrolled,
    unmasked,
    way_of,
)
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.engine.grid import KIN, OWN
from crossprune.harness.engine.study import COMPARISONS
from crossprune.harness.selection.methods import RANDOM
from numpy.typing import NDArray
from scipy import sparse

EVERY_MODEL = "all"
"""Model of a row over all models."""
TOGETHER = -1
"""Number of the model in a contrast that is of all models at once."""
ESTIMABLE = 1e-8
"""A contrast that is no combination of cells misses by its own size, rounding by 1e-15."""


@dataclass(frozen=True, eq=False)
class Contrasts:
    """Differences of cells' log errors, which say the same thing of several settings and seeds."""

    errors: pd.DataFrame
    """The cells, of `crossprune.harness.analysis.cells.partial_errors`."""
    table: pd.DataFrame
    """Columns of `SETTING`, ``seed``, ``comparison``, ``of``, the model that it is of where it stands for all
    models, ``n_pairs`` and ``n_planned``, how many own or other cells are compared in it and were to be, and
    the number of its ``setting``: contrasts of one differ in the seed only."""
    shares: sparse.csr_array
    """Share of each cell in each difference, shape (n_contrasts, n_cells)."""


def over_all(contrasts: Contrasts) -> Contrasts:
    """Return the same contrasts as those over all models."""
    return replace(contrasts, table=contrasts.table.assign(model=EVERY_MODEL))


def joined(parts: Sequence[Contrasts]) -> Contrasts:
    """Put contrasts of the same cells, one kind at least, one below the other."""
    table = pd.concat([one.table for one in parts], ignore_index=True)
    return Contrasts(parts[0].errors, table, sparse.vstack([one.shares for one in parts], "csr"))


def pairs_of_models(errors: pd.DataFrame) -> Contrasts:
    """Pair own, other and random choosers of each model; cells lost to one side lose the pair.

    What is good in a chooser for every model is in these ratios, for only one model is looked at.
    """
    found = []
    for name in COMPARISONS:
        first, second = (errors["relation"] == side for side in name.split(" / "))
        pairs = _pair(errors, first, second, SETTING)
        found.append(replace(pairs, table=pairs.table.assign(comparison=name)))
    return joined(found)


def pairs_of_ways(errors: pd.DataFrame) -> Contrasts:
    """Pair every way with random, a mask with wholes, and a way with its control, model by model.

    A mask leaves as many labels as the same way chooses in whole configurations; a control has the same
    shares of groups, see `crossprune.harness.selection.strata.with_shares_of`.
    """
    found = [pairs_with_random(errors)]
    is_whole = errors["method"].map(unmasked) == errors["method"]
    if not is_whole.all():
        found.append(_beside(errors, ~is_whole, unmasked, "whole"))
    is_controlling = errors["method"].map(is_control)
    if is_controlling.any():
        found.append(_beside(errors, ~is_controlling, uncontrolled, "shares"))
    return joined(found) if len(found) > 1 else found[0]


def pairs_with_random(errors: pd.DataFrame) -> Contrasts:
    """Pair every way with random, model by model: ``snap · fps / random``."""
    names = errors["chooser"] + " · " + errors["method"] + " / random"
    is_base = errors["relation"] == RANDOM
    return _pair(errors.assign(comparison=names), ~is_base, is_base, [*SETTING, "comparison"])


def _beside(
    errors: pd.DataFrame, first: pd.Series[bool], plain: Callable[[str], str], second: str
) -> Contrasts:
    """Pair the cells ``first`` with all others that are the same way once ``plain`` is made of the method."""
    methods = errors["method"].map(plain)
    # Ways are told apart by their methods, to which the choosers go.
    ways = {"method": way_of(errors.assign(method=methods)), "budget": methods.map(budget_of)}
    names = way_of(errors).mask(methods.map(is_random), errors["method"]) + f" / {second}"
    table = errors.assign(comparison=names, relation="", **ways)
    return _pair(table, first, ~first, [*SETTING, "comparison"])


def _pair(
    errors: pd.DataFrame, first: pd.Series[bool], second: pd.Series[bool], by: Sequence[str]
) -> Contrasts:
    """Pair averages of two sets of cells; random has no method and pairs with all of its budget."""
    on = [*SETTING, "budget", "seed"]
    if (errors.loc[second, "relation"] == RANDOM).all():
        on.remove("method")
    left, left_shares = _averages(errors[first], [*by, "budget", "seed"], len(errors))
    right, right_shares = _averages(errors[second], on, len(errors))
    table = left.merge(right, on=on, how="inner", suffixes=("", "_second"))
    shares = left_shares[table["average"].to_numpy()] - right_shares[table["average_second"].to_numpy()]
    setting = table.groupby(SETTING).ngroup()
    table = table[[*by, "seed"]].assign(of=table["model"], setting=setting, n_pairs=1, n_planned=1)
    return Contrasts(errors, table, shares)


def _averages(errors: pd.DataFrame, by: Sequence[str], n_cells: int) -> tuple[pd.DataFrame, sparse.csr_array]:
    """Average over the cells that agree in ``by``: a row for each average, and the share of every cell."""
    average = errors.groupby(list(by), sort=True).ngroup().to_numpy()
    table = errors[list(by)].assign(average=average).drop_duplicates("average")
    entries = (1.0 / np.bincount(average)[average], (average, errors.index.to_numpy()))
    return table, sparse.csr_array(entries, shape=(len(table), n_cells))


def ownership(errors: pd.DataFrame) -> Contrasts | None:
    """Estimate in each block of data set, fraction, method and seed what owning the data does to each model.

    The log error of chooser i and model j is μ + αᵢ + βⱼ + δⱼ·own(i, j), a two-way layout with a term for
    each owner. *own / other* is δⱼ by least squares on the cells that are there, *other / random* the mean of
    α over choosers less that of random, and *own / random* their sum. Averaged over models, these are the
    means of pairs in a complete square. Where cells are lost, least squares knows that the remaining ones
    have other choosers and models, and a mean of pairs does not; a model that has lost its own cell says
    nothing and shifts nothing. Two descriptors without random cannot tell one δⱼ from the other: there it
    is the same for all. Kin is left out.

    Returns
    -------
    Contrasts or None
        None if the study is no square: even if all cells were done, δ could not be told from the quality
        of choosers. A block that has lost too much has NaN among its cells.
    """
    known = np.append(np.isfinite(errors["log_error"].to_numpy()), False)
    table, values, cells, ends = [], [np.empty(0)], [np.empty(0, dtype=np.int64)], [0]
    solved: dict[bytes, dict[tuple[str, int], FloatArray]] = {}
    blocks = _Blocks(errors)
    for key, block, own in blocks:
        planned, there = block >= 0, known[block]
        lines: NDArray[np.bool_] = np.asarray(planned.any(axis=1))
        terms: list[int] = np.flatnonzero(own.any(axis=0) & planned.any(axis=0)).tolist()
        found = []
        for mask in (there, planned):
            pattern = mask.tobytes() + planned.tobytes() + own.tobytes()
            if pattern not in solved:
                solved[pattern] = _weights(own, mask, lines, blocks.n_choosers, apart=True)
            found.append(solved[pattern])
        if not all((COMPARISONS[2], number) in found[1] for number in terms):
            masks = (there, planned)
            found = [_weights(own, mask, lines, blocks.n_choosers, apart=False) for mask in masks]
        for name, number in found[1]:
            mask, weights = (there, found[0]) if (name, number) in found[0] else (planned, found[1])
            owned = own if number == TOGETHER else own & (np.arange(own.shape[1]) == number)
            counts = int((mask & owned).sum()), int((planned & owned).sum())
            of = EVERY_MODEL if number == TOGETHER else blocks.models[number]
            table.append((*key, name, of, *counts))
            values.append(weights[name, number][mask])
            cells.append(block[mask])
            ends.append(ends[-1] + int(mask.sum()))
    columns = ["dataset", "fraction", "method", "seed", "comparison", "of", "n_pairs", "n_planned"]
    frame = pd.DataFrame(table, columns=columns)
    if COMPARISONS[2] not in set(frame["comparison"]):
        return None
    shares = (np.concatenate(values), np.concatenate(cells), np.array(ends))
    setting = frame.groupby(["dataset", "fraction", "method", "of"]).ngroup()
    frame = frame.assign(model=EVERY_MODEL, setting=setting)
    return Contrasts(errors, frame, sparse.csr_array(shares, shape=(len(frame), len(errors))))


class _Blocks:
    """The blocks of a table: each one's key, its cells by chooser and model, and which of them are own.

    Cells that were not planned are -1; the lines of random come last of the choosers.
    """

    def __init__(self, errors: pd.DataFrame) -> None:
        self._used = used = errors[~errors["relation"].isin([KIN, NOBODY])]
        self._is_own = np.append((errors["relation"] == OWN).to_numpy(), False)
        self._is_random = is_random = (used["relation"] == RANDOM).to_numpy()
        models, model = np.unique(used["model"].to_numpy(dtype=object), return_inverse=True)
        self.models: list[str] = models.tolist()
        chooser, names = pd.factorize(used["chooser"].where(~is_random), sort=True)
        self.n_choosers = len(names)
        # Random of one budget may have several lines, as of two scalings; each is as good as the other.
        line, lines = pd.factorize(used["method"].where(is_random), sort=True)
        self._shape = (self.n_choosers + len(lines), len(models))
        self._row = np.where(is_random, self.n_choosers + line, chooser)
        self._column = model

    def __iter__(self) -> Iterator[tuple[tuple[object, ...], IntArray, NDArray[np.bool_]]]:
        shared = ["dataset", "fraction", "seed", "budget"]
        used = self._used.assign(row=self._row, column=self._column, cell=self._used.index)
        chosen, random = used[~self._is_random], used[self._is_random]
        keys = chosen[[*shared, "method"]].drop_duplicates().sort_values([*shared, "method"])
        keys = keys.assign(block=range(len(keys)))
        places = [
            chosen.merge(keys, on=[*shared, "method"]),  # random of a budget is in the block of each method
            random.merge(keys.drop(columns="method"), on=shared),
        ]
        blocks = np.full((len(keys), *self._shape), -1, dtype=np.int64)
        for part in places:
            blocks[part["block"], part["row"], part["column"]] = part["cell"]
        names = keys[["dataset", "fraction", "method", "seed"]].itertuples(index=False, name=None)
        for key, block in zip(names, blocks, strict=True):
            yield key, block, self._is_own[block]


def _weights(
    own: NDArray[np.bool_],
    there: NDArray[np.bool_],
    planned: NDArray[np.bool_],
    n_choosers: int,
    *,
    apart: bool,
) -> dict[tuple[str, int], FloatArray]:
    """Return the share of each cell in each comparison that the cells ``there`` can tell.

    Parameters
    ----------
    own, there
        Shape (n_rows, n_models): choosers, then lines of random.
    planned
        Rows of the block, shape (n_rows,).
    n_choosers
        How many rows are choosers.
    apart
        Whether each model has a term of its own.

    Returns
    -------
    dict
        Comparison and number of the model, `TOGETHER` for all, to shares, shape (n_rows, n_models).
    """
    n_rows, n_models = own.shape
    owners: list[int] = np.flatnonzero(own.any(axis=0)).tolist() if apart else [TOGETHER]
    terms = own[:, :, None] & (np.arange(n_models)[:, None] == owners) if apart else own[:, :, None]
    row, column = np.nonzero(there)
    design = np.hstack([np.eye(n_rows)[row], np.eye(n_models)[column], terms[there]])
    sides = np.where(np.arange(n_rows) < n_choosers, planned, 0.0), planned * 1.0
    sides[1][:n_choosers] = 0.0
    rows = [side / max(side.sum(), 1.0) for side in sides]
    mean = np.concatenate([rows[0] - rows[1], np.zeros(design.shape[1] - n_rows)])
    if not rows[1].any():
        mean[:] = np.nan  # no random to compare with
    wanted = {(COMPARISONS[1], TOGETHER): mean}
    for place, number in enumerate(owners):
        term = np.eye(design.shape[1])[n_rows + n_models + place]
        wanted[COMPARISONS[0], number] = mean + term
        wanted[COMPARISONS[2], number] = term
    inverse = np.linalg.pinv(design, rcond=1e-10)
    found = {}
    for name, contrast in wanted.items():
        weights = contrast @ inverse
        if np.abs(weights @ design - contrast).max(initial=0.0) < ESTIMABLE:
            found[name] = np.zeros(own.shape)
            found[name][there] = weights
    return found
