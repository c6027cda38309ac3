"""
Does my descriptor choose well?
===============================

You fit SNAP, say, and choose what to label in SNAP's own space. Would ACE's space have chosen better data for
your SNAP, or a lottery? A study measures it: every chooser prunes the data, every model is fitted to every
pruned set, and the errors are compared with an interval that knows how few seeds there were.
"""

# %%
# The study
# ---------
#
# Two choosers (random is always added) and two models, on the embedded silicon data. Small models, few
# fractions and seeds, so that it takes seconds: an illustration, and no finding.

import subprocess
import tempfile
from pathlib import Path

import crossprune
import matplotlib.pyplot as plt

folder = Path(tempfile.mkdtemp())
(folder / "well.toml").write_text("""
[study]
name = "well"
datasets = ["si-pbe"]
choosers = ["snap", "ace"]
fractions = [0.1, 0.3]
seeds = [0, 1, 2]
models = ["snap", "ace"]

[options.snap]
twojmax = 4

[options.ace]
max_degrees = [6, 4]
""")
done = crossprune.run(folder / "well.toml", store=folder / "well")
done.statuses

# %%
# The answer
# ----------
#
# ``own`` is data chosen by the model's own descriptor, ``other`` by another's. A ratio below 1 says that the
# first has the smaller errors; where 1 lies inside the interval, no difference was found, which is not the
# same as that there is none.

answer = subprocess.run(
    ["crossprune", "analyze", "well"], check=True, capture_output=True, text=True, cwd=folder
).stdout
print(answer[: answer.index("force, ood")])

# %%
# The errors themselves
# ---------------------
#
# Every point is one pruned set; compare the scatter over seeds with the distance between choosers.

test = done.results.query("group == 'all' and split == 'test'")
figure, panels = plt.subplots(1, 2, layout="constrained", figsize=(8, 4))
for axes, (model, cells) in zip(panels, test.groupby("model"), strict=True):
    for shift, (chooser, one) in enumerate(cells.groupby("chooser")):
        error = one["force_mae_ev_per_angstrom"]
        axes.plot(one["n_configurations"] * 1.04 ** (shift - 1), error, "o", label=f"by {chooser}")
    axes.set(title=f"model {model}", xscale="log", xlabel="configurations", ylabel="force MAE on test, eV/Å")
    axes.legend(title="chosen")

# %%
# Your own data take their name's place: ``datasets = ["frames.extxyz"]``. A descriptor of your own joins as a
# chooser, see :doc:`4_write_an_adapter`. How many seeds, pools and models an answer needs is said by the
# report under *sizes*, and in the page on `statistics <../statistics.html>`__.
