"""Outcomes as logarithms whose differences mean something: see docs/metrics/outcomes.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import partial_errors
from crossprune.harness.contract import FloatArray
from crossprune.harness.engine.results import distinct_runs, held_out_or_all, not_held_out
from crossprune.harness.evaluation.references import plain_name, structure_of

ERRORS = {
    "force": "force_mae_ev_per_angstrom",
    "energy": "energy_mae_mev_per_atom",
    "force_rmse": "force_rmse_ev_per_angstrom",
    "energy_rmse": "energy_rmse_mev_per_atom",
    "force_p95": "force_p95_ev_per_angstrom",
    "energy_p95": "energy_p95_mev_per_atom",
    "force_worst_group": "force_worst_group_ev_per_angstrom",
    "energy_worst_group": "energy_worst_group_mev_per_atom",
    "stress": "stress_mae_gpa",
}
"""Outcome to column: mean absolute errors unless the name says otherwise."""
TOLERANCES = {
    "_gpa": 1.0,
    "_thz": 0.1,
    "_angstrom": 0.002,
    "_angstrom3_per_atom": 0.02,
    "_ev": 0.02,
    "_ev_per_atom": 0.002,
    "_ev_per_angstrom2": 0.001,
}
"""Unit to the error of a property below which nobody would call one model better than another (ours)."""
WORST_RATIO = 200.0
"""Errors beyond so many tolerances are all alike, and so is having no value at all (ours)."""
SHORTEST_PS = 0.01
"""Survival time that runs count with which end at once."""
COLDEST_K = 50.0
"""Survival temperature that runs count with which end at once, or whose program does."""
FAILED = ("failed", "crashed")
"""Statuses of a property or a run that count as the worst value."""
LIMITED = ("timeout", "out_of_memory")
"""Statuses that a limit of the machine gave, so that nothing is known."""
UNTESTED = ("force_p95", "energy_p95", "force_worst_group", "energy_worst_group", "stress")
"""Errors of which nothing says how they scatter over test frames; only pools do."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """One number per cell, on a logarithmic scale."""

    name: str
    part: str
    """``test`` or ``ood``; empty for what no part is chosen for."""
    better: str
    """Which direction is: ``lower`` or ``higher``."""
    cells: pd.DataFrame
    """As of `crossprune.harness.analysis.cells.partial_errors`."""


def error_outcomes(results: pd.DataFrame, parts: tuple[str, ...]) -> Iterator[Outcome]:
    """Yield the errors that a results table holds.

    Parameters
    ----------
    results
        Of `crossprune.harness.engine.results.by_pool`, labelled, rows over all groups.
    parts
        Parts of the data that errors are of.
    """
    for part in parts:
        here = held_out_or_all(results) if part == "ood" else not_held_out(results)
        done = here[(here["status"] == "done") & (here["split"] == part)]
        for name, column in ERRORS.items():
            if column in done.columns and done[column].notna().any():
                yield Outcome(name, part, "lower", partial_errors(here, column, part))


def property_outcomes(cells: pd.DataFrame, properties: pd.DataFrame) -> Iterator[Outcome]:
    """Yield every property that has a reference, and means over them.

    The logarithm of the error over its tolerance, which counts from 1 to `WORST_RATIO`. ``properties`` is the
    mean over all, phonons counted once; ``properties_seen`` and ``properties_unseen`` are means over those
    whose reference has structures in the training pool, and over the others.

    Parameters
    ----------
    cells
        Cells of `crossprune.harness.analysis.cells.partial_errors`, whatever their error.
    properties
        Rows of cells and properties.
    """
    rows = properties[properties["reference"].notna()]
    plain = rows["property"] == rows["property"].map(plain_name)
    rows = rows[plain & rows["property"].map(_tolerance).notna()]
    asked = set(properties["cell"])
    values = scaled_errors(rows)
    ended = (values <= 0.0) | (values >= np.log(WORST_RATIO))
    rows = rows.assign(value=values, at_end=ended.astype("float64"), name=_names(rows))
    said = rows["reference_seen"] if "reference_seen" in rows.columns else pd.Series("", rows.index)
    groups = {
        "properties": rows,
        "properties_seen": rows[said.isin(["chosen", "pool"])],
        "properties_unseen": rows[said.isin(["held out", "not in the data"])],
    }
    for name, part in groups.items():
        if part["value"].notna().any():
            each = _whole_mean(part, ["cell", "name"]).reset_index()
            yield _of_cells(name, "lower", cells, _whole_mean(each, ["cell"]), asked)
    for key, part in rows.groupby("name", sort=True):
        yield _of_cells(str(key), "lower", cells, _whole_mean(part, ["cell"]), asked)


def _whole_mean(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Average ``value`` and ``at_end`` over rows that agree in ``by``; NaN if a value is missing."""
    groups = rows.groupby(by)
    return groups[["value", "at_end"]].mean().where(groups["value"].count() == groups.size(), axis=0)


