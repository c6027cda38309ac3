"""Refits without a factorisation of the rows: stored products of each configuration's rows, summed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from crossprune.adapters.linear.least_squares import NOT_FINITE, Solution
from crossprune.harness.contract import FloatArray
from crossprune.harness.contract.composition import determined
from crossprune.harness.errors import DataError
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, eigh
from scipy.linalg.blas import daxpy, dsyrk

LARGEST_BLOCK = 2.0
"""Numbers in a configuration's block over numbers in its force rows, above which it gets none."""
LARGEST_CONDITION = 1e7
"""Of the scaled design: above it products of rows keep too few digits of the weakest direction."""
MOST_CORRECTIONS = 4
"""Corrections by residuals of the rows before the fit is left to QR; one is the rule."""
SMALL_CORRECTION = 1e-7
"""Relative to the solution: the next correction would be below its square, 1e-14, so none is needed."""


def n_packed(n_columns: int) -> int:
    """Return how many numbers a symmetric matrix of ``n_columns`` has."""
    return n_columns * (n_columns + 1) // 2


def has_block(n_atoms: int, n_columns: int) -> bool:
    """Tell whether a configuration's block is small enough to be stored beside its force rows."""
    return n_packed(n_columns) <= LARGEST_BLOCK * 3 * n_atoms * n_columns


def block_of(rows: FloatArray) -> FloatArray:
    """Multiply AᵀA of some rows, shape (n_rows, k): the lower triangle row by row."""
    product: FloatArray = (rows.T @ rows)[np.tril_indices(rows.shape[1])]
    return product


@dataclass(frozen=True)
class WeightedRows:
    """Rows and labels of a subset with their weights; force rows are views that nobody copies.

    ``dense`` and ``dense_target`` are weighted rows and labels of energies and stresses, columns of
    offsets last, no unit. The others have an entry per configuration: ``forces`` eV/Å, shape
    (3·n_atoms, k), their labels, their weights, 1/(eV/Å), and their blocks, where there are any.
    """

    dense: FloatArray
    dense_target: FloatArray
    n_offsets: int
    forces: Sequence[FloatArray]
    force_labels: Sequence[FloatArray]
    force_weights: FloatArray
    blocks: Sequence[FloatArray | None]
    vanishing: NDArray[np.bool_] | None = None
    """Columns that hold rounding noise only, shape (k,), or None: they stand for zeros."""
    n_rows: int = 0
    """Rows that ``dense`` stands for, if it was compressed from more; 0 if not."""

    def determined(self) -> tuple[WeightedRows, FloatArray]:
        """Replace the columns of offsets by the combinations of them that the compositions determine.

        Returns
        -------
        tuple
            Rows with an offset per column of the basis, and the basis of `determined`, shape
            (n_offsets, rank): offsets per element are the basis times the offsets that are solved for.
        """
        k = self.dense.shape[1] - self.n_offsets
        basis = determined(self.dense[:, k:])
        if basis.shape[1] == self.n_offsets:
            return self, basis
        dense = np.hstack([self.dense[:, :k], self.dense[:, k:] @ basis])
        return replace(self, dense=dense, n_offsets=basis.shape[1]), basis

    def beyond(self, coefficients: FloatArray, offsets: FloatArray) -> WeightedRows:
        """Return the same rows with what is left of the labels when a model is subtracted.

        ``coefficients`` of its columns, shape (k,); ``offsets``, shape (n_offsets,).
        """
        return replace(
            self,
            dense_target=self.dense_target - self.dense @ np.append(coefficients, offsets),
            force_labels=[
                labels - rows @ coefficients
                for labels, rows in zip(self.force_labels, self.forces, strict=True)
            ],
        )

    def stacked(self) -> tuple[FloatArray, FloatArray]:
        """Stack all weighted rows and labels: shape (n_rows, k + n_offsets) and (n_rows,)."""
        n_rows = len(self.dense) + sum(map(len, self.forces))
        design, target = np.zeros((n_rows, self.dense.shape[1])), np.empty(n_rows)
        stop = len(self.dense)
        design[:stop], target[:stop] = self.dense, self.dense_target
        for rows, labels, weight in zip(self.forces, self.force_labels, self.force_weights, strict=True):
            start, stop = stop, stop + len(rows)
            np.multiply(rows, weight, out=design[start:stop, : rows.shape[1]])
            np.multiply(labels, weight, out=target[start:stop])
        if self.vanishing is not None:
            design[:, np.flatnonzero(self.vanishing)] = 0.0
        return design, target

    def gram(self) -> FloatArray:
        """Sum AᵀA of all weighted rows: lower triangle, shape (k + n_offsets, k + n_offsets)."""
        total = self.dense.T @ self.dense
        k = len(total) - self.n_offsets
        packed, loose = np.zeros(n_packed(k)), np.zeros((k, k), order="F")
        for rows, weight, block in zip(self.forces, self.force_weights, self.blocks, strict=True):
            if block is None:
                loose = dsyrk(weight**2, rows.T, beta=1.0, c=loose, lower=1, overwrite_c=1)
            else:
                daxpy(block, packed, a=weight**2)
        total[np.tril_indices(k)] += packed
        total[:k, :k] += np.tril(loose)
        return total

    def gradient(self, coefficients: FloatArray) -> FloatArray:
        """Multiply Aᵀ(y − A x) of all weighted rows, from residuals: shape (k + n_offsets,)."""
        total = self.dense.T @ (self.dense_target - self.dense @ coefficients)
        k = len(total) - self.n_offsets
        for rows, labels, weight in zip(self.forces, self.force_labels, self.force_weights, strict=True):
            total[:k] += (weight**2 * (labels - rows @ coefficients[:k])) @ rows
        return total

    def length(self, coefficients: FloatArray) -> float:
        """Return ‖A x‖ of all weighted rows."""
        total = float(np.sum((self.dense @ coefficients) ** 2))
        k = len(coefficients) - self.n_offsets
        for rows, weight in zip(self.forces, self.force_weights, strict=True):
            total += float(np.sum((weight * (rows @ coefficients[:k])) ** 2))
        return float(np.sqrt(total))


