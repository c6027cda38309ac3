"""Lay one pair style over a reference potential: LAMMPS's ``hybrid/overlay``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement

from ase.data import atomic_numbers
from crossprune.adapters.programs.pair_commands import HYBRID, NUMERIC, STYLES, require_safe
from crossprune.harness.errors import DataError

EMPTY = "zero"
"""The style without energy; one under a fit changes nothing."""


def require_reference(commands: Sequence[str]) -> None:
    """Check the pair commands of a reference potential: ``pair_style``, then ``pair_coeff`` lines.

    Raises
    ------
    DataError
        If a command is not allowed (see `require_safe`), a style takes a parameter file, the styles are a
        ``hybrid``, or nothing but ``zero``.
    """
    styles = [word for word in (commands[0].split()[1:] if commands else []) if word in STYLES]
    if filed := sorted(set(styles) - NUMERIC):
        raise DataError(
            f"{', '.join(filed)} takes a parameter file, and a reference has none; allowed: "
            f"{', '.join(sorted(NUMERIC - {EMPTY}))}, also several in a hybrid/overlay"
        )
    require_safe(commands, {})
    if sum(command.split()[:1] == ["pair_style"] for command in commands) != 1:
        raise DataError("expected one pair_style, first, and the pair_coeff lines that it needs")
    if commands[0].split()[1] == "hybrid":
        raise DataError(
            "in a hybrid the last pair_coeff of two types replaces others, and under a fit styles add up: "
            "give the lines that count, in a hybrid/overlay"
        )
    if set(styles) == {EMPTY}:
        raise DataError("pair_style zero has no energy, so there is no reference: leave it out")


def overlaid(
    reference: Sequence[str], elements: Sequence[str], style: str, coefficients: Sequence[str]
) -> list[str]:
    """Return the pair commands of a reference with ``style`` over it.

    ``zbl`` without coefficients takes those of the elements; ``zero`` is left out, so that FitSNAP's lines
    can be given as they are.

    Parameters
    ----------
    reference
        Pair commands that `require_reference` has seen, atom types in the order of ``elements``.
    style, coefficients
        What stands over it: a style with its arguments, and its ``pair_coeff`` lines in a hybrid's form.

    Raises
    ------
    DataError
        If a pair of elements has no ``pair_coeff`` line: by itself LAMMPS would mix one or refuse, in an
        overlay it leaves the pair without energy.
    """
    words = reference[0].split()[1:]
    hybrid = words[0] in HYBRID
    parts: list[list[str]] = []
    for place, word in enumerate(words[1:] if hybrid else words):
        if word in STYLES and (hybrid or place == 0):
            parts.append([])
        parts[-1].append(word)
    lines = [command.split()[1:] for command in reference[1:]]
    if not hybrid:
        lines = [[*line[:2], words[0], *line[2:]] for line in lines]
    if any(part[0] == "zbl" for part in parts) and not any(line[2] == "zbl" for line in lines):
        lines += [
            [str(i + 1), str(j + 1), "zbl", *(str(atomic_numbers[elements[kind]]) for kind in (i, j))]
            for i, j in combinations_with_replacement(range(len(elements)), 2)
        ]
    for i, j in combinations_with_replacement(range(len(elements)), 2):
        if not any(_names(line, i + 1, j + 1, len(elements)) for line in lines):
            raise DataError(f"no pair_coeff for types {i + 1} and {j + 1}, {elements[i]} and {elements[j]}")
    lines = [line for line in lines if line[2] != EMPTY]
    under = " ".join(" ".join(part) for part in parts if part[0] != EMPTY)
    return [
        f"pair_style hybrid/overlay {under} {style}",
        *(f"pair_coeff {' '.join(line)}" for line in lines),
        *coefficients,
    ]


def _names(line: Sequence[str], first: int, second: int, n_types: int) -> bool:
    """Tell whether a ``pair_coeff`` line is of two types, in either order."""
    return any(
        _holds(line[0], i, n_types) and _holds(line[1], j, n_types)
        for i, j in ((first, second), (second, first))
    )


def _holds(types: str, kind: int, n_types: int) -> bool:
    """Tell whether ``2``, ``*``, ``2*``, ``*3`` or ``2*3`` holds a type."""
    low, star, high = types.partition("*")
    return int(low or 1) <= kind <= int((high or n_types) if star else low)


def require_over(commands: Sequence[str], elements: Sequence[str], style: str, given: str) -> None:
    """Check that commands are those of a style over a reference, or of the style alone.

    Parameters
    ----------
    given
        What follows the types, and in an overlay the style, in its ``pair_coeff`` line.

    Raises
    ------
    DataError
        If they are other commands, which the coefficients of the style would not describe.
    """
    if list(commands) == [f"pair_style {style}", f"pair_coeff * * {given}"]:
        return
    over, reference = f"pair_coeff * * {style} {given}", list(commands[:-1])
    if reference and reference[0].endswith(f" {style}"):
        reference[0] = reference[0].removesuffix(f" {style}")
        require_reference(reference)
        if list(commands) == overlaid(reference, elements, style, [over]):
            return
    raise DataError(
        f"expected pair_style {style} with its files, over a reference or alone, got {list(commands)}"
    )


__all__ = ["overlaid", "require_over", "require_reference"]
