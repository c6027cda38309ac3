"""Read a module's code: what it says without texts and names of modules, and what it imports."""

from __future__ import annotations

import ast
import functools
import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import resolve_name

from crossprune.harness import errors


@dataclass(frozen=True)
class Import:
    """One name that an import statement binds."""

    scope: str
    """Functions, classes and blocks (``if``, ``try``) around the statement; empty at the top."""
    local: str
    """The name that is bound; empty for a star, and for ``import a.b``, whose code says ``a.b`` again."""
    module: str
    """The module that is named, in full."""
    name: str
    """What is taken from it; empty for the module itself."""
    renamed: bool
    """Whether the statement gives the name itself (``as``)."""
    again: int
    """How often the same block has bound the name before."""


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
        """Return what stands for an imported name in the code: its place there, or the name itself.

        A module is known by its place, because its name may change; a function or class is not.
        """
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
        self._scope: list[str] = []
        self._n_blocks: Counter[str] = Counter()
        self._seen: Counter[tuple[str, str]] = Counter()

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

    def _blocks(self, node: ast.stmt) -> ast.AST:
        """Visit a statement with blocks, and number these: which of them imports what is content."""
        here = ".".join(self._scope)
        number = self._n_blocks[here]
        self._n_blocks[here] += 1
        for name, value in ast.iter_fields(node):
            if isinstance(value, list):
                self._scope.append(f"{number}{name}")
                setattr(node, name, self._all(value))
                self._scope.pop()
            elif isinstance(value, ast.AST):
                self.visit(value)
        return node

    visit_Try = visit_TryStar = visit_With = visit_For = visit_While = visit_Match = _blocks  # noqa: N815

    def _all(self, nodes: list[ast.AST]) -> list[ast.AST]:
        found: list[ast.AST] = []
        for place, one in enumerate(nodes):
            if isinstance(one, (ast.ExceptHandler, ast.match_case)):
                self._scope.append(str(place))
                found.append(self.generic_visit(one))
                self._scope.pop()
            elif not (isinstance(one, ast.stmt) and _is_text(one)):
                visited = self.visit(one)
                found += visited if isinstance(visited, list) else [visited] if visited is not None else []
        return found

    def visit_Import(self, node: ast.Import) -> None:
        """Note ``import a.b as c``; what binds ``a`` only stays, because the code says ``a.b`` again."""
        for alias in node.names:
            self._note(alias.asname or "", alias.name, "", renamed=True)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Note ``from a import b as c``."""
        base = node.module or ""
        if node.level:
            base = resolve_name("." * node.level + base, self.package)
        for alias in node.names:
            local = "" if alias.name == "*" else alias.asname or alias.name
            self._note(local, base, alias.name, renamed=alias.asname is not None)

    def _note(self, local: str, module: str, name: str, *, renamed: bool) -> None:
        scope = ".".join(self._scope)
        again = self._seen[scope, local] if local else 0
        self._seen[scope, local] += 1
        self.imports.append(Import(scope, local, module, name, renamed, again))

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.AST]:
        """Keep what runs: ``if TYPE_CHECKING`` does not."""
        if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            return self._all(list(node.orelse))
        return self._blocks(node)

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
