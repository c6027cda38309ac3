"""Look through a GAP's files before QUIP sees them: an XML of QUIP may also name programs and other files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from xml.etree import ElementTree

import numpy as np
from crossprune.adapters.gap import gap_fit
from crossprune.harness.contract import FloatArray
from crossprune.harness.errors import DataError, unknown_name

COUNT, NUMBER, LABEL, SUM = r"\d{1,12}", r"[-+.\deE]{1,40}", r"[\w.]{1,100}", r"[0-9a-f]{32}"
GRAMMAR: dict[str, dict[str, str]] = {
    "Potential": {"label": LABEL, "init_args": f"IP GAP label={LABEL}"},
    "GAP_params": {"label": LABEL, "gap_version": COUNT},
    "GAP_data": {"do_core": "F"},
    "e0": {"Z": COUNT, "value": NUMBER},
    "gpSparse": {"label": LABEL, "n_coordinate": COUNT, "fitted": "T"},
    "gpCoordinates": {
        "label": LABEL,
        "dimensions": COUNT,
        "signal_variance": NUMBER,
        "signal_mean": NUMBER,
        "sparsified": "T",
        "n_permutations": "1",
        "covariance_type": "[12]",
        "zeta": NUMBER,
        "n_sparseX": COUNT,
        "sparseX_filename": LABEL,
        "sparseX_md5sum": SUM,
    },
    "theta": {},
    "descriptor": {},
    "permutation": {"i": "1"},
    "sparseX": {"i": COUNT, "alpha": NUMBER, "sparseCutoff": NUMBER},
    "command_line": {},
}
"""Elements that gap_fit writes for our kernels, and the form of their attributes."""
PAIR = (
    r"distance_2b cutoff={n} cutoff_transition_width={n} Z1=\d+ Z2=\d+ covariance_type=ard_se delta={n} "
    r"theta_uniform={n} sparse_method=uniform n_sparse=\d+ add_species=F"
).replace("{n}", NUMBER)
SOAP = (
    r"soap cutoff={n} cutoff_transition_width={n} n_max=(\d{1,2}) l_max=(\d{1,2}) atom_sigma={n} "
    r"n_species=(\d{1,2}) species_Z=\{[\d ]+\} Z=\d+ covariance_type=dot_product zeta={n} delta={n} "
    r"sparse_method=cur_points n_sparse=\d+ add_species=F"
).replace("{n}", NUMBER)
"""What `gap_fit.pair_part` and `gap_fit.soap_part` write."""


def require_gap(files: Mapping[str, bytes]) -> None:
    """Check that the parameter file describes one GAP, and names no file but those that came with it.

    QUIP runs a program if the potential is a ``FilePot``, opens any path as sparse points, follows document
    types, and ends the process at what it does not understand. So only what `GRAMMAR` knows is let through.

    Raises
    ------
    DataError
        If the XML is damaged, describes another potential, names another file, holds a number that is not
        finite, or has more or fewer sparse points than it announces.
    """
    root = _parsed(files[gap_fit.XML])
    for element in list(root.iter())[1:]:
        _require_known(element)
    potentials = [one.attrib["init_args"] for one in root.iter("Potential")]
    labels = [one.attrib["label"] for one in root.iter("GAP_params")]
    if len(labels) != 1 or potentials != [f"IP GAP label={labels[0]}"] or root.attrib:
        raise DataError(f"{gap_fit.XML} must hold one potential, a GAP of its own label; it has {potentials}")
    sections = list(root.iter("gpCoordinates"))
    announced = [one.attrib["n_coordinate"] for one in root.iter("gpSparse")]
    if announced != [str(len(sections))] or not sections:
        raise DataError(f"{gap_fit.XML} announces {announced} kernels and holds {len(sections)}")
    for section in sections:
        _require_section(section, files)


def _parsed(content: bytes) -> ElementTree.Element:
    try:
        text = content.decode()
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise DataError(f"{gap_fit.XML} declares a document type; a GAP has none")
        return ElementTree.fromstring(text)
    except (UnicodeDecodeError, ElementTree.ParseError) as error:
        raise DataError(f"{gap_fit.XML} is no XML, or damaged: {error}") from None


def _require_known(element: ElementTree.Element) -> None:
    """Compare an element with the grammar."""
    if element.tag not in GRAMMAR:
        raise DataError(f"{gap_fit.XML}: {unknown_name('element', element.tag, GRAMMAR)}")
    form = GRAMMAR[element.tag]
    missing = set(form) - set(element.attrib) - {"zeta"}  # of SOAP kernels only
    for name in sorted({*element.attrib, *missing}):
        value = element.attrib.get(name)
        if name not in form or value is None or not re.fullmatch(form[name], value):
            raise DataError(
                f"{gap_fit.XML}: {name} = {value!r} of {element.tag} is not what a GAP has there "
                "(another program's potential, or damaged)"
            )
        if form[name] is NUMBER:
            _finite(value, f"{gap_fit.XML}: {name} of {element.tag}")


def _require_section(section: ElementTree.Element, files: Mapping[str, bytes]) -> None:
    """Check a kernel: its descriptor, and that its sparse points came along as they were written."""
    name = section.attrib["sparseX_filename"]
    if name not in files or name == gap_fit.XML:
        known = ", ".join(sorted(set(files) - {gap_fit.XML})) or "none"
        raise DataError(f"{gap_fit.XML} names the sparse points {name!r}; beside it lie: {known}")
    digest = hashlib.md5(files[name], usedforsecurity=False).hexdigest()
    if section.attrib["sparseX_md5sum"] != digest:
        raise DataError(f"{name} is not what {gap_fit.XML} was written with: its checksum (MD5) differs")
    n_points, n_dimensions = int(section.attrib["n_sparseX"]), int(section.attrib["dimensions"])
    if n_dimensions != _dimensions(section):
        raise DataError(
            f"{gap_fit.XML}: the kernel of {name} has {n_dimensions} dimensions, not those it needs"
        )
    numbers = [one.attrib["i"] for one in section.findall("sparseX")]
    points = _finite(files[name].decode("latin-1"), name)
    if numbers != [str(i + 1) for i in range(n_points)] or len(points) != n_points * n_dimensions:
        raise DataError(
            f"{gap_fit.XML} announces {n_points} sparse points of {n_dimensions} dimensions; it holds "
            f"{len(numbers)} coefficients, and {name} {len(points)} numbers"
        )


def _dimensions(section: ElementTree.Element) -> int:
    """Return how many dimensions a kernel has: 1 for pairs; for SOAP all n, n', l and a constant."""
    text = [(one.text or "").strip() for one in section.findall("descriptor")]
    is_soap = section.attrib["covariance_type"] == "2"
    found = re.fullmatch(SOAP if is_soap else PAIR, text[0]) if len(text) == 1 else None
    children = [one.tag for one in section if one.tag != "sparseX"]
    own = ["descriptor", "permutation"] if is_soap else ["theta", "descriptor", "permutation"]
    if found is None or children != own or is_soap != ("zeta" in section.attrib):
        raise DataError(f"{gap_fit.XML}: a kernel with the descriptor {text} is none of ours, or damaged")
    for one in section:
        if one.tag == "theta":
            _finite(one.text or "", f"{gap_fit.XML}: theta")
        if one.tag == "permutation" and (one.text or "").strip() != "1":
            raise DataError(f"{gap_fit.XML}: the permutation {one.text!r} is not 1")
    if not is_soap:
        return 1
    n_max, l_max, n_species = map(int, found.groups())
    channels = n_species * n_max
    return channels * (channels + 1) // 2 * (l_max + 1) + 1


def _finite(text: str, where: str) -> FloatArray:
    """Read finite numbers."""
    try:
        values = np.array(text.split(), dtype=np.float64)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None
    if not np.isfinite(values).all():
        raise DataError(f"{where}: a number is not finite")
    return values


__all__ = ["require_gap"]
