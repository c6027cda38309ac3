"""Atoms that are there twice: no linear family that lists neighbours itself has rows for them."""

from __future__ import annotations

import pytest
from ase import Atoms
from crossprune.harness.errors import DataError
from crossprune.harness.lookup import adapter_class


@pytest.mark.parametrize("name", ["ace", "chimes", "mtp", "uf3"])
def test_an_atom_that_is_there_twice_has_no_rows(name, require_adapter):
    require_adapter(name)
    cls = adapter_class(name)
    adapter = cls(["Cu"], cls.options_type(**cls.smoke))
    atoms = Atoms("Cu3", positions=[[0, 0, 0], [0, 0, 2.5], [0, 5e-4, 2.5]], cell=[9, 9, 9], pbc=True)
    for ask in (adapter.rows, adapter.features):
        with pytest.raises(DataError, match="Cu3 has two atoms at the same place: numbers 1 and 2"):
            ask(atoms)
