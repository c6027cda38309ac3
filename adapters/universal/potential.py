"""A universal model with what was fitted on top of it: a factor, a linear term, energies per element."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from ase import Atoms
from crossprune.adapters.linear.fitter import LinearPotential
from crossprune.adapters.programs.quip import boxed
from crossprune.adapters.universal.link import Place, link_to, require_known
from crossprune.adapters.universal.options import UniversalOptions
from crossprune.adapters.universal.places import backend_of, place_of, versions_of, weights_of
from crossprune.harness.contract import FloatArray, Prediction, Predictions
from crossprune.harness.contract.neighbours import require_places
from crossprune.harness.data.frames import element_counts
from crossprune.harness.errors import DataError, StudyError
from crossprune.harness.tables import from_table

SETTINGS, NUMBERS, PARAMETERS = "universal.json", "coefficients.txt", "parameters.npz"
MOST_NEIGHBOURS = 3000
"""Of an atom; in a metal within 6 Å there are 80."""
BATCH = 32
"""Structures that a worker is asked for at a time."""
KEPT = ("model", "modal", "environment", "head")
"""Options that a saved potential holds."""


class UniversalPotential(LinearPotential):
    """Predicts c·E + Σ w·φ + Σ μ: E of the model, φ its features, summed over atoms, μ energies per element.

    Parameters
    ----------
    elements
        Chemical symbols.
    options
        Which model.
    place
        Where it is computed, from which weights.
    coefficients
        w (eV), shape (n_features,) or (0,), then c, no unit.
    offsets
        μ, eV, shape (n_elements,).
    parameters
        Of the network, where they differ from the published ones.
    """

    adapter: ClassVar[str] = "universal"

    def __init__(
        self,
        elements: Sequence[str],
        options: UniversalOptions,
        place: Place,
        coefficients: FloatArray,
        offsets: FloatArray,
        parameters: Mapping[str, FloatArray] | None = None,
    ) -> None:
        super().__init__(elements)
        self.options, self.coefficients, self.offsets = options, coefficients, offsets
        self.parameters = dict(parameters or {})
        self._place = place
        self._state = _digest(self.parameters)

    def predict(self, atoms: Atoms) -> Prediction:
        """Ask the worker for one structure."""
        found = self.predict_many([atoms])
        stress = None if np.isnan(found.stresses).any() else found.stresses[0]
        return Prediction(float(found.energies[0]), found.forces, stress)

    def predict_many(self, frames: Sequence[Atoms]) -> Predictions:
        """Ask the worker for many structures, some at a time."""
        link = link_to(self._place)
        for atoms in frames:
            self.require_elements(atoms)
            require_known(atoms, link.facts["elements"], self.options.model)
        mix = np.append(self.coefficients[-1:], self.coefficients[:-1])
        parts = [
            link.compute(
                in_box(frames[start : start + BATCH], float(link.facts["cutoff"])),
                mix=mix if len(mix) > 1 or mix[0] != 1 else None,
                state=(self._state, self.parameters),
            )
            for start in range(0, len(frames), BATCH)
        ]
        energies = np.concatenate([np.empty(0), *(one.energies for one in parts)])
        stresses = np.concatenate([np.empty((0, 6)), *(one.stresses for one in parts)])
        stresses[[not has_stress(atoms) for atoms in frames]] = np.nan
        return Predictions(
            energies=energies + element_counts(frames, self.elements) @ self.offsets,
            forces=np.concatenate([np.empty((0, 3)), *(one.forces for one in parts)]),
            stresses=stresses,
        )

    def write(self, folder: Path) -> None:
        """Write what was fitted, and which model it is on, with the digest of its weights."""
        kept = {name: one for name, one in dataclasses.asdict(self.options).items() if name in KEPT}
        settings = {
            "elements": self.elements,
            "options": kept,
            "digest": self._place.digest,
            "weights": str(self._place.weights),
            "versions": versions_of(self.options),
        }
        (folder / SETTINGS).write_text(json.dumps(settings, indent=1))
        np.savetxt(folder / NUMBERS, np.concatenate([self.offsets, self.coefficients]))
        if self.parameters:
            arrays: dict[str, Any] = dict(self.parameters)
            np.savez(folder / PARAMETERS, **arrays)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what `write` wrote.

        Raises
        ------
        DataError
            If it is not whole, or the weights here are not those that it was fitted on.
        """
        settings = json.loads((folder / SETTINGS).read_text())
        table = {name: settings["options"][name] for name in KEPT}
        options = from_table(UniversalOptions, table, SETTINGS)
        place = _found_again(options, str(settings["weights"]), str(settings["digest"]), folder)
        values = np.loadtxt(folder / NUMBERS, ndmin=1)
        elements = [str(one) for one in settings["elements"]]
        n_least = len(elements) + (2 if options.head == "linear" else 1)
        fits = len(values) >= n_least if options.head == "linear" else len(values) == n_least
        if values.ndim != 1 or not fits or not np.isfinite(values).all():
            raise DataError(f"{folder / NUMBERS} needs {n_least} or more numbers, all finite")
        parameters = {}
        if (folder / PARAMETERS).is_file():
            with np.load(folder / PARAMETERS, allow_pickle=False) as found:
                parameters = {name: found[name] for name in found.files}
        if any(one.dtype.kind != "f" or not np.isfinite(one).all() for one in parameters.values()):
            raise DataError(f"{folder / PARAMETERS} holds what are no finite numbers")
        return cls(elements, options, place, values[len(elements) :], values[: len(elements)], parameters)

    def export(self, folder: Path) -> list[Path]:
        """Write what `write` writes: there is no other native format."""
        folder.mkdir(parents=True, exist_ok=True)
        self.write(folder)
        return [folder / name for name in (SETTINGS, NUMBERS, PARAMETERS) if (folder / name).is_file()]