def scaled_errors(properties: pd.DataFrame) -> FloatArray:
    """Return the logarithms of properties' errors over their tolerances, the worst for what failed.

    Returns
    -------
    FloatArray
        Shape (n_rows,), from 0 to log `WORST_RATIO`; NaN for what was skipped or has no reference.
    """
    tolerance = properties["property"].map(_tolerance).to_numpy(dtype=np.float64)
    ratio = np.abs(properties["error"].to_numpy(dtype=np.float64)) / tolerance
    failed = properties["status"].isin(FAILED).to_numpy()
    ratio = np.where(failed & properties["reference"].notna().to_numpy(), WORST_RATIO, ratio)
    found: FloatArray = np.log(np.clip(ratio, 1.0, WORST_RATIO))
    return found


def _unit(name: str) -> str:
    """Return the unit at the end of a property's name, empty for none of `TOLERANCES`."""
    return max((unit for unit in TOLERANCES if name.endswith(unit)), key=len, default="")


def _tolerance(name: str) -> float:
    return TOLERANCES.get(_unit(name), np.nan)


def _names(rows: pd.DataFrame) -> pd.Series[str]:
    """Name outcomes: ``diamond c11``; phonons of a crystal are one."""
    short = rows["property"].map(lambda name: name.removesuffix(_unit(name)))
    is_phonon = rows["structure"].map(structure_of) == "phonon"
    return (rows["structure"] + " " + short).where(~is_phonon, rows["structure"] + "s")


def dynamics_outcomes(cells: pd.DataFrame, md: pd.DataFrame) -> Iterator[Outcome]:
    """Yield what runs of molecular dynamics say of each cell.

    ``survival``: the logarithm of the mean survival time over a model's runs (ps, within their length),
    missing if a run was cut short; ``survival_temperature``: the mean logarithm of the temperature (K) at
    which ramps end; ``rdf`` and ``adf``: errors of the distributions over the noise of the reference.
    """
    asked = set(md["cell"])
    runs = md.assign(crashed=md["status"].isin(FAILED))
    runs.loc[runs["crashed"], ["survival_ps", "survival_temperature_k"]] = 0.0
    runs["whole"] = runs["survived"].eq(True) & ~runs["crashed"]
    ramps, plain = runs[runs["ensemble"] == "ramp"], runs[runs["ensemble"] != "ramp"]
    if (known := plain[plain["survived"].notna() | plain["crashed"]]).size:
        cut = distinct_runs(known, ["cell"]).groupby("cell")["cut"].any()
        found = _with_ends(known, known["survival_ps"], known["whole"], SHORTEST_PS)
        found["value"] = np.log(known.groupby("cell")["survival_ps"].mean().clip(lower=SHORTEST_PS))
        told = ~cut.reindex(found.index, fill_value=False) & _all_known(plain, found.index)
        yield _of_cells("survival", "higher", cells, found.where(told, axis=0), asked)
    if (known := ramps[ramps["survived"].notna() | ramps["crashed"]]).size:
        found = _with_ends(known, known["survival_temperature_k"], known["whole"], COLDEST_K)
        told = _all_known(ramps, found.index)
        yield _of_cells("survival_temperature", "higher", cells, found.where(told, axis=0), asked)
    for name in ("rdf", "adf"):
        if f"{name}_noise" in plain.columns and (plain[f"{name}_noise"] > 0).any():
            ratio = _over_noise(plain, name)
            found = _with_ends(plain.loc[ratio.index], ratio, ratio >= WORST_RATIO, 1.0)
            yield _of_cells(name, "lower", cells, found, asked)


def _all_known(runs: pd.DataFrame, cells: pd.Index) -> pd.Series[bool]:
    """Say of each cell whether no limit ended one of its runs: a mean over the others would be another."""
    limited = runs["status"].isin(LIMITED)
    return ~limited.groupby(runs["cell"]).any().reindex(cells, fill_value=True)


def _over_noise(runs: pd.DataFrame, name: str) -> pd.Series[float]:
    """Return errors of a distribution over its noise; of runs that failed where there is one, the worst."""
    ratio = runs[f"{name}_error"] / runs[f"{name}_noise"].where(runs[f"{name}_noise"] > 0)
    place = [
        one for one in ("dataset", "start", "ensemble", "temperature_k", "n_atoms") if one in runs.columns
    ]
    has_reference = ratio.notna().groupby([runs[one] for one in place]).transform("any")
    failed = runs["crashed"] | (runs["failure"] != "")
    return ratio.where(~(failed & has_reference), WORST_RATIO).clip(1.0, WORST_RATIO).dropna()


def _with_ends(
    runs: pd.DataFrame, values: pd.Series[float], at_top: pd.Series[bool], bottom: float
) -> pd.DataFrame:
    """Average logarithms by cell, and say which share of them is at the top or at the bottom of the scale."""
    logs = np.log(values.to_numpy(dtype=np.float64).clip(bottom))
    at_end = (at_top | (values <= bottom)).astype("float64")
    rows = pd.DataFrame({"cell": runs["cell"], "value": logs, "at_end": at_end}, runs.index)
    return rows.groupby("cell").mean()


def _of_cells(name: str, better: str, cells: pd.DataFrame, values: pd.DataFrame, asked: set[str]) -> Outcome:
    """Give cells their values; those of seeds and models of which nothing was asked are left out."""
    found = cells[cells["cell"].isin(asked)].reset_index(drop=True)
    log_errors, at_end = (found["cell"].map(values[name]).astype("float64") for name in ("value", "at_end"))
    return Outcome(name, "", better, found.assign(log_error=log_errors, at_end=at_end.fillna(0.0), split=""))
