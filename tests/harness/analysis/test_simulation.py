"""Simulated studies through the front door: false claims, coverage, power, with and without lost cells.

The noise is that of cells of si-pbe (docs/statistics.md): random draws scatter by 12 % at the smallest
fraction, farthest-point sets by 6 %, less at larger fractions and alike for all models and nested fractions;
a cell by another 5 %. On each of 60 test configurations, drawn from 300, a chooser errs by 30 % more or less,
whatever the seed.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis.cells import partial_errors
from crossprune.harness.analysis.comparisons import (
    compare,
    estimate,
    inferred,
    laid_out,
    of_all_models,
)
from crossprune.harness.analysis.contrasts import EVERY_MODEL
from crossprune.harness.analysis.units import Case
from crossprune.harness.analysis.units import TestErrors as Errors
from crossprune.harness.engine.study import COMPARISONS

FORCE = "force_mae_ev_per_angstrom"
FAMILIES = ("ace", "gap", "snap")
CHOOSERS = (*FAMILIES, "random")
FRACTIONS = np.array([0.05, 0.2])
N_FRAMES, N_TEST = 300, 60


@dataclass(frozen=True)
class Design:
    """One kind of study."""

    n_data_sets: int
    n_seeds: int
    n_pools: int = 1
    own: float = 0.0
    """Logarithm of what owning the data does to the error."""
    quality: float = 0.0
    """How much choosers differ for all models."""
    interaction: float = 0.0
    """How much choosers differ for single models, for no reason of ownership."""
    lost: str = ""
    """``systematic``: a model mostly fails at the smallest fraction, and a third of the fits of one pair;
    ``random``: 15 % of all cells; ``owner``: half of the only owner's own cells."""
    only: bool = False
    """Owning the data helps the first model alone."""

    @property
    def null(self):
        """Whether there is no effect at all."""
        return self.own == self.quality == self.interaction == 0.0

    def chance(self, chooser, model, fraction):
        """Return the chance that a cell fails."""
        if self.lost == "random":
            return 0.15
        if self.lost == "owner":
            return 0.5 * (chooser == model == 0)
        if self.lost == "systematic":
            return max(0.8 * (model == 1 and fraction == 0), 0.33 * (chooser == 0 and model == 2))
        return 0.0


def simulate(design, source):
    """Return a results table, the errors per test configuration, and the true own / other."""
    rows, tests, truth = [], {}, []
    shape = (len(CHOOSERS), len(FAMILIES))
    is_own = np.vstack([np.diag([1.0, not design.only, not design.only]), np.zeros((1, 3))])
    damping = (FRACTIONS / FRACTIONS[0]) ** -0.3
    scatter = np.array([0.06, 0.06, 0.06, 0.12])
    for number in range(design.n_data_sets):
        quality = np.append(source.normal(0.0, design.quality, 3), 0.0)
        between = source.normal(0.0, design.interaction, shape)
        between[3] = 0.0
        systematic = quality[:, None] + source.normal(0.0, 0.3, 3) + between + design.own * is_own
        square = between[:3]
        own = design.own / (3 if design.only else 1)
        truth.append(own + np.trace(square) / 3 - (square.sum() - np.trace(square)) / 6)
        hardness = source.normal(0.0, 0.6, N_FRAMES)
        on_frames = np.exp(hardness + source.normal(0.0, 0.3, (*shape, N_FRAMES)))
        for pool in range(design.n_pools):
            name = f"set{number}, pool {pool}"
            on_test = on_frames[:, :, source.permutation(N_FRAMES)[:N_TEST]]
            luck = source.normal(0.0, 1.0, (4, design.n_seeds)) * scatter[:, None]
            sums = {}
            axes = (range(4), range(3), range(len(FRACTIONS)), range(design.n_seeds))
            for i, j, f, s in itertools.product(*axes):
                level = systematic[i, j] + luck[i, s] * damping[f] - 0.4 * np.log(FRACTIONS[f])
                level += source.normal(0.0, 0.05)
                key = f"{name}-{i}-{j}-{f}-{s}"
                sums[key] = on_test[i, j] * np.exp(level)
                gone = source.random() < design.chance(i, j, f)
                error = np.nan if gone else sums[key].mean()
                rows.append((name, CHOOSERS[i], FRACTIONS[f], s, FAMILIES[j], "" if gone else key, error))
            tests[name] = Errors(sums, np.ones(N_TEST))
    columns = ["dataset", "chooser", "fraction", "seed", "model", "fit_key", FORCE]
    table = pd.DataFrame(rows, columns=columns).assign(split="test", group="all")
    table["source"] = table["dataset"].str.split(",").str[0]
    table["n_eval_configurations"], table["n_configurations"] = (
        N_TEST,
        table["fraction"] * (N_FRAMES - N_TEST),
    )
    table["method"] = np.where(table["chooser"] == "random", "random", "fps")
    table["status"] = np.where(table[FORCE].isna(), "failed", "done")
    return table, tests, float(np.mean(truth))


def over_all_models(cells, tests):
    """Return the rows over all models of the table ``answer``, without all else that `compare` computes."""
    known = estimate(of_all_models(cells)[0], [Case(EVERY_MODEL, name) for name in COMPARISONS], tests)
    return laid_out(known, inferred([known])[0], "own / other")


