"""Weights from anywhere run nothing, workers that die are said, MACE runs in an environment of its own."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from crossprune.adapters.universal import (
    Universal,
    UniversalOptions,
    UniversalPotential,
    link,
    read_potential,
)
from crossprune.adapters.universal.link import link_to
from crossprune.adapters.universal.places import ENVIRONMENTS, TRUSTED, place_of, python_of, weights_of
from crossprune.harness.errors import CellCrash, DataError, StudyError

EVIL = """
import pickle, sys, torch
class Evil:
    def __reduce__(self):
        return (open, (sys.argv[2], "w"))
torch.save({"state_dict": Evil(), "model_args": {}, "config": Evil()}, sys.argv[1])
"""
POINTERS = """
import sys, numpy, torch
class Kind:
    def __reduce__(self):
        return (numpy.dtype, ("O",))
class Array:
    def __reduce__(self):
        return (numpy.ndarray, ((4,), Kind(), b"A" * 32))
torch.save({"config": {"x": Array()}, "model_state_dict": {}}, sys.argv[1])
"""
AGAIN = """
import sys, torch
torch.save(torch.load(sys.argv[1], map_location="cpu", weights_only=False), sys.argv[2])
"""
STRANGE = """
import sys, torch
torch.save({"model": {"@class": "Popen", "@module": "subprocess",
                      "init_args": {"args": ["touch", sys.argv[2]]}}}, sys.argv[1])
"""
TINY = """
import sys, numpy, torch
torch.serialization.add_safe_globals([slice])
import mace
from e3nn import o3
from mace import modules
torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
blocks = modules.interaction_classes
torch.save(modules.ScaleShiftMACE(
    r_max=4.0, num_bessel=4, num_polynomial_cutoff=5, max_ell=2, num_interactions=2, num_elements=2,
    interaction_cls=blocks["RealAgnosticResidualInteractionBlock"],
    interaction_cls_first=blocks["RealAgnosticInteractionBlock"],
    hidden_irreps=o3.Irreps("8x0e+8x1o"), MLP_irreps=o3.Irreps("4x0e"), gate=torch.nn.functional.silu,
    atomic_energies=numpy.array([-1.0, -2.0]), avg_num_neighbors=8, atomic_numbers=[14, 29], correlation=2,
    atomic_inter_scale=1.0, atomic_inter_shift=0.0), sys.argv[1])
