"""Kernels run where no machine code can be kept: read-only installations, no home, hostile folders."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from crossprune.adapters.programs import compiling

ROOT = Path(__file__).parents[3]
ROOMS = {"api": ".", "adapters": "adapters", "datasets": "datasets", "harness": "harness"}
FEATURES = """
import sys
from ase.build import bulk
import crossprune.adapters
from crossprune.harness.lookup import adapter_class
assert crossprune.adapters.__file__.startswith(sys.argv[1]), crossprune.adapters.__file__
for name in ("ace", "chimes", "mtp", "nnp"):
    cls = adapter_class(name)
    values = cls(["Cu"], cls.options_type(**cls.smoke)).features(bulk("Cu"))
    print(name, float(values.sum()))
"""
OBEYING = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"]
"""Takes from root what lets it write where permission bits forbid it."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory, require_adapter):
    """A copy of the package, and a home, that cannot be written."""
    for name in ("ace", "chimes", "mtp", "nnp"):
        require_adapter(name)
    if os.geteuid() == 0 and shutil.which(OBEYING[0]) is None:
        pytest.skip("root writes anywhere, and there is no setpriv to stop it")
    site = tmp_path_factory.mktemp("site")
    for room, place in ROOMS.items():
        shutil.copytree(
            ROOT / room,
            site / "crossprune" / place,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    (site / "home").mkdir()
    folders = [site, *(path for path in site.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    yield site
    for folder in folders:
        folder.chmod(0o755)


def features(site, temporary):
    environment = {
        **os.environ,
        "PYTHONPATH": str(site),
        "HOME": str(site / "home"),
        "TMPDIR": str(temporary),
    }
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "PYTHONSAFEPATH"):
        environment.pop(name, None)
    words = [sys.executable, "-c", FEATURES, str(site)]
    if os.geteuid() == 0:
        words = [*OBEYING, *words]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=500)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_read_only_installation_keeps_machine_code_in_a_private_folder(installed, tmp_path):
    cold = features(installed, tmp_path)
    [folder] = tmp_path.iterdir()
    assert folder.name == f"crossprune-numba-{os.geteuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("*.nb?")}
    assert len(kept) > 10
    assert features(installed, tmp_path) == cold
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.nb?")} == kept


@pytest.mark.slow
def test_a_folder_that_others_can_write_is_not_used(installed, tmp_path):
    planted = tmp_path / f"crossprune-numba-{os.geteuid()}"
    planted.mkdir(mode=0o700)
    planted.chmod(0o777)
    assert "ace" in features(installed, tmp_path)
    assert list(planted.iterdir()) == []


def test_only_a_private_folder_is_taken(monkeypatch, tmp_path):
    monkeypatch.setattr(compiling.tempfile, "gettempdir", lambda: str(tmp_path))
    name = tmp_path / f"crossprune-numba-{os.geteuid()}"
    assert compiling.temporary_cache() == name
    assert compiling.temporary_cache() == name
    name.chmod(0o750)
    assert compiling.temporary_cache() is None
    name.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    name.symlink_to(tmp_path / "elsewhere")
    assert compiling.temporary_cache() is None
    name.unlink()
    name.write_text("")
    assert compiling.temporary_cache() is None
    name.unlink()
    tmp_path.chmod(0o777)
    assert compiling.temporary_cache() is None
    tmp_path.chmod(0o1777)
    assert compiling.temporary_cache() == name
    monkeypatch.setattr(compiling.tempfile, "gettempdir", lambda: str(tmp_path / "nowhere"))
    assert compiling.temporary_cache() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_a_folder_of_somebody_else_is_not_taken(monkeypatch, tmp_path):
    monkeypatch.setattr(compiling.tempfile, "gettempdir", lambda: str(tmp_path))
    name = tmp_path / f"crossprune-numba-{os.geteuid()}"
    name.mkdir(mode=0o700)
    os.chown(name, 65534, 65534)
    assert compiling.temporary_cache() is None


CALLED = """
from crossprune.adapters.programs.compiling import compiler
compiled = compiler("ace")
@compiled
def inner(x):
    return x + {term}
"""
CALLING = """
from kernels.called import compiled, inner
@compiled
def outer(x):
    return 2.0 * inner(x)
"""


@pytest.mark.slow
def test_a_kernel_is_compiled_again_when_one_that_it_calls_was_changed(require_adapter, tmp_path):
    require_adapter("ace")
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "calling.py").write_text(CALLING)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "kept")}
    for term in (1.0, 2.0, 1.0):
        (tmp_path / "kernels" / "called.py").write_text(CALLED.format(term=term))
        program = "from kernels.calling import outer; print(outer(1.0))"
        found = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=300
        )
        assert found.stdout.strip() == str(2.0 * (1.0 + term)), found.stderr
    assert list((tmp_path / "kept").rglob("*.nbc"))
