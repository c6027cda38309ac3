"""Read extended XYZ frame by frame, and compare what was read with the whole file."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from ase import Atoms
from ase.io.extxyz import key_val_dict_to_str, key_val_str_to_dict, read_xyz
from crossprune.harness.errors import DataError

OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
BROKEN = (EOFError, OSError, lzma.LZMAError, zlib.error)
"""What a truncated or damaged file raises when it is decompressed."""
PROPERTIES = re.compile(r"""(?<!\S)Properties=(?:"([^"]*)"|'([^']*)'|(\S+))""")
NUMBER = re.compile(r"[-+]?\d*\.(\d+)(?:[eEdD][-+]?(\d+))?")
FORTRAN = re.compile(r"(?<![\w.])[-+]?\d*\.?\d+[dD][-+]?\d+(?![\w.])")
BYTE_ORDER_MARK = "\ufeff"
SHOWN = 60
"""Characters of a line that a message shows."""
REMEMBERED = 1000
"""Last columns that are kept to judge whether the very last number is whole."""
WORD = re.compile(
    r"""(?:\\.|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\{(?:\\.|[^}\\])*\}|\[(?:\\.|[^]\\])*\]|[^\s"'{[\\])+"""
)
"""What spaces end in a header, as ASE reads it: quotes and brackets hold them."""
CELL_NAMES = ("lattice", "cell")
"""Keys that hold a cell; only ``Lattice`` is read as one."""
DAMAGED = "the file is truncated or malformed: write it again, or cut it before this frame"


def read_frames(path: Path) -> Iterator[tuple[Atoms, str]]:
    """Yield every frame of a file, compressed or not, with its place: file and frame (from 0).

    Blank lines between frames are passed over. Everything else must belong to a frame, and each row
    must have the columns that its header declares.

    Raises
    ------
    DataError
        If anything in the file is not read, or the file ends inside a frame or perhaps inside a number.
    """
    for text in read_texts(path):
        yield text.parsed(), text.place


@dataclass(frozen=True)
class FrameText:
    """The lines of one frame as a file has them."""

    path: Path
    number: int
    """Of the frame in its file, from 0."""
    begin: int
    """Number of its first line, from 1."""
    lines: list[str]
    """With their ends."""

    @property
    def place(self) -> str:
        """File and frame, for messages."""
        return f"{self.path}, frame {self.number}"

    def parsed(self) -> Atoms:
        """Let ASE read the frame; its ways to fail become one error with a remedy that fits.

        Raises
        ------
        DataError
            If it cannot be read, or its cell has a name that is not read.
        """
        try:
            atoms: Atoms
            [atoms] = read_xyz(StringIO("".join(self.lines)), index=slice(None))
        except Exception as error:  # whatever a foreign file makes ASE raise, the file is at fault
            reason = f"{type(error).__name__}: {_short(str(error))}"
            raise self._broken(reason, _remedy(self.lines, error)) from None
        self._check_cell_is_read(atoms)
        return atoms

    def with_values(self, values: Mapping[str, Any]) -> FrameText:
        """Add values to the header, in the place of any under the same names; everything else stays as it is.

        Without ``Properties``, which other keys ask for, the columns are named: species and position.
        """
        header, rows = self.lines[1].rstrip("\r\n"), self.lines[2:]
        n_vectors = sum(row.lstrip().startswith("VEC") for row in rows)
        if n_vectors:  # beside them ASE takes the header for a comment
            atoms, rows = self.parsed(), rows[:-n_vectors]
            told = {"Lattice": atoms.cell.array.T, "pbc": atoms.pbc, "comment": as_written(header.strip())}
            header = key_val_dict_to_str(told)
        for found in reversed(list(WORD.finditer(header))):
            name, _, value = found[0].partition("=")
            if name in values and value:
                header = header[: found.start()] + header[found.end() :].lstrip()
        words = [] if PROPERTIES.search(header) else ["Properties=species:S:1:pos:R:3"]
        shown = {name: as_written(one) if isinstance(one, str) else one for name, one in values.items()}
        words.append(key_val_dict_to_str(shown))
        is_closed = not WORD.sub("", header).strip()
        words.insert(
            0 if is_closed else len(words), header.strip()
        )  # what is left open swallows all that follows
        lines = [self.lines[0], " ".join(filter(None, words)) + "\n", *rows]
        return replace(self, lines=[*lines[:-1], lines[-1].rstrip("\r\n") + "\n"])

    def _check_cell_is_read(self, atoms: Atoms) -> None:
        """Refuse a cell or periodicity under a name that is not read: a crystal would become a cluster."""
        for key, value in atoms.info.items():
            if key.lower() in CELL_NAMES and np.size(value) == 9 and not atoms.cell.any():
                raise self._broken(
                    f"the cell's name is {key!r}", "rename it Lattice, which is read as a cell"
                )
            if key.lower() == "pbc" and np.ravel(value).tolist() != atoms.pbc.tolist():
                raise self._broken(f"the name of the periodicity is {key!r}", "rename it pbc, which is read")

    def _broken(self, reason: str, remedy: str) -> DataError:
        return _unreadable(self.place, self.begin, self.begin + len(self.lines) - 1, reason, remedy)