@np.errstate(invalid="ignore", over="ignore")  # infinite rows and labels are refused below
def solve_blocks(rows: WeightedRows, ridge: FloatArray) -> Solution | None:
    """Solve the problem of `solve` by corrected normal equations, or return None if they lose too much.

    The Cholesky factor of AᵀA + ridge is applied to gradients formed from residuals of the rows:
    each correction multiplies the error by about eps·κ², κ being the condition number with the ridge
    (Björck 1987, doi:10.1016/0024-3795(87)90101-7, there with the factor of QR). The reported condition
    number is without the ridge; its smallest singular value is ‖Av‖, with A from the rows and
    the eigenvector v from AᵀA, because the eigenvalue itself loses digits as κ².

    Raises
    ------
    DataError
        If a row or a label is not finite.
    """
    if rows.vanishing is not None:
        return None  # sums of products have them in
    gram = rows.gram()
    norms = np.sqrt(np.diag(gram))
    norms[norms == 0] = 1.0
    scaled = gram / norms[:, None] / norms
    if not np.isfinite(scaled).all():
        raise DataError(NOT_FINITE)
    values, vectors = eigh(scaled, driver="evd", check_finite=False)
    if values[0] * LARGEST_CONDITION**2 < values[-1]:
        return None
    penalty = np.zeros(len(norms))
    penalty[: len(norms) - rows.n_offsets] = ridge
    factor = cho_factor(scaled + np.diag(penalty), lower=True, check_finite=False)
    solution = _corrected(rows, norms, penalty, factor)
    if solution is None:
        return None
    smallest = rows.length(vectors[:, 0] / norms)
    coefficients, k = solution / norms, len(norms) - rows.n_offsets
    return Solution(coefficients[:k], coefficients[k:], float(np.sqrt(values[-1])) / smallest)


def _corrected(
    rows: WeightedRows, norms: FloatArray, penalty: FloatArray, factor: tuple[FloatArray, bool]
) -> FloatArray | None:
    """Solve, then correct until a correction is small; None if they do not become small.

    Lengths are those of the predictions: ‖δ‖² = δᵀ(AᵀA + ridge)δ = δᵀ gradient.
    """
    solution, first = np.zeros(len(norms)), 0.0
    for _ in range(1 + MOST_CORRECTIONS):
        gradient = rows.gradient(solution / norms) / norms - penalty * solution
        change: FloatArray = cho_solve(factor, gradient, check_finite=False)
        if not np.isfinite(change).all():
            raise DataError(NOT_FINITE)
        solution += change
        length = float(np.sqrt(max(float(change @ gradient), 0.0)))
        first = first or length
        if length <= SMALL_CORRECTION * first:
            return solution
    return None


def views(
    array: NDArray[np.float64], starts: NDArray[np.int64], indices: NDArray[np.int64]
) -> list[FloatArray]:
    """Cut the rows of some configurations out of ``array``, without copying; they begin at ``starts``."""
    plain = np.asarray(array)  # slices of a memory map cost ten times more
    return [plain[starts[index] : starts[index + 1]] for index in indices.tolist()]
