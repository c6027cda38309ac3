"""GAP refits from prepared kernel rows: choose rows and columns, then one QR."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from crossprune.adapters.gap.environments import N_STRAINS, Environments, similarity
from crossprune.adapters.gap.options import GapOptions
from crossprune.adapters.gap.pairs import PairKernel, Pairs, find_pairs, pair_kernels
from crossprune.adapters.gap.sparse import pivots
from crossprune.harness.contract import (
    FloatArray,
    GroupWeight,
    IntArray,
    Prediction,
    Prepared,
    Weights,
    allocate,
    components_of,
)
from crossprune.harness.data.frames import energy_of, forces_of, group_of, stress_of
from crossprune.harness.errors import StudyError
from scipy.linalg import LinAlgError, block_diag, cholesky, lapack, qr, solve_triangular

ROWS_AT_ONCE = 2048
"""Rows of the least-squares system in memory at a time, beside the triangle of those before."""


@dataclass(frozen=True)
class SparseModel:
    """A GAP's sparse points and coefficients: SOAP of each element, then pairs.

    Parameters
    ----------
    elements
        Chemical symbols with SOAP sparse points.
    columns
        Where each element's sparse points stand in the prepared pool.
    points
        Each element's SOAP vectors, shape (n_points, n_features).
    coefficients
        Of each element's points, then of each pair kernel's; 1/eV.
    pair_kernels
        The pair kernels with their sparse distances.
    baseline
        Energy per element that was subtracted, eV.
    condition_number
        Estimate for the triangle that was solved, 1-norm.
    """

    elements: tuple[str, ...]
    columns: tuple[IntArray, ...]
    points: tuple[FloatArray, ...]
    coefficients: tuple[FloatArray, ...]
    pair_kernels: tuple[PairKernel, ...]
    baseline: Mapping[str, float]
    condition_number: float

    def matches(self, prepared: Prepared) -> bool:
        """Tell whether ``prepared`` holds the sparse points where this model expects them."""
        pool = prepared.arrays.get("points")
        return pool is not None and all(
            columns.max() < len(pool) and np.array_equal(pool[columns], points)
            for columns, points in zip(self.columns, self.points, strict=True)
        )


def prepare_rows(
    frames: Sequence[Atoms],
    elements: Sequence[str],
    options: GapOptions,
    power: Callable[[Atoms], FloatArray],
    environments: Callable[[Atoms], Mapping[int, Environments]],
    workspace: Path | None,
) -> dict[str, np.ndarray]:
    """Compute the kernel rows of all frames with a pool of candidates for sparse points.

    A frame gives the pool the environments that `pivots` chooses among its own atoms of each element.

    Parameters
    ----------
    power
        Gives the SOAP vectors of a structure, shape (n_atoms, n_features).
    environments
        Gives them with derivatives, per atomic number.

    Returns
    -------
    dict
        ``rows``: kernel of every candidate with every label (a frame's energy, forces, six strain
        derivatives), shape (n_pool, n_rows). ``row_starts``: first row of each frame. ``points``: the
        candidates' SOAP vectors. ``pool``: frame and atomic number of each. ``pair_atoms``,
        ``pair_vectors`` (Å), ``pair_starts``: neighbour pairs of each frame.

    Raises
    ------
    StudyError
        If the rows need more than ``options.rows_gb``.
    """
    points, pool = candidates(frames, elements, options, power)
    starts = np.concatenate([[0], np.cumsum([1 + 3 * len(atoms) + N_STRAINS for atoms in frames])])
    needed = 8e-9 * len(points) * float(starts[-1])
    if needed > options.rows_gb:
        fitting = int(len(points) / len(np.unique(pool, axis=0)) * options.rows_gb / needed)
        raise StudyError(
            f"GAP's kernel rows need {needed:.3g} GB, rows_gb allows {options.rows_gb:g}: raise it, lower "
            f"pool_per_configuration to about {max(fitting, 1)}, or use fitter = 'gap_fit'"
        )
    rows = allocate(workspace, "rows", (len(points), int(starts[-1])))
    for atoms, start, stop in zip(frames, starts, starts[1:], strict=False):
        for number, environment in environments(atoms).items():
            mine = np.flatnonzero(pool[:, 1] == number)
            rows[mine, start:stop] = environment.kernel_rows(
                points[mine], zeta=options.zeta, delta=options.delta
            ).T
    pairs = [find_pairs(atoms, options.pair_cutoff) for atoms in frames]
    return {
        "rows": rows,
        "row_starts": starts.astype(np.int64),
        "points": points,
        "pool": pool,
        "pair_atoms": np.concatenate([one.atoms for one in pairs]),
        "pair_vectors": np.concatenate([one.vectors for one in pairs]),
        "pair_starts": np.concatenate([[0], np.cumsum([len(one.atoms) for one in pairs])]).astype(np.int64),
    }


def candidates(
    frames: Sequence[Atoms],
    elements: Sequence[str],
    options: GapOptions,
    power: Callable[[Atoms], FloatArray],
) -> tuple[FloatArray, IntArray]:
    """Choose the pool: SOAP vectors, and frame and atomic number of each candidate."""
    points, pool = [], []
    for index, atoms in enumerate(frames):
        vectors = power(atoms)
        for number in (atomic_numbers[element] for element in elements):
            mine = vectors[atoms.numbers == number]
            if len(mine):
                chosen = pivots(
                    mine, options.pool_per_configuration, zeta=options.zeta, tolerance=options.jitter
                )
                points.append(mine[chosen])
                pool += [(index, number)] * len(chosen)
    return np.concatenate(points), np.array(pool, dtype=np.int64)


def fit_rows(
    prepared: Prepared,
    subset: IntArray,
    elements: Sequence[str],
    options: GapOptions,
    weights: Weights,
    baseline: Mapping[str, float],
    kept: Sequence[IntArray] | None = None,
) -> SparseModel:
    """Choose sparse points among the subset's candidates and solve for their coefficients.

    ``kept`` are the atoms of each frame whose forces are fitted, None for all. Sparse points are chosen
    among the environments of all atoms either way: they rest on structures, and energies are of all atoms.
    """
    arrays = prepared.arrays
    chosen = np.isin(arrays["pool"][:, 0], subset)
    names, columns, points = [], [], []
    for element in elements:
        pool = np.flatnonzero(chosen & (arrays["pool"][:, 1] == atomic_numbers[element]))
        if len(pool):
            order = pivots(
                arrays["points"][pool], options.n_sparse, zeta=options.zeta, tolerance=options.jitter
            )
            names.append(element)
            columns.append(pool[order])
            points.append(np.array(arrays["points"][pool[order]]))
    pairs = [frame_pairs(prepared, index) for index in subset]
    numbers = [prepared.frames[index].numbers for index in subset]
    kernels = pair_kernels(pairs, numbers, elements, options)
    every = np.concatenate(columns)
    atoms: Sequence[IntArray | None] = [None] * len(subset) if kept is None else kept
    blocks = (
        system_rows(
            prepared.frames[index],
            np.hstack([soap_rows(prepared, index, every).T, *(one.rows(pair, number) for one in kernels)]),
            weights,
            options,
            baseline,
            some,
        )
        for index, pair, number, some in zip(subset, pairs, numbers, atoms, strict=True)
    )
    solution, condition = solve(points, kernels, blocks, options)
    return SparseModel(
        tuple(names), tuple(columns), tuple(points), solution, tuple(kernels), dict(baseline), condition
    )


def frame_pairs(prepared: Prepared, index: int) -> Pairs:
    """Return the stored neighbour pairs of one prepared frame."""
    start, stop = prepared.arrays["pair_starts"][index : index + 2]
    return Pairs(prepared.arrays["pair_atoms"][start:stop], prepared.arrays["pair_vectors"][start:stop])


def soap_rows(prepared: Prepared, index: int, columns: IntArray) -> FloatArray:
    """Return one frame's stored kernel values, shape (n_columns, 1 + 3 n_atoms + 6)."""
    start, stop = prepared.arrays["row_starts"][index : index + 2]
    rows: FloatArray = prepared.arrays["rows"][columns, start:stop]
    return rows


