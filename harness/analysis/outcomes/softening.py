"""Softness of every fitted model of a run, from what it predicted for frames that it did not see."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import labelled, way_of
from crossprune.harness.analysis.spaces.predictions import holds_predictions, predicted
from crossprune.harness.contract import FloatArray, IntArray, Predictions
from crossprune.harness.data.frames import DataSet, element_counts
from crossprune.harness.engine.results import AXES, published_rows, read_with_published, refits
from crossprune.harness.engine.stored import stored_dataset
from crossprune.harness.engine.study import PARTS
from crossprune.harness.errors import DataError, StudyError, unknown_name
from crossprune.harness.evaluation.metrics import labels_of
from crossprune.harness.evaluation.softening.excess import Energies, Excess, excess
from crossprune.harness.evaluation.softening.histogram import EDGES, counts
from crossprune.harness.evaluation.softening.intervals import N_RESAMPLES
from crossprune.harness.evaluation.softening.slopes import N_SAMPLED, Forces
from crossprune.harness.evaluation.softening.summary import HARD, SOFT, Summary, softness
from crossprune.harness.fingerprint import canonical_hash, source_hash
from crossprune.harness.store.kept import is_noted, kept, there
from crossprune.harness.store.objects import Store

NAME = "softening"
"""Of what a store keeps."""
PREFIX = "excess_"
"""Before the names of what is said of excess energies."""
FIT = ["dataset_key", "fit_key"]
MOST_PAIRS = 3e9
"""Pairs of force components over all fits up to which Theil and Sen's slopes are computed: minutes."""
NOT_KEPT = f"Theil-Sen is left out: of all fits it takes more than {MOST_PAIRS:.0e} pairs of components"
BY = ["dataset", "held_out", "way", "fraction", "model", "split", "group"]
"""What is one over seeds and pools."""
SUMMARISED = ("median_scale", "median_slope", "pooled_slope", "scale", "excess_scale", "excess_slope")
COLUMNS = [
    *AXES,
    *("split", *(one.name for one in fields(Summary))),
    *(f"{PREFIX}{one.name}" for one in fields(Excess) if one.name not in ("group", "n_configurations")),
    *FIT,
]


@dataclass(frozen=True)
class Looked:
    """How forces are looked at."""

    window: tuple[float, float] | None = None
    """eV/Å: atoms whose reference force is from the first to below the second."""
    groups: tuple[str, ...] = ()
    """Only these; empty for all."""
    parts: tuple[str, ...] = PARTS
    n_resamples: int = N_RESAMPLES
    seed: int = 0


def softening_of(root: Path, how: Looked | None = None) -> dict[str, pd.DataFrame]:
    """Say of every cell of a run whether its model is soft, by part and group; nothing is predicted anew.

    Seeds and pools share frames, so each cell has rows of its own, and a summary gives median and range: they
    are never resampled as if they were configurations. What is kept in ``analysis/`` is what is asked for
    by default.

    Parameters
    ----------
    root
        Folder of a finished run.
    how
        What is looked at; by default all.

    Returns
    -------
    dict
        ``softening``: a row per cell, part and group, the axes of the results table and the fields of
        `Summary` and, after ``excess_``, of `Excess`. ``softening_summary``: `BY`, ``n_fits`` and how many
        are ``n_soft`` and ``n_hard``, and of each of `SUMMARISED` the median over seeds and pools, and its
        range ``_lowest`` to ``_highest``; of medians over configurations also the outermost ends of the
        cells' intervals, ``_low`` to ``_high``. ``softening_histogram``: of what the summary has a row for
        over all groups, ``n_slopes`` and ``n_scales``, how many configurations have s and c from ``low`` to
        below ``high``, summed over fits. ``softening_notes``: lines on what is missing, and why.

    Raises
    ------
    StudyError
        If the folder holds no finished run, its store no data sets, or a group is unknown.
    DataError
        If no cell has a row.
    """
    results = _whole(root)
    asked = how or Looked()
    if asked != Looked():
        return _tables(root, results, asked)
    return kept(root, NAME, _stamp(root, results), lambda: _tables(root, results, asked))


def kept_softening(root: Path) -> dict[str, pd.DataFrame]:
    """Return what `softening_of` has kept by default, if it is of this run and code; else nothing."""
    if not is_noted(root, NAME):
        return {}
    return there(root, NAME, _stamp(root, _whole(root))) or {}


