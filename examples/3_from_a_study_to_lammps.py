"""
From a study to LAMMPS
======================

A study compares models; in the end one of them is to be used. Every row of its table leads to the fitted
potential, which runs in ASE, and as the family's own files in LAMMPS.
"""

# %%
# A study, and a row of its table
# -------------------------------

import subprocess
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from ase.build import bulk
from ase.io import write

folder = Path(tempfile.mkdtemp())
(folder / "silicon.toml").write_text("""
[study]
name = "silicon"
datasets = ["si-pbe"]
choosers = ["snap"]
fractions = [0.5]
seeds = [0]
models = ["snap"]

[options.snap]
twojmax = 4
""")
run = ["crossprune", "run", "silicon.toml", "--store", "store", "--workers", "1"]
subprocess.run(run, check=True, capture_output=True, cwd=folder)
table = pd.read_parquet(folder / "store" / "results.parquet")
row = table[(table["group"] == "all") & (table["split"] == "test") & (table["chooser"] == "snap")].iloc[0]
row[
    [
        "model",
        "chooser",
        "fraction",
        "seed",
        "energy_mae_mev_per_atom",
        "force_mae_ev_per_angstrom",
        "fit_key",
    ]
]

# %%
# The potential
# -------------
#
# The store keeps every fit under its key. In ASE it is a calculator like any other.

from crossprune.harness.lookup import load_potential

(place,) = (folder / "store" / "objects" / "fit").rglob(f"{row['fit_key']}/potential")
potential = load_potential(str(place))
atoms = bulk("Si", cubic=True).repeat(2)
atoms.rattle(0.05, seed=0)
atoms.calc = potential.calculator()
print(f"{atoms.get_potential_energy():.6f} eV")

# %%
# In LAMMPS
# ---------
#
# ``export`` writes the family's native files; a SNAP comes with the lines that set it up.

potential.export(folder / "lammps")
print((folder / "lammps" / "potential.lmp").read_text())

# %%
# The same atoms, and then 0.2 ps of dynamics at constant energy:

write(folder / "lammps" / "silicon.data", atoms, format="lammps-data", masses=True)
(folder / "lammps" / "in.silicon").write_text("""
units metal
read_data silicon.data
include potential.lmp
thermo_style custom time pe etotal temp
thermo 20
thermo_modify format float %.9g
velocity all create 600 1
fix dynamics all nve
run 200
""")
call = ["lmp", "-in", "in.silicon", "-log", "none"]
done = subprocess.run(call, check=True, capture_output=True, text=True, cwd=folder / "lammps")
lines = done.stdout[done.stdout.index("PotEng") :].splitlines()[1:]
steps = np.array(
    [line.split() for line in lines[: next(i for i, x in enumerate(lines) if "Loop" in x)]], float
)
print(f"LAMMPS {steps[0, 1]:.6f} eV")
assert abs(steps[0, 1] - atoms.get_potential_energy()) < 1e-5

# %%

figure, axes = plt.subplots(layout="constrained")
axes.plot(steps[:, 0], 1000 * (steps[:, 1] - steps[0, 1]) / len(atoms), label="potential")
axes.plot(steps[:, 0], 1000 * (steps[:, 2] - steps[0, 2]) / len(atoms), label="total")
axes.set(xlabel="time, ps", ylabel="change of energy, meV/atom")
axes.legend()
