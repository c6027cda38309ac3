"""Try a family's search space by cross-validation, as a study of the training part: stored and resumable."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from crossprune.harness.data.cards import DataOptions, list_cards, load_dataset
from crossprune.harness.data.names import table_of
from crossprune.harness.engine.loop import Progress, run
from crossprune.harness.engine.study import Study, as_toml, read_study
from crossprune.harness.errors import StudyError
from crossprune.harness.lookup import adapter_class, resolve
from crossprune.harness.store.objects import Store
from crossprune.harness.tables import from_table

ENERGY, FORCE = "energy_mae_mev_per_atom", "force_mae_ev_per_angstrom"
MEASURED = (ENERGY, f"{ENERGY}_spread", FORCE, f"{FORCE}_spread", "score")


@dataclass(frozen=True)
class Tuned:
    """What was tried, and what was best."""

    model: str
    dataset: str
    """Whose training labels chose."""
    tried: pd.DataFrame
    """A row per point, best first: ``options`` (JSON), ``status``, errors of energies (MAE, meV/atom),
    of forces (eV/Å), mean and standard deviation over folds, ``score``, the root of their product, and
    ``is_default``, true for the defaults with the options that stay."""
    points: Sequence[Mapping[str, Any]]
    """Options of each row."""
    left: int = 0
    """Fits that have not ended: more than 0 only if the run was interrupted."""

    @property
    def best(self) -> Mapping[str, Any]:
        """Options of the point of least score.

        Raises
        ------
        StudyError
            If no point could be fitted in all folds.
        """
        if not len(self.tried) or not np.isfinite(self.tried["score"].iloc[0]):
            raise StudyError(f"no point of {self.model} could be fitted in all folds of {self.dataset}")
        return self.points[0]

    def to_toml(self) -> str:
        """Write the best options as a table for a study; ``tuned_on`` says that they have seen labels."""
        lines = [f"[options.{self.model}]", f"tuned_on = {as_toml(self.dataset)}"]
        return (
            "\n".join([*lines, *(f"{name} = {as_toml(value)}" for name, value in self.best.items())]) + "\n"
        )


def search(
    model: str,
    data: str,
    *,
    store: Store,
    executor: Executor,
    folds: int = 5,
    options: Mapping[str, Any] | None = None,
    loading: Mapping[str, Any] | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Tuned:
    """Fit every point of a family's search space to all folds but one, and predict that one.

    Only the training part is looked at. Trajectories are cut into stretches, copies stay on one side.

    Parameters
    ----------
    model
        Name of an adapter.
    data
        Data set or file.
    store
        Where fits are kept; what it holds is not computed again.
    executor
        Where fits run.
    folds
        Parts that are predicted in turn.
    options
        Options that stay as they are, beside those of the space.
    loading
        As in a study's ``[data.NAME]`` table.
    on_progress
        Called as cells end.

    Raises
    ------
    StudyError
        If the family has no search space, or an option is not known.
    """
    points = points_of(model, data, options or {}, loading or {})
    labels = [f"{model}-{number:03d}" for number in range(len(points))]
    study = Study(
        name=f"tune-{model}",
        datasets=(data,),
        models=tuple(labels),
        fractions=(1.0,),
        seeds=(0,),
        pools=folds,
        options={label: {"adapter": model, **point} for label, point in zip(labels, points, strict=True)},
        data={data: {**(loading or {}), "folds": folds}},
    )
    result = run(study, store, executor, on_progress=on_progress)
    return _tuned(model, data, labels, points, result.overall, folds, result.left)


def asked_by(
    model: str, data: str, options: Mapping[str, Any], loading: Mapping[str, Any]
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return the data set, options that stay, and the loading: of a study's path those that it names.

    What is given beside a study goes before its tables.

    Raises
    ------
    StudyError
        If the study has several data sets.
    """
    if Path(data).suffix != ".toml":
        return data, dict(options), dict(loading)
    study = read_study(Path(data))
    if len(study.datasets) != 1:
        raise StudyError(f"{data} has {len(study.datasets)} data sets; one is tuned on, give --data NAME")
    (name,) = study.datasets
    table = table_of(study.data, study.datasets, name, list_cards()) or {}
    own = {key: value for key, value in study.options.get(model, {}).items() if key != "tuned_on"}
    return name, {**own, **options}, {**table, **loading}


def points_of(
    model: str, data: str, options: Mapping[str, Any], loading: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the points of a family's search space for a data set, the defaults first.

    What follows the data is written out, so that a point means the same wherever it is used.
    """
    cls = adapter_class(model)
    dataset = load_dataset(data, options=from_table(DataOptions, loading, f"[data.{data}]"))
    spacing = dataset.spacing
    space = cls.search_space(spacing) if spacing else ()
    if not space:
        why = "has no search space" if spacing else f"has one that rests on a spacing, and {data} has none"
        raise StudyError(f"adapter {model!r} {why}: compare variants in a study, pools = N and folds = N")
    basis = {**(cls.geometry(spacing) if spacing else {}), **options}
    found: list[dict[str, Any]] = []
    known: list[Any] = []
    for point in ({}, *space):
        table = {**basis, **{name: value for name, value in point.items() if name not in options}}
        meant = resolve(model, {model: table}).options  # reports an unknown option at once
        if meant not in known:
            found.append(table)
            known.append(meant)
    return found


def _tuned(
    model: str,
    data: str,
    labels: Sequence[str],
    points: Sequence[Mapping[str, Any]],
    table: pd.DataFrame,
    folds: int,
    left: int,
) -> Tuned:
    """Average the errors of each point over its folds; a point that failed in one has none."""
    rows = []
    for label, point in zip(labels, points, strict=True):
        own = table[(table["model"] == label) & (table["split"] == "test")]
        statuses = sorted(set(own["status"]))
        values = dict.fromkeys(MEASURED, float("nan"))
        if statuses == ["done"] and len(own) == folds:
            for name in (ENERGY, FORCE):
                values |= {name: float(own[name].mean()), f"{name}_spread": float(own[name].std(ddof=1))}
            values["score"] = float(np.sqrt(values[ENERGY] * values[FORCE]))
        facts = {"options": json.dumps(point), "status": ", ".join(statuses) or "left"}
        rows.append({**facts, **values, "is_default": label == labels[0]})
    tried = pd.DataFrame(rows, columns=["options", "status", *MEASURED, "is_default"])
    order = np.argsort(tried["score"].to_numpy(), kind="stable")  # NaN comes last
    return Tuned(
        model, data, tried.iloc[order].reset_index(drop=True), [points[place] for place in order], left
    )
