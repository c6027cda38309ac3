"""Complex spherical harmonics with the Condon-Shortley phase, scaled so that Y_00 = 1, with gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from crossprune.adapters.ace.compiled import compiled
from crossprune.harness.contract import FloatArray


def norms(l_max: int) -> FloatArray:
    """Return sqrt((2l + 1)(l - m)!/(l + m)!) for m >= 0, at index l(l + 1)/2 + m."""
    return np.array(
        [
            math.sqrt((2 * l + 1) * math.factorial(l - m) / math.factorial(l + m))
            for l in range(l_max + 1)  # noqa: E741
            for m in range(l + 1)
        ]
    )


@compiled
def harmonics(u: Any, l_max: int, norm: Any, y: Any, dy: Any, work: Any) -> None:
    """Fill Y_lm(u) and its gradient on the unit sphere, for m >= 0.

    Y_lm = N_lm Q_lm(z) (x + iy)^m, where sin^m(θ) Q_lm(cos θ) is the associated Legendre function with
    phase; Q obeys its recursion in l (Varshalovich 1988, section 5.2) and is a polynomial in z.

    Parameters
    ----------
    u
        Unit vector.
    l_max
        Largest l.
    norm
        See `norms`.
    y
        Real and imaginary part: shape (2, n_lm), n_lm = (l_max + 1)(l_max + 2)/2; filled.
    dy
        Their tangential gradients: shape (2, 3, n_lm); filled.
    work
        Scratch: shape (2, n_lm).
    """
    ux, uy, uz = u[0], u[1], u[2]
    diagonal = 1.0
    for m in range(l_max + 1):
        for l in range(m, l_max + 1):  # noqa: E741
            here = l * (l + 1) // 2 + m
            if l == m:
                q, dq = diagonal, 0.0
            else:
                q1, dq1 = work[0, here - l], work[1, here - l]
                q, dq = (2 * l - 1) * uz * q1, (2 * l - 1) * (q1 + uz * dq1)
                if l > m + 1:
                    before = here - 2 * l + 1
                    q -= (l + m - 1) * work[0, before]
                    dq -= (l + m - 1) * work[1, before]
                q, dq = q / (l - m), dq / (l - m)
            work[0, here], work[1, here] = q, dq
        diagonal *= -(2 * m + 1)
    cosine, sine = 1.0, 0.0
    low_cosine, low_sine = 0.0, 0.0
    for m in range(l_max + 1):
        for l in range(m, l_max + 1):  # noqa: E741
            here = l * (l + 1) // 2 + m
            q, dq = norm[here] * work[0, here], norm[here] * work[1, here]
            y[0, here], y[1, here] = q * cosine, q * sine
            for part in range(2):
                turned = low_cosine if part == 0 else low_sine
                gx = q * m * turned
                gy = q * m * (-low_sine if part == 0 else low_cosine)
                gz = dq * (cosine if part == 0 else sine)
                radial = gx * ux + gy * uy + gz * uz
                dy[part, 0, here] = gx - radial * ux
                dy[part, 1, here] = gy - radial * uy
                dy[part, 2, here] = gz - radial * uz
        low_cosine, low_sine = cosine, sine
        cosine, sine = cosine * ux - sine * uy, cosine * uy + sine * ux