def read_texts(path: Path) -> Iterator[FrameText]:
    """Yield the lines of every frame of a file; otherwise as `read_frames`, but what they say is not read.

    Raises
    ------
    DataError
        If a row has not the columns that its header declares, or the file ends inside a frame.
    """
    opener = OPENERS.get(path.suffix, open)
    with opener(path, "rt", encoding="utf-8") as stream:
        yield from _Reader(path, stream).texts()


def _unreadable(place: str, begin: int, end: int, reason: str, remedy: str) -> DataError:
    """Word what is wrong with lines of a frame."""
    lines = f"lines {begin} to {end}" if end > begin else f"line {end}"
    return DataError(f"{place}: not readable ({lines}: {reason}); {remedy}")


class _Reader:
    """Lines of a file, numbered, and the shapes of the last columns seen."""

    def __init__(self, path: Path, stream: TextIO) -> None:
        self._path = path
        self._stream = stream
        self._line = self._begin = 0
        self._frame = 0
        self._ends: deque[tuple[int, int] | None] = deque(maxlen=REMEMBERED)
        self._last = ""
        self._next: str | None = None

    def texts(self) -> Iterator[FrameText]:
        """Yield frames as they are written."""
        while (line := self._read()) is not None:
            self._begin = self._line
            if line.isspace():
                continue
            text = self._text(line)
            if not self._last.endswith("\n"):
                self._check_end()
            yield FrameText(self._path, self._frame, self._begin, text)
            self._frame += 1

    @property
    def _place(self) -> str:
        return f"{self._path}, frame {self._frame}"

    def _broken(self, reason: str, remedy: str = DAMAGED) -> DataError:
        """Word what is wrong with the lines of the frame that were read so far."""
        return _unreadable(self._place, self._begin, self._line, reason, remedy)

    def _read(self) -> str | None:
        """Return the next line, or None at the end of the file."""
        line = self._next if self._next is not None else self._raw_line()
        self._next = None
        if not line:
            return None
        self._line += 1
        self._last = line
        return line

    def _raw_line(self) -> str:
        """Read a line; what a damaged or foreign file does to the stream becomes one error."""
        try:
            return self._stream.readline()
        except UnicodeDecodeError as error:
            packed = error.object[:2] == b"\x1f\x8b"
            remedy = "give it the ending .xyz.gz" if packed else "save it as UTF-8: iconv -f latin1 -t utf-8"
            raise self._broken(f"not UTF-8 after this line: {error.reason}", remedy) from None
        except BROKEN as error:
            raise self._broken(f"{type(error).__name__} after this line: {error}") from None

    def _text(self, line: str) -> list[str]:
        """Gather the lines of the frame that ``line`` begins."""
        n_atoms = self._count(line)
        header = self._read()
        if header is None:
            raise self._broken("the file ends after the number of atoms")
        text, n_columns = [line, header], self._n_columns(header)
        for row in range(n_atoms):
            found = self._read()
            if found is None:
                raise self._broken(f"the file ends after {row} of {n_atoms} atoms")
            words = found.split()
            if len(words) != n_columns:
                given = f"{len(words)} columns, the header declares {n_columns}"
                raise self._broken(f"{given}, in line {self._line}, {_short(found)!r}")
            self._ends.append(_shape(words[-1]))
            text.append(found)
        return [*text, *self._vectors()]

    def _vectors(self) -> Iterator[str]:
        """Yield the lines VEC1 to VEC3 that may follow a frame (another way to write its cell)."""
        for _ in range(3):
            self._next = self._raw_line()
            if not self._next.lstrip().startswith("VEC"):
                return
            line = self._read()
            assert line is not None
            self._ends.append(_shape(line.split()[-1]))
            yield line

    def _check_end(self) -> None:
        """Refuse a file without a last line end unless its last number has the digits of those before."""
        shapes = set(self._ends)
        if len(self._ends) < 2 or len(shapes) > 1 or None in shapes:
            raise self._broken(
                f"the file ends inside {_short(self._last)!r}, and the last value may be cut off",
                f"{DAMAGED}; or, if the file is whole, end its last line: echo >> {self._path.name}",
            )

    def _count(self, line: str) -> int:
        if line.startswith(BYTE_ORDER_MARK):
            raise self._broken("a byte-order mark (BOM)", "save the file as UTF-8 without BOM")
        try:
            count = int(line)
        except ValueError:
            raise self._broken(f"expected the number of atoms, got {_short(line)!r}") from None
        if count < 1:
            raise DataError(f"{self._place}: the structure has no atoms ({count}); remove the frame")
        return count

    def _n_columns(self, header: str) -> int:
        """Return how many columns a header declares; without ``Properties``, species and position."""
        match = PROPERTIES.search(header)
        if match is None:
            return 4
        words = next(one for one in match.groups() if one is not None).split(":")
        counts = [int(word) for word in words[2::3] if word.isdecimal()]
        if 3 * len(counts) != len(words) or min(counts) < 1:
            given = f"{_short(match[0])!r} is no list of name:type:columns"
            raise self._broken(given, "write the header again")
        return sum(counts)


