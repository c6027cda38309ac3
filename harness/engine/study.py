"""What to run: a study, read from TOML into frozen dataclasses."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from crossprune.harness.contract import GroupWeight, check_weight
from crossprune.harness.data.cards import list_cards
from crossprune.harness.data.names import beside, check_distinct, is_one_of, table_of
from crossprune.harness.data.partition import MOST_POOLS
from crossprune.harness.errors import StudyError, unknown_name
from crossprune.harness.evaluation.metrics import ALL
from crossprune.harness.evaluation.motion.planning import MdTable
from crossprune.harness.evaluation.properties import PropertyOptions
from crossprune.harness.lookup.ways import TransferTable, with_ways
from crossprune.harness.names import fault_of_name, fault_of_path
from crossprune.harness.selection.methods import GIVEN_MARK, RANDOM
from crossprune.harness.tables import from_table, read_toml

LARGEST_SEED = 2**63 - 1
"""What a column of whole numbers holds."""


@dataclass(frozen=True)
class Limits:
    """Bounds on one stage of one cell."""

    timeout_s: float = 3600.0
    """Wall time, seconds; a stage that takes longer ends as ``timeout``."""
    memory_gb: float | None = None
    """Memory, GB (10⁹ bytes); a stage that takes more ends as ``out_of_memory``. Default: what there is."""

    def __post_init__(self) -> None:
        """Check that a limit is above zero."""
        for name in ("timeout_s", "memory_gb"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} is {value:g}; give a number above 0")


PUBLISHED = "published"
"""Chooser and method of a published potential's row: nobody chose, and its fraction is missing."""
OUTCOMES = (
    *("force", "energy", "force_rmse", "energy_rmse", "force_p95", "energy_p95"),
    *("force_worst_group", "energy_worst_group", "stress"),
    *("properties", "properties_seen", "properties_unseen", "survival", "survival_temperature"),
)
"""What choosers are compared by: errors, mean absolute ones first; means over properties; dynamics."""
PARTS = ("test", "ood")
COMPARISONS = ("own / random", "other / random", "own / other")


@dataclass(frozen=True)
class Primary:
    """The one comparison, over all models, that a study is run for; everything else is exploratory."""

    outcome: str = "force"
    """What is compared: force or energy (mean absolute errors), or another of docs/metrics/outcomes.md."""
    split: str = "test"
    """Part that errors are of: test or ood."""
    comparison: str = "own / other"
    """Whose data: own / other, own / random or other / random."""

    def __post_init__(self) -> None:
        """Check that it is among what is compared."""
        for name, known in (("outcome", OUTCOMES), ("split", PARTS), ("comparison", COMPARISONS)):
            if getattr(self, name) not in known:
                raise ValueError(unknown_name(name, getattr(self, name), known))


AXES = (
    *("datasets", "models", "choosers", "methods", "masks", "spaces", "scalings", "poolings"),
    *("fractions", "seeds"),
)
"""Those of which a value may not be given twice."""


