"""The tables and the figure of docs/studies/transfer.md, from the folders of its studies.

Run it as python docs/transfer_study.py FOLDER..., folders of crossprune run studies/transfer-*.toml. With
--draw the figure of the page is drawn again, of the first folder.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import crossprune
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

IMAGE = Path(__file__).parent / "images" / "transfer-si.svg"
WAYS = ("source", "pooled", "delta", "prior")
ERRORS = {"force": "force_mae_ev_per_angstrom", "energy": "energy_mae_mev_per_atom"}


def show(title: str, rows: Sequence[dict[str, object]]) -> None:
    """Print a table as the page has it."""
    print(f"\n## {title}\n")
    if not rows:
        print("nothing to show")
        return
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(one) for one in row.values()) + " |")


def said(row: pd.Series) -> str:
    """Write a ratio of errors; what is not shown in brackets, what does harm in bold."""
    text = f"{row['error_ratio']:.2f}"
    return {"helps": text, "harms": f"**{text}**"}.get(str(row["verdict"]), f"({text})")


def by_size(table: pd.DataFrame, metric: str, chooser: str = "random") -> None:
    """Print errors without transfer, and ratios of errors, by number of target labels."""
    mine = table[(table["metric"] == metric) & (table["split"] == "test") & (table["chooser"] == chooser)]
    rows = []
    for (dataset, model), part in mine.groupby(["dataset", "model"], sort=False):
        sizes = sorted(part["n_labelled"].unique())
        once = part.drop_duplicates("n_labelled").set_index("n_labelled")["error_without"]
        head = {"data": dataset, "model": model}
        rows.append({**head, "way": "none, error", **{f"{n:g}": f"{once[n]:.3g}" for n in sizes}})
        for (way, references), one in part.groupby(["way", "references"], sort=False):
            name = way if references == "target" else f"{way}, {references}"
            line = one.set_index("n_labelled")
            rows.append({**head, "way": name, **{f"{n:g}": said(line.loc[n]) for n in sizes}})
    show(f"{metric} error with over without, labels at random", rows)


def worth(table: pd.DataFrame) -> None:
    """Print how many target labels the source is worth to a model that is fitted to these alone."""
    chosen = (table["way"] == "source") & (table["references"] == "target") & (table["split"] == "test")
    mine = table[chosen & (table["chooser"] == "random")]
    mine = mine[mine["n_labelled"] == mine["n_labelled"].min()]
    rows = []
    for _, row in mine.iterrows():
        n = row["n_labelled"]
        numbers = [counted(row[f"labels_ratio{end}"] * n, n) for end in ("", "_low", "_high")]
        rows.append(
            {
                "data": row["dataset"],
                "model": row["model"],
                "error": row["metric"],
                "as good as": f"{numbers[0]} target labels ({numbers[1]} to {numbers[2]})",
            }
        )
    show("What the source alone is worth", rows)


def counted(number: float, least: float) -> str:
    """Write a number of labels; beyond the study as it is."""
    if math.isinf(number):
        return "more than all"
    return f"fewer than {least:g}" if number == 0 else f"{number:.0f}"


def choosers(folder: str) -> None:
    """Print who should choose the target labels: errors over those of random choices, by way."""
    cells = crossprune.results(folder)
    cells = cells[(cells["split"] == "test") & (cells["group"] == "all") & (cells["status"] == "done")]
    keys = ["dataset", "model", "fraction", "seed"]
    rows = []
    for metric, column in ERRORS.items():
        chance = cells[cells["chooser"] == "random"].set_index(keys)[column]
        for chooser, part in cells[(cells["chooser"] != "random") & (cells["fraction"] < 1)].groupby(
            "chooser"
        ):
            logs = np.log(part.set_index(keys)[column] / chance).dropna().reset_index()
            logs["way"] = [way_of(model) for model in logs["model"]]
            mean = logs.groupby(["way", "fraction"])[column].mean().unstack("fraction")
            for way in ("none", *WAYS):
                if way in mean.index:
                    line = {f"{one:g}": f"{math.exp(mean.loc[way, one]):.2f}" for one in mean.columns}
                    rows.append({"error": metric, "chosen by": chooser, "way": way, **line})
    show("Chosen by a descriptor over chosen at random, geometric mean over models and seeds", rows)


def way_of(model: str) -> str:
    """Return the way in a model's name."""
    return next((way for way in WAYS if f"-{way}" in model), "none")


def power_laws(folder: str) -> None:
    """Fit error = a n^-b + c to the means over seeds; b with and without transfer."""
    from scipy.optimize import curve_fit

    cells = crossprune.results(folder)
    chosen = (cells["split"] == "test") & (cells["group"] == "all") & (cells["status"] == "done")
    cells = cells[chosen & (cells["chooser"] == "random")]
    rows = []
    for model, part in cells.groupby("model"):
        means = np.exp(np.log(part.set_index("n_configurations")[ERRORS["force"]]).groupby(level=0).mean())
        n, error = means.index.to_numpy(dtype=float), means.to_numpy()
        if way_of(str(model)) in ("source", "pooled"):
            continue
        start = (error[0] * n[0] ** 0.5, 0.5, error[-1] / 2)
        try:
            (a, b, c), spread = curve_fit(
                lambda x, a, b, c: a * x**-b + c, n, error, start, sigma=error, bounds=(0, [1e3, 3.0, 1.0])
            )
        except RuntimeError:
            continue
        rows.append(
            {
                "model": model,
                "a": f"{a:.2f}",
                "b": f"{b:.2f} ± {math.sqrt(spread[1, 1]):.2f}",
                "c": f"{c:.3f}",
            }
        )
    show("error = a n^-b + c of forces, random", rows)


def draw(table: pd.DataFrame) -> None:
    """Draw learning curves of forces, with and without, and the interval of the ratio."""
    mine = table[(table["metric"] == "force") & (table["split"] == "test") & (table["chooser"] == "random")]
    mine = mine[mine["references"] == "target"]
    models = list(dict.fromkeys(mine["model"]))
    figure, axes = plt.subplots(1, len(models), figsize=(2.4 * len(models), 2.9), sharey=True, squeeze=False)
    for axis, model in zip(axes[0], models, strict=True):
        part = mine[mine["model"] == model]
        plain = part.drop_duplicates("n_labelled").sort_values("n_labelled")
        axis.plot(plain["n_labelled"], plain["error_without"], "o-", color="0.3", ms=3, label="none")
        for way in WAYS:
            line = part[part["way"] == way].sort_values("n_labelled")
            low, high = (line["error_without"] * line[f"error_ratio_{end}"] for end in ("low", "high"))
            [drawn] = axis.plot(line["n_labelled"], line["error"], ".-", ms=4, lw=1.1, label=way)
            axis.fill_between(line["n_labelled"], low, high, color=drawn.get_color(), alpha=0.15, lw=0)
        axis.set(title=model, xscale="log", yscale="log", xlabel="r2SCAN labels")
    axes[0, 0].set_ylabel("force MAE, eV/Å")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="lower center", ncols=5, frameon=False)
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    figure.savefig(IMAGE, metadata={"Date": None})


def main(arguments: Sequence[str]) -> None:
    """Print what the page has, of each folder."""
    folders = [one for one in arguments if one != "--draw"]
    for place, folder in enumerate(folders):
        print(f"\n# {folder}")
        table = crossprune.transfer_of_run(folder)
        for metric in ERRORS:
            by_size(table, metric)
        worth(table)
        choosers(folder)
        power_laws(folder)
        if place == 0 and "--draw" in arguments:
            draw(table)


if __name__ == "__main__":
    main(sys.argv[1:])
