"""``crossprune softening``: whether predicted forces are too small, with what proves it."""

from __future__ import annotations

import json
import math
from math import isfinite, isnan
from typing import TYPE_CHECKING, Annotated, Any

import typer
from crossprune.harness.cli import commands, evaluation
from crossprune.harness.cli.analysis import plain
from rich.console import Console

if TYPE_CHECKING:  # imported when the command needs them, so that --help is quick
    import pandas as pd
    from crossprune.softness import Softening
    from crossprune.softness_of_runs import RunSoftening

ALL = "all"
"""The group over all groups."""
BAR = 40
"""Characters of the longest bar of a histogram."""
MEDIANS = (
    "medians over configurations, 95 % intervals: c, the factor on predicted forces that minimises their "
    "squared error; s, the slope of predicted on reference forces"
)
BY_PREDICTION = "; by |f|: where predicted forces choose what counts, and a claim must hold by both"
POOLED = (
    "all force components together (MAE in eV/Å per component; the pooled c counts as so many "
    "configurations of equal weight)"
)
OF_RUN = (
    "every model, of medians over configurations (c, the factor on predicted forces that minimises their "
    "squared error; s, their slope on reference forces) the median (and range) over seeds and pools, of a "
    "single fit with its [interval]; soft, hard: of how many fits the interval says so"
)
CURVATURE = (
    "curvature over the reference's, median and range over seeds and pools: elastic constants, bulk moduli "
    "(also of other phases), squared frequencies; below 1 is soft"
)
EXCESS = "excess energies, meV/atom, beyond what composition explains in each line's frames"
console = Console()


def softening(
    source: Annotated[
        str,
        typer.Argument(
            help="Folder of a saved potential, or SCHEME:…; or of a finished run; or with the two keys a "
            "file with both forces."
        ),
    ],
    data: evaluation.DataOption = None,
    reference_key: Annotated[
        str | None, typer.Option("--reference-key", help="Of stored forces: key of the reference.")
    ] = None,
    predicted_key: Annotated[
        str | None, typer.Option("--predicted-key", help="Of stored forces: key of the prediction.")
    ] = None,
    force_window: Annotated[
        tuple[float, float] | None,
        typer.Option(
            "--force-window",
            metavar="MIN MAX",
            help="Only atoms whose reference force is from MIN to below MAX, eV/Å (MAX may be inf).",
        ),
    ] = None,
    group: Annotated[
        list[str] | None, typer.Option("--group", help="Only this group (repeatable); default: all.")
    ] = None,
    resamples: Annotated[
        int | None, typer.Option("--resamples", help="Draws of configurations for intervals; default: 2000.")
    ] = None,
    resampling_seed: Annotated[
        int, typer.Option("--resampling-seed", min=0, help="Seed of these draws.")
    ] = 0,
    split: evaluation.SplitOption = None,
    split_method: evaluation.SplitMethodOption = None,
    test_fraction: evaluation.TestFractionOption = None,
    seed: evaluation.SeedOption = None,
    split_key: evaluation.SplitKeyOption = None,
    energy_key: commands.EnergyKeyOption = None,
    forces_key: commands.ForcesKeyOption = None,
    stress_key: commands.StressKeyOption = None,
    virial_key: commands.VirialKeyOption = None,
    group_key: commands.GroupKeyOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, for machines.")] = False,
) -> None:
    """Say whether predicted forces are too small (soft), too large (hard), or neither.

    Example: `crossprune softening lammps:snap:Mo_Zuo_JPCA2020 --data mlearn-Mo`

    Example: `crossprune softening forces.extxyz --reference-key dft --predicted-key model --json`

    Example: `crossprune softening mo`, of every model of a finished run

    Potentials, data and parts are as in `crossprune evaluate`. Softness is claimed where the factor c on the
    predicted forces that minimises their squared error is above 1 with its interval, as the median over
    configurations. A slope below 1 of predicted against reference forces proves nothing: noise makes one.

    Exit code 0, whatever the verdict; 2: the call or the data are wrong.
    """
    from crossprune.softness import is_run
    from crossprune.softness import softening as look
    from crossprune.softness_of_runs import softening_of_run

    labels = commands.given_keys(energy_key, forces_key, stress_key, virial_key, group_key)
    loading = evaluation.loading_of(labels, split_method, test_fraction, seed, split_key)
    if is_run(source):
        _refuse(
            {"--data": data, "--reference-key": reference_key, "--predicted-key": predicted_key, **loading}
        )
        of_run = softening_of_run(
            source,
            split=split,
            force_window=force_window,
            groups=group or (),
            resamples=resamples,
            seed=resampling_seed,
        )
        _print_run(source, of_run, group or [], as_json=as_json)
        return
    found = look(
        source,
        data,
        reference_key=reference_key,
        predicted_key=predicted_key,
        split=split,
        loading=loading,
        force_window=force_window,
        groups=group or (),
        resamples=resamples,
        seed=resampling_seed,
    )
    if as_json:
        document = _document(source, found, force_window)
        print(json.dumps(plain(document), indent=1, allow_nan=False))
        return
    for line in (f"{source} on {found.name}", *found.notes):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for part, rows in found.table.groupby("part", sort=False):
        _show(str(part), rows, found.histogram)
        _show_energies(found.energies[found.energies["part"] == part])


