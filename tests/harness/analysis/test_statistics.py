from __future__ import annotations

import itertools

import numpy as np
import pytest
from crossprune.harness.analysis import statistics
from crossprune.harness.analysis.comparisons import TestErrors as Errors
from crossprune.harness.analysis.statistics import effect, friedman, holm, seed_means, seeds_needed, sign_flip
from scipy import sparse, stats


def rng():
    return np.random.default_rng(0)


def test_seed_means_average_settings_within_a_seed():
    values = np.arange(12.0).reshape(4, 3)
    np.testing.assert_allclose(seed_means(values), values.mean(axis=0))


def test_a_lost_pair_does_not_shift_its_seed():
    values = np.add.outer([0.0, 5.0], [-1.0, 0.0, 1.0])
    values[1, 2] = np.nan  # the setting with the large ratio is missing for the last seed
    assert np.ptp(seed_means(values)) < 2.1


def test_one_data_set_gives_students_interval():
    unit = np.array([0.1, 0.2, 0.35, 0.15])
    found = effect([unit], rng())
    expected = stats.t.interval(0.95, 3, loc=unit.mean(), scale=stats.sem(unit))
    np.testing.assert_allclose(np.log([found.low, found.high]), expected, atol=1e-3)
    assert found.ratio == pytest.approx(np.exp(0.2))
    assert np.isnan(found.low_anywhere)


def test_seeds_that_repeat_each_other_decide_nothing():
    assert np.isnan(effect([np.array([0.3, 0.3, 0.3])], rng()).low)
    assert np.isnan(effect([np.array([0.3])], rng()).low)


def test_test_configurations_widen_the_interval():
    unit = [np.array([0.1, 0.12, 0.11])]
    noise = [rng().normal(0.0, 0.2, statistics.N_RESAMPLES)]
    alone, both = effect(unit, rng()), effect(unit, rng(), noise)
    assert both.low < alone.low < alone.high < both.high
    assert np.log(both.high / both.low) == pytest.approx(2 * 1.96 * 0.2, rel=0.1)


def test_other_data_sets_need_three():
    units = [np.array([0.1, 0.11]) + shift for shift in (0.0, 0.1, -0.1)]
    found = effect(units, rng())
    assert found.low_anywhere < found.low
    means = [unit.mean() for unit in units]
    expected = stats.t.interval(0.95, 2, loc=np.mean(means), scale=stats.sem(means))
    np.testing.assert_allclose(np.log([found.low_anywhere, found.high_anywhere]), expected)


def test_sign_flip_equals_enumeration():
    values = rng().normal(0.3, 1.0, 7)
    reached = [
        abs(np.dot(s, values)) >= abs(values.sum()) - 1e-12 for s in itertools.product((1, -1), repeat=7)
    ]
    assert sign_flip(values, rng()) == pytest.approx((np.mean(reached), 2 / 2**7))


def test_many_units_are_flipped_at_random():
    values = rng().normal(0.0, 1.0, 30)
    p, smallest = sign_flip(values, rng())
    assert p == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.03)
    assert smallest < 1e-3


def test_holm_by_hand():
    corrected = holm(np.array([0.01, 0.04, np.nan, 0.03]))
    np.testing.assert_allclose(corrected, [0.03, 0.06, np.nan, 0.06])


def test_friedman_ranks_by_hand():
    errors = np.array([[1.0, 2.0, 3.0], [1.0, 3.0, 2.0], [0.5, 0.7, 0.9], [4.0, 5.0, 6.0]])
    found = friedman(errors)
    np.testing.assert_allclose(found.ranks, [1.0, 2.25, 2.75])
    assert found.p == pytest.approx(stats.friedmanchisquare(*errors.T).pvalue)
    assert found.critical_difference == pytest.approx(
        2.343 * np.sqrt(3 * 4 / (6 * 4)), rel=1e-3
    )  # Demšar, table 5


def power_of(n, deviation):
    units = rng().normal(np.log(0.9), deviation, size=(4000, n))
    return (stats.ttest_1samp(units, 0, axis=1).pvalue < 0.05).mean()


def test_seeds_needed_are_the_fewest_with_the_power_they_promise():
    n = seeds_needed(0.15, np.log(0.9))
    assert power_of(n, 0.15) > 0.78 > power_of(n - 2, 0.15)
    assert seeds_needed(0.15, np.log(0.95)) > 3 * n
    assert seeds_needed(0.15, np.log(0.9), n_data_sets=4) < n / 2
    assert seeds_needed(0.0, np.log(0.9)) == 2


