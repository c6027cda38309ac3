"""The input written for pacemaker, and its output read back.

A script stands in the program's place, keeps what it was given and leaves a potential: so they test our input
against pacemaker's documentation, and our reading. `test_pacemaker_itself.py` runs the real one.
"""

from __future__ import annotations

import gzip
import pickletools
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

pytest.importorskip("numba", reason="needs numba: pip install 'crossprune[ace]'")

from crossprune.adapters.ace import Ace, AceOptions
from crossprune.adapters.ace.potential import read_model
from crossprune.adapters.linear.fitter import Solution, weighted_rows
from crossprune.adapters.linear.offsets import element_energies
from crossprune.adapters.programs.pacemaker_frames import write_frames
from crossprune.adapters.programs.pacemaker_program import VARIABLE
from crossprune.harness.checks.subject import sample_frames
from crossprune.harness.contract import GroupWeight
from crossprune.harness.data.frames import energy_of, forces_of
from crossprune.harness.errors import DataError, StudyError, TooFewFrames
from crossprune.harness.lookup import load_potential
from crossprune.harness.tables import from_table

SMALL = {"cutoff": 4.0, "max_degrees": (3.0, 2.0)}
WEIGHTS = {"even": GroupWeight(energy=3.0, forces=0.5), "odd": GroupWeight(energy=0.0)}

SCRIPT = """#!/bin/sh
exec {python} {path} "$@"
"""
STAND_IN = """
import os, pathlib, shutil, sys
if sys.argv[1:] == ["--help"]:
    print({help!r})
    sys.exit({help_code})
assert sys.argv[1:] == ["input.yaml", "--no-predict"], sys.argv
shutil.copytree(".", os.environ["KEPT"])
{action}
"""
REAL_HELP = "Fitting utility for atomic cluster expansion\npotentials."
LEAVE = 'shutil.copy(os.environ["LEFT"], "output_potential.yaml")'


def energies_of(frames, ace):
    """Return the energy per element that is subtracted first, eV."""
    found = element_energies(frames, ace.elements, ace.isolated_atom_energies)
    return dict(zip(ace.elements, found.tolist(), strict=True))


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Put a script at the program's place; return the folder where it keeps its input."""

    def make(action=LEAVE, text=REAL_HELP, help_code=0):
        path = tmp_path / "bin" / "pacemaker"
        path.parent.mkdir(exist_ok=True)
        script = tmp_path / "stand_in.py"
        script.write_text(STAND_IN.format(help=text, help_code=help_code, action=action))
        path.write_text(SCRIPT.format(python=sys.executable, path=script))
        path.chmod(0o755)
        monkeypatch.setenv(VARIABLE, str(path))
        monkeypatch.setenv("KEPT", str(tmp_path / "kept"))
        monkeypatch.setenv("LEFT", str(tmp_path / "left.yaml"))
        return tmp_path / "kept"

    return make


@pytest.fixture(scope="module")
def frames():
    return sample_frames(["Al", "Cu"], 6)


def elements_in(frames):
    return sorted({symbol for atoms in frames for symbol in atoms.get_chemical_symbols()})


def by_pacemaker(frames, **more):
    return Ace(elements_in(frames), AceOptions(**SMALL, fitter="pacemaker", **more))


def leave_a_potential(folder, frames):
    """Write what the stand-in leaves: our own functions with coefficients of 0.01 and 0.02 in turn."""
    ace = Ace(elements_in(frames), AceOptions(**SMALL))
    coefficients = 0.01 * (1.0 + np.arange(ace.n_columns) % 2)
    potential = ace.potential(Solution(coefficients, np.zeros(len(ace.elements)), 1.0))
    potential.export(folder / "own")
    shutil.copy(folder / "own" / "potential.yaml", folder / "left.yaml")
    return potential


def fit(ace, frames, weights=None, seed=3):
    rng = np.random.default_rng(seed)
    return ace.fit(ace.prepare(frames), np.arange(len(frames)), weights=weights or {}, rng=rng)


def test_weights_of_nothing_start_no_program(program, frames):
    kept = program()
    nothing = GroupWeight(energy=0.0, forces=0.0)
    with pytest.raises(TooFewFrames, match="weights of energies and forces are 0"):
        fit(by_pacemaker(frames), frames, {"even": nothing, "odd": nothing})
    assert not kept.exists()


