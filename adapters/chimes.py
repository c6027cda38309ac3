"""ChIMES: Chebyshev polynomials of transformed distances, summed over clusters of two to four atoms."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from ase import Atoms
from crossprune.adapters._blocks import WeightedRows
from crossprune.adapters._chimes_model import KCAL_PER_MOL, Model
from crossprune.adapters._chimes_options import (
    ChimesOptions,
    distances_by_radii,
    empty_model,
    with_lengths_of,
)
from crossprune.adapters._chimes_parameters import Parameters
from crossprune.adapters._chimes_reader import read_file
from crossprune.adapters._chimes_solvers import solve_by
from crossprune.adapters._chimes_writer import to_text
from crossprune.adapters._least_squares import Solution
from crossprune.adapters._linear import LinearFitter, LinearPotential, Rows
from crossprune.harness.contract import (
    Capabilities,
    Descriptor,
    FloatArray,
    IntArray,
    Potential,
    Prediction,
    Predictions,
    Prepared,
    Weights,
    require_elements,
)

PARAMETERS, SETTINGS = "params.txt", "chimes.json"
SelfImages = Literal["calculator", "once"]


class ChimesPotential(LinearPotential):
    """A ChIMES force field, fitted or read from a published file.

    Parameters
    ----------
    parameters
        The force field.
    self_images
        How clusters count that hold an atom and its own periodic image: ``once`` as all others, or as
        in the reference calculator. It matters only in cells with a lattice vector below the cutoff.
    """

    adapter: ClassVar[str] = "chimes"

    def __init__(
        self,
        parameters: Parameters,
        self_images: SelfImages = "once",
        info: Mapping[str, float | str] | None = None,
    ) -> None:
        super().__init__(sorted(parameters.elements), info)
        self.parameters, self.self_images = parameters, self_images
        self.model = Model(parameters, images_again=self_images == "calculator")
        # The last design column is the penalty: its coefficient is known.
        self.coefficients = np.append(parameters.unique_coefficients * KCAL_PER_MOL, 1.0)
        by_element = dict(zip(parameters.elements, parameters.offsets, strict=True))
        self.offsets = np.array([by_element[element] for element in self.elements]) * KCAL_PER_MOL

    def predict(self, atoms: Atoms) -> Prediction:
        """Evaluate all clusters."""
        self.require_elements(atoms)
        return self.model.predict(atoms)

    def write(self, folder: Path) -> None:
        """Write the parameter file of the ChIMES calculator."""
        (folder / PARAMETERS).write_text(to_text(self.parameters, ["written by crossprune"]))
        (folder / SETTINGS).write_text(json.dumps({"self_images": self.self_images}))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what `write` wrote."""
        settings = json.loads((folder / SETTINGS).read_text())
        return cls(read_file(folder / PARAMETERS), settings["self_images"])

    def export(self, folder: Path) -> list[Path]:
        """Write the parameter file, ready for the ChIMES calculator and its LAMMPS interface."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / PARAMETERS
        path.write_text(to_text(self.parameters, ["written by crossprune"]))
        return [path]


def read_parameters(path: str | Path, *, self_images: SelfImages = "calculator") -> ChimesPotential:
    """Read a parameter file of the ChIMES calculator: a potential in eV and Å.

    Parameters
    ----------
    path
        The file.
    self_images
        ``calculator``: as the reference calculator does, a cluster that holds m images of one atom
        counts m! times. ``once``: every cluster counts once, so that the energy is extensive in any
        cell. The two differ only if a lattice vector is shorter than the cutoff.

    Raises
    ------
    DataError
        If the file is truncated or has something unknown or inconsistent; with the line.
    """
    return ChimesPotential(read_file(Path(path)), self_images, {"self_images": self_images})


class Chimes(Descriptor[ChimesOptions], LinearFitter[ChimesOptions]):
    """Chebyshev cluster terms as latent space and as the basis of a linear model."""

    name = "chimes"
    capabilities = Capabilities(exact_subset_refit=True)
    options_type = ChimesOptions
    distributions: ClassVar[tuple[str, ...]] = ("numba", "numpy", "scikit-learn", "scipy")
    smoke: ClassVar[Mapping[str, Any]] = {"order_2b": 8, "order_3b": 4, "cutoff": 5.0, "cutoff_3b": 4.0}
    potential_type = ChimesPotential
    fit_options = LinearFitter.fit_options | {"solver", "svd_smallest", "path_end"}
    n_known = 1

    def __init__(
        self,
        elements: Sequence[str],
        options: ChimesOptions | None = None,
        isolated_atom_energies: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(elements, options, isolated_atom_energies)
        distances = distances_by_radii(self.elements, self.options)
        self._model = Model(empty_model(self.elements, self.options, distances))

    @property
    def n_columns(self) -> int:
        """Number of unique coefficients, and the penalty."""
        return self._model.n_columns

    def features(self, atoms: Atoms) -> FloatArray:
        """Return each atom's share of the terms of its clusters (no unit), a block per element of the atom.

        Lengths follow from the options and the elements, whatever ``from_subset`` says: features must
        be comparable between structures.
        """
        require_elements(atoms, self.elements, "adapter 'chimes'")
        return self._model.features(atoms)

    def rows(self, atoms: Atoms) -> Rows:
        """Compute the design rows; the last column is the penalty."""
        return self._model.rows(atoms)

    def potential(self, solution: Solution) -> ChimesPotential:
        """Make the potential from its coefficients (eV), the penalty's not among them."""
        return ChimesPotential(
            self._model.parameters.with_coefficients(
                solution.coefficients / KCAL_PER_MOL, (solution.offsets / KCAL_PER_MOL).tolist()
            )
        )

    def prepare(self, frames: Sequence[Atoms], *, workspace: Path | None = None) -> Prepared:
        """Compute the design rows of every frame; with ``from_subset`` keep the frames only."""
        if not self.options.from_subset:
            return super().prepare(frames, workspace=workspace)
        for atoms in frames:
            require_elements(atoms, self.elements, "adapter 'chimes'")
        return Prepared(frames)

    def fit(
        self, prepared: Prepared, subset: IntArray, *, weights: Weights, rng: np.random.Generator
    ) -> ChimesPotential:
        """Solve the weighted problem of the chosen rows; ``rng`` is not used."""
        if self.options.from_subset and len(subset):
            frames = [prepared.frames[index] for index in subset]
            options = with_lengths_of(frames, self.elements, self.options)
            own = Chimes(self.elements, options, self.isolated_atom_energies)
            return own.fit(own.prepare(frames), np.arange(len(frames)), weights=weights, rng=rng)
        potential = super().fit(prepared, subset, weights=weights, rng=rng)
        assert isinstance(potential, ChimesPotential)
        potential.info["n_coefficients"] = float(np.count_nonzero(potential.coefficients[:-1]))
        return potential

    def solve(self, rows: WeightedRows) -> Solution:
        """Solve by the chosen solver."""
        options = self.options
        if options.solver == "ridge":
            return super().solve(rows)
        return solve_by(options.solver, *rows.stacked(), rows.n_offsets, options.strength)

    def predict(self, potential: Potential, prepared: Prepared, indices: IntArray) -> Predictions:
        """Predict prepared frames by their rows, or from scratch with ``from_subset``."""
        if self.options.from_subset:
            return potential.predict_many([prepared.frames[index] for index in indices])
        return super().predict(potential, prepared, indices)
