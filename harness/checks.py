"""The contract as plain functions: what every adapter must pass, built in or from outside."""

from __future__ import annotations

import copy
import functools
import multiprocessing
import random
import tempfile
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from crossprune.harness.contract import (
    Adapter,
    Potential,
    Prediction,
)
from crossprune.harness.errors import DataError, MissingPackage, TooFewFrames
from crossprune.harness.frames import energy_of, forces_of, label, stress_of
from crossprune.harness.subject import (
    SEED,
    NotClaimed,
    Subject,
    bare,
    close,
    random_rotation,
    rotated,
    tensor,
)

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclass(frozen=True)
class CheckResult:
    """How one check ended."""

    name: str
    outcome: Literal["passed", "failed", "skipped"]
    detail: str = ""


def features_have_constant_length(subject: Subject) -> None:
    """Features: one row per atom, float64, finite, as long for every structure."""
    lengths = set()
    for atoms in subject.frames[:4]:
        features = subject.descriptor.features(bare(atoms))
        assert features.dtype == np.float64, f"dtype {features.dtype}, expected float64"
        assert features.ndim == 2, f"{features.ndim} dimensions, expected 2"
        assert len(features) == len(atoms), f"{len(features)} rows for {len(atoms)} atoms"
        assert np.isfinite(features).all(), "features are not finite"
        lengths.add(features.shape[1])
    assert len(lengths) == 1, f"lengths differ: {sorted(lengths)}"


def features_are_invariant(subject: Subject) -> None:
    """Features: unchanged by translation, rotation, wrapping; permuted with the atoms."""
    rng = np.random.default_rng(SEED)
    atoms = subject.probe
    expected = subject.descriptor.features(atoms)
    moved = bare(atoms)
    moved.positions += rng.uniform(-5, 5, 3)
    close(subject.descriptor.features(moved), expected, 1e-6, "translation")
    moved.wrap()
    close(subject.descriptor.features(moved), expected, 1e-6, "wrapping")
    turned = rotated(atoms, random_rotation(rng))
    close(subject.descriptor.features(turned), expected, 1e-6, "rotation")
    order = rng.permutation(len(atoms))
    close(subject.descriptor.features(atoms[order]), expected[order], 1e-6, "permutation")


def features_ignore_the_choice_of_cell(subject: Subject) -> None:
    """Features: a supercell repeats them, a cell smaller than the cutoff included."""
    atoms = subject.probe
    expected = subject.descriptor.features(atoms)
    bigger = atoms.repeat((2, 1, 2))
    close(subject.descriptor.features(bigger), np.tile(expected, (4, 1)), 1e-6, "supercell")


def features_of_a_batch_equal_single_ones(subject: Subject) -> None:
    """Features: a batch gives what the structures give one by one."""
    frames = [bare(atoms) for atoms in subject.frames[:3]]
    single = np.concatenate([subject.descriptor.features(atoms) for atoms in frames])
    close(subject.descriptor.features_many(frames), single, 1e-12, "batch")


def forces_are_minus_the_gradient(subject: Subject) -> None:
    """Forces = −dE/dx by central differences, with sign, in a triclinic cell."""
    _check_forces(subject.potential, subject.probe)


def stress_is_the_strain_derivative(subject: Subject) -> None:
    """Stress = dE/dε/V by central differences, with sign and order, in a triclinic cell."""
    if not subject.cls.capabilities.stress:
        raise NotClaimed("predicts no stress")
    _check_stress(subject.potential, subject.probe)


def energies_are_extensive(subject: Subject) -> None:
    """A supercell has a multiple of the energy, the same forces and the same stress."""
    atoms = subject.probe
    single = subject.potential.predict(atoms)
    double = subject.potential.predict(make_supercell(atoms, [[1, 0, 0], [1, 2, 0], [0, 0, 1]]))
    close(double.energy, 2 * single.energy, 1e-7, "energy of a supercell")
    if single.stress is not None:
        close(double.stress, single.stress, 1e-7, "stress of a supercell")


def predictions_turn_with_the_structure(subject: Subject) -> None:
    """A rotated structure has the same energy, and rotated forces and stress."""
    rotation = random_rotation(np.random.default_rng(SEED))
    before = subject.potential.predict(subject.probe)
    after = subject.potential.predict(rotated(subject.probe, rotation))
    close(after.energy, before.energy, 1e-7, "energy")
    close(after.forces, before.forces @ rotation, 1e-6, "forces")
    if before.stress is not None and after.stress is not None:
        turned = rotation.T @ tensor(before.stress) @ rotation
        close(tensor(after.stress), turned, 1e-6, "stress")


