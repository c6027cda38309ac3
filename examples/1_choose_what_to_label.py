"""
Choose what to label
====================

A pool of structures is cheap, their labels are not: which frames deserve a calculation? Labels play no part
in the choice, so that a pool of unlabelled structures will do.
"""

# %%
# The pool
# --------
#
# Copper as it may come out of a cheap simulation: mostly crystals at one density with small vibrations, some
# that are strained, a few surfaces and molecules. In your work this is a file, or several:
# ``crossprune.select("pool.extxyz", 20)``.

import tempfile
from pathlib import Path

import crossprune
import matplotlib.pyplot as plt
import numpy as np
from ase.build import bulk, fcc111, molecule

rng = np.random.default_rng(0)
pool = []
for number in range(120):
    kind = "crystal" if number < 90 else "strained" if number < 105 else "surface"
    if kind == "surface":
        atoms = fcc111("Cu", (2, 2, 3), a=3.6, vacuum=6.0, periodic=True)
    else:
        atoms = bulk("Cu", cubic=True, a=3.6)
    if kind == "strained":
        strain = rng.normal(0, 0.05, (3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain + strain.T), scale_atoms=True)
    atoms.rattle(0.03 if kind == "crystal" else 0.1, rng=rng)
    atoms.info = {"group": kind}
    pool.append(atoms)
for distance in np.linspace(2.0, 3.5, 4):
    dimer = molecule("Li2", cell=[15, 15, 15])
    dimer.symbols[:] = "Cu"
    dimer.set_distance(0, 1, distance)
    dimer.info["group"] = "dimer"
    pool.append(dimer)

# %%
# The choice
# ----------
#
# Twelve frames, in the latent space of SNAP by default (``chooser="ace"``, or ``"all"`` for a choice that is
# spread out in every family's space). Printed, the selection says how well it covers the pool.

chosen = crossprune.select(pool, 12, chooser="snap")
print(chosen)
chosen.table[["order", "score", "group", "n_atoms", "index"]]

# %%
# The table is in the order of picking; the score is the distance to the nearest frame that was picked before,
# so a shorter list is its beginning. Of twelve drawn at random, nine would be crystals on average; of these:

print(chosen.table["group"].value_counts().to_string())

# %%
# How far is the pool from what is chosen, and how far from as many frames chosen at random? Where the curve
# is flat, further labels bring little that is new.

curve = chosen.coverage
figure, axes = plt.subplots(layout="constrained")
axes.plot(curve["n"], curve["mean"], "o-", label="chosen")
axes.plot(curve["n"], curve["random_mean"], "s--", label="at random")
axes.fill_between(curve["n"], curve["random_mean_low"], curve["random_mean_high"], alpha=0.2, color="C1")
axes.set(
    xlabel="frames",
    ylabel="mean distance to the nearest chosen frame",
    ylim=(0, 2 * curve["random_mean"].max()),
)
axes.legend()

# %%
# To label, and to go on from there
# ---------------------------------
#
# The file has the frames in the order of picking, with all that they came with, and where they came from.

folder = Path(tempfile.mkdtemp())
chosen.write(folder / "label-these.extxyz")
print((folder / "label-these.extxyz").read_text().splitlines()[1])

# %%
# Next month, with these labelled, five more: the choice completes what is given, and repeats none of it.

more = crossprune.select(pool, 5, given=folder / "label-these.extxyz", chooser="snap")
assert not set(more.indices) & set(chosen.indices)
more.table[["order", "score", "group", "index"]]
