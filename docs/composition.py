"""Draw what a study chose for the guide: python docs/composition.py STORE FILE.svg [WAY ...]."""

from __future__ import annotations

import sys
from pathlib import Path

from crossprune.harness.analysis.spaces.chosen import chosen_subsets
from crossprune.harness.analysis.spaces.composition import composition, rules_of
from crossprune.harness.analysis.spaces.latent import stored_study
from crossprune.harness.engine.results import by_pool, not_held_out, read_overall
from crossprune.reports.drawing.shares import sheet


def main() -> None:
    """Write the drawing of all ways of choosing that are named, or of all."""
    root, target, *ways = sys.argv[1:]
    study = stored_study(Path(root))
    if study is None:
        raise SystemExit(f"{root} holds no finished run")
    results = by_pool(not_held_out(read_overall(Path(root) / "results.parquet")))
    table = composition(Path(root), chosen_subsets(Path(root), results), rules_of(study))
    Path(target).write_text(sheet(table, ways), encoding="utf-8")


if __name__ == "__main__":
    main()