def energy_is_continuous(subject: Subject) -> None:
    """The dimer curve has no jump, at the cutoff or elsewhere."""

    def energy(distance: float) -> float:
        pair = Atoms(
            [subject.elements[0]] * 2, positions=[[0, 0, 0], [distance, 0.01, 0]], cell=[40.0] * 3, pbc=True
        )
        return subject.potential.predict(pair).energy

    low, high, count = 3.0, 12.0, 181
    for _ in range(4):  # zoom in on the step that fits its neighbours least
        distances = np.linspace(low, high, count)
        steps = np.diff([energy(distance) for distance in distances])
        irregular = np.abs(steps[1:-1] - (steps[:-2] + steps[2:]) / 2)
        worst = int(irregular.argmax()) + 1
        low, high, count = distances[worst - 1], distances[worst + 2], 31
    # Steps are 5e-5 Å at last: a smooth curve of 100 eV/Å² fits its neighbours to 1e-7 eV.
    jump = float(irregular.max())
    assert jump <= 1e-6, f"a jump or kink of {jump:.1e} eV at {low:.4f} Å"


def isolated_atom_has_no_force(subject: Subject) -> None:
    """An isolated atom without a periodic cell has a finite energy, zero force and no stress."""
    prediction = subject.potential.predict(Atoms(subject.elements[0], positions=[[0.3, 0.2, 0.1]]))
    assert np.isfinite(prediction.energy), f"energy {prediction.energy}"
    close(prediction.forces, np.zeros((1, 3)), 1e-10, "force on an isolated atom")
    assert prediction.stress is None, "stress without a periodic cell"


def inputs_stay_untouched(subject: Subject) -> None:
    """Describing, preparing, fitting and predicting change neither structures nor global random state."""
    frames = copy.deepcopy(subject.frames)
    numpy_state, python_state = np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002
    if subject.cls.capabilities.describes:
        subject.descriptor.features(frames[0])
    if subject.cls.capabilities.fits:
        prepared = subject.fitter.prepare(frames)
        rng = np.random.default_rng(SEED)
        subject.fitter.fit(prepared, np.arange(8), weights={}, rng=rng).predict(frames[-1])
    for before, after in zip(subject.frames, frames, strict=True):
        same = before == after and before.arrays.keys() == after.arrays.keys() and before.info == after.info
        assert same, f"a structure was changed: arrays {sorted(after.arrays)}, info {sorted(after.info)}"
        assert energy_of(before) == energy_of(after), "an energy label was changed"
        assert np.array_equal(forces_of(before), forces_of(after)), "force labels were changed"
        assert np.array_equal(stress_of(before), stress_of(after)), "a stress label was changed"  # type: ignore[arg-type]
    after_numpy = np.random.get_state(legacy=False)  # noqa: NPY002
    assert str(numpy_state) == str(after_numpy), "numpy's global random state was changed"
    assert python_state == random.getstate(), "Python's global random state was changed"


def refit_forgets_earlier_data(subject: Subject) -> None:
    """A fit to B after a fit to A equals a fit to B by a new adapter."""
    subject.fit([0, 1, 2, 3, 4, 5, 6, 7])
    again = subject.fit([4, 5, 8, 9, 10, 11])
    fresh = Subject(subject.cls, subject.elements).fit([4, 5, 8, 9, 10, 11])
    _same(again.predict(subject.probe), fresh.predict(subject.probe), 1e-9, "refit")


def fit_sees_only_the_subset(subject: Subject) -> None:
    """Labels outside the subset do not change the fit."""
    other = Subject(subject.cls, subject.elements)
    other.frames = [
        atoms
        if index < 10
        else label(atoms, energy=energy_of(atoms) + 7, forces=-3 * forces_of(atoms), stress=None, group="lie")
        for index, atoms in enumerate(other.frames)
    ]
    probe = subject.probe
    _same(other.fit(range(10)).predict(probe), subject.fit(range(10)).predict(probe), 1e-9, "leak")


