"""What the store still holds, laid out for the page: latent maps, parity plots, overlaps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from crossprune.harness.analysis.details.artefacts import N_BINS, LatentMap, Parity
from crossprune.reports.drawing.figures import MARKERS, OKABE_ITO, Figure, layout
from crossprune.reports.matrices import MAX_TINT
from crossprune.reports.tables import RANDOM

GROUP_COLOURS = (*OKABE_ITO[:6], "#882255")
"""Wine (Tol 2021, sronpersonalpages.nl/~pault) for yellow, which small faint marks lose on white."""
COUNTS = [[0.0, "#9ECAE1"], [0.5, "#3182BD"], [1.0, "#08306B"]]
"""Blues (ColorBrewer) from few to many; empty bins are clear."""


MOST_WAYS = 12
"""Ways of choosing whose overlaps are shown at every fraction."""


@dataclass(frozen=True)
class Overlap:
    """How far the sets of two ways of choosing agree, for one data set and fraction."""

    dataset: str
    fraction: float
    ways: list[str]
    rows: list[tuple[str, list[tuple[str, int]]]]
    """Way, and for each way the text and the tint (%) of its cell."""
    chance: str
    """What two random sets of these sizes share."""


def shown_overlaps(table: pd.DataFrame) -> pd.DataFrame:
    """Keep of the overlaps of many ways of choosing those at the fraction nearest to a tenth."""
    if table["first"].nunique() <= MOST_WAYS or table.empty:
        return table
    distance = (table["fraction"] - 0.1).abs()
    nearest: pd.DataFrame = table[distance == distance.min()]
    return nearest


def overlaps(table: pd.DataFrame) -> list[Overlap]:
    """Lay the table ``overlap`` of an analysis out as matrices, tinted by the excess over chance."""
    found = []
    for (dataset, fraction), here in table.groupby(["dataset", "fraction"]):
        ways = sorted({*here["first"], *here["second"]}, key=lambda way: (way != RANDOM, way))
        pairs = {
            frozenset((str(row["first"]), str(row["second"]))): (row["jaccard"], row["jaccard_by_chance"])
            for row in here.to_dict("records")
        }
        rows = []
        for index, one in enumerate(ways[1:], start=1):
            known = [pairs.get(frozenset((one, other))) for other in ways[:index]]
            rows.append((one, [_overlap_cell(pair) for pair in known]))
        low, high = here["jaccard_by_chance"].min(), here["jaccard_by_chance"].max()
        chance = f"{low:.2f}" if high - low < 0.005 else f"{low:.2f} to {high:.2f}"
        found.append(Overlap(str(dataset), float(str(fraction)), ways[:-1], rows, chance))
    return found


def _overlap_cell(pair: tuple[float, float] | None) -> tuple[str, int]:
    if pair is None:
        return "–", 0
    shared, chance = pair
    above = max(0.0, (shared - chance) / max(1 - chance, 1e-9))
    return f"{shared:.2f}", round(MAX_TINT * min(above, 1.0))


def map_data(maps: Sequence[LatentMap]) -> list[tuple[str, dict[str, Any]]]:
    """Lay the maps of each data set out for the script, which draws the space, way and fraction asked for."""
    drawn = []
    for dataset in dict.fromkeys(one.dataset for one in maps):
        mine = [one for one in maps if one.dataset == dataset]
        first = mine[0]
        groups = sorted(set(first.groups))
        drawn.append(
            (
                dataset,
                {
                    "groups": groups,
                    "group": [groups.index(one) for one in first.groups],
                    "colours": GROUP_COLOURS,
                    "symbols": MARKERS,
                    "sets": [
                        {"way": way, "fraction": fraction, "mask": _mask(chosen, len(first.groups))}
                        for (way, fraction), chosen in first.chosen.items()
                    ],
                    "seed": first.seed,
                    "dataset": dataset,
                    "frames": first.frames.tolist(),
                    "shown": f"{len(first.groups)} of {first.n_all}",
                    "spaces": [
                        {
                            "name": one.space,
                            "x": [float(f"{value:.4g}") for value in one.points[:, 0]],
                            "y": [float(f"{value:.4g}") for value in one.points[:, 1]],
                            "shares": one.shares,
                        }
                        for one in mine
                    ],
                },
            )
        )
    return drawn


def _mask(chosen: Any, n: int) -> str:
    """Write which of ``n`` are chosen as hexadecimal digits, four to a digit."""
    bits = np.zeros(n, dtype=bool)
    bits[chosen] = True
    return np.packbits(bits).tobytes().hex()


def parity_figures(parity: Iterable[Parity]) -> dict[tuple[str, str], list[Figure]]:
    """Draw energies and forces of every fit shown, by data set and part."""
    drawn: dict[tuple[str, str], list[Figure]] = {}
    for one in parity:
        drawn.setdefault((one.dataset, one.split), []).extend([_energies(one), _forces(one)])
    return drawn


def _title(one: Parity) -> str:
    share = "the full set" if one.fraction > 1 - 1e-9 else f"{100 * one.fraction:g} % by {one.way}"
    return escape(f"{one.model} on {share}", quote=False)


def _energies(one: Parity) -> Figure:
    low, high = float(one.energies.min()), float(one.energies.max())
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": one.energies[:, 0].tolist(),
        "y": one.energies[:, 1].tolist(),
        "marker": {"size": 5, "color": OKABE_ITO[0], "opacity": 0.6},
        "customdata": one.frames.tolist(),
        "meta": {"frames": one.dataset},
        "hovertemplate": "label %{x:.3f}<br>model %{y:.3f} eV/atom<br>frame %{customdata}<extra></extra>",
    }
    return {"data": [trace], "layout": _square(f"{_title(one)}: energy", "eV/atom", low, high)}


def _forces(one: Parity) -> Figure:
    """Draw the histogram as its filled bins only; the script makes the square of them."""
    filled = np.flatnonzero(one.counts)
    low, high = one.edges
    trace = {
        "type": "heatmap",
        "x0": low + (high - low) / N_BINS / 2,
        "y0": low + (high - low) / N_BINS / 2,
        "dx": (high - low) / N_BINS,
        "dy": (high - low) / N_BINS,
        "filled": filled.tolist(),
        "counts": one.counts.ravel()[filled].tolist(),
        "n": N_BINS,
        "colorscale": COUNTS,
        "showscale": False,
        "hovertemplate": "label %{x:.2f}<br>model %{y:.2f} eV/Å<br>%{text} components<extra></extra>",
    }
    beyond = f", {one.n_beyond} beyond" if one.n_beyond else ""
    return {"data": [trace], "layout": _square(f"{_title(one)}: force{beyond}", "eV/Å", low, high)}


def _square(title: str, unit: str, low: float, high: float) -> dict[str, Any]:
    """Return a layout with equal axes and the line of perfect agreement."""
    drawn = layout(title, height=300)
    line = {"type": "line", "x0": low, "y0": low, "x1": high, "y1": high, "layer": "below"}
    drawn["shapes"] = [line | {"line": {"color": "#808080", "width": 1.5, "dash": "dot"}}]
    drawn["xaxis"] = {"title": {"text": f"label ({unit})", "standoff": 6}, "nticks": 6}
    drawn["yaxis"] = {"title": {"text": f"model ({unit})", "standoff": 6}, "nticks": 6}
    return drawn
