"""Selection by extrapolation grade: D-optimal designs of atoms, each inside its own cluster of atoms."""

from __future__ import annotations

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.selection.axes import standardise
from crossprune.harness.selection.candidates import Candidates
from crossprune.harness.selection.clustering import kmeans_labels
from crossprune.harness.selection.optimal_design import ridge_of, with_offset
from scipy import linalg

MOST_CLUSTERS = 10
"""Clusters of atoms at most."""
ATOMS_PER_COLUMN = 10
"""Atoms that a cluster has on average for each column of its design at least: fewer span nothing."""


def local_grade(candidates: Candidates, n_chosen: int, rng: np.random.Generator) -> IntArray:
    """Pick, again and again, the configuration that holds the atom of the largest local grade.

    The extrapolation grade of an atom x is γ = (xᵀA⁻¹x)^½, where A = λ + Σ yyᵀ over the atoms y of picked
    configurations in the cluster of x (D-optimality inside clusters, Shuang 2025, "Model accuracy and data
    heterogeneity shape uncertainty quantification in machine learning interatomic potentials"; there with
    square active sets, which fewer atoms than columns do not have). Clusters are those of k-means on all
    atoms; in each, columns have deviation 1, and there is an offset. Atoms of given configurations are in
    A from the start. Ties go by seed; O(atoms × picked atoms × k); larger budgets contain smaller ones;
    pooling plays no part.
    """
    order, begun = candidates.shuffled(rng)
    points = candidates.environments()
    owners = np.repeat(np.argsort(order), candidates.sizes)  # of each atom: the place of its configuration
    labels = atom_clusters(points, rng)
    clusters = [
        Cluster(points[labels == number], owners[labels == number]) for number in range(labels.max() + 1)
    ]
    picked = begun.tolist()
    scores = np.empty((len(clusters), len(order)))
    for row, cluster in enumerate(clusters):
        for place in picked:
            cluster.add(place)
        scores[row] = cluster.scores(len(order))
    while len(picked) < len(begun) + n_chosen:
        best = scores.max(axis=0)
        best[picked] = -np.inf
        picked.append(int(np.argmax(best)))
        for row, cluster in enumerate(clusters):
            if cluster.add(picked[-1]):
                scores[row] = cluster.scores(len(order))
    chosen: IntArray = order[picked[len(begun) :]]
    return chosen


def atom_clusters(points: FloatArray, rng: np.random.Generator) -> IntArray:
    """Number the k-means cluster of each atom, shape (n_atoms,).

    As many as leave `ATOMS_PER_COLUMN` atoms for each column of each, at least one, at most `MOST_CLUSTERS`.
    """
    n, k = points.shape
    n_clusters = min(MOST_CLUSTERS, n // (ATOMS_PER_COLUMN * (k + 1)))
    return kmeans_labels(points, n_clusters, rng) if n_clusters > 1 and k else np.zeros(n, dtype=np.int64)


class Cluster:
    """The atoms of a cluster, and what the picked ones among them span."""

    def __init__(self, points: FloatArray, owners: IntArray) -> None:
        """Begin with nothing picked; ``points`` of shape (n, k), and the configuration of each."""
        self._rows, self._owners = with_offset(standardise(points)), owners
        ridge = ridge_of(self._rows)
        self._inverse = np.eye(self._rows.shape[1]) / ridge
        self._squares = np.square(self._rows).sum(axis=1) / ridge

    def add(self, owner: int) -> bool:
        """Add the atoms of a configuration to the design; tell whether there are any here.

        A⁻¹ and all xᵀA⁻¹x follow by Woodbury's formula.
        """
        mine = self._owners == owner
        if not mine.any():
            return False
        rows = self._rows[mine]
        half = self._inverse @ rows.T
        root = linalg.cholesky(np.eye(len(rows)) + rows @ half, lower=True)
        step = linalg.solve_triangular(root, half.T, lower=True)
        self._inverse -= step.T @ step
        self._squares -= np.square(self._rows @ step.T).sum(axis=1)
        return True

    def scores(self, n_configurations: int) -> FloatArray:
        """Return the largest γ² of each configuration's atoms here; −∞ where it has none."""
        found = np.full(n_configurations, -np.inf)
        np.maximum.at(found, self._owners, self._squares)
        return found
