"""All outcomes compared at once: own, other and random choosers over all models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from crossprune.harness.analysis.comparisons import Estimated, estimate, inferred, laid_out, of_all_models
from crossprune.harness.analysis.contrasts import EVERY_MODEL
from crossprune.harness.analysis.outcomes.scales import UNTESTED, Outcome
from crossprune.harness.analysis.statistics import Inference
from crossprune.harness.analysis.units import TREND, Case, TestErrors
from crossprune.harness.engine.study import COMPARISONS

OWN_OTHER = "own / other"


def compare_outcomes(
    outcomes: Sequence[Outcome], tests: Mapping[tuple[str, str], Mapping[str, TestErrors]]
) -> dict[str, pd.DataFrame]:
    """Compare own, other and random choosers by every outcome.

    Parameters
    ----------
    outcomes
        What is compared.
    tests
        Outcome and part → data set → errors per test configuration. An outcome without them has intervals
        over seeds or pools alone; where other errors have them, those of `UNTESTED` are over pools or none.

    Returns
    -------
    dict
        ``outcomes``: `crossprune.harness.analysis.comparisons.COLUMNS`, ``outcome``, ``split``, ``better``,
        over all fractions; intervals hold for all outcomes of one comparison together.
        ``outcomes_by_fraction``: own / other
        at each ``fraction``, and the factor by which it changes when the data are doubled; intervals
        hold for the fractions of one outcome together.
    """
    known, by_fraction, heads, designs = [], [], [], []
    for one in outcomes:
        contrasts, design = of_all_models(one.cells)
        own, pooled = tests.get((one.name, one.part)), bool(tests) and one.name in UNTESTED
        head = {"outcome": one.name, "split": one.part, "better": one.better}
        cases = [[Case(EVERY_MODEL, name)] for name in COMPARISONS]
        known.append([estimate(contrasts, case, own, pooled=pooled) for case in cases])
        heads.append(head)
        designs.append(design)
        fractions: list[float | str] = sorted(set(one.cells["fraction"]))
        if len(fractions) > 1:
            at = [Case(EVERY_MODEL, OWN_OTHER, fraction) for fraction in (*fractions, TREND)]
            found = estimate(contrasts, at, own, pooled=pooled)
            table = _headed(found, inferred([found])[0], design, head)
            table.insert(3, "fraction", [str(case.fraction) for case in at])
            by_fraction.append(table)
    tables = [
        _headed(one, found, design, head)
        for several in zip(*known, strict=True)
        for one, found, design, head in zip(several, inferred(several), designs, heads, strict=True)
    ]
    return {
        name: pd.concat(parts, ignore_index=True)
        for name, parts in (("outcomes", tables), ("outcomes_by_fraction", by_fraction))
        if parts
    }


def _headed(known: Estimated, found: Inference, design: str, head: Mapping[str, str]) -> pd.DataFrame:
    table = laid_out(known, found).assign(design=design)
    for place, (name, value) in enumerate(head.items()):
        table.insert(place, name, value)
    return table
