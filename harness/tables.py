"""Read TOML tables into frozen dataclasses: strict types, and a suggestion for a misspelt key."""

from __future__ import annotations

import dataclasses
import math
import tomllib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from crossprune.harness.errors import StudyError, unknown_name

T = TypeVar("T")
SHOWN = 40
"""Characters of a wrong number that a message shows."""
TOO_LARGE = "an integer has more than 64 bits"
DEEPEST = 50
"""Tables and lists inside each other; no file of this program has more than five."""


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    StudyError
        If the file does not exist or is not valid TOML.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise StudyError(f"no such file: {path}") from None
    return parse_toml(content, str(path))


def parse_toml(content: bytes, where: str) -> dict[str, Any]:
    """Parse TOML in UTF-8; ``where`` is its name in messages.

    Raises
    ------
    StudyError
        If it is not valid TOML, nested more than `DEEPEST` deep, or holds an integer of more than 64 bits.
    """
    try:
        document = tomllib.loads(content.decode())
        _check_size(document, DEEPEST)
    except RecursionError:
        raise StudyError(f"{where} is not valid TOML: nested more than {DEEPEST} deep") from None
    except ValueError as error:
        is_long = "integer string conversion" in str(error)  # Python's own bound on digits
        raise StudyError(f"{where} is not valid TOML: {TOO_LARGE if is_long else error}") from None
    return document


def _check_size(value: object, depth: int) -> None:
    """Raise `ValueError` for what cannot be shown in a message, or is no number of TOML."""
    if depth < 0:
        raise ValueError(f"nested more than {DEEPEST} deep")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(TOO_LARGE)
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_size(one, depth - 1)


def from_table(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    """Build a frozen dataclass from a TOML table.

    Parameters
    ----------
    cls
        The dataclass; its annotations are checked, lists become tuples.
    table
        Keys and values as TOML gives them.
    where
        What the table is, for messages: ``[options.snap]``.

    Raises
    ------
    StudyError
        For an unknown key (with a suggestion), a missing key or a value of the wrong type.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in table:
        if key not in fields:
            raise StudyError(f"{where}: {unknown_name('key', key, fields)}")
    hints = get_type_hints(cls)
    values = {key: convert(hints[key], value, f"{where}: {key}") for key, value in table.items()}
    missing = [
        name
        for name, field in fields.items()
        if name not in values
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise StudyError(f"{where}: missing {', '.join(missing)}")
    try:
        return cls(**values)
    except ValueError as error:
        raise StudyError(f"{where}: {error}") from None


def _finite(value: float, where: str) -> float:
    """Return a number as float; no option means anything as NaN, infinity or beyond what a float holds."""
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise StudyError(f"{where}: expected a finite number, got {str(value)[:SHOWN]}")
    return number


def convert(hint: Any, value: Any, where: str) -> Any:
    """Check ``value`` against a type hint; integers become floats and lists tuples where asked."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value not in args:
            raise StudyError(f"{where}: {unknown_name('value', value, map(str, args))}")
        return value
    if origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return convert(next(arg for arg in args if arg is not type(None)), value, where)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise StudyError(f"{where}: expected a list, got {value!r}")
        if args[-1] is not Ellipsis and len(args) != len(value):
            raise StudyError(f"{where}: expected {len(args)} values, got {value!r}")
        inner = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        return tuple(convert(hint, item, where) for hint, item in zip(inner, value, strict=True))
    if origin in (dict, Mapping) or getattr(origin, "__name__", "") == "Mapping":
        if not isinstance(value, Mapping):
            raise StudyError(f"{where}: expected a table, got {value!r}")
        return {str(key): convert(args[1], item, f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if isinstance(value, hint):
            return value
        if not isinstance(value, Mapping):
            raise StudyError(f"{where}: expected a table, got {value!r}")
        return from_table(hint, value, where)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return _finite(value, where)
    if hint is Any or hint is object:
        return value
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise StudyError(f"{where}: expected {hint.__name__}, got {value!r}")
    return value
