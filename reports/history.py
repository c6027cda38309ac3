"""One page that follows the errors of every model over the nights."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from crossprune.harness.analysis.nights import WATCHED, Night, history
from crossprune.harness.engine.results import by_pool
from crossprune.harness.store.objects import write_file
from crossprune.reports.drawing.figures import OKABE_ITO

PAGE = "nights.html"
STYLE = """<meta name='viewport' content='width=device-width'><style>
body { font-family: sans-serif; margin: 2rem; color-scheme: light dark }
table { border-collapse: collapse }
td, th { padding: .2rem .6rem; border: 1px solid #8886 }
</style>"""
TITLES = {
    "energy_mae_mev_per_atom": "test energy MAE (meV/atom)",
    "force_mae_ev_per_angstrom": "test force MAE (eV/Å)",
}


def write_history(nights: list[Night], folder: Path) -> Path:
    """Write ``nights.html`` into ``folder``: a line per model and chooser at the largest fraction."""
    from plotly.offline import get_plotlyjs

    table = by_pool(history(nights))
    largest = table[table["fraction"] == table.groupby("dataset")["fraction"].transform("max")]
    figures = [
        _figure(largest, metric).to_html(full_html=False, include_plotlyjs=False) for metric in WATCHED
    ]
    cells = ["dataset", "model", "chooser", "fraction"]
    errors = table.pivot_table(index=cells, columns="night", values=WATCHED[1])
    errors = errors.reindex(columns=[night.name for night in nights])
    listing = errors.to_html(float_format="{:.4f}".format, na_rep="not done")
    page = (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>crossprune: nights</title>{STYLE}"
        f"<script>{get_plotlyjs()}</script></head><body><h1>Nights</h1>"
        f"<p>{len(nights)} nights, the last {html.escape(nights[-1].name)}.</p>{''.join(figures)}"
        f"<h2>{TITLES[WATCHED[1]]}</h2>{listing}</body></html>"
    )
    write_file(folder / PAGE, lambda path: path.write_text(page, encoding="utf-8"))
    return folder / PAGE


def _figure(table: Any, metric: str) -> Any:
    import plotly.graph_objects as go

    figure = go.Figure()
    lines = table.groupby(["dataset", "model", "chooser", "method", "fraction"])
    for number, ((dataset, model, chooser, _, fraction), line) in enumerate(lines):
        figure.add_scatter(
            x=line["night"],
            y=line[metric],
            mode="lines+markers",
            name=f"{dataset}: {model} on {fraction:.0%} chosen by {chooser}",
            line={"color": OKABE_ITO[number % len(OKABE_ITO)]},
        )
    figure.update_layout(title=TITLES[metric], yaxis={"rangemode": "tozero"}, xaxis={"type": "category"})
    return figure
