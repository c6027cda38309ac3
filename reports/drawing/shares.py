"""Kinds of structures among the chosen against the fraction, stacked: an SVG that needs no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from crossprune.harness.contract import FloatArray
from crossprune.reports.drawing.evidence import GROUP_COLOURS
from crossprune.reports.drawing.figures import GREY
from crossprune.reports.tables import RANDOM
from markupsafe import Markup

WIDTH, HEIGHT, LEFT, TOP, BOTTOM, GAP, POOL = 260, 150, 30, 6, 28, 6, 24
"""Sizes in units of the drawing; the pool is a bar of its own at the right."""
COLOURS = (*GROUP_COLOURS, "#332288", "#999933", "#44AA99", "#DDCC77", "#AA4499")
"""Those of other figures, and of Tol's muted scheme (2021, sronpersonalpages.nl/~pault) what is not alike."""
MOST_KINDS = len(COLOURS)
"""Categories with a colour; of more, those that are nowhere a large share are one, in grey."""
OTHERS = "others"
WAY = ["chooser", "method", "space", "pooling", "scaling", "budget"]
TICK_ROOM = 26
"""Width that a label of the axis needs."""


@dataclass(frozen=True)
class Shares:
    """What all ways of choosing took from one data set."""

    dataset: str
    legend: list[tuple[str, str]]
    """Category and colour, bottom of the stacks first."""
    figures: list[tuple[str, Markup]]
    """Way of choosing, and its drawing."""


def composition_figures(table: pd.DataFrame) -> list[Shares]:
    """Draw the composition of each data set's chosen sets, a drawing for every way of choosing.

    Parameters
    ----------
    table
        As `crossprune.harness.analysis.spaces.composition.composition`; shares are averaged over seeds.
    """
    found = []
    for dataset, here in table.groupby("dataset", sort=False):
        mean = over_seeds(here)
        pool = mean.groupby("category")["share_in_pool"].first().sort_values(ascending=False, kind="stable")
        if len(pool) > MOST_KINDS:
            largest = mean.groupby("category")[["share", "share_in_pool"]].max().max(axis=1)
            rest = largest.sort_values(kind="stable").index[: len(pool) - MOST_KINDS]
            mean = over_seeds(
                here.assign(category=here["category"].where(~here["category"].isin(rest), OTHERS))
            )
            pool = pd.concat([pool.drop(rest), pd.Series({OTHERS: pool[rest].sum()})])
        colours = dict(zip(pool.index, COLOURS, strict=False)) | {OTHERS: GREY}
        ways = sorted(mean.groupby(WAY, sort=False), key=lambda one: (one[0][0] != RANDOM, one[0]))
        drawings = []
        for way, part in ways:
            wide = part.pivot(index="fraction", columns="category", values="share").fillna(0.0).sort_index()
            name = " · ".join(dict.fromkeys(str(one) for one in way if one and one != "configurations"))
            drawings.append(
                (name, stacked(wide.reindex(columns=pool.index, fill_value=0.0), pool, colours, name))
            )
        found.append(Shares(str(dataset), [(str(one), colours[one]) for one in pool.index], drawings))
    return found


def over_seeds(table: pd.DataFrame) -> pd.DataFrame:
    """Average the shares of a composition over seeds; categories of the same name are added up first."""
    keys = ["dataset", *WAY, "fraction"]
    by_seed = table.groupby([*keys, "seed", "category"], sort=False)[["share", "share_in_pool"]].sum()
    mean: pd.DataFrame = by_seed.groupby([*keys, "category"], sort=False).mean().reset_index()
    return mean


