"""Refits from blocks give what QR on the rows gives, or are left to it."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from crossprune.adapters import FAMILIES
from crossprune.adapters.linear.blocks import WeightedRows, block_of, has_block, solve_blocks
from crossprune.adapters.linear.fitter import LinearFitter, weighted_rows
from crossprune.adapters.linear.least_squares import solve
from crossprune.harness.checks.subject import sample_frames
from crossprune.harness.contract import GroupWeight, Prepared
from crossprune.harness.data.cards import DataOptions, load_dataset
from crossprune.harness.errors import DataError, MissingPackage
from crossprune.harness.lookup import adapter_class, resolve

ENERGY, FORCES = 1e-9, 1e-8
"""eV/atom and eV/Å: a thousandth of a millionth of what errors are quoted in; see docs/speed.md."""


def is_linear(name: str) -> bool:
    """Say whether a family is linear; True if it cannot be imported: the test asks for its packages first."""
    try:
        return issubclass(adapter_class(name), LinearFitter)
    except MissingPackage:
        return True


LINEAR = [family.name for family in FAMILIES if is_linear(family.name)]


def made_up(condition: float, n_columns=12, n_frames=30, seed=0) -> WeightedRows:
    """Rows of random frames whose design, scaled, has about this condition number."""
    rng = np.random.default_rng(seed)
    mixing = np.linalg.qr(rng.normal(size=(n_columns, n_columns)))[0]
    mixing = (
        mixing * np.geomspace(1, 1 / condition, n_columns) @ mixing.T * np.geomspace(1e-3, 1e3, n_columns)
    )
    forces = [rng.normal(size=(3 * size, n_columns)) @ mixing for size in rng.integers(4, 9, n_frames)]
    energy = np.hstack([rng.normal(size=(n_frames, n_columns)) @ mixing, np.ones((n_frames, 1))])
    truth = np.linalg.solve(mixing, rng.normal(size=n_columns))
    return WeightedRows(
        dense=10 * energy,
        dense_target=10 * energy @ np.append(truth, -3.0) + rng.normal(size=n_frames),
        n_offsets=1,
        forces=forces,
        force_labels=[rows @ truth + 0.1 * rng.normal(size=len(rows)) for rows in forces],
        force_weights=rng.uniform(0.5, 2.0, n_frames),
        blocks=[block_of(rows) for rows in forces],
    )


@pytest.mark.parametrize("ridge", [0.0, 1e-8, 1e-3])
@pytest.mark.parametrize("condition", [1e1, 1e4, 1e6])
def test_blocks_equal_qr(condition, ridge):
    rows = made_up(condition)
    strengths = np.full(12, ridge)
    found, (design, target) = solve_blocks(rows, strengths), rows.stacked()
    assert found is not None
    exact = solve(design, target, 1, strengths)
    difference = design @ np.concatenate(
        [found.coefficients - exact.coefficients, found.offsets - exact.offsets]
    )
    # Both are good to eps · κ of the target; the normal equations alone would lose eps · κ².
    assert np.linalg.norm(difference) <= 1e-15 * max(condition, 1e3) * np.linalg.norm(target)
    assert found.condition_number == pytest.approx(exact.condition_number, rel=1e-6)


def test_the_condition_number_keeps_digits_that_products_lose():
    rows = made_up(3e6)
    gram = rows.gram()
    gram = np.tril(gram) + np.tril(gram, -1).T
    norms = np.sqrt(np.diag(gram))
    values = np.linalg.eigvalsh(gram / np.outer(norms, norms))
    exact = solve(*rows.stacked(), 1, 0.0).condition_number
    found = solve_blocks(rows, np.full(12, 1e-8))
    assert found is not None
    assert abs(np.sqrt(values[-1] / values[0]) / exact - 1) > 1e-6
    assert found.condition_number == pytest.approx(exact, rel=1e-8)


@pytest.mark.parametrize("ridge", [0.0, 1e-8])
def test_too_ill_conditioned_designs_are_left_to_qr(ridge):
    rows = made_up(1e10)
    assert solve(*rows.stacked(), 1, ridge).condition_number > 1e8
    assert solve_blocks(rows, np.full(12, ridge)) is None
    few = replace(
        rows, dense=rows.dense[:2], dense_target=rows.dense_target[:2], forces=[], force_labels=[], blocks=[],
        force_weights=np.empty(0),
    )  # fmt: skip
    assert solve_blocks(few, np.full(12, ridge)) is None


def test_frames_without_a_block_use_their_rows():
    rows = made_up(1e3)
    mixed = replace(rows, blocks=[None if k % 3 else block for k, block in enumerate(rows.blocks)])
    np.testing.assert_allclose(np.tril(mixed.gram()), np.tril(rows.gram()), rtol=1e-12, atol=1e-12)
    design, _ = rows.stacked()
    np.testing.assert_allclose(np.tril(rows.gram()), np.tril(design.T @ design), rtol=1e-10, atol=1e-10)


def test_nan_is_refused():
    rows = made_up(1e3)
    spoilt = [np.full_like(labels, np.nan) for labels in rows.force_labels]
    with pytest.raises(DataError, match="not finite"):
        solve_blocks(replace(rows, force_labels=spoilt), np.zeros(12))
    with pytest.raises(DataError, match="not finite"):
        solve_blocks(replace(rows, dense=np.where(rows.dense > 5, np.inf, rows.dense)), np.zeros(12))


def test_blocks_are_stored_where_they_are_not_much_larger_than_the_rows():
    assert has_block(8, 55)
    assert has_block(54, 495)  # quadratic SNAP, 2J 6, in the 54-atom cells of mlearn-Mo
    assert not has_block(8, 465)
    assert not has_block(1, 30)


def refit(name, options, dataset, subset, weights=None):
    """Return fitter, prepared data, the potential fitted from blocks and QR's solution."""
    spec = resolve("model", {"model": {"adapter": name, **options}})
    fitter = spec.make(dataset.elements, dataset.isolated_atom_energies)
    prepared = fitter.prepare(dataset.frames)
    weights = weights or {}
    potential = fitter.fit(prepared, subset, weights=weights, rng=np.random.default_rng(0))
    exact = by_rows(fitter).fit(prepared, subset, weights=weights, rng=np.random.default_rng(0))
    return fitter, prepared, potential, exact


