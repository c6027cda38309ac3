"""
Read the table in pandas
========================

Everything that a report shows is computed from one long table, ``results.parquet``, with a row per cell,
part of the data and group. So what the report does not show is a few lines of pandas.
"""

# %%
# A small study first: two latent spaces and chance choose from the embedded silicon data, and SNAP is fitted
# to what they chose.

import tempfile
from pathlib import Path

import crossprune
import matplotlib.pyplot as plt

folder = Path(tempfile.mkdtemp())
(folder / "table.toml").write_text("""
[study]
name = "table"
datasets = ["si-pbe"]
choosers = ["snap", "composition"]
fractions = [0.1, 0.3, 1.0]
seeds = [0, 1]
models = ["snap"]

[options.snap]
twojmax = 4
""")
crossprune.run(folder / "table.toml", store=folder / "table")
results = crossprune.results(folder / "table")
results[["chooser", "fraction", "seed", "split", "group", "force_mae_ev_per_angstrom"]].head()

# %%
# The axes of the study are columns, and numbers carry their units in their names. Rows of the group ``all``
# are over all groups of a part; a cell that failed has a row too, so look at ``status`` first.

print(results["status"].value_counts())
overall = results[(results["group"] == "all") & (results["status"] == "done")]
test = overall[overall["split"] == "test"]

# %%
# A learning curve per chooser, over the number of configurations that were really chosen:

force = "force_mae_ev_per_angstrom"
curves = test.groupby(["chooser", "n_configurations"])[force].mean().unstack("chooser")
curves.style.format("{:.3f}")

# %%

figure, axes = plt.subplots(layout="constrained")
curves.plot(ax=axes, marker="o", loglog=True, xlabel="configurations", ylabel="force MAE on test, eV/Å")

# %%
# Which kind of structure suffers most from the pruning? The rows of single groups know: errors at the
# smallest fraction over those of the whole training set.

groups = results[(results["group"] != "all") & (results["split"] == "test")]
of_groups = groups.groupby(["fraction", "group", "chooser"])[force].mean()
whole = of_groups.loc[1.0].groupby("group").mean()
(of_groups.loc[0.1] / whole).unstack("chooser").round(2)

# %%
# Differences between choosers deserve an interval, not only a mean: ``crossprune analyze table`` computes
# those that the method calls for, with the pairing of seeds, from the same table.
