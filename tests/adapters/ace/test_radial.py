"""Radial functions against the original program's, on a grid of distances."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba", reason="needs numba: pip install 'crossprune[ace]'")

from crossprune.adapters.ace.radial import (
    FAMILIES,
    INNER,
    Bond,
    base_functions,
    core_repulsion,
    sbessel_constants,
    switch,
)
from crossprune.harness.errors import DataError

FOLDER = Path(__file__).parent / "data"
CASES = json.loads((FOLDER / "radial.json").read_text())


def bond_of(case: dict) -> Bond:
    return Bond(
        np.zeros((1, 1, 6)),
        6,
        family=case["rb"],
        shape=case["lam"],
        taper=case["dc"],
        inner_type=case["ict"],
        inner_cutoff=case["r_in"],
        inner_width=case["delta_in"],
        core_height=case["pre"],
        core_decay=case["lhc"],
    )


def evaluate(bond: Bond, distances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    parameters, constants = bond.parameters("Al", "Al"), sbessel_constants(bond.n_base)
    inner = INNER[bond.inner_type]
    values, core = np.zeros((len(distances), bond.n_base, 2)), np.zeros((len(distances), 2))
    for index, distance in enumerate(distances):
        g, dg = np.zeros(bond.n_base), np.zeros(bond.n_base)
        base_functions(distance, FAMILIES[bond.family], parameters, constants, inner, g, dg)
        values[index] = np.stack([g, dg], axis=1)
        core[index] = core_repulsion(distance, parameters, inner)
    return values, core


@pytest.mark.parametrize("name", CASES)
def test_radial_functions_are_the_originals(name):
    with np.load(FOLDER / "radial.npz") as oracle:
        # ChebLinear does not vanish at the cutoff, where the original's splines cannot follow.
        use = oracle["r"] < 4.999
        expected = oracle[f"{name}.g"][use]
        values, core = evaluate(bond_of(CASES[name]), oracle["r"][use])
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-11)
        if f"{name}.core" in oracle:
            # 1e-8 relative: the original's finest spline of the diverging repulsion at 0.05 Å.
            reference = oracle[f"{name}.core"][use]
            np.testing.assert_allclose(core, reference, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("family", FAMILIES)
def test_derivatives(family, inner):
    shape = 2.0 if family == "ChebPow" else 3.0
    bond = Bond(
        np.zeros((1, 1, 6)),
        6,
        family=family,
        shape=shape,
        taper=0.5,
        inner_type=inner,
        inner_cutoff=2.0,
        inner_width=0.4,
        core_height=50.0,
    )
    distances, step = np.array([0.4, 1.3, 1.75, 1.9, 2.6, 4.3, 4.7, 4.9]), 1e-5
    values, core = evaluate(bond, distances)
    above, below = evaluate(bond, distances + step), evaluate(bond, distances - step)
    numeric = (above[0][..., 0] - below[0][..., 0]) / (2 * step)
    # step² times the third derivative: 1e-10 × some 100.
    np.testing.assert_allclose(values[..., 1], numeric, atol=1e-7)
    np.testing.assert_allclose(core[:, 1], (above[1][:, 0] - below[1][:, 0]) / (2 * step), rtol=1e-7)


def test_switch_ends():
    assert switch(1.6, 2.0, 0.4) == (1.0, 0.0)
    assert switch(2.0, 2.0, 0.4) == (0.0, 0.0)
    assert switch(1.8, 2.0, 0.4)[0] == pytest.approx(0.5)


def test_unknown_names_are_refused():
    with pytest.raises(DataError, match="did you mean 'SBessel'"):
        Bond(np.zeros((1, 1, 6)), 6, family="SBesel")
    with pytest.raises(DataError, match="unknown inner cutoff 'none'"):
        Bond(np.zeros((1, 1, 6)), 6, inner_type="none")