def by_rows(fitter):
    """Return the same fitter, made to factorise the rows by QR."""
    other = type(fitter)(fitter.elements, fitter.options, fitter.isolated_atom_energies)
    other.blocks = False
    return other


def assert_same_predictions(fitter, prepared, one, other):
    indices = np.arange(len(prepared.frames))
    found, expected = fitter.predict(one, prepared, indices), fitter.predict(other, prepared, indices)
    sizes = np.array([len(atoms) for atoms in prepared.frames])
    np.testing.assert_allclose(found.energies / sizes, expected.energies / sizes, rtol=0, atol=ENERGY)
    np.testing.assert_allclose(found.forces, expected.forces, rtol=0, atol=FORCES)
    np.testing.assert_allclose(
        one.info["condition_number"], other.info["condition_number"], rtol=1e-6, err_msg="condition number"
    )


def uses_blocks(fitter, prepared, subset) -> bool:
    """Tell whether the design of a subset is conditioned well enough, with the default ridge."""
    ridge = np.full(fitter.n_columns - fitter.n_known, 1e-8)
    return solve_blocks(weighted_rows(fitter, prepared, subset, {}), ridge) is not None


SILICON = [
    # Adapter, options, whether blocks are good enough for a quarter and for all of the training part.
    ("snap", {"twojmax": 6, "cutoff": 4.7}, (True, True)),
    ("snap", {"twojmax": 4, "cutoff": 4.7, "quadratic": True}, (False, True)),
    ("chimes", {"cutoff": 5.0, "cutoff_3b": 4.5}, (False, False)),
    ("ace", {"cutoff": 4.7, "max_functions": 100}, (False, False)),
]


@pytest.mark.parametrize(("name", "options", "used"), SILICON, ids=str)
def test_refits_on_silicon_equal_qr(name, options, used, require_adapter):
    require_adapter(name)
    dataset = load_dataset("si-pbe", options=DataOptions(smoke=True))
    train = dataset.indices("train")
    found = []
    for subset in (train[::4], train):
        fitter, prepared, potential, exact = refit(name, options, dataset, subset)
        assert_same_predictions(fitter, prepared, potential, exact)
        found.append(uses_blocks(fitter, prepared, subset))
    assert tuple(found) == used


