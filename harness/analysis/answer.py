"""Answer the question from a store: every table of statistics and diagnostics."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import labelled, partial_errors
from crossprune.harness.analysis.comparisons import compare
from crossprune.harness.analysis.contrasts import EVERY_MODEL
from crossprune.harness.analysis.details.artefacts import all_predictions_held
from crossprune.harness.analysis.efficiency.drawn import drawn_curves
from crossprune.harness.analysis.efficiency.enough import enough
from crossprune.harness.analysis.efficiency.saving import data_efficiency
from crossprune.harness.analysis.foreign import read_foreign
from crossprune.harness.analysis.outcomes.compared import compare_outcomes
from crossprune.harness.analysis.outcomes.groups import compare_groups, held_out_rows
from crossprune.harness.analysis.outcomes.matrix import matrix
from crossprune.harness.analysis.outcomes.scales import (
    ERRORS,
    UNTESTED,
    Outcome,
    dynamics_outcomes,
    error_outcomes,
    property_outcomes,
)
from crossprune.harness.analysis.outcomes.tradeoffs import tradeoffs
from crossprune.harness.analysis.primary import Asked, asked
from crossprune.harness.analysis.ranks import ranks
from crossprune.harness.analysis.scope import scope
from crossprune.harness.analysis.sizes import sizes
from crossprune.harness.analysis.spaces.described import BEFORE, diagnostics_of
from crossprune.harness.analysis.spaces.predictions import predicted
from crossprune.harness.analysis.units import TestErrors
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.engine.results import (
    MD,
    PROPERTIES,
    RESULTS,
    by_pool,
    held_out_or_all,
    not_held_out,
    refits,
)
from crossprune.harness.engine.stored import stored_dataset
from crossprune.harness.engine.study import PARTS
from crossprune.harness.errors import StudyError
from crossprune.harness.evaluation.metrics import ALL, labels_of
from crossprune.harness.fingerprint import canonical_hash, source_hash
from crossprune.harness.store.kept import kept, write_all
from crossprune.harness.store.objects import Store
from crossprune.harness.store.readonly import can_write
from crossprune.harness.store.tables import read_table

METRICS = {name: ERRORS[name] for name in ("force", "energy")}
"""Errors that the answer rests on, by the outcome's name in a study."""


def read_results(root: Path) -> pd.DataFrame:
    """Read a finished run's table, but for the rows of published potentials.

    Raises
    ------
    StudyError
        If there is none, or it is not as it was written.
    """
    path = root / "results.parquet"
    if not path.is_file():
        raise StudyError(f"{root} holds no finished run: crossprune run STUDY.toml --store {root}")
    return refits(read_table(path, RESULTS))


def analyse(root: Path) -> dict[str, pd.DataFrame]:
    """Compute all tables of a finished run; write each to ``analysis/NAME.parquet`` where that can be.

    Of a file, a results table without its store, come the statistics that a table alone allows.

    Raises
    ------
    StudyError
        If the folder holds no finished run, or the file is no results table.
    """
    if root.is_file():
        return statistics_of(root, read_foreign(root, tuple(ERRORS.values())))
    if not root.exists():
        raise StudyError(f"{root}: there is no such file or folder; give a finished run's folder, or a table")
    results = read_results(root)
    diagnostics = diagnostics_of(root, results)
    tables = {**stored_statistics(root, results), **diagnostics}
    if can_write(root / "analysis") or (not (root / "analysis").is_dir() and can_write(root)):
        write_all(root, {name: one for name, one in diagnostics.items() if name not in BEFORE})
    return tables


def assessed(root: Path) -> dict[str, pd.DataFrame]:
    """Read the tables of properties and dynamics that a run left, by name; of refits only.

    Raises
    ------
    StudyError
        If one is not as it was written.
    """
    known = {"properties": PROPERTIES, "md": MD}
    paths = {name: root / f"{name}.parquet" for name in known}
    return {name: refits(read_table(path, known[name])) for name, path in paths.items() if path.is_file()}


