"""Slopes of predicted against reference forces, of each configuration and of all: arrays in, arrays out.

Every slope but Theil and Sen's is a function of six sums, so that a resample is a sum of sums.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from numpy.typing import NDArray

SMALLEST = 1e-3
"""eV/Å, root mean square: what forces of density-functional theory are converged to at best (ours). Where
reference forces scatter less they are zero by symmetry, and a slope would be one of noise."""
N_SAMPLED = 150
"""Atoms of a configuration that Theil and Sen's slope looks at: 1e5 pairs of components, a millisecond."""


@dataclass(frozen=True, eq=False)
class Forces:
    """Reference and predicted forces of configurations, one after another."""

    reference: FloatArray
    """eV/Å, shape (n_atoms, 3)."""
    predicted: FloatArray
    """eV/Å, shape (n_atoms, 3)."""
    sizes: IntArray
    """Atoms of each configuration, which may be none, shape (n_configurations,)."""

    @property
    def owner(self) -> IntArray:
        """Configuration of each atom, shape (n_atoms,)."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def of(self, chosen: NDArray[np.bool_]) -> Forces:
        """Take the configurations that ``chosen``, shape (n_configurations,), marks."""
        atoms = np.repeat(chosen, self.sizes)
        return Forces(self.reference[atoms], self.predicted[atoms], self.sizes[chosen])

    def within(self, low: float, high: float, *, by_prediction: bool = False) -> Forces:
        """Take the atoms whose force f has ``low`` ≤ |f| < ``high`` (eV/Å); all configurations stay.

        |f| is of the reference, or of the prediction.
        """
        norms = np.linalg.norm(self.predicted if by_prediction else self.reference, axis=1)
        inside = (norms >= low) & (norms < high)
        sizes = np.bincount(self.owner[inside], minlength=len(self.sizes)).astype(np.int64)
        return Forces(self.reference[inside], self.predicted[inside], sizes)


def sums_of(forces: Forces) -> FloatArray:
    """Sum over the force components of each configuration.

    Returns
    -------
    FloatArray
        For F of the reference and f of the prediction: their number, ΣF, Σf, ΣF², ΣFf, Σf²; shape
        (n_configurations, 6).
    """
    F, f = forces.reference, forces.predicted
    terms = (F.sum(axis=1), f.sum(axis=1), (F * F).sum(axis=1), (F * f).sum(axis=1), (f * f).sum(axis=1))
    owner, n = forces.owner, len(forces.sizes)
    columns = [3.0 * forces.sizes, *(np.bincount(owner, one, minlength=n) for one in terms)]
    return np.stack(columns, axis=1)


def tells(sums: FloatArray, *, by_prediction: bool = False) -> NDArray[np.bool_]:
    """Say where reference forces scatter by `SMALLEST` or more, so that there is a slope.

    Parameters
    ----------
    sums
        Of `sums_of`, shape (…, 6); the result has shape (…).
    by_prediction
        Of predicted forces instead, brought to the size of the references, so that a factor has no part.
    """
    n, F, f, FF, _, ff = np.moveaxis(sums, -1, 0)
    if by_prediction:
        ratio = FF.sum() / ff.sum() if ff.any() else 1.0
        F, FF = f * np.sqrt(ratio), ff * ratio
    n = np.maximum(n, 1.0)
    variance, rounding = FF / n - (F / n) ** 2, 1e-12 * FF / n
    found: NDArray[np.bool_] = variance >= np.maximum(SMALLEST**2, rounding)
    return found


def slope(sums: FloatArray) -> FloatArray:
    """Return the slope s of the least-squares line, with intercept, of predicted on reference components.

    Parameters
    ----------
    sums
        Of `sums_of`, shape (…, 6); the result has shape (…), NaN where the reference is constant.
    """
    n, F, f, FF, Ff, _ = np.moveaxis(sums, -1, 0)
    return _ratio(n * Ff - F * f, n * FF - F * F)


def scale(sums: FloatArray) -> FloatArray:
    """Return the factor c = Σ F·f / Σ f² on predicted forces that minimises their squared error.

    Parameters
    ----------
    sums
        Of `sums_of`, shape (…, 6); the result has shape (…), infinite where all predicted forces are 0.
    """
    _, _, _, _, Ff, ff = np.moveaxis(sums, -1, 0)
    return np.where(ff > 0, _ratio(Ff, ff), np.inf)


def r2(sums: FloatArray) -> FloatArray:
    """Return the squared correlation of predicted and reference components, which is s c if means are 0.

    Parameters
    ----------
    sums
        Of `sums_of`, shape (…, 6); the result has shape (…), NaN where one of both is constant.
    """
    n, F, f, FF, Ff, ff = np.moveaxis(sums, -1, 0)
    both = n * Ff - F * f
    found: FloatArray = np.minimum(_ratio(both, n * FF - F * F) * _ratio(both, n * ff - f * f), 1.0)
    return found


def theil_sen(forces: Forces, asked: NDArray[np.bool_]) -> FloatArray:
    """Return the median slope over all pairs of a configuration's components (Theil 1950; Sen 1968).

    (fᵢ − fⱼ) / (Fᵢ − Fⱼ) where Fᵢ differs from Fⱼ (Sen, doi:10.1080/01621459.1968.10480934). Of more than
    `N_SAMPLED` atoms so many are drawn, always the same. SciPy's ``theilslopes`` gives the same and sorts for
    an interval of its own, which takes three times as long.

    Parameters
    ----------
    forces
        Reference and prediction.
    asked
        Configurations that are looked at, shape (n_configurations,); the others are NaN.
    """
    found = np.full(len(forces.sizes), np.nan)
    ends = np.cumsum(forces.sizes)
    for index in np.flatnonzero(asked).tolist():
        atoms = np.arange(ends[index] - forces.sizes[index], ends[index])
        if len(atoms) > N_SAMPLED:
            atoms = np.random.default_rng(0).choice(atoms, N_SAMPLED, replace=False)
        F, f = forces.reference[atoms].ravel(), forces.predicted[atoms].ravel()
        first, second = _pairs(len(F))
        run, rise = F[second] - F[first], f[second] - f[first]
        found[index] = np.median(rise[run != 0] / run[run != 0])
    return found


@functools.lru_cache(maxsize=8)
def _pairs(n: int) -> tuple[IntArray, IntArray]:
    """Return all pairs of ``n`` numbers."""
    return np.triu_indices(n, 1)


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """Divide, NaN by 0."""
    found: FloatArray = np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
    return found
