"""The real pacemaker, where it is: `tox -e pacemaker`, or CROSSPRUNE_PACEMAKER names another's program."""

from __future__ import annotations

import subprocess
from pathlib import Path
from runpy import run_path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("numba", reason="needs numba: pip install 'crossprune[ace]'")

from crossprune.adapters.ace import Ace, AceOptions
from crossprune.adapters.ace.pacemaker import PacemakerOptions, Task, write_input
from crossprune.adapters.programs.pacemaker_frames import write_frames
from crossprune.adapters.programs.pacemaker_program import MissingPacemaker, find_pacemaker, interpreter_of
from crossprune.harness.contract import GroupWeight
from crossprune.harness.data.cards import load_dataset
from crossprune.harness.data.frames import energy_of, forces_of, group_of

COMPARE = Path(__file__).parents[3] / "docs" / "pacemaker_compare.py"
READ = """
import sys
from pyace.preparedata import load_dataframe
table = load_dataframe(sys.argv[1])
print(len(table), *sorted(table.columns), sum(len(atoms) for atoms in table["ase_atoms"]), table["name"][0])
"""
SMALL = {"max_functions": 12, "cutoff": 4.5}


@pytest.fixture(scope="module")
def program():
    """Return the real program, with a Python that is known."""
    try:
        found = find_pacemaker()
    except MissingPacemaker as missing:
        pytest.skip(str(missing))
    assert found.versions, f"{found.path} names no Python in its first lines"
    return str(found.path)


@pytest.fixture(scope="module")
def parts():
    """Return small training frames and all test frames of si-pbe."""
    dataset = load_dataset("si-pbe")
    frames = {part: [dataset.frames[index] for index in dataset.indices(part)] for part in ("train", "test")}
    small = [atoms for atoms in frames["train"] if len(atoms) <= 16]
    return small[:: max(len(small) // 20, 1)][:20], frames["test"]


def ran(program, code, *words):
    python = interpreter_of(Path(program))
    done = subprocess.run([python, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def adapter(program, **more):
    settings = PacemakerOptions(max_iterations=40, **more)
    return Ace(["Si"], AceOptions(**SMALL, fitter="pacemaker", pacemaker=settings))


def fit(ace, frames, weights=None, seed=3):
    rng = np.random.default_rng(seed)
    return ace.fit(ace.prepare(frames), np.arange(len(frames)), weights=weights or {}, rng=rng)


@pytest.mark.parametrize("n_densities", [1, 2])
def test_its_potential_gives_what_its_calculator_gives(program, parts, n_densities):
    """On every test frame: the calculator reads the files of our export, splines and all."""
    train, test = parts
    ace = adapter(program, n_densities=n_densities)
    potential = fit(ace, train)
    assert potential.model.centres[0].coefficients.shape[1] == n_densities
    script = run_path(str(COMPARE))
    found = script["differences"](potential, test, interpreter_of(Path(program)))
    assert set(found) == {"potential.yaml", "potential.yace"}
    for file, largest in found.items():
        assert max(largest) < script["BOUND"], file
    assert potential.info["python-ace version"]
    labels = np.concatenate([forces_of(atoms) for atoms in test])
    assert np.abs(potential.predict_many(test).forces - labels).mean() < 0.8 * np.abs(labels).mean(), (
        "20 frames, 12 functions: a little"
    )


def test_equal_seeds_give_equal_potentials(program, parts):
    found = [fit(adapter(program, trainable="func"), parts[0]).model.centres[0].coefficients for _ in (0, 1)]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)


def test_its_loss_is_ours(program, parts, tmp_path):
    """What it says of the start, where energies and forces are zero, is our weighted sum of squares."""
    train = parts[0]
    half = {group_of(atoms): GroupWeight(energy=3.0, forces=0.5) for atoms in train[:5]}
    options = PacemakerOptions(max_iterations=1)
    start = Ace(["Si"], AceOptions(**SMALL, core_fraction=0.0))._core.model
    task = Task(start, train, half, {"Si": -5.0}, energy_weight=20.0, force_weight=2.0, seed=7)
    write_input(tmp_path, task, options)
    subprocess.run([program, "input.yaml", "--no-predict"], cwd=tmp_path, check=True, capture_output=True)
    told = pd.read_csv(tmp_path / "metrics.txt", sep=r"\s+").iloc[0]
    energy = force = scale = 0.0
    for atoms in train:
        weight = half.get(group_of(atoms), GroupWeight())
        per_atom = (energy_of(atoms) + 5.0 * len(atoms)) / len(atoms)
        energy += (20.0 * weight.energy * per_atom) ** 2
        force += (2.0 * weight.forces) ** 2 * (forces_of(atoms) ** 2).sum()
        scale += (20.0 * weight.energy) ** 2 + len(atoms) * (2.0 * weight.forces) ** 2
    assert told["e_loss_contrib"] == pytest.approx(energy / scale, rel=1e-9)
    assert told["f_loss_contrib"] == pytest.approx(force / scale, rel=1e-9)


def test_it_reads_our_data_frames(program, parts, tmp_path):
    path = tmp_path / "train.pckl.gzip"
    write_frames(path, parts[0])
    words = ran(program, READ, str(path)).split()
    assert words[0] == "20"
    assert words[-2] == str(sum(map(len, parts[0])))
    assert set(words[1:-2]) >= {"ase_atoms", "energy", "energy_corrected", "forces", "name"}
