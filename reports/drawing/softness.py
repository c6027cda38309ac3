"""Which models are soft, for the page: tables, and histograms over configurations as SVG without a script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from crossprune.harness.analysis.outcomes.curvature import tables_of
from crossprune.harness.engine.results import refits
from crossprune.harness.evaluation.metrics import ALL
from crossprune.reports.drawing.figures import GREY
from crossprune.reports.drawing.shares import BOTTOM, HEIGHT, LEFT, TOP, WIDTH
from crossprune.reports.tables import RANDOM
from crossprune.reports.wording import interval
from markupsafe import Markup

RED = "#cc3311"
"""Bars of configurations with c > 1, whose forces are too small."""
MOST_DRAWN = 24
"""Histograms on the page."""
KEYS = {"dataset": "dataset", "held_out": "without", "split": "split", "model": "model", "way": "way"}
SOFTENING, SUMMARY, HISTOGRAM = "softening", "softening_summary", "softening_histogram"


@dataclass(frozen=True)
class Softness:
    """What the page says of softness; all is empty where nothing is known."""

    forces: pd.DataFrame
    """A row per model, way of choosing, fraction and part."""
    curvature: pd.DataFrame
    """A row per model, way of choosing, fraction and how it was computed; a column per kind."""
    histograms: Sequence[tuple[str, Markup]]
    """Model and part, and how many of its configurations have which c."""


def softness_of(kept: Mapping[str, pd.DataFrame], properties: pd.DataFrame | None) -> Softness:
    """Lay out what is known of softness.

    Parameters
    ----------
    kept
        As `crossprune.harness.analysis.outcomes.softening.kept_softening`.
    properties
        The table of properties of a run, if there is one.
    """
    curved = None if properties is None else tables_of(refits(properties))["curvature_summary"]
    return Softness(
        forces=_forces(kept[SUMMARY]) if SUMMARY in kept else pd.DataFrame(),
        curvature=pd.DataFrame() if curved is None else _curvature(curved),
        histograms=_histograms(kept[HISTOGRAM]) if HISTOGRAM in kept else [],
    )


def _forces(summary: pd.DataFrame) -> pd.DataFrame:
    """Lay out medians over seeds and pools; of several fits their range, of one its interval."""
    rows = summary[summary["group"] == ALL]
    alone = rows["n_fits"] == 1
    columns: dict[str, object] = {**_keys(rows), "fraction": rows["fraction"], "fits": rows["n_fits"]}
    columns |= {"soft": rows["n_soft"], "hard": rows["n_hard"]}
    for letter, name in (("c", "median_scale"), ("s", "median_slope")):
        low = rows[f"{name}_low"].where(alone, rows[f"{name}_lowest"])
        high = rows[f"{name}_high"].where(alone, rows[f"{name}_highest"])
        ends = [interval(*pair, ".3f") for pair in zip(low, high, strict=True)]
        columns |= {letter: rows[name], f"{letter}: interval or range": ends}
    columns |= {"pooled s": rows["pooled_slope"], "energies: c": rows["excess_scale"]}
    return pd.DataFrame({**columns, "energies: s": rows["excess_slope"]}).reset_index(drop=True)


def _curvature(summary: pd.DataFrame) -> pd.DataFrame:
    """Lay out ratios, medians over seeds and pools: a column per kind."""
    known = summary[summary["ratio"].notna()]
    keys = ["dataset", "model", "way", "fraction", "computed"]
    kinds = list(dict.fromkeys(known["kind"]))
    return known.pivot_table(index=keys, columns="kind", values="ratio", sort=False)[kinds].reset_index()


def _keys(rows: pd.DataFrame) -> dict[str, object]:
    left_out = {"held_out"} if not rows["held_out"].astype(bool).any() else set()
    return {label: rows[name] for name, label in KEYS.items() if name not in left_out}


def _histograms(bins: pd.DataFrame) -> list[tuple[str, Markup]]:
    """Draw c of each model on each part at the largest fraction, chosen at random where that was done."""
    found = []
    for (dataset, model, split), mine in bins.groupby(["dataset", "model", "split"], sort=False):
        ways = list(dict.fromkeys(mine["way"]))
        way = RANDOM if RANDOM in ways else ways[0]
        here = mine[mine["way"] == way]
        here = here[here["fraction"] == here["fraction"].max()]
        counts = here.groupby(["low", "high"], sort=True)["n_scales"].sum()
        fraction = float(here["fraction"].iloc[0])
        name = f"{dataset}, {model}, {split}, {way}, {100 * fraction:g} %"
        found.append((name, drawn(counts, name)))
    return found[:MOST_DRAWN]


def drawn(counts: pd.Series[int], title: str) -> Markup:
    """Draw how many configurations have which c.

    Parameters
    ----------
    counts
        By ``low`` and ``high``, ascending; the ends may be infinite.
    title
        What the drawing shows, for those who do not see it.
    """
    edges = np.linspace(LEFT, WIDTH, len(counts) + 1)
    base, most = HEIGHT - BOTTOM, max(int(counts.max()), 1)
    parts = []
    ends: list[tuple[float, float]] = counts.index.tolist()
    for place, ((low, high), count) in enumerate(zip(ends, counts, strict=True)):
        tall = (base - TOP) * int(count) / most
        said = f"c from {low:.2f} to below {high:.2f}: {count}"
        parts.append(
            Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}">').format(
                edges[place],
                base - tall,
                edges[place + 1] - edges[place] - 1,
                tall,
                RED if low >= 1 else GREY,
            )
            + Markup("<title>{}</title></rect>").format(said)
        )
    text = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
    parts.append(text.format(LEFT - 4, TOP + 6, "end", most))
    for place, (low, _) in enumerate(ends):
        if np.isfinite(low) and abs(low * 4 - round(low * 4)) < 1e-9:
            parts.append(text.format(edges[place], base + 12, "middle", f"{low:g}"))
    parts.append(text.format((edges[0] + edges[-1]) / 2, base + 25, "middle", "c of a configuration"))
    return Markup('<svg class="shares" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, title, Markup("").join(parts)
    )
