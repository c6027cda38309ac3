"""Structures without places for their atoms: one `DataError`, whatever program would have run on them."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from crossprune.harness.checks.subject import bare, sample_frames
from crossprune.harness.contract.neighbours import require_places
from crossprune.harness.errors import DataError
from crossprune.harness.lookup import adapter_class

CELL = [[3.6, 0, 0], [0, 3.6, 0], [0, 0, 3.6]]
IMPROPER = {
    "no third vector": (Atoms("Cu", cell=[3.6, 3.6, 0], pbc=True), "no proper cell"),
    "no vector": (Atoms("Cu", pbc=True), "no proper cell"),
    "flat": (Atoms("Cu", cell=[[1, 0, 0], [0, 1, 0], [1, 1, 0]], pbc=True), "no proper cell"),
    "infinite": (Atoms("Cu", cell=[[np.inf, 0, 0], [0, 3.6, 0], [0, 0, 3.6]], pbc=True), "no proper cell"),
    "NaN": (Atoms("Cu2", positions=[[0, 0, 0], [np.nan, 0, 0]]), "positions that are not finite"),
    "same place": (
        Atoms("Cu3", positions=[[0, 0, 0], [2, 0, 0], [0, 0, 0]]),
        "Cu3 has two atoms at the same place: numbers 0 and 2",
    ),
    "same place, by an image": (
        Atoms("Cu2", positions=[[0, 0, 5e-4], [3.6, -3.6, 7.2]], cell=CELL, pbc=True),
        "Cu2 has two atoms at the same place: numbers 0 and 1",
    ),
}
NAMES = ("snap", "pod", "gap")


@pytest.fixture(scope="module")
def fitted():
    """Return a function that gives an adapter of that name and its fit."""
    found = {}

    def make(name):
        if name not in found:
            cls = adapter_class(name)
            adapter, frames = cls(["Cu"], cls.options_type(**cls.smoke)), sample_frames(["Cu"], 4)
            potential = adapter.fit(
                adapter.prepare(frames), np.arange(4), weights={}, rng=np.random.default_rng(0)
            )
            found[name] = adapter, potential
        return found[name]

    return make


@pytest.mark.parametrize("case", IMPROPER)
@pytest.mark.parametrize("name", NAMES)
def test_structures_without_places_are_refused(name, case, fitted, require_adapter):
    require_adapter(name)
    adapter, potential = fitted(name)
    atoms, message = IMPROPER[case]
    for ask in (potential.predict, adapter.features):
        with pytest.raises(DataError, match=message):
            ask(atoms)


@pytest.mark.parametrize("name", NAMES)
def test_a_refused_structure_leaves_the_next_one_alone(name, fitted, require_adapter):
    require_adapter(name)
    adapter, potential = fitted(name)
    probe = bare(sample_frames(["Cu"], 2)[1])
    before = potential.predict(probe), adapter.features(probe)
    for atoms, _ in IMPROPER.values():
        with pytest.raises(DataError):
            potential.predict(atoms)
    np.testing.assert_array_equal(potential.predict(probe).forces, before[0].forces)
    np.testing.assert_array_equal(adapter.features(probe), before[1])


def test_places_that_look_alike_are_not_the_same():
    """Along an open direction there are no images, and an image of an atom alone is another place."""
    require_places(Atoms("Cu", cell=CELL, pbc=True))
    require_places(Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 3.6]], cell=CELL, pbc=[True, True, False]))
    require_places(Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 2e-3]]))
    require_places(Atoms("Cu2", positions=[[0, 0, 0], [5000, 0, 0]]))


def test_what_lammps_refuses_is_one_line(require_adapter):
    """Raised from within LAMMPS, which knows the position but not the structure."""
    require_adapter("snap")
    from crossprune.adapters.programs import Session

    session, atoms = Session(), Atoms("Cu", cell=CELL, pbc=True)
    session.load(atoms, ["Cu"])
    with pytest.raises(DataError, match=r"LAMMPS cannot compute Cu: ERROR: .*no_such") as caught:
        session.command("no_such_command", atoms)
    assert "\n" not in str(caught.value)
