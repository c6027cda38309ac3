"""Expand a study to its cells, purely."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from crossprune.harness.errors import StudyError, unknown_name
from crossprune.harness.selection import METHODS, RANDOM
from crossprune.harness.study import Study


@dataclass(frozen=True, order=True)
class Choice:
    """How a subset of a data set's training part is chosen."""

    dataset: str
    chooser: str
    method: str
    fraction: float
    seed: int


@dataclass(frozen=True, order=True)
class Cell:
    """One retrained model: a choice of data and the model fitted to it."""

    choice: Choice
    model: str


def expand(study: Study) -> tuple[Cell, ...]:
    """List the cells of a study in a fixed order that does not depend on the order of its lists.

    Raises
    ------
    StudyError
        If a selection method is unknown.
    """
    for method in study.methods:
        if method not in METHODS:
            raise StudyError(unknown_name("selection method", method, METHODS))
    cells = (
        Cell(Choice(dataset, chooser, method, fraction, seed), model)
        for dataset, (chooser, method), fraction, seed, model in itertools.product(
            study.datasets, _spaces(study), study.fractions, study.seeds, study.models
        )
    )
    return tuple(sorted(set(cells)))


def _spaces(study: Study) -> Iterator[tuple[str, str]]:
    """Pair choosers with methods; the random base line comes once, whatever the study says."""
    yield RANDOM, RANDOM
    for chooser, method in itertools.product(study.choosers, study.methods):
        if RANDOM not in (chooser, method):
            yield chooser, method
