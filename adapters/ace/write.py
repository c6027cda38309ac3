"""Write ACE models in PACE's formats, to the last bit of every number."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

from crossprune.adapters.ace.files import REFERENCE
from crossprune.adapters.ace.model import AceModel, Centre, Function
from crossprune.adapters.ace.radial import Bond
from crossprune.harness.contract import FloatArray

SPLINE_BIN = 0.001
"""Step of the splines that LAMMPS makes of the radial functions, Å."""


def write_yace(model: AceModel, path: Path) -> None:
    """Write a C-tilde file, as LAMMPS's ``pair_style pace`` reads it."""
    lines = [
        f"elements: [{', '.join(model.elements)}]",
        f"E0: {_list([centre.reference for centre in model.centres])}",
        f"deltaSplineBins: {SPLINE_BIN}",
        "embeddings:",
    ]
    for index, centre in enumerate(model.centres):
        one = centre.embedding
        lines.append(
            f"  {index}: {{ndensity: {len(one.parameters)}, FS_parameters: {_list(one.parameters.ravel())}, "
            f"npoti: {one.kind}, rho_core_cutoff: {_number(one.core_cutoff)}, "
            f"drho_core_cutoff: {_number(one.core_width)}}}"
        )
    lines.append("bonds:")
    for (i, j), bond in sorted(model.bonds.items()):
        n_max, l_count = bond.coefficients.shape[:2]
        lines.append(
            f"  [{i}, {j}]: {{nradmax: {n_max}, lmax: {l_count - 1}, nradbasemax: {bond.n_base}, "
            f"radbasename: {bond.family}, radparameters: [{_number(bond.shape)}], "
            f"radcoefficients: {_nested(bond.coefficients)}, prehc: {_number(bond.core_height)}, "
            f"lambdahc: {_number(bond.core_decay)}, rcut: {_number(bond.cutoff)}, "
            f"dcut: {_number(bond.taper)}, rcut_in: {_number(bond.inner_cutoff)}, "
            f"dcut_in: {_number(bond.inner_width)}, inner_cutoff_type: {bond.inner_type}}}"
        )
    lines.append("functions:")
    for index, centre in enumerate(model.centres):
        lines.append(f"  {index}:")
        lines += [_tilde(index, f, centre.term_weights(k)) for k, f in enumerate(centre.functions)]
    path.write_text("\n".join(lines) + "\n")


def _tilde(index: int, function: Function, weights: FloatArray) -> str:
    combinations = [m for ms in function.ms for m in ms]
    return (
        f"    - {{mu0: {index}, rank: {function.rank}, ndensity: {weights.shape[1]}, "
        f"num_ms_combs: {len(function.ms)}, mus: {list(function.elements)}, ns: {list(function.ns)}, "
        f"ls: {list(function.ls)}, ms_combs: {combinations}, ctildes: {_list(weights.ravel())}}}"
    )


def write_yaml(model: AceModel, path: Path) -> None:
    """Write a B-basis file; reference energies go into its metadata.

    Raises
    ------
    ValueError
        If the model was read from a C-tilde file, which does not tell its B functions.
    """
    references = {
        element: centre.reference for element, centre in zip(model.elements, model.centres, strict=True)
    }
    lines = [
        "metadata:",
        "  origin: fitted by crossprune",
        f"  {REFERENCE}: {json.dumps(json.dumps(references))}",
        "global:",
        f"  DeltaSplineBins: {SPLINE_BIN}",
        "species:",
    ]
    bodies: dict[tuple[str, ...], list[str]] = {}
    for i, one in enumerate(model.elements):
        for j in sorted(range(len(model.elements)), key=lambda other: other != i):
            bodies[(one,) if i == j else (one, model.elements[j])] = []
    for i, centre in enumerate(model.centres):
        for names, body in _bodies(model, i, centre).items():
            bodies.setdefault(names, []).extend(body)
    for names, body in sorted(bodies.items(), key=lambda item: len(item[0])):
        lines.append(f"  - speciesblock: {' '.join(names)}")
        indices = [model.elements.index(name) for name in names]
        if len(names) == 1:
            lines += _embedding(model.centres[indices[0]])
        if len(names) <= 2:
            lines += _bond(model.bonds[indices[0], indices[-1]])
        lines += ["    nbody:", *body] if body else ["    nbody: []"]
    path.write_text("\n".join(lines) + "\n")


def _embedding(centre: Centre) -> list[str]:
    one = centre.embedding
    return [
        f"    ndensityi: {len(one.parameters)}",
        f"    npoti: {one.kind}",
        f"    parameters: {_list(one.parameters.ravel())}",
        f"    rho_core_cut: {_number(one.core_cutoff)}",
        f"    drho_core_cut: {_number(one.core_width)}",
    ]


def _bond(bond: Bond) -> list[str]:
    n_max, l_count = bond.coefficients.shape[:2]
    return [
        f"    nradmaxi: {n_max}",
        f"    lmaxi: {l_count - 1}",
        f"    rcutij: {_number(bond.cutoff)}",
        f"    dcutij: {_number(bond.taper)}",
        "    NameOfCutoffFunctionij: cos",
        f"    r_in: {_number(bond.inner_cutoff)}",
        f"    delta_in: {_number(bond.inner_width)}",
        f"    inner_cutoff_type: {bond.inner_type}",
        f"    nradbaseij: {bond.n_base}",
        f"    radbase: {bond.family}",
        f"    radparameters: [{_number(bond.shape)}]",
        f"    radcoefficients: {_nested(bond.coefficients)}",
        f"    core-repulsion: [{_number(bond.core_height)}, {_number(bond.core_decay)}]",
    ]


def _bodies(model: AceModel, index: int, centre: Centre) -> dict[tuple[str, ...], list[str]]:
    """Return a centre's functions by the elements they join, the centre first."""
    if centre.coefficients is None:
        raise ValueError("a model read from a C-tilde file has no B functions; write it as .yace")
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for function, coefficients in zip(centre.functions, centre.coefficients, strict=True):
        others = sorted({model.elements[e] for e in function.elements} - {model.elements[index]})
        found[model.elements[index], *others].append(_entry(model, index, function, coefficients))
    return found


def _entry(model: AceModel, index: int, function: Function, coefficients: FloatArray) -> str:
    names = " ".join(model.elements[e] for e in (index, *function.elements))
    inner = f", lint: {list(function.inner)}" if function.inner else ""
    return (
        f"      - {{type: {names}, nr: {list(function.ns)}, nl: {list(function.ls)}{inner}, "
        f"c: {_list(coefficients)}}}"
    )


def _number(value: float) -> str:
    """Write a number so that YAML 1.1 reads the same bits: exponents need a point and a sign."""
    text = repr(float(value))
    mantissa, mark, exponent = text.partition("e")
    if mark and "." not in mantissa:
        return f"{mantissa}.0e{exponent if exponent[0] in '+-' else '+' + exponent}"
    return text


def _list(values: FloatArray | list[float]) -> str:
    return f"[{', '.join(_number(value) for value in values)}]"


def _nested(values: FloatArray) -> str:
    return f"[{', '.join(_list(one) if one.ndim == 1 else _nested(one) for one in values)}]"
