"""
Properties of your own crystal
==============================

Small errors on a test set do not make a good model. If a study knows which crystal your data are of, and
what is known of it, it asks every model for its lattice, its elastic constants, its vacancy, and compares.
"""

# %%
# Data of your own
# ----------------
#
# Copper of the effective-medium theory (EMT) that comes with ASE stands for a calculation of yours: crystals
# at several volumes, strained and rattled, some of them with a vacancy.

import tempfile
from pathlib import Path

import crossprune
import matplotlib.pyplot as plt
import numpy as np
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

folder = Path(tempfile.mkdtemp())
rng = np.random.default_rng(0)
frames = []
for number in range(100):
    atoms = bulk("Cu", cubic=True, a=3.59)
    atoms.info["config_type"] = "vacancy" if number % 5 == 0 else "strained"
    if number % 5 == 0:
        atoms = atoms.repeat((2, 2, 1))
        del atoms[0]
    strain = np.eye(3) + rng.normal(0, 0.02, (3, 3))
    atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    atoms.rattle(rng.uniform(0.01, 0.15), rng=rng)
    atoms.calc = EMT()
    labels = {
        "energy": atoms.get_potential_energy(),
        "forces": atoms.get_forces(),
        "stress": atoms.get_stress(),
    }
    atoms.calc = SinglePointCalculator(atoms, **labels)
    frames.append(atoms)
write(folder / "copper.extxyz", frames)

# %%
# The study
# ---------
#
# The table of the data names the crystal and where its lattice parameter is about; what you know of it goes
# into ``reference``, by the names of the `properties <../metrics/properties.html>`__. Here it was computed
# with EMT itself, as one would with the method that made the labels.

(folder / "copper.toml").write_text("""
[study]
name = "copper"
datasets = ["copper.extxyz"]
choosers = ["snap"]
fractions = [0.2, 1.0]
seeds = [0]
models = ["snap"]

[options.snap]
twojmax = 6
stress_weight = 100

[data."copper.extxyz"]
name = "Cu-EMT"

[data."copper.extxyz".protocol]
prototype = "fcc"
lattice_parameter_angstrom = 3.59

[data."copper.extxyz".reference.fcc]
source = "EMT, ASE"
[data."copper.extxyz".reference.fcc.values]
lattice_parameter_angstrom = 3.590
c11_gpa = 173.0
c12_gpa = 115.0
c44_gpa = 90.0

[data."copper.extxyz".reference.vacancy]
source = "EMT, ASE"
[data."copper.extxyz".reference.vacancy.values]
formation_energy_ev = 1.22

[properties]
enabled = true
names = ["lattice", "elastic", "vacancy"]
""")
crossprune.run(folder / "copper.toml", store=folder / "copper")

# %%
# Models beside the reference
# ---------------------------

table = crossprune.results(folder / "copper", "properties")
whole = table["fraction"] == 1.0
table["data"] = ("a fifth, by " + table["chooser"]).where(~whole, "all")
known = table.dropna(subset="reference").drop_duplicates(["property", "data"]).set_index(["property", "data"])
values = known["value"].unstack("data").round(3)
values.insert(0, "EMT", known["reference"].groupby("property").first())
values

# %%
# The same as errors in per cent. The lattice parameter is easy, since all data are near it. Elastic constants
# and vacancies rest on few frames each, and a fifth of the data may hold too few of them.

errors = 100 * known["relative_error"].unstack("data")
figure, axes = plt.subplots(layout="constrained")
errors.plot.barh(ax=axes, xlabel="error, %", ylabel="")
axes.axvline(0, color="black", linewidth=0.8)

# %%
# A property that a model cannot have is a row too, with the reason; nothing is left out without a word.

print(table["status"].value_counts().to_string())