def system_rows(
    atoms: Atoms,
    rows: FloatArray,
    weights: Weights,
    options: GapOptions,
    baseline: Mapping[str, float],
    kept: IntArray | None = None,
) -> FloatArray:
    """Divide a frame's rows and labels by the labels' expected errors; the last column is the target.

    Expected errors are those of gap_fit: of energy and virial per atom, times √n_atoms (Klawohn et al.
    2023, doi:10.1063/5.0160898, section II C), and those of a group divided by its weights. Labels of
    weight 0 are left out, and so are forces of atoms that are not ``kept``, and stresses where any are not.
    """
    weight = weights.get(group_of(atoms), GroupWeight())
    root = np.sqrt(len(atoms))
    stress = stress_of(atoms) if options.use_stress and kept is None else None
    energy = energy_of(atoms) - sum(baseline[symbol] for symbol in atoms.symbols)
    strains = np.zeros(N_STRAINS) if stress is None else stress * atoms.get_volume()
    factors = np.repeat(
        [
            weight.energy / (options.sigma_energy_per_atom * root),
            weight.forces / options.force_error,
            0.0 if stress is None else weight.stress / (options.sigma_virial_per_atom * root),
        ],
        [1, 3 * len(atoms), N_STRAINS],
    )
    if kept is not None:
        hidden = np.ones(3 * len(atoms), dtype=bool)
        hidden[components_of(kept)] = False
        factors[1:-N_STRAINS][hidden] = 0.0
    used = factors > 0
    target = np.concatenate([[energy], forces_of(atoms).ravel(), strains])
    weighted: FloatArray = np.column_stack([rows, target])[used] * factors[used, None]
    return weighted


