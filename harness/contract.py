"""What a model family must offer: descriptor, fitter and potential, in ASE's units and signs.

Units: energies eV, lengths Å, forces eV/Å, stress eV/Å³ in Voigt order xx yy zz yz xz xy, positive = tension.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from crossprune.harness.errors import DataError, StudyError
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Options = TypeVar("Options")

HEADER = "potential.json"
"""File in a saved potential's folder that says which adapter reads it."""


@dataclass(frozen=True)
class Capabilities:
    """What an adapter claims; every claim is tested by the contract's checks."""

    describes: bool = True
    """Gives features, so it can choose data."""
    fits: bool = True
    """Fits a potential, so it can be retrained."""
    stress: bool = True
    """Predicts stress and can fit to it."""
    multi_element: bool = True
    """Handles more than one element in a data set."""
    exact_subset_refit: bool = False
    """A refit on a subset is linear algebra on prepared blocks and equals a fit from scratch."""
    seeded: bool = False
    """The random generator given to ``fit`` changes the parameters."""


@dataclass(frozen=True)
class GroupWeight:
    """Weights of one group's residuals, relative to the adapter's own (dimensionless)."""

    energy: float = 1.0
    """Factor on the weight of energies per atom."""
    forces: float = 1.0
    """Factor on the weight of force components."""
    stress: float = 1.0
    """Factor on the weight of stress components."""


Weights = Mapping[str, GroupWeight]
"""Group name to its relative weights; a group that is not named has weight 1."""


@dataclass(frozen=True)
class Prediction:
    """One structure's energy (eV), forces (eV/Å, shape (n_atoms, 3)), stress (eV/Å³, shape (6,))."""

    energy: float
    forces: FloatArray
    stress: FloatArray | None = None


@dataclass(frozen=True)
class Predictions:
    """Predictions for several structures, concatenated in their order.

    ``energies``: eV, shape (n_frames,); ``forces``: eV/Å, shape (Σ n_atoms, 3);
    ``stresses``: eV/Å³, shape (n_frames, 6), NaN where a structure has none.
    """

    energies: FloatArray
    forces: FloatArray
    stresses: FloatArray

    @classmethod
    def from_list(cls, predictions: Sequence[Prediction]) -> Self:
        """Concatenate single predictions."""
        none = np.full(6, np.nan)
        return cls(
            energies=np.array([one.energy for one in predictions], dtype=np.float64),
            forces=np.concatenate([one.forces for one in predictions] or [np.empty((0, 3))]),
            stresses=np.array([none if one.stress is None else one.stress for one in predictions]).reshape(
                -1, 6
            ),
        )


@dataclass(frozen=True)
class Prepared:
    """Everything a fitter computes once per data set, whatever subset is chosen later.

    Parameters
    ----------
    frames
        The structures that were prepared, in order; ``subset`` in `Fitter.fit` indexes them.
    arrays
        Arrays that do not depend on the subset. The harness stores and memory-maps them.
    """

    frames: Sequence[Atoms]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Thermostat:
    """Langevin's: temperature (K), relaxation time (fs) and the seed of its random forces."""

    temperature: float
    relaxation_time: float
    seed: int


@dataclass(frozen=True)
class MotionState:
    """A moment of molecular dynamics.

    ``positions`` Å (wrapped or not), ``velocities`` Å/fs, ``forces`` eV/Å, all (n_atoms, 3); ``energy`` eV.
    """

    positions: FloatArray
    velocities: FloatArray
    forces: FloatArray
    energy: float


class Dynamics(ABC):
    """Molecular dynamics of one structure in a fixed cell, advanced step by step."""

    @abstractmethod
    def advance(self, n_steps: int) -> MotionState:
        """Go on by ``n_steps``; raise `MotionLost` if the program that runs them gives up."""