@dataclass(frozen=True)
class Study:
    """The axes of the matrix and everything that its cells depend on."""

    name: str
    """Name in reports."""
    datasets: tuple[str, ...]
    """Names of data sets, or paths of extended-XYZ files or ASE databases."""
    models: tuple[str, ...]
    """Adapters (or variants of them, see ``options``) to retrain; none in a study that only chooses."""
    choosers: tuple[str, ...] = ()
    """Adapters whose latent space chooses; the random base line is always added."""
    methods: tuple[str, ...] = ("fps",)
    """Selection methods."""
    given: tuple[str, ...] = ()
    """Groups, or patterns of their names, that are labelled already: every fit has them, and choices
    complete them."""
    masks: tuple[str, ...] = ("none",)
    """What is chosen: ``none`` is masked in whole configurations; of ``atoms``, all but the chosen ones."""
    spaces: tuple[str, ...] = ("atoms",)
    """What describes a configuration: its atoms, or rows of least squares: rows or force_rows."""
    scalings: tuple[str, ...] = ("standard",)
    """How columns are weighted: none, standard, standard_all, whitened, pca:K, or model (as its fit does)."""
    poolings: tuple[str, ...] = ("mean",)
    """How atoms, or rows, become one point per configuration: mean, sum, max, std or mean_std."""
    budget: str = "configurations"
    """What a fraction is a fraction of: configurations, atoms or labels."""
    fractions: tuple[float, ...] = (0.1, 0.25, 0.5, 1.0)
    """Kept fractions of the training set, in (0, 1]; see ``budget``."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Repetitions."""
    pools: int = 1
    """Splits of each data set: its own, and others that are drawn, with other frames in train and test."""
    ood: Literal["own", "each"] = "own"
    """Part ood: the data set's ``own``; ``each`` adds a pool for every group, which is ood in it."""
    published: tuple[str, ...] = ()
    """Published potentials (``lammps:snap:Mo_Zuo_JPCA2020``), rows beside the refits where they know all
    elements of a data set."""
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Options per adapter; ``adapter = "snap"`` in a table makes its name a variant of snap."""
    tune: Literal["", "inside"] = ""
    """``inside``: each fit re-estimates its regularisation on the labels of its own chosen subset, in the
    families that can."""
    weights: Mapping[str, GroupWeight] = field(default_factory=dict)
    """Relative weights per group of configurations."""
    data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Loading options per data set: keys, splits, filters."""
    primary: Primary = field(default_factory=Primary)
    """What is asked; written into the store before the first result."""
    limits: Limits = field(default_factory=Limits)
    """Bounds on a stage."""
    transfer: TransferTable = field(default_factory=TransferTable)
    """What is carried over from labels of another level of theory."""
    properties: PropertyOptions = field(default_factory=PropertyOptions)
    """Which physical properties of the fitted models are computed."""
    md: MdTable = field(default_factory=MdTable)
    """Which molecular dynamics the fitted models must survive."""

    def __post_init__(self) -> None:
        """Check what can be checked without looking at data sets or adapters."""
        self._check_names()
        for axis in AXES:
            if not getattr(self, axis) and axis not in ("choosers", "models"):
                raise ValueError(f"{axis} is empty; give at least one")
        for axis in AXES:
            values = getattr(self, axis)
            if len(set(values)) != len(values):
                raise ValueError(f"{axis} has a value twice: {list(values)}")
        check_distinct(self.datasets, list_cards())
        self._check_labels()
        for fraction in self.fractions:
            if not 0 < fraction <= 1:
                raise ValueError(f"fraction {fraction} is not in (0, 1]; 0.1 keeps 10 % of the training set")
        for seed in self.seeds:
            if not 0 <= seed <= LARGEST_SEED:
                raise ValueError(f"seed {seed} is not between 0 and {LARGEST_SEED} (2⁶³ − 1)")
        if not 1 <= self.pools <= MOST_POOLS:
            raise ValueError(f"pools is {self.pools}; give 1 (the data set's own split) to {MOST_POOLS}")
        for pattern in self.given:
            if GIVEN_MARK.strip() in pattern or "," in pattern:
                raise ValueError(f"given has {pattern!r}: no commas and no +; give ? in their place")
        if self.given and "atoms" in self.masks:
            raise ValueError("given and masks = ['atoms']: single atoms complete no given set; leave one out")
        self._check_primary()
        for table, options in (("properties", self.properties), ("md", self.md)):
            if options.enabled and not self.models:
                raise ValueError(f"{table}.enabled is true, and models is empty: name the models to look at")
            for axis, asked, known in (
                ("seeds", options.seeds, self.seeds),
                ("models", options.models, self.models),
            ):
                if unknown := [one for one in asked if one not in known]:
                    raise ValueError(
                        f"{table}.{axis} has {unknown[0]!r}, which is not among the study's {list(known)}"
                    )
        for group, weight in self.weights.items():
            for name, value in vars(weight).items():
                check_weight(f"weights.{group}: {name}", value)

    def _check_primary(self) -> None:
        """Refuse an outcome that the study does not ask for."""
        outcome, md = self.primary.outcome, self.md
        needed = ""
        if outcome.startswith("properties") and not self.properties.enabled:
            needed = "[properties] enabled = true"
        elif outcome == "survival" and not (md.enabled and (md.ensembles or md.reference_temperatures)):
            needed = "[md] enabled = true with ensembles"
        elif outcome == "survival_temperature" and not (md.enabled and md.ramp):
            needed = "[md] enabled = true with ramp = true"
        if needed:
            raise ValueError(f"primary.outcome is {outcome}, of which the study asks nothing; add {needed}")

    def _check_names(self) -> None:
        """Refuse names that are no names, since folders and files are called after them."""
        for label in (self.name, *self.models, *self.choosers, *self.options):
            if fault := fault_of_name(label):
                raise ValueError(fault)
        for dataset in self.datasets:
            if fault := fault_of_path(dataset):
                raise ValueError(f"datasets: {fault}")
        if len(set(self.published)) != len(self.published):
            raise ValueError(f"published has a value twice: {list(self.published)}")
        if PUBLISHED in (*self.models, *self.choosers, *self.options):
            raise ValueError(f"{PUBLISHED!r} stands for published potentials in results; give another name")
        if ALL in (*self.models, *self.choosers, *self.options):
            raise ValueError(f"{ALL!r} stands for all models in results; give the variant another name")
        if RANDOM in self.models or RANDOM in self.options:
            raise ValueError(f"{RANDOM!r} is the choice by chance, which is always added; it is no model")

    @property
    def labels(self) -> dict[str, str]:
        """What each data set is called in tables, to its card's name or its file's path."""
        cards, labels = list_cards(), {}
        for source in self.datasets:
            tables = (table for name, table in self.data.items() if is_one_of(name, [source], cards))
            labels[str(next(tables, {}).get("name") or source)] = source
        return labels

    def _check_labels(self) -> None:
        """Refuse two data sets of one name in tables."""
        labels, cards = self.labels, list_cards()
        if len(labels) < len(self.datasets) or any(
            label in cards and source != label for label, source in labels.items()
        ):
            raise ValueError(
                f"datasets: two are called alike in tables, or one like a card ({', '.join(labels)}); give "
                'files other names: name = "…" in [data."FILE"]'
            )

    def placed(self, folder: Path) -> Study:
        """Return the study with its paths, which are relative to its ``folder``, as seen from here."""
        cards = list_cards()
        places = {name: beside(folder, name, cards) for name in (*self.datasets, *self.data)}
        transfer, source = self.transfer, self.transfer.source
        if source:
            transfer = dataclasses.replace(transfer, source=beside(folder, source, cards))
        tables = {}
        for name, table in self.data.items():
            paths = {key: str(folder / table[key]) for key in PATHS if isinstance(table.get(key), str)}
            tables[places[name]] = {**table, **paths}
        for name in self.datasets:
            same = next((one for one in tables if is_one_of(one, [places[name]], cards)), places[name])
            if places[name] != name:
                tables[same] = {"name": name, **tables.get(same, {})}
        names = tuple(places[one] for one in self.datasets)
        return dataclasses.replace(self, datasets=names, data=tables, transfer=transfer)

    def with_data(self, names: Sequence[str], keys: Mapping[str, str]) -> Study:
        """Return the study with other data sets, or with other names of the labels in its files.

        Parameters
        ----------
        names
            Data sets instead of its own; empty keeps them. Tables of its own that are not among them are
            left out, all other ``[data.NAME]`` tables must belong to one of them.
        keys
            Options such as ``energy_key`` that replace those of each file's table.

        Raises
        ------
        StudyError
            If a data set is given twice, or keys are given and no data set is a file.
        """
        cards, chosen = list_cards(), tuple(names) or self.datasets
        files = [name for name in chosen if name not in cards]
        if keys and not files:
            raise StudyError(
                f"{', '.join(keys)}: for files of your own; the cards of {', '.join(chosen)} say how"
            )
        unused = [name for name in self.datasets if not is_one_of(name, chosen, cards)]
        data = {name: table for name, table in self.data.items() if not is_one_of(name, unused, cards)}
        for name in files if keys else ():
            table = table_of(data, [*chosen, *data], name, cards) or {}
            data = {other: one for other, one in data.items() if not is_one_of(other, [name], cards)}
            data[name] = {**table, **keys}
        try:
            return dataclasses.replace(self, datasets=chosen, data=data)
        except ValueError as error:
            raise StudyError(f"--data: {error}") from None


