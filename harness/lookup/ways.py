"""The table ``[transfer]`` of a study: source and target, and the models that it adds for each way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crossprune.harness.contract.transfer import REFERENCES, WAYS, Transfer
from crossprune.harness.errors import StudyError, unknown_name


@dataclass(frozen=True)
class TransferTable:
    """What is carried over from labels of one level of theory to models of another."""

    source: str = ""
    """Where many labels are: a level of the data sets, the name of a card, or the path of a file."""
    target: str = ""
    """The level that is chosen from, fitted and tested; empty takes the first that a data set has."""
    ways: tuple[str, ...] = ()
    """Ways of transfer that every model of the study is fitted by as well: source, pooled, delta,
    prior."""
    references: tuple[str, ...] = ("target",)
    """What energies are counted from: target, source, none."""

    def __post_init__(self) -> None:
        """Refuse what there is not."""
        for kind, given, known in (
            ("way of transfer", self.ways, WAYS),
            ("references", self.references, REFERENCES),
        ):
            for name in given:
                if name not in known:
                    raise ValueError(unknown_name(kind, name, known))
        if self.ways and not self.source:
            raise ValueError('ways are given, and no source; name one, such as source = "pbe"')
        if not self.references:
            raise ValueError("references is empty; leave it out for those of the target")


def with_ways(axes: Mapping[str, Any], options: Mapping[str, Any], table: TransferTable, where: str) -> Any:
    """Add a model for each way and each kind of references to the models of a study.

    Returns
    -------
    tuple
        Models, and tables of options: ``snap-prior`` is snap with ``transfer = "prior"``; references other
        than the target's are added to the name.

    Raises
    ------
    StudyError
        If a model or a table of such a name is there already.
    """
    given = axes.get("models", ())
    plain = isinstance(given, (list, tuple)) and all(isinstance(one, str) for one in given)
    if not plain or not all(isinstance(one, Mapping) for one in options.values()):
        return given, options  # what is wrong with them is said where they are read
    models, tables = list(given), {name: dict(one) for name, one in options.items()}
    for model in tuple(models):
        own = tables.get(model, {})
        if {"transfer", "references"} & set(own):
            continue
        for way in dict.fromkeys(("none", *table.ways)):
            for references in dict.fromkeys(table.references):
                if way == "none" and (references == "source" or Transfer(way, references).is_plain):
                    continue
                name = name_of(model, way, references)
                if name in models or name in tables:
                    raise StudyError(f"{where}: [transfer] makes a model {name!r}, and there is one already")
                models.append(name)
                tables[name] = {"adapter": model, **own, "transfer": way, "references": references}
    return models, tables


def name_of(model: str, way: str, references: str) -> str:
    """Name a model that is fitted by a way of transfer."""
    return f"{model}-{way}" if references == "target" else f"{model}-{way}-{references}"