def in_box(frames: Sequence[Atoms], cutoff: float) -> list[Atoms]:
    """Copy structures into cells that are periodic along three vectors, with vacuum where they were not."""
    boxes = []
    for atoms in frames:
        require_places(atoms)
        box = boxed(atoms, cutoff)
        neighbours = 4.19 * cutoff**3 * len(box) / box.get_volume()
        if neighbours > MOST_NEIGHBOURS:
            raise DataError(
                f"structure {atoms.get_chemical_formula()}: about {neighbours:.0f} neighbours of each atom "
                f"within {cutoff:g} Å; a model of {MOST_NEIGHBOURS} would not end: look at the cell"
            )
        boxes.append(box)
    return boxes


def has_stress(atoms: Atoms) -> bool:
    """Tell whether a structure fills space, so that it has a stress."""
    return bool(atoms.pbc.all())


def read_potential(name: str) -> UniversalPotential:
    """Return a published model as it is: ``chgnet:0.3.0``, ``sevenn:7net-mf-0,modal=PBE``, ``mace:./a.pt``.

    Raises
    ------
    StudyError
        If the name is not understood, or there are no such weights.
    """
    model, *settings = re.split(r",(?=(?:modal|environment|device)=)", name)
    table: dict[str, Any] = {"model": model}
    table |= dict(one.split("=", 1) for one in settings)
    if re.search(r",\w+=", model):  # a path may have commas
        raise StudyError(
            f"universal:{name}: after a comma stands modal=…, environment=… or device=…; a head is fitted "
            "by a study, and its potential read from its folder"
        )
    package, _, file = model.partition(":")
    if os.sep in file:  # on a command line, paths are relative to where it runs
        table["model"] = f"{package}:{Path(file).absolute()}"
    options = from_table(UniversalOptions, table, f"universal:{name}")
    backend_of(options)
    place = place_of(options)
    elements = [str(one) for one in link_to(place).facts["elements"]]
    return UniversalPotential(elements, options, place, np.ones(1), np.zeros(len(elements)))


def _found_again(options: UniversalOptions, weights: str, digest: str, folder: Path) -> Place:
    """Find the weights that a saved potential rests on, where they are named or where they were; fetch none.

    Raises
    ------
    DataError
        If they are not there, or others.
    """
    found = []
    for one in (weights, options.model.partition(":")[2]):
        with contextlib.suppress(StudyError):
            named = dataclasses.replace(options, model=f"{options.model.partition(':')[0]}:{one}")
            found.append(weights_of(named, fetch=False))
    places = [place_of(options, weights=one) for one in dict.fromkeys(found)]
    if same := [place for place in places if place.digest == digest]:
        return same[0]
    here = ", ".join(f"{place.weights} has {place.digest[:12]}…" for place in places) or "they are not here"
    raise DataError(f"{folder} was fitted on the weights {digest[:12]}… of {options.model}: {here}")


def _digest(parameters: Mapping[str, FloatArray]) -> str:
    if not parameters:
        return ""
    total = hashlib.sha256()
    for name in sorted(parameters):
        total.update(name.encode() + np.ascontiguousarray(parameters[name]).tobytes())
    return total.hexdigest()
