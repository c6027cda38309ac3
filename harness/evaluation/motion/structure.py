"""Averages over snapshots of one cell: distances, angles, pressure and vibration, and their noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from ase import Atoms
from ase.units import GPa, fs, kB
from crossprune.harness.contract import FloatArray
from crossprune.harness.contract.neighbours import find_neighbours
from crossprune.harness.data.frames import forces_of, stress_of

RANGE, N_BINS = 6.0, 120
"""Å and bins of 0.05 Å: the first shells, within which models and snapshots have structure to compare."""
N_ANGLES = 60
"""Bins of 3°."""


def radial_distribution(frames: Sequence[Atoms]) -> FloatArray:
    """Return g(r), averaged over frames; dimensionless, shape (N_BINS,).

    g(r) = n(r) / (4π r² Δr ρ): the mean number of neighbours in a shell over that of an ideal gas of the
    same density (Allen & Tildesley 2017, doi:10.1093/oso/9780198803195.001.0001, section 2.6). Periodic
    images count, so that the range may exceed half the cell: compare equal cells only.
    """
    edges = np.linspace(0, RANGE, N_BINS + 1)
    shells = 4 / 3 * np.pi * np.diff(edges**3)
    total = np.zeros(N_BINS)
    for atoms in frames:
        counts = np.histogram(find_neighbours(atoms, RANGE, apart=False).distances, edges)[0]
        total += counts / (shells * len(atoms) ** 2 / atoms.get_volume())
    return total / len(frames)


def rdf_error(found: FloatArray, reference: FloatArray) -> float:
    """Return the mean absolute difference of two radial distribution functions over 6 Å, dimensionless.

    The measure of Fu 2023 (arXiv:2210.07237), divided by the range.
    """
    return float(np.abs(found - reference).mean())


def angular_distribution(frames: Sequence[Atoms], shell: float) -> FloatArray:
    """Return how the angles between bonds of an atom are shared out; sums to 1, shape (N_ANGLES,).

    Bonds are pairs closer than ``shell`` (Å); every two bonds of an atom make an angle, 0° to 180°.
    """
    edges = np.linspace(0, 180, N_ANGLES + 1)
    total = np.zeros(N_ANGLES)
    for atoms in frames:
        total += np.histogram(bond_angles(atoms, shell), edges)[0]
    shares: FloatArray = total / max(total.sum(), 1.0)
    return shares


def bond_angles(atoms: Atoms, shell: float) -> FloatArray:
    """Return the angles (°) between every two bonds of an atom, for all atoms, shape (n_angles,)."""
    found = find_neighbours(atoms, shell, apart=False)
    centres, directions = found.centres, found.vectors / found.distances[:, None]
    ends = np.searchsorted(centres, centres, side="right")
    n_later = ends - 1 - np.arange(len(centres))  # bonds of the same atom that come after each
    one = np.repeat(np.arange(len(centres)), n_later)
    other = one + 1 + np.arange(len(one)) - np.repeat(np.cumsum(n_later) - n_later, n_later)
    cosines = np.einsum("ij,ij->i", directions[one], directions[other])
    angles: FloatArray = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    return angles


def adf_error(found: FloatArray, reference: FloatArray) -> float:
    """Return the share of angles that lie elsewhere, 0 to 1: half the summed absolute difference."""
    return float(np.abs(found - reference).sum() / 2)


def pressures(frames: Sequence[Atoms], stresses: Sequence[FloatArray], temperature: float) -> FloatArray:
    """Return the pressure (GPa, positive = compression) of snapshots at one temperature, shape (n,).

    p = N k T / V − tr σ / 3 (Allen & Tildesley 2017, doi:10.1093/oso/9780198803195.001.0001, section 2.4),
    with the temperature of the ensemble, not of each snapshot: positions alone suffice.

    Parameters
    ----------
    frames
        For their volumes and numbers of atoms.
    stresses
        eV/Å³, ASE's order and sign, shape (6,) each, of the potential energy only.
    temperature
        K.
    """
    virials = -np.asarray(stresses)[:, :3].mean(axis=1)
    densities = np.array([len(atoms) / atoms.get_volume() for atoms in frames])
    found: FloatArray = (virials + densities * kB * temperature) / GPa
    return found


def square_frequencies(frames: Sequence[Atoms], temperature: float) -> FloatArray:
    """Return of each labelled frame the estimate of the mean square frequency (THz²), shape (n_frames,).

    Over positions of the classical canonical ensemble ⟨Σᵢ Fᵢ²/mᵢ⟩ = k T ⟨Σᵢ ∇ᵢ²U/mᵢ⟩ (hypervirial theorem:
    Hirschfelder 1960, doi:10.1063/1.1731427), and the sum on the right is that of the squared angular
    frequencies of 3 N − 3 modes. It is the second moment of the vibrational density of states, liquids
    included: the square of the Einstein frequency (Hansen & McDonald 2013,
    doi:10.1016/C2010-0-66723-X, section 7.2).
    """
    masses, freedoms = frames[0].get_masses()[:, None], 3 * len(frames[0]) - 3
    forces = np.array([forces_of(atoms) for atoms in frames])
    squares = (forces**2 / masses).sum(axis=(1, 2)) / (freedoms * kB * temperature)
    found: FloatArray = squares * (1e3 * fs / (2 * np.pi)) ** 2
    return found


@dataclass(frozen=True)
class Reference:
    """What ab-initio snapshots of one cell and temperature have to compare with; NaN is not known."""

    n_snapshots: int
    shell: float
    """Å within which angles are taken."""
    rdf: tuple[float, ...]
    adf: tuple[float, ...]
    rdf_halves: float
    """`rdf_error` of the even from the odd snapshots."""
    adf_halves: float
    pressure_gpa: float
    pressure_scatter_gpa: float
    """Standard deviation of one snapshot."""
    vibration_thz: float
    vibration_scatter_thz: float

    @classmethod
    def of(cls, frames: Sequence[Atoms], temperature: float, shell: float) -> Self:
        """Average labelled snapshots at ``temperature`` (K), all in the same cell."""

        def angles(some: Sequence[Atoms]) -> FloatArray:
            return angular_distribution(some, shell)

        stresses = [stress for atoms in frames if (stress := stress_of(atoms)) is not None]
        pressure = (float("nan"), float("nan"))
        if len(stresses) == len(frames):
            pressure = mean_and_scatter(pressures(frames, stresses, temperature))
        return cls(
            len(frames),
            shell,
            tuple(radial_distribution(frames).tolist()),
            tuple(angles(frames).tolist()),
            between_halves(frames, radial_distribution, rdf_error),
            between_halves(frames, angles, adf_error),
            *pressure,
            *vibration(frames, temperature),
        )

    def noise_of_halves(self, halves: float, n_frames: float) -> float:
        """Return the error that a perfect model would have, from that between halves of the snapshots.

        With a variance σ² of one snapshot, halves of n differ by 4 σ²/n, and the mean of n from the
        mean of ``n_frames`` other independent ones of the same ensemble by σ² (1/n + 1/n_frames).
        """
        return float(halves / 2 * np.sqrt(1 + self.n_snapshots / n_frames))

    def noise_of_mean(self, scatter: float, n_frames: float) -> float:
        """Return the standard deviation of a perfect model's difference from the mean of the snapshots."""
        return float(scatter * np.sqrt(1 / self.n_snapshots + 1 / n_frames))


def vibration(frames: Sequence[Atoms], temperature: float) -> tuple[float, float]:
    """Return the root of the second moment of the density of states (THz), and the scatter of one frame."""
    mean, scatter = mean_and_scatter(square_frequencies(frames, temperature))
    root = float(np.sqrt(mean))
    return root, scatter / (2 * root) if root else float("nan")


def mean_and_scatter(values: FloatArray) -> tuple[float, float]:
    """Return mean and standard deviation; of one value the latter is not known."""
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def between_halves(
    frames: Sequence[Atoms],
    distribution: Callable[[Sequence[Atoms]], FloatArray],
    error: Callable[[FloatArray, FloatArray], float],
) -> float:
    """Return the error of the even from the odd frames; NaN for a single one."""
    if len(frames) < 2:
        return float("nan")
    return error(distribution(frames[::2]), distribution(frames[1::2]))
