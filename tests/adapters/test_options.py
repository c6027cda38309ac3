"""Options out of their range are refused with one clear message, from a study and from Python."""

from __future__ import annotations

import dataclasses
import math
from typing import get_type_hints

import pytest
from crossprune.adapters import FAMILIES
from crossprune.harness.errors import StudyError
from crossprune.harness.lookup import adapter_class, resolve

NAMES = [family.name for family in FAMILIES]
WRONG = [
    ("gap", {"timeout_s": -1}, "timeout_s must be positive, got -1"),
    ("gap", {"memory_gb": 0}, "memory_gb must be positive, got 0"),
    ("gap", {"memory_gb": math.inf}, "memory_gb: expected a finite number, got inf"),
    ("ace", {"pacemaker": {"timeout_s": -5.0}}, "pacemaker: timeout_s must be positive"),
    ("ace", {"pacemaker": {"memory_gb": math.nan}}, "memory_gb: expected a finite number, got nan"),
    ("chimes", {"svd_smallest": -1.0}, r"svd_smallest must be in \[0, 1\), got -1"),
    ("chimes", {"path_end": 1.0}, r"path_end must be in \[0, 1\), got 1"),
    ("nnp", {"angular_sharpness": [1.0, -1.0]}, "angular_sharpness must not be negative"),
    ("pod", {"inner_cutoff": -0.1}, "inner cutoff must be at least 0"),
    ("pod", {"fourbody_radial_functions": 9}, "must not exceed the three-body one, got 9 > 8"),
    ("snap", {"rfac0": 0.0}, r"rfac0 must be in \(0, 1\], got 0"),
    ("snap", {"rmin0": -0.1}, "rmin0 must not be negative, got -0.1"),
    ("snap", {"radii": {"Cu": -0.5}}, "radii must be positive"),
    ("uf3", {"curvature_2b": 0.0}, "curvature_2b must be positive, got 0"),
    ("uf3", {"resolution_3b": 2}, "resolution_3b must be 0 or between 4 and 50, got 2"),
]


@pytest.mark.parametrize(("name", "table", "says"), WRONG)
def test_values_out_of_range_are_refused(name, table, says, require_adapter):
    require_adapter(name)
    with pytest.raises(StudyError, match=rf"\[options\.{name}\]: .*{says}"):
        resolve(name, {name: table})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_is_nan_or_infinite(name, value, require_adapter):
    require_adapter(name)
    cls = adapter_class(name)
    for option, hint in get_type_hints(cls.options_type).items():
        if hint is float:
            with pytest.raises(StudyError, match=f"{option}: expected a finite number"):
                resolve(name, {name: {option: value}})
            try:
                options = dataclasses.replace(cls.options_type(), **{option: value})
            except ValueError:
                continue
            with pytest.raises(StudyError, match=f"adapter '{name}': {option}: expected a finite number"):
                cls(["Cu"], options)


@pytest.mark.parametrize("value", [(math.nan,), (1.0, math.inf)])
def test_numbers_within_lists_and_tables_are_finite(value, require_adapter):
    require_adapter("ace")
    require_adapter("snap")
    ace, snap = adapter_class("ace"), adapter_class("snap")
    with pytest.raises(StudyError, match="max_degrees: expected a finite number"):
        ace(["Cu"], ace.options_type(max_degrees=value))
    with pytest.raises(StudyError, match="element_weights: Cu: expected a finite number"):
        snap(["Cu"], snap.options_type(element_weights={"Cu": value[-1]}))
    pacemaker = dataclasses.replace(ace.options_type().pacemaker, timeout_s=value[-1])
    with pytest.raises(StudyError, match="pacemaker: timeout_s: expected a finite number"):
        ace(["Cu"], ace.options_type(pacemaker=pacemaker))