def _stamp(root: Path, results: pd.DataFrame) -> str:
    """Hash what tables rest on: results, which fits are still there, code."""
    held = sorted(set(_held(root, _cells(results))["fit_key"]))
    rows = pd.util.hash_pandas_object(results, index=False).to_numpy()
    return canonical_hash(list(results.columns), rows, held, source_hash(__name__))


def summary_of(table: pd.DataFrame) -> pd.DataFrame:
    """Summarise over seeds and pools, which may share a fit: medians, ranges, how many are soft.

    See `softening_of`.
    """
    named = labelled(table)
    named = named.assign(way=way_of(named)).drop_duplicates([*BY, *FIT])
    groups = named.groupby(BY, sort=False)
    found = pd.DataFrame({"n_fits": groups.size()})
    for name, verdict in (("n_soft", SOFT), ("n_hard", HARD)):
        found[name] = named["verdict"].eq(verdict).groupby([named[one] for one in BY], sort=False).sum()
    for name in SUMMARISED:
        each = groups[name]
        columns = {name: each.median(), f"{name}_lowest": each.min(), f"{name}_highest": each.max()}
        found = found.assign(**columns)
    for name in ("median_scale", "median_slope"):
        found = found.assign(**{f"{name}_low": groups[f"{name}_low"].min()})
        found = found.assign(**{f"{name}_high": groups[f"{name}_high"].max()})
    return found.reset_index()


def _whole(root: Path) -> pd.DataFrame:
    """Read the rows over all groups, each cell and part once.

    Raises
    ------
    StudyError
        If there are none.
    """
    path = root / "results.parquet"
    if not path.is_file():
        raise StudyError(f"{root} holds no finished run: crossprune run STUDY.toml --store {root}")
    table = read_with_published(path)
    if "fit_key" not in table.columns or not (root / "objects").is_dir():
        raise StudyError(f"{root} has no folder objects: without its store there are no predictions")
    return table


def _cells(results: pd.DataFrame) -> pd.DataFrame:
    """Return the cells that have a fit, each once."""
    done = refits(results)
    done = done[(done["status"] == "done") & done["fit_key"].astype(bool) & done["model"].astype(bool)]
    missing = {name: "" for name in AXES if name not in done.columns}
    return done.assign(**missing)[[*AXES, *FIT]].drop_duplicates().reset_index(drop=True)