PATHS = ("test", "ood", "card")
"""Options of ``[data.NAME]`` that are paths."""
TABLES = ("study", "primary", "options", "weights", "data", "limits", "transfer", "properties", "md")
REPLACED = {
    "properties": "give budget_evaluations, structures computed per model, the same on every machine",
    "md": "steps and ramp_steps say how long runs are",
}
"""Tables that had a budget in seconds, and what says now how much is computed."""


def read_study(path: Path) -> Study:
    """Read a study file; its paths are relative to its folder.

    Raises
    ------
    StudyError
        If the file is missing, is not TOML, or has an unknown, missing or wrong entry.
    """
    return parse_study(read_toml(path), str(path)).placed(path.parent)


def document_of(study: Study) -> dict[str, Any]:
    """Return the tables of a study's file."""
    axes = dataclasses.asdict(study)
    tables = {name: axes.pop(name) for name in TABLES[1:]}
    return {"study": axes, **{name: table for name, table in tables.items() if table}}


def to_toml(document: Mapping[str, Any]) -> str:
    """Write tables as TOML; what is None is left out."""
    return "\n".join(_toml_lines(document, ())) + "\n"


def _toml_lines(table: Mapping[str, Any], place: tuple[str, ...]) -> Iterator[str]:
    if place:
        yield f"[{'.'.join(map(_toml_key, place))}]"
    for key, value in table.items():
        if value is not None and not isinstance(value, Mapping):
            yield f"{_toml_key(key)} = {as_toml(value)}"
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _toml_lines(value, (*place, key))


