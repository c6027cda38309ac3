"""One frame of a file with its labels, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass

from ase import Atoms


@dataclass(frozen=True)
class Record:
    """One labelled frame and where it comes from."""

    atoms: Atoms
    """Structure with labels and group."""
    place: str
    """File and frame, for messages."""
    sequence: str
    """Trajectory or strain path the frame belongs to; its group if nothing finer is known."""
    order: float
    """Where the frame stands in its sequence."""
    part: str | None = None
    """``train``, ``test`` or ``ood`` if the file says so."""


@dataclass(frozen=True)
class Reading:
    """What a file holds."""

    records: list[Record]
    notes: tuple[str, ...] = ()
    """What a user must know: labels that were found and not used, or made uniform."""
