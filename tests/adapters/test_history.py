"""What a family computes does not depend on which others computed before it in the same process."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import hashlib, json, sys
import numpy as np
from crossprune.harness.data.cards import DataOptions, load_dataset
from crossprune.harness.lookup import adapter_class
from crossprune.harness.tables import from_table

data = load_dataset("si-pbe", options=DataOptions(smoke=True))
everything = np.arange(len(data.frames))
found = {}
for name in sys.argv[1:]:
    cls = adapter_class(name)
    adapter = cls(data.elements, from_table(cls.options_type, dict(cls.smoke), name))
    prepared = adapter.prepare(data.frames)
    fitted = adapter.fit(prepared, everything[::2], weights={}, rng=np.random.default_rng(1))
    predicted = adapter.predict(fitted, prepared, everything)
    arrays = [*prepared.arrays.values(), predicted.energies, predicted.forces]
    arrays.append(adapter.features_many(data.frames))
    found[name] = [hashlib.sha256(np.ascontiguousarray(one).tobytes()).hexdigest() for one in arrays]
print(json.dumps(found))
"""


def bits(*names):
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "names",
    [("snap", "gap", "nnp"), ("gap", "snap", "nnp"), ("nnp", "gap", "snap"), ("snap", "chimes", "ace")],
)
def test_families_that_computed_before_change_no_bit(names, require_adapter):
    for name in names:
        require_adapter(name)
    together = bits(*names)
    assert together == {name: bits(name)[name] for name in names}
