"""How a fitter must behave: it sees its subset only, repeats itself, and says what it cannot do."""

from __future__ import annotations

import copy
import functools
import multiprocessing
import random
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from crossprune.harness.checks.predictions import check_forces, check_stress
from crossprune.harness.checks.subject import (
    SEED,
    NotClaimed,
    Subject,
    bare,
    close,
)
from crossprune.harness.contract import (
    Prediction,
)
from crossprune.harness.data.frames import energy_of, forces_of, label, stress_of
from crossprune.harness.errors import DataError, TooFewFrames


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
    """Labels and structures outside the subset do not change the fit: test frames are prepared as well."""
    other, probe = Subject(subject.cls, subject.elements), subject.probe
    for index, atoms in enumerate(other.frames[10:], start=10):
        wider = bare(atoms)
        wider.set_cell(1.04 * atoms.cell.array, scale_atoms=True)
        energy, forces = energy_of(atoms) + 7, -3 * forces_of(atoms)
        other.frames[index] = label(wider, energy=energy, forces=forces, stress=None, group="lie")
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
    close(fast.energies, slow.energies, subject.within(1e-7), "energies")
    close(fast.forces, slow.forces, subject.within(1e-6), "forces")
    close(fast.stresses, slow.stresses, subject.within(1e-6), "stresses")


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
        n_swapped = len(swapped) if alloy.descriptor.level == "atoms" else 1  # halves would stay halves
        for index in range(n_swapped):
            swapped.symbols[index] = "Au" if swapped.symbols[index] == "Cu" else "Cu"
        assert not np.allclose(one, alloy.descriptor.features(swapped)), "features ignore the elements"
    if subject.cls.capabilities.fits:
        check_forces(alloy.potential, alloy.probe, single=alloy.single)
        if subject.cls.capabilities.stress:
            check_stress(alloy.potential, alloy.probe, single=alloy.single)


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
