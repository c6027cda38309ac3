"""Properties and survival of the retrained models as tables for the report."""

from __future__ import annotations

from math import isnan

import numpy as np
import pandas as pd
from crossprune.harness.analysis.outcomes.survival import Survival
from crossprune.harness.analysis.outcomes.survival import survival as survival_of
from crossprune.harness.engine.results import REFERENCE_SEEN, distinct_runs
from crossprune.harness.evaluation.motion.runs import CRYSTAL
from crossprune.harness.evaluation.references import structure_of
from crossprune.reports.wording import interval

MODEL = ["dataset", "model", "chooser", "method", "fraction"]
RUN = ["start", "ensemble", "temperature_k"]
FULL_TINT = 50.0
"""Relative error (%) that gets the strongest tint."""
TOTAL_ENERGY = ("energy_ev_per_atom", "energy_at_reference_cell_ev_per_atom")
"""Their zero is that of the labels, so that a relative error of them means nothing."""


def property_errors(properties: pd.DataFrame) -> pd.DataFrame:
    """Average the size of relative errors over seeds: a row per model and subset, a column per property.

    Parameters
    ----------
    properties
        The table of properties of a run.

    Returns
    -------
    pd.DataFrame
        Mean absolute relative errors (%), over the seeds for which there is a value, and ``without value``
        and ``suspect``: shares of the expected values (%). A column whose reference's structures are in
        the data says whether models were fitted to any; ``references in the fit`` is the share of a row (%).
    """
    if REFERENCE_SEEN[0] not in properties.columns:  # a table of an earlier version
        properties = properties.assign(**{REFERENCE_SEEN[0]: ""})
    table = properties.assign(
        label=properties["structure"] + " " + properties["property"],
        kind=properties["structure"].map(structure_of),
        percent=100 * properties["relative_error"].abs(),
        absent=100.0 * properties["value"].isna(),
        suspect=100.0 * (properties["status"] == "suspect"),
    )
    left_out = (table["kind"] == "phonon") | table["property"].isin(TOTAL_ENERGY)
    compared = table[table["percent"].notna() & ~left_out]
    order = list(dict.fromkeys(compared["label"]))
    errors = compared.pivot_table(index=MODEL, columns="label", values="percent", aggfunc="mean")[order]
    phonons = table[table["kind"] == "phonon"]
    found = errors.join(_phonon_error(phonons).rename("phonon MAE (THz)"), how="outer")
    shares = table.groupby(MODEL)[["absent", "suspect"]].mean()
    told = table[table[REFERENCE_SEEN[0]] != ""]
    if not told.empty:
        seen = 100.0 * (told[REFERENCE_SEEN[0]] == "chosen")
        shares = shares.assign(seen=seen.groupby([told[one] for one in MODEL]).mean())
    joined = found.join(shares, how="outer").reset_index()
    names = {one: f"{one}{_mark(words)} (%)" for one, words in compared.groupby("label")[REFERENCE_SEEN[0]]}
    return joined.rename(columns={"absent": "without value", "seen": "references in the fit", **names})


def property_values(properties: pd.DataFrame) -> pd.DataFrame:
    """Average the values over seeds where a data set has no reference at all, as `property_errors` does."""
    told = properties.groupby("dataset")["reference"].transform("count") > 0
    table = properties[~told & properties["value"].notna()]
    table = table.assign(label=table["structure"] + " " + table["property"])
    order = list(dict.fromkeys(table["label"]))
    return table.pivot_table(index=MODEL, columns="label", values="value", aggfunc="mean")[
        order
    ].reset_index()


def without_result(properties: pd.DataFrame | None, md: pd.DataFrame | None) -> pd.DataFrame:
    """Count the values and runs that were asked for and are not there: a row per model and reason."""
    columns = ["what", "dataset", "model", "status", "reason", "count"]
    found = [pd.DataFrame(columns=columns)]
    for what, table, column in (("property", properties, "value"), ("run of dynamics", md, "survived")):
        if table is None or not (absent := table[column].isna()).any():
            continue
        last = table["reason"].map(lambda text: (str(text).strip().splitlines() or ["no reason given"])[-1])
        rows = table.assign(reason=last, what=what)[absent]
        found.append(rows.groupby(columns[:-1], sort=False).size().reset_index(name="count"))
    whole = pd.concat(found[-2:] if len(found) > 2 else found[-1:])
    return whole.sort_values("count", ascending=False, kind="stable")


def _mark(words: pd.Series[str]) -> str:
    """Say whether models were fitted to structures of a reference; nothing where that is not known."""
    known = words[words != ""]
    if known.empty:
        return ""
    if (known == "chosen").all():
        return ", in every training set"
    return ", in some training sets" if (known == "chosen").any() else ", in no training set"


def error_tint(percent: float) -> int:
    """Return how strongly (%) to tint the cell of a relative error (%): full from `FULL_TINT` on."""
    return round(55 * min(percent / FULL_TINT, 1.0))


