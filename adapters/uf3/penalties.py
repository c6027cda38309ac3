"""Penalties that tie the coefficients of neighbouring splines, and what they are drawn to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from crossprune.adapters.linear.blocks import WeightedRows
from crossprune.adapters.linear.evidence import HIGHEST, evidence_ridge
from crossprune.adapters.linear.least_squares import compress
from crossprune.adapters.uf3.knots import averages
from crossprune.adapters.uf3.options import Uf3Options
from crossprune.adapters.uf3.parameters import Parameters, columns_of
from crossprune.harness.contract import FloatArray, IntArray
from scipy.linalg import cholesky, solve_triangular
from scipy.sparse import coo_array

FLOOR = 1e-14
"""Of a penalty relative to the largest: what rounding takes from the factorisation of their sum."""
COULOMB = 14.399645
"""e²/(4πε0), eV·Å."""
ZBL_WEIGHTS = np.array([0.1818, 0.5099, 0.2802, 0.02817])
ZBL_RATES = np.array([3.2, 0.9423, 0.4029, 0.2016])
NEAREST = 0.25
"""Å; the repulsion goes on as a straight line below: thousands of eV are enough."""


def differences(columns: IntArray, *, free_start: bool) -> FloatArray:
    """Sum DᵀD of second differences c_{n−1} − 2c_n + c_{n+1} along each axis of some coefficients.

    Xie 2023, doi:10.1038/s41524-023-01092-7, there the Laplacian of triples at once; as a penalty on splines
    Eilers and Marx 1996, doi:10.1214/ss/1038425655. Coefficients that are always 0 have a part in it.

    Parameters
    ----------
    columns
        Column of each coefficient or −1, see `Columns`.
    free_start
        Whether the first coefficient goes on as a straight line; else as if 0 came before it.

    Returns
    -------
    FloatArray
        Shape (n, n), of all columns from the first to the last of ``columns``.
    """
    used = columns[columns >= 0]
    first, count = int(used.min()), int(np.ptp(used)) + 1
    parts = []
    for axis in range(columns.ndim):
        lines = np.moveaxis(columns, axis, -1).reshape(-1, columns.shape[axis])
        padded = np.pad(lines, ((0, 0), (0 if free_start else 1, 1)), constant_values=-1)
        stencil = np.stack([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]], axis=-1).reshape(-1, 3)
        stencil = stencil[(stencil >= 0).any(axis=1)]
        rows = np.repeat(np.arange(len(stencil)), 3)
        weights = np.tile([1.0, -2.0, 1.0], len(stencil))
        kept = stencil.ravel() >= 0
        shape = (len(stencil), count)
        places = rows[kept], stencil.ravel()[kept] - first
        matrix: Any = coo_array((weights[kept], places), shape=shape).tocsr()
        parts.append((matrix.T @ matrix).toarray())
    total: FloatArray = np.sum(parts, axis=0)
    return total


def core_values(parameters: Parameters, reaches: FloatArray, numbers: IntArray) -> FloatArray:
    """Return what coefficients are drawn to: half the repulsion of nuclei for pairs, 0 elsewhere, eV.

    ZBL (Ziegler, Biersack and Littmark 1985, The Stopping and Range of Ions in Solids), less its value and
    slope at ``reaches``, where it so begins without a step; half, as each pair is counted from both atoms.
    Taken where the functions stand, it makes splines that are as convex as it is, and where knots are wide
    stronger (de Boor 1978, chapter XI: Schoenberg's approximation).

    Parameters
    ----------
    parameters
        Whose pairs, in their order.
    reaches
        Where the repulsion of each pair begins, Å, shape (n_pairs,).
    numbers
        Atomic number of each element.
    """
    columns = columns_of(parameters)
    found = np.zeros(columns.count)
    for pair, own, reach in zip(parameters.pairs, columns.pairs, reaches, strict=True):
        if reach <= NEAREST:
            continue
        charges = numbers[list(pair.atoms)]
        edge, slope = _zbl(reach, charges)
        at = averages(pair.knots)
        inside = np.clip(at, NEAREST, reach)
        value, pull = _zbl(inside, charges)
        core = value - edge - slope * (inside - reach) + (pull - slope) * np.minimum(at - NEAREST, 0.0)
        found[own[own >= 0]] = 0.5 * core[own >= 0]
    return found


def _zbl(distance: Any, charges: IntArray) -> tuple[Any, Any]:
    """Return the ZBL energy of two nuclei, eV, and its derivative, eV/Å."""
    length = 0.46850 / float((charges**0.23).sum())
    scaled = np.multiply.outer(distance, ZBL_RATES / length)
    terms = ZBL_WEIGHTS * np.exp(-scaled)
    screening, slope = terms.sum(axis=-1), -(terms * ZBL_RATES / length).sum(axis=-1)
    energy = COULOMB * float(charges.prod()) / distance
    return energy * screening, energy * (slope - screening / distance)


@dataclass(frozen=True)
class Penalties:
    """Quadratic penalty (x − x0)ᵀ Q (x − x0), Q in units of the mean squared norm of columns.

    ``curvature``: DᵀD by body, pairs and triples, each of a square block of the columns in their order.
    """

    curvature: tuple[FloatArray, ...]
    blocks: tuple[slice, ...]
    is_triple: tuple[bool, ...]
    target: FloatArray
    """x0, eV, shape (n_columns,)."""

    @classmethod
    def of(cls, parameters: Parameters, target: FloatArray) -> Penalties:
        """Build the differences of all pairs and triples."""
        columns = columns_of(parameters)
        curvature, blocks, triple = [], [], []
        for own in (*columns.pairs, *columns.triples):
            if (own >= 0).any():
                used = own[own >= 0]
                curvature.append(differences(own, free_start=own.ndim == 1))
                blocks.append(slice(int(used.min()), int(used.max()) + 1))
                triple.append(own.ndim == 3)
        return cls(tuple(curvature), tuple(blocks), tuple(triple), target)

    def root(self, squares: FloatArray, options: Uf3Options) -> FloatArray:
        """Return R with RᵀR = Q, upper triangle, shape (n_columns, n_columns).

        Parameters
        ----------
        squares
            Squared norm of each weighted column, shape (n_columns,): relative strengths mean the same for
            every subset, however large.
        options
            Strengths.
        """
        total = np.diag(options.ridge * squares)
        scales = self._scales(squares)
        for matrix, block, triple in zip(self.curvature, self.blocks, self.is_triple, strict=True):
            curvature, ridge = (
                (options.curvature_3b, options.ridge_3b)
                if triple
                else (options.curvature_2b, options.ridge_2b)
            )
            total[block, block] += scales[triple] * (curvature * matrix + ridge * np.eye(len(matrix)))
        total[np.diag_indices_from(total)] *= 1.0 + FLOOR * len(total)
        found: FloatArray = cholesky(total, check_finite=False)
        return found

    def _scales(self, squares: FloatArray) -> dict[bool, float]:
        """Return the mean squared norm of columns of pairs and of triples; 1 where all are 0."""
        scales = {}
        for kind in (False, True):
            own = [
                squares[b] for b, triple in zip(self.blocks, self.is_triple, strict=True) if triple is kind
            ]
            mean = float(np.concatenate([np.zeros(1), *own]).sum() / max(sum(map(len, own)), 1))
            scales[kind] = mean if mean > 0 and np.isfinite(mean) else 1.0
        return scales


def squared_norms(rows: WeightedRows) -> FloatArray:
    """Return the squared norm of each weighted column, offsets left out: shape (k,)."""
    k = rows.dense.shape[1] - rows.n_offsets
    total = np.einsum("ij,ij->j", rows.dense[:, :k], rows.dense[:, :k])
    for forces, weight in zip(rows.forces, rows.force_weights, strict=True):
        total += weight**2 * np.einsum("ij,ij->j", forces, forces)
    found: FloatArray = total
    return found


def penalised(rows: WeightedRows, root: FloatArray, target: FloatArray) -> WeightedRows:
    """Add the rows R x = R x0 of a penalty; nothing vanishes any more, as all coefficients are tied."""
    padding = np.zeros((len(root), rows.n_offsets))
    return replace(
        rows,
        dense=np.vstack([rows.dense, np.hstack([root, padding])]),
        dense_target=np.concatenate([rows.dense_target, root @ target]),
        vanishing=None,
    )


def evidence_factor(
    rows: WeightedRows, root: FloatArray, target: FloatArray, highest: float = HIGHEST
) -> float:
    """Return the factor on a penalty RᵀR that maximises the evidence of the labels; see `evidence_ridge`.

    With z = R (x − x0) it is that of a plain ridge on z, on the labels less what x0 predicts.
    """
    n_rows = rows.n_rows or len(rows.dense) + sum(map(len, rows.forces))
    design, labels = compress(*replace(rows, vanishing=None).stacked())
    k = len(root)
    turned = solve_triangular(root, design[:, :k].T, trans="T", check_finite=False).T
    squares = np.einsum("ij,ij->j", turned, turned)
    prior = 1.0 / np.where(squares > 0, squares, 1.0)
    unscaled = np.hstack([turned, design[:, k:]])
    left = labels - design[:, :k] @ target
    return evidence_ridge(unscaled, left, rows.n_offsets, prior, n_rows=n_rows, highest=highest)
