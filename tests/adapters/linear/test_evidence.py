"""The evidence finds the strength of the prior that made the data."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.adapters.linear.evidence import ard_ridges, evidence_ridge


@pytest.mark.parametrize("ratio", [1e-1, 1e-3])
def test_evidence_finds_the_ratio_of_noise_and_prior(ratio):
    """With unit columns and coefficients of variance 1, the best ridge is the noise's variance."""
    rng = np.random.default_rng(8)
    design = rng.normal(size=(900, 300))
    design /= np.linalg.norm(design, axis=0)
    target = design @ rng.normal(size=300) + np.sqrt(ratio) * rng.normal(size=900)
    # 300 coefficients tell their variance to 8 %; three standard deviations.
    assert evidence_ridge(design, target, 0, np.ones(300)) == pytest.approx(ratio, rel=0.25)


def test_scale_and_offsets_do_not_matter():
    rng = np.random.default_rng(9)
    design, prior = rng.normal(size=(200, 30)), rng.uniform(1, 5, 30)
    target = design @ rng.normal(size=30) + rng.normal(size=200)
    design = np.column_stack([design, np.ones(200)])
    expected = evidence_ridge(design, target, 1, prior)
    scaled = design * np.append(10.0 ** rng.uniform(-3, 3, 30), 1.0)
    assert evidence_ridge(scaled, 7 * target + 5, 1, prior) == pytest.approx(expected, rel=1e-3)


def test_ard_switches_off_what_does_not_matter():
    """Ten of sixty columns made the data: they alone stay, with the strengths that made them."""
    rng = np.random.default_rng(4)
    design = rng.normal(size=(600, 60)) * 10.0 ** rng.uniform(-2, 2, 60)
    norms = np.linalg.norm(design, axis=0)
    truth = np.where(np.arange(60) < 10, rng.choice([-1, 1], 60) * rng.uniform(3, 6, 60), 0.0)
    noise = 0.05
    target = design @ (truth / norms) + noise * rng.normal(size=600) + 7.0
    found = ard_ridges(np.column_stack([design, np.ones(600)]), target, 1, np.full(60, 1e-3))
    # A coefficient is told by the data to noise; its strength is noise² over its square.
    np.testing.assert_allclose(found[:10], noise**2 / truth[:10] ** 2, rtol=0.3)
    # By chance some of fifty stay a little, but none within a factor of twenty of those that matter.
    assert np.median(found[10:]) > 10
    assert found[10:].min() > 20 * found[:10].max()


def test_ard_agrees_with_scikit_learn():
    """The same fixed point as ARDRegression, whose hyperpriors vanish beside these data."""
    from sklearn.linear_model import ARDRegression

    rng = np.random.default_rng(6)
    design = rng.normal(size=(400, 12))
    design /= np.linalg.norm(design, axis=0)
    target = design @ rng.uniform(1, 5, 12) + 0.1 * rng.normal(size=400)
    found = ard_ridges(design, target, 0, np.full(12, 1e-2))
    reference = ARDRegression(fit_intercept=False, max_iter=2000, tol=1e-10).fit(design, target)
    np.testing.assert_allclose(found, reference.lambda_ / reference.alpha_, rtol=2e-3)
