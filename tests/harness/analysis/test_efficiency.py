from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from crossprune.harness.analysis.efficiency import crossing, data_efficiency

FRACTIONS = np.array([0.05, 0.1, 0.2, 0.5, 1.0])
FORCE = "force_mae_ev_per_angstrom"


def test_a_power_law_is_crossed_where_it_should_be():
    errors = FRACTIONS**-0.3
    assert crossing(FRACTIONS, errors, 0.37**-0.3) == pytest.approx(0.37)


def test_the_last_crossing_counts():
    assert crossing(FRACTIONS, np.array([0.9, 1.2, 1.0, 0.9, 0.9]), 1.0) == pytest.approx(0.2)


def test_a_curve_that_is_never_above_starts_below():
    assert crossing(FRACTIONS, np.full(5, 0.5), 1.0) == 0.05


def test_the_interval_is_over_seeds():
    rows = [
        {
            "dataset": "x",
            "model": "snap",
            "chooser": "gap",
            "method": "fps",
            "fraction": fraction,
            "seed": seed,
            "split": "test",
            "group": "all",
            "status": "done",
            FORCE: max(1.0, (knee / fraction) ** 0.5),
        }
        for seed, knee in enumerate((0.1, 0.2, 0.4))
        for fraction in (0.05, 0.1, 0.2, 0.4, 1.0)
    ]
    (found,) = data_efficiency(pd.DataFrame(rows), FORCE, tolerance=0.0).to_dict("records")
    assert found["fraction"] == pytest.approx(0.2)
    assert found["low"] < 0.2 < found["high"]
    assert found["n_seeds"] == 3
    assert found["n_censored"] == 0
