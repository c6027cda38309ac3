"""Read a module's code: what it says without texts and names of modules, and what it imports."""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib.util import resolve_name

from crossprune.harness import errors

BINDS: Mapping[type, str] = {
    ast.arg: "arg",
    ast.FunctionDef: "name",
    ast.AsyncFunctionDef: "name",
    ast.ClassDef: "name",
    ast.ExceptHandler: "name",
    ast.MatchAs: "name",
    ast.MatchStar: "name",
    ast.MatchMapping: "rest",
}
"""Where nodes hold a name that they bind."""


@dataclass(frozen=True)
class Import:
    """One name that an import statement binds."""

    run: int
    """Number of the run of import statements that it stands in: between two runs, there is other code."""
    local: str
    """The name that is bound; empty for a star, and for ``import a.b``, whose code says ``a.b`` again."""
    module: str
    """The module that is named, in full."""
    name: str
    """What is taken from it; empty for the module itself."""
    renamed: bool
    """Whether the statement gives the name itself (``as``)."""
    again: int
    """How often the run has bound the name before; a star may bind any, so it counts all before it."""
    at_top: bool
    """Whether the statement stands at the top of the module, in no function, class or block."""


@dataclass(frozen=True)
class Source:
    """A module's code, read."""

    digest: str
    """Hash of the code without imports, texts, and the names that imports bind as they find them."""
    imports: tuple[Import, ...]
    """What is imported at run time, from anywhere."""
    is_package: bool
    defined: frozenset[str] = frozenset()
    """Names that are bound at the top otherwise than by an import."""
    places: Mapping[str, int] = field(default_factory=dict)
    """Imported names in the order in which the code first uses them."""

    def label_of(self, one: Import, name: str) -> str | int:
        """Return what stands for an import in the code: a name, or for a module the place of its first use.

        A module's name may change; ``import a.b`` is known by its name, for the code says it again.
        """
        if not one.local and not one.name:
            return one.module
        return self.places.get(one.local, one.local) if not name else one.local


@functools.lru_cache(maxsize=1024)
def read(content: bytes, module: str, is_package: bool, is_python: bool = True) -> Source:
    """Read the code of ``module``; compiled code is taken as it is."""
    if not is_python:
        return Source(hashlib.blake2b(content, digest_size=16).hexdigest(), (), is_package)
    writer = _Writer(module if is_package else module.rpartition(".")[0])
    tree = ast.parse(content)
    writer.write(tree)
    bound = {one.local for one in writer.imports if one.local and not one.renamed}
    bound -= {one.local for one in writer.imports if one.renamed}
    text, places = writer.text(bound - writer.bound)
    digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return Source(digest, tuple(writer.imports), is_package, frozenset(_top_names(tree)), places)


