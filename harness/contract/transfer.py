"""What a fit carries over from labels of another level of theory, and what energies are counted from."""

from __future__ import annotations

from dataclasses import dataclass

from crossprune.harness.errors import unknown_name

WAYS = {
    "none": "the chosen target labels alone",
    "source": "the source labels alone; of the target nothing but what references take",
    "pooled": "source and target labels together, all with the weights of their groups",
    "delta": "the source labels, then what the target labels differ by, with a family's own ridge",
    "prior": "the source labels, then the target's, with a ridge towards that model as the evidence says",
}
"""Ways of transfer, and what a model is fitted to in each."""
REFERENCES = {
    "none": "total energies: no energy per element is subtracted",
    "source": "energies per element regressed on the source labels, for both levels",
    "target": "energies per element of each level: those of the target regressed on the chosen labels",
}
"""What energies are counted from."""


@dataclass(frozen=True)
class Transfer:
    """How a model makes use of source labels."""

    way: str
    references: str = "target"

    def __post_init__(self) -> None:
        """Refuse what there is not."""
        for kind, name, known in (
            ("way of transfer", self.way, WAYS),
            ("references", self.references, REFERENCES),
        ):
            if name not in known:
                raise ValueError(unknown_name(kind, name, known))
        if self.way == "none" and self.references == "source":
            raise ValueError("transfer 'none' sees no source labels, and references 'source' are of them")

    @property
    def is_plain(self) -> bool:
        """Whether it is an ordinary fit."""
        return (self.way, self.references) == ("none", "target")
