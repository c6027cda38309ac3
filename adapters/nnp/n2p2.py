"""Files of n2p2 (Singraber 2019, doi:10.1021/acs.jctc.8b00770): input.nn, scaling.data, weights.NNN.data.

n2p2 sorts elements by atomic number and functions by their parameters; scaling and weights follow that order.
Its files carry no units: the reader must be told them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers
from ase.units import Bohr, Hartree
from crossprune.adapters.nnp.files import require_usable
from crossprune.adapters.nnp.functions import Angular, Radial, SymmetryFunctions
from crossprune.adapters.nnp.network import ACTIVATIONS, Network
from crossprune.harness.contract import FloatArray
from crossprune.harness.errors import DataError, StudyError, unknown_name

UNITS = {"eV-Angstrom": (1.0, 1.0), "Hartree-Bohr": (Hartree, Bohr)}
"""Name of a pair of units to the energy in eV and the length in Å."""
CUTOFF_TYPES = (1, 6)
RADIAL, NARROW, WIDE = 2, 3, 9
"""n2p2's numbers of G2, G4 and G5."""
SWITCHES = ("scale_symmetry_functions", "center_symmetry_functions", "scale_symmetry_functions_sigma")
REFUSED = ("normalize_nodes", "element_nodes_short", "element_hidden_layers_short", "nnp_type", "nnp_gen")
"""Keywords that change the energy in ways that are not read here."""


def export(
    folder: Path,
    functions: SymmetryFunctions,
    members: Sequence[Sequence[Network]],
    offsets: Mapping[str, float],
) -> list[Path]:
    """Write networks in eV and Å; an ensemble goes to ``member0``, ``member1``, ... in ``folder``."""
    paths = []
    for number, member in enumerate(members):
        own = folder if len(members) == 1 else folder / f"member{number}"
        own.mkdir(parents=True, exist_ok=True)
        networks = dict(zip(functions.elements, member, strict=True))
        paths += _write_member(own, functions, networks, offsets)
    return paths


def _write_member(
    folder: Path, described: SymmetryFunctions, networks: Mapping[str, Network], offsets: Mapping[str, float]
) -> list[Path]:
    elements = sorted(described.elements, key=atomic_numbers.__getitem__)
    sample = networks[elements[0]]
    letters = " ".join(ACTIVATIONS[name][0] for name in sample.activations)
    lines = [
        "# eV and Angstrom; written by crossprune",
        f"number_of_elements {len(elements)}",
        f"elements {' '.join(elements)}",
        *(f"atom_energy {element} {offsets[element]:.17g}" for element in elements),
        f"cutoff_type {described.cutoff_function} 0.0",
        "scale_symmetry_functions_sigma",
        "scale_min_short 0.0",
        "scale_max_short 1.0",
        f"global_hidden_layers_short {len(sample.activations)}",
        f"global_nodes_short {' '.join(str(len(bias)) for bias in sample.biases[:-1])}",
        f"global_activation_short {letters} l",
    ]
    scaling, paths = [], [folder / "input.nn", folder / "scaling.data"]
    for index, element in enumerate(elements, start=1):
        functions, network = described.of_element[element], networks[element]
        order = sorted(range(len(functions)), key=lambda column: _rank(functions[column], elements))
        lines += [_line(element, functions[column], described.cutoff) for column in order]
        columns = (network.lowest, network.highest, network.centre, network.scale)
        for row, column in enumerate(order, start=1):
            numbers = " ".join(f"{values[column]:24.16E}" for values in columns)
            scaling.append(f"{index:4d} {row:4d} {numbers}")
        paths.append(folder / f"weights.{atomic_numbers[element]:03d}.data")
        paths[-1].write_text(_connections(network, order))
    paths[0].write_text("\n".join(lines) + "\n")
    paths[1].write_text("\n".join(scaling) + "\n")
    return paths


def _rank(function: Radial | Angular, elements: Sequence[str]) -> tuple[float, ...]:
    """Return n2p2's sort key among the functions of one centre with one cutoff."""
    if isinstance(function, Radial):
        return (RADIAL, function.eta, function.shift, elements.index(function.element))
    first, second = sorted(elements.index(element) for element in function.elements)
    kind = NARROW if function.narrow else WIDE
    return (kind, function.eta, function.shift, function.zeta, function.sign, first, second)


