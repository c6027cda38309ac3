from __future__ import annotations

import sys

import numpy as np
from crossprune.harness import fingerprint
from crossprune.harness.fingerprint import canonical_hash, source_hash


def test_hash_ignores_key_order_and_tells_values_apart():
    assert canonical_hash({"a": 1, "b": [1, 2]}) == canonical_hash({"b": [1, 2], "a": 1})
    values = [1, 1.0, "1", [1], {"a": 1}, np.arange(2), np.arange(2.0), np.arange(2)[:, None], None, True]
    assert len({canonical_hash(value) for value in values}) == len(values) - 0


def test_neighbouring_floats_differ():
    assert canonical_hash(0.1) != canonical_hash(np.nextafter(0.1, 1))


def write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    source_hash.cache_clear()
    fingerprint._code.cache_clear()


def test_source_hash_follows_imports_and_ignores_texts(tmp_path, monkeypatch):
    package = tmp_path / "pruned_family"
    package.mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    write(
        package,
        __init__="",
        model="from pruned_family.kernel import f\nX = 1\n",
        kernel="def f():\n    return 1\n",
        other="Y = 1\n",
    )
    before = source_hash("pruned_family.model")
    write(package, model='"""A text."""\nfrom pruned_family.kernel import f  # why\nX = 1\n', other="Y = 2\n")
    assert source_hash("pruned_family.model") == before
    write(package, kernel="def f():\n    return 2\n")
    assert source_hash("pruned_family.model") != before


def test_absent_packages_are_named():
    assert fingerprint.package_versions(["no-such-package"]) == {"no-such-package": "absent"}
