"""Pinned numbers: a small fit of every adapter predicts what it predicted when it was checked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from crossprune.adapters import FAMILIES
from crossprune.harness.checks.subject import Subject
from crossprune.harness.lookup import adapter_class

FOLDER = Path(__file__).parent / "regression"


@pytest.mark.parametrize("name", [family.name for family in FAMILIES if family.name != "broken"])
def test_predictions_are_as_pinned(name, require_adapter):
    require_adapter(name)
    cls = adapter_class(name)
    subject = Subject(cls)
    found = {}
    if cls.capabilities.describes:
        found["features"] = subject.descriptor.features(subject.probe).mean(axis=0)[:5].tolist()
    if cls.capabilities.fits:
        prediction = subject.potential.predict(subject.probe)
        found["energy"] = prediction.energy
        found["forces"] = prediction.forces[:2].tolist()
        found["stress"] = None if prediction.stress is None else prediction.stress.tolist()
    path = FOLDER / f"{name}.json"
    example = json.dumps({"tolerance": 1e-7, "reason": "say why", **found}, indent=1)
    assert path.exists(), f"pin the numbers after checking them by other means: {path.name}\n{example}"
    pinned = json.loads(path.read_text())
    for key, value in found.items():
        # Relative to the largest number, because small components carry the same absolute noise.
        scale = max(1.0, np.abs(pinned[key]).max())
        np.testing.assert_allclose(value, pinned[key], rtol=0, atol=pinned["tolerance"] * scale, err_msg=key)
