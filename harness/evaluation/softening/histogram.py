"""How many configurations have which slope: arrays in, numbers out."""

from __future__ import annotations

import numpy as np
from crossprune.harness.contract import FloatArray

EDGES: FloatArray = np.concatenate([[-np.inf], np.arange(10, 31) / 20, [np.inf]])
"""0.5 to 1.5 in steps of 0.05, and what lies beyond; 1 is an edge."""


def counts(values: FloatArray) -> list[int]:
    """Count values between neighbouring `EDGES`; what is on an edge counts above it, NaN nowhere."""
    found, _ = np.histogram(values[~np.isnan(values)], bins=EDGES)
    return [int(one) for one in found]
