"""Options of universal models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from crossprune.adapters.linear.options import LinearOptions

HEADS = ("shift", "scale", "linear", "finetune")


@dataclass(frozen=True)
class UniversalOptions(LinearOptions):
    """Which model, where it is computed, and what is fitted on top of it."""

    model: str = "chgnet:0.3.0"
    """``chgnet:0.3.0``, ``sevenn:7net-0``, ``diep:fold1``, ``matgl:FOLDER``, ``mace:FILE``."""
    modal: str = ""
    """Level of theory or head of models that have several, such as ``PBE`` of ``sevenn:7net-mf-0``."""
    environment: str = ""
    """Virtual environment with the package, in a folder of CROSSPRUNE_ENVIRONMENTS; empty for this one."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where PyTorch computes; ``auto`` takes a graphics card where there is one."""
    head: Literal["shift", "scale", "linear", "finetune"] = "shift"
    """What is fitted: energies per element; these and a factor on the forces; these and a linear term in the
    features; or these and parameters of the network."""
    layers: Literal["all", "last"] = "all"
    """Of ``finetune``: all parameters, or those behind the features."""
    epochs: int = 20
    """Of ``finetune``: passes over the subset, at most."""
    learning_rate: float = 5e-4
    """Of ``finetune``: of Adam, falling to 0 as a cosine (dimensionless)."""
    batch_size: int = 4
    """Of ``finetune``: structures per step."""
    validation: float = 0.1
    """Of ``finetune``: share of the subset that stops early, from ten frames on."""
    ridge: float = 1e-6
    """Of ``linear``: ridge strength, relative to the squared norm of each weighted column (dimensionless)."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        super().__post_init__()
        if ":" not in self.model:
            raise ValueError(f"model must be PACKAGE:MODEL, such as chgnet:0.3.0, got {self.model!r}")
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(f"epochs and batch_size must be 1 or more, got {self.epochs}, {self.batch_size}")
        if not 0 < self.learning_rate <= 0.1:
            raise ValueError(f"learning_rate must be above 0 and at most 0.1, got {self.learning_rate}")
        if not 0 <= self.validation < 1:
            raise ValueError(f"validation must be 0 or more and below 1, got {self.validation}")
        if self.head != "linear":
            self._require_plain()

    def _require_plain(self) -> None:
        """Refuse what means nothing where no linear term is fitted."""
        if self.regularisation != "ridge" or self.reweight:
            raise ValueError("regularisation and reweight are of head = 'linear' only")
        if self.energy_weight == 0:
            raise ValueError(f"energy_weight is 0, and head = {self.head!r} fits energies per element")
        if self.head == "scale" and self.force_weight == 0:
            raise ValueError("force_weight is 0, and head = 'scale' fits a factor on forces")
