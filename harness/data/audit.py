"""Look at the labels of a file: are their sizes, and energies beside forces beside stresses, plausible?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms, units
from ase.data import covalent_radii
from crossprune.harness.contract import FloatArray
from crossprune.harness.contract.neighbours import find_neighbours
from crossprune.harness.data.frames import (
    beyond_composition,
    element_counts,
    elements_of,
    energy_of,
    forces_of,
    stress_of,
)
from crossprune.harness.data.rough_model import implied

HARTREE_BOHR = units.Hartree / units.Bohr
KCAL, KJ = units.mol / units.kcal, units.mol / units.kJ
ENERGIES = {"meV": 1e3, "hartree": 1 / units.Hartree, "Ry": 1 / units.Ry, "kcal/mol": KCAL, "kJ/mol": KJ}
FORCES = {
    "meV/Å (or kJ/mol/nm)": 1e3,
    "Ry/bohr": 2 / HARTREE_BOHR,
    "hartree/bohr": 1 / HARTREE_BOHR,
    "kcal/mol/Å": KCAL,
    "eV/nm": 10.0,
}
STRESSES = {
    "GPa": 1 / units.GPa,
    "kbar": 10 / units.GPa,
    "bar": 1e4 / units.GPa,
    "hartree/bohr³": units.Bohr**3 / units.Hartree,
}
"""Unit to the number that stands for 1 eV, 1 eV/Å, 1 eV/Å³."""
TOLERANCE = 4.0
"""Factor by which a rough model may be wrong: 0.6 to 2.5 on si-pbe, mlearn, Ta, InP, CaSiO3 and EMT."""
NEAR = 2.5
"""Factor within which a unit explains what was found."""
AGREEMENT, ENERGY_CORRELATION, STRESS_CORRELATION = 0.6, 0.75, 0.5
"""Share of the forces' variance, and correlations, below which the rough model says nothing."""
MIN_FRAMES, MAX_FRAMES, MAX_ATOMS = 8, 40, 800
LARGE_FORCE, LARGE_STRESS, LARGE_SPREAD = 50.0, 1.0, 20.0
"""eV/Å, eV/Å³ (160 GPa) and eV per atom: more is not typical of any data set, whatever its outliers."""
LONG, SHORT = 1.5, 0.5
"""Distance of nearest neighbours over the sum of covalent radii (Cordero et al., Dalton Trans. 2008, 2832,
doi:10.1039/B801115J): 0.85 (W) to 1.2 (H2, Li, Al) is usual; in bohr everything is 1.9 times as long."""
NEIGHBOURS = 5.0
"""Å; hardly any bond is longer, in bohr either."""
NOBLE = (2, 10, 18, 36, 54, 86)
"""Elements without covalent bonds, and so without such a distance."""


def audit(frames: Sequence[Atoms]) -> list[str]:
    """Return warnings about labels that are likely in another unit or of another sign.

    Sizes alone tell little, for energies may have any offset and forces any scale. So a rough model is
    fitted to the forces of a few frames, and the energies and stresses that it implies are compared with
    the labels: of three kinds of labels, the one that disagrees with both others is the odd one.
    """
    return [*_distances(frames), *_placeholders(frames), *(_disagreements(frames) or _sizes(frames))]


def _placeholders(frames: Sequence[Atoms]) -> list[str]:
    """Name labels that do not change although the structures do, as where a file fills in what it lacks."""
    found = []
    if not any(forces_of(atoms).any() for atoms in frames):
        found.append("warning: all forces are zero: are they labels, or missing?")
    stresses = [stress for atoms in frames if (stress := stress_of(atoms)) is not None]
    if len(stresses) > 1 and not np.any(stresses):
        found.append(
            f"warning: the stresses of all {len(stresses)} frames that have one are zero: are they labels, "
            "or missing? use_stress = false leaves them out"
        )
    energies = {energy_of(atoms) for atoms in frames}
    if len(frames) > 1 and len(energies) == 1 and any(forces_of(atoms).any() for atoms in frames):
        found.append(
            f"warning: the energy of all {len(frames)} frames is {energies.pop():.6g} eV: is it a label, or "
            "missing? energy_key names another"
        )
    return found


