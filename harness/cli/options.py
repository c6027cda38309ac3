"""The options of a family in words: name, type, default and docstring, for the terminal and the guide."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from crossprune.harness.contract import Adapter

FAR = 1000.0
"""Spacing, Å, at which rules are asked for: what they round to two digits is then exact enough."""
NONE = "none"
"""How a default is shown that a study cannot write: the key is left out."""


@dataclass(frozen=True)
class Option:
    """One option as a study writes it."""

    name: str
    kind: str
    default: str
    text: str


def show_options(console: Console, name: str) -> None:
    """Print what a family is, what it needs, and its options.

    Raises
    ------
    StudyError
        If the name is unknown (with a suggestion).
    MissingPackage
        If its code cannot be imported without a package that is not installed.
    """
    from crossprune.harness.errors import pip_command
    from crossprune.harness.lookup import adapter_class, family_of, missing_packages

    family = family_of(name)
    options = options_of(adapter_class(name))
    console.print(f"{name}: {family.about}", markup=False, highlight=False, soft_wrap=True)
    if missing_packages(name):
        needs = pip_command(family.requires)
        console.print(f"needs: {needs}", markup=False, highlight=False, soft_wrap=True)
    if not options:
        console.print("no options")
        return
    view = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    view.add_column("option", no_wrap=True)  # to be typed as it stands
    for title in ("type", "default", "what it is"):
        view.add_column(title)
    for one in options:
        view.add_row(*map(escape, (one.name, one.kind, one.default, one.text.replace("``", ""))))
    console.print(view)
    console.print(f"in a study: [options.{name}], a line NAME = VALUE each", markup=False, highlight=False)
    if adapter_class(name).geometry(FAR):
        console.print("d: spacing of the data's atoms, Å, see docs/tuning.md", markup=False, highlight=False)


def options_of(cls: type[Adapter[Any]]) -> list[Option]:
    """Return an adapter's options; where a study lets a default follow the data, it says how."""
    rules = {name: f"; in a study {value / FAR:.3g} d" for name, value in cls.geometry(FAR).items()}
    return [
        dataclasses.replace(one, default=one.default + rules.get(one.name, ""))
        for one in described_options(cls.options_type)
    ]


def described_options(cls: type) -> list[Option]:
    """Return the options of a dataclass, inherited ones first; a table's keys follow as ``table.key``."""
    return list(_options(cls, ""))


def _options(cls: type, prefix: str) -> Iterator[Option]:
    texts = {name: text for one in reversed(cls.__mro__) for name, text in _texts(one).items()}
    hints = get_type_hints(cls)
    for field in dataclasses.fields(cls):
        name = f"{prefix}{field.name}"
        text, hint = texts.get(field.name, ""), hints[field.name]
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            yield Option(name, "table", "its keys' defaults", text)
            yield from _options(hint, f"{name}.")
        else:
            yield Option(name, _kind(hint), _default(field), text)


def _texts(cls: type) -> dict[str, str]:
    """Read the docstrings below the fields of one class, without those of its parents."""
    if not dataclasses.is_dataclass(cls):
        return {}
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except OSError:  # a package from outside without its source
        return {}
    found = {}
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    for field, after in itertools.pairwise(body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            found[field.target.id] = " ".join(str(after.value.value).split())
    return found


def _default(field: dataclasses.Field[Any]) -> str:
    """Write a default as TOML does."""
    if field.default_factory is not dataclasses.MISSING:
        return _toml(field.default_factory())
    return "required" if field.default is dataclasses.MISSING else _toml(field.default)


def _toml(value: Any) -> str:
    from crossprune.harness.engine.study import as_toml  # here, so that --help is quick

    return NONE if value is None else as_toml(value)


def _kind(hint: Any) -> str:
    """Say what a study may write."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(map(_toml, args))
    if origin in (Union, types.UnionType):
        return " or ".join(_kind(one) for one in args if one is not type(None))
    if origin is tuple:
        shown = dict.fromkeys(_kind(one) for one in args if one is not Ellipsis)
        length = "" if args[-1] is Ellipsis else f"{len(args)} "
        return f"list of {length}{' or '.join(shown)}"
    if origin is not None and issubclass(origin, Mapping):
        return f"table of {_kind(args[1])}"
    return str(getattr(hint, "__name__", hint))
