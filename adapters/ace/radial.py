"""Radial functions of PACE potentials, their inner cutoffs and core repulsions, with derivatives."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from crossprune.adapters.ace.compiled import compiled
from crossprune.harness.contract import FloatArray
from crossprune.harness.errors import DataError, unknown_name

FAMILIES = {"SBessel": 0, "ChebExpCos": 1, "ChebPow": 2, "ChebLinear": 3}
"""Radial families by the name they have in PACE's files."""
INNER = {"density": 0, "distance": 1, "zbl": 2}
"""What replaces the expansion at short distances."""
SBESSEL, CHEB_EXP_COS, CHEB_POW = 0, 1, 2
DENSITY, DISTANCE, ZBL = 0, 1, 2
CUTOFF, TAPER, INNER_CUTOFF, INNER_WIDTH, SHAPE, CORE_HEIGHT, CORE_DECAY, CHARGES, SCREENING = range(9)
COULOMB = 14.399645351950548
"""e²/(4π ε0), eV Å (CODATA 2014, as the original; CODATA 2018 differs by 9e-9)."""
ZBL_HEIGHTS = (0.18175, 0.50986, 0.28022, 0.02817)
ZBL_DECAYS = (3.19980, 0.94229, 0.40290, 0.20162)
"""Ziegler, Biersack and Littmark, The Stopping and Range of Ions in Solids (1985)."""


@dataclass(frozen=True)
class Bond:
    """How the neighbours of one element are seen from a centre of one element.

    ``coefficients`` combine the ``n_base`` functions of the family to R_nl: shape (n, l, n_base), no unit.
    """

    coefficients: FloatArray
    n_base: int
    family: str = "SBessel"
    shape: float = 5.25
    """λ of the family; SBessel has none and ignores it."""
    cutoff: float = 5.0
    """Å."""
    taper: float = 0.01
    """Width of the last cosine below the cutoff, Å."""
    inner_type: str = "density"
    inner_cutoff: float = 0.0
    """Distance below which the core replaces the expansion, Å (``distance`` and ``zbl``)."""
    inner_width: float = 0.0
    """Å."""
    core_height: float = 0.0
    """eV Å, or the dimensionless factor on ZBL; 0 switches the core off."""
    core_decay: float = 1.0
    """1/Å²."""

    def __post_init__(self) -> None:
        """Refuse what the kernels do not know."""
        if self.family not in FAMILIES:
            raise DataError(unknown_name("radial functions", self.family, FAMILIES))
        if self.inner_type not in INNER:
            raise DataError(unknown_name("inner cutoff", self.inner_type, INNER))
        if self.coefficients.ndim != 3 or self.coefficients.shape[2] != self.n_base:
            raise DataError(
                f"radial coefficients have shape {self.coefficients.shape}, expected (n, l, {self.n_base})"
            )
        if not self.cutoff > 0 or self.taper < 0:
            raise DataError(f"cutoff {self.cutoff} and dcut {self.taper} must be positive")

    def parameters(self, centre: str, neighbour: str) -> FloatArray:
        """Return the numbers of this bond as the kernels read them, for a pair of elements."""
        first, second = atomic_numbers[centre], atomic_numbers[neighbour]
        return np.array(
            [
                self.cutoff,
                self.taper,
                self.inner_cutoff,
                self.inner_width,
                self.shape,
                self.core_height,
                self.core_decay,
                first * second,
                0.46850 / (first**0.23 + second**0.23),
            ]
        )


def sbessel_constants(n_base: int) -> FloatArray:
    """Return what orthonormalises the sinc pairs: shape (3, n_base).

    Kocer, Mason and Erturk 2019, doi:10.1063/1.5086167, equations 6 to 10: the height of f_n without
    the factor rc^(-3/2), the weight of g_(n-1), and 1/sqrt(d_n).
    """
    table = np.zeros((3, n_base))
    d = 1.0
    for n in range(n_base):
        a, b = n + 1, n + 2
        table[0, n] = (-1) ** n * math.sqrt(2.0) * math.pi * a * b / math.hypot(a, b)
        if n:
            e = n**2 * (n + 2) ** 2 / (4.0 * (n + 1) ** 4 + 1.0)
            previous, d = d, 1.0 - e / d
            table[1, n] = math.sqrt(e / previous)
        table[2, n] = 1.0 / math.sqrt(d)
    return table


