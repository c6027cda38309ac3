"""Write parameter files that the ChIMES calculator can read; no digit is lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from crossprune.adapters.chimes.parameters import BODIES, ClusterType, Parameters, pairs_of

TITLES = {3: "TRIPLET", 4: "QUADRUPLET"}
BLOCKS = {3: "TRIPLETTYPE PARAMS:", 4: "QUADRUPLETYPE PARAMS:"}
MAPS = {2: "PAIRMAPS:", 3: "TRIPMAPS:", 4: "QUADMAPS:"}
PAIR_COLUMNS = "\t".join(
    f"# {name} #"
    for name in ["PAIRIDX", "ATM_TY1", "ATM_TY2", "S_MINIM", "S_MAXIM", "S_DELTA", "CHBDIST", "MORSE_LAMBDA"]
)
TERM_COLUMNS = (
    "     index  |  powers  |  equiv index  |  param index  |       parameter       ",
    "   ----------------------------------------------------------------------------",
)


def to_text(parameters: Parameters, comments: Sequence[str] = ()) -> str:
    """Return the text of a parameter file; ``comments`` become its first lines."""
    lines = [f"! {comment}" for comment in comments]
    lines += ["", *_header(parameters), "", *_specials(parameters), *_counts(parameters)]
    lines += ["", "PAIR CHEBYSHEV PARAMS", ""]
    for index, pair in enumerate(parameters.clusters[2]):
        lines += [f"PAIRTYPE PARAMS: {index} {' '.join(_symbols(parameters, pair))}", ""]
        terms = zip(pair.degrees[:, 0], pair.coefficients, strict=True)
        lines += [f"{degree - 1} {float(value)!r}" for degree, value in terms]
        lines.append("")
    for body, title in TITLES.items():
        if parameters.clusters[body]:
            lines += [f"{title} CHEBYSHEV PARAMS", ""]
            for index, cluster in enumerate(parameters.clusters[body]):
                lines += [*_block(parameters, body, index, cluster), ""]
    for body in BODIES:
        if parameters.clusters[body]:
            names = _maps(parameters, body)
            lines += ["", f"{MAPS[body]} {len(names)}", *(f"{kind} {name}" for name, kind in names.items())]
    lines += ["", f"NO ENERGY OFFSETS: {len(parameters.offsets)}"]
    lines += [f"ENERGY OFFSET {i} {energy!r}" for i, energy in enumerate(parameters.offsets, start=1)]
    return "\n".join([*lines, "ENDFILE", ""])


def _header(parameters: Parameters) -> Iterator[str]:
    for key in ("USECOUL", "FITCOUL", "USEPOVR", "FITPOVR"):
        yield f"{key}: false"
    for body in (3, 4):
        yield f"USE{body}BCH: {'true' if parameters.clusters[body] else 'false'}"
    yield ""
    yield f"PAIRTYP: CHEBYSHEV  {' '.join(map(str, parameters.orders))} -1 1"
    yield ""
    yield f"ATOM TYPES: {len(parameters.elements)}"
    yield ""
    yield "# TYPEIDX #\t# ATM_TYP #\t# ATMCHRG #\t# ATMMASS #"
    for index, (symbol, mass) in enumerate(zip(parameters.elements, parameters.masses, strict=True)):
        yield f"{index}\t{symbol}\t0\t{mass!r}"
    yield ""
    yield f"ATOM PAIRS: {len(parameters.clusters[2])}"
    yield ""
    yield PAIR_COLUMNS
    for index, pair in enumerate(parameters.clusters[2]):
        first, second = _symbols(parameters, pair)
        cutoffs = f"{pair.inner[0]!r}\t{pair.outer[0]!r}\t0.01\tMORSE\t{pair.morse[0]!r}"
        yield f"\t{index}\t{first}\t{second}\t{cutoffs}"
    yield ""
    fraction = f" {parameters.fraction!r}" if parameters.smoothing == "TERSOFF" else ""
    yield f"FCUT TYPE: {parameters.smoothing}{fraction}"
    yield ""
    yield f"PAIR CHEBYSHEV PENALTY DIST: {parameters.penalty_distance!r}"
    yield f"PAIR CHEBYSHEV PENALTY SCALING: {parameters.penalty_scale!r}"


def _specials(parameters: Parameters) -> Iterator[str]:
    """Yield the cutoffs of larger clusters where they differ from those of the pairs.

    All types are listed as soon as one differs: the calculator forgets the others' inner cutoffs.
    """
    own = {frozenset(pair.atoms): pair for pair in parameters.clusters[2]}
    for body in (3, 4):
        types = parameters.clusters[body]
        for keyword, edge in (("S_MINIM", "inner"), ("S_MAXIM", "outer")):
            rows, differ = [], False
            for cluster in types:
                pairs = [(cluster.atoms[i], cluster.atoms[j]) for i, j in pairs_of(body)]
                cutoffs = getattr(cluster, edge)
                differ |= cutoffs != tuple(getattr(own[frozenset(pair)], edge)[0] for pair in pairs)
                names = [_pair_name(parameters, *pair) for pair in pairs]
                rows.append(f"{''.join(names)} {' '.join(names)} {' '.join(map(repr, cutoffs))}")
            if differ:
                yield f"SPECIAL {body}B {keyword}: SPECIFIC {len(rows)}"
                yield from rows
                yield ""


def _counts(parameters: Parameters) -> Iterator[str]:
    for body, title in TITLES.items():
        yield f"ATOM PAIR {title}S: {len(parameters.clusters[body])}"


def _block(parameters: Parameters, body: int, index: int, cluster: ClusterType) -> Iterator[str]:
    names = [_pair_name(parameters, cluster.atoms[i], cluster.atoms[j]) for i, j in pairs_of(body)]
    yield BLOCKS[body]
    yield f"   INDEX: {index} ATOMS: {' '.join(_symbols(parameters, cluster))}"
    if cluster.excluded:
        yield f"   PAIRS: {' '.join(names)} EXCLUDED:"
        return
    unique = len(set(cluster.parameter.tolist()))
    yield f"   PAIRS: {' '.join(names)} UNIQUE: {unique} TOTAL: {len(cluster.degrees)}"
    yield from TERM_COLUMNS
    terms = zip(cluster.degrees, cluster.equivalent, cluster.parameter, cluster.coefficients, strict=True)
    for number, (degrees, equivalent, parameter, value) in enumerate(terms):
        yield f"{number} {' '.join(map(str, degrees))} {equivalent} {parameter} {float(value)!r}"


def _maps(parameters: Parameters, body: int) -> dict[str, int]:
    """Return the joined pair names of every sequence of atom types, and the index of their type."""
    kinds = {tuple(sorted(one.atoms)): index for index, one in enumerate(parameters.clusters[body])}
    names = {}
    for atoms in product(range(len(parameters.elements)), repeat=body):
        if tuple(sorted(atoms)) in kinds:
            pairs = [(atoms[i], atoms[j]) for i, j in pairs_of(body)]
            if body == 2:  # both orders of a pair have an entry of their own
                name = "".join(parameters.elements[atom] for atom in atoms)
            else:
                name = "".join(_pair_name(parameters, *pair) for pair in pairs)
            names[name] = kinds[tuple(sorted(atoms))]
    return names


def _pair_name(parameters: Parameters, first: int, second: int) -> str:
    """Return a pair's name as its line in the table of pairs orders it."""
    for pair in parameters.clusters[2]:
        if set(pair.atoms) == {first, second}:
            return "".join(_symbols(parameters, pair))
    raise ValueError(f"no pair of atom types {first} and {second}")


def _symbols(parameters: Parameters, cluster: ClusterType) -> list[str]:
    return [parameters.elements[atom] for atom in cluster.atoms]