def subset_refit_is_exact(subject: Subject) -> None:
    """A refit from what was prepared for all frames equals a fit to the chosen frames alone."""
    if not subject.cls.capabilities.exact_subset_refit:
        raise NotClaimed("does not claim exact_subset_refit")
    chosen = [1, 3, 4, 7, 8, 10]
    alone = Subject(subject.cls, subject.elements)
    alone.frames = [subject.frames[index] for index in chosen]
    scratch = alone.fit(range(len(chosen)))
    _same(subject.fit(chosen).predict(subject.probe), scratch.predict(subject.probe), 1e-8, "exact refit")


def seeds_decide(subject: Subject) -> None:
    """The same seed gives the same parameters; another seed others, if the adapter claims it."""
    first, again = subject.fit(range(12), seed=1), subject.fit(range(12), seed=1)
    probe = subject.probe
    _same(first.predict(probe), again.predict(probe), 0.0, "same seed")
    other = subject.fit(range(12), seed=2).predict(probe)
    differs = other.energy != first.predict(probe).energy
    claimed = subject.cls.is_seeded(subject.fitter.options)
    assert differs <= claimed, "the seed changes the fit, but the adapter does not claim 'seeded'"


def prepared_predictions_agree(subject: Subject) -> None:
    """Prediction of prepared frames equals prediction of the structures."""
    indices = np.arange(10, 16)
    fast = subject.fitter.predict(subject.potential, subject.prepared, indices)
    slow = subject.potential.predict_many([bare(subject.frames[index]) for index in indices])
    close(fast.energies, slow.energies, 1e-7, "energies")
    close(fast.forces, slow.forces, 1e-6, "forces")
    close(fast.stresses, slow.stresses, 1e-6, "stresses")


def saved_potential_predicts_the_same(subject: Subject) -> None:
    """Saving and loading, and pickling into another process, keep the predictions."""
    probe = subject.probe
    expected = subject.potential.predict(probe)
    with tempfile.TemporaryDirectory() as folder:
        subject.potential.save(Path(folder))
        loaded = type(subject.potential).load(Path(folder))
    _same(loaded.predict(probe), expected, 1e-10, "saved and loaded")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        _same(pool.submit(subject.potential.predict, probe).result(), expected, 1e-10, "in another process")


def export_writes_native_files(subject: Subject) -> None:
    """Export writes at least one file that is not empty."""
    with tempfile.TemporaryDirectory() as folder:
        paths = subject.potential.export(Path(folder) / "new")
        assert paths, "nothing was written"
        for path in paths:
            assert path.stat().st_size > 0, f"{path.name} is empty"


def few_frames_fit_or_say_so(subject: Subject) -> None:
    """One to three frames give a finite model or raise `TooFewFrames`."""
    for count in (1, 2, 3):
        try:
            prediction = subject.fit(range(count)).predict(subject.probe)
        except TooFewFrames:
            continue
        assert np.isfinite(prediction.energy), f"{count} frames: energy {prediction.energy}"
        assert np.isfinite(prediction.forces).all(), f"{count} frames: forces are not finite"


def wrong_elements_are_refused(subject: Subject) -> None:
    """A structure with a foreign element is refused with a `DataError` that names it."""
    stranger = bare(subject.frames[0])
    stranger.symbols[0] = "Pt"
    actions: list[Callable[[Atoms], Any]] = []
    if subject.cls.capabilities.describes:
        actions.append(subject.descriptor.features)
    if subject.cls.capabilities.fits:
        actions += [subject.potential.predict, lambda atoms: subject.fitter.prepare([atoms])]
    for action in actions:
        _refused(functools.partial(action, stranger), "Pt")


def missing_labels_are_refused(subject: Subject) -> None:
    """Fitting structures without labels is refused with a `DataError` that says what is missing."""
    unlabelled = [bare(atoms) for atoms in subject.frames[:6]]

    def fit() -> None:
        prepared = subject.fitter.prepare(unlabelled)
        subject.fitter.fit(prepared, np.arange(6), weights={}, rng=np.random.default_rng(SEED))

    _refused(fit, "label")