"""


def run(environment, code, *arguments):
    subprocess.run(
        [python_of(environment), "-c", code, *map(str, arguments)],
        check=True,
        capture_output=True,
        timeout=200,
    )


@pytest.mark.parametrize("package", ["chgnet", "sevenn", "diep", "matgl"])
def test_weights_from_elsewhere_run_nothing(package, tmp_path, require_adapter):
    require_adapter("universal")
    canary, folder = tmp_path / "canary", tmp_path / "weights"
    folder.mkdir()
    names = ("model.pt", "state.pt") if package in ("diep", "matgl") else ("weights.pth",)
    for name in names:
        run("", EVIL, folder / name, canary)
    canary.unlink(missing_ok=True)
    path = folder if len(names) > 1 else folder / names[0]
    with pytest.raises(StudyError, match=r"cannot load.*[Ww]eights"):
        read_potential(f"{package}:{path}")
    assert not canary.exists()


def test_arrays_of_pointers_are_not_read(tmp_path, require_adapter):
    require_adapter("universal")
    run("", POINTERS, tmp_path / "weights.pth")
    with pytest.raises(StudyError, match="arrays of kind 'O' are not read"):
        read_potential(f"sevenn:{tmp_path / 'weights.pth'}")


def test_weights_saved_by_a_newer_numpy_are_read(tmp_path, require_adapter):
    require_adapter("universal")
    source = weights_of(UniversalOptions(model="sevenn:7net-0"))
    run("", AGAIN, source, tmp_path / "weights.pth")
    again = read_potential(f"sevenn:{tmp_path / 'weights.pth'}").predict(bulk("Si"))
    assert again.energy == read_potential("sevenn:7net-0").predict(bulk("Si")).energy


def test_the_working_directory_is_not_imported(tmp_path, require_adapter, monkeypatch):
    require_adapter("universal")
    for name in ("ctypes", "torch", "chgnet", "types"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'canary')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    while link._LINKS:  # a worker that runs has imported already
        next(iter(link._LINKS.values())).close()
    assert Universal(["Si"], UniversalOptions()).features(bulk("Si")).shape == (2, 64)
    assert not (tmp_path / "canary").exists()


def test_weights_that_change_under_a_worker_are_refused(tmp_path, require_adapter):
    """A file of the same size and time, too: the worker looks at what it reads."""
    require_adapter("universal")
    file = Path(shutil.copy(weights_of(UniversalOptions(model="chgnet:0.3.0")), tmp_path / "weights.tar"))
    options = UniversalOptions(model=f"chgnet:{file}")
    place, stamp = place_of(options), file.stat()
    other = weights_of(UniversalOptions(model="chgnet:0.2.0")).read_bytes()
    file.write_bytes(other[: stamp.st_size].ljust(stamp.st_size, b"\0"))
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    with pytest.raises(StudyError, match="the file has changed since"):
        link_to(place)
    with pytest.raises(StudyError, match="the file has changed since"):
        Universal(["Si"], options).features(bulk("Si"))


def test_an_interrupted_question_leaves_no_answer_behind(require_adapter):
    require_adapter("universal")
    potential = read_potential("chgnet:0.3.0")
    small, big = bulk("Si"), bulk("Si", cubic=True).repeat(3)
    big.rattle(0.1)
    expected = potential.predict(small).energy

    def interrupt(*ignored):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            potential.predict(big)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert potential.predict(small).energy == pytest.approx(expected, rel=1e-6)


def test_workers_outlive_the_thread_that_started_them(require_adapter):
    require_adapter("universal")
    potential = read_potential("chgnet:0.2.0")
    found = []
    thread = threading.Thread(target=lambda: found.append(potential.predict(bulk("Si")).energy))
    thread.start()
    thread.join()
    time.sleep(1.5)
    assert potential.predict(bulk("Si")).energy == found[0]


@pytest.mark.parametrize("name", ["do", "self", "plain", "number"])
def test_parameters_may_not_have_any_name(name, tmp_path, require_adapter):
    require_adapter("universal")
    options = UniversalOptions(model="chgnet:0.3.0", head="finetune")
    saved = UniversalPotential(["Si"], options, place_of(options), np.ones(1), np.zeros(1))
    saved.parameters = {name: np.ones(3)}
    saved.save(tmp_path)
    with pytest.raises(CellCrash, match=f"no parameter '{name}'"):
        UniversalPotential.load(tmp_path).predict(bulk("Si"))


@pytest.mark.parametrize("package", ["diep", "matgl"])
def test_classes_that_are_no_models_are_not_called(package, tmp_path, require_adapter):
    require_adapter("universal")
    canary = tmp_path / "canary"
    run("", STRANGE, tmp_path / "model.pt", canary)
    shutil.copy(tmp_path / "model.pt", tmp_path / "state.pt")
    with pytest.raises(StudyError, match="is no model of this package"):
        read_potential(f"{package}:{tmp_path}")
    assert not canary.exists()


def test_a_worker_that_dies_is_a_crash_and_the_next_question_starts_another(require_adapter):
    require_adapter("universal")
    adapter = Universal(["Si"], UniversalOptions())
    atoms = bulk("Si")
    expected = adapter.features(atoms)
    process = link_to(place_of(adapter.options))._process
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with pytest.raises(CellCrash, match="worker of chgnet ended"):
        adapter.features(atoms)
    assert np.array_equal(adapter.features(atoms), expected)


def test_what_a_model_does_not_know_is_said(require_adapter):
    require_adapter("universal")
    with pytest.raises(DataError, match=r"chgnet:0\.3\.0 knows 94 elements, and not Cm"):
        Universal(["Cm"], UniversalOptions()).features(bulk("Cm", "fcc", 4.9))
    with pytest.raises(StudyError, match="several levels of theory"):
        read_potential("sevenn:7net-mf-0")
    with pytest.raises(StudyError, match="none; leave it out"):
        read_potential("sevenn:7net-0,modal=PBE")
    with pytest.raises(StudyError, match="none; leave it out"):
        read_potential("chgnet:0.3.0,modal=R2SCAN")
    with pytest.raises(StudyError, match=r"several levels of theory: .*, not 'PBEE'"):
        read_potential("sevenn:7net-mf-0,modal=PBEE")
    with pytest.raises(StudyError, match="after a comma stands modal=…, environment=… or device=…"):
        read_potential("chgnet:0.3.0,head=scale")
    with pytest.raises(StudyError, match="no weights there"):
        read_potential("chgnet:./no,such.tar")
    with pytest.raises(StudyError, match="no graphics card"):
        read_potential("chgnet:0.3.0,device=cuda")


def test_a_saved_potential_belongs_to_its_weights(tmp_path, require_adapter):
    require_adapter("universal")
    source = weights_of(UniversalOptions(model="chgnet:0.3.0"))
    file = Path(shutil.copy(source, tmp_path / "weights.tar"))
    options = UniversalOptions(model=f"chgnet:{file}")
    UniversalPotential(["Si"], options, place_of(options), np.ones(1), np.zeros(1)).save(tmp_path / "saved")
    assert UniversalPotential.load(tmp_path / "saved").predict(bulk("Si")).energy < 0
    shutil.copy(weights_of(UniversalOptions(model="chgnet:0.2.0")), file)
    with pytest.raises(DataError, match="was fitted on the weights"):
        UniversalPotential.load(tmp_path / "saved")


@pytest.fixture
def tiny(tmp_path, other_environment, monkeypatch):
    """Return options of a MACE of random parameters, in an environment of its own."""
    name = other_environment("mace", "mace")
    run(name, TINY, tmp_path / "tiny.model")
    digest = hashlib.sha256((tmp_path / "tiny.model").read_bytes()).hexdigest()
    monkeypatch.setenv(TRUSTED, digest)
    return UniversalOptions(model=f"mace:{tmp_path / 'tiny.model'}", environment=name)


def test_mace_in_an_environment_of_its_own(tiny, crystal):
    atoms, step = crystal("Si"), 1e-3
    potential = UniversalPotential(["Si"], tiny, place_of(tiny), np.ones(1), np.zeros(1))
    found = potential.predict(atoms)
    moved = [atoms.copy(), atoms.copy()]
    for one, sign in zip(moved, (1, -1), strict=True):
        one.positions[2, 0] += sign * step
    energies = potential.predict_many(moved).energies
    assert found.forces[2, 0] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), abs=1e-7)
    strained = [atoms.copy(), atoms.copy()]
    for one, sign in zip(strained, (1, -1), strict=True):
        strain = np.eye(3)
        strain[0, 1] = strain[1, 0] = sign * step / 2
        one.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    energies = potential.predict_many(strained).energies
    slope = (energies[0] - energies[1]) / (2 * step) / atoms.get_volume()
    assert found.stress is not None
    assert found.stress[5] == pytest.approx(slope, abs=1e-8)
    adapter = Universal(["Si"], tiny)
    features = adapter.features(atoms)
    assert features.shape == (8, 16)
    turned = atoms.copy()
    turned.rotate(40, (1, 2, 3), rotate_cell=True)
    np.testing.assert_allclose(adapter.features(turned), features, atol=1e-9)
    rows = Universal(
        ["Si"], UniversalOptions(model=tiny.model, environment=tiny.environment, head="linear")
    ).rows(atoms)
    assert rows.energy[:-1] == pytest.approx(features.sum(axis=0))


def test_published_models_of_mace_are_fetched_by_name(other_environment, monkeypatch, tmp_path):
    name = other_environment("mace", "mace")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(StudyError, match=r"cannot fetch it by that name .*published are small"):
        read_potential(f"mace:no-such-model,environment={name}")
    assert ENVIRONMENTS in os.environ
