"""Which commands LAMMPS may be given: pair styles from a list, their numbers, elements and own files.

LAMMPS's input language runs programs (``shell``), code (``python``) and other inputs (``include``, ``jump``),
and some pair styles load code (``kim``, ``mliap``, ``python``). A potential comes from anywhere, so nothing
reaches LAMMPS but what stands here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ase.data import atomic_numbers
from crossprune.harness.errors import DataError, unknown_name

FOLDER = "{folder}/"
"""Stands before the name of a parameter file in a command."""
HYBRID = ("hybrid", "hybrid/overlay")
WITHOUT_FILES = """
born born/gauss buck lennard/mdf lj/cut lj/cubic lj/smooth/linear morse morse/smooth/linear zbl zero
"""
"""Styles whose coefficients are numbers."""
WITH_FILES = """
adp agni airebo airebo/morse bop eam eam/alloy eam/cd eam/fs eam/he edip edip/multi eim extep gw gw/zbl lcbop
meam meam/ms meam/spline meam/sw/spline nb3b/harmonic pace pod polymorphic rebo rebomos snap sw sw/mod table
tersoff tersoff/mod tersoff/mod/c tersoff/table tersoff/zbl uf3 vashishta vashishta/table
"""
"""Styles whose coefficients are files; none runs anything, or opens a file that another file names."""
NUMERIC, STYLES = frozenset(WITHOUT_FILES.split()), frozenset(f"{WITHOUT_FILES} {WITH_FILES}".split())
SETTINGS = (
    "bitmap",
    "chunksize",
    "linear",
    "lookup",
    "nocoeff",
    "product",
    "recursive",
    "shift",
    "spline",
)
"""Words that a pair_style line may hold besides numbers."""
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+,=()-]{0,99}")
"""A parameter file's name: no place, and no sign that LAMMPS reads as its own."""
WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
TYPES = re.compile(r"\d+|\*|\d*\*\d*")
"""Numbers of atom types in a pair_coeff line."""
NOT_A_NUMBER = re.compile(r"(?<!\w)(nan|inf|infinity)(?!\w)", re.IGNORECASE)
TAKEN = frozenset({"potential.json", "lammps.json", "potential.lmp"})
"""Names of files that are written beside the parameter files."""


def require_safe(commands: Sequence[str], files: Mapping[str, str]) -> None:
    """Check the commands and files of a potential before LAMMPS or the file system sees them.

    Raises
    ------
    DataError
        If a command is none of ``pair_style`` and ``pair_coeff``, a style is not in the list, a file name is
        a path, a word is none of number, element and listed file, or a file holds NaN or infinity.
    """
    for name, text in files.items():
        if not isinstance(name, str) or not NAME.fullmatch(name) or name in TAKEN:
            raise DataError(
                f"parameter file {name!r}: give a plain name of letters, digits and . _ + - , = ( ), no path"
            )
        _require_finite(name, text)
    styles: list[str] = []
    for command in commands:
        words = command.split(" ") if isinstance(command, str) else []
        try:
            if words[:1] == ["pair_style"]:
                styles = _styles(words[1:])
            elif words[:1] == ["pair_coeff"] and styles:
                _coefficients(words[1:], styles, files)
            else:
                raise DataError("expected pair_style, then pair_coeff; LAMMPS is given no other command")
        except DataError as error:
            raise DataError(f"LAMMPS command {str(command)[:120]!r}: {error}") from None
    if not styles:
        raise DataError("no pair_style among the commands for LAMMPS")


def _styles(words: Sequence[str]) -> list[str]:
    """Return the styles of a pair_style line, one or those of a hybrid."""
    if not words:
        raise DataError("a style is missing")
    hybrid = words[0] in HYBRID
    found = []
    for place, word in enumerate(words[1:] if hybrid else words):
        if word in STYLES and (hybrid or place == 0):
            found.append(word)
        elif not found:
            raise DataError(unknown_name("or unsafe pair style", word, {*STYLES, *HYBRID}))
        elif not NUMBER.fullmatch(word) and word not in SETTINGS:
            raise DataError(f"{word!r} is neither a number nor one of {', '.join(SETTINGS)}")
    if not found:
        raise DataError("a hybrid needs the styles that it consists of")
    return [words[0], *found] if hybrid else found