def _toml_key(key: str) -> str:
    """Write a key bare where TOML allows it."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else as_toml(key)


def as_toml(value: object) -> str:
    """Write a text, a number, a list or a table in one line as TOML."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(as_toml, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{as_toml(str(name))} = {as_toml(one)}" for name, one in value.items()) + "}"
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def parse_study(document: Mapping[str, Any], where: str) -> Study:
    """Build a study from a parsed TOML document; ``where`` is its name in messages."""
    for table in document:
        if table not in TABLES:
            raise StudyError(f"{where}: {unknown_name('table', table, TABLES)}")
        if not isinstance(document[table], Mapping):
            raise StudyError(f"{where}: {table} is no table; write it as [{table}]")
    for table, instead in REPLACED.items():
        if "budget_s" in document.get(table, {}):
            limit = "timeout_s in [limits] still ends what hangs"
            raise StudyError(f"{where}: [{table}]: there is no budget_s any more; {instead}; {limit}")
    if "study" not in document:
        raise StudyError(f"{where}: the table [study] is missing")
    axes = document["study"]
    for table in TABLES[1:]:
        if table in axes:
            raise StudyError(f"{where}: [study]: {table} is a table of its own, [{table}]")
    for key, value in document.get("data", {}).items():
        if not isinstance(value, Mapping):
            names = axes.get("datasets")
            example = names[0] if isinstance(names, (list, tuple)) and names else "NAME"
            raise StudyError(
                f'{where}: [data]: {key} belongs into the table of a data set: [data."{example}"]'
            )
    rest = {table: document[table] for table in TABLES[1:] if table in document}
    if "transfer" in rest:
        asked = from_table(TransferTable, rest["transfer"], f"{where}: [transfer]")
        models, rest["options"] = with_ways(axes, rest.get("options", {}), asked, where)
        axes, rest["transfer"] = {**axes, "models": models}, {**rest["transfer"], "ways": ()}
    return from_table(Study, {**axes, **rest}, f"{where}: [study]")
