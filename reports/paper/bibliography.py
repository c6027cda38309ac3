"""BibTeX entries: read, found beside what they belong to, and written."""

from __future__ import annotations

import importlib.util
import re
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FILE = "references.bib"
"""Lies in the package of an adapter, or in one above it."""
TAGS = "keywords"
"""Field that says what an entry belongs to; it is not for the paper."""
DOI = re.compile(r"10\.\d{4,9}/\S+")
WIDTH = 100
SPECIAL = {"&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "$": r"\$", "{": "(", "}": ")", "\\": " "}
"""Characters of plain text that BibTeX reads as something else; it counts braces even behind a backslash."""


@dataclass(frozen=True)
class Entry:
    """A work to cite."""

    kind: str
    """``article``, ``misc``, ``software``, …"""
    key: str
    fields: Mapping[str, str]
    """As they stand in BibTeX, without the outer braces."""

    @property
    def tags(self) -> frozenset[str]:
        """What the entry belongs to: ``adapter:snap``, ``method:fps``, …"""
        return frozenset(filter(None, (one.strip() for one in self.fields.get(TAGS, "").split(","))))

    @property
    def identity(self) -> str:
        """What two entries of one work share."""
        return self.fields.get("doi", self.key).lower()

    def text(self, *, with_tags: bool = False) -> str:
        """Write the entry as BibTeX, in lines of `WIDTH`."""
        lines = [f"@{self.kind}{{{self.key},"]
        for name, value in self.fields.items():
            if name == TAGS and not with_tags:
                continue
            start = f"  {name} = {{"
            lines += textwrap.wrap(
                f"{start}{value}}},",
                WIDTH,
                subsequent_indent=" " * len(start),
                break_long_words=False,
                break_on_hyphens=False,
            )
        return "\n".join([*lines, "}"])


def parse(text: str, where: str = FILE) -> list[Entry]:
    """Read BibTeX whose values are in braces; what is outside of entries is comment.

    Raises
    ------
    ValueError
        If an entry is not closed, or a key is there twice.
    """
    found: dict[str, Entry] = {}
    place = 0
    while (start := text.find("@", place)) >= 0:
        head = re.compile(r"@(\w+)\s*\{\s*([^\s,{}]+)\s*,").match(text, start)
        if head is None:
            place = start + 1
            continue
        end = _closing(text, text.index("{", start), where)
        kind, key = head[1].lower(), head[2]
        if key in found:
            raise ValueError(f"{where}: {key} is there twice")
        found[key] = Entry(kind, key, _fields(text[head.end() : end], f"{where}: {key}"))
        place = end + 1
    return list(found.values())


def _fields(body: str, where: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    place = 0
    while (head := re.compile(r"[\s,]*(\w+)\s*=\s*\{").match(body, place)) is not None:
        place = _closing(body, head.end() - 1, where) + 1
        fields[head[1].lower()] = " ".join(body[head.end() : place - 1].split())
    if body[place:].strip(" \t\n,"):
        raise ValueError(f"{where}: {body[place:].strip()[:40]!r} is no field; write NAME = {{VALUE}},")
    return fields


def _closing(text: str, start: int, where: str) -> int:
    """Return where the brace at ``start`` closes."""
    depth = 0
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place
    raise ValueError(f"{where}: a brace is not closed")


def beside(module: str) -> list[Entry]:
    """Read the entries of the nearest `FILE` in the packages that a module is in; none if there is none.

    Parameters
    ----------
    module
        Name of a module, which is not imported; its packages are.
    """
    parts = module.split(".")
    for depth in range(len(parts), 0, -1):
        for folder in _folders(".".join(parts[:depth])):
            if (path := folder / FILE).is_file():
                return parse(path.read_text(encoding="utf-8"), str(path))
    return []


def _folders(package: str) -> Sequence[Path]:
    """Return where a package lies; nowhere, if it is a module or is not there."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return []
    return [] if spec is None else [Path(one) for one in spec.submodule_search_locations or ()]


def used(entries: Sequence[Entry], tags: Collection[str]) -> list[Entry]:
    """Return the entries that belong to something that is used, in their order."""
    return [one for one in entries if one.tags & set(tags)]


def distinct(entries: Sequence[Entry]) -> list[Entry]:
    """Return each work once, with all that it belongs to, and no key twice."""
    return list(_distinct(entries))


def _distinct(entries: Sequence[Entry]) -> Iterator[Entry]:
    works: dict[str, list[Entry]] = {}
    for one in entries:
        works.setdefault(one.identity, []).append(one)
    keys: set[str] = set()
    for several in works.values():
        first, number = several[0], 1
        key = first.key
        while key in keys:
            number += 1
            key = f"{first.key}-{number}"
        keys.add(key)
        tags = dict.fromkeys(tag for one in several for tag in sorted(one.tags))
        yield Entry(first.kind, key, {**first.fields, TAGS: ", ".join(tags)})


def escaped(text: str) -> str:
    """Return plain text for a field of BibTeX."""
    return " ".join("".join(SPECIAL.get(one, one) for one in text).split())