def alloys_work(subject: Subject) -> None:
    """With two elements: forces and stress are derivatives, features tell the elements apart."""
    if not subject.cls.capabilities.multi_element:
        raise NotClaimed("handles one element only")
    alloy = Subject(subject.cls, ("Au", "Cu"))
    if subject.cls.capabilities.describes:
        one = alloy.descriptor.features(alloy.probe)
        swapped = alloy.probe
        swapped.symbols = ["Au" if symbol == "Cu" else "Cu" for symbol in swapped.symbols]
        assert not np.allclose(one, alloy.descriptor.features(swapped)), "features ignore the elements"
    if subject.cls.capabilities.fits:
        _check_forces(alloy.potential, alloy.probe)
        if subject.cls.capabilities.stress:
            _check_stress(alloy.potential, alloy.probe)


DESCRIPTOR_CHECKS: tuple[Callable[[Subject], None], ...] = (
    features_have_constant_length,
    features_are_invariant,
    features_ignore_the_choice_of_cell,
    features_of_a_batch_equal_single_ones,
)
FITTER_CHECKS: tuple[Callable[[Subject], None], ...] = (
    forces_are_minus_the_gradient,
    stress_is_the_strain_derivative,
    energies_are_extensive,
    predictions_turn_with_the_structure,
    energy_is_continuous,
    isolated_atom_has_no_force,
    refit_forgets_earlier_data,
    fit_sees_only_the_subset,
    subset_refit_is_exact,
    seeds_decide,
    prepared_predictions_agree,
    saved_potential_predicts_the_same,
    export_writes_native_files,
    few_frames_fit_or_say_so,
    missing_labels_are_refused,
)
CHECKS = (*DESCRIPTOR_CHECKS, *FITTER_CHECKS, inputs_stay_untouched, wrong_elements_are_refused, alloys_work)
"""All checks of the contract, in the order in which they are run."""


def run_check(check: Callable[[Subject], None], subject: Subject) -> CheckResult:
    """Run one check; a missing package is not a failure of the adapter and is raised."""
    try:
        check(subject)
    except NotClaimed as reason:
        return CheckResult(check.__name__, "skipped", str(reason))
    except MissingPackage:
        raise
    except AssertionError as error:
        return CheckResult(check.__name__, "failed", str(error))
    except Exception:
        return CheckResult(check.__name__, "failed", traceback.format_exc())
    return CheckResult(check.__name__, "passed")


def run_checks(cls: type[Adapter[Any]]) -> list[CheckResult]:
    """Run all checks on an adapter; raise `MissingPackage` if a package of its is missing."""
    subject = Subject(cls)
    return [run_check(check, subject) for check in CHECKS]


def _check_forces(potential: Potential, atoms: Atoms, step: float = 1e-4) -> None:
    forces = potential.predict(atoms).forces
    assert forces.shape == (len(atoms), 3), f"forces have shape {forces.shape}"
    numeric = np.empty((2, 3))
    for atom in range(2):
        for axis in range(3):
            energies = []
            for sign in (1, -1):
                moved = bare(atoms)
                moved.positions[atom, axis] += sign * step
                energies.append(potential.predict(moved).energy)
            numeric[atom, axis] = -(energies[0] - energies[1]) / (2 * step)
    # 1e-5: the differences are good to step² times the third derivative, about 1e-6 here.
    close(forces[:2], numeric, 1e-5, "forces against −dE/dx")


def _check_stress(potential: Potential, atoms: Atoms, step: float = 1e-4) -> None:
    stress = potential.predict(atoms).stress
    assert stress is not None, "no stress for a periodic cell"
    assert stress.shape == (6,), f"stress has shape {stress.shape}"
    numeric = np.empty(6)
    for index, (row, column) in enumerate(VOIGT):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[row, column] += sign * step / 2
            strain[column, row] += sign * step / 2
            deformed = bare(atoms)
            deformed.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            energies.append(potential.predict(deformed).energy)
        numeric[index] = (energies[0] - energies[1]) / (2 * step) / atoms.get_volume()
    # Stresses are about 0.1 eV/Å³, so 1e-6 absolute is 1e-5 of them.
    close(stress, numeric, 1e-6, "stress against dE/dε/V")


def _same(given: Prediction, expected: Prediction, tolerance: float, what: str) -> None:
    close(given.energy, expected.energy, tolerance, f"{what}: energy")
    close(given.forces, expected.forces, tolerance, f"{what}: forces")


def _refused(action: Callable[[], Any], word: str) -> None:
    message = ""
    try:
        action()
    except DataError as error:
        message = str(error)
    assert message, "a broken input was accepted"
    assert word in message, f"the message does not name {word!r}: {message}"
