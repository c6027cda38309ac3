"""Published potentials on mlearn's test sets, and motep's own numbers."""

from __future__ import annotations

import crossprune
import numpy as np
import pytest
from ase.build import bulk

mtp = pytest.importorskip("crossprune.adapters.mtp", exc_type=ImportError)


def structure(element):
    atoms = {"Mo": bulk("Mo", "bcc", 3.17, cubic=True), "Si": bulk("Si", "diamond", 5.47, cubic=True)}[
        element
    ]
    atoms.set_cell(
        atoms.cell.array @ [[1.0, 0.03, 0.0], [0.0, 0.98, 0.02], [0.01, 0.0, 1.02]], scale_atoms=True
    )
    atoms.positions += 0.1 * np.sin(np.arange(3 * len(atoms))).reshape(-1, 3)
    return atoms


MOTEP = {
    "Mo": (
        -21.474742247353753,
        [0.2184180001498026, -1.1045443483026853, -1.209267527319524],
        np.array(
            [
                -0.0360725432566858,
                -0.07393665640416365,
                -0.005788215285023022,
                0.0009176024975130513,
                0.009621317233766163,
                0.02108569219295874,
            ]
        ),
    ),
    "Si": (
        -42.25735725147106,
        [0.12933434161736612, -1.1180942549698638, -2.1616586266521876],
        np.array(
            [
                -0.006820597495863801,
                -0.016796518549963196,
                0.00854150029944396,
                0.026552578071141347,
                -0.010299809351046442,
                -0.023988061156336685,
            ]
        ),
    ),
}
"""Energy (eV), force on the first atom (eV/Å), stress (eV/Å³) of `structure` by motep 0.2.0, C engine."""


@pytest.mark.parametrize("element", MOTEP)
def test_published_potentials_agree_with_motep(element, data_folder):
    potential = mtp.read_potential(data_folder("mtp") / f"{element}.mtp")
    found, (energy, force, stress) = potential.predict(structure(element)), MOTEP[element]
    assert found.energy == pytest.approx(energy, abs=1e-10)
    np.testing.assert_allclose(found.forces[0], force, atol=1e-10)
    np.testing.assert_allclose(found.stress, stress, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(("element", "energy", "force"), [("Mo", 2.94, 0.0901), ("Si", 2.31, 0.0560)])
def test_published_potentials_have_their_errors_on_mlearn(element, energy, force, data_folder):
    """Mean absolute errors on the test set, meV/atom and eV/Å, as the data's own README says."""
    data_folder("mlearn")
    potential = mtp.read_potential(data_folder("mtp") / f"{element}.mtp")
    frames = crossprune.load_frames(f"mlearn-{element}", split="test")
    found = potential.predict_many(frames)
    sizes = np.array([len(one) for one in frames])
    energies = np.array([one.get_potential_energy() for one in frames])
    forces = np.concatenate([one.get_forces() for one in frames])
    assert 1e3 * np.abs((found.energies - energies) / sizes).mean() == pytest.approx(energy, abs=0.005)
    assert np.abs(found.forces - forces).mean() == pytest.approx(force, abs=5e-5)


def test_invariants_of_lower_levels_are_among_the_published_ones(data_folder):
    """The 92 invariants of level 16 here are 92 of the 288 in the file of level 20, value by value."""
    from crossprune.adapters.mtp.kernels import values
    from crossprune.adapters.mtp.model import tables_of
    from crossprune.adapters.mtp.plan import plan_of
    from crossprune.adapters.mtp.potential import pairs_of

    published = mtp.read_potential(data_folder("mtp") / "Mo.mtp").model
    radial = published.radial
    pairs = pairs_of(structure("Mo"), ("Mo",), radial.cutoff, "this test")
    plan = plan_of(16)
    own = np.ascontiguousarray(radial.coefficients[:, :, : plan.n_radial])
    found, theirs = (
        values(tables_of(one, functions), functions, radial.min_distance, radial.cutoff, *pairs)[0]
        for one, functions in ((plan, own), (published.plan, radial.coefficients))
    )
    nearest = np.abs(found[:, None] - theirs).argmin(axis=1)
    assert len(set(nearest)) == len(found)
    np.testing.assert_allclose(found, theirs[nearest], rtol=1e-9)