def _phonon_error(phonons: pd.DataFrame) -> pd.Series[float]:
    """Average the errors of frequencies (THz), weighted by how often a point occurs on the mesh."""
    known = phonons[phonons["error"].notna()]
    weights = known["property"].str.split("_").str[0].map(STAR).astype("float64")
    weighted = known.assign(weighted=known["error"].abs() * weights, weight=weights)
    sums = weighted.groupby(MODEL)[["weighted", "weight"]].sum()
    return sums["weighted"] / sums["weight"]


STAR = {"gamma": 1, "x": 3, "l": 4, "h": 1, "n": 6, "p": 2}
"""Wave vectors of a cubic crystal that are equivalent to a high-symmetry point."""


def survival(md: pd.DataFrame) -> pd.DataFrame:
    """Estimate how long runs survive: a row per model, subset, start, ensemble and temperature.

    Cells that share a fit share its runs, which count once. A run that its budget cut is no survivor: it
    is right-censored where it was cut. The radial distribution is that of survivors, with their number,
    because the table does not say whether a failed run had a reference to be compared with. Ramps are left
    out: how long one survives is a temperature.

    Returns
    -------
    pd.DataFrame
        Runs and models, how many failed or were cut, the share that survives the full length and the
        mean survival time (ps) with their 95 % intervals, medians of drift and cost, and remarks.
    """
    md = md[md["ensemble"] != "ramp"]
    md = md if "start" in md.columns else md.assign(start=CRYSTAL)
    lost = md[md["survived"].isna() & (md["status"] != "skipped")].groupby([*MODEL, *RUN]).size()
    rows = []
    for key, runs in distinct_runs(md, MODEL).groupby([*MODEL, *RUN]):
        failed = (runs["failure"] != "").to_numpy()
        length = float(runs["planned_ps"].max())
        models = np.unique(runs["fit_key"].to_numpy(dtype=object), return_inverse=True)[1]
        found = survival_of(runs["survival_ps"].to_numpy(), failed, models, length)
        compared = runs["rdf_error"].notna() & ~failed
        rows.append(
            {
                **dict(zip([*MODEL, *RUN], key, strict=True)),
                "runs": f"{found.n_runs} of {found.n_models} model{'s' if found.n_models > 1 else ''}",
                "failed": found.n_failed,
                "cut": found.n_cut,
                "survive": found.share,
                "95 % interval": interval(found.share_low, found.share_high, ".2g"),
                "mean survival (ps)": found.mean_ps,
                "95 % interval (ps)": interval(found.mean_low_ps, found.mean_high_ps, ".2g"),
                "of (ps)": found.followed_ps,
                "drift (meV/atom/ps)": runs["drift_mev_per_atom_per_ps"].abs().median(),
                "RDF error of survivors": runs.loc[compared, "rdf_error"].median(),
                "over its noise": _over_noise(runs[compared]),
                "survivors compared": int(compared.sum()),
                "ms/atom/step": runs["ms_per_atom_step"].median(),
                "remark": _remark(runs, found, length, int(lost.get(key, 0))),
            }
        )
    return pd.DataFrame(rows)


def ramps(md: pd.DataFrame) -> pd.DataFrame:
    """Say how hot models get before they fail: a row per model, subset and start.

    Returns
    -------
    pd.DataFrame
        Runs (cells of one fit share theirs), how many failed, and the lowest, geometric mean and highest
        survival temperature (K), of which a run that survived counts as the top.
    """
    if "survival_temperature_k" not in md.columns:
        return pd.DataFrame()
    heated = distinct_runs(md[md["ensemble"] == "ramp"], MODEL)
    rows = []
    for key, runs in heated.groupby([*MODEL, "start"]):
        kelvin = runs["survival_temperature_k"]
        failures = runs.loc[runs["failure"] != "", "failure"].value_counts()
        rows.append(
            {
                **dict(zip([*MODEL, "start"], key, strict=True)),
                "runs": len(runs),
                "failed": int(failures.sum()),
                "lowest (K)": kelvin.min(),
                "mean (K)": float(np.exp(np.log(kelvin.clip(lower=1.0)).mean())),
                "highest (K)": kelvin.max(),
                "of (K)": runs["temperature_k"].max(),
                "remark": ", ".join(f"{n} {str(one).replace('_', ' ')}" for one, n in failures.items()),
            }
        )
    return pd.DataFrame(rows)


def _over_noise(runs: pd.DataFrame) -> float:
    """Return the median error of the radial distribution over what the reference's own snapshots give."""
    if "rdf_noise" not in runs.columns:
        return float("nan")
    return float((runs["rdf_error"] / runs["rdf_noise"]).median())


def _remark(runs: pd.DataFrame, found: Survival, length: float, n_lost: int) -> str:
    """Say why runs failed, and what the numbers do not say."""
    failures = runs.loc[runs["failure"] != "", "failure"].value_counts()
    remarks = [", ".join(f"{count} {str(one).replace('_', ' ')}" for one, count in failures.items())]
    if isnan(found.share):
        remarks.append(f"followed for {found.followed_ps:g} of {length:g} ps: nothing is known of the rest")
    if n_lost:
        remarks.append(f"{n_lost} without a result are left out")
    if found.n_models == 1:
        remarks.append("intervals are of runs of one model")
    return "; ".join(remark for remark in remarks if remark)
