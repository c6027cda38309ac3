"""Who chose best for which model, in a store of refits on data like these."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from crossprune.harness.analysis.answer import read_results, stored_statistics
from crossprune.harness.analysis.contrasts import EVERY_MODEL
from crossprune.harness.engine.stored import stored_dataset
from crossprune.harness.errors import StudyError

COLUMNS = ["model", "way", "ratio", "low", "high", "verdict", "n_pairs", "data"]
METRIC, SPLIT, AGAINST = "force", "test", " / random"


def advice(root: Path, elements: Sequence[str]) -> pd.DataFrame:
    """Compare ways of choosing with random ones, model by model, on data sets of the same elements.

    Parameters
    ----------
    root
        A finished run.
    elements
        Of the pool.

    Returns
    -------
    DataFrame
        ``model``; ``way`` (chooser · method); ``ratio`` of force errors on the test part to those of
        random choices, ``low`` and ``high`` of its 95 % interval, which holds for all rows together;
        ``verdict``; ``n_pairs`` cells compared; ``data`` sets. The best way of each model comes first.

    Raises
    ------
    StudyError
        If the folder holds no finished run, none of its data sets has these elements, or it compares
        nothing with random choices.
    """
    results = read_results(root)
    keys = results.loc[results["dataset_key"].notna(), ["dataset", "dataset_key"]].drop_duplicates()
    made_of = {
        str(name): stored_dataset(root, str(key)).elements for name, key in keys.itertuples(index=False)
    }
    like = sorted(name for name, those in made_of.items() if set(those) == set(elements))
    if not like:
        known = "; ".join(f"{name}: {', '.join(those)}" for name, those in sorted(made_of.items()))
        raise StudyError(
            f"{root} has no refits on data of exactly {', '.join(elements)}, so it says nothing "
            f"about this pool; it has {known}"
        )
    part = results[results["dataset"].isin(like)]
    table = stored_statistics(root, part).get("choosers", pd.DataFrame(columns=["metric", "split"]))
    table = table[(table["metric"] == METRIC) & (table["split"] == SPLIT)]
    models = set(part["model"])
    if not table.empty and len(models) == 1:
        table = table.assign(model=models.pop())
    if not table.empty:
        table = table[(table["model"] != EVERY_MODEL) & table["comparison"].str.endswith(AGAINST)]
    if table.empty:
        raise StudyError(f"{root} compares no choice with random ones; give a store of a study that does")
    found = table.assign(way=table["comparison"].str.removesuffix(AGAINST), data=", ".join(like))
    return found.sort_values(["model", "ratio"], ignore_index=True)[COLUMNS]
