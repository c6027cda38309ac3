"""An adapter under test: small labelled structures, fits on demand, and how results are compared."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from crossprune.harness.contract import (
    Adapter,
    Descriptor,
    Fitter,
    FloatArray,
    IntArray,
    Potential,
    Prepared,
)
from crossprune.harness.data.frames import label
from crossprune.harness.tables import from_table

SEED = 20260611
ROUNDING = 3e-5
"""Of values in single precision, relative to the largest: the bound of sums over neighbours and layers."""


class NotClaimed(Exception):
    """The adapter does not claim what the check is about."""


class Subject:
    """An adapter under test, with small labelled structures, fitted when first needed.

    Labels come from the effective-medium theory of ASE (Jacobsen 1996, doi:10.1016/0039-6028(96)00816-3):
    analytic energies, forces and stress of any strained copper-gold cell.
    """

    def __init__(self, cls: type[Adapter[Any]], elements: tuple[str, ...] = ("Cu",)) -> None:
        self.cls = cls
        self.elements = elements
        self.frames = sample_frames(elements, 16)

    def make(self, **changes: Any) -> Any:
        """Construct the adapter with its smoke options, some of them changed."""
        table = {**self.cls.smoke, **changes}
        options = from_table(self.cls.options_type, table, f"{self.cls.__name__}.smoke")
        return self.cls(self.elements, options)

    @property
    def single(self) -> bool:
        """Whether the adapter computes in single precision."""
        return self.cls.capabilities.single

    def within(self, tolerance: float) -> float:
        """Return the tolerance, or that of single precision where it is what the adapter computes in."""
        return max(tolerance, ROUNDING) if self.single else tolerance

    @functools.cached_property
    def descriptor(self) -> Descriptor[Any]:
        """The adapter as a descriptor, or a skip."""
        if not self.cls.capabilities.describes:
            raise NotClaimed("has no descriptor")
        adapter = self.make()
        assert isinstance(adapter, Descriptor), "claims describes, but is no Descriptor"
        return adapter

    @functools.cached_property
    def fitter(self) -> Fitter[Any]:
        """The adapter as a fitter, or a skip."""
        if not self.cls.capabilities.fits:
            raise NotClaimed("has no fitter")
        adapter = self.make()
        assert isinstance(adapter, Fitter), "claims fits, but is no Fitter"
        return adapter

    @functools.cached_property
    def prepared(self) -> Prepared:
        """The sample, prepared."""
        return self.fitter.prepare(self.frames)

    @functools.cached_property
    def potential(self) -> Potential:
        """A potential fitted to the first 12 frames."""
        return self.fit(np.arange(12))

    def fit(self, subset: Sequence[int] | IntArray, seed: int = SEED) -> Potential:
        """Fit to a subset of the prepared sample."""
        rng = np.random.default_rng(seed)
        return self.fitter.fit(self.prepared, np.asarray(subset, dtype=np.int64), weights={}, rng=rng)

    @property
    def probe(self) -> Atoms:
        """A triclinic, strained and rattled structure that no fit has seen."""
        return bare(self.frames[-1])


def sample_frames(elements: Sequence[str], count: int) -> list[Atoms]:
    """Make strained and rattled cells of four and eight atoms with EMT labels (seeded)."""
    rng = np.random.default_rng(SEED)
    frames = []
    for index in range(count):
        atoms = bulk("Cu", "fcc", 3.75 if len(elements) > 1 else 3.6, cubic=True)
        if index % 2:
            atoms = atoms.repeat((2, 1, 1))
        atoms.symbols = [elements[k % len(elements)] for k in range(len(atoms))]
        strain = rng.uniform(-0.06, 0.06, (3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        atoms.positions += rng.normal(0, 0.12, atoms.positions.shape)
        atoms.calc = EMT()
        frames.append(
            label(
                atoms,
                energy=float(atoms.get_potential_energy()),
                forces=atoms.get_forces(),
                stress=atoms.get_stress(),
                group="even" if index % 2 == 0 else "odd",
            )
        )
    return frames


def bare(atoms: Atoms) -> Atoms:
    """Copy a structure without labels."""
    return Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def random_rotation(rng: np.random.Generator) -> FloatArray:
    """Draw a proper rotation matrix."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    rotation: FloatArray = q * np.sign(np.linalg.det(q))
    return rotation


def rotated(atoms: Atoms, rotation: FloatArray) -> Atoms:
    """Rotate positions and cell: v -> v @ rotation."""
    turned = bare(atoms)
    turned.set_cell(atoms.cell.array @ rotation)
    turned.positions = atoms.positions @ rotation
    return turned


def close(given: Any, expected: Any, tolerance: float, what: str) -> None:
    """Assert equality within ``tolerance`` relative to the largest expected value (at least 1)."""
    given, expected = np.asarray(given), np.asarray(expected)
    assert given.shape == expected.shape, f"{what}: shape {given.shape}, expected {expected.shape}"
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    error = float(np.abs(given - expected).max(initial=0.0))
    assert error <= tolerance * scale, f"{what}: off by {error:.2e}, allowed {tolerance * scale:.2e}"


def tensor(stress: FloatArray) -> FloatArray:
    """Turn Voigt order xx yy zz yz xz xy into a symmetric matrix."""
    xx, yy, zz, yz, xz, xy = stress
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
