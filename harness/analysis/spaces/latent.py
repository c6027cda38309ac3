"""Latent spaces of a store and the sets chosen in them, as tables of diagnostics."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.data import frames
from crossprune.harness.engine.keys import features_key
from crossprune.harness.engine.stored import stored_dataset, stored_features
from crossprune.harness.engine.study import Study, parse_study
from crossprune.harness.errors import MissingPackage
from crossprune.harness.lookup import AdapterSpec, resolve
from crossprune.harness.selection import diagnostics
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.entropy import bandwidth_of, diversity, entropy
from crossprune.harness.selection.methods import RANDOM
from crossprune.harness.store.objects import Store
from crossprune.harness.store.tables import PROVENANCE, read_provenance
from crossprune.harness.tables import parse_toml

N_ENVIRONMENTS = 2000
"""Environments drawn for diagnostics that compare all pairs."""

MOST_SETS = 200
"""Chosen sets that are described in every space."""


@dataclass(frozen=True)
class Space:
    """The training part's environments in one latent space."""

    points: FloatArray
    """Standardised features, shape (Σ n_atoms, k)."""
    owner: IntArray
    """Frame of each environment, shape (Σ n_atoms,)."""
    bandwidth: float
    """Of the kernel of entropies."""


def overlap(subsets: pd.DataFrame) -> pd.DataFrame:
    """Compare the sets of two ways of choosing, averaged over seeds, with chance."""
    together: dict[tuple[str, float, int], list[tuple[str, IntArray, int]]] = {}
    columns = (subsets[name] for name in ("dataset", "fraction", "seed", "way", "picked", "n_train"))
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
    `N_ENVIRONMENTS` environments. Of more than `MOST_SETS` sets those of fractions near a tenth, and of the
    first seeds, are looked at.
    """
    rows = []
    subsets = some(subsets)
    for (dataset, name), space in spaces.items():
        for row in subsets[subsets["dataset"] == dataset].to_dict("records"):
            atoms = np.flatnonzero(np.isin(space.owner, row["subset"]))
            farthest, mean = diagnostics.coverage(space.points, atoms)
            drawn = space.points[np.random.default_rng(0).permutation(atoms)[:N_ENVIRONMENTS]]
            values = (entropy(drawn, space.bandwidth), diversity(drawn, space.bandwidth))
            rows.append((dataset, row["fraction"], row["way"], name, farthest, mean, *values))
    names = ["dataset", "fraction", "way", "space", "coverage_max", "coverage_mean", "entropy", "diversity"]
    return pd.DataFrame(rows, columns=names).groupby(names[:4]).mean().reset_index()


def some(subsets: pd.DataFrame) -> pd.DataFrame:
    """Keep about `MOST_SETS` sets: all ways, the fractions nearest to a tenth, the first seeds."""
    n_ways = max(1, subsets[["dataset", "way"]].drop_duplicates().shape[0])
    fractions = sorted(set(subsets["fraction"]), key=lambda one: abs(np.log(one / 0.1)))
    kept = fractions[: max(1, MOST_SETS // n_ways)]
    seeds = sorted(set(subsets["seed"]))[: max(1, MOST_SETS // (n_ways * max(1, len(kept))))]
    return subsets[subsets["fraction"].isin(kept) & subsets["seed"].isin(seeds)]


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
    if not (root / "objects").is_dir() or "dataset_key" not in results.columns:
        return
    store, specs = Store(root), stored_specs(root)
    for (name, key), part in results.groupby(["dataset", "dataset_key"]):
        if not key or not store.has("dataset", str(key)):
            continue
        dataset = stored_dataset(store.root, str(key))
        frames_key = frames.frames_hash(dataset)
        for chooser in sorted(set(part["chooser"]) & set(specs)):
            features = features_key(frames_key, specs[chooser].following(dataset.spacing))
            if store.has("features", features):
                yield str(name), chooser, dataset, stored_features(store, features)


def stored_specs(root: Path) -> dict[str, AdapterSpec]:
    """Return the choosers of the study that a store was made by; none if one is no longer understood."""
    study = stored_study(root)
    if study is None:
        return {}
    try:
        return {name: resolve(name, study.options) for name in study.choosers if name != RANDOM}
    except (KeyError, ValueError, MissingPackage):
        return {}


def stored_study(root: Path) -> Study | None:
    """Read the study that a store was made by; None if its text is not stored, or not understood any more."""
    facts = read_provenance(root / PROVENANCE)
    try:
        return (
            None
            if facts is None
            else parse_study(parse_toml(str(facts["toml"]).encode(), PROVENANCE), PROVENANCE)
        )
    except (KeyError, ValueError, MissingPackage):
        return None


def part_of(stored: FloatArray, dataset: frames.DataSet, part: IntArray) -> Candidates:
    """Gather the features of the frames ``part``."""
    starts = frames.offsets(dataset.frames)
    values = np.concatenate([stored[starts[one] : starts[one + 1]] for one in part])
    lengths = np.diff(starts)[part]
    return Candidates(values, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))


def spaces_of(root: Path, results: pd.DataFrame) -> Iterator[tuple[tuple[str, str], Space]]:
    """Load the latent spaces that chose, atom by atom."""
    for name, chooser, dataset, stored in described(root, results):
        train = dataset.indices("train")
        found = part_of(stored, dataset, train)
        owner, points = np.repeat(train, found.sizes), found.environments()
        bandwidth = bandwidth_of(points, np.random.default_rng(0))
        yield (name, chooser), Space(points, owner, bandwidth)
