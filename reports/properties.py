"""Properties and survival of the retrained models as tables for the report."""

from __future__ import annotations

import pandas as pd
from crossprune.harness.evaluation.stability import survival_interval

MODEL = ["dataset", "model", "chooser", "method", "fraction"]
RUN = ["ensemble", "temperature_k"]
FULL_TINT = 50.0
"""Relative error (%) that gets the strongest tint."""
TOTAL_ENERGY = "energy_ev_per_atom"
"""Its zero is that of the labels, so that a relative error of it means nothing."""


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
        and ``suspect``: shares of the expected values (%).
    """
    table = properties.assign(
        label=properties["structure"] + " " + properties["property"],
        percent=100 * properties["relative_error"].abs(),
        absent=100.0 * properties["value"].isna(),
        suspect=100.0 * (properties["status"] == "suspect"),
    )
    left_out = (table["structure"] == "phonon") | (table["property"] == TOTAL_ENERGY)
    compared = table[table["percent"].notna() & ~left_out]
    order = list(dict.fromkeys(compared["label"]))
    errors = compared.pivot_table(index=MODEL, columns="label", values="percent", aggfunc="mean")[order]
    phonons = table[table["structure"] == "phonon"]
    found = errors.join(_phonon_error(phonons).rename("phonon MAE (THz)"), how="outer")
    shares = table.groupby(MODEL)[["absent", "suspect"]].mean()
    joined = found.join(shares, how="outer").reset_index()
    return joined.rename(columns={"absent": "without value", **{one: f"{one} (%)" for one in order}})


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
    """Count the runs that survive: a row per model, subset, ensemble and temperature.

    Returns
    -------
    pd.DataFrame
        Runs, survivors with their 95 % interval (Wilson), the medians of survival time (ps), drift and cost,
        and the reasons of failure.
    """
    rows = []
    for key, runs in md[md["survived"].notna()].groupby([*MODEL, *RUN]):
        survivors = int(runs["survived"].sum())
        low, high = survival_interval(survivors, len(runs))
        failures = runs.loc[runs["failure"] != "", "failure"].value_counts()
        rows.append(
            {
                **dict(zip([*MODEL, *RUN], key, strict=True)),
                "survived": f"{survivors} of {len(runs)}",
                "95 % interval": f"{low:.2f} to {high:.2f}",
                "survival (ps)": runs["survival_ps"].median(),
                "drift (meV/atom/ps)": runs["drift_mev_per_atom_per_ps"].abs().median(),
                "RDF error": runs["rdf_error"].median(),
                "ms/atom/step": runs["ms_per_atom_step"].median(),
                "why not": ", ".join(
                    f"{count} {str(one).replace('_', ' ')}" for one, count in failures.items()
                ),
            }
        )
    return pd.DataFrame(rows)