def _refuse(given: dict[str, Any]) -> None:
    """Refuse what has no meaning for a run."""
    from crossprune.harness.errors import StudyError

    if wrong := [name for name, value in given.items() if value is not None]:
        raise StudyError(f"{', '.join(wrong)}: for a potential or a file; a run has its own data and parts")


def _print_run(source: str, found: RunSoftening, groups: list[str], *, as_json: bool) -> None:
    """Print what every model of a run is: medians over seeds and pools, then curvatures."""
    from crossprune.harness.cli.console import READABLE_ROWS, print_lines, print_text
    from crossprune.harness.cli.layout import lines_of

    if as_json:
        names = {"cells": found.table, "summary": found.summary, "histogram": found.histogram}
        names |= {"curvature": found.curvature, "curvature_summary": found.curvature_summary}
        records = {name: table.to_dict("records") for name, table in names.items()}
        document = {"source": source, "notes": list(found.notes), **records}
        print(json.dumps(plain(document), indent=1, allow_nan=False))
        return
    for line in (source, *found.notes):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    shown = found.summary[found.summary["group"].isin([ALL, *groups])]
    tables = {OF_RUN: (shown, _run_texts), CURVATURE: (found.curvature_summary, _curvature_texts)}
    for title, (table, texts) in tables.items():
        if table.empty or ("ratio" in table and table["ratio"].isna().all()):
            continue
        some = table if len(table) <= READABLE_ROWS else _at_a_tenth(table)
        print_text(console, title)
        print_lines(console, lines_of(texts(some)))
        if len(some) < len(table):
            print_text(console, "only the fraction nearest to a tenth; --json has all")
    if failed := sorted(set(found.curvature.loc[found.curvature["n_failed"] > 0, "model"])):
        print_text(console, f"some curvatures have no value: of {', '.join(failed)}; --json says how many")


def _at_a_tenth(table: pd.DataFrame) -> pd.DataFrame:
    """Keep the fraction nearest to a tenth."""
    distance = (table["fraction"] - 0.1).abs()
    nearest: pd.DataFrame = table[distance == distance.min()]
    return nearest


def _run_texts(rows: pd.DataFrame) -> pd.DataFrame:
    """Lay a run's summary out as texts."""
    import pandas as pd

    texts = {
        **_keys(rows, ("dataset", "held_out", "split", "group")),
        "fits": rows["n_fits"].map(str).tolist(),
        "soft": rows["n_soft"].map(str).tolist(),
        "hard": rows["n_hard"].map(str).tolist(),
        "c": _ranges(rows, "median_scale"),
        "s": _ranges(rows, "median_slope"),
        "pooled s": _ranges(rows, "pooled_slope"),
        "energies' c": _ranges(rows, "excess_scale"),
        "energies' s": _ranges(rows, "excess_slope"),
    }
    return pd.DataFrame(texts)


def _curvature_texts(rows: pd.DataFrame) -> pd.DataFrame:
    """Lay curvatures out as texts: a column for each kind."""
    import pandas as pd

    rows = rows[rows["ratio"].notna()]
    keys = [*_keys(rows, ("dataset",)), "computed"]
    wide = pd.DataFrame({**_keys(rows, ("dataset",)), "computed": rows["computed"].tolist()})
    wide = wide.assign(kind=rows["kind"].tolist(), text=_ranges(rows, "ratio"))
    found = wide.pivot(index=keys, columns="kind", values="text").fillna("")
    shown: pd.DataFrame = found[[one for one in dict.fromkeys(wide["kind"]) if found[one].any()]]
    return shown.reset_index()