@compiled
def switch(value: float, end: float, width: float) -> tuple[float, float]:
    """Fall from 1 below ``end`` - ``width`` to 0 above ``end``, twice differentiable; with derivative."""
    if width <= 0.0:
        return (1.0 if value < end else 0.0), 0.0
    if value >= end:
        return 0.0, 0.0
    if value <= end - width:
        return 1.0, 0.0
    x = 1.0 - 2.0 * (1.0 + (value - end) / width)
    f = 0.5 + 3.75 * (x / 4.0 - x**3 / 6.0 + x**5 / 20.0)
    return f, 3.75 * (0.25 - 0.5 * x**2 + 0.25 * x**4) * (-2.0 / width)


@compiled
def cosine(value: float, end: float, width: float) -> tuple[float, float]:
    """Fall from 1 at ``end`` - ``width`` to 0 at ``end`` as a half cosine; with derivative."""
    if value >= end:
        return 0.0, 0.0
    if value <= end - width:
        return 1.0, 0.0
    phase = math.pi * (value - end + width) / width
    return 0.5 * (1.0 + math.cos(phase)), -0.5 * math.sin(phase) * math.pi / width


@compiled
def _sbessel(r: float, cutoff: float, constants: Any, g: Any, dg: Any) -> None:
    theta = math.pi * r / cutoff
    scale = cutoff**-1.5
    twice = 2.0 * math.cos(theta)
    sin_low, sin_high = 0.0, math.sin(theta)
    cos_low, cos_high = 1.0, math.cos(theta)
    sinc = sin_high / theta
    dsinc = (cos_high - sinc) / r
    for n in range(g.shape[0]):
        sin_low, sin_high = sin_high, twice * sin_high - sin_low
        cos_low, cos_high = cos_high, twice * cos_high - cos_low
        next_sinc = sin_high / ((n + 2) * theta)
        next_dsinc = (cos_high - next_sinc) / r
        value = scale * constants[0, n] * (sinc + next_sinc)
        slope = scale * constants[0, n] * (dsinc + next_dsinc)
        if n > 0:
            value += constants[1, n] * g[n - 1]
            slope += constants[1, n] * dg[n - 1]
        g[n] = constants[2, n] * value
        dg[n] = constants[2, n] * slope
        sinc, dsinc = next_sinc, next_dsinc


@compiled
def _chebyshev(x: float, dx: float, first: int, g: Any, dg: Any) -> None:
    """Fill g[first:] with (1 - T_k(x))/2, k = 1, 2, ...; ``dx`` is dx/dr."""
    t_low, t = 1.0, x
    u_low, u = 0.0, 1.0  # T_k' = k U_(k-1)
    for k in range(1, g.shape[0] - first + 1):
        g[first + k - 1] = 0.5 * (1.0 - t)
        dg[first + k - 1] = -0.5 * k * u * dx
        t_low, t = t, 2.0 * x * t - t_low
        u_low, u = u, 2.0 * x * u - u_low