class Potential(ABC):
    """A fitted or published model that predicts energies, forces and stress."""

    adapter: ClassVar[str]
    """Name under which `lookup` finds the adapter that can load it."""

    def __init__(self, elements: Sequence[str], info: Mapping[str, float | str] | None = None) -> None:
        self.elements = tuple(elements)
        self.info: dict[str, float | str] = dict(info or {})
        """Facts about the fit for the results table, such as ``condition_number``."""

    @abstractmethod
    def predict(self, atoms: Atoms) -> Prediction:
        """Predict one structure; ``atoms`` is left untouched.

        Raises
        ------
        DataError
            If the structure has an element that the potential does not know.
        """

    def predict_many(self, frames: Sequence[Atoms]) -> Predictions:
        """Predict several structures; override where a batch is faster."""
        return Predictions.from_list([self.predict(atoms) for atoms in frames])

    def calculator(self) -> Calculator:
        """Return an ASE calculator; override where the family has a faster one."""
        return PotentialCalculator(self)

    def dynamics(self, atoms: Atoms, *, timestep: float, thermostat: Thermostat | None) -> Dynamics | None:
        """Return the family's own molecular dynamics, or None: the harness then uses the calculator.

        ``atoms`` carries the momenta at the start; ``timestep`` fs; no thermostat keeps the energy.
        """
        return None

    @abstractmethod
    def write(self, folder: Path) -> None:
        """Write the parameters into an existing folder, in the adapter's own format."""

    @classmethod
    @abstractmethod
    def read(cls, folder: Path) -> Self:
        """Read what `write` wrote."""

    @abstractmethod
    def export(self, folder: Path) -> list[Path]:
        """Write the family's native files, ready for LAMMPS or the family's tools; return them."""

    def save(self, folder: Path) -> None:
        """Save into ``folder`` with a header that names adapter, elements and facts of the fit."""
        folder.mkdir(parents=True, exist_ok=True)
        self.write(folder)
        header = {"adapter": self.adapter, "elements": list(self.elements), "info": self.info}
        (folder / HEADER).write_text(json.dumps(header, indent=1, sort_keys=True))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load what `save` saved.

        Raises
        ------
        DataError
            If the folder holds no potential of this adapter.
        """
        header = read_header(folder)
        if header["adapter"] != cls.adapter:
            raise DataError(f"{folder} holds a potential of {header['adapter']!r}, not of {cls.adapter!r}")
        potential = cls.read(folder)
        potential.elements = tuple(header["elements"])
        potential.info = dict(header["info"])
        return potential

    def require_elements(self, atoms: Atoms) -> None:
        """Raise `DataError` if ``atoms`` has an element that the potential does not know."""
        require_elements(atoms, self.elements, f"this {self.adapter} potential")


def require_elements(atoms: Atoms, elements: Sequence[str], owner: str) -> None:
    """Raise `DataError` if ``atoms`` has an element outside ``elements``."""
    unknown = sorted(set(atoms.get_chemical_symbols()) - set(elements))
    if unknown:
        raise DataError(
            f"{owner} knows {', '.join(elements)}, but the structure {atoms.get_chemical_formula()} "
            f"has {', '.join(unknown)}; choose a potential or data set with matching elements"
        )


def read_header(folder: Path) -> dict[str, Any]:
    """Read the header of a saved potential.

    Raises
    ------
    DataError
        If the folder has no readable header.
    """
    try:
        header: dict[str, Any] = json.loads((folder / HEADER).read_text())
        return {"adapter": header["adapter"], "elements": header["elements"], "info": header["info"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder} holds no saved potential: {HEADER}: {error}") from None


class PotentialCalculator(Calculator):
    """ASE calculator around `Potential.predict`."""

    implemented_properties = ["energy", "free_energy", "forces", "stress"]

    def __init__(self, potential: Potential) -> None:
        super().__init__()
        self.potential = potential

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] | None = None,
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute all properties of ``atoms`` at once."""
        super().calculate(atoms, list(properties or ["energy"]), list(system_changes))
        assert self.atoms is not None
        prediction = self.potential.predict(self.atoms)
        self.results = {
            "energy": prediction.energy,
            "free_energy": prediction.energy,
            "forces": prediction.forces,
        }
        if prediction.stress is not None:
            self.results["stress"] = prediction.stress