MOLYBDENUM = [
    ("snap", {"twojmax": 8, "cutoff": 4.6}, True),
    ("snap", {"twojmax": 6, "cutoff": 5.2, "quadratic": True}, True),
    ("chimes", {}, True),
    ("ace", {"cutoff": 4.7, "max_functions": 300}, False),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options", "used"), MOLYBDENUM, ids=str)
def test_refits_on_molybdenum_equal_qr(name, options, used, require_adapter, data_folder):
    require_adapter(name)
    data_folder("mlearn")
    dataset = load_dataset("mlearn-Mo")
    subset = dataset.indices("train")[::4]
    fitter, prepared, potential, exact = refit(name, options, dataset, subset)
    assert_same_predictions(fitter, prepared, potential, exact)
    assert uses_blocks(fitter, prepared, subset) == used


def test_weights_change_without_a_new_pass_and_missing_stress_is_left_out(require_adapter):
    require_adapter("snap")
    dataset = load_dataset("si-pbe", options=DataOptions(smoke=True))
    frames = list(dataset.frames)
    for index in range(0, len(frames), 3):
        frames[index] = frames[index].copy()
        kept = {key: dataset.frames[index].calc.results[key] for key in ("energy", "forces")}
        frames[index].calc = SinglePointCalculator(frames[index], **kept)
    dataset = replace(dataset, frames=tuple(frames), isolated_atom_energies={"Si": -0.8})
    weights = {dataset.groups[0]: GroupWeight(energy=0.1, forces=5.0, stress=0.0)}
    spec = resolve("model", {"model": {"adapter": "snap", "twojmax": 4, "stress_weight": 100.0}})
    fitter = spec.make(dataset.elements, dataset.isolated_atom_energies)
    prepared = fitter.prepare(dataset.frames)
    subset = dataset.indices("train")
    one, other = (
        each.fit(prepared, subset, weights=weights, rng=np.random.default_rng(0))
        for each in (fitter, by_rows(fitter))
    )
    assert_same_predictions(fitter, prepared, one, other)
    assert one.offsets.tolist() == [-0.8]
    plain = fitter.fit(prepared, subset, weights={}, rng=np.random.default_rng(0))
    assert not np.allclose(plain.coefficients, one.coefficients, rtol=1e-3)


@pytest.mark.parametrize("name", LINEAR)
def test_the_same_subset_gives_the_same_bits_in_any_order(name, require_adapter):
    require_adapter(name)
    cls = adapter_class(name)
    fitter = resolve("model", {"model": {"adapter": name, **cls.smoke}}).make(["Cu"])
    prepared = fitter.prepare(sample_frames(("Cu",), 12))
    fitter.fit(prepared, np.array([2, 3]), weights={}, rng=np.random.default_rng(0))
    found = [
        fitter.fit(prepared, np.array(subset), weights={}, rng=np.random.default_rng(0)).coefficients
        for subset in ([1, 4, 5, 8, 9], [9, 1, 8, 5, 4])
    ]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("name", LINEAR)
def test_options_of_the_fit_do_not_change_what_is_prepared(name, require_adapter):
    """Otherwise the store would hand out rows of other options."""
    require_adapter(name)
    cls = adapter_class(name)
    assert cls.fit_options <= {field.name for field in fields(cls.options_type)}
    frames = sample_frames(("Cu",), 3)
    others = {"solver": "svd", "energy_weight": 7.0, "stress_weight": 3.0, "reweight": True}
    others["regularisation"] = "evidence"
    others["iterations"] = 7
    changed = {option: others.get(option, 0.5) for option in cls.fit_options}
    one, other = (
        resolve("model", {"model": {"adapter": name, **cls.smoke, **options}}) for options in ({}, changed)
    )
    assert one.fingerprint != other.fingerprint
    assert one.prepare_fingerprint == other.prepare_fingerprint
    prepared: list[Prepared] = [spec.make(["Cu"]).prepare(frames) for spec in (one, other)]
    for key, array in prepared[0].arrays.items():
        np.testing.assert_array_equal(array, prepared[1].arrays[key], err_msg=key)
    described = [spec.make(["Cu"]).features(frames[0]) for spec in (one, other)]
    np.testing.assert_array_equal(*described)