def _held(root: Path, cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells whose predictions and data are still in the store."""
    store = Store(root)
    data = {key for key in set(cells["dataset_key"]) if key and store.has("dataset", key)}
    fits = {key for key in set(cells["fit_key"]) if holds_predictions(store.path("fit", str(key)))}
    return cells[cells["dataset_key"].isin(data) & cells["fit_key"].isin(fits)]


def _tables(root: Path, results: pd.DataFrame, how: Looked) -> dict[str, pd.DataFrame]:
    cells = _cells(results)
    held = _held(root, cells)
    fits = held[FIT].drop_duplicates()
    robust = _n_pairs(root, fits) <= MOST_PAIRS
    notes = [*_missing(results, cells, held), *([] if robust else [NOT_KEPT])]
    rows: list[dict[str, object]] = []
    bins: list[pd.DataFrame] = []
    left_out: dict[tuple[str, str], list[str]] = {}
    models = dict(zip(held["fit_key"], held["model"], strict=True))
    _check_groups(root, fits, how.groups)
    for key, part in itertools.product(fits["dataset_key"].unique(), how.parts):
        truth = _Truth.of(stored_dataset(root, str(key)), part, how.groups)
        if truth is None:
            continue
        for fit in fits.loc[fits["dataset_key"] == key, "fit_key"]:
            head = {"dataset_key": key, "fit_key": fit, "split": part}
            try:
                found, histogram = _looked_at(Store(root).path("fit", fit), truth, how, robust=robust)
            except DataError as fault:
                left_out.setdefault((part, str(fault)), []).append(str(models[fit]))
                continue
            rows += [{**head, **one} for one in found]
            bins.append(histogram.assign(**head))
    for (part, why), names in left_out.items():
        of = f"{len(names)} fits of {', '.join(sorted(set(names)))}"
        notes.append(f"part {part!r} of {of} left out: {why}")
    if not rows:
        raise DataError("; ".join([f"{root}: no cell tells of softness", *notes]))
    table = held.merge(pd.DataFrame(rows), on=FIT)[COLUMNS]
    return {
        "softening": table,
        "softening_summary": summary_of(table),
        "softening_histogram": _together(held.merge(pd.concat(bins), on=FIT)),
        "softening_notes": pd.DataFrame({"note": pd.array(notes, dtype="str")}),
    }


def _check_groups(root: Path, fits: pd.DataFrame, groups: Sequence[str]) -> None:
    """Refuse groups that no data set has."""
    known = {one for key in fits["dataset_key"].unique() for one in stored_dataset(root, str(key)).groups}
    for one in groups:
        if known and one not in known:
            raise StudyError(unknown_name("group", one, known))


def _together(bins: pd.DataFrame) -> pd.DataFrame:
    """Add histograms up over seeds and pools; cells that share a fit count once."""
    named = labelled(bins)
    by = [*(one for one in BY if one != "group"), "low", "high"]
    named = named.assign(way=way_of(named)).drop_duplicates([*by, *FIT])
    found: pd.DataFrame = named.groupby(by, sort=False)[["n_slopes", "n_scales"]].sum().reset_index()
    return found


def _missing(results: pd.DataFrame, cells: pd.DataFrame, held: pd.DataFrame) -> list[str]:
    """Say which cells have no rows."""
    notes = []
    mine = refits(results)
    ended = mine[(mine["status"] != "done") & mine["model"].astype(bool)].drop_duplicates("cell")
    for status, those in ended.groupby("status"):
        models = ", ".join(sorted(set(those["model"])))
        notes.append(f"{len(those)} cells left out that are {status}: of {models}")
    if (n_gone := len(cells) - len(held)) > 0:
        gone = cells[~cells.index.isin(held.index)]
        models = ", ".join(sorted(set(gone["model"])))
        notes.append(f"{n_gone} cells left out whose predictions are not in the store any more: of {models}")
    if len(published := published_rows(results)):
        names = ", ".join(sorted(set(published["model"])))
        notes.append(
            f"published potentials left out, whose predictions a store does not keep: {names}; see "
            "crossprune softening POTENTIAL --data SET"
        )
    return notes


def _n_pairs(root: Path, fits: pd.DataFrame) -> float:
    """Count the pairs of components that Theil and Sen's slopes of all fits take."""
    total = 0.0
    for key, mine in fits.groupby("dataset_key"):
        dataset = stored_dataset(root, str(key))
        unseen = np.isin(dataset.parts, PARTS)
        components = 3.0 * np.minimum(dataset.sizes[unseen], N_SAMPLED)
        total += len(mine) * float((components * (components - 1) / 2).sum())
    return total


@dataclass(frozen=True, eq=False)
class _Truth:
    """What every model is compared with on one part."""

    dataset: DataSet
    frames: IntArray
    """Which of the data set."""
    labels: Predictions
    groups: Sequence[str]
    counts: FloatArray
    """Atoms of each element, shape (n_frames, n_elements)."""

    @classmethod
    def of(cls, dataset: DataSet, part: str, groups: Sequence[str]) -> _Truth | None:
        """Gather a part's frames of some groups, or all; None if there are none."""
        frames = dataset.indices(part)
        if groups and len(frames):
            frames = frames[np.isin(np.array(dataset.groups)[frames], list(groups))]
        if not len(frames):
            return None
        atoms = [dataset.frames[index] for index in frames]
        named = [dataset.groups[index] for index in frames]
        return cls(dataset, frames, labels_of(atoms), named, element_counts(atoms, dataset.elements))


def _looked_at(
    folder: Path, truth: _Truth, how: Looked, *, robust: bool
) -> tuple[list[dict[str, object]], pd.DataFrame]:
    """Say of one model on one part what its forces and energies tell: a row per group, and a histogram."""
    sizes = truth.dataset.sizes
    energies, forces = predicted(folder, truth.frames, sizes)
    both = Forces(truth.labels.forces, forces, sizes[truth.frames])
    of_forces = softness(
        both,
        truth.groups,
        window=how.window,
        n_resamples=how.n_resamples,
        seed=how.seed,
        with_theil_sen=robust,
    )
    known = Energies(truth.labels.energies, energies, truth.counts)
    of_energies = excess(known, truth.groups, n_resamples=how.n_resamples, seed=how.seed)
    beside = {
        one.group: {f"{PREFIX}{name}": value for name, value in asdict(one).items()} for one in of_energies
    }
    columns = {"low": EDGES[:-1], "high": EDGES[1:], "n_slopes": counts(of_forces.slopes)}
    histogram = pd.DataFrame({**columns, "n_scales": counts(of_forces.scales)})
    return [{**asdict(one), **beside[one.group]} for one in of_forces.summaries], histogram
