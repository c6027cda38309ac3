"""Where errors are: by the size of the force, and by the distance to the chosen set in each space."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import labelled, relation_of, way_of
from crossprune.harness.analysis.spaces.latent import described, some
from crossprune.harness.analysis.spaces.predictions import holds_predictions, predicted
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.data.frames import DataSet, forces_of
from crossprune.harness.engine.grid import OWN
from crossprune.harness.engine.stored import stored_dataset
from crossprune.harness.selection.axes import is_noise
from crossprune.harness.selection.farthest import lower_to
from crossprune.harness.store.objects import Store
from scipy.stats import spearmanr

PARTS = ("test", "ood")
N_TESTED = 1000
"""Atoms of a part that are looked at; of more a sample."""
N_BINS = 5
FEWEST = 5
"""Values below which a rank correlation says nothing."""
Distances = dict[tuple[object, ...], FloatArray]
"""Values of the first four of `CELL`, part and space, to the distances of the atoms that are looked at."""
CELL = ["dataset", "way", "fraction", "seed", "model"]
BY_FORCE = ["dataset", "way", "fraction", "model", "part", "fifth", "force", "n_atoms", "force_mae"]
BY_DISTANCE = [
    *("dataset", "way", "fraction", "model", "part", "space", "own", "fifth", "distance", "share"),
    "force_mae",
]
MECHANISM = ["dataset", "model", "part", "space", "own", "within", "between", "n_sets"]


@dataclass(frozen=True)
class Errors:
    """One model on atoms of one part."""

    names: tuple[object, ...]
    """Values of `CELL`."""
    part: str
    atoms: IntArray
    """Which atoms of the data set."""
    sizes: FloatArray
    """Lengths of the reference forces, eV/Å, shape (n,)."""
    errors: FloatArray
    """Mean absolute errors of the three components, eV/Å, shape (n,)."""


def errors_by(root: Path, results: pd.DataFrame, subsets: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Cut the force errors of a store's models into fifths, and rank them against distances.

    A distance is that of an atom's environment to the nearest one that was fitted to, in standardised
    features of the training part: the extrapolation grade of a space. Where errors rest on it, a chooser
    lowers the errors of a model by lowering distances in the space in which that model's errors follow them.

    Parameters
    ----------
    root
        The store.
    results
        Its table.
    subsets
        Of `crossprune.harness.analysis.spaces.chosen.chosen_subsets`; some of many, see `some`.

    Returns
    -------
    dict
        ``errors_by_force`` (`BY_FORCE`; fifths of the part's atoms by the length of the reference force,
        whose mean is ``force``, eV/Å), ``errors_by_distance`` (`BY_DISTANCE`; fifths of all distances that
        any chosen set leaves in this space, so that ``share`` of a set's atoms in each tells how it covers,
        and ``force_mae`` how the model errs there), means over seeds; and ``mechanism`` (`MECHANISM`):
        ``within`` is Spearman's rank correlation of distance and error over the atoms of one set, mean over
        sets; ``between`` that of the mean distance and the mean error over the sets of one fraction, mean
        over fractions; ``own`` tells whether the space is the model's own.
    """
    sets = some(subsets)
    found = list(_errors(root, results, sets))
    distances = _distances(root, results, sets, found)
    own = _own(results)
    tables = {
        "errors_by_force": (BY_FORCE, list(_by_force(found))),
        "errors_by_distance": (BY_DISTANCE, list(_by_distance(found, distances, own))),
        "mechanism": (MECHANISM, list(_mechanism(found, distances, own))),
    }
    keys = {"errors_by_force": BY_FORCE[:6], "errors_by_distance": BY_DISTANCE[:8], "mechanism": []}
    return {
        name: _over_seeds(pd.DataFrame(rows, columns=columns), keys[name])
        for name, (columns, rows) in tables.items()
    }


