"""Hashes that say when a stored result may be reused: of values, of source code, of package versions."""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import importlib.util
import json
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np


def canonical_hash(*values: Any) -> str:
    """Hash plain values; dataclasses and mappings by field name, floats to the last bit.

    Examples
    --------
    >>> canonical_hash({"a": 1, "b": 2.0}) == canonical_hash({"b": 2.0, "a": 1})
    True
    >>> canonical_hash(1) == canonical_hash(1.0)
    False
    """
    text = json.dumps(values, default=_plain, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, np.ndarray):
        return [str(value.dtype), list(value.shape), hashlib.blake2b(value.tobytes()).hexdigest()]
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"cannot hash a {type(value).__name__}")


def seed_from(*values: Any) -> int:
    """Derive a seed for `numpy.random.default_rng` from values."""
    return int(canonical_hash(*values), 16)


@functools.cache
def source_hash(module: str) -> str:
    """Hash a module's code and that of every module of its own package that it imports.

    Comments and docstrings do not count, so that editing a text never makes a result stale.
    """
    top = module.partition(".")[0]
    seen: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        if (code := _code(name)) is not None:
            seen[name], imported = code
            waiting += [found for found in imported if found.partition(".")[0] == top]
    return canonical_hash(seen)


@functools.cache
def _code(module: str) -> tuple[str, list[str]] | None:
    """Return a module's code and the names that it imports; None for what is no module."""
    package = module.rpartition(".")[0]
    try:
        parent = importlib.util.find_spec(package) if package else None
        if parent is not None and parent.submodule_search_locations is None:
            return None  # a name in a module: to look for it there would import the module
        spec = importlib.util.find_spec(module)
    except (ModuleNotFoundError, AttributeError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    tree = _without_docstrings(ast.parse(Path(spec.origin).read_text()))
    return ast.dump(tree), list(_imports(tree, module))


def _imports(tree: ast.Module, module: str) -> Iterable[str]:
    package = module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = package if node.level else ""
            base = ".".join(part for part in (parent, node.module or "") if part)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [  # type: ignore[attr-defined]
                item
                for item in body
                if not (
                    isinstance(item, ast.Expr)
                    and isinstance(item.value, ast.Constant)
                    and isinstance(item.value.value, str)
                )
            ]
    return tree


def package_versions(distributions: Iterable[str]) -> dict[str, str]:
    """Return the installed version of each distribution, ``"absent"`` for one that is missing."""
    return {name: _version(name) for name in sorted(distributions)}


@functools.cache
def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "absent"