def _keys(rows: pd.DataFrame, if_several: tuple[str, ...]) -> dict[str, list[str]]:
    """Name what a row is of; what is the same in all is left out, but for model, way and fraction."""
    names = {"split": "part", "held_out": "without"}
    several = [one for one in if_several if rows[one].nunique() > 1]
    texts = {names.get(one, one): rows[one].astype(str).tolist() for one in several}
    fractions = [format(one, "g") for one in rows["fraction"]]
    return {**texts, "model": rows["model"].tolist(), "way": rows["way"].tolist(), "fraction": fractions}


def _ranges(rows: pd.DataFrame, name: str) -> list[str]:
    """Write ``1.023 (1.010 to 1.041)``, median and range over fits; of one its interval, if known."""
    ends = zip(rows[f"{name}_lowest"], rows[f"{name}_highest"], strict=True)
    shown = [f" ({low:.3f} to {high:.3f})" if low < high else "" for low, high in ends]
    if f"{name}_low" in rows:
        alone = zip(rows["n_fits"] == 1, _intervals(rows, name), shown, strict=True)
        return [
            whole if is_one else value + end
            for (is_one, whole, end), value in zip(alone, _numbers(rows, name, ".3f"), strict=True)
        ]
    return [value + end for value, end in zip(_numbers(rows, name, ".3f"), shown, strict=True)]


def _show(part: str, rows: pd.DataFrame, histogram: pd.DataFrame) -> None:
    """Print a part: what may be claimed, what papers report, the spread over configurations."""
    from crossprune.harness.cli.console import print_lines, print_text
    from crossprune.harness.cli.layout import lines_of

    rows = rows if len(rows) > 2 else rows[:1]  # a single group is all there is
    whole = rows.iloc[0]
    print_text(console, f"part {part}: {whole['said']}.")
    print_text(console, MEDIANS + (BY_PREDICTION if _differ(rows) else ""))
    print_lines(console, lines_of(_medians(rows)))
    print_text(console, POOLED)
    print_lines(console, lines_of(_pooled(rows)))
    bins = histogram[(histogram["part"] == part) & (histogram["group"] == whole["group"])]
    print_text(console, "slopes s of configurations:")
    print_lines(console, _bars(bins))


def _show_energies(rows: pd.DataFrame) -> None:
    """Print what excess energies say, if there are any."""
    import pandas as pd
    from crossprune.harness.cli.console import print_lines, print_text
    from crossprune.harness.cli.layout import lines_of

    if rows.empty:
        return
    rows = rows if len(rows) > 2 else rows[:1]
    whole, told = rows.iloc[0], rows[rows["slope"].notna() | rows["above_mev_per_atom"].notna()]
    print_text(console, f"{EXCESS}: {whole['said']}.")
    if len(told):
        texts = {
            "group": told["group"].tolist(),
            "scatter": _numbers(told, "scatter_mev_per_atom", ".1f"),
            "c": _intervals(told, "scale"),
            "s": _intervals(told, "slope"),
            "verdict": told["verdict"].where(told["slope"].notna(), "none").tolist(),
            "Theil-Sen": _numbers(told, "theil_sen", ".3f"),
            "counts as": _numbers(told, "n_effective", ".1f"),
            "mean above": _numbers(told, "above_mev_per_atom", ".1f"),
            "predicted / it": _intervals(told, "above_ratio"),
        }
        empty = [name for name, column in texts.items() if not any(column)]
        print_lines(console, lines_of(pd.DataFrame(texts).drop(columns=empty)))
    for said, those in rows[1:][rows["slope"][1:].isna()].groupby("said", sort=False)["group"]:
        print_text(console, f"{', '.join(those)}: {said}")
    if whole["n_groups"] > 1:
        c, s = _intervals(rows[:1], "between_scale")[0], _intervals(rows[:1], "between_slope")[0]
        print_text(console, f"means of {whole['n_groups']} groups above {whole['lowest']}: c {c}, s {s}")