def _top_names(tree: ast.Module) -> set[str]:
    """Return what statements at the top bind, other than imports."""
    names = set()
    for node in (one for statement in tree.body for one in _at_run_time(statement)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        else:
            found = (one for one in ast.walk(node) if isinstance(one, ast.Name))
            names |= {one.id for one in found if isinstance(one.ctx, ast.Store)}
    return names


class _Writer:
    """Writes code down, each node once, without imports, docstrings, words of errors, code for type checkers.

    Fields that are empty are left out, for versions of Python differ in which there are: what is written is
    the same (but for nested format specifications in 3.12.0 and 3.12.1).
    """

    def __init__(self, package: str) -> None:
        self.package = package
        self.imports: list[Import] = []
        self.bound: set[str] = set()
        """Parameters, variables, functions and classes, wherever in the code."""
        self._n_runs = 0
        self._parts: list[str] = []
        self._names: list[int] = []
        """Which parts are names, in the order of their use."""

    def text(self, imported: Collection[str]) -> tuple[str, dict[str, int]]:
        """Return the code with ``imported`` names as the places of their first use, and these places."""
        parts, places = self._parts.copy(), dict[str, int]()
        for index in self._names:
            if parts[index] in imported:
                parts[index] = f"<import {places.setdefault(parts[index], len(places))}>"
        return "".join(parts), places

    def write(self, node: ast.AST) -> None:
        """Write a node and all below it."""
        kind, out = type(node), self._parts.append
        out(f"{kind.__name__}(")
        if kind is ast.Name:
            self._write_name(node)  # type: ignore[arg-type]  # its type is looked at, for speed
            return
        if kind is ast.Raise:
            _drop_words(node)  # type: ignore[arg-type]
        elif attribute := BINDS.get(kind):
            self.bound.add(getattr(node, attribute) or "")
        for name in kind._fields:
            value = getattr(node, name, None)
            if value is None or value == []:
                continue
            out(f"{name}=")
            if isinstance(value, ast.AST):
                self.write(value)
            elif not isinstance(value, list):
                out(repr(value))
            elif isinstance(value[0], ast.stmt):
                self._write_block(value, kind is ast.Module)
            else:
                for one in value:
                    if isinstance(one, ast.AST):
                        self.write(one)
                    else:
                        out(repr(one))
                    out(",")
            out(" ")
        out(")")

    def _write_name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.bound.add(node.id)
        self._names.append(len(self._parts))
        self._parts += [node.id, f" {type(node.ctx).__name__})"]

    def _write_block(self, nodes: list[ast.stmt], at_top: bool) -> None:
        """Write statements; a mark stands for a run of imports."""
        run: list[Import] = []
        for one in [one for node in nodes for one in _at_run_time(node)]:
            if isinstance(one, (ast.Import, ast.ImportFrom)):
                if not run:
                    self._parts.append(f"<imports {self._n_runs}>")
                    self._n_runs += 1
                run += self._bound_by(one, run, at_top)
            else:
                self.imports += run
                run = []
                self.write(one)
        self.imports += run

    def _bound_by(
        self, node: ast.Import | ast.ImportFrom, before: list[Import], at_top: bool
    ) -> list[Import]:
        """List what an import statement binds."""
        found: list[Import] = []
        base = getattr(node, "module", None) or ""
        if isinstance(node, ast.ImportFrom) and node.level:
            base = resolve_name("." * node.level + base, self.package)
        for alias in node.names:
            star = alias.name == "*"
            if isinstance(node, ast.ImportFrom):
                local, module, name = alias.asname or alias.name, base, alias.name
            else:
                local, module, name = alias.asname or "", alias.name, ""
            same = [one for one in (*before, *found) if star or (local and one.local == local)]
            renamed = alias.asname is not None or isinstance(node, ast.Import)
            found.append(
                Import(self._n_runs - 1, "" if star else local, module, name, renamed, len(same), at_top)
            )
        return found


def _drop_words(node: ast.Raise) -> None:
    """Drop the words of an error, and nothing else of it; other exceptions may carry texts that count."""
    if isinstance(node.exc, ast.Call) and _is_error(node.exc.func):
        for one in ast.walk(node.exc):
            if isinstance(one, ast.Constant) and isinstance(one.value, str):
                one.value = ""


def _is_error(called: ast.expr) -> bool:
    name = ast.unparse(called).rpartition(".")[2]
    return name.endswith("Error") or isinstance(getattr(errors, name, None), type)


def _at_run_time(node: ast.stmt) -> list[ast.stmt]:
    """Return what a statement does at run time: a text nothing, ``if TYPE_CHECKING`` its other branch."""
    if isinstance(node, ast.Expr):
        return [] if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else [node]
    if isinstance(node, ast.If) and _is_for_checkers(node.test):
        return [one for other in node.orelse for one in _at_run_time(other)]
    return [node]


def _is_for_checkers(test: ast.expr) -> bool:
    if isinstance(test, ast.Name):
        return test.id == "TYPE_CHECKING"
    return isinstance(test, ast.Attribute) and ast.unparse(test) == "typing.TYPE_CHECKING"
