"""What labels of another level are worth: errors with and without them, and labels for equal errors."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from crossprune.harness.analysis.answer import read_results, read_tests
from crossprune.harness.analysis.cells import labelled
from crossprune.harness.analysis.details.artefacts import all_predictions_held
from crossprune.harness.analysis.efficiency.curves import ends, inverse
from crossprune.harness.analysis.efficiency.drawn import NO_SPREAD, Drawn, drawn_curves
from crossprune.harness.analysis.efficiency.saving import plain
from crossprune.harness.analysis.outcomes.scales import ERRORS
from crossprune.harness.analysis.statistics import CONFIDENCE
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.contract.transfer import Transfer
from crossprune.harness.engine.results import by_pool, not_held_out
from crossprune.harness.engine.study import PARTS, parse_study
from crossprune.harness.errors import StudyError
from crossprune.harness.evaluation.metrics import ALL
from crossprune.harness.fingerprint import canonical_hash
from crossprune.harness.lookup import resolve
from crossprune.harness.store.tables import PROVENANCE
from crossprune.harness.tables import parse_toml
from scipy import stats

KEYS = ["dataset", "chooser", "method", "model", "way", "references"]
COLUMNS = [
    *KEYS,
    *("n_labelled", "fraction", "error", "error_without"),
    *("error_ratio", "error_ratio_low", "error_ratio_high"),
    *("labels_ratio", "labels_ratio_low", "labels_ratio_high"),
    *("n_seeds", "verdict"),
]
METRICS = ("force", "energy")
"""Errors that are looked at."""
HELPS, HARMS, UNTOLD = "helps", "harms", "not shown"
"""Verdicts: whether the interval of the error ratio lies below 1, above, or holds it."""


def transfer_savings(curves: Sequence[Drawn], models: Mapping[str, tuple[str, Transfer]]) -> pd.DataFrame:
    """Compare the learning curves of models that are carried over with those of the same model without.

    Parameters
    ----------
    curves
        Of `crossprune.harness.analysis.efficiency.drawn.drawn_curves`.
    models
        Model that carries something over → the plain model, and how.

    Returns
    -------
    pd.DataFrame
        `COLUMNS`, a row per way and number of target labels: geometric mean of the errors over seeds;
        ``error_ratio``, with over without, paired by seed, with its 95 % interval (Student's t of the
        logarithms); ``labels_ratio``: how many times as many target labels the model needs without
        transfer for the same error, by curves that do not increase, with the 95 % interval of other seeds
        and test configurations. inf is more than the study has, 0 less than its smallest number.
    """
    known = {one.curve.way: one for one in curves}
    rows = []
    for one in curves:
        if one.curve.way[1] not in models:
            continue
        model, transfer = models[one.curve.way[1]]
        base = known.get((one.curve.way[0], model, *one.curve.way[2:]))
        if base is not None:
            rows += _rows(one, base, model, transfer)
    return pd.DataFrame(rows, columns=COLUMNS)


def _rows(with_it: Drawn, without: Drawn, model: str, transfer: Transfer) -> list[tuple[object, ...]]:
    dataset, _, chooser, method = with_it.curve.way[:4]
    head = (dataset, chooser, method, model, transfer.way, transfer.references)
    first, second = with_it.curve, without.curve
    seeds, mine, theirs = np.intersect1d(first.seeds, second.seeds, return_indices=True)
    fractions, here, there = np.intersect1d(
        first.log_fractions.round(12), second.log_fractions.round(12), return_indices=True
    )
    if len(seeds) == 0:
        return []
    logs = first.log_errors[mine][:, here], second.log_errors[theirs][:, there]
    labels = _labels_ratios(with_it, without, fractions, here)
    rows: list[tuple[object, ...]] = []
    for place, log_fraction in enumerate(fractions.tolist()):
        a, b = (one[:, place] for one in logs)
        middle, low, high = _paired(a - b)
        verdict = HELPS if high < 1 else HARMS if low > 1 else UNTOLD
        errors = (math.exp(a.mean()), math.exp(b.mean()))
        size = float(first.sizes[0, here[place]])
        numbers = (size, math.exp(log_fraction), *errors, middle, low, high, *labels[:, place].tolist())
        rows.append((*head, *numbers, len(seeds), verdict))
    return rows


def _paired(differences: FloatArray) -> tuple[float, float, float]:
    """Return the ratio of two errors and its interval, from differences of logarithms by seed."""
    n, mean = len(differences), float(differences.mean())
    if n < 2 or np.ptp(differences) < NO_SPREAD:  # as of the full set, which every seed has
        return math.exp(mean), math.nan, math.nan
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * differences.std(ddof=1) / math.sqrt(n))
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def _labels_ratios(with_it: Drawn, without: Drawn, fractions: FloatArray, places: IntArray) -> FloatArray:
    """Return how many times as much data the plain model needs, and both ends, shape (3, n_fractions)."""
    found = np.full((3, len(fractions)), np.nan)
    curve = without.curve.log_fractions
    if len(with_it.fit) and len(without.fit):
        found[0] = inverse(curve, without.fit, with_it.fit[:, places])[0] - fractions
    if len(with_it.draws) and len(without.draws):
        again = inverse(curve, without.draws, with_it.draws[:, places]) - fractions
        found[1:] = ends(again, again)
    result: FloatArray = np.array([[plain(one) if one != -math.inf else 0.0 for one in row] for row in found])
    return result


def transfer_of(root: Path) -> pd.DataFrame:
    """Compare what is carried over with what is not, in a finished run: `COLUMNS`, by metric and part.

    Raises
    ------
    StudyError
        If the folder holds no finished run, or one without transfer.
    """
    results = read_results(root)
    models = carried(json.loads((root / PROVENANCE).read_text()))
    if not models:
        raise StudyError(
            f"{root}: no model of this run carries anything over beside one of the same options that does "
            "not; name ways in [transfer], which adds such models"
        )
    overall = not_held_out(by_pool(labelled(results[results["group"] == ALL])))
    held = all_predictions_held(root, overall)
    parts = []
    for split in PARTS:
        tests = read_tests(root, overall, split) if held else {}
        for metric in METRICS:
            column = ERRORS[metric]
            done = (overall["status"] == "done") & (overall["split"] == split)
            if overall.loc[done, column].isna().all():
                continue
            curves = drawn_curves(overall, column, split=split, tests=tests.get(metric))
            found = transfer_savings(curves, models)
            found.insert(0, "split", split)
            found.insert(0, "metric", metric)
            parts.append(found)
    if not sum(map(len, parts)):
        raise StudyError(
            f"{root}: nothing to compare: learning curves need fractions below 1 and 1.0, of models with and "
            "without transfer"
        )
    return pd.concat(parts, ignore_index=True)


def carried(facts: Mapping[str, object]) -> dict[str, tuple[str, Transfer]]:
    """Return the models of a run that carry something over: name to the plain model, and how."""
    study = parse_study(parse_toml(str(facts["toml"]).encode(), PROVENANCE), PROVENANCE)
    specs = [resolve(label, study.options) for label in study.models]
    same = {one.label: canonical_hash(one.adapter, one.options) for one in specs}
    plain_ones = {same[one.label]: one.label for one in reversed(specs) if one.transfer is None}
    return {
        one.label: (plain_ones[same[one.label]], one.transfer)
        for one in specs
        if one.transfer is not None and same[one.label] in plain_ones
    }