def test_its_potential_is_read_and_carries_the_reference_energies(program, tmp_path, frames):
    program()
    left = leave_a_potential(tmp_path, frames)
    ace = by_pacemaker(frames)
    prepared = ace.prepare(frames)
    potential = fit(ace, frames)
    references = energies_of(frames, ace)
    for atoms, found in zip(
        frames, ace.predict(potential, prepared, np.arange(len(frames))).energies, strict=True
    ):
        own = sum(references[symbol] for symbol in atoms.get_chemical_symbols())
        assert found == pytest.approx(left.predict(atoms).energy + own, rel=1e-13)
    assert potential.info["source"] == "output_potential.yaml"
    potential.save(tmp_path / "saved")
    again = load_potential(tmp_path / "saved")
    assert again.predict(frames[0]).energy == potential.predict(frames[0]).energy
    assert {path.suffix for path in potential.export(tmp_path / "native")} == {".yaml", ".yace"}


def test_input_is_what_the_documentation_asks_for(program, tmp_path, frames):
    kept = program()
    leave_a_potential(tmp_path, frames)
    options = from_table(
        AceOptions,
        {**SMALL, "fitter": "pacemaker", "pacemaker": {"n_densities": 2, "trainable": "func", "l2": 1e-6}},
        "[options.ace]",
    )
    ace = Ace(elements_in(frames), options)
    fit(ace, frames)
    settings = yaml.safe_load((kept / "input.yaml").read_text())
    assert settings["cutoff"] == 4.0
    assert settings["seed"] == int(np.random.default_rng(3).integers(1, 2**31 - 1))
    assert settings["data"]["filename"] == "train.pckl.gzip"
    assert Path(settings["data"]["datapath"]).is_absolute()
    assert settings["data"]["ignore_weights"] is False
    assert "reference_energy" not in settings["data"], "energy_corrected is what it must fit"
    assert settings["fit"]["loss"]["L1_coeffs"] == 1e-8
    assert settings["fit"]["loss"]["L2_coeffs"] == 1e-6
    assert settings["fit"]["trainable_parameters"] == "func"
    assert settings["backend"]["evaluator"] == "tensorpot"
    start, _ = read_model(kept / settings["potential"])
    assert start.elements == ace.elements
    assert [len(one.functions) for one in start.centres] == [ace.n_columns // len(ace.elements)] * len(
        ace.elements
    )
    for centre in start.centres:
        assert not centre.coefficients.any()
        assert centre.embedding.parameters.tolist() == [[1.0, 1.0], [1.0, 0.5]]
    assert {bond.inner_type for bond in start.bonds.values()} == {"zbl"}


def test_data_frame_holds_the_chosen_frames(program, tmp_path, frames):
    kept = program()
    leave_a_potential(tmp_path, frames)
    ace, chosen = by_pacemaker(frames), np.array([0, 3])
    ace.fit(ace.prepare(frames), chosen, weights={}, rng=np.random.default_rng(0))
    table = pd.read_pickle(kept / "train.pckl.gzip", compression="gzip")
    assert len(table) == 2
    references = energies_of([frames[index] for index in chosen], ace)
    for row, index in zip(table.itertuples(), chosen, strict=True):
        atoms = frames[index]
        assert row.ase_atoms == atoms
        assert row.ase_atoms.calc is None
        assert row.energy == energy_of(atoms)
        assert np.array_equal(row.forces, forces_of(atoms))
        own = sum(references[symbol] for symbol in atoms.get_chemical_symbols())
        assert row.energy_corrected == pytest.approx(energy_of(atoms) - own, abs=1e-12)
        assert row.w_forces.shape == (len(atoms),)
    assert table["w_energy"].sum() == pytest.approx(1.0)
    assert np.concatenate(list(table["w_forces"])).sum() == pytest.approx(1.0)


def test_isolated_atom_energies_are_used_as_given(program, tmp_path, frames):
    kept = program()
    leave_a_potential(tmp_path, frames)
    elements = elements_in(frames)
    known = {element: 0.5 + index for index, element in enumerate(elements)}
    ace = Ace(elements, AceOptions(**SMALL, fitter="pacemaker"), known)
    assert [one.reference for one in fit(ace, frames).model.centres] == list(known.values())
    table = pd.read_pickle(kept / "train.pckl.gzip", compression="gzip")
    shift = sum(known[symbol] for symbol in frames[0].get_chemical_symbols())
    assert table["energy"][0] - table["energy_corrected"][0] == pytest.approx(shift)


