"""Excess energies: a known factor is found whatever elements cost, within groups and between them."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.harness.evaluation.softening.excess import Energies, excess, projected, sums_of
from crossprune.harness.evaluation.softening.summary import HARD, NEITHER, SOFT

ABOVE = {"bulk": 0.0, "surface": 0.3, "vacancy": 0.05}
"""eV/atom: where groups lie."""
FACTOR = 0.8


def alloy(rng, n=60, *, factor=FACTOR, noise=0.002, shifts=((-5.0, -9.0, -3.0), (4.0, 0.5, -70.0))):
    """Draw configurations of three elements; both have energies of elements of their own."""
    groups = np.array(list(ABOVE))[np.arange(n) % 3]
    counts = rng.integers(1, 20, (n, 3)).astype(float)
    sizes = counts.sum(axis=1)
    true = np.array([ABOVE[one] for one in groups]) + rng.normal(0.0, 0.03, n)
    seen = factor * true + rng.normal(0.0, noise, n)
    both = (one * sizes + counts @ np.array(shift) for one, shift in zip((true, seen), shifts, strict=True))
    return Energies(*both, counts), groups.tolist()


def pure(E, e, n_atoms=8.0):
    """Return energies of an element from those per atom."""
    return Energies(E * n_atoms, e * n_atoms, np.full((len(E), 1), n_atoms))


def test_a_factor_is_found_whatever_elements_cost():
    for factor, verdict in ((FACTOR, SOFT), (1.2, HARD)):
        energies, groups = alloy(np.random.default_rng(0), factor=factor)
        whole, *each = excess(energies, groups)
        assert whole.slope == pytest.approx(factor, abs=0.01)
        assert whole.scale == pytest.approx(1 / factor, abs=0.01)
        assert whole.theil_sen == pytest.approx(factor, abs=0.02)
        assert whole.slope_low < factor < whole.slope_high
        assert whole.scale_low < 1 / factor < whole.scale_high
        assert whole.verdict == verdict
        assert [one.group for one in each] == sorted(ABOVE)
        assert all(one.slope == pytest.approx(factor, abs=0.1) for one in each)


def test_elements_energies_and_zeros_change_nothing():
    plain, groups = alloy(np.random.default_rng(0), shifts=((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)))
    shifted, _ = alloy(np.random.default_rng(0), shifts=((-300.0, 20.0, 7.0), (1.0, -99.0, 50.0)))
    for one, other in zip(excess(plain, groups), excess(shifted, groups), strict=True):
        for name in ("slope", "scale_low", "scale_high", "theil_sen", "between_slope", "above_ratio_low"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-6, nan_ok=True)
        assert (one.verdict, one.said) == (other.verdict, other.said)


def test_the_slope_is_that_of_least_squares_with_the_elements_beside():
    energies, _ = alloy(np.random.default_rng(1), noise=0.05)
    sizes = energies.counts.sum(axis=1)
    shares, E, e = energies.counts / sizes[:, None], energies.reference / sizes, energies.predicted / sizes
    EE, Ee, ee = projected(sums_of(E, e, shares).sum(axis=0))
    joint = np.linalg.lstsq(np.column_stack([E, shares]), e, rcond=None)[0][0]
    assert Ee / EE == pytest.approx(joint, rel=1e-6)
    joint = np.linalg.lstsq(np.column_stack([e, shares]), E, rcond=None)[0][0]
    assert Ee / ee == pytest.approx(joint, rel=1e-6)


def test_of_an_alloy_without_defects_mixing_is_left():
    rng = np.random.default_rng(0)
    n_first = rng.integers(0, 33, 40)
    counts = np.stack([n_first, 32 - n_first], axis=1).astype(float)
    x = n_first / 32
    mixing = -0.4 * x * (1 - x)
    reference = 32 * mixing + counts @ np.array([-11.0, -8.0])
    predicted = 32 * 0.7 * mixing + counts @ np.array([0.0, 3.0])
    (whole, _) = excess(Energies(reference, predicted, counts), ["mixed"] * 40)
    assert whole.slope == pytest.approx(0.7)
    assert whole.scale == pytest.approx(1 / 0.7)
    assert whole.verdict == SOFT


def test_means_of_groups_are_compared_with_the_lowest():
    rng, n = np.random.default_rng(0), 45
    groups = np.array(["bulk", "surface", "vacancy"])[np.arange(n) % 3]
    E = np.array([ABOVE[one] for one in groups]) + rng.normal(0.0, 0.002, n)
    e = E - np.where(groups == "surface", 0.3 * 0.4, 0.0) + 2.0
    whole, bulk, surface, vacancy = excess(pure(E, e), groups.tolist())
    assert (whole.lowest, whole.n_groups) == ("bulk", 2)
    assert surface.above_mev_per_atom == pytest.approx(300.0, abs=3.0)
    assert surface.above_ratio == pytest.approx(0.6, abs=0.01)
    assert surface.above_ratio_low < 0.6 < surface.above_ratio_high < 0.65
    assert vacancy.above_ratio == pytest.approx(1.0)
    assert bulk.above_mev_per_atom == 0.0
    assert np.isnan(bulk.above_ratio)
    d, delta = np.array([0.3, 0.05]), np.array([0.18, 0.05])
    assert whole.between_slope == pytest.approx((d * delta).sum() / (d * d).sum(), abs=0.01)
    assert whole.between_scale == pytest.approx((d * delta).sum() / (delta * delta).sum(), abs=0.01)


def test_groups_of_few_take_no_part_between_groups():
    E = np.concatenate([np.zeros(8), np.full(5, 0.2)]) + np.random.default_rng(0).normal(0.0, 0.01, 13)
    whole, _, few = excess(pure(E, 0.9 * E), ["bulk"] * 8 + ["few"] * 5)
    assert (whole.lowest, whole.n_groups) == ("", 0)
    assert few.said == "too few: 5 configurations, 6 are needed"
    assert np.isnan([few.slope, few.above_mev_per_atom, few.scatter_mev_per_atom]).all()


def test_no_slope_of_energies_that_do_not_scatter():
    E = np.random.default_rng(0).normal(-5.0, 2e-4, 20)
    (whole, _) = excess(pure(E, 0.5 * E), ["flat"] * 20)
    assert np.isnan(whole.slope)
    assert whole.said == "reference excess energies scatter by 0.17 meV/atom; a slope needs 1"
    assert whole.verdict == NEITHER
    (whole, _) = excess(pure(100 * E, np.full(20, -5.0)), ["g"] * 20)
    assert whole.slope == 0.0
    assert np.isnan(whole.scale)
    assert whole.said == "predicted energies do not scatter: composition gives them"


def test_compositions_cost_configurations():
    energies, groups = alloy(np.random.default_rng(0), n=21)
    assert excess(energies, groups)[1].said.endswith(
        "7 configurations, 8 are needed for 3 independent compositions"
    )


@pytest.mark.slow
@pytest.mark.parametrize("n", [8, 40])
@pytest.mark.parametrize("kind", ["fit", "noise", "in proportion"])
def test_noise_is_called_neither(n, kind):
    rng, repeats, verdicts = np.random.default_rng(3), 200, []
    for _ in range(repeats):
        true, noise = 0.05 * np.exp(rng.normal(0.0, 1.0, n)), rng.normal(size=n)
        error = 0.15 * true * noise if kind == "in proportion" else 0.03 * noise
        E, e = (true + error, true) if kind == "fit" else (true, true + error)
        verdicts.append(excess(pure(E, e), ["g"] * n, n_resamples=300)[0].verdict)
    assert verdicts.count(SOFT) <= 0.06 * repeats
    assert verdicts.count(HARD) <= 0.06 * repeats
