"""The tables and the figure of docs/studies/softening.md, from the folders of its studies.

Run it as python docs/softening_study.py FOLDER..., folders of crossprune run studies/softening-*.toml: each
is told by what it holds; one with forces.npz is that of forces on tungsten. With --draw the figure of the
page is drawn again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import crossprune
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import way_of
from crossprune.harness.analysis.spaces.predictions import predicted
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.engine.stored import stored_dataset, stored_subset
from crossprune.harness.evaluation.softening.intervals import median_interval
from crossprune.harness.evaluation.softening.slopes import Forces, scale, slope, sums_of, tells
from crossprune.harness.store.objects import Store

IMAGES = Path(__file__).parent / "images"
PAIRS = (
    ("m3gnet-mp", "m3gnet-matpes"),
    ("m3gnet-mp", "tensornet-matpes"),
    ("chgnet-0.2.0", "chgnet-0.3.0"),
    ("7net-0", "7net-l3i5"),
)
"""Two models on the same frames; the first pair is what the study was written for."""
ORDER = (
    *("chgnet-0.2.0", "chgnet-0.3.0", "7net-0", "7net-l3i5", "7net-mf-0-PBE", "m3gnet-mp"),
    *("m3gnet-matpes", "tensornet-matpes"),
    *("chgnet-r2scan", "7net-mf-0-R2SCAN", "tensornet-matpes-r2scan", "diep-matpes-r2scan"),
)
"""Models by what they were trained on: PBE, relaxations and off equilibrium; r2SCAN, likewise."""
AFTER = "MAE after / before"
SCALED, TUNED = "-scale", "-finetune"
"""End the names of models with a factor, and of fine-tuned ones."""
STORED, COOL = "forces.npz", 5.0
"""Forces of eight models on tungsten; components below, eV/Å, as the page on softening takes them."""
MARGIN, N_RESAMPLES = 0.05, 2000
"""Errors that differ by less are alike."""


def said(middle: float, low: float, high: float) -> str:
    """Write a number with its interval."""
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


def show(title: str, rows: Sequence[dict[str, object]]) -> None:
    """Print a table as the page has it."""
    print(f"\n## {title}\n")
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(one) for one in row.values()) + " |")


def by_group(table: pd.DataFrame, columns: str) -> None:
    """Print the median c of every group, a table per data set."""
    for name, mine in table[table["group"] != "all"].groupby("dataset", sort=False):
        wide = mine.pivot_table(index="group", columns=columns, values="median_scale", sort=False)
        rows = [{"group": group, **line.map("{:.2f}".format)} for group, line in wide.iterrows()]
        show(f"Median c by group: {name}", rows)


class Run:
    """A finished run and what its fits predicted."""

    def __init__(self, folder: str) -> None:
        self.root = Path(folder).resolve()
        asked = "group == 'all' and split == 'test' and status == 'done'"
        self.cells = crossprune.results(folder).query(asked)

    def unseen(self, row: pd.Series, *, parts: Sequence[str] = ("train", "test")) -> IntArray:
        """Return the frames of some parts that a fit did not see."""
        data = stored_dataset(self.root, row["dataset_key"])
        frames = np.concatenate([data.indices(part) for part in parts])
        return np.setdiff1d(frames, stored_subset(self.root, row["fit_key"]))

    def forces(self, row: pd.Series, chosen: IntArray) -> Forces:
        """Return what was predicted for frames, beside their labels."""
        frames = stored_dataset(self.root, row["dataset_key"]).frames
        sizes = np.array([len(atoms) for atoms in frames])
        found = predicted(Store(self.root).path("fit", row["fit_key"]), chosen, sizes)[1]
        return Forces(np.concatenate([frames[one].get_forces() for one in chosen]), found, sizes[chosen])

    def errors(self, row: pd.Series, chosen: IntArray) -> FloatArray:
        """Sum the absolute errors of force components in each frame, eV/Å."""
        forces = self.forces(row, chosen)
        wrong = np.abs(forces.predicted - forces.reference).sum(axis=1)
        return np.bincount(forces.owner, wrong, minlength=len(chosen))


def zero_shot(folder: str, *, drawn: bool = False) -> None:
    """Print what every model says of softness, and draw it if asked."""
    table = crossprune.softening_of_run(folder, split="test").table
    places = {name: place for place, name in enumerate(ORDER)}
    table = table.sort_values("model", kind="stable", key=lambda one: one.map(places))
    table = table.sort_values("dataset", kind="stable")
    everything = table[table["group"] == "all"]
    rows = [
        {
            "data": row["dataset"],
            "model": row["model"],
            "median c": said(*row[["median_scale", "median_scale_low", "median_scale_high"]]),
            "median s": said(*row[["median_slope", "median_slope_low", "median_slope_high"]]),
            "pooled s": f"{row['pooled_slope']:.3f}",
            "pooled c": f"{row['scale']:.3f}",
            "counts as": f"{row['n_effective']:.0f} of {row['n_slopes']}",
            "excess c": "" if np.isnan(row["excess_scale"]) else f"{row['excess_scale']:.2f}",
            "MAE": f"{row['mae']:.3f}",
            "of c f": f"{row['mae_scaled']:.3f}",
            "verdict": row["verdict"],
        }
        for _, row in everything.iterrows()
    ]
    show("Every model as it is", rows)
    lines: dict[str, dict[str, dict[str, object]]] = {"Median c": {}, "MAE, and with the pooled c": {}}
    for row in rows:
        model, data = str(row["model"]), str(row["data"])
        cells = (f"{row['median c']} {row['verdict']}", f"{row['MAE']} → {row['of c f']}")
        for title, cell in zip(lines, cells, strict=True):
            lines[title].setdefault(model, {"model": model})[data] = cell
    for title, by_model in lines.items():
        show(title, list(by_model.values()))
    by_group(table, "model")
    between = [
        f"{a:.2f} to {1 / b:.2f}" for a, b in zip(table["median_slope"], table["median_scale"], strict=True)
    ]
    for name, mine in table.assign(between=between).groupby("dataset", sort=False):
        wide = mine[mine["group"] != "all"].pivot(index="group", columns="model", values="between")
        show(f"From s to 1/c: {name}", [{"group": group, **line} for group, line in wide.iterrows()])
    pairs(Run(folder))
    if drawn:
        draw(everything)


def compared(first: Forces, second: Forces) -> dict[str, object]:
    """Say by how much c and s of one configuration differ between two models: median ratios.

    The first is softer if its c is larger and its s smaller; a larger c alone is less noise as well. Only
    configurations in which both models have positive ones.
    """
    sums = [sums_of(one) for one in (first, second)]
    found: dict[str, object] = {}
    ends: dict[str, tuple[float, float]] = {}
    for name, of in (("c", scale), ("s", slope)):
        a, b = (np.where(tells(one), of(one), np.nan) for one in sums)
        both = (a > 0) & (b > 0) & np.isfinite(a) & np.isfinite(b)
        ratios = np.log(a[both] / b[both])
        ends[name] = median_interval(ratios, N_RESAMPLES, 0)
        found.setdefault("configurations", len(ratios))
        found[f"ratio of {name}, median"] = said(*np.exp([np.median(ratios), *ends[name]]))
    (c_low, c_high), (s_low, s_high) = ends["c"], ends["s"]
    softer = {"first": c_low > 0 and s_high < 0, "second": c_high < 0 and s_low > 0}
    return {**found, "softer": next((one for one, is_so in softer.items() if is_so), "not shown")}


def tungsten(folder: str) -> None:
    """Compare models on stored forces of tungsten, those with all components below `COOL`."""
    with np.load(Path(folder) / STORED) as stored:
        sizes, dft = stored["n_atoms"], stored["dft"].astype(float)
        largest = np.maximum.reduceat(np.abs(dft).max(axis=1), np.cumsum(sizes) - sizes)
        both = [
            Forces(dft, stored[name].astype(float), sizes).of(largest < COOL)
            for name in ("7net", "7net-omat")
        ]
    show("Tungsten", [{"pair": "7net / 7net-omat", **compared(*both)}])


def pairs(run: Run) -> None:
    """Print, of two models, by how much the c of one configuration differs."""
    rows: list[dict[str, object]] = []
    for name, cells in run.cells.groupby("dataset", sort=False):
        models = cells.drop_duplicates("model").set_index("model", drop=False)
        for pair in PAIRS:
            if not set(pair) <= set(models.index):
                continue
            both = (
                run.forces(one, run.unseen(one, parts=("test",))) for one in (models.loc[it] for it in pair)
            )
            rows.append({"data": name, "pair": " / ".join(pair), **compared(*both)})
    show("Two models on the same configurations", rows)


def draw(table: pd.DataFrame) -> None:
    """Draw medians of c with their intervals, and the pooled c."""
    names, models = list(dict.fromkeys(table["dataset"])), list(dict.fromkeys(table["model"]))
    size = (2.6 * len(names), 0.28 * len(models) + 1.2)
    figure, axes = plt.subplots(1, len(names), figsize=size, sharey=True, squeeze=False)
    places = np.arange(len(models))
    for axis, name in zip(axes[0], names, strict=True):
        mine = table[table["dataset"] == name].set_index("model").reindex(models)
        middle = mine["median_scale"]
        ends = [middle - mine["median_scale_low"], mine["median_scale_high"] - middle]
        axis.errorbar(middle, places, xerr=np.array(ends), fmt="o", ms=4, lw=1.2, label="median c")
        axis.plot(mine["scale"], places, "x", ms=5, label="pooled c")
        axis.axvline(1.0, color="0.5", lw=0.8)
        axis.set(title=name, xlabel="c", xscale="log", yticks=places, yticklabels=models)
        axis.set_xticks([0.5, 0.7, 1.0, 1.4, 2.0], ["0.5", "0.7", "1", "1.4", "2"])
        axis.xaxis.set_minor_formatter(plt.NullFormatter())
    axes[0, 0].invert_yaxis()
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="lower right", ncols=2, frameon=False)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.savefig(IMAGES / "softening-zero-shot.svg", metadata={"Date": None})


def one_label(folder: str) -> None:
    """Print what a factor from one frame, or from ten, does to errors of frames that were not drawn."""
    run = Run(folder)
    effects, alike = [], []
    every = run.cells.assign(way=way_of(run.cells))
    for (name, way), cells in every.groupby(["dataset", "way"], sort=False):
        for model in [one for one in dict.fromkeys(cells["model"]) if not one.endswith(SCALED)]:
            plain, scaled = (cells[cells["model"] == model + end] for end in ("", SCALED))
            for fraction in sorted(set(scaled["fraction"])):
                pair = [one[one["fraction"] == fraction] for one in (plain, scaled)]
                head = {"data": name, "model": model, "drawn": way}
                effects.append({**head, **effect(run, *pair)})
            if way == "random":
                alike.append({"data": name, "model": model, **one_and_ten(run, scaled)})
    table = pd.DataFrame(effects).assign(several=[one["frames"] != 1 for one in effects])
    rows = [
        {
            "drawn": way,
            "frames": "several" if several else 1,
            "pairs": len(mine),
            f"{AFTER}, geometric mean": f"{np.exp(np.log(mine['ratio']).mean()):.3f}",
            "smaller, larger": f"{(mine['ratio'] < 1).sum()}, {(mine['ratio'] > 1).sum()}",
            "largest": f"{mine['ratio'].max():.3f}",
        }
        for (way, several), mine in table.groupby(["drawn", "several"], sort=False)
    ]
    show("A factor, before and after", table.drop(columns=["ratio", "several"]).to_dict("records"))
    show("A factor, over all networks and data sets", rows)
    show("One label and ten", alike)


def effect(run: Run, plain: pd.DataFrame, scaled: pd.DataFrame) -> dict[str, object]:
    """Compare errors with and without the factor, draw by draw, each on the frames that it did not draw."""
    ratios, factors = [], []
    before = plain.set_index("seed")
    for _, same in scaled.groupby("fit_key", sort=False):  # the same frames may be drawn twice
        row = same.iloc[0]
        twin, chosen = before.loc[row["seed"]], run.unseen(row)
        ratios += len(same) * [run.errors(row, chosen).sum() / run.errors(twin, chosen).sum()]
        f, g = run.forces(twin, chosen).predicted, run.forces(row, chosen).predicted
        factors += len(same) * [float((f * g).sum() / (f * f).sum())]
    return {
        "frames": int(scaled["n_configurations"].iloc[0]),
        "draws": len(ratios),
        "distinct": scaled["fit_key"].nunique(),
        "ratio": float(np.exp(np.mean(np.log(ratios)))),
        "c": said(float(np.median(factors)), min(factors), max(factors)),
        AFTER: said(float(np.exp(np.mean(np.log(ratios)))), min(ratios), max(ratios)),
        "smaller in": f"{sum(one < 1 for one in ratios)} of {len(ratios)}",
    }


def one_and_ten(run: Run, scaled: pd.DataFrame) -> dict[str, object]:
    """Compare factors from the fewest and the most frames of the same draw, on the test part."""
    few, many = (
        scaled[scaled["fraction"] == one].set_index("seed")
        for one in (scaled["fraction"].min(), scaled["fraction"].max())
    )
    seeds = few.index.intersection(many.index)  # a perfect crystal alone gives no factor: its cell failed
    errors = [
        np.array([run.errors(row, run.unseen(row, parts=("test",))) for _, row in one.loc[seeds].iterrows()])
        for one in (few, many)
    ]
    middle, low, high = ratio(*errors)
    inside = low > 1 / (1 + MARGIN) and high < 1 + MARGIN
    outside = high < 1 / (1 + MARGIN) or low > 1 + MARGIN
    return {
        "draws": len(seeds),
        "MAE of one / ten": said(middle, low, high),
        "within 5 %": "yes" if inside else "no" if outside else "not decided",
    }


def ratio(first: FloatArray, second: FloatArray) -> tuple[float, float, float]:
    """Return the geometric mean over draws of a ratio of errors, and its 90 % interval.

    Draws and frames, rows and columns, are resampled together, as two factors that cross (Owen 2007,
    doi:10.1214/07-AOAS122); two one-sided tests at 5 % ask whether the interval lies within the margin.
    """
    rng = np.random.default_rng(0)
    n_draws, n_frames = first.shape
    resampled = []
    for _ in range(N_RESAMPLES):
        draws = rng.integers(0, n_draws, n_draws)
        weights = np.bincount(rng.integers(0, n_frames, n_frames), minlength=n_frames)
        resampled.append(np.log((first[draws] @ weights) / (second[draws] @ weights)).mean())
    middle = np.log(first.sum(axis=1) / second.sum(axis=1)).mean()
    low, high = np.quantile(resampled, [0.05, 0.95])
    return float(np.exp(middle)), float(np.exp(low)), float(np.exp(high))


def labels(folder: str) -> None:
    """Print test errors by the number of labelled frames: means over seeds, and how many fits there are."""
    cells = Run(folder).cells
    cells = cells.assign(way=way_of(cells))
    for name, unit in (("force_mae_ev_per_angstrom", "eV/Å"), ("energy_mae_mev_per_atom", "meV/atom")):
        rows: list[dict[str, object]] = []
        for (data, model, way), mine in cells.groupby(["dataset", "model", "way"], sort=False):
            by_size = mine.groupby("n_configurations")[name].agg(["mean", "size"])
            found = {f"{n:.0f}": f"{one['mean']:.4g} ({one['size']:.0f})" for n, one in by_size.iterrows()}
            rows.append({"data": data, "model": model, "chosen by": way, **found})
        show(f"{name.split('_')[0].capitalize()} MAE on test by labelled frames, {unit} (fits)", rows)


def scaled_and_tuned(scaled: str, tuned: str) -> None:
    """Compare a factor from one frame with fine-tuning on ten, of the same draws, on the test part."""
    errors = []
    for folder, end, few in ((scaled, SCALED, 1), (tuned, TUNED, 10)):
        run = Run(folder)
        mine = run.cells[run.cells["model"].str.endswith(end) & run.cells["method"].eq("random")]
        mine = mine[mine["n_configurations"] == few].set_index("seed")
        errors.append({s: run.errors(row, run.unseen(row, parts=("test",))) for s, row in mine.iterrows()})
    seeds = sorted(set(errors[0]) & set(errors[1]))
    first, second = (np.array([one[seed] for seed in seeds]) for one in errors)
    show("Scale of one, fine-tuned on ten", [{"draws": len(seeds), "MAE": said(*ratio(first, second))}])


def made(folder: str) -> None:
    """Print the softness of fits to calm, hot and random frames: over seeds, median and range."""
    table = crossprune.softening_of_run(folder, split="test").summary
    table = table.assign(method=table["way"].str.extract(r"(force_\w+|random)(?:,|$)", expand=False))
    errors = Run(folder).cells.groupby(["dataset", "model", "method"])["force_mae_ev_per_angstrom"].mean()
    rows = [
        {
            "data": row["dataset"],
            "model": row["model"],
            "fitted to": row["method"],
            "soft, hard": f"{row['n_soft']}, {row['n_hard']} of {row['n_fits']}",
            "median c": said(*row[["median_scale", "median_scale_lowest", "median_scale_highest"]]),
            "median s": said(*row[["median_slope", "median_slope_lowest", "median_slope_highest"]]),
            "pooled c": said(*row[["scale", "scale_lowest", "scale_highest"]]),
            "MAE": f"{errors[row['dataset'], row['model'], row['method']]:.3g}",
        }
        for _, row in table[table["group"] == "all"].iterrows()
    ]
    show("Softness made", rows)
    by_group(table.assign(fitted=table["model"] + ", " + table["method"]), "fitted")


def choosers(folder: str) -> None:
    """Print test force errors over those on random data of the same size and seed: geometric means."""
    cells = Run(folder).cells
    axes = ["dataset", "fraction", "model", "seed"]
    wide = cells.assign(way=way_of(cells)).pivot_table(
        index=axes, columns="way", values="force_mae_ev_per_angstrom"
    )
    ratios = np.log(wide.div(wide["random"], axis=0)).drop(columns="random")
    for name, mine in ratios.groupby("dataset"):
        means = np.exp(mine.groupby("model").mean()).T.assign(all=np.exp(mine.mean()))
        rows = [{"chosen by": way, **line.map("{:.2f}".format)} for way, line in means.iterrows()]
        show(f"Force error over that on random data: {name}", rows)


def _has(folder: str, end: str) -> bool:
    """Say whether a folder is of a run with a model whose name ends so."""
    is_run = not (Path(folder) / STORED).is_file()
    return is_run and bool(crossprune.results(folder)["model"].str.endswith(end).any())


def main(arguments: Sequence[str]) -> None:
    """Print what each folder is for."""
    folders, drawn = [one for one in arguments if one != "--draw"], "--draw" in arguments
    ends = {end: [one for one in folders if _has(one, end)] for end in ("-linear", TUNED)}
    for scaled, tuned in zip(*ends.values(), strict=False):
        scaled_and_tuned(scaled, tuned)
    for folder in folders:
        if (Path(folder) / STORED).is_file():
            tungsten(folder)
            continue
        cells = crossprune.results(folder)
        if {"ace", "chimes"} <= set(cells["chooser"]):
            choosers(folder)
        elif cells["model"].str.endswith(("-linear", TUNED)).any():
            labels(folder)
        elif cells["model"].str.endswith(SCALED).any():
            one_label(folder)
        elif cells["method"].eq("force_lowest").any():
            made(folder)
        else:
            zero_shot(folder, drawn=drawn)


if __name__ == "__main__":
    main(sys.argv[1:])
