"""Hashes of plain values, and seeds made of them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
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
