"""What is planted is found; what is not is claimed no more often than the intervals admit."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.comparisons import TestErrors as Errors
from crossprune.harness.comparisons import against_random, compare, labelled

FORCE = "force_mae_ev_per_angstrom"
FRACTIONS = (0.05, 0.1, 0.2, 0.4)
MODELS = ("gap", "snap")
N_TEST = 60


def simulate(source, gain, *, n_seeds=5, datasets=("a", "b")):
    """Simulate a study with the noise of docs/statistics.md: the luck of a draw is shared by models.

    Random draws scatter by 10 %, farthest-point sets by 6 %, less at larger fractions and correlated
    between them; each cell by another 4 %; a fit has its own errors on each test configuration.
    """
    rows, tests = [], {}
    for dataset in datasets:
        counts = source.integers(10, 60, N_TEST).astype(float)
        hardness = source.normal(0.0, 0.6, N_TEST)
        sums = {}
        for chooser, seed in itertools.product(("random", *MODELS), range(n_seeds)):
            luck = (0.10 if chooser == "random" else 0.06) * source.normal()
            for fraction in FRACTIONS:
                shared = luck * (0.05 / fraction) ** 0.3
                for model in MODELS:
                    error = fraction**-0.3 * np.exp(
                        shared + 0.04 * source.normal() - gain * (chooser == model)
                    )
                    key = f"{dataset}{chooser}{seed}{fraction}{model}"
                    # what a chooser does to a test configuration is the same for all seeds
                    local = np.random.default_rng(
                        [hash_of(dataset, chooser, model), int(1e6 * hardness[0] % 997)]
                    )
                    sums[key] = error * counts * np.exp(hardness + 0.25 * local.normal(size=N_TEST))
                    rows.append(
                        (dataset, chooser, seed, fraction, model, key, sums[key].sum() / counts.sum())
                    )
        tests[dataset] = Errors(sums, counts)
    names = ["dataset", "chooser", "seed", "fraction", "model", "fit_key", FORCE]
    table = pd.DataFrame(rows, columns=names).assign(split="test", group="all", status="done")
    return table.assign(method=np.where(table["chooser"] == "random", "random", "fps")), tests


def hash_of(*words):
    return sum(ord(letter) * 31**place for place, letter in enumerate("".join(words)[:6]))


def claims(n_studies, gain, **settings):
    """Return how often each comparison over all models claims lower and higher errors."""
    counts = {}
    for study in range(n_studies):
        table, tests = simulate(np.random.default_rng([study, 7]), gain, **settings)
        found = compare(table, FORCE, tests=tests)
        for row in found[found["model"] == "all"].to_dict("records"):
            count = counts.setdefault(row["comparison"], {"lower": 0, "higher": 0, "no difference": 0})
            count[row["verdict"]] += 1
    return counts


def test_one_simulated_study():
    table, tests = simulate(np.random.default_rng(0), np.log(1 / 0.9))
    found = compare(table, FORCE, tests=tests).set_index(["model", "comparison"])
    print(found.to_string())


def test_time():
    print(claims(20, 0.0))
