"""GAP's fast fitter: rows against finite differences, fits against gap_fit and QUIP, and no leaks."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.data import atomic_numbers, chemical_symbols

pytest.importorskip("quippy", reason="needs quippy-ase: pip install 'crossprune[gap]'")

from crossprune.adapters.gap import Gap, GapOptions, GapPotential, fast, gap_fit
from crossprune.adapters.gap.environments import VOIGT
from crossprune.adapters.gap.pairs import find_pairs, pair_kernel, pair_kernels
from crossprune.adapters.gap.sparse import pivots
from crossprune.adapters.linear.offsets import element_energies
from crossprune.harness.contract import GroupWeight
from crossprune.harness.data.cards import load_dataset
from crossprune.harness.data.frames import energy_of, forces_of, label
from crossprune.harness.errors import StudyError

TRICLINIC = Atoms(
    "CuNiCu",
    scaled_positions=[[0.1, 0.2, 0.3], [0.55, 0.6, 0.7], [0.9, 0.3, -0.6]],
    cell=[[2.9, 0, 0], [0.8, 3.1, 0], [-0.5, 0.9, 3.6]],
    pbc=True,
)
"""Three atoms in a cell much smaller than twice the cutoff, one of them outside it."""
SMALL = {"cutoff": 3.6, "pair_cutoff": 4.0, "n_max": 3, "l_max": 2, "n_sparse": 20, "sigma_force": 0.05}


def labelled(atoms, group="g"):
    atoms.calc = EMT()
    stress = atoms.get_stress() if atoms.cell.rank == 3 else None
    return label(
        atoms, energy=atoms.get_potential_energy(), forces=atoms.get_forces(), stress=stress, group=group
    )


def alloy(seed):
    rng = np.random.default_rng(seed)
    atoms = bulk("Cu", cubic=True) * (2, 1, 1)
    atoms.numbers[rng.integers(0, 8, 3)] = 28
    atoms.set_cell(atoms.cell @ (np.eye(3) + rng.normal(0, 0.03, (3, 3))), scale_atoms=True)
    atoms.rattle(0.08, rng=rng)
    return labelled(atoms, f"group {seed % 2}")


FRAMES = [
    *(alloy(seed) for seed in range(5)),
    labelled(Atoms("CuNi2Cu", [[0, 0, 0], [2.2, 0.3, 0], [1.1, 2.0, 0.2], [1.0, 0.8, 2.1]])),
    labelled(Atoms("Ni", cell=[9, 9, 9], pbc=True)),
]
"""Bulk of two elements, a cluster without a cell, and an isolated atom."""


@pytest.fixture(scope="module")
def adapter():
    return Gap(["Cu", "Ni"], GapOptions(**SMALL))


@pytest.fixture(scope="module")
def prepared(adapter):
    return adapter.prepare(FRAMES)


def fit(adapter, prepared, subset, weights=None):
    return adapter.fit(prepared, np.array(subset), weights=weights or {}, rng=np.random.default_rng(0))


def numerical_rows(rows, atoms, step=1e-4):
    """Central differences of the energy row: minus by position, plus by symmetric strain."""
    result = []
    for atom, axis in np.ndindex(len(atoms), 3):
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * step
            energies.append(rows(moved)[0])
        result.append((energies[1] - energies[0]) / (2 * step))
    for a, b in VOIGT:
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[a, b] += sign * step / 2
            strain[b, a] += sign * step / 2
            strained = atoms.copy()
            strained.set_cell(atoms.cell @ strain, scale_atoms=True)
            energies.append(rows(strained)[0])
        result.append((energies[0] - energies[1]) / (2 * step))
    return np.array(result)


@pytest.mark.parametrize("number", [28, 29])
def test_soap_rows_are_derivatives_in_a_small_triclinic_cell(adapter, number):
    points = adapter.features(FRAMES[0])[FRAMES[0].numbers == number]

    def rows(atoms):
        return adapter.environments(atoms)[number].kernel_rows(points, zeta=4.0, delta=1.3)

    exact = rows(TRICLINIC)[1:]
    # truncation error of the central differences: 1e-7 of derivatives of about 1
    np.testing.assert_allclose(exact, numerical_rows(rows, TRICLINIC), atol=1e-5)
    assert np.abs(exact).max() > 0.5


@pytest.mark.parametrize("elements", [("Cu", "Cu"), ("Cu", "Ni")])
def test_pair_rows_are_derivatives_in_a_small_triclinic_cell(adapter, elements):
    kernel = pair_kernel(elements, np.linspace(2.2, 3.9, 6), adapter.options)

    def rows(atoms):
        return kernel.rows(find_pairs(atoms, 4.0), atoms.numbers)

    exact = rows(TRICLINIC)[1:]
    np.testing.assert_allclose(exact, numerical_rows(rows, TRICLINIC), atol=3e-6 * np.abs(exact).max())


def test_pairs_of_other_elements_do_not_count(adapter):
    kernel = pair_kernel(("Cu", "Ni"), np.array([2.0, 3.0]), adapter.options)
    atoms = Atoms("Cu2", [[0, 0, 0], [2.5, 0, 0]])
    assert not kernel.rows(find_pairs(atoms, 4.0), atoms.numbers).any()


def test_energies_of_quip_equal_rows(adapter, prepared):
    """QUIP reads what was written and gives energies, forces and stress of the rows."""
    potential = fit(adapter, prepared, [0, 1, 2, 5])
    every = np.arange(len(FRAMES))
    rows = adapter.predict(potential, prepared, every)
    quip = potential.predict_many(FRAMES)
    # Σ|k||c| is about 1e5 eV here, times the rounding error 1e-16
    np.testing.assert_allclose(rows.energies, quip.energies, atol=1e-9)
    np.testing.assert_allclose(rows.forces, quip.forces, atol=1e-9)
    np.testing.assert_allclose(rows.stresses, quip.stresses, atol=1e-10)


def sparse_points(files):
    """Read element or pair, sparse points and coefficients of each kernel from parameter files."""
    root = ElementTree.fromstring(files[gap_fit.XML].decode())
    for section in root.iter("gpCoordinates"):
        values = np.array(files[section.get("sparseX_filename")].decode().split(), dtype=float)
        numbers = [int(z) for z in re.findall(r" Z\d?=(\d+)", section.find("descriptor").text)]
        points = values.reshape(int(section.get("n_sparseX")), -1)
        yield tuple(chemical_symbols[number] for number in numbers), points


def refit(adapter, files, frames, weights, kept=None):
    """Solve for the coefficients of gap_fit's own sparse points by the fast fitter's rows."""
    sections = list(sparse_points(files))
    soap = {one[0]: points[:, :-1] for one, points in sections if len(one) == 1}
    kernels = [pair_kernel(one, points[:, 0], adapter.options) for one, points in sections if len(one) == 2]
    energies = element_energies(frames, adapter.elements, adapter.isolated_atom_energies)
    baseline = dict(zip(adapter.elements, energies, strict=True))
    options = adapter.options

    def rows(atoms):
        environments = adapter.environments(atoms)
        n_rows = 1 + 3 * len(atoms) + len(VOIGT)
        parts = []
        for element, points in soap.items():
            known = environments.get(atomic_numbers[element])
            parts.append(
                np.zeros((n_rows, len(points)))
                if known is None
                else known.kernel_rows(points, zeta=options.zeta, delta=options.delta)
            )
        pairs = find_pairs(atoms, options.pair_cutoff)
        return np.hstack([*parts, *(kernel.rows(pairs, atoms.numbers) for kernel in kernels)])

    blocks = (
        fast.system_rows(atoms, rows(atoms), weights, options, baseline, some)
        for atoms, some in zip(frames, kept or [None] * len(frames), strict=True)
    )
    parts, _ = fast.solve(list(soap.values()), kernels, blocks, options)

    def predict(atoms):
        values = rows(atoms) @ np.concatenate(parts)
        return values[0] + sum(baseline[symbol] for symbol in atoms.symbols), values[1:-6].reshape(-1, 3)

    return predict


@pytest.mark.parametrize("use_stress", [False, True])
def test_same_sparse_points_give_gap_fits_predictions(use_stress):
    """Two elements, unequal weights, a cluster and an isolated atom: nothing but rounding differs."""
    adapter = Gap(["Cu", "Ni"], GapOptions(**SMALL, use_stress=use_stress, fitter="gap_fit"))
    weights = {"group 0": GroupWeight(energy=2.0, forces=0.5), "group 1": GroupWeight(stress=3.0)}
    reference = fit(adapter, adapter.prepare(FRAMES), range(len(FRAMES)), weights)
    predict = refit(adapter, reference.files, FRAMES, weights)
    for atoms in [*FRAMES, TRICLINIC]:
        expected, (energy, forces) = reference.predict(atoms), predict(atoms)
        # the smallest pivot is about the jitter, 1e-8: half the digits of the coefficients are noise
        assert abs(energy - expected.energy) / len(atoms) < 1e-7
        np.testing.assert_allclose(forces, expected.forces, atol=1e-6)


@pytest.mark.parametrize("use_stress", [False, True])
def test_a_mask_is_gap_fits_force_mask(use_stress):
    """The program fits to the same rows: forces of kept atoms, energies, no virials."""
    adapter = Gap(["Cu", "Ni"], GapOptions(**SMALL, use_stress=use_stress, fitter="gap_fit"))
    kept = [np.array(one) for one in ([0, 5], [3], range(8), [1, 2, 6], [7], [0, 3], [0])]
    weights = {"group 0": GroupWeight(energy=2.0, forces=0.5)}
    subset, rng = np.arange(len(FRAMES)), np.random.default_rng(0)
    reference = adapter.fit_masked(adapter.prepare(FRAMES), subset, kept, weights=weights, rng=rng)
    predict = refit(adapter, reference.files, FRAMES, weights, kept)
    whole = refit(adapter, reference.files, FRAMES, weights)
    for atoms in FRAMES[:5]:
        expected, (energy, forces) = reference.predict(atoms), predict(atoms)
        # as without a mask, see `test_same_sparse_points_give_gap_fits_predictions`
        assert abs(energy - expected.energy) / len(atoms) < 1e-7
        np.testing.assert_allclose(forces, expected.forces, atol=1e-6)
        assert np.abs(whole(atoms)[1] - forces).max() > 1e-3


def test_a_masked_refit_equals_a_fit_from_scratch(adapter, prepared):
    """Sparse points are those of the whole frames, coefficients those of the kept rows."""
    chosen, kept = np.array([3, 0, 4]), [np.array([5, 1]), np.array([2]), np.arange(8)]
    again = adapter.fit_masked(prepared, chosen, kept, weights={}, rng=np.random.default_rng(0))
    alone = adapter.prepare([FRAMES[index] for index in chosen])
    fresh = adapter.fit_masked(alone, np.arange(3), kept, weights={}, rng=np.random.default_rng(0))
    by_hand = refit(adapter, again.files, [FRAMES[index] for index in chosen], {}, kept)
    for atoms in FRAMES[:5]:
        found = again.predict(atoms)
        for energy, forces in ((fresh.predict(atoms).energy, fresh.predict(atoms).forces), by_hand(atoms)):
            # half of the digits of coefficients are noise, as above; those of predictions are not
            assert abs(found.energy - energy) < 1e-8
            np.testing.assert_allclose(found.forces, forces, atol=1e-8)
    whole = fit(adapter, prepared, chosen)
    for one, other in zip(again.sparse.points, whole.sparse.points, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "every", "options"),
    [
        ("si-pbe", 6, {"cutoff": 4.2, "pair_cutoff": 4.2, "n_max": 6, "l_max": 4, "n_sparse": 100}),
        ("mlearn-Mo", 10, {"cutoff": 4.6, "pair_cutoff": 4.6, "n_max": 6, "l_max": 4, "n_sparse": 200}),
        ("mlearn-Mo", 4, {"n_sparse": 500}),
    ],
)
def test_agreement_with_gap_fit_on_real_data(name, every, options, data_folder):
    """The bar is 0.1 meV/atom and 1e-3 eV/Å; rounding allows much better."""
    if name.startswith("mlearn"):
        data_folder("mlearn")
    dataset = load_dataset(name)
    adapter = Gap(
        dataset.elements,
        GapOptions(**options, sigma_force=0.05, fitter="gap_fit"),
        dataset.isolated_atom_energies,
    )
    frames = [dataset.frames[index] for index in dataset.indices("train")[::every]]
    reference = fit(adapter, adapter.prepare(frames), range(len(frames)))
    predict = refit(adapter, reference.files, frames, {})
    energies, forces = [], []
    for index in dataset.indices("test"):
        atoms = dataset.frames[index]
        expected, (energy, force) = reference.predict(atoms), predict(atoms)
        energies.append(abs(energy - expected.energy) / len(atoms))
        forces.append(np.abs(force - expected.forces).max())
    print(f"{name}: {len(frames)} frames, {1e3 * max(energies):.1e} meV/atom, {max(forces):.1e} eV/Å")
    assert max(energies) < 1e-7
    assert max(forces) < 1e-5


def test_rows_of_a_frame_do_not_depend_on_the_others(adapter, prepared):
    alone = adapter.prepare([FRAMES[3], FRAMES[5]])
    mine = np.flatnonzero(np.isin(prepared.arrays["pool"][:, 0], [3, 5]))
    np.testing.assert_array_equal(prepared.arrays["points"][mine], alone.arrays["points"])
    starts = prepared.arrays["row_starts"]
    both = np.r_[starts[3] : starts[4], starts[5] : starts[6]]
    # matrix products of other shapes may add up in another order
    np.testing.assert_allclose(
        prepared.arrays["rows"][np.ix_(mine, both)], alone.arrays["rows"], rtol=0, atol=1e-13
    )


def test_refit_equals_a_fit_from_scratch(adapter, prepared):
    chosen = [0, 3, 4, 6]
    alone = fit(adapter, adapter.prepare([FRAMES[index] for index in chosen]), range(4))
    again = fit(adapter, prepared, chosen)
    for atoms in FRAMES:
        expected, found = alone.predict(atoms), again.predict(atoms)
        assert abs(found.energy - expected.energy) < 1e-8
        np.testing.assert_allclose(found.forces, expected.forces, atol=1e-8)


def test_sparse_points_come_from_the_subset(adapter, prepared):
    model = fit(adapter, prepared, [1, 4]).sparse
    for columns in model.columns:
        assert set(prepared.arrays["pool"][columns, 0]) <= {1, 4}


def test_pool_is_limited_per_configuration_and_element():
    adapter = Gap(["Cu", "Ni"], GapOptions(**SMALL, pool_per_configuration=2))
    pool = adapter.prepare(FRAMES).arrays["pool"]
    assert np.unique(pool, axis=0, return_counts=True)[1].max() == 2


def test_equal_environments_count_once():
    crystal = label(
        bulk("Cu", cubic=True).repeat(2), energy=0.0, forces=np.zeros((32, 3)), stress=None, group="g"
    )
    assert len(Gap(["Cu"], GapOptions(**SMALL)).prepare([crystal]).arrays["pool"]) == 1


def test_pivots_are_nested_and_predict_the_rest():
    rng = np.random.default_rng(0)
    points = np.abs(rng.normal(size=(60, 4)))
    points /= np.linalg.norm(points, axis=1)[:, None]
    order = pivots(points, 60, zeta=2.0, tolerance=1e-10)
    np.testing.assert_array_equal(pivots(points, 5, zeta=2.0, tolerance=1e-10), order[:5])
    # (p·q)² is a scalar product of the 10 products p_a p_b: ten points span them all
    assert len(order) == 10
    kernel = (points @ points.T) ** 2
    known = kernel[np.ix_(order, order)]
    np.testing.assert_allclose(kernel[:, order] @ np.linalg.solve(known, kernel[order]), kernel, atol=1e-6)


@pytest.mark.parametrize("sizes", [(3,), (5, 3000, 7, 1500, 5000, 2)])
def test_factorisation_by_pieces_equals_one_of_all_rows(sizes):
    rng = np.random.default_rng(0)
    top = np.triu(rng.normal(size=(30, 31)))
    blocks = [rng.normal(size=(size, 31)) for size in sizes]
    triangle, rows = fast.triangular(top, blocks), np.concatenate([top, *blocks])
    np.testing.assert_array_equal(np.tril(triangle, -1), 0)
    np.testing.assert_allclose(triangle.T @ triangle, rows.T @ rows, rtol=0, atol=1e-10)


def test_prepared_predictions_of_a_foreign_potential_go_through_quip(adapter, prepared, tmp_path):
    """A potential that was loaded, or fitted to other prepared frames, is not read by column numbers."""
    potential = fit(adapter, prepared, [0, 1])
    potential.save(tmp_path)
    other = adapter.prepare(FRAMES[2:])
    for one, here, shift in ((potential, other, 2), (GapPotential.load(tmp_path), prepared, 0)):
        found = adapter.predict(one, here, np.array([0, 1]))
        expected = potential.predict_many(FRAMES[shift : shift + 2])
        np.testing.assert_allclose(found.energies, expected.energies, atol=1e-9)


def test_too_large_rows_are_refused_with_advice():
    adapter = Gap(["Cu", "Ni"], GapOptions(**SMALL, rows_gb=1e-5))
    with pytest.raises(StudyError, match=r"rows_gb allows 1e-05.*pool_per_configuration to about 1, or"):
        adapter.prepare(FRAMES)


def test_too_small_jitter_is_named():
    adapter = Gap(["Cu", "Ni"], GapOptions(**SMALL, jitter=1e-20, pair_n_sparse=40))
    with pytest.raises(StudyError, match=r"jitter 1e-20 leaves .* singular; raise it"):
        fit(adapter, adapter.prepare(FRAMES[:5]), range(5))


def test_pair_points_span_the_subset_and_skip_single_distances(adapter):
    dimer = Atoms("Cu2", [[0, 0, 0], [2.5, 0, 0]])
    pairs = find_pairs(dimer, 4.0)
    assert pair_kernels([pairs], [dimer.numbers], ["Cu"], adapter.options) == []
    found = [find_pairs(atoms, 4.0) for atoms in FRAMES[:2]]
    numbers = [atoms.numbers for atoms in FRAMES[:2]]
    kernels = pair_kernels(found, numbers, ["Cu", "Ni"], adapter.options)
    assert [kernel.elements for kernel in kernels] == [("Ni", "Ni"), ("Ni", "Cu"), ("Cu", "Cu")]
    shortest = min(np.linalg.norm(one.vectors, axis=1).min() for one in found)
    assert min(kernel.points[0] for kernel in kernels) == pytest.approx(shortest)


def test_labels_are_learned(adapter, prepared):
    potential = fit(adapter, prepared, range(len(FRAMES)))
    for atoms in FRAMES[:5]:
        predicted = potential.predict(atoms)
        assert abs(predicted.energy - energy_of(atoms)) / len(atoms) < 0.005
        assert np.abs(predicted.forces - forces_of(atoms)).mean() < 0.1 * np.abs(forces_of(atoms)).mean()