def _distances(frames: Sequence[Atoms]) -> list[str]:
    """Compare the distance of each atom's nearest neighbour with covalent radii."""
    ratios: list[float] = []
    for atoms in _sample(frames):
        near = find_neighbours(atoms, NEIGHBOURS)
        first, second, distances = near.centres, near.index, near.distances
        bonded = ~(np.isin(atoms.numbers[first], NOBLE) | np.isin(atoms.numbers[second], NOBLE))
        radii = covalent_radii[atoms.numbers]
        nearest = np.full(len(atoms), np.inf)
        np.minimum.at(nearest, first[bonded], (distances / (radii[first] + radii[second]))[bonded])
        ratios += nearest[np.isfinite(nearest)].tolist()
    typical = float(np.median(ratios)) if ratios else 1.0
    if SHORT < typical < LONG:
        return []
    guess = "bohr" if typical > 1 else "another unit"
    return [
        f"warning: nearest neighbours are typically {typical:.1f} times as far apart as covalent radii say: "
        f"are positions and cells in {guess}, not Å?"
    ]


def _sizes(frames: Sequence[Atoms]) -> list[str]:
    """Judge sizes alone, where nothing can be compared."""
    found = []
    force = np.linalg.norm(np.concatenate([forces_of(atoms) for atoms in frames]), axis=1)
    if force.any() and np.median(force[force > 0]) > LARGE_FORCE:
        typical = np.median(force[force > 0])
        found.append(
            f"warning: forces are typically {typical:.3g} eV/Å: likely in meV/Å; convert them to eV/Å"
        )
    stresses = [np.abs(stress).max() for atoms in frames if (stress := stress_of(atoms)) is not None]
    if stresses and np.median(stresses) > LARGE_STRESS:
        typical = float(np.median(stresses))
        unit = next((unit for unit in ("GPa", "kbar") if typical / STRESSES[unit] < 0.5), "bar")
        found.append(
            f"warning: stresses are typically {typical:.3g} eV/Å³: likely in {unit}; convert them to eV/Å³"
        )
    spread = _per_atom(frames, np.array([energy_of(atoms) for atoms in frames]))
    if np.median(np.abs(spread)) > LARGE_SPREAD:
        found.append(
            f"warning: energies of like composition differ by typically {np.median(np.abs(spread)):.3g} eV "
            "per atom: likely in meV; convert them to eV"
        )
    return found


@dataclass(frozen=True)
class _Ratio:
    """Size of labels over what the forces imply, with the correlation's sign; None if it cannot be told."""

    energy: float | None
    stress: float | None


def _disagreements(frames: Sequence[Atoms]) -> list[str]:
    """Compare the three kinds of labels; name the one that disagrees."""
    chosen = _sample(frames)
    if len(chosen) < MIN_FRAMES:
        return []
    ratio = _ratios(chosen)
    forces = {f"forces in {unit}": size for unit, size in FORCES.items()}
    if _is_off(ratio.energy) and _is_off(ratio.stress) and _is_one_factor(ratio):
        assert ratio.energy is not None
        assert ratio.stress is not None
        both = np.copysign((ratio.energy * ratio.stress) ** -0.5, ratio.energy)
        return [_warning("forces", float(both), forces)]
    found = []
    inverse = {name: 1 / size for name, size in forces.items()}
    if ratio.energy is not None and _is_off(ratio.energy):
        known = {f"energies in {unit}": size for unit, size in ENERGIES.items()}
        known["energies per atom"] = 1 / float(np.median([len(atoms) for atoms in chosen]))
        undecided = inverse if ratio.stress is None else {}
        found.append(_warning("energies", ratio.energy, {**known, **undecided}))
    if ratio.stress is not None and _is_off(ratio.stress):
        known = {f"stresses in {unit}": size for unit, size in STRESSES.items()}
        known["virials, not stresses"] = float(np.median([abs(atoms.cell.volume) for atoms in chosen]))
        undecided = inverse if ratio.energy is None else {}
        found.append(_warning("stresses", ratio.stress, {**known, **undecided}))
    return found