def _line(centre: str, function: Radial | Angular, cutoff: float) -> str:
    if isinstance(function, Radial):
        words = [function.element, f"{function.eta:.17g}", f"{function.shift:.17g}", f"{cutoff:.17g}"]
        return f"symfunction_short {centre} {RADIAL} {' '.join(words)}"
    kind = NARROW if function.narrow else WIDE
    numbers = f"{function.eta:.17g} {function.sign} {function.zeta:.17g} {cutoff:.17g}"
    shift = f" {function.shift:.17g}" if function.shift else ""
    return f"symfunction_short {centre} {kind} {' '.join(function.elements)} {numbers}{shift}"


def _connections(network: Network, order: Sequence[int]) -> str:
    """List weights and biases layer by layer, the start neuron in the outer loop."""
    lines, count = [], 0
    for layer, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        rows = weight[list(order)] if layer == 0 else weight
        for start, row in enumerate(rows, start=1):
            for end, value in enumerate(row, start=1):
                count += 1
                lines.append(f"{value:24.16E} a {count:9d} {layer:5d} {start:5d} {layer + 1:5d} {end:5d}")
        for end, value in enumerate(bias, start=1):
            count += 1
            lines.append(f"{value:24.16E} b {count:9d} {layer + 1:5d} {end:5d}")
    return "\n".join(lines) + "\n"