def stored_statistics(root: Path, results: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """As `statistics_of`, computed once: a store keeps them in ``analysis/`` for its table and this code.

    A folder that is no store, or cannot be written, keeps nothing.
    """
    if not (root / "objects").is_dir():
        return statistics_of(root, results)
    whole = results[results["group"] == ALL]
    tried = assessed(root)
    rows = [pd.util.hash_pandas_object(one, index=False).to_numpy() for one in (whole, *tried.values())]
    code = source_hash(__name__)
    question = dataclasses.asdict(asked(root))
    stamp = canonical_hash(list(whole.columns), *rows, all_predictions_held(root, whole), code, question)
    return kept(root, "statistics", stamp, lambda: statistics_of(root, results))


def statistics_of(root: Path, results: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Compare choosers by every metric on every part: tables ``answer``, ``choosers``, ``ranks``, …

    Pools of a data set are one data set, see `crossprune.harness.analysis.statistics.from_pools`. Where
    groups are held out in turn, ood is of these only. Tables ``outcomes`` compare by everything else as well.
    """
    overall = by_pool(labelled(results[results["group"] == ALL]))  # a cell not done has its one row there
    question = asked(root)
    of_parts = {"test": not_held_out(overall), "ood": held_out_or_all(overall)}
    tests: dict[tuple[str, str], Mapping[str, TestErrors]] = {}
    for split in PARTS if all_predictions_held(root, overall) else ():
        for outcome, known in read_tests(root, of_parts[split], split).items():
            tests[outcome, split] = known
    parts: dict[str, list[pd.DataFrame]] = {}
    asked_first = (question.primary.outcome, question.primary.split)

    def add(metric: str, split: str, tables: Mapping[str, pd.DataFrame]) -> None:
        for name, table in tables.items():
            table.insert(0, "metric", metric)
            table.insert(1, "split", split)
            parts.setdefault(name, []).append(table)

    outcomes = _outcomes(root, overall)
    for one in outcomes:
        if one.name not in METRICS and question.is_about(one.name, one.part):
            add(one.name, question.primary.split, _compared(one, tests, question))
    errors_of = itertools.product(METRICS.items(), PARTS)
    for (metric, column), split in sorted(errors_of, key=lambda one: (one[0][0], one[1]) != asked_first):
        here = of_parts[split]
        if here.loc[(here["status"] == "done") & (here["split"] == split), column].isna().all():
            continue
        errors, of_frames = partial_errors(here, column, split), tests.get((metric, split))
        found = compare(errors, tests=of_frames, primary=question.comparison(metric, split))
        of_all = pd.concat([found["answer"], found["choosers"]])
        curves = drawn_curves(here, column, split=split, tests=of_frames)
        found |= {
            "answer": found["answer"].assign(better="lower"),
            "scope": scope(errors),
            "ranks": ranks(errors),
            "efficiency": data_efficiency(curves),
            "enough": enough(curves),
            "sizes": sizes(of_all[of_all["model"] == EVERY_MODEL]),
        }
        add(metric, split, found)
    tables = {name: pd.concat(several, ignore_index=True) for name, several in parts.items()}
    tables |= {**compare_outcomes(outcomes, tests), "tradeoffs": tradeoffs(outcomes)}
    tables["matrix"] = matrix(outcomes, tests)
    if not (groups := compare_groups(held_out_rows(root, results), METRICS)).empty:
        tables["ood_groups"] = groups
    return tables


def _compared(
    one: Outcome, tests: Mapping[tuple[str, str], Mapping[str, TestErrors]], question: Asked
) -> dict[str, pd.DataFrame]:
    """Compare an outcome that is asked for, and is none of `METRICS`."""
    found = compare(
        one.cells,
        tests=tests.get((one.name, one.part)),
        primary=question.comparison(one.name, one.part),
        pooled=bool(tests) and one.name in UNTESTED,
    )
    answer = found["answer"].assign(better=one.better)
    of_all = answer[answer["model"] == EVERY_MODEL]
    return {"answer": answer, "fractions": found["fractions"], "sizes": sizes(of_all)}


def _outcomes(root: Path, results: pd.DataFrame) -> list[Outcome]:
    """Gather the outcomes that the tables of a run hold; of a table alone, its errors."""
    outcomes = list(error_outcomes(results, PARTS))
    if not root.is_file() and "fit_key" in results.columns:
        cells, tried = partial_errors(not_held_out(results), METRICS["force"], "test"), assessed(root)
        if "properties" in tried:
            outcomes += property_outcomes(cells, tried["properties"])
        if "md" in tried:
            outcomes += dynamics_outcomes(cells, tried["md"])
    return outcomes


def read_tests(root: Path, results: pd.DataFrame, split: str) -> dict[str, dict[str, TestErrors]]:
    """Read every fit's errors on each test configuration, which the store must hold.

    Returns
    -------
    dict
        Outcome (energy, its root mean square, and the same of forces) → data set → errors.
    """
    done = results[results["status"] == "done"]
    names = ("energy", "energy_rmse", "force", "force_rmse")
    found: dict[str, dict[str, TestErrors]] = {name: {} for name in names}
    for (dataset, key), part in done.groupby(["dataset", "dataset_key"]):
        fits = tuple(sorted(set(part["fit_key"])))
        unseen, sizes, errors = _absolute_errors(root.resolve(), str(key), fits)
        here = np.isin(unseen, stored_dataset(root.resolve(), str(key)).indices(split))
        for name, sums in zip(names, errors[:, :, here], strict=True):
            counts: FloatArray = np.where(name.startswith("energy"), 1.0, 3.0 * sizes[here])
            power = 2 if name.endswith("rmse") else 1
            found[name][str(dataset)] = TestErrors(dict(zip(fits, sums, strict=True)), counts, power)
    return found


@functools.lru_cache(maxsize=8)
def _absolute_errors(root: Path, key: str, fits: tuple[str, ...]) -> tuple[IntArray, IntArray, FloatArray]:
    """Read each fit once, for all metrics and parts: 32 bytes a fit and frame, 100 MB for 10,000 fits.

    Returns
    -------
    tuple
        The test and ood frames and their numbers of atoms, shape (n,); absolute errors of the energy
        (meV/atom), their squares, and both of force components (eV/Å), summed; shape (4, n_fits, n).
    """
    store, dataset = Store(root), stored_dataset(root, key)
    unseen = np.concatenate([dataset.indices(split) for split in PARTS])
    truth = labels_of([dataset.frames[index] for index in unseen])
    sizes = dataset.sizes[unseen]
    starts = np.cumsum(sizes) - sizes
    errors = np.empty((4, len(fits), len(unseen)))
    for row, fit in enumerate(fits):
        energies, forces = predicted(store.path("fit", fit), unseen, dataset.sizes)
        errors[0, row] = 1e3 * np.abs(energies - truth.energies) / sizes
        errors[2, row] = np.add.reduceat(np.abs(forces - truth.forces).sum(axis=1), starts)
        with np.errstate(over="ignore"):
            errors[1, row] = np.square(errors[0, row])
            errors[3, row] = np.add.reduceat(np.square(forces - truth.forces).sum(axis=1), starts)
    return unseen, sizes, errors
