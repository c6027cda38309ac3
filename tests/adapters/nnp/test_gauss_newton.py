"""Gauss-Newton training: residuals and their derivatives, directions, and what they add up to."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from crossprune.harness.checks.subject import bare, sample_frames
from crossprune.harness.contract import GroupWeight
from crossprune.harness.data.frames import energy_of, forces_of, group_of, stress_of

pytest.importorskip("numba", reason="needs numba: pip install 'crossprune[nnp]'")

from crossprune.adapters.nnp import Nnp, NnpOptions, curvature, training
from crossprune.adapters.nnp.data import training_set
from crossprune.adapters.nnp.model import Model
from crossprune.adapters.nnp.potential import NnpPotential
from crossprune.adapters.nnp.residuals import Residuals

OPTIONS = NnpOptions(
    cutoff=4.2,
    n_radial=3,
    angular_sharpness=(1.0,),
    zetas=(1.0,),
    hidden=(4, 3),
    whitening=1e-2,
    precision="float64",
    stress_weight=30.0,
)
ELEMENTS = ["Au", "Cu"]


def problem(options, weights=None, n_frames=5):
    """Residuals, model, whitenings, offsets and frames of a small alloy."""
    frames = sample_frames(ELEMENTS, n_frames)
    adapter = Nnp(ELEMENTS, options)
    base, rng = np.array([-0.3, 0.2]), np.random.default_rng(1)
    data, whitenings = training_set(
        adapter.functions, options, adapter.prepare(frames), np.arange(n_frames), weights or {}, base, rng
    )
    model = Model(
        2,
        data.inputs.shape[1],
        hidden=options.hidden,
        activation=options.activation,
        dtype=data.inputs.dtype,
        rng=np.random.default_rng(2),
    )
    model.weights = model.weights + np.random.default_rng(3).normal(0, 0.1, model.weights.shape)
    residuals = Residuals(
        data, model, taylor_weight=options.taylor_weight, spatial_weight=options.spatial_weight, rng=rng
    )
    residuals.match_scale(np.arange(n_frames))
    return residuals, model, whitenings, base, frames, adapter


@pytest.mark.parametrize("activation", ["tanh", "softplus"])
@pytest.mark.parametrize("hidden", [(4, 3), (5,)])
def test_derivatives_by_weights_are_those_of_central_differences(activation, hidden):
    """Energies, forces, stresses and both weakly supervised terms, of two elements."""
    options = dataclasses.replace(
        OPTIONS,
        activation=activation,
        hidden=hidden,
        taylor_weight=1.2,
        spatial_weight=0.5,
        displacement=0.3,
        n_displacements=1,
    )
    residuals, model, *_ = problem(options)
    frames, atoms = np.array([3, 0, 1]), np.array([0, 2, 3, 9])
    _, derivatives = residuals.linearise(frames, atoms)
    start, h = model.weights.copy(), 1e-5
    numeric = np.empty_like(derivatives)
    for column, place in enumerate(np.ndindex(start.shape)):
        ends = []
        for sign in (1, -1):
            model.weights = start.copy()
            model.weights[place] += sign * h
            ends.append(residuals.linearise(frames, atoms)[0])
        numeric[:, column] = (ends[0] - ends[1]) / (2 * h)
    assert len(derivatives) == 3 + 3 * 4 + 6 * 3 + 3 + 3
    np.testing.assert_allclose(derivatives, numeric, atol=2e-8 * np.abs(numeric).max())


def test_squares_of_residuals_add_up_to_the_loss_of_the_potential():
    """The definition, from what the saved potential predicts: groups' weights and stress included."""
    weights = {"a": GroupWeight(energy=2.0, forces=0.5, stress=3.0)}
    frames = sample_frames(ELEMENTS, 5)
    weights = {group_of(frames[0]): weights["a"]}
    residuals, model, whitenings, base, frames, adapter = problem(OPTIONS, weights)
    every = np.arange(5)
    found, _ = residuals.linearise(every, np.arange(sum(map(len, frames))))
    potential = NnpPotential(
        adapter.functions, [model.networks(whitenings, [True, True])], dict(zip(ELEMENTS, base, strict=True))
    )

    def loss(predictions):
        energies, forces, stresses = [], [], []
        for atoms, (energy, force, stress) in zip(frames, predictions, strict=True):
            weight = weights.get(group_of(atoms), GroupWeight())
            energies.append(weight.energy * 10.0 * (energy - energy_of(atoms)) / len(atoms))
            forces.append(weight.forces * (force - forces_of(atoms)).ravel())
            stresses.append(weight.stress * 30.0 * (stress - stress_of(atoms)))
        return sum(
            np.mean(np.concatenate([np.ravel(x) for x in y]) ** 2) for y in (energies, forces, stresses)
        )

    predicted = [potential.predict(bare(atoms)) for atoms in frames]
    offsets = dict(zip(ELEMENTS, base, strict=True))
    nothing = [
        (sum(offsets[one] for one in atoms.symbols), np.zeros((len(atoms), 3)), np.zeros(6))
        for atoms in frames
    ]
    expected = loss([(p.energy, p.forces, p.stress) for p in predicted]) / loss(nothing)
    assert (found**2).sum() == pytest.approx(expected, rel=1e-9)
    assert residuals.loss(every) == pytest.approx(expected, rel=1e-9)


