"""All that a page can open: cells, and the frames behind points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from crossprune.harness.analysis.details.artefacts import Artefacts
from crossprune.harness.analysis.details.chosen import kept_of_groups
from crossprune.harness.analysis.details.fits import errors_of_fits, fits_of
from crossprune.harness.analysis.details.groups import errors_of_groups
from crossprune.harness.analysis.details.structures import Structures, files_of, structures_of
from crossprune.harness.analysis.spaces.latent import stored_study
from crossprune.harness.contract import IntArray
from crossprune.harness.engine.results import by_pool, not_held_out
from crossprune.harness.engine.study import Study
from crossprune.harness.evaluation.metrics import ALL
from crossprune.harness.store.tables import PROVENANCE, read_provenance
from crossprune.harness.tables import parse_toml


@dataclass(frozen=True)
class Details:
    """What lies behind the cells of a study, as far as table and store hold it."""

    groups: pd.DataFrame = field(default_factory=pd.DataFrame)
    """As `crossprune.harness.analysis.details.groups.errors_of_groups`."""
    fits: pd.DataFrame = field(default_factory=pd.DataFrame)
    """The table ``cell_fits`` of `crossprune.harness.analysis.details.fits.errors_of_fits`."""
    parts: pd.DataFrame = field(default_factory=pd.DataFrame)
    """Its table ``cell_parts``."""
    n_fits: int = 0
    """Finished cells (first seeds) that have a fit; ``fits`` may hold fewer."""
    kept: pd.DataFrame = field(default_factory=pd.DataFrame)
    """As `crossprune.harness.analysis.details.chosen.kept_of_groups`."""
    structures: tuple[Structures, ...] = ()
    chosen: Mapping[tuple[str, str, float], IntArray] = field(default_factory=dict)
    """Data set, way of choosing and fraction → the frames that the first seed chose in the first pool."""
    study: Study | None = None
    """The study of the store; None if its text is not there, or is no longer understood."""
    document: Mapping[str, Any] = field(default_factory=dict)
    """Its tables as they were written."""


def details_of(root: Path, results: pd.DataFrame, artefacts: Artefacts, whole: Path | None = None) -> Details:
    """Gather what a page can open of a run.

    Parameters
    ----------
    root
        The store; of a table without one, only errors by group are known.
    results
        The results table.
    artefacts
        What was gathered of the same store: choices, and the frames that are points of plots.
    whole
        The whole table as Parquet, if ``results`` holds only its rows over all groups.
    """
    groups = errors_of_groups(by_pool(results), whole)
    if artefacts.subsets is None or "fit_key" not in results.columns:
        return Details(groups=groups)
    study = stored_study(root)
    overall = by_pool(not_held_out(results[results["group"] == ALL]))
    first = overall[overall["pool"] == 0] if "pool" in overall else overall
    tables = errors_of_fits(root, first)
    found = tuple(structures_of(root, first, _wanted(first, artefacts, tables["cell_parts"])))
    if study is not None:
        found = tuple(replace(one, files=files_of(study, one.source)) for one in found)
    return Details(
        groups=groups,
        fits=tables["cell_fits"],
        parts=tables["cell_parts"],
        n_fits=len(fits_of(first)),
        kept=kept_of_groups(root, artefacts.subsets),
        structures=found,
        chosen=_chosen(first, artefacts.subsets),
        study=study,
        document={} if study is None else parse_toml(str(_facts(root)["toml"]).encode(), PROVENANCE),
    )


def _facts(root: Path) -> Mapping[str, object]:
    return read_provenance(root / PROVENANCE) or {}


def _wanted(first: pd.DataFrame, artefacts: Artefacts, parts: pd.DataFrame) -> dict[str, IntArray]:
    """Gather the frames that are points of a map or a parity plot, by data set."""
    sources = dict(
        zip(first["dataset"], first["source"] if "source" in first else first["dataset"], strict=True)
    )
    points = [(sources.get(one.dataset, one.dataset), one.frames) for one in artefacts.maps]
    points += [(sources.get(one.dataset, one.dataset), one.frames) for one in artefacts.parity]
    points += [(str(row["source"]), np.asarray(row["frames"])) for row in parts.to_dict("records")]
    names = dict.fromkeys(name for name, _ in points)
    return {
        name: np.unique(np.concatenate([one for other, one in points if other == name])) for name in names
    }


def _chosen(first: pd.DataFrame, subsets: pd.DataFrame) -> dict[tuple[str, str, float], IntArray]:
    here = subsets[subsets["dataset"].isin(set(first["dataset"]))].sort_values("seed")
    here = here.drop_duplicates(["source", "way", "fraction"])
    return {
        (str(row["source"]), str(row["way"]), float(row["fraction"])): row["subset"]
        for row in here.to_dict("records")
    }
