"""Hash the code that a result rests on: by what it says, not by what it is called or where it lies.

Code is reached by import statements. Names of own modules in them are no content, so that code may move
or be renamed; what is imported from where is content, by what the module says that it comes from.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping

from crossprune.harness import errors
from crossprune.harness.fingerprint.places import Place, find
from crossprune.harness.fingerprint.syntax import Import, Source, read
from crossprune.harness.fingerprint.values import canonical_hash

HERE = __name__.partition(".")[0]
PARENT = Import(-1, "", "", "", renamed=False, again=0, at_top=True)
"""Stands for the import of a package above a module."""
NO_CONTENT = frozenset({errors.__name__})
"""Modules that hold wording only: an edited message makes no result stale."""
Find = Callable[[str], Place | None]
_Link = tuple[Import, str, str]
"""An import, the module that defines what it binds, and the name there."""


@functools.cache
def source_hash(module: str, own: Collection[str] = ()) -> str:
    """Hash a module's code and that of every module of its package, or of crossprune, that it imports.

    Comments, docstrings, the words of errors, imports for type checkers, and the names of own modules do
    not count. A face (a package's ``__init__`` that gathers names) counts only where it defines something.

    Parameters
    ----------
    module
        Name of the module.
    own
        Top-level packages beside the module's own and crossprune whose code counts as well.

    Raises
    ------
    ModuleNotFoundError
        If the module, or one of its own that it imports, is not there.
    """
    return hash_of_code(module, find, own)


def hash_of_code(module: str, find: Find, own: Collection[str] = ()) -> str:
    """Hash as `source_hash` does, with another way to find modules; nothing is remembered between calls."""
    return _Reader(find, {module.partition(".")[0], HERE, *own}).hash(module)


def defining_module(module: str, name: str) -> str:
    """Return the module that defines ``name``, of those that ``module`` gathers names from."""
    return _Reader(find, {module.partition(".")[0], HERE}).resolve(module, name)[0]


class _Reader:
    """Reads modules and what they import; a module is read once."""

    def __init__(self, find: Find, own: set[str]) -> None:
        self.find = functools.cache(find)
        self.own = own
        self.sources: dict[str, Source] = {}

    def hash(self, root: str) -> str:
        """Colour modules by what they say, then by the colours of what they import, until that tells no more.

        Colour refinement (Weisfeiler and Leman 1968): stable after as many rounds as two modules of equal
        wording have equal imports in depth; circles of imports need no special care.
        """
        links = self._reach(root)
        colours = {name: self.source(name).digest for name in links}
        n_colours = 0
        while len(set(colours.values())) != n_colours:
            n_colours = len(set(colours.values()))
            colours = {name: self._colour(name, links[name], colours) for name in links}
        return canonical_hash(colours[root], sorted(set(colours.values())))

    def _reach(self, root: str) -> dict[str, list[_Link]]:
        """Return the modules that ``root`` rests on, with what each imports of their own."""
        links: dict[str, list[_Link]] = {}
        waiting = [root]
        while waiting:
            name = waiting.pop()
            if name in links:
                continue
            resolved = [(one, *self.resolve(one.module, one.name)) for one in self._imports(name)]
            resolved += [(PARENT, one, "") for one in self._parents(name)]
            links[name] = resolved
            waiting += [target for _, target, _ in resolved if target not in NO_CONTENT]
        return links

    def source(self, name: str) -> Source:
        """Read a module."""
        if name not in self.sources:
            place = self.find(name)
            if place is None:
                raise ModuleNotFoundError(f"no module {name!r}: what rests on it has no key", name=name)
            self.sources[name] = read(place.content, name, place.is_package, place.is_python)
        return self.sources[name]

    def _parents(self, name: str) -> list[str]:
        """Return the packages above a module, which run before it; ours hold names only."""
        parts = name.split(".")
        if parts[0] == HERE:
            return []
        return [".".join(parts[:end]) for end in range(1, len(parts))]

    def _imports(self, name: str) -> list[Import]:
        return [one for one in self.source(name).imports if one.module.partition(".")[0] in self.own]

    def resolve(self, module: str, name: str) -> tuple[str, str]:
        """Return the module that defines ``name`` of ``module`` and its name there, ``""`` for a module.

        Faces are looked through: only what defines a name counts, not all that the face gathers.
        """
        source = self.source(module)
        if not name or name == "*":
            return module, name
        if not source.is_package or name in source.defined:
            return module, name
        given = [one for one in source.imports if one.local == name]
        itself = [one for one in given if (one.module, one.name) == (module, name)]  # ``from . import name``
        if len(given) == 1 and not itself and given[0].at_top and given[0].module.split(".")[0] in self.own:
            return self.resolve(given[0].module, given[0].name)
        if given == itself and self.find(f"{module}.{name}") is not None:
            return f"{module}.{name}", ""
        return module, name

    def _colour(self, module: str, links: list[_Link], colours: Mapping[str, str]) -> str:
        """Hash what a module says together with what it imports, the order of its import statements aside."""
        source = self.source(module)
        own = [
            [str(one.run), str(source.label_of(one, name)), str(one.again), name, colours.get(target, "")]
            for one, target, name in links
        ]
        foreign = [
            [str(one.run), str(source.label_of(one, one.name)), str(one.again), one.name, one.module]
            for one in source.imports
            if one.module.partition(".")[0] not in self.own
        ]
        return canonical_hash(source.digest, sorted(own), sorted(foreign))