def profile_of(table: pd.DataFrame) -> pd.DataFrame:
    """Lay ``errors_by_force`` or ``errors_by_distance`` out for people: a column for each fifth.

    Mean absolute errors of forces, eV/Å, at the fraction nearest to a tenth, mean over ways of choosing.
    """
    distance = (table["fraction"] - 0.1).abs()
    here = table[distance == distance.min()]
    keys = [one for one in ("dataset", "model", "part", "space", "own") if one in table]
    wide = here.pivot_table(index=keys, columns="fifth", values="force_mae", sort=False)
    wide.columns = pd.Index([f"fifth {one}" for one in wide.columns])
    found: pd.DataFrame = wide.reset_index()
    return found


def fifths(values: FloatArray, edges: FloatArray) -> IntArray:
    """Number the fifth of each value, 0 to 4, by four inner ``edges``; a value on one is above it."""
    return np.searchsorted(edges, values, side="right").astype(np.int64)


def edges_of(values: FloatArray) -> FloatArray:
    """Return the quantiles at 20, 40, 60 and 80 %."""
    found: FloatArray = np.quantile(values, np.arange(1, N_BINS) / N_BINS)
    return found


def _over_seeds(table: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    return table.groupby(keys, sort=False).mean().reset_index() if keys and len(table) else table


def _own(results: pd.DataFrame) -> set[tuple[str, str]]:
    """Return chooser and model of all pairs in which the descriptor is the model's own."""
    pairs = results[relation_of(labelled(results)).eq(OWN).to_numpy()]
    return set(zip(pairs["chooser"], pairs["model"], strict=True))


def _errors(root: Path, results: pd.DataFrame, sets: pd.DataFrame) -> Iterator[Errors]:
    """Read what each model predicted for the atoms that are looked at."""
    store = Store(root)
    table = labelled(results[results["status"] == "done"])
    table = table.assign(way=way_of(table)).drop_duplicates(CELL)
    table = table.merge(sets[CELL[:-1]].drop_duplicates(), on=CELL[:-1])
    for key, here in table[table["fit_key"].astype(bool)].groupby("dataset_key", sort=False):
        if not store.has("dataset", str(key)):
            continue
        dataset = stored_dataset(store.root, str(key))
        looked = {part: _looked_at(dataset, part) for part in PARTS if part in dataset.split}
        for row in here.to_dict("records"):
            folder = store.path("fit", str(row["fit_key"]))
            if not holds_predictions(folder):
                continue
            for part, (frames, kept, atoms, forces) in looked.items():
                _, forecast = predicted(folder, frames, dataset.sizes)
                errors = np.abs(forecast[kept] - forces).mean(axis=1)
                names = tuple(row[one] for one in CELL)
                yield Errors(names, part, atoms, np.linalg.norm(forces, axis=1), errors)


def _looked_at(dataset: DataSet, part: str) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    """Draw atoms of a part: its frames, their places among its atoms, and in the data set, their forces."""
    frames = dataset.indices(part)
    starts = np.concatenate([[0], np.cumsum(dataset.sizes)])
    atoms = np.concatenate([np.arange(starts[one], starts[one + 1]) for one in frames])
    kept = np.sort(np.random.default_rng(0).permutation(len(atoms))[:N_TESTED])
    forces = np.concatenate([forces_of(dataset.frames[one]) for one in frames])
    return frames, kept, atoms[kept], forces[kept]


def _distances(root: Path, results: pd.DataFrame, sets: pd.DataFrame, found: Sequence[Errors]) -> Distances:
    """Find how far each looked-at atom is from the nearest one that was chosen, in every space."""
    looked = {(one.names[0], one.part): one.atoms for one in found}
    distances: Distances = {}
    for name, space, dataset, stored in described(root, results):
        starts = np.concatenate([[0], np.cumsum(dataset.sizes)])
        scale = _scale_of(np.asarray(stored[np.isin(_owners(dataset), dataset.indices("train"))]))
        tested = {part: scale(stored[atoms]) for (one, part), atoms in looked.items() if one == name}
        for row in sets[sets["dataset"] == name].to_dict("records") if tested else ():
            chosen = np.concatenate([np.arange(starts[one], starts[one + 1]) for one in row["subset"]])
            centres = scale(stored[chosen])
            for part, points in tested.items():
                squares = np.full(len(points), np.inf)
                for block in np.array_split(centres, max(1, len(centres) // 2000)):
                    lower_to(squares, points, np.einsum("ij,ij->i", points, points), block)
                distances[(*(row[one] for one in CELL[:-1]), part, space)] = np.sqrt(squares)
    return distances


def _owners(dataset: DataSet) -> IntArray:
    return np.repeat(np.arange(len(dataset.frames)), dataset.sizes)


def _scale_of(train: FloatArray) -> Callable[[FloatArray], FloatArray]:
    """Standardise by the training part's columns; those that are noise there are left out."""
    counted, middle, width = ~is_noise(train), train.mean(axis=0), train.std(axis=0)

    def scale(values: FloatArray) -> FloatArray:
        scaled: FloatArray = (np.asarray(values) - middle)[:, counted] / width[counted]
        return scaled

    return scale


def _by_force(found: Sequence[Errors]) -> Iterator[tuple[object, ...]]:
    for one in found:
        dataset, way, fraction, _, model = one.names
        places = fifths(one.sizes, edges_of(one.sizes))
        for fifth in np.unique(places):
            here = places == fifth
            means = float(one.sizes[here].mean()), int(here.sum()), float(one.errors[here].mean())
            yield (dataset, way, fraction, model, one.part, int(fifth) + 1, *means)


def _by_distance(
    found: Sequence[Errors], distances: Distances, own: Collection[tuple[str, str]]
) -> Iterator[tuple[object, ...]]:
    pooled: dict[tuple[object, ...], list[FloatArray]] = {}
    for (dataset, _, _, _, part, space), values in distances.items():
        pooled.setdefault((dataset, part, space), []).append(values)
    edges = {key: edges_of(np.concatenate(values)) for key, values in pooled.items()}
    for one, space, values in _pairs(found, distances):
        dataset, way, fraction, _, model = one.names
        places = fifths(values, edges[dataset, one.part, space])
        names = (dataset, way, fraction, model, one.part, space, (space, model) in own)
        for fifth in range(N_BINS):
            here = places == fifth
            means = (_mean(values[here]), float(here.mean()), _mean(one.errors[here]))
            yield (*names, fifth + 1, *means)


def _mean(values: FloatArray) -> float:
    """Return the mean; NaN of nothing."""
    return float(values.mean()) if len(values) else float("nan")


def _mechanism(
    found: Sequence[Errors], distances: Distances, own: Collection[tuple[str, str]]
) -> Iterator[tuple[object, ...]]:
    rows = []
    for one, space, values in _pairs(found, distances):
        dataset, _, fraction, _, model = one.names
        rho = _rank_correlation(values, one.errors)
        means = float(values.mean()), float(one.errors.mean())
        rows.append((dataset, model, one.part, space, fraction, rho, *means))
    names = ["dataset", "model", "part", "space", "fraction", "within", "distance", "error"]
    keys = names[:4]
    for key, part in pd.DataFrame(rows, columns=names).groupby(keys, sort=False):
        between = [
            _rank_correlation(sets["distance"].to_numpy(), sets["error"].to_numpy())
            for _, sets in part.groupby("fraction")
        ]
        known = [one for one in between if np.isfinite(one)]
        mean = float(np.mean(known)) if known else float("nan")
        yield (*key, (key[3], key[1]) in own, float(part["within"].mean()), mean, len(part))


def _pairs(found: Sequence[Errors], distances: Distances) -> Iterator[tuple[Errors, str, FloatArray]]:
    """Give each model's errors beside the distances of the same atoms, in each space."""
    spaces = list(dict.fromkeys(key[-1] for key in distances))
    for one, space in itertools.product(found, spaces):
        values = distances.get((*one.names[:-1], one.part, space))
        if values is not None:
            yield one, str(space), values


def _rank_correlation(first: FloatArray, second: FloatArray) -> float:
    """Return Spearman's coefficient; NaN for fewer than `FEWEST` values, or where one side does not vary."""
    if len(first) < FEWEST or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    return float(spearmanr(first, second).statistic)
