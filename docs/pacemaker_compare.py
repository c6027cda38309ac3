"""Compare potentials with pacemaker's own calculator: python docs/pacemaker_compare.py STORE, or FILE DATA.

Every ACE potential of a finished run, or that of a .yaml, .yace or .ace file, is written as .yaml and .yace;
the Python of the program pacemaker (docs/families/ace.md) computes all test frames of the data set from each.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import crossprune
import numpy as np
from ase import Atoms
from ase.io import write
from crossprune.adapters.ace.potential import BASIS, PacePotential, read_potential
from crossprune.adapters.programs.pacemaker_program import find_pacemaker, interpreter_of
from crossprune.potentials import potential_of

BOUND = 1e-7
"""Of all differences: eV/atom, eV/Å, eV/Å³. The original's splines, 0.001 Å apart, cost less on silicon."""
FRAMES, RESULT = "frames.traj", "theirs.npz"
"""Binary, because the text of extended XYZ rounds positions to 1e-8 Å."""
CALCULATE = """
import sys
import numpy as np
from ase.io import read
from pyace import PyACECalculator
potential, frames, result = sys.argv[1:]
calculator = PyACECalculator(potential)
energies, forces, stresses = [], [], []
for atoms in read(frames, ":"):
    atoms.calc = calculator
    energies.append(atoms.get_potential_energy())
    forces.append(atoms.get_forces())
    stresses.append(atoms.get_stress())
np.savez(result, energies=energies, forces=np.concatenate(forces), stresses=stresses)
"""


def differences(
    potential: PacePotential, frames: Sequence[Atoms], python: str
) -> dict[str, tuple[float, float, float]]:
    """Return the largest differences from pyace's calculator.

    Parameters
    ----------
    potential
        Its files are written anew, without a loss of digits.
    frames
        Periodic structures; their labels are not looked at.
    python
        Interpreter that has pyace.

    Returns
    -------
    dict
        By the name of the file that the calculator read: of energies (eV/atom), components of forces (eV/Å)
        and of stress (eV/Å³).

    Raises
    ------
    RuntimeError
        With the calculator's last words, if it fails.
    """
    bare = [Atoms(atoms.symbols, atoms.positions, cell=atoms.cell, pbc=atoms.pbc) for atoms in frames]
    sizes = np.array([len(atoms) for atoms in bare])
    centres = zip(potential.model.elements, potential.model.centres, strict=True)
    references = {element: centre.reference for element, centre in centres}
    shifts = np.array([sum(references[one] for one in atoms.symbols) for atoms in bare])
    ours, found = potential.predict_many(bare), {}
    with tempfile.TemporaryDirectory(prefix="crossprune-compare-") as name:
        folder = Path(name)
        write(folder / FRAMES, bare)
        for path in potential.export(folder):
            command = [python, "-c", CALCULATE, path.name, FRAMES, RESULT]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{path.name}: pyace's calculator failed:\n{done.stderr[-2000:]}")
            theirs = np.load(folder / RESULT)
            without = shifts if path.name == BASIS else 0.0  # B-basis files carry no reference energies
            found[path.name] = (
                float(np.abs((ours.energies - without - theirs["energies"]) / sizes).max()),
                float(np.abs(ours.forces - theirs["forces"]).max()),
                float(np.abs(ours.stresses - theirs["stresses"]).max()),
            )
    return found


def potentials_of(source: str, data: str) -> Iterator[tuple[str, str, PacePotential]]:
    """Yield what to call each potential, its data set, and itself: of a file, or of each fit of a run."""
    if Path(source).is_file():
        yield Path(source).name, data, read_potential(source)
        return
    table = crossprune.results(source).query("status == 'done'").drop_duplicates("fit_key")
    for _, row in table.iterrows():
        potential = potential_of(row)
        if isinstance(potential, PacePotential):
            chosen = "" if row["fraction"] == 1 else f" {row['chooser']} {row['method']}"
            yield f"{row['model']} {row['fraction']:g}{chosen}", str(row["dataset"]), potential


def main() -> None:
    """Print the largest differences of each potential and file; fail if one is above the bound."""
    source, data = [*sys.argv[1:], "si-pbe"][:2]
    python = interpreter_of(find_pacemaker().path)
    if python is None:
        raise SystemExit("the program pacemaker names no Python in its first lines")
    worst = 0.0
    print(f"{'potential':38} {'file':15} {'frames':>6} {'eV/atom':>9} {'eV/Å':>9} {'eV/Å³':>9}")
    for name, dataset, potential in potentials_of(source, data):
        frames = crossprune.load_frames(dataset, split="test")
        for path, found in differences(potential, frames, python).items():
            worst = max(worst, *found)
            print(f"{name:38} {path:15} {len(frames):6}", *(f"{one:9.1e}" for one in found), flush=True)
    if not worst < BOUND:
        raise SystemExit(f"largest difference {worst:.1e}, allowed {BOUND:g}")


if __name__ == "__main__":
    main()