def test_rows_over_all_models_are_those_of_the_front_door():
    table, tests, _ = simulate(Design(2, 3, quality=0.1, lost="systematic"), np.random.default_rng(0))
    cells = partial_errors(table, FORCE, "test")
    whole = compare(cells, tests=tests, primary="own / other")["answer"]
    columns = ["comparison", "ratio", "low_alone", "high_alone", "p_alone", "n_pairs", "n_units"]
    found, rows = over_all_models(cells, tests), whole[whole["model"] == "all"]
    pd.testing.assert_frame_equal(found[columns], rows[columns].reset_index(drop=True))
    ends = ["low", "high", "p"]  # of which sums in another order may differ in the last bit
    assert found.iloc[-1][ends].tolist() == pytest.approx(rows.iloc[-1][ends].tolist(), rel=1e-12)
    assert found.iloc[-1]["verdict"] == rows.iloc[-1]["verdict"]


def claims(design, n_studies):
    """Return shares of studies, by what they do.

    ``wrong``: the interval of a comparison, alone, misses the truth; ``claimed``: own / other as the primary
    comparison has a verdict; ``any``: some interval of a whole table misses, of those that hold together.
    """
    wrong, claimed, together = dict.fromkeys(COMPARISONS, 0.0), np.zeros(2), {}
    n_known = dict.fromkeys(COMPARISONS, 0)
    for number in range(n_studies):
        seed = [number, design.n_data_sets, design.n_seeds, design.n_pools, len(design.lost)]
        table, tests, truth = simulate(design, np.random.default_rng(seed))
        cells = partial_errors(table, FORCE, "test")
        if design.null:
            tables = compare(cells, tests=tests, primary="own / other")
            found = tables["answer"][tables["answer"]["model"] == "all"]
        else:
            found = over_all_models(cells, tests)
        rows = found.set_index("comparison")
        claimed += [
            rows.loc["own / other", "verdict"] == "lower",
            rows.loc["own / other", "verdict"] == "higher",
        ]
        truths = {"own / other": truth}
        if design.quality == design.interaction == 0.0:
            truths |= {"own / random": truth, "other / random": 0.0}
        for name, value in truths.items():
            low, high = np.log(rows.loc[name, ["low_alone", "high_alone"]].to_numpy(dtype=float))
            n_known[name] += np.isfinite(low)
            wrong[name] += bool(low > value or high < value)
        if design.null:
            for name, one in tables.items():
                one = one[one["role"] == "exploratory"]
                together[name] = (
                    together.get(name, 0.0) + one["verdict"].isin(["lower", "higher"]).any() / n_studies
                )
    wrong = {name: count / n_known[name] for name, count in wrong.items() if n_known[name]}
    return wrong, claimed / n_studies, together


def bounds(n_studies, low=0.02, high=0.06):
    """Return the bounds of a rate, widened by two standard errors of so many studies where these are few."""
    error = 0.0 if n_studies >= 2000 else np.sqrt(0.05 * 0.95 / n_studies)
    return low - 2 * error, high + 2 * error


NULLS = [
    *(Design(*sizes) for sizes in itertools.product((1, 2, 6), (3, 5, 20))),
    *(Design(*sizes, quality=0.1) for sizes in ((1, 3), (2, 5))),
    *(Design(*sizes, quality=0.1, lost="systematic") for sizes in ((1, 5), (2, 3), (2, 5))),
    *(Design(*sizes, lost="random") for sizes in ((1, 3), (2, 5))),
    *(Design(*sizes) for sizes in ((1, 3, 4), (2, 3, 4))),
    Design(1, 3, 4, quality=0.1, lost="systematic"),
]
EFFECTS = [
    Design(2, 5, own=np.log(0.9)),
    Design(2, 5, own=np.log(0.95), quality=0.1, lost="systematic"),
    Design(2, 5, own=np.log(0.8), only=True, lost="owner"),
    Design(2, 5, quality=0.1, interaction=0.05),
]


def hold(design, n_studies):
    wrong, claimed, together = claims(design, n_studies)
    print(design, {name: round(rate, 4) for name, rate in wrong.items()}, claimed, together)
    low, high = bounds(n_studies, high=0.07)
    for rate in wrong.values():
        assert low <= rate <= high
    low, high = bounds(n_studies)
    if design.own == design.interaction == 0.0:
        assert low <= claimed.sum() <= high
    for rate in together.values():
        assert rate <= high


@pytest.mark.parametrize("design", [Design(2, 3), Design(1, 5, quality=0.1, lost="systematic")])
def test_false_claims_and_coverage(design):
    """The sign-flip p was below 0.05 in 0.74 of studies with 1 data set × 10 seeds, 0.37 with 2 × 5."""
    hold(design, 60)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("design", [*NULLS, *EFFECTS], ids=str)
def test_false_claims_and_coverage_of_many_studies(design, request):
    if design == Design(2, 3, 4):
        reason = "other / random covers 0.986: pools share no luck here, which their correction expects"
        request.applymarker(pytest.mark.xfail(reason=reason))
    hold(design, request.config.getoption("--studies"))


@pytest.mark.slow
def test_planted_effects_are_found():
    ten = claims(Design(2, 5, own=np.log(0.9)), 100)[1]
    five = claims(Design(2, 5, own=np.log(0.95)), 100)[1]
    assert ten[0] > 0.6
    assert 0.1 < five[0] < ten[0]
    assert ten[1] + five[1] <= 0.02
