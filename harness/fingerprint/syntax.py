"""Read a module's code: what it says without texts and names of modules, and what it imports."""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import resolve_name


@dataclass(frozen=True)
class Import:
    """One name that an import statement binds."""

    scope: str
    """Functions and classes around the statement, joined by dots; empty at the top."""
    local: str
    """The name that is bound; empty for a star."""
    module: str
    """The module that is named, in full."""
    name: str
    """What is taken from it; empty for the module itself."""


@dataclass(frozen=True)
class Source:
    """A module's code, read."""

    digest: str
    """Hash of the code without imports, texts, and the local names that imports bind."""
    imports: tuple[Import, ...]
    """What is imported at run time, from anywhere."""
    is_package: bool
    defined: frozenset[str] = frozenset()
    """Names that are bound at the top otherwise than by an import."""
    places: Mapping[str, int] = field(default_factory=dict)
    """Imported names in the order in which the code first uses them."""

    def place_of(self, local: str) -> int:
        """Return when an imported name is first used, counted from 0; -1 if never, or not only for that."""
        return self.places.get(local, -1)


@functools.lru_cache(maxsize=1024)
def read(content: bytes, module: str, is_package: bool, is_python: bool = True) -> Source:
    """Read the code of ``module``; compiled code is taken as it is."""
    if not is_python:
        return Source(hashlib.blake2b(content, digest_size=16).hexdigest(), (), is_package)
    package = module if is_package else module.rpartition(".")[0]
    collector = _Imports(package)
    tree = collector.visit(ast.parse(content))
    bound = {one.local for one in collector.imports if one.local}
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
    return names


class _Imports(ast.NodeTransformer):
    """Takes import statements, docstrings, the words of errors and code for type checkers out."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.imports: list[Import] = []
        self._scope: list[str] = []

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Drop strings that stand alone: docstrings, and texts after a field."""
        super().generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [one for one in body if not _is_text(one)]  # type: ignore[attr-defined]
        return node

    def _within(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> ast.AST:
        self._scope.append(node.name)
        self.generic_visit(node)
        self._scope.pop()
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _within  # noqa: N815

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        """Note ``import a.b as c``; what binds ``a`` only stays, because the code says ``a.b`` again."""
        for alias in node.names:
            self._note(alias.asname or "", alias.name, "")
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Note ``from a import b as c``."""
        base = node.module or ""
        if node.level:
            base = resolve_name("." * node.level + base, self.package)
        for alias in node.names:
            local = "" if alias.name == "*" else alias.asname or alias.name
            self._note(local, base, alias.name)

    def _note(self, local: str, module: str, name: str) -> None:
        self.imports.append(Import(".".join(self._scope), local, module, name))

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        """Keep what runs: ``if TYPE_CHECKING`` does not."""
        if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            return self.generic_visit(ast.Module(node.orelse, [])).body  # type: ignore[attr-defined,no-any-return]
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """Drop the words of an error, and nothing else of it."""
        for one in ast.walk(node):
            if isinstance(one, ast.Constant) and isinstance(one.value, str):
                one.value = ""
        return self.generic_visit(node)


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
