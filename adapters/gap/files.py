"""QUIP's parameter files of a GAP, written from its sparse points and coefficients."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers
from crossprune.adapters.gap import gap_fit
from crossprune.adapters.gap.fast import SparseModel
from crossprune.adapters.gap.options import GapOptions
from crossprune.harness.contract import FloatArray

GAP_VERSION = 1769700636
"""Version of GAP (seconds since 1970 of its last change) whose conventions these files follow."""
GAUSSIAN, DOT_PRODUCT = 1, 2
"""QUIP's numbers of the two kernels: squared exponential and power of a scalar product."""


@dataclass(frozen=True)
class _Section:
    """One kernel with its sparse points, shape (n_points, n_dimensions)."""

    descriptor: str
    covariance: int
    points: FloatArray
    fade: FloatArray
    coefficients: FloatArray
    delta: float
    shape: tuple[str, float]
    """Name and value of the kernel's own parameter: ``theta`` (Å) or ``zeta``."""


def parameter_files(model: SparseModel, options: GapOptions) -> dict[str, bytes]:
    """Return ``gap.xml`` and its files of sparse points, as gap_fit writes them."""
    files: dict[str, bytes] = {}
    body = []
    for number, section in enumerate(_sections(model, options), start=1):
        label = f"{gap_fit.LABEL}{number}"
        name = f"{gap_fit.XML}.sparseX.{label}"
        files[name] = ("\n".join(map(repr, section.points.ravel().tolist())) + "\n").encode()
        body += _coordinates(
            section, label, name, hashlib.md5(files[name], usedforsecurity=False).hexdigest()
        )
    energies = [
        f'    <e0 Z="{atomic_numbers[element]}" value="{energy!r}"/>'
        for element, energy in model.baseline.items()
    ]
    n_sections = len(files)
    text = [
        f"<{gap_fit.LABEL}>",
        f'<Potential label="{gap_fit.LABEL}" init_args="IP GAP label={gap_fit.LABEL}"/>',
        f'<GAP_params label="{gap_fit.LABEL}" gap_version="{GAP_VERSION}">',
        '  <GAP_data do_core="F">',
        *energies,
        "  </GAP_data>",
        f'  <gpSparse label="{gap_fit.LABEL}" n_coordinate="{n_sections}" fitted="T">',
        *body,
        "  </gpSparse>",
        "</GAP_params>",
        f"</{gap_fit.LABEL}>",
    ]
    return {gap_fit.XML: ("\n".join(text) + "\n").encode(), **files}


def _sections(model: SparseModel, options: GapOptions) -> Iterator[_Section]:
    """Yield pairs first, then SOAP, in gap_fit's order."""
    n_soap = len(model.columns)
    for kernel, coefficients in zip(model.pair_kernels, model.coefficients[n_soap:], strict=True):
        yield _Section(
            gap_fit.pair_part(kernel.elements, len(kernel.points), options),
            GAUSSIAN,
            kernel.points[:, None],
            kernel.fade(kernel.points)[0],
            coefficients,
            options.pair_delta,
            ("theta", options.pair_theta),
        )
    for element, points, coefficients in zip(
        model.elements, model.points, model.coefficients[:n_soap], strict=True
    ):
        yield _Section(
            gap_fit.soap_part(element, len(points), tuple(model.baseline), options),
            DOT_PRODUCT,
            np.column_stack([points, np.zeros(len(points))]),  # QUIP's constant offset of the kernel
            np.ones(len(points)),
            coefficients,
            options.delta,
            ("zeta", options.zeta),
        )


def _coordinates(section: _Section, label: str, name: str, checksum: str) -> list[str]:
    n_points, n_dimensions = section.points.shape
    kind, value = section.shape
    zeta = f' zeta="{value!r}"' if kind == "zeta" else ""
    return [
        f'    <gpCoordinates label="{label}" dimensions="{n_dimensions}" signal_variance="{section.delta!r}" '
        f'signal_mean="0.0" sparsified="T" n_permutations="1" covariance_type="{section.covariance}"{zeta} '
        f'n_sparseX="{n_points}" sparseX_filename="{name}" sparseX_md5sum="{checksum}">',
        *([f"      <theta>{value!r}</theta>"] if kind == "theta" else []),
        f"      <descriptor>{section.descriptor}</descriptor>",
        '      <permutation i="1">1</permutation>',
        *(
            f'      <sparseX i="{index}" alpha="{coefficient!r}" sparseCutoff="{fade!r}"/>'
            for index, (coefficient, fade) in enumerate(
                zip(section.coefficients.tolist(), section.fade.tolist(), strict=True), start=1
            )
        ),
        "    </gpCoordinates>",
    ]


__all__ = ["parameter_files"]