@pytest.mark.parametrize("n_seeds", [2, 3, 5])
@pytest.mark.parametrize("n_data_sets", [1, 2, 4])
def test_intervals_cover_what_they_claim(n_seeds, n_data_sets):
    source = np.random.default_rng(n_seeds * 10 + n_data_sets)
    scales = [0.05, 0.2, 0.1, 0.02][:n_data_sets]
    missed = 0
    for _ in range(400):
        found = effect([source.normal(0.0, scale, n_seeds) for scale in scales], source)
        missed += not found.low <= 1 <= found.high
    assert missed / 400 < 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / 400)


N_TEST, MODELS = 60, 2
FRACTIONS = np.array([0.05, 0.1, 0.2, 0.4])


def simulate(source, gain, n_data_sets, n_seeds):
    """Simulate the seed means and test deviations of own / random and own / other.

    The noise is that of cells of si-pbe (docs/statistics.md): random draws scatter by 12 %,
    farthest-point sets by 6 %, less at larger fractions and alike for all models and fractions; a
    cell by another 5 %. On each test configuration a chooser errs by 30 % more or less, whatever
    the seed. No data set has an effect of its own but ``gain``.
    """
    units = {"own / random": [], "own / other": []}
    deviations = {"own / random": [], "own / other": []}
    damping = (FRACTIONS / FRACTIONS[0]) ** -0.3
    for _ in range(n_data_sets):
        hardness = source.normal(0.0, 0.6, N_TEST)
        errors = np.exp(hardness + source.normal(0.0, 0.3, (1 + MODELS, MODELS, N_TEST)))
        local = np.log(errors.mean(axis=-1))
        sums = {str(index): one for index, one in enumerate(errors.reshape(-1, N_TEST))}
        moved = Errors(sums, np.ones(N_TEST)).resampled(sparse.eye_array(len(sums), format="csr"), source)
        moved = moved.reshape(*local.shape, statistics.N_RESAMPLES)
        luck = source.normal(0.0, 1.0, (1 + MODELS, n_seeds)) * np.array([[0.12], [0.06], [0.06]])
        cells = luck[:, None, None, :] * damping[None, None, :, None] + local[..., None, None]
        cells = cells + source.normal(0.0, 0.05, (1 + MODELS, MODELS, len(FRACTIONS), n_seeds))
        own = [cells[1 + model, model] - gain for model in range(MODELS)]
        for name, base in (("own / random", lambda model: 0), ("own / other", lambda model: 2 - model)):
            ratios = [own[model] - cells[base(model), model] for model in range(MODELS)]
            units[name].append(seed_means(np.concatenate(ratios)))
            spread = [moved[1 + model, model] - moved[base(model), model] for model in range(MODELS)]
            deviations[name].append(np.mean(spread, axis=0))
    return units, deviations


def claims(gain, n_studies, n_data_sets, n_seeds):
    """Return the shares of simulated studies that claim lower and higher errors, per comparison."""
    shares = {}
    for study in range(n_studies):
        source = np.random.default_rng([study, n_data_sets, n_seeds])
        units, deviations = simulate(source, gain, n_data_sets, n_seeds)
        for name in units:
            found = effect(units[name], source, deviations[name])
            share = shares.setdefault(name, np.zeros(2))
            share += np.array([found.high < 1, found.low > 1]) / n_studies
    return shares


@pytest.mark.slow
@pytest.mark.parametrize(("n_data_sets", "n_seeds"), [(1, 3), (1, 5), (2, 3), (2, 5)])
def test_no_effect_is_claimed_no_more_often_than_nominal(n_data_sets, n_seeds, monkeypatch):
    monkeypatch.setattr(statistics, "N_RESAMPLES", 1000)
    for shares in claims(0.0, 1000, n_data_sets, n_seeds).values():
        assert shares.sum() < 0.05 + 2 * np.sqrt(0.05 * 0.95 / 1000)  # chance of a false alarm: 2 %


@pytest.mark.slow
def test_planted_effects_are_found(monkeypatch):
    monkeypatch.setattr(statistics, "N_RESAMPLES", 1000)
    ten = claims(-np.log(0.9), 200, 2, 5)["own / other"]
    five = claims(-np.log(0.95), 200, 2, 5)["own / other"]
    assert ten[0] > 0.7
    assert 0.15 < five[0] < ten[0]
    assert ten[1] == five[1] == 0
