"""``import crossprune`` is quick, imports nothing heavy, and has every name that it announces."""

from __future__ import annotations

import subprocess
import sys
import time

import crossprune
import pytest

HEAVY = ("numpy", "scipy", "pandas", "ase", "sklearn", "torch", "pyarrow", "plotly", "typer", "rich")
LIMIT_S = 0.3
"""What a user does not notice; it takes a third of that on an idle machine."""


def test_nothing_heavy_is_imported():
    code = f"import crossprune, sys; print([one for one in {HEAVY} if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_import_takes_no_time():
    code = "import time; start = time.process_time(); import crossprune; print(time.process_time() - start)"
    times = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        times.append(float(done.stdout))
        time.sleep(0.05)
    assert min(times) < LIMIT_S


def test_every_public_name_is_there_and_documented():
    for name in set(crossprune.__all__) - {"__version__"}:
        found = getattr(crossprune, name)
        assert found.__name__ == name
        assert found.__doc__
        if not isinstance(found, type):
            assert "Examples\n" in found.__doc__, f"{name} has no example"
    assert set(crossprune.__all__) <= set(dir(crossprune))


def test_an_unknown_name_is_an_attribute_error_that_lists_the_known():
    with pytest.raises(AttributeError, match=r"it has: .*describe"):
        _ = crossprune.nothing