@compiled
def base_functions(r: float, family: int, p: Any, constants: Any, inner: int, g: Any, dg: Any) -> None:
    """Fill g_k(r) and dg_k/dr, cutoffs included (Lysogorskiy 2021, doi:10.1038/s41524-021-00559-9)."""
    cutoff, shape = p[CUTOFF], p[SHAPE]
    if r >= cutoff:
        g[:] = 0.0
        dg[:] = 0.0
        return
    if family == SBESSEL:
        _sbessel(r, cutoff, constants, g, dg)
    elif family == CHEB_EXP_COS:
        y, y_end = math.exp(-shape * r / cutoff), math.exp(-shape)
        g[0] = 1.0
        dg[0] = 0.0
        slope = 2.0 * shape / cutoff * y / (1.0 - y_end)
        _chebyshev(1.0 - 2.0 * (y - y_end) / (1.0 - y_end), slope, 1, g, dg)
        _multiply(cosine(r, cutoff, cutoff), g, dg)
        if p[TAPER] > 0.0:
            _multiply(cosine(r, cutoff, p[TAPER]), g, dg)
    elif family == CHEB_POW:
        left = 1.0 - r / cutoff
        _chebyshev(1.0 - 2.0 * left**shape, 2.0 * shape / cutoff * left ** (shape - 1.0), 0, g, dg)
    else:
        _chebyshev(1.0 - r / cutoff, -1.0 / cutoff, 0, g, dg)
    if inner == DISTANCE:
        f, df = switch(r, p[INNER_CUTOFF], p[INNER_WIDTH])
        _multiply((1.0 - f, -df), g, dg)


@compiled
def _multiply(factor: tuple[float, float], g: Any, dg: Any) -> None:
    f, df = factor
    for k in range(g.shape[0]):
        dg[k] = dg[k] * f + g[k] * df
        g[k] *= f


@compiled
def _zbl(r: float, p: Any) -> tuple[float, float, float]:
    """Return the universal screened Coulomb repulsion of a pair (eV) and two derivatives."""
    value = slope = curve = 0.0
    for term in range(4):
        decay = ZBL_DECAYS[term] / p[SCREENING]
        part = ZBL_HEIGHTS[term] * math.exp(-decay * r)
        value += part
        slope -= decay * part
        curve += decay * decay * part
    scale = COULOMB * p[CHARGES] / r
    return (
        scale * value,
        scale * (slope - value / r),
        scale * (curve - 2.0 * slope / r + 2.0 * value / (r * r)),
    )


@compiled
def _half_zbl(r: float, p: Any) -> tuple[float, float]:
    """Return an atom's half of the pair's ZBL, with a polynomial that ends it at the cutoff.

    Value and two derivatives vanish there; the polynomial begins one taper before the cutoff and is
    that of LAMMPS's ``pair_style zbl``. The original multiplies by its switch once more.
    """
    end, width = p[CUTOFF], max(p[TAPER], 1e-9)
    value, slope, _ = _zbl(r, p)
    last, dlast, ddlast = _zbl(end, p)
    shift = -last + 0.5 * width * dlast - width * width * ddlast / 12.0
    beyond = max(0.0, r - (end - width))
    cubic = (-3.0 * dlast + width * ddlast) / width**2
    quartic = (2.0 * dlast - width * ddlast) / width**3
    value += shift + cubic / 3.0 * beyond**3 + quartic / 4.0 * beyond**4
    slope += cubic * beyond**2 + quartic * beyond**3
    f, df = switch(r, end, p[TAPER])
    half = 0.5 * p[CORE_HEIGHT]
    return half * value * f, half * (slope * f + value * df)


@compiled
def core_repulsion(r: float, p: Any, inner: int) -> tuple[float, float]:
    """Return one neighbour's core repulsion (eV) and its derivative (eV/Å)."""
    cutoff = p[CUTOFF]
    if r >= cutoff:
        return 0.0, 0.0
    if inner == ZBL:
        return _half_zbl(r, p)
    height, decay = abs(p[CORE_HEIGHT]), abs(p[CORE_DECAY])
    if height == 0.0:
        return 0.0, 0.0
    value = height * math.exp(-decay * r * r) / r
    slope = -value * (2.0 * decay * r + 1.0 / r)
    f, df = cosine(r, cutoff, cutoff)
    value, slope = value * f, slope * f + value * df
    if inner == DISTANCE:
        f, df = switch(r, p[INNER_CUTOFF], p[INNER_WIDTH])
        value, slope = value * f, slope * f + value * df
    return value, slope
