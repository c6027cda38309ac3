"""An adapter that always raises: it proves that a failing cell is a row, not a crash of the run."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NoReturn, Self

import numpy as np
from ase import Atoms
from crossprune.harness.contract import Descriptor, Fitter, IntArray, Potential, Prepared, Weights


@dataclass(frozen=True)
class BrokenOptions:
    """How the adapter breaks."""

    how: Literal["raise", "segfault", "hang", "memory"] = "raise"
    """``raise`` an exception, kill the worker by a segmentation fault, hang forever, or take all memory."""


class BrokenPotential(Potential):
    """A potential that cannot exist."""

    adapter = "broken"

    def predict(self, atoms: Atoms) -> NoReturn:
        """Raise."""
        raise RuntimeError("the adapter 'broken' always raises")

    def write(self, folder: Path) -> NoReturn:
        """Raise."""
        raise RuntimeError("the adapter 'broken' always raises")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Raise."""
        raise RuntimeError("the adapter 'broken' always raises")

    def export(self, folder: Path) -> NoReturn:
        """Raise."""
        raise RuntimeError("the adapter 'broken' always raises")


class Broken(Descriptor[BrokenOptions], Fitter[BrokenOptions]):
    """Raises, crashes, hangs or takes all memory in features and in fit; prepare succeeds."""

    name = "broken"
    options_type = BrokenOptions
    distributions = ()
    potential_type = BrokenPotential

    def features(self, atoms: Atoms) -> NoReturn:
        """Break."""
        self._break()

    def prepare(self, frames: Sequence[Atoms], *, workspace: Path | None = None) -> Prepared:
        """Prepare nothing."""
        return Prepared(frames)

    def fit(
        self, prepared: Prepared, subset: IntArray, *, weights: Weights, rng: np.random.Generator
    ) -> NoReturn:
        """Break."""
        self._break()

    def _break(self) -> NoReturn:
        if self.options.how == "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        while self.options.how == "hang":
            signal.pause()
        taken = []
        while self.options.how == "memory":
            taken.append(np.ones(2_000_000))
        raise RuntimeError("the adapter 'broken' always raises")