def read(spec: str) -> tuple[SymmetryFunctions, list[list[Network]], dict[str, float]]:
    """Read a published n2p2 potential: symmetry functions, networks, energies per element (eV).

    Parameters
    ----------
    spec
        ``folder`` or ``folder:units`` with units ``eV-Angstrom`` (the default) or ``Hartree-Bohr``, for
        energies (``atom_energy`` too) and lengths of the files.

    Raises
    ------
    StudyError
        If the folder does not exist or the units are unknown.
    DataError
        If a file is missing, broken, or asks for something that is not supported.
    """
    name, _, units = spec.partition(":")
    folder = Path(name)
    if units and units not in UNITS:
        raise StudyError(unknown_name("units", units, UNITS))
    if not folder.is_dir():
        raise StudyError(f"'nnp:{spec}': no such folder {name!r}; expected nnp:<folder>[:<units>]")
    try:
        found = _read(folder, *UNITS[units or "eV-Angstrom"])
        require_usable(*found)
        return found
    except (OSError, ValueError, LookupError, TypeError, ArithmeticError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{folder} holds no readable n2p2 potential: {error!r}") from None


def _read(
    folder: Path, energy: float, length: float
) -> tuple[SymmetryFunctions, list[list[Network]], dict[str, float]]:
    lines = [line.split("#")[0].split() for line in (folder / "input.nn").read_text().splitlines()]
    lines = [line for line in lines if line]
    settings = {line[0]: line[1:] for line in lines}
    for word in REFUSED:
        if word in settings:
            raise DataError(f"{folder / 'input.nn'}: {word} is not supported")
    elements = sorted(settings["elements"], key=atomic_numbers.__getitem__)
    functions = _functions(lines, elements, settings, length)
    letters = {letter: name for name, (letter, *_) in ACTIVATIONS.items()}
    activations = settings["global_activation_short"]
    if set(activations) - set(letters) or activations[-1] != "l":
        raise DataError(
            f"{folder / 'input.nn'}: activations {' '.join(activations)} are not supported; known: "
            f"{' '.join(letters)}, the last one l"
        )
    nodes = list(map(int, settings["global_nodes_short"]))
    table = np.array(
        [
            line.split()[:6]
            for line in (folder / "scaling.data").read_text().splitlines()
            if len(line.split()) >= 6 and not line.startswith("#")
        ],
        dtype=np.float64,
    )
    names = tuple(letters[letter] for letter in activations[:-1])
    factor = energy / float(settings.get("conv_energy", ["1"])[0])
    networks, offsets = [], dict.fromkeys(elements, energy * float(settings.get("mean_energy", ["0"])[0]))
    for line in lines:
        if line[0] == "atom_energy":
            offsets[line[1]] += energy * float(line[2])
    for index, element in enumerate(elements, start=1):
        sizes = [len(functions.of_element[element]), *nodes, 1]
        path = folder / f"weights.{atomic_numbers[element]:03d}.data"
        weights, biases = _read_connections(path, sizes)
        weights[-1], biases[-1] = weights[-1] * factor, biases[-1] * factor
        low, high, mean, sigma = table[table[:, 0] == index][:, 2:].T
        if len(low) != sizes[0]:
            raise DataError(f"{folder / 'scaling.data'}: {len(low)} lines for {element}, expected {sizes[0]}")
        centre, scale = _scaling(settings, low, high, mean, sigma)
        networks.append(Network(tuple(weights), tuple(biases), names, centre, scale, low, high))
    return functions, [networks], offsets


def _functions(
    lines: Sequence[Sequence[str]], elements: Sequence[str], settings: dict[str, list[str]], length: float
) -> SymmetryFunctions:
    cutoff_type = [float(word) for word in settings["cutoff_type"]]
    if cutoff_type[0] not in CUTOFF_TYPES or any(cutoff_type[1:]):
        raise DataError(
            f"cutoff_type {settings['cutoff_type']} is not supported; known: 1 (cosine), 6 (quintic)"
        )
    of_element: dict[str, list[Radial | Angular]] = {element: [] for element in elements}
    cutoffs = set()
    for line in lines:
        if line[0] != "symfunction_short":
            continue
        centre, kind, words = line[1], int(line[2]), line[3:]
        if kind == RADIAL:
            eta, shift, cutoff = map(float, words[1:4])
            of_element[centre].append(Radial(eta / length**2, shift * length, words[0]))
        elif kind in (NARROW, WIDE):
            eta, sign, zeta, cutoff = map(float, words[2:6])
            shift = float(words[6]) if len(words) > 6 else 0.0
            pair = (words[0], words[1])
            if abs(sign) != 1:
                raise DataError(f"symfunction_short {' '.join(line[1:])}: λ is {sign:g}; known: 1, -1")
            of_element[centre].append(
                Angular(eta / length**2, shift * length, zeta, int(sign), pair, kind == NARROW)
            )
        else:
            raise DataError(f"symmetry functions of type {kind} are not supported; known: 2, 3, 9")
        cutoffs.add(cutoff)
    if len(cutoffs) != 1:
        raise DataError(f"symmetry functions must share one cutoff, found {sorted(cutoffs)}")
    ordered = {
        element: tuple(sorted(listed, key=lambda function: _rank(function, elements)))
        for element, listed in of_element.items()
    }
    return SymmetryFunctions(cutoffs.pop() * length, int(cutoff_type[0]), ordered)


def _read_connections(path: Path, sizes: Sequence[int]) -> tuple[list[FloatArray], list[FloatArray]]:
    shapes = list(itertools.pairwise(sizes))
    lines = path.read_text().splitlines()
    if min(sizes) < 1 or sum(a * b + b for a, b in shapes) > len(lines):
        raise DataError(f"{path} has {len(lines)} lines, too few for a network of {list(sizes)} nodes")
    weights, biases = [np.full(shape, np.nan) for shape in shapes], [np.full(n, np.nan) for _, n in shapes]
    for line in lines:
        words = line.split("#")[0].split()
        if not words:
            continue
        value, places = float(words[0]), [int(word) for word in words[3:]]
        if words[1] == "a":
            weights[places[0]][places[1] - 1, places[3] - 1] = value
        else:
            biases[places[0] - 1][places[1] - 1] = value
    if not all(np.isfinite(array).all() for array in (*weights, *biases)):
        raise DataError(f"{path}: weights or biases are missing for a network of {list(sizes)} nodes")
    return weights, biases


def _scaling(
    settings: dict[str, list[str]], low: FloatArray, high: FloatArray, mean: FloatArray, sigma: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return centre and scale of (G − centre)/scale for n2p2's five ways of scaling."""
    scaled, centred, by_sigma = (word in settings for word in SWITCHES)
    bottom = float(settings.get("scale_min_short", ["0"])[0])
    top = float(settings.get("scale_max_short", ["1"])[0])
    if by_sigma:
        scale, origin = sigma / (top - bottom), mean
    elif scaled:
        # n2p2 divides by zero where a function never varied; such a function is not scaled here.
        extent = np.where(high > low, high - low, 1.0)
        scale, origin = extent / (top - bottom), mean if centred else low
    else:
        return (mean if centred else np.zeros_like(mean)), np.ones_like(mean)
    return origin - bottom * scale, scale