class Adapter(ABC, Generic[Options]):
    """One model family for a fixed set of elements and options.

    Parameters
    ----------
    elements
        Chemical symbols the adapter must handle; kept sorted.
    options
        The adapter's frozen options; its defaults if not given.
    isolated_atom_energies
        Energy of each isolated atom (eV) if the data set's card has them; otherwise per-element
        offsets are regressed on the chosen subset.

    Raises
    ------
    StudyError
        For several elements if the adapter handles one only.
    """

    name: ClassVar[str]
    """The name in the adapter table."""
    capabilities: ClassVar[Capabilities] = Capabilities()
    options_type: ClassVar[type[Any]]
    """Frozen dataclass of options, one docstring line per field."""
    distributions: ClassVar[tuple[str, ...]] = ("numpy", "scipy")
    """Installed packages whose versions the results depend on."""
    smoke: ClassVar[Mapping[str, Any]] = {}
    """Options with which the adapter fits a handful of small frames within seconds."""
    fit_options: ClassVar[frozenset[str]] = frozenset()
    """Options that only ``fit`` reads: features and what was prepared stay valid when they change."""

    def __init__(
        self,
        elements: Sequence[str],
        options: Options | None = None,
        isolated_atom_energies: Mapping[str, float] | None = None,
    ) -> None:
        self.elements = tuple(sorted(elements))
        if len(self.elements) > 1 and not self.capabilities.multi_element:
            raise StudyError(f"adapter {self.name!r} handles one element, got {', '.join(self.elements)}")
        self.options: Options = self.options_type() if options is None else options
        self.isolated_atom_energies = None if isolated_atom_energies is None else dict(isolated_atom_energies)

    @classmethod
    def is_seeded(cls, options: Any) -> bool:
        """Say whether, with these options, the generator given to ``fit`` changes the parameters.

        Override where it depends on them, as where one fitter of several draws random numbers.
        """
        return cls.capabilities.seeded


class Descriptor(Adapter[Options]):
    """Turns structures into per-atom features, so that it can choose data."""

    @abstractmethod
    def features(self, atoms: Atoms) -> FloatArray:
        """Describe each atom's environment.

        Invariant to translation, rotation and permutation of like atoms; constant length for given
        elements and options.

        Returns
        -------
        FloatArray
            Shape (n_atoms, n_features), no unit.
        """

    def features_many(self, frames: Sequence[Atoms]) -> FloatArray:
        """Describe several structures, concatenated: shape (Σ n_atoms, n_features)."""
        return np.concatenate([self.features(atoms) for atoms in frames])


class Fitter(Adapter[Options]):
    """Fits a potential to any subset of a prepared data set."""

    potential_type: ClassVar[type[Potential]]
    """The class that loads what the fit saved."""

    @abstractmethod
    def prepare(self, frames: Sequence[Atoms], *, workspace: Path | None = None) -> Prepared:
        """Compute everything that does not depend on which configurations are chosen.

        No number may depend on another frame's labels or on the set as a whole: a frame's blocks
        are the same whatever stands beside it.

        Parameters
        ----------
        frames
            Structures with labels in a ``SinglePointCalculator``.
        workspace
            Empty folder for arrays too large for memory, see `allocate`; None keeps all in memory.
        """

    @abstractmethod
    def fit(
        self,
        prepared: Prepared,
        subset: IntArray,
        *,
        weights: Weights,
        rng: np.random.Generator,
    ) -> Potential:
        """Fit to the frames ``subset`` of ``prepared``, seeing nothing of the others.

        Parameters
        ----------
        prepared
            What `prepare` returned.
        subset
            Indices into ``prepared.frames``, shape (n_chosen,).
        weights
            Relative weights per group.
        rng
            The only source of randomness.

        Raises
        ------
        TooFewFrames
            If the model cannot be fitted to so few configurations.
        """

    def predict(self, potential: Potential, prepared: Prepared, indices: IntArray) -> Predictions:
        """Predict prepared frames; override where the prepared blocks make it cheap."""
        return potential.predict_many([prepared.frames[index] for index in indices])


def allocate(workspace: Path | None, name: str, shape: tuple[int, ...]) -> FloatArray:
    """Return a zeroed array ``name`` of ``shape``: memory-mapped in ``workspace``, or in memory."""
    if workspace is None:
        return np.zeros(shape)
    array: FloatArray = np.lib.format.open_memmap(
        workspace / f"{name}.npy", mode="w+", dtype=np.float64, shape=shape
    )
    return array
