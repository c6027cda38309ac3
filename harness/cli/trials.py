"""What a terminal shows of properties and molecular dynamics, and why some have no value."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from math import isnan

import pandas as pd
from crossprune.harness.cli.console import print_lines, print_text
from crossprune.harness.cli.layout import WIDTH, lines_of
from crossprune.harness.engine.results import distinct_runs
from crossprune.harness.engine.trials.assessment import Assessment
from crossprune.harness.evaluation.properties import Property
from rich.console import Console

MOST_REASONS = 5
"""Reasons that are told of each status; the table has all."""


def print_assessment(console: Console, tried: Assessment) -> None:
    """Say how many properties and runs have a result, and why the others have none."""
    computed = ", ".join(f"{count} {stage}" for stage, count in sorted(tried.computed.items()) if count)
    if not computed:
        computed = "none, all were in the store" if tried.reused else "none"
    console.print(f"trials computed: {computed}", highlight=False)
    for name, table in (("properties", tried.properties), ("runs of molecular dynamics", tried.md)):
        if len(table):
            counts = ", ".join(f"{count} {one}" for one, count in table["status"].value_counts().items())
            console.print(f"  {name}: {counts}", highlight=False)
            _print_reasons(console, table[table["status"] != "done"])
    ended = distinct_runs(tried.md)
    is_ramp = ended["ensemble"] == "ramp"
    for model, runs in ended[~is_ramp].groupby("model"):
        failures = runs.loc[runs["failure"] != "", "failure"].value_counts()
        why = "".join(f", {count} {str(one).replace('_', ' ')}" for one, count in failures.items())
        cut = int(runs["cut"].sum())
        survived = int(runs["survived"].sum()) - cut
        why += f", {cut} cut short by their budget" if cut else ""
        console.print(f"  model {model}: {survived} of {len(runs)} runs survived{why}", highlight=False)
    for model, ramps in ended[is_ramp].groupby("model"):
        kelvin = ramps["survival_temperature_k"]
        failed, every = int((~ramps["survived"].astype(bool)).sum()), f"{len(ramps)} heated runs"
        ends = f"{failed} of {every} failed, the first at" if failed else f"{every} survived up to"
        console.print(f"  model {model}: {ends} {kelvin.min():.0f} K", highlight=False)


def _print_reasons(console: Console, rows: pd.DataFrame) -> None:
    """Say how many rows have which reason, and of which structures or starts, the most frequent first."""
    what = "structure" if "structure" in rows else "start"
    last = rows["reason"].map(lambda text: (str(text).strip().splitlines() or [""])[-1])
    for status, part in rows.assign(reason=last).groupby("status"):
        counts = part["reason"].value_counts()
        for reason, count in counts.head(MOST_REASONS).items():
            names = [one for one in dict.fromkeys(part.loc[part["reason"] == reason, what]) if one]
            of = f" ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})" if names else ""
            line = f"    {count} {status}{of}: {reason}"
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        if (more := len(counts) - MOST_REASONS) > 0:
            console.print(f"    {status} for {more} other reasons, see the table", highlight=False)


def print_properties(
    console: Console, rows: Sequence[Property], references: Sequence[tuple[float, str]]
) -> None:
    """Print the properties of one potential beside their reference values."""
    columns = ("structure", "property", "value", "reference", "error", "status", "remark")
    texts = []
    for row, (reference, _) in zip(rows, references, strict=True):
        numbers = [row.value, reference, row.value - reference]
        shown = ["–" if isnan(number) else f"{number:.5g}" for number in numbers]
        texts.append((row.structure, row.name, *shown, row.status, row.reason))
    table = pd.DataFrame(texts, columns=columns).assign(source=[source for _, source in references])
    for structure, part in table.groupby("structure", sort=False):
        print_text(console, str(structure))
        print_lines(console, lines_of(part.drop(columns=["structure", "source"])))
        for source in dict.fromkeys(one for one in part["source"] if one):
            print_lines(console, textwrap.wrap(f"reference: {source}", WIDTH, subsequent_indent="    "))