def stacked(shares: pd.DataFrame, pool: pd.Series[float], colours: Mapping[str, str], title: str) -> Markup:
    """Draw shares as steps, one per fraction, beside the pool's.

    Parameters
    ----------
    shares
        A row per fraction, ascending, a column per category; each row adds up to 1.
    pool
        Share of each category in all that could be chosen, in the order of the columns.
    colours
        Of the categories.
    title
        What the drawing shows, for those who do not see it.
    """
    right = WIDTH - POOL - GAP
    edges = np.linspace(LEFT, right, len(shares) + 1)
    tops, pool_tops = (_tops(np.asarray(one, dtype=np.float64)) for one in (shares, [pool]))
    parts = []
    for number, category in enumerate(shares.columns):
        outline = _steps(edges, tops[:, number], tops[:, number + 1])
        beside = _steps(np.array([right + GAP, WIDTH]), pool_tops[:, number], pool_tops[:, number + 1])
        parts.append(
            Markup('<path fill="{}" d="{}"><title>{}</title></path>').format(
                colours[category], outline + beside, category
            )
        )
    parts.append(_axes(shares.index.tolist(), edges))
    return Markup('<svg class="shares" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, title, Markup("").join(parts)
    )


def _tops(shares: FloatArray) -> FloatArray:
    """Return where each category ends, from the bottom up, shape (n_fractions, n_categories + 1)."""
    return np.cumsum(np.column_stack([np.zeros(len(shares)), shares]), axis=1)


def _steps(edges: FloatArray, low: FloatArray, high: FloatArray) -> str:
    """Return the outline of steps between ``low`` and ``high``, shares, over intervals between ``edges``."""
    if np.allclose(low, high):
        return ""
    there = [f"M{edges[0]:.1f} {_height(low[0])}"]
    there += [f"V{_height(share)}H{edges[place + 1]:.1f}" for place, share in enumerate(high)]
    there += [f"V{_height(low[place])}H{edges[place]:.1f}" for place in reversed(range(len(low)))]
    return "".join(there) + "Z"


def _height(share: float) -> str:
    return f"{HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM):.1f}"


def _axes(fractions: Sequence[float], edges: FloatArray) -> Markup:
    """Label both axes; of many fractions those that have room."""
    text = Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
    base = HEIGHT - BOTTOM
    parts = [
        text.format(LEFT - 4, float(_height(share)) + 3, "end", f"{100 * share:g}") for share in (0, 0.5, 1)
    ]
    last = -np.inf
    for place, fraction in enumerate(fractions):
        middle = (edges[place] + edges[place + 1]) / 2
        if middle - last >= TICK_ROOM:
            parts.append(text.format(middle, base + 12, "middle", f"{100 * fraction:g}"))
            last = middle
    parts.append(text.format(WIDTH - POOL / 2, base + 12, "middle", "pool"))
    parts.append(text.format((edges[0] + edges[-1]) / 2, base + 25, "middle", "% kept"))
    return Markup('<g class="axis">{}</g>').format(Markup("").join(parts))


def sheet(table: pd.DataFrame, ways: Sequence[str]) -> str:
    """Draw the composition of one data set as a file of its own, for a guide: grey text, on any background.

    Parameters
    ----------
    table
        As in `composition_figures`, of one data set.
    ways
        Names of the ways of choosing to draw, in their order; all if empty.
    """
    [one] = composition_figures(table)
    known = dict(one.figures)
    chosen = [(name, known[name]) for name in ways or known]
    n_columns, tall, wide = 2, HEIGHT + 24, WIDTH + 20
    parts = []
    for number, (name, drawing) in enumerate(chosen):
        x, y = number % n_columns * wide, number // n_columns * tall
        sized = str(drawing).replace("<svg ", f'<svg x="{x}" y="{y + 14}" width="{WIDTH}" height="{HEIGHT}" ')
        parts.append(
            Markup('<text x="{}" y="{}" font-weight="bold">{}</text>').format(x + LEFT, y + 10, name)
        )
        parts.append(Markup(sized))
    top = -(-len(chosen) // n_columns) * tall
    for number, (category, colour) in enumerate(reversed(one.legend)):
        x, y = LEFT + number % 3 * 170, top + 8 + number // 3 * 14
        label = '<rect x="{}" y="{}" width="9" height="9" fill="{}"/><text x="{}" y="{}">{}</text>'
        parts.append(Markup(label).format(x, y, colour, x + 13, y + 8, category))
    bottom = top + 16 + -(-len(one.legend) // 3) * 14
    head = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" font-family="sans-serif" font-size="9" '
    )
    return str(
        Markup(head + 'fill="{}">{}</svg>\n').format(n_columns * wide, bottom, GREY, Markup("").join(parts))
    )
