"""
Write an adapter
================

An adapter is a model family in one file: a descriptor, a model that can be fitted, or both. Here is the
smallest useful one, a descriptor of your own that only chooses. The contract of the benchmark is a list of
checks that come with it, so that you learn at once whether yours is invariant, of constant length, and so on.
"""

# %%
# The descriptor
# --------------
#
# Coordination numbers at a few radii. Every neighbour at distance r counts with a step that is
# smoothed over a width, so that the numbers are continuous in the positions. Atoms of different elements are
# told apart: each pair of elements has columns of its own.

from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list
from crossprune.harness.contract import Capabilities, Descriptor, FloatArray, require_elements


@dataclass(frozen=True)
class CoordinationOptions:
    """Options that a study can set, in ``[options.coordination]``; each has a docstring of one line."""

    radii: tuple[float, ...] = (2.6, 3.2, 4.1, 4.8)
    """Radii within which neighbours are counted, Å."""
    width: float = 0.15
    """Width over which a neighbour stops to count, Å."""


class Coordination(Descriptor[CoordinationOptions]):
    """Smooth coordination numbers, shape (n_atoms, n_elements² · n_radii)."""

    name = "coordination"
    capabilities = Capabilities(fits=False)
    options_type = CoordinationOptions

    def features(self, atoms: Atoms) -> FloatArray:
        """Count each atom's neighbours (dimensionless)."""
        require_elements(atoms, self.elements, "adapter 'coordination'")
        radii, width = np.array(self.options.radii), self.options.width
        centre, neighbour, distance = neighbor_list("ijd", atoms, radii.max() + 6 * width)
        kinds = np.searchsorted(self.elements, atoms.get_chemical_symbols())
        counts = np.zeros((len(atoms), len(self.elements) ** 2, len(radii)))
        step = 1 / (1 + np.exp((distance[:, None] - radii) / width))
        np.add.at(counts, (centre, kinds[centre] * len(self.elements) + kinds[neighbour]), step)
        return counts.reshape(len(atoms), -1)


# %%
# The contract, as checks
# -----------------------
#
# What is not claimed is skipped, with the reason: this family claims no fits.

from crossprune.harness.checks import run_checks

results = run_checks(Coordination)
for one in results:
    if one.outcome != "skipped":
        print(f"{one.outcome:8} {one.name.replace('_', ' ')}")
print(f"{sum(one.outcome == 'skipped' for one in results)} skipped, as not claimed")
assert not [one for one in results if one.outcome == "failed"]

# %%
# A check that fails says why. This one forgets to ask which elements it sees, and gives absolute positions,
# which are no description of a structure:


class Positions(Coordination):
    """What not to do."""

    def features(self, atoms: Atoms) -> FloatArray:
        """Return the positions, Å."""
        positions: FloatArray = atoms.get_positions()
        return positions


for one in run_checks(Positions):
    if one.outcome == "failed":
        print(f"{one.name.replace('_', ' ')}: {one.detail.splitlines()[-1]}")

# %%
# What it chooses
# ---------------
#
# One point per configuration is the mean over its atoms, standardised; farthest-point sampling spreads the
# choice over the points. Here it picks ten of the embedded silicon configurations.

from crossprune.harness.data.cards import load_dataset
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.farthest import farthest_point

dataset = load_dataset("si-pbe")
train = [dataset.frames[index] for index in dataset.indices("train")]
descriptor = Coordination(dataset.elements)
features = [descriptor.features(atoms) for atoms in train]
offsets = np.cumsum([0, *map(len, train)])
chosen = farthest_point(Candidates(np.concatenate(features), offsets), 10, np.random.default_rng(0))

points = np.array([one.mean(axis=0) for one in features])
figure, axes = plt.subplots(layout="constrained")
groups = np.array([dataset.groups[index] for index in dataset.indices("train")])
for group in np.unique(groups):
    axes.plot(*points[groups == group][:, [0, 2]].T, ".", label=group)
axes.plot(*points[chosen][:, [0, 2]].T, "o", color="black", markersize=12, fillstyle="none", label="chosen")
axes.set(xlabel="mean number of neighbours within 2.6 Å", ylabel="within 4.1 Å")
figure.legend(loc="outside right center", fontsize="small")

# %%
# Where it goes from here
# -----------------------
#
# ``crossprune new-adapter mine --outside my-descriptor`` writes a package that registers an adapter, so that
# studies can name it among their ``choosers`` and the command line checks it. It starts from an example that
# can be fitted as well: besides ``features`` it gives the derivatives of its features, from which the
# contract knows how to fit, predict, save and export.
