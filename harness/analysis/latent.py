"""Latent spaces of a store and the sets chosen in them, as tables of diagnostics."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import labelled, way_of
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.data import frames
from crossprune.harness.engine.keys import features_key
from crossprune.harness.engine.results import by_pool, not_held_out
from crossprune.harness.engine.stored import stored_dataset, stored_features, stored_subset
from crossprune.harness.engine.study import parse_study
from crossprune.harness.errors import MissingPackage
from crossprune.harness.lookup import resolve
from crossprune.harness.selection import diagnostics
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.entropy import bandwidth_of, diversity, entropy
from crossprune.harness.selection.methods import RANDOM
from crossprune.harness.store.objects import Store
from crossprune.harness.store.tables import PROVENANCE, read_provenance
from crossprune.harness.tables import parse_toml

N_ENVIRONMENTS = 2000
"""Environments drawn for diagnostics that compare all pairs."""


@dataclass(frozen=True)
class Space:
    """The training part's environments in one latent space."""

    points: FloatArray
    """Standardised features, shape (Σ n_atoms, k)."""
    owner: IntArray
    """Frame of each environment, shape (Σ n_atoms,)."""
    bandwidth: float
    """Of the kernel of entropies."""


def diagnostics_of(root: Path, results: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Describe what was chosen, and the latent spaces: tables ``overlap``, ``chosen`` and ``spaces``."""
    if "dataset_key" not in results.columns:
        return {}
    results = by_pool(not_held_out(results))
    spaces = dict(_spaces(root, results))
    subsets = chosen_subsets(root, results)
    return {
        "overlap": overlap(subsets),
        "chosen": chosen_sets(subsets, spaces),
        "spaces": compare_spaces(spaces),
    }


def overlap(subsets: pd.DataFrame) -> pd.DataFrame:
    """Compare the sets of two ways of choosing, averaged over seeds, with chance."""
    together: dict[tuple[str, float, int], list[tuple[str, IntArray, int]]] = {}
    columns = (subsets[name] for name in ("dataset", "fraction", "seed", "way", "subset", "n_train"))
    for dataset, fraction, seed, way, subset, n_train in zip(*columns, strict=True):
        together.setdefault((dataset, fraction, seed), []).append((way, subset, n_train))
    rows = []
    chance = functools.cache(diagnostics.expected_jaccard)
    for (dataset, fraction, _), sets in sorted(together.items(), key=lambda one: one[0]):
        sets.sort(key=lambda one: one[0])
        for (first, a, n_train), (second, b, _) in itertools.combinations(sets, 2):
            values = diagnostics.jaccard(a, b), chance(n_train, len(a), len(b))
            rows.append((dataset, fraction, first, second, *values))
    names = ["dataset", "fraction", "first", "second", "jaccard", "jaccard_by_chance"]
    return pd.DataFrame(rows, columns=names).groupby(names[:4]).mean().reset_index()


def chosen_sets(subsets: pd.DataFrame, spaces: Mapping[tuple[str, str], Space]) -> pd.DataFrame:
    """Describe each chosen set in each latent space, averaged over seeds.

    Distances are in standardised units of the space; entropy and diversity in nats, over at most
    `N_ENVIRONMENTS` environments.
    """
    rows = []
    for (dataset, name), space in spaces.items():
        for row in subsets[subsets["dataset"] == dataset].to_dict("records"):
            atoms = np.flatnonzero(np.isin(space.owner, row["subset"]))
            farthest, mean = diagnostics.coverage(space.points, atoms)
            drawn = space.points[np.random.default_rng(0).permutation(atoms)[:N_ENVIRONMENTS]]
            values = (entropy(drawn, space.bandwidth), diversity(drawn, space.bandwidth))
            rows.append((dataset, row["fraction"], row["way"], name, farthest, mean, *values))
    names = ["dataset", "fraction", "way", "space", "coverage_max", "coverage_mean", "entropy", "diversity"]
    return pd.DataFrame(rows, columns=names).groupby(names[:4]).mean().reset_index()


def compare_spaces(spaces: Mapping[tuple[str, str], Space]) -> pd.DataFrame:
    """Compare every ordered pair of latent spaces of a data set on the same environments."""
    rows = []
    for (dataset, first), (other, second) in itertools.product(spaces, repeat=2):
        if dataset != other:
            continue
        a, b = spaces[dataset, first].points, spaces[dataset, second].points
        drawn = np.random.default_rng(0).permutation(len(a))[:N_ENVIRONMENTS]
        shared, chance = diagnostics.neighbourhood_overlap(a[drawn], b[drawn])
        lost = diagnostics.reconstruction_error(a[drawn], b[drawn], np.random.default_rng(0))
        alike = diagnostics.linear_cka(a, b)
        dimension = diagnostics.two_nn(a[drawn])
        rows.append((dataset, first, second, a.shape[1], dimension, alike, shared, chance, lost))
    names = ["dataset", "space", "other", "n_features", "intrinsic_dimension", "linear_cka"]
    names += ["shared_neighbours", "shared_by_chance", "reconstruction_error"]
    return pd.DataFrame(rows, columns=names)


def described(root: Path, results: pd.DataFrame) -> Iterator[tuple[str, str, frames.DataSet, FloatArray]]:
    """Give name of data set, chooser, data set and stored features of all atoms, memory-mapped.

    A space whose features are not stored, or were computed by other code than that installed, is left out;
    all are if the study's text is not stored or is no longer understood.
    """
    facts = read_provenance(root / PROVENANCE)
    if not (root / "objects").is_dir() or facts is None or "dataset_key" not in results.columns:
        return
    store = Store(root)
    try:
        study = parse_study(parse_toml(str(facts["toml"]).encode(), PROVENANCE), PROVENANCE)
        specs = {name: resolve(name, study.options) for name in set(results["chooser"]) - {RANDOM}}
    except (KeyError, ValueError, MissingPackage):
        return
    for (name, key), part in results.groupby(["dataset", "dataset_key"]):
        if not key or not store.has("dataset", str(key)):
            continue
        dataset = stored_dataset(store.root, str(key))
        frames_key = frames.frames_hash(dataset)
        for chooser in sorted(set(part["chooser"]) - {RANDOM}):
            features = features_key(frames_key, specs[chooser])
            if store.has("features", features):
                yield str(name), chooser, dataset, stored_features(store, features)


def part_of(stored: FloatArray, dataset: frames.DataSet, part: IntArray) -> Candidates:
    """Gather the features of the frames ``part``."""
    starts = frames.offsets(dataset.frames)
    values = np.concatenate([stored[starts[one] : starts[one + 1]] for one in part])
    lengths = np.diff(starts)[part]
    return Candidates(values, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def _spaces(root: Path, results: pd.DataFrame) -> Iterator[tuple[tuple[str, str], Space]]:
    """Load the latent spaces that chose, atom by atom."""
    for name, chooser, dataset, stored in described(root, results):
        train = dataset.indices("train")
        found = part_of(stored, dataset, train)
        owner, points = np.repeat(train, found.sizes), found.environments()
        bandwidth = bandwidth_of(points, np.random.default_rng(0))
        yield (name, chooser), Space(points, owner, bandwidth)


def chosen_subsets(root: Path, results: pd.DataFrame) -> pd.DataFrame:
    """List the chosen sets below the full one that are stored, each once.

    Columns dataset, chooser, method, fraction, seed, ``way``, ``subset`` (indices in the data set) and
    ``n_train``; no rows where the store holds no fits.
    """
    keys = ["dataset", "chooser", "method", "fraction", "seed"]
    if "fit_key" not in results.columns or not (root / "objects").is_dir():
        return pd.DataFrame(columns=[*keys, "fit_key", "dataset_key", "way", "subset", "n_train"])
    store, table = Store(root), labelled(results)
    table = table[(table["status"] == "done") & (table["fraction"] < 1 - 1e-9)]
    sets = table.drop_duplicates(keys)[[*keys, "fit_key", "dataset_key"]].reset_index(drop=True)
    sizes = {
        key: len(stored_dataset(store.root, key).indices("train"))
        for key in sorted(set(sets["dataset_key"]))
        if store.has("dataset", key)
    }
    held = [store.has("fit", str(row.fit_key)) and row.dataset_key in sizes for row in sets.itertuples()]
    sets = sets[np.array(held, dtype=np.bool_)].reset_index(drop=True)  # an empty list would name columns
    sets["way"] = way_of(sets)
    subsets: dict[str, Any] = {key: stored_subset(store.root, key) for key in sorted(set(sets["fit_key"]))}
    sets["subset"] = [subsets[key] for key in sets["fit_key"]]
    return sets.assign(n_train=sets["dataset_key"].map(sizes))
