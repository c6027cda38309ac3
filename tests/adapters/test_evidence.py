"""The evidence finds the strength of the prior that made the data."""

from __future__ import annotations

import numpy as np
import pytest
from crossprune.adapters._evidence import evidence_ridge


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