@pytest.fixture
def linear():
    """Rows and right-hand sides of a linear problem that no weights solve exactly."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 7)) @ np.diag(np.logspace(0, -2, 7))
    return rows, rows @ rng.normal(size=7) + rng.normal(0, 0.1, 60)


def test_shrinking_steps_on_a_linear_problem_are_recursive_least_squares(linear):
    rows, right = linear
    dense, theta = curvature.Dense(7, rows.dtype), np.zeros(7)
    for step, part in enumerate(np.split(np.arange(60), 3)):
        share = 1 / (step + 1)
        direction = dense.direction(
            rows[part], rows[part] @ theta - right[part], theta, share=share, damping=1e-14, decay=0.0
        )
        theta = theta - share * direction
    np.testing.assert_allclose(theta, np.linalg.lstsq(rows, right, rcond=None)[0], rtol=1e-7)


@pytest.mark.parametrize("kind", [curvature.Dense, curvature.Rows])
def test_a_first_step_minimises_the_damped_loss_with_its_penalty(kind, linear):
    """min |J (θ − d) − y|² + μ |d|² + γ |θ − d|², the last to first order in γ."""
    rows, right = linear
    theta, decay, damping = np.random.default_rng(1).normal(size=7), 1e-7, 1e-3
    direction = kind(7, rows.dtype).direction(
        rows, rows @ theta - right, theta, share=1.0, damping=damping, decay=decay
    )
    matrix = rows.T @ rows
    mu = damping * np.trace(matrix) / 7
    if kind is curvature.Rows:
        mu = curvature.ALONE * damping * np.trace(rows @ rows.T) / 60
    expected = np.linalg.solve(
        matrix + (mu + decay) * np.eye(7), rows.T @ (rows @ theta - right) + decay * theta
    )
    np.testing.assert_allclose(direction, expected, rtol=1e-4)


def test_damping_grows_where_rounding_makes_a_matrix_indefinite():
    rows = np.repeat(np.random.default_rng(0).normal(size=(40, 1)), 30, axis=1).astype(np.float32)
    direction = curvature.Dense(30, rows.dtype).direction(
        rows, rows[:, 0], np.zeros(30), share=1.0, damping=1e-12, decay=0.0
    )
    np.testing.assert_allclose(rows @ direction, rows[:, 0], rtol=1e-2)


def test_many_weights_learn_without_a_matrix(monkeypatch):
    """The way of large networks reaches the loss of the matrix's within a factor."""
    frames = sample_frames(["Cu"], 24)
    options = dataclasses.replace(OPTIONS, hidden=(8, 8), stress_weight=0.0, steps=150)
    adapter = Nnp(["Cu"], options)
    prepared = adapter.prepare(frames)

    def loss():
        rng = np.random.default_rng(0)
        return adapter.fit(prepared, np.arange(24), weights={}, rng=rng).info["training_loss"]

    matrix = loss()
    monkeypatch.setattr(training, "DENSE", 10)
    assert matrix < 0.05
    assert loss() < 5 * matrix + 0.02


def test_steps_follow_the_size_of_the_subset():
    frames = sample_frames(["Cu"], 40)
    adapter = Nnp(["Cu"], dataclasses.replace(OPTIONS, stress_weight=0.0))
    prepared = adapter.prepare(frames)
    steps = [
        adapter.fit(prepared, np.arange(n), weights={}, rng=np.random.default_rng(0)).info["steps"]
        for n in (2, 10, 40)
    ]
    n_atoms = sum(map(len, frames[:36]))  # a tenth is for validation
    assert steps[0] == training.LEAST
    assert steps[0] <= steps[1] < steps[2]
    assert steps[2] == pytest.approx(100 * (n_atoms / 10_000) ** 0.25, abs=3)


def test_frames_are_dealt_out_before_any_comes_again():
    deck = training._Deck(np.arange(7), np.random.default_rng(0))
    drawn = [deck.draw(3) for _ in range(7)]
    assert all(len(set(hand)) == 3 for hand in drawn)
    counts = np.bincount(np.concatenate(drawn), minlength=7)
    assert counts.tolist() == [3] * 7