def _coefficients(words: Sequence[str], styles: Sequence[str], files: Mapping[str, str]) -> None:
    """Check a pair_coeff line: types, in a hybrid the style and its number, then what the style takes."""
    rest = list(words[2:])
    if not all(TYPES.fullmatch(word) for word in words[:2]) or not (rest or styles == ["zero"]):
        raise DataError("expected two atom types, then coefficients")
    style = styles[0]
    if style in HYBRID:
        style = rest.pop(0)
        if style not in styles[1:]:
            raise DataError(unknown_name("style of this hybrid", style, styles[1:]))
        if styles.count(style) > 1 and not (rest and rest.pop(0).isdigit()):
            raise DataError(f"{style} occurs more than once; say which by its number")
    if style not in NUMERIC and not (rest and rest[0].startswith(FOLDER)):
        raise DataError(f"{style} takes a parameter file first, one of: {', '.join(files) or 'none'}")
    for place, word in enumerate(rest):
        if word.startswith(FOLDER) and style not in NUMERIC:
            if word.removeprefix(FOLDER) not in files:
                raise DataError(unknown_name("parameter file", word.removeprefix(FOLDER), files))
        elif style == "table" and place == 1 and WORD.fullmatch(word):
            continue  # the section of the file
        elif not NUMBER.fullmatch(word) and (style in NUMERIC or not is_type(word)):
            raise DataError(f"{word!r} is neither a number nor an element nor one of the parameter files")


def is_type(word: str) -> bool:
    """Tell whether a word of a pair_coeff line names what an atom type is: an element, or NULL for none."""
    return word == "NULL" or (word in atomic_numbers and word != "X")


def _require_finite(name: str, text: str) -> None:
    for number, line in enumerate(text.splitlines(), start=1):
        if found := NOT_A_NUMBER.search(line.partition("#")[0]):
            raise DataError(f"parameter file {name}, line {number}: {found[0]} is no finite number")


def read_script(text: str, where: str) -> list[list[str]]:
    """Read the pair commands of a LAMMPS input: words of each, with variables put in.

    Understood are continued lines (``&``), comments, ``variable`` with one number, and ``units metal`` and
    ``mass``, which change nothing here. Anything else would change the energy without being seen.

    Raises
    ------
    DataError
        With file and line, for another command, another kind of variable, or a variable that is not set.
    """
    variables: dict[str, str] = {}
    commands: list[list[str]] = []
    for number, line in _logical_lines(text):
        place = f"{where}, line {number}"
        words = _filled_in(line, variables, place).split()
        if words[0] in ("pair_style", "pair_coeff"):
            commands.append(words)
        elif words[0] == "variable":
            if (
                len(words) != 4
                or words[2] not in ("index", "equal", "string")
                or not NUMBER.fullmatch(words[3])
            ):
                raise DataError(f"{place}: only variables of one number are read, got {line.strip()!r}")
            variables[words[1]] = words[3]
        elif words != ["units", "metal"] and words[0] != "mass":
            allowed = "pair_style, pair_coeff, variable, units metal, mass"
            raise DataError(f"{place}: {words[0]!r} is not read; allowed: {allowed}")
    return commands


def _filled_in(line: str, variables: Mapping[str, str], place: str) -> str:
    """Put the values of variables, ``${name}`` or ``$x``, into a line."""

    def value(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if name not in variables:
            raise DataError(f"{place}: {unknown_name('variable', name, variables)}")
        return variables[name]

    return re.sub(r"\$\{(\w+)\}|\$(\w)", value, line)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield lines that hold something with their numbers, those that end with ``&`` joined to the next."""
    joined, start = "", 0
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.partition("#")[0].rstrip()
        start = start or number
        if line.endswith("&"):
            joined += line[:-1] + " "
            continue
        if (joined + line).strip():
            yield start, joined + line
        joined, start = "", 0
    if joined.strip():
        yield start, joined


def elements_of(commands: Sequence[Sequence[str]]) -> list[str]:
    """Tell the element of each atom type from pair commands; ``NULL`` for a type that they leave open.

    A list behind files names all types (``pair_coeff * * ... Mo``). A type without one is told by the nuclear
    charge of its own ``zbl`` line, or by a section of its own table called after it twice (``HeHe``).
    """
    found: dict[int, str] = {}
    for words in commands:
        if words[0] != "pair_coeff":
            continue
        listed = _last_list(words)
        if words[1:3] == ["*", "*"] and listed:
            found |= {
                kind: one for kind, one in enumerate(listed, start=1) if one != "NULL" or kind not in found
            }
            continue
        if len(words) > 3 and words[1] == words[2] and words[1].isdigit():
            kind = int(words[1])
            own = _own_element(words[3:])
            if found.get(kind, "NULL") == "NULL":
                found[kind] = own
    return [found.get(kind, "NULL") for kind in range(1, max(found, default=0) + 1)]


def _last_list(words: Sequence[str]) -> list[str]:
    """Return the elements at the end of a command."""
    count = next((place for place, word in enumerate(reversed(words)) if not is_type(word)), len(words))
    return list(words[len(words) - count :])


def _own_element(words: Sequence[str]) -> str:
    """Tell an element from the coefficients of its type with itself, or return ``NULL``."""
    symbols = {number: symbol for symbol, number in atomic_numbers.items()}
    if words[0] == "zbl" and len(words) == 3 and words[1] == words[2] and words[1].isdigit():
        return symbols.get(int(words[1]), "NULL")
    half, rest = divmod(len(words[-1]), 2)
    same = words[0] == "table" and not rest and words[-1][:half] == words[-1][half:]
    return words[-1][:half] if same and is_type(words[-1][:half]) else "NULL"
