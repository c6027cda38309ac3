"""Comparisons as linear functions of cells' log errors: pairs, and ownership in an additive model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import NOBODY, SETTING
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.engine.grid import KIN, OWN
from crossprune.harness.engine.study import COMPARISONS
from crossprune.harness.selection.methods import RANDOM
from numpy.typing import NDArray
from scipy import sparse

EVERY_MODEL = "all"
"""Model of a row over all models."""
ESTIMABLE = 1e-8
"""A contrast that is no combination of cells misses by its own size, rounding by 1e-15."""


@dataclass(frozen=True, eq=False)
class Contrasts:
    """Differences of cells' log errors, which say the same thing of several settings and seeds."""

    errors: pd.DataFrame
    """The cells, of `crossprune.harness.analysis.cells.partial_errors`."""
    table: pd.DataFrame
    """Columns of `SETTING`, ``seed``, ``comparison``, ``n_pairs`` and ``n_planned``, how many own or other
    cells are compared in it and were to be, and the number of its ``setting``: contrasts of one differ in
    the seed only."""
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
    """Pair every chooser and method with random, model by model."""
    names = errors["chooser"] + " · " + errors["method"] + " / random"
    is_base = errors["relation"] == RANDOM
    return _pair(errors.assign(comparison=names), ~is_base, is_base, [*SETTING, "comparison"])


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
    return Contrasts(errors, table[[*by, "seed"]].assign(setting=setting, n_pairs=1, n_planned=1), shares)


def _averages(errors: pd.DataFrame, by: Sequence[str], n_cells: int) -> tuple[pd.DataFrame, sparse.csr_array]:
    """Average over the cells that agree in ``by``: a row for each average, and the share of every cell."""
    average = errors.groupby(list(by), sort=True).ngroup().to_numpy()
    table = errors[list(by)].assign(average=average).drop_duplicates("average")
    entries = (1.0 / np.bincount(average)[average], (average, errors.index.to_numpy()))
    return table, sparse.csr_array(entries, shape=(len(table), n_cells))


def ownership(errors: pd.DataFrame) -> Contrasts | None:
    """Estimate in each block of data set, fraction, method and seed what owning the data does to all models.

    The log error of chooser i and model j is μ + αᵢ + βⱼ + δ·own(i, j), a two-way layout with a term for the
    diagonal. *own / other* is δ by least squares on the cells that are there, *other / random* the mean of
    α over choosers less that of random, and *own / random* their sum. In a complete square these are the
    means of pairs. Where cells are lost, least squares knows that the remaining ones have other choosers
    and models, and a mean of pairs does not. Kin is left out.

    Returns
    -------
    Contrasts or None
        None if the study is no square: even if all cells were done, δ could not be told from the quality
        of choosers. A block that has lost too much has NaN among its cells.
    """
    known = np.append(np.isfinite(errors["log_error"].to_numpy()), False)
    table, values, cells, ends = [], [np.empty(0)], [np.empty(0, dtype=np.int64)], [0]
    solved: dict[bytes, dict[str, FloatArray]] = {}
    for key, block, own in _blocks(errors):
        planned, there = block >= 0, known[block]
        found = []
        for mask in (there, planned):
            pattern = mask.tobytes() + planned.tobytes() + own.tobytes()
            if pattern not in solved:
                solved[pattern] = _weights(own, mask, np.asarray(planned[:-1].any(axis=1)))
            found.append(solved[pattern])
        for name in found[1]:
            mask, weights = (there, found[0]) if name in found[0] else (planned, found[1])
            table.append((*key, name, int((mask & own).sum()), int((planned & own).sum())))
            values.append(weights[name][mask])
            cells.append(block[mask])
            ends.append(ends[-1] + int(mask.sum()))
    columns = ["dataset", "fraction", "method", "seed", "comparison", "n_pairs", "n_planned"]
    frame = pd.DataFrame(table, columns=columns)
    if COMPARISONS[2] not in set(frame["comparison"]):
        return None
    shares = (np.concatenate(values), np.concatenate(cells), np.array(ends))
    frame = frame.assign(model=EVERY_MODEL, setting=frame.groupby(["dataset", "fraction", "method"]).ngroup())
    return Contrasts(errors, frame, sparse.csr_array(shares, shape=(len(frame), len(errors))))


def _blocks(errors: pd.DataFrame) -> Iterator[tuple[tuple[object, ...], IntArray, NDArray[np.bool_]]]:
    """Yield each block's key, its cells by chooser and model, -1 for none, and which of them are own.

    Random comes last of the choosers.
    """
    used = errors[~errors["relation"].isin([KIN, NOBODY])]
    models, model = np.unique(used["model"].to_numpy(dtype=object), return_inverse=True)
    choosers, chooser = np.unique(used["chooser"].to_numpy(dtype=object), return_inverse=True)
    is_random = (used["relation"] == RANDOM).to_numpy()
    chooser = np.where(is_random, len(choosers), chooser)
    shape = (len(choosers) + 1, len(models))
    is_own = np.append((errors["relation"] == OWN).to_numpy(), False)
    places = pd.DataFrame({"chooser": chooser, "model": model, "cell": used.index}, index=used.index)
    shared = ["dataset", "fraction", "seed", "budget"]
    random = {key: part.index for key, part in used[is_random].groupby(shared)}
    for key, part in used[~is_random].groupby([*shared, "method"], sort=True):
        rows = places.loc[part.index.append(random.get(key[:-1], pd.Index([])))]
        block = np.full(shape, -1, dtype=np.int64)
        block[rows["chooser"], rows["model"]] = rows["cell"]
        dataset, fraction, seed, _, method = key
        yield (dataset, fraction, method, seed), block, is_own[block]


def _weights(
    own: NDArray[np.bool_], there: NDArray[np.bool_], choosers: NDArray[np.bool_]
) -> dict[str, FloatArray]:
    """Return the share of each cell in each comparison that the cells ``there`` can tell, by its name.

    Parameters
    ----------
    own, there
        Shape (n_choosers + 1, n_models), random last.
    choosers
        Those of the block, shape (n_choosers,).
    """
    n_rows, n_models = own.shape
    row, column = np.nonzero(there)
    design = np.hstack([np.eye(n_rows)[row], np.eye(n_models)[column], own[there][:, None]])
    mean = np.concatenate([choosers / max(choosers.sum(), 1), [-1.0], np.zeros(n_models), [0.0]])
    ownership = np.eye(design.shape[1])[-1]
    inverse = np.linalg.pinv(design, rcond=1e-10)
    found = {}
    for name, contrast in zip(COMPARISONS, (mean + ownership, mean, ownership), strict=True):
        weights = contrast @ inverse
        if np.abs(weights @ design - contrast).max() < ESTIMABLE:
            found[name] = np.zeros(own.shape)
            found[name][there] = weights
    return found