def solve(
    points: Sequence[FloatArray],
    kernels: Sequence[PairKernel],
    blocks: Iterable[FloatArray],
    options: GapOptions,
) -> tuple[tuple[FloatArray, ...], float]:
    """Solve min ‖Λ^(−1/2)(K c − y)‖² + cᵀ K_MM c by QR, as gap_fit does.

    The rows stand below the Cholesky factor of the sparse points' covariance K_MM, to whose diagonal the
    jitter is added. Foster et al. 2009, J. Mach. Learn. Res. 10, 857, section 3.3 (no DOI).

    Parameters
    ----------
    blocks
        Rows of Λ^(−1/2) [K, y], a structure at a time.

    Returns
    -------
    tuple
        Coefficients of each set of SOAP points and of each pair kernel, and the condition number.

    Raises
    ------
    StudyError
        If the jitter is too small to make the covariance positive definite.
    """
    soap = [options.delta**2 * similarity(one, one.T) ** options.zeta for one in points]
    covariance = block_diag(*soap, *(one.covariance() for one in kernels))
    covariance[np.diag_indices_from(covariance)] += options.jitter
    n = len(covariance)
    try:
        prior = np.column_stack([cholesky(covariance), np.zeros(n)])
    except LinAlgError:
        raise StudyError(
            f"jitter {options.jitter:g} leaves the covariance of GAP's sparse points singular; raise it"
        ) from None
    triangle = triangular(prior, blocks)
    solution = solve_triangular(triangle[:n, :n], triangle[:n, n])
    sizes = [len(one) for one in points] + [len(one.points) for one in kernels]
    reciprocal = float(lapack.dtrcon(triangle[:n, :n])[0])
    parts = tuple(np.split(solution, np.cumsum(sizes)[:-1]))
    return parts, 1 / reciprocal if reciprocal > 0 else float("inf")


def triangular(top: FloatArray, blocks: Iterable[FloatArray]) -> FloatArray:
    """Return R of the QR factorisation of all rows, never holding more than a few thousand of them."""
    n_columns = top.shape[1]
    system = np.zeros((n_columns + ROWS_AT_ONCE, n_columns), order="F")
    system[: len(top)] = top
    filled = n_columns
    for block in blocks:
        for start in range(0, len(block), ROWS_AT_ONCE):
            piece = block[start : start + ROWS_AT_ONCE]
            if filled + len(piece) > len(system):
                _factorise(system)
                filled = n_columns
            system[filled : filled + len(piece)] = piece
            filled += len(piece)
    _factorise(system)
    return system[:n_columns].copy()


def _factorise(system: FloatArray) -> None:
    """Replace ``system`` by R of its QR factorisation, with zeros below."""
    n_columns = system.shape[1]
    packed = qr(system, mode="raw", overwrite_a=True, check_finite=False)[0][0]
    triangle = np.triu(packed[:n_columns])
    system[n_columns:] = 0.0
    system[:n_columns] = triangle


def predict_rows(model: SparseModel, prepared: Prepared, indices: IntArray) -> Iterator[Prediction]:
    """Predict prepared frames by their rows."""
    every = np.concatenate(model.columns)
    n_soap = len(model.columns)
    soap = np.concatenate(model.coefficients[:n_soap])
    for index in indices:
        atoms = prepared.frames[index]
        values: FloatArray = soap @ soap_rows(prepared, index, every)
        pairs = frame_pairs(prepared, index)
        for kernel, coefficients in zip(model.pair_kernels, model.coefficients[n_soap:], strict=True):
            values += np.asarray(kernel.rows(pairs, atoms.numbers) @ coefficients, dtype=np.float64)
        energy = float(values[0]) + sum(model.baseline[symbol] for symbol in atoms.symbols)
        stress = values[-N_STRAINS:] / atoms.get_volume() if atoms.pbc.all() else None
        yield Prediction(energy, values[1:-N_STRAINS].reshape(-1, 3), stress)


__all__ = ["SparseModel", "fit_rows", "predict_rows", "prepare_rows", "solve"]
