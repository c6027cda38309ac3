"""Symmetry functions of atoms, their Jacobian and its products, compiled: arrays in, arrays out.

Shared arguments. Neighbours of centre ``i`` are rows ``neighbour_start[i]:neighbour_start[i + 1]`` of
``vectors`` (Å, from the centre), ``neighbour_kind`` (element numbers) and ``neighbour_slot`` (which
distinct atom of the centre's environment it is an image of). The functions come as `tables` of
`crossprune.adapters._nnp_functions`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from crossprune.harness.contract import FloatArray
from crossprune.harness.errors import MissingPackage

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

try:
    import numba
except ModuleNotFoundError:
    raise MissingPackage("adapter 'nnp'", "numba", "nnp") from None

COSINE, POLYNOMIAL = 1, 6
"""Cutoff functions by the numbers of n2p2: (cos(πx) + 1)/2, and 1 − x³(10 − 15x + 6x²)."""
WIDE, NARROW = 0.0, 1.0
"""G5 leaves the third distance out, G4 has it."""
ETA, SHIFT, POWER, KIND = range(4)
"""Columns of the angular parameters: 1/Å², Å, row of the powers, `WIDE` or `NARROW`."""


def compiled(function: Kernel) -> Kernel:
    """Compile ``function`` at its first call and cache the machine code; numba releases the lock."""
    decorate: Any = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
    kernel: Kernel = decorate(function)
    return kernel


@compiled
def cutoff_function(r: float, cutoff: float, kind: int) -> tuple[float, float]:
    """Return the cutoff function and its derivative (1/Å) at ``r`` (Å)."""
    if r >= cutoff:
        return 0.0, 0.0
    x = r / cutoff
    if kind == COSINE:
        return 0.5 * (math.cos(math.pi * x) + 1), -0.5 * math.pi / cutoff * math.sin(math.pi * x)
    return 1 - x * x * x * (10 - x * (15 - 6 * x)), -30 * x * x * (1 - x) * (1 - x) / cutoff


@compiled
def fill_powers(cosine: float, powers: FloatArray, value: FloatArray, slope: FloatArray) -> None:
    """Fill 2^(1−ζ) (1 + λ cos θ)^ζ and its derivative by cos θ; ``powers`` has rows λ, ζ."""
    for row in range(len(powers)):
        sign, zeta = powers[row, 0], powers[row, 1]
        argument = max(0.0, 1 + sign * cosine)
        whole = int(zeta)
        if whole == zeta:
            lower, factor, left = 1.0, argument, whole - 1
            while left > 0:
                if left & 1:
                    lower *= factor
                factor *= factor
                left >>= 1
        else:
            lower = argument ** (zeta - 1)
        lower *= 2.0 ** (1 - zeta)
        value[row] = lower * argument
        slope[row] = lower * zeta * sign


@compiled
def radial(r: float, f: float, df: float, eta: float, shift: float) -> tuple[float, float]:
    """Return exp(−η (r − r_s)²) f_c(r) and its derivative (1/Å)."""
    d = r - shift
    gauss = math.exp(-eta * d * d)
    return gauss * f, gauss * (df - 2 * eta * d * f)


@compiled
def describe(
    vectors: Any,
    neighbour_kind: Any,
    neighbour_slot: Any,
    neighbour_start: Any,
    centre_kind: Any,
    tables: Any,
    values: Any,
    slot_start: Any,
    jacobian: Any,
    virial: Any,
    derivatives: bool,
) -> None:
    """Fill the symmetry functions and, if asked for, their derivatives, all added to zeros.

    ``values``: shape (n_centres, n_functions); ``jacobian``: ∂G/∂r of the atoms in each centre's slots,
    1/Å, shape (n_slots, 3, n_functions), the centre's own slot first; ``virial``: Σ_j r_ij ⊗ ∂G/∂r_j,
    shape (n_centres, 6, n_functions), order xx yy zz yz xz xy.
    """
    cutoff, kind, n_kinds, radial_start, radial_parameters, angular_start, angular, powers = tables
    n_functions = values.shape[1]
    most = 0
    for i in range(len(centre_kind)):
        most = max(most, neighbour_start[i + 1] - neighbour_start[i])
    r, f, df = np.empty(most), np.empty(most), np.empty(most)
    buffer = np.zeros((most if derivatives else 0, 3, n_functions))
    value, slope = np.empty(len(powers)), np.empty(len(powers))
    for i in range(len(centre_kind)):
        first, count = neighbour_start[i], neighbour_start[i + 1] - neighbour_start[i]
        for a in range(count):
            v = vectors[first + a]
            r[a] = math.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
            f[a], df[a] = cutoff_function(r[a], cutoff, kind)
            group = centre_kind[i] * n_kinds + neighbour_kind[first + a]
            for n in range(radial_start[group], radial_start[group + 1]):
                eta, shift, column = radial_parameters[n]
                g, dg = radial(r[a], f[a], df[a], eta, shift)
                values[i, int(column)] += g
                if derivatives:
                    for x in range(3):
                        buffer[a, x, int(column)] += dg * v[x] / r[a]
        for a in range(count):
            vj = vectors[first + a]
            for b in range(a + 1, count):
                vk = vectors[first + b]
                group = (centre_kind[i] * n_kinds + neighbour_kind[first + a]) * n_kinds
                group += neighbour_kind[first + b]
                start, stop = angular_start[group, 0], angular_start[group, 1]
                if start == stop:
                    continue
                dot = vj[0] * vk[0] + vj[1] * vk[1] + vj[2] * vk[2]
                rj, rk = r[a], r[b]
                rjk = math.sqrt(max(0.0, rj * rj + rk * rk - 2 * dot))
                only_wide = rjk >= cutoff or rjk < 1e-12
                if only_wide and angular_start[group, 2] == 0:
                    continue
                cosine = dot / (rj * rk)
                fill_powers(cosine, powers, value, slope)
                fjk, dfjk = cutoff_function(rjk, cutoff, kind)
                last_eta, last_shift, last_kind = math.nan, 0.0, 0.0
                product = ej = ek = ejk = 0.0
                for n in range(start, stop):
                    eta, shift, narrow = angular[n, ETA], angular[n, SHIFT], angular[n, KIND]
                    if narrow == NARROW and only_wide:
                        continue
                    if eta != last_eta or shift != last_shift or narrow != last_kind:
                        last_eta, last_shift, last_kind = eta, shift, narrow
                        product, ej, ek, ejk = pair_product(
                            rj, rk, rjk, f[a], f[b], fjk, df[a], df[b], dfjk, eta, shift, narrow
                        )
                    power, column = int(angular[n, POWER]), start_column(angular, n)
                    values[i, column] += value[power] * product
                    if derivatives:
                        turn = slope[power] * product
                        third = value[power] * ejk
                        along_j = value[power] * ej - turn * cosine / (rj * rj) + third
                        along_k = value[power] * ek - turn * cosine / (rk * rk) + third
                        across = turn / (rj * rk) - third
                        for x in range(3):
                            buffer[a, x, column] += along_j * vj[x] + across * vk[x]
                            buffer[b, x, column] += along_k * vk[x] + across * vj[x]
        if derivatives:
            own = slot_start[i]
            for a in range(count):
                v, slot = vectors[first + a], slot_start[i] + neighbour_slot[first + a]
                for column in range(n_functions):
                    dx, dy, dz = buffer[a, 0, column], buffer[a, 1, column], buffer[a, 2, column]
                    jacobian[slot, 0, column] += dx
                    jacobian[slot, 1, column] += dy
                    jacobian[slot, 2, column] += dz
                    jacobian[own, 0, column] -= dx
                    jacobian[own, 1, column] -= dy
                    jacobian[own, 2, column] -= dz
                    virial[i, 0, column] += v[0] * dx
                    virial[i, 1, column] += v[1] * dy
                    virial[i, 2, column] += v[2] * dz
                    virial[i, 3, column] += v[1] * dz
                    virial[i, 4, column] += v[0] * dz
                    virial[i, 5, column] += v[0] * dy
            buffer[:count] = 0.0


@compiled
def start_column(angular: Any, n: int) -> int:
    """Return the column of an angular function: the last of its parameters."""
    return int(angular[n, 4])


@compiled
def pair_product(
    rj: float,
    rk: float,
    rjk: float,
    fj: float,
    fk: float,
    fjk: float,
    dfj: float,
    dfk: float,
    dfjk: float,
    eta: float,
    shift: float,
    narrow: float,
) -> tuple[float, float, float, float]:
    """Return the radial part of an angular function, and its derivatives by each distance over it (1/Å²)."""
    dj, dk = rj - shift, rk - shift
    if narrow == NARROW:
        djk = rjk - shift
        gauss = math.exp(-eta * (dj * dj + dk * dk + djk * djk))
        product = gauss * fj * fk * fjk
        ej = gauss * fk * fjk * (dfj - 2 * eta * dj * fj) / rj
        ek = gauss * fj * fjk * (dfk - 2 * eta * dk * fk) / rk
        return product, ej, ek, gauss * fj * fk * (dfjk - 2 * eta * djk * fjk) / rjk
    gauss = math.exp(-eta * (dj * dj + dk * dk))
    ej = gauss * fk * (dfj - 2 * eta * dj * fj) / rj
    return gauss * fj * fk, ej, gauss * fj * (dfk - 2 * eta * dk * fk) / rk, 0.0


@compiled
def pull_back(
    vectors: Any,
    neighbour_kind: Any,
    neighbour_start: Any,
    neighbour_atom: Any,
    centre_kind: Any,
    tables: Any,
    slopes: Any,
    gradient: Any,
    virial: Any,
) -> None:
    """Add dE/dr (eV/Å, shape (n_atoms, 3)) and the virial sum (eV, shape (6,)) of given dE/dG.

    The adjoint of `describe`: each pair and triple sums over the functions first, so that its cost
    hardly grows with their number. ``slopes``: eV, shape (n_centres, n_functions).
    """
    cutoff, kind, n_kinds, radial_start, radial_parameters, angular_start, angular, powers = tables
    most = 0
    for i in range(len(centre_kind)):
        most = max(most, neighbour_start[i + 1] - neighbour_start[i])
    r, f, df = np.empty(most), np.empty(most), np.empty(most)
    buffer = np.zeros((most, 3))
    value, slope = np.empty(len(powers)), np.empty(len(powers))
    for i in range(len(centre_kind)):
        first, count = neighbour_start[i], neighbour_start[i + 1] - neighbour_start[i]
        buffer[:count] = 0.0
        for a in range(count):
            v = vectors[first + a]
            r[a] = math.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
            f[a], df[a] = cutoff_function(r[a], cutoff, kind)
            group = centre_kind[i] * n_kinds + neighbour_kind[first + a]
            total = 0.0
            for n in range(radial_start[group], radial_start[group + 1]):
                eta, shift, column = radial_parameters[n]
                total += slopes[i, int(column)] * radial(r[a], f[a], df[a], eta, shift)[1]
            for x in range(3):
                buffer[a, x] += total * v[x] / r[a]
        for a in range(count):
            vj = vectors[first + a]
            for b in range(a + 1, count):
                vk = vectors[first + b]
                group = (centre_kind[i] * n_kinds + neighbour_kind[first + a]) * n_kinds
                group += neighbour_kind[first + b]
                start, stop = angular_start[group, 0], angular_start[group, 1]
                if start == stop:
                    continue
                dot = vj[0] * vk[0] + vj[1] * vk[1] + vj[2] * vk[2]
                rj, rk = r[a], r[b]
                rjk = math.sqrt(max(0.0, rj * rj + rk * rk - 2 * dot))
                only_wide = rjk >= cutoff or rjk < 1e-12
                if only_wide and angular_start[group, 2] == 0:
                    continue
                cosine = dot / (rj * rk)
                fill_powers(cosine, powers, value, slope)
                fjk, dfjk = cutoff_function(rjk, cutoff, kind)
                last_eta, last_shift, last_kind = math.nan, 0.0, 0.0
                product = ej = ek = ejk = 0.0
                sum_j = sum_k = sum_jk = sum_turn = 0.0
                for n in range(start, stop):
                    eta, shift, narrow = angular[n, ETA], angular[n, SHIFT], angular[n, KIND]
                    if narrow == NARROW and only_wide:
                        continue
                    if eta != last_eta or shift != last_shift or narrow != last_kind:
                        last_eta, last_shift, last_kind = eta, shift, narrow
                        product, ej, ek, ejk = pair_product(
                            rj, rk, rjk, f[a], f[b], fjk, df[a], df[b], dfjk, eta, shift, narrow
                        )
                    power = int(angular[n, POWER])
                    weight = slopes[i, start_column(angular, n)]
                    sum_j += weight * value[power] * ej
                    sum_k += weight * value[power] * ek
                    sum_jk += weight * value[power] * ejk
                    sum_turn += weight * slope[power] * product
                along_j = sum_j - sum_turn * cosine / (rj * rj) + sum_jk
                along_k = sum_k - sum_turn * cosine / (rk * rk) + sum_jk
                across = sum_turn / (rj * rk) - sum_jk
                for x in range(3):
                    buffer[a, x] += along_j * vj[x] + across * vk[x]
                    buffer[b, x] += along_k * vk[x] + across * vj[x]
        for a in range(count):
            v, d = vectors[first + a], buffer[a]
            for x in range(3):
                gradient[neighbour_atom[first + a], x] += d[x]
                gradient[i, x] -= d[x]
                virial[x] += v[x] * d[x]
            virial[3] += v[1] * d[2]
            virial[4] += v[0] * d[2]
            virial[5] += v[0] * d[1]


@compiled
def contract(
    jacobian: Any, slot_start: Any, slot_atom: Any, slopes: Any, centres: Any, gradient: Any
) -> None:
    """Add Σ_i (∂G_i/∂r)ᵀ dE/dG_i of some centres to ``gradient``, eV/Å, shape (n_atoms, 3).

    ``centres`` numbers the centres in the Jacobian, ``slopes`` (eV) has one row for each; ``slot_atom``
    says which row of ``gradient`` a slot belongs to.
    """
    n_functions = slopes.shape[1]
    for row in range(len(centres)):
        for slot in range(slot_start[centres[row]], slot_start[centres[row] + 1]):
            for x in range(3):
                total = 0.0
                for column in range(n_functions):
                    total += jacobian[slot, x, column] * slopes[row, column]
                gradient[slot_atom[slot], x] += total


@compiled
def spread(jacobian: Any, slot_start: Any, slot_atom: Any, pull: Any, centres: Any, slopes: Any) -> None:
    """Add the transpose of `contract`: ``slopes[i] += ∂G_i/∂r · pull``, ``pull`` of shape (n_atoms, 3)."""
    n_functions = slopes.shape[1]
    for row in range(len(centres)):
        for slot in range(slot_start[centres[row]], slot_start[centres[row] + 1]):
            for x in range(3):
                weight = pull[slot_atom[slot], x]
                for column in range(n_functions):
                    slopes[row, column] += weight * jacobian[slot, x, column]
