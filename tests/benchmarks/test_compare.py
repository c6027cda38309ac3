"""The verdict of the comparison of speeds, on made-up times."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

regressions = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "compare.py"))["regressions"]
BASE = [{"kernel": 1e-2}, {"kernel": 1.1e-2}, {"kernel": 0.9e-2}]


@pytest.mark.parametrize(
    ("factors", "slower"),
    [
        ((1, 1, 1), False),
        ((2, 2, 2), True),
        ((2, 2, 1.1), False),
        ((1.2, 1.2, 1.2), False),
        ((0.5, 0.5, 0.5), False),
    ],
)
def test_only_what_is_slower_every_time_counts(factors, slower):
    head = [{"kernel": times["kernel"] * factor} for times, factor in zip(BASE, factors, strict=True)]
    assert bool(regressions(BASE, head)) is slower


def test_small_times_are_noise():
    assert not regressions([{"kernel": 1e-5}], [{"kernel": 3e-5}])


def test_benchmarks_of_one_side_only_are_left_out():
    assert not regressions([{"old": 1.0}], [{"new": 9.0}])
