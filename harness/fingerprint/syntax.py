"""Read a module's code: what it says without texts and names of modules, and what it imports."""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import resolve_name
from typing import Any

from crossprune.harness import errors


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
    package = module if is_package else module.rpartition(".")[0]
    collector = _Imports(package)
    tree = collector.visit(ast.parse(content))
    bound = {one.local for one in collector.imports if one.local and not one.renamed}
    bound -= {one.local for one in collector.imports if one.renamed}
    namer = _Placeholders(bound - _bound_otherwise(tree))
    text = ast.dump(namer.visit(tree))
    digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return Source(digest, tuple(collector.imports), is_package, frozenset(_top_names(tree)), namer.places)


def _top_names(tree: ast.Module) -> set[str]:
    """Return what statements at the top bind, other than imports."""
    names = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        else:
            found = (one for one in ast.walk(node) if isinstance(one, ast.Name))
            names |= {one.id for one in found if isinstance(one.ctx, ast.Store)}
    return names


def _bound_otherwise(tree: ast.Module) -> set[str]:
    """Return every name that is a parameter, a variable, a function or a class somewhere in the code."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler)):
            names.add(node.name or "")
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, (ast.MatchAs, ast.MatchStar)):
            names.add(node.name or "")
        elif isinstance(node, ast.MatchMapping):
            names.add(node.rest or "")
    return names


class _Imports(ast.NodeTransformer):
    """Takes import statements, docstrings, the words of errors and code for type checkers out."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.imports: list[Import] = []
        self._n_runs = 0
        self._depth = 0

    def visit(self, node: ast.AST) -> Any:
        """Visit a node, block by block."""
        self._depth += 1
        for name, value in ast.iter_fields(node):
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                setattr(node, name, self._block(value))
        found = super().visit(node)
        self._depth -= 1
        return found

    def _block(self, nodes: list[ast.stmt]) -> list[ast.stmt]:
        """Take imports, texts and code for type checkers out; a mark stays for a run of imports."""
        found: list[ast.stmt] = []
        run: list[Import] = []
        for one in [one for node in nodes for one in _at_run_time(node)]:
            if isinstance(one, (ast.Import, ast.ImportFrom)):
                if not run:
                    found.append(ast.Expr(ast.Constant(f"imports {self._n_runs}")))
                    self._n_runs += 1
                run += self._bound(one, run)
            else:
                self.imports += run
                run = []
                found.append(one)
        self.imports += run
        return found

    def _bound(self, node: ast.Import | ast.ImportFrom, before: list[Import]) -> list[Import]:
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
                Import(
                    self._n_runs - 1,
                    "" if star else local,
                    module,
                    name,
                    renamed,
                    len(same),
                    self._depth == 1,
                )
            )
        return found

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """Drop the words of an error, and nothing else of it; other exceptions may carry texts that count."""
        if isinstance(node.exc, ast.Call) and _is_error(node.exc.func):
            for one in ast.walk(node.exc):
                if isinstance(one, ast.Constant) and isinstance(one.value, str):
                    one.value = ""
        return self.generic_visit(node)


def _is_error(called: ast.expr) -> bool:
    name = ast.unparse(called).rpartition(".")[2]
    return name.endswith("Error") or isinstance(getattr(errors, name, None), type)


def _at_run_time(node: ast.stmt) -> list[ast.stmt]:
    """Return what a statement does at run time: a text nothing, ``if TYPE_CHECKING`` its other branch."""
    if _is_text(node):
        return []
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        return [one for other in node.orelse for one in _at_run_time(other)]
    return [node]


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


class _Placeholders(ast.NodeTransformer):
    """Replaces imported names by the order of their first use."""

    def __init__(self, names: set[str]) -> None:
        self.names = names
        self.places: dict[str, int] = {}

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Rename."""
        if node.id in self.names:
            place = self.places.setdefault(node.id, len(self.places))
            return ast.Name(f"<import {place}>", node.ctx)
        return node