def _is_off(ratio: float | None) -> bool:
    return ratio is not None and not 1 / TOLERANCE < ratio < TOLERANCE


def _is_one_factor(ratio: _Ratio) -> bool:
    """Say whether energies and stresses are off by the same, so that it is the forces."""
    assert ratio.energy is not None
    assert ratio.stress is not None
    return 1 / TOLERANCE < ratio.energy / ratio.stress < TOLERANCE


def _warning(what: str, ratio: float, known: Mapping[str, float]) -> str:
    """Word a factor between labels and what they should be, with the units that explain it."""
    size = abs(ratio)
    distance = {unit: abs(np.log(size / factor)) for unit, factor in known.items()}
    by_distance = sorted(known, key=lambda unit: distance[unit])
    near = [unit for unit in by_distance if distance[unit] < np.log(NEAR)][:3]
    sign = "of the opposite sign" if ratio < 0 else ""
    if not _is_off(size):
        return f"warning: {what} are {sign}, as the other labels tell; check the sign"
    factor = f"{size:.2g} times" if size > 1 else f"1/{1 / size:.2g} of"
    unit = f"likely {' or '.join(near)}" if near else "no unit that is known explains it"
    also = f", and {sign}" if sign else ""
    return f"warning: {what} are about {factor} what the other labels tell{also}: {unit}; convert them"


def _sample(frames: Sequence[Atoms]) -> list[Atoms]:
    """Take some frames, drawn over the whole file, in which forces act and whose atoms are not too many."""
    chosen: list[Atoms] = []
    n_atoms = 0
    for index in np.random.default_rng(0).permutation(len(frames)):
        atoms = frames[index]
        if len(chosen) == MAX_FRAMES or (n_atoms > MAX_ATOMS and len(chosen) >= MIN_FRAMES):
            break
        if 1 < len(atoms) <= MAX_ATOMS and forces_of(atoms).any():
            chosen.append(atoms)
            n_atoms += len(atoms)
    return chosen


def _ratios(frames: Sequence[Atoms]) -> _Ratio:
    energies, stresses, agreement = implied(frames)
    if agreement < AGREEMENT:
        return _Ratio(None, None)
    labels = np.array([energy_of(atoms) for atoms in frames])
    energy = _ratio(_per_atom(frames, labels), _per_atom(frames, energies), ENERGY_CORRELATION)
    known = [stress_of(atoms) for atoms in frames]
    pairs = [(one, mine) for one, mine in zip(known, stresses, strict=True) if one is not None]
    if len(pairs) < MIN_FRAMES:
        return _Ratio(energy, None)
    labels, mine = (np.concatenate(column) for column in zip(*pairs, strict=True))
    stress = _ratio(labels, mine, STRESS_CORRELATION)
    return _Ratio(energy, stress)


def _ratio(labels: FloatArray, mine: FloatArray, least: float) -> float | None:
    """Return the ratio of standard deviations, with the correlation's sign, if the correlation is good."""
    if np.std(labels) == 0 or np.std(mine) == 0:
        return None
    correlation = float(np.corrcoef(labels, mine)[0, 1])
    return (
        None if abs(correlation) < least else float(np.copysign(np.std(labels) / np.std(mine), correlation))
    )


def _per_atom(frames: Sequence[Atoms], energies: FloatArray) -> FloatArray:
    return beyond_composition(energies, element_counts(frames, elements_of(frames)))
