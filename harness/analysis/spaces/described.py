"""Everything that a store tells of its latent spaces, and of what was chosen in them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from crossprune.harness.analysis.cells import labelled
from crossprune.harness.analysis.spaces import findings, leakage, verdicts
from crossprune.harness.analysis.spaces.chosen import chosen_subsets
from crossprune.harness.analysis.spaces.composition import composition, rules_of
from crossprune.harness.analysis.spaces.errors import errors_by
from crossprune.harness.analysis.spaces.latent import (
    chosen_sets,
    compare_spaces,
    overlap,
    spaces_of,
    stored_specs,
    stored_study,
)
from crossprune.harness.analysis.spaces.looks import SPACE, Look, stored_looks
from crossprune.harness.engine.results import by_pool, not_held_out
from crossprune.harness.fingerprint import canonical_hash, source_hash
from crossprune.harness.store.kept import kept

CELL_AXES = ["dataset", "chooser", "method", "fraction", "seed", "model"]
"""Cells may share a fit, and each is an entry of its own."""
BEFORE = {"findings": findings.COLUMNS, "leakage": leakage.COLUMNS, "worth": verdicts.COLUMNS}
"""Tables of what is known before anything is chosen, and their columns."""


def diagnostics_of(root: Path, results: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Describe latent spaces and chosen sets.

    Returns
    -------
    dict
        Tables ``findings`` (what is wrong with a space), ``leakage`` (how near what is tested lies to
        training), ``worth`` (is the pool worth pruning), ``composition`` (kinds of structures that were
        chosen), those of `errors_by`, ``overlap``, ``chosen`` and ``spaces``.
    """
    if "dataset_key" not in results.columns or not (root / "objects").is_dir():
        return {}
    results = by_pool(not_held_out(results))
    spaces = dict(spaces_of(root, results))
    subsets = chosen_subsets(root, results)
    return {
        **of_chosen(root, subsets),
        **of_errors(root, results, subsets),
        "overlap": overlap(subsets),
        "chosen": chosen_sets(subsets, spaces),
        "spaces": compare_spaces(spaces),
    }


def of_chosen(root: Path, subsets: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables `BEFORE`, which a store computes once and keeps, and ``composition``.

    Parameters
    ----------
    root
        The store.
    subsets
        Of `crossprune.harness.analysis.spaces.chosen.chosen_subsets`.
    """
    study = stored_study(root)
    axes = [*SPACE, "source", "dataset_key", "selection_key"]
    known = subsets[axes].drop_duplicates().sort_values(axes).astype(str).to_numpy().tolist()
    prints = {name: spec.features_fingerprint for name, spec in stored_specs(root).items()}
    stamp = canonical_hash(known, prints, source_hash(__name__))
    return {
        **kept(root, "spaces", stamp, lambda: before_choosing(stored_looks(root, subsets))),
        "composition": composition(root, subsets, {} if study is None else rules_of(study)),
    }


def of_errors(root: Path, results: pd.DataFrame, subsets: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the tables of `errors_by`, which a store keeps; none where nothing is fitted."""
    fits = labelled(results.loc[results["status"] == "done"])[[*CELL_AXES, "fit_key"]].astype(str)
    fits = fits[fits["fit_key"] != ""].drop_duplicates().sort_values([*CELL_AXES, "fit_key"])
    if fits.empty:
        return {}
    prints = {name: spec.features_fingerprint for name, spec in stored_specs(root).items()}
    stamp = canonical_hash(fits.to_numpy().tolist(), prints, source_hash(errors_by.__module__))
    return kept(root, "errors", stamp, lambda: errors_by(root, results, subsets))


def before_choosing(looks: Iterable[Look]) -> dict[str, pd.DataFrame]:
    """Describe latent spaces by what is known before anything is chosen in them, and without labels.

    Returns
    -------
    dict
        Tables ``findings``, ``leakage`` and ``worth``; the last is of each data set's own split only, since
        pools of the same frames agree.
    """
    rows: dict[str, list[tuple[object, ...]]] = {name: [] for name in BEFORE}
    for look in looks:
        rows["findings"] += findings.rows_of(look)
        rows["leakage"] += leakage.rows_of(look)
        rows["worth"] += [verdicts.row_of(look)] if look.structures.is_first else []
    return {name: pd.DataFrame(rows[name], columns=columns) for name, columns in BEFORE.items()}