def _medians(rows: pd.DataFrame) -> pd.DataFrame:
    """Lay out medians over configurations, and verdicts, as texts."""
    import pandas as pd

    texts = {
        "group": rows["group"].tolist(),
        "slopes": rows["n_slopes"].map(str).tolist(),
        "c": _intervals(rows, "median_scale"),
        "s": _intervals(rows, "median_slope"),
        "verdict": rows["verdict"].where(rows["median_scale_low"].notna(), "too few").tolist(),
    }
    if _differ(rows):
        texts["c by |f|"] = _intervals(rows, "scale_by_prediction")
    if rows["slope_by_prediction"].notna().any():
        texts["s by |f|"] = _intervals(rows, "slope_by_prediction")
    texts["Theil-Sen"] = _intervals(rows, "theil_sen")
    texts["s < 1"] = _numbers(rows, "share_below_one", ".0%")
    texts["c > 1"] = _numbers(rows, "share_above_one", ".0%")
    return pd.DataFrame(texts)


def _differ(rows: pd.DataFrame) -> bool:
    """Say whether predicted forces choose otherwise than reference forces."""
    return bool((rows["scale_by_prediction"] - rows["median_scale"]).abs().gt(0).any())


def _pooled(rows: pd.DataFrame) -> pd.DataFrame:
    """Lay out what all force components give together, as texts."""
    import pandas as pd

    texts = {
        "group": rows["group"].tolist(),
        "slope s": _intervals(rows, "pooled_slope", ".4f"),
        "factor c": _intervals(rows, "scale", ".4f"),
        "R2": _numbers(rows, "r2", ".4f"),
        "atoms": rows["n_atoms"].map(str).tolist(),
        "counts as": _numbers(rows, "n_effective", ".1f"),
        "MAE": _numbers(rows, "mae", ".4f"),
        "MAE of f/s": _numbers(rows, "mae_corrected", ".4f"),
        "MAE of c f": _numbers(rows, "mae_scaled", ".4f"),
    }
    return pd.DataFrame(texts)


def _intervals(rows: pd.DataFrame, name: str, form: str = ".3f") -> list[str]:
    """Write ``1.023 [1.010, 1.041]``, without an interval where there is none; inf is a number."""
    ends = zip(rows[f"{name}_low"], rows[f"{name}_high"], strict=True)
    shown = [f" [{low:.3f}, {high:.3f}]" if not isnan(low + high) else "" for low, high in ends]
    return [value + end for value, end in zip(_numbers(rows, name, form), shown, strict=True)]


def _numbers(rows: pd.DataFrame, name: str, form: str) -> list[str]:
    return ["" if isnan(value) else format(value, form) for value in rows[name]]


def _bars(bins: pd.DataFrame) -> list[str]:
    """Draw how many configurations have which slope, from the first bin with any to the last."""
    rows = bins.to_dict("records")
    full = [place for place, row in enumerate(rows) if row["n_slopes"]]
    most = max(int(row["n_slopes"]) for row in rows)
    lines = []
    for row in rows[full[0] : full[-1] + 1]:
        low = f"{row['low']:.2f}" if isfinite(row["low"]) else "below"
        high = f"{row['high']:.2f}" if isfinite(row["high"]) else "above"
        count = int(row["n_slopes"])
        lines.append(f"  {low:>5} - {high:<5} {'#' * math.ceil(BAR * count / most)} {count}")
    return lines


def _document(source: str, found: Softening, window: tuple[float, float] | None) -> dict[str, Any]:
    """Lay everything out as JSON: what is over all of the first part stands at the top."""
    parts = [_part(found, part) for part in found.table["part"].unique()]
    head = {"source": source, "data": found.name, "force_window": None if window is None else list(window)}
    return {**head, "notes": list(found.notes), **parts[0], "other_parts": parts[1:]}


def _part(found: Softening, part: str) -> dict[Any, Any]:
    """Lay a part out: over all, then its groups; low and high of a histogram's ends are null."""
    rows = found.table[found.table["part"] == part].to_dict("records")
    bins = found.histogram[found.histogram["part"] == part].drop(columns="part")
    by_group = {name: one.drop(columns="group").to_dict("records") for name, one in bins.groupby("group")}
    of_part = found.energies[found.energies["part"] == part].drop(columns="part")
    energies = {row["group"]: row for row in of_part.to_dict("records")}
    whole, *groups = [
        {**row, "histogram": by_group[row["group"]], "excess": energies.get(row["group"])} for row in rows
    ]
    return {**whole, "groups": groups}
