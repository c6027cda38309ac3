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

import crossprune
import matplotlib.pyplot as plt
import numpy as np
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
table = crossprune.run(folder / "silicon.toml", store=folder / "store").results
row = table.query("group == 'all' and split == 'test' and chooser == 'snap'").iloc[0]
row[["model", "chooser", "fraction", "seed", "energy_mae_mev_per_atom", "force_mae_ev_per_angstrom"]]

# %%
# The potential
# -------------
#
# A row leads to its potential. In ASE it is a calculator like any other.

atoms = bulk("Si", cubic=True).repeat(2)
atoms.rattle(0.05, seed=0)
atoms.calc = crossprune.load_potential(row)
print(f"{atoms.get_potential_energy():.6f} eV")

# %%
# In LAMMPS
# ---------
#
# ``export_potential`` writes the family's files, says which lines run them, and puts an input beside them
# that does. On the command line: ``crossprune export-potential store --model snap --chooser snap -o lammps``.

exported = crossprune.export_potential(row, folder / "lammps")
print(*exported.lammps, *exported.notes, sep="\n")

# %%
# The same atoms, and then 0.2 ps of dynamics at constant energy:

write(folder / "lammps" / "silicon.data", atoms, format="lammps-data", masses=True)
before, after = exported.lammps[:2], exported.lammps[2:]
(folder / "lammps" / "in.silicon").write_text(
    "\n".join([*before, "read_data silicon.data", *after])
    + """
thermo_style custom time pe etotal temp
thermo 20
thermo_modify format float %.9g
velocity all create 600 1
fix dynamics all nve
run 200
"""
)
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