def test_its_loss_is_our_weighted_sum_of_squares(program, tmp_path, frames):
    """Documented loss with the written weights, against our design rows: one factor for any model."""
    kept = program()
    left = leave_a_potential(tmp_path, frames)
    ace = by_pacemaker(frames)
    fit(ace, frames, WEIGHTS)
    table = pd.read_pickle(kept / "train.pckl.gzip", compression="gzip")
    kappa = yaml.safe_load((kept / "input.yaml").read_text())["fit"]["loss"]["kappa"]
    references = energies_of(frames, ace)
    own = Ace(ace.elements, AceOptions(**SMALL, core_fraction=0.0))
    design, target = weighted_rows(own, own.prepare(frames), np.arange(len(frames)), WEIGHTS).stacked()
    ratios = []
    for scale in (0.0, 1.0, -2.0):
        coefficients = scale * left.coefficients
        model = own.potential(Solution(coefficients, np.zeros(len(own.elements)), 1.0))
        energy = forces = 0.0
        for row in table.itertuples():
            predicted = model.predict(row.ase_atoms)
            energy += row.w_energy * ((predicted.energy - row.energy_corrected) / len(row.ase_atoms)) ** 2
            forces += (row.w_forces[:, None] * (predicted.forces - row.forces) ** 2).sum()
        vector = np.concatenate([coefficients, [references[element] for element in own.elements]])
        ours = ((design @ vector - target) ** 2).sum()
        ratios.append(ours / ((1 - kappa) * energy + kappa * forces))
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-9)


@pytest.mark.parametrize(("weights", "kappa"), [({"energy_weight": 0.0}, 1.0), ({"force_weight": 0.0}, 0.0)])
def test_kappa_of_one_kind_of_label(program, tmp_path, frames, weights, kappa):
    kept = program()
    leave_a_potential(tmp_path, frames)
    fit(by_pacemaker(frames, **weights), frames)
    assert yaml.safe_load((kept / "input.yaml").read_text())["fit"]["loss"]["kappa"] == kappa


def test_interim_potential_is_read_where_no_final_one_is(program, tmp_path, frames):
    program('shutil.copy(os.environ["LEFT"], "interim_potential_best_cycle.yaml")')
    leave_a_potential(tmp_path, frames)
    assert fit(by_pacemaker(frames), frames).info["source"] == "interim_potential_best_cycle.yaml"


def test_failures_show_the_end_of_the_output(program, tmp_path, frames):
    program('sys.exit("no module named tensorpotential")')
    with pytest.raises(RuntimeError, match=r"exit code 1[\s\S]*no module named tensorpotential"):
        fit(by_pacemaker(frames), frames)
    shutil.rmtree(tmp_path / "kept")
    program('print("did nothing")')
    with pytest.raises(DataError, match=r"left none of output_potential.yaml[\s\S]*did nothing"):
        fit(by_pacemaker(frames), frames)


def test_what_it_cannot_do_is_refused(program, frames):
    program()
    with pytest.raises(StudyError, match="pacemaker fits no stress"):
        from_table(AceOptions, {"fitter": "pacemaker", "stress_weight": 1.0}, "[options.ace]")
    with pytest.raises(StudyError, match=r"pacemaker: n_densities: unknown value '3'"):
        from_table(AceOptions, {"pacemaker": {"n_densities": 3}}, "[options.ace]")
    elements = elements_in(frames)
    ace = Ace(elements, AceOptions(**SMALL, fitter="pacemaker"), dict.fromkeys(elements, 100.0))
    with pytest.raises(DataError, match=r"eV/atom after subtraction .* outside -20 to 250"):
        fit(ace, frames)


def test_other_environments_read_the_data_frame(tmp_path, frames):
    """Texts of pandas 3 are arrays of pyarrow, which pandas 2 without pyarrow cannot read."""
    path = tmp_path / "set.pckl.gzip"
    write_frames(path, frames)
    with gzip.open(path) as stream:
        texts = {str(word) for _, word, _ in pickletools.genops(stream.read()) if isinstance(word, str)}
    assert {"pandas.core.indexes.base", "ase.atoms"} <= texts, "these are how modules are named in it"
    assert not {word for word in texts if "pyarrow" in word or "string" in word.lower()}


def test_any_frames_can_be_written(tmp_path, frames):
    path = tmp_path / "set.pckl.gzip"
    write_frames(path, frames)
    table = pd.read_pickle(path, compression="gzip")
    assert list(table["ase_atoms"]) == frames
    assert list(table["energy"]) == [energy_of(atoms) for atoms in frames]
    assert all(np.array_equal(*pair) for pair in zip(table["forces"], map(forces_of, frames), strict=True))
