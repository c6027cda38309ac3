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
        If a command is not allowed (see `require_safe`), or a style takes a parameter file.
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
    lines = [line for line in lines if line[2] != EMPTY]
    if any(part[0] == "zbl" for part in parts) and not any(line[2] == "zbl" for line in lines):
        lines += [
            [str(i + 1), str(j + 1), "zbl", *(str(atomic_numbers[elements[kind]]) for kind in (i, j))]
            for i, j in combinations_with_replacement(range(len(elements)), 2)
        ]
    under = " ".join(" ".join(part) for part in parts if part[0] != EMPTY)
    return [
        f"pair_style hybrid/overlay {under} {style}",
        *(f"pair_coeff {' '.join(line)}" for line in lines),
        *coefficients,
    ]


__all__ = ["overlaid", "require_reference"]
