"""Everything that a store tells of its latent spaces, and of what was chosen in them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from crossprune.harness.analysis.spaces.chosen import chosen_subsets
from crossprune.harness.analysis.spaces.composition import composition, rules_of
from crossprune.harness.analysis.spaces.findings import findings
from crossprune.harness.analysis.spaces.latent import (
    chosen_sets,
    compare_spaces,
    overlap,
    spaces_of,
    stored_study,
)
from crossprune.harness.engine.results import by_pool, not_held_out


def diagnostics_of(root: Path, results: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Describe latent spaces and chosen sets.

    Returns
    -------
    dict
        Tables ``findings`` (what is wrong with a space), ``composition`` (kinds of structures that were
        chosen), ``overlap``, ``chosen`` and ``spaces``.
    """
    if "dataset_key" not in results.columns or not (root / "objects").is_dir():
        return {}
    results = by_pool(not_held_out(results))
    spaces = dict(spaces_of(root, results))
    subsets = chosen_subsets(root, results)
    study = stored_study(root)
    return {
        "findings": findings(root, subsets),
        "composition": composition(root, subsets, {} if study is None else rules_of(study)),
        "overlap": overlap(subsets),
        "chosen": chosen_sets(subsets, spaces),
        "spaces": compare_spaces(spaces),
    }
