"""What is asked for: how many frames, chosen how, in whose latent space."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeGuard

import numpy as np
from crossprune.harness.contract import Descriptor
from crossprune.harness.data.files.labels import Keys
from crossprune.harness.errors import StudyError, unknown_name
from crossprune.harness.lookup import AdapterSpec, adapter_class
from crossprune.harness.selection.axes import MODEL, POOLINGS, SPACES, scaling_of
from crossprune.harness.selection.methods import BUDGETS, method_of

ALL = "all"
"""As a number, every frame that can be chosen; as a chooser, every family that describes and fits."""
OF_LABELS = ("gradient_fps", "energy_spread", "force_spread", "force_highest", "force_lowest")
"""Methods that look at labels."""
REAL = (int, float, np.integer, np.floating)


def is_whole(value: object) -> TypeGuard[int]:
    """Say whether a value is a whole number, numpy's or not; truth is none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


@dataclass(frozen=True)
class Request:
    """What to choose, and how."""

    specs: tuple[AdapterSpec, ...]
    """Families in whose latent spaces is chosen; of several in all at once. Empty to draw at random."""
    n: int | str | None = None
    """Of what ``budget`` counts; `ALL` for everything. This or ``fraction``."""
    fraction: float | None = None
    """Of what can be chosen, in (0, 1]."""
    method: str = "fps"
    budget: str = "configurations"
    space: str = "atoms"
    scaling: str = "standard"
    pooling: str = "mean"
    seed: int = 0
    keys: Keys = field(default_factory=Keys)
    workers: int = 1
    """Processes; 1 works in this one."""
    memory_gb: float = 4.0
    """What choosing may take, GB."""
    refits: Path | None = None
    """A finished run, asked who chose best for which model."""

    def __post_init__(self) -> None:
        """Check what can be checked before anything is read."""
        method = method_of(self.method)
        if (self.n is None) == (self.fraction is None):
            raise StudyError("give either a number of frames (n) or a fraction of the pool")
        if self.fraction is not None and not (isinstance(self.fraction, REAL) and 0 < self.fraction <= 1):
            raise StudyError(f"fraction {self.fraction!r} is not in (0, 1]; 0.1 takes 10 % of the pool")
        is_all = isinstance(self.n, str) and self.n == ALL
        if self.n is not None and not is_all and not (is_whole(self.n) and self.n > 0):
            raise StudyError(f"n is {self.n!r}; give a whole number above 0, or {ALL!r}")
        if not is_whole(self.seed) or self.seed < 0:
            raise StudyError(f"seed is {self.seed!r}; give a whole number from 0")
        for what, known in (("budget", BUDGETS), ("space", SPACES), ("pooling", tuple(POOLINGS))):
            if getattr(self, what) not in known:
                raise StudyError(unknown_name(what, getattr(self, what), known))
        scaling_of(self.scaling)
        if method.described and not self.specs:
            raise StudyError(f"method {self.method!r} looks at a latent space: whose? Give a chooser")
        if self.method.partition("@")[0] in OF_LABELS:
            raise StudyError(
                f"method {self.method!r} looks at labels, which a pool to be labelled has not; "
                "give another, such as fps"
            )
        if len(self.specs) > 1 and not method.pooled and method.described:
            raise StudyError(
                f"method {self.method!r} looks at atoms, and several choosers agree on configurations "
                "only; give one chooser, or a method such as fps, d_optimal or direct"
            )
        for spec in self.specs:
            can = adapter_class(spec.adapter).capabilities
            if self.space == "atoms" and not issubclass(adapter_class(spec.adapter), Descriptor):
                raise StudyError(f"adapter {spec.adapter!r} is no descriptor, so it cannot choose data")
            if self.space != "atoms" and not can.rows:
                raise StudyError(f"{spec.adapter!r} has no design rows; give space 'atoms'")
            if self.scaling == MODEL and not can.metric:
                raise StudyError(
                    f"{spec.adapter!r} has no metric of a fit; give another scaling than 'model'"
                )
