"""The checks themselves: each planted violation of the contract must be found."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from crossprune.adapters.mean import Mean, MeanPotential
from crossprune.harness.checks import (
    CHECKS,
    Subject,
    features,
    fits,
    motion,
    predictions,
    run_check,
    run_checks,
)
from crossprune.harness.contract import Capabilities, Fitter, Prediction, Prepared
from crossprune.harness.evaluation.motion.dynamics import AseDynamics


class PairPotential(MeanPotential):
    """A smooth pair energy on top of the mean; subclasses break it in one way each."""

    force_factor = 1.0
    stress_factor = 1.0
    jump = 0.0
    cutoff = 4.0

    def predict(self, atoms):
        from ase.neighborlist import neighbor_list

        i, d, vectors = neighbor_list("idD", atoms, self.cutoff)
        x = 1 - d / self.cutoff
        energy = super().predict(atoms).energy + 0.5 * (x**3 + self.jump).sum()
        # dE/dr of both halves of a pair: -3 x² / cutoff.
        pull = (-3 * x**2 / self.cutoff / d)[:, None] * vectors
        forces = np.zeros((len(atoms), 3))
        np.add.at(forces, i, pull)
        stress = None
        if atoms.cell.rank == 3 and all(atoms.pbc):
            tensor = 0.5 * (pull.T @ vectors) / atoms.get_volume()
            stress = tensor[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] * self.stress_factor
        return Prediction(energy, forces * self.force_factor, stress)


def adapter(potential=PairPotential, base=Mean, **attributes):
    class Planted(base):
        potential_type = potential
        predict = Fitter.predict  # by the potential, whose faults are looked for

        def fit(self, prepared, subset, *, weights, rng):
            return potential(super().fit(prepared, subset, weights=weights, rng=rng).energies)

    for name, value in attributes.items():
        setattr(Planted, name, value)
    return Planted


def outcome(check, cls):
    return run_check(check, Subject(cls))


# The planted potentials cannot be pickled, and see distances that the features of `Mean` do not.
LOCAL = [
    check
    for check in CHECKS
    if check not in (fits.saved_potential_predicts_the_same, features.features_tell_apart_what_the_model_does)
]


@pytest.mark.parametrize("check", LOCAL, ids=lambda check: check.__name__)
def test_a_sound_adapter_passes(check):
    assert outcome(check, adapter()).outcome in ("passed", "skipped")


def variant(**attributes):
    return type("Variant", (PairPotential,), attributes)


class Moves(PairPotential):
    """Has dynamics of its own."""

    def dynamics(self, atoms, *, timestep, thermostat):
        return AseDynamics(atoms, self.calculator(), timestep=timestep, thermostat=thermostat)


class StaysCold(Moves):
    def dynamics(self, atoms, *, timestep, thermostat):
        return super().dynamics(
            atoms, timestep=timestep, thermostat=dataclasses.replace(thermostat, ramp_steps=0)
        )


class HeatsInEveryCall(Moves):
    def dynamics(self, atoms, *, timestep, thermostat):
        class Again(AseDynamics):
            def advance(self, n_steps):
                self._thermostat, self._done = dataclasses.replace(thermostat, ramp_steps=n_steps), 0
                return super().advance(n_steps)

        return Again(atoms, self.calculator(), timestep=timestep, thermostat=thermostat)


class ShowsTheBath(Moves):
    def dynamics(self, atoms, *, timestep, thermostat):
        class Noisy(AseDynamics):
            def advance(self, n_steps):
                state = super().advance(n_steps)
                return dataclasses.replace(state, forces=state.forces + 0.1)

        return Noisy(atoms, self.calculator(), timestep=timestep, thermostat=thermostat)


class Remembers(Mean):
    def fit(self, prepared, subset, *, weights, rng):
        self.seen = getattr(self, "seen", set()) | set(subset.tolist())
        everything = np.array(sorted(self.seen))
        return super().fit(prepared, everything, weights=weights, rng=rng)


class Peeks(Mean):
    def fit(self, prepared, subset, *, weights, rng):
        return super().fit(prepared, np.arange(len(prepared.frames)), weights=weights, rng=rng)


class Centred(Mean):
    """Prepares a statistic over all frames: what is fitted depends on structures that nobody chose."""

    def prepare(self, frames, *, workspace=None):
        prepared = super().prepare(frames, workspace=workspace)
        volumes = [atoms.get_volume() for atoms in frames]
        return Prepared(
            frames, {**prepared.arrays, "energies": prepared.arrays["energies"] - np.mean(volumes)}
        )


class Draws(Mean):
    def fit(self, prepared, subset, *, weights, rng):
        fitted = super().fit(prepared, subset, weights=weights, rng=rng)
        return MeanPotential({key: value + rng.normal() for key, value in fitted.energies.items()})


class Scribbles(Mean):
    def features(self, atoms):
        atoms.info["scribble"] = 1
        return super().features(atoms)


class GlobalRandom(Mean):
    def features(self, atoms):
        np.random.normal()  # noqa: NPY002
        return super().features(atoms)


class Leans(Mean):
    def features(self, atoms):
        return np.column_stack([super().features(atoms), atoms.positions[:, :1]])


class Ragged(Mean):
    def features(self, atoms):
        return np.pad(super().features(atoms), ((0, 0), (0, len(atoms))))


class Blind(Mean):
    def features(self, atoms):
        return np.full((len(atoms), 2), len(atoms) / atoms.get_volume())


@pytest.mark.parametrize(
    ("check", "cls", "message"),
    [
        (predictions.forces_are_minus_the_gradient, adapter(variant(force_factor=-1.0)), "forces against"),
        (predictions.stress_is_the_strain_derivative, adapter(variant(stress_factor=-1.0)), "stress against"),
        (
            predictions.stress_is_the_strain_derivative,
            adapter(variant(stress_factor=np.array([1, 1, 1, 1, 1, 0.5]))),
            "stress against",
        ),
        (predictions.energy_is_continuous, adapter(variant(jump=1e-4)), "a jump"),
        (motion.own_dynamics_follow_the_thermostat, adapter(StaysCold), "in the second half of a ramp"),
        (motion.own_dynamics_follow_the_thermostat, adapter(HeatsInEveryCall), "after a tenth of a ramp"),
        (motion.own_dynamics_follow_the_thermostat, adapter(ShowsTheBath), "forces in dynamics"),
        (fits.refit_forgets_earlier_data, adapter(base=Remembers), "refit: energy"),
        (fits.fit_sees_only_the_subset, adapter(base=Peeks), "leak: energy"),
        (fits.fit_sees_only_the_subset, adapter(base=Centred), "leak: energy"),
        (fits.subset_refit_is_exact, adapter(base=Peeks), "exact refit: energy"),
        (fits.seeds_decide, adapter(MeanPotential, base=Draws), "does not claim 'seeded'"),
        (fits.inputs_stay_untouched, Scribbles, "a structure was changed"),
        (fits.inputs_stay_untouched, GlobalRandom, "numpy's global random state"),
        (features.features_are_invariant, Leans, "translation"),
        (features.features_have_constant_length, Ragged, "lengths differ"),
        (fits.alloys_work, Blind, "ignore the elements"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_planted_violations_are_found(check, cls, message):
    result = outcome(check, cls)
    assert result.outcome == "failed"
    assert message in result.detail


def test_dynamics_of_ones_own_pass_and_none_is_skipped():
    assert outcome(motion.own_dynamics_follow_the_thermostat, adapter(Moves)).outcome == "passed"
    assert outcome(motion.own_dynamics_follow_the_thermostat, adapter()).outcome == "skipped"


def test_what_is_not_claimed_is_skipped_with_the_reason():
    modest = dataclasses.replace(Capabilities(), exact_subset_refit=False, describes=False)
    cls = adapter(capabilities=modest)
    assert outcome(fits.subset_refit_is_exact, cls).detail == "does not claim exact_subset_refit"
    assert outcome(features.features_are_invariant, cls).outcome == "skipped"


def test_an_adapter_that_raises_fails_every_check_but_no_more():
    from crossprune.adapters.broken import Broken

    results = run_checks(Broken)
    assert len(results) == len(CHECKS)
    assert {one.outcome for one in results} <= {"failed", "skipped"}
    assert any("always raises" in one.detail for one in results)