def as_written(name: str) -> str:
    """Return what to give ASE to write for a text, so that it is read back and not taken for a number."""
    key = "group"
    if str(key_val_str_to_dict(key_val_dict_to_str({key: name})).get(key)) == name:
        return name
    return f"_JSON {json.dumps(name)}".replace("\\", "\\\\")


def _shape(word: str) -> tuple[int, int] | None:
    """Return the number of decimals and of digits of the exponent; None for what is no decimal number."""
    match = NUMBER.fullmatch(word)
    return None if match is None else (len(match[1]), len(match[2] or ""))


def _remedy(text: list[str], error: Exception) -> str:
    """Say what to do about a frame that ASE does not read."""
    if isinstance(error, KeyError) and error.args and isinstance(error.args[0], str):
        symbol = error.args[0]
        if symbol in ("D", "T"):
            return f"name {symbol} as H: an isotope is no element here, and its mass is no label"
        return f"{_short(symbol)!r} is not a chemical element; write the element symbols"
    if "special 3x3" in str(error):
        key = "virial" if "item virial" in str(error) else "stress"
        return (
            f"write {key} as 9 values (3 × 3), or as 6 values under another key, such as my_{key}, and "
            f"name that key by {key}_key"
        )
    if any(FORTRAN.search(line) for line in text[1:]):
        return "numbers such as 1.0D+00 are Fortran's; replace D by E"
    return DAMAGED


def _short(text: str) -> str:
    text = text.strip()
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
