"""A fitted or published model: what it predicts, how it is saved, and its ASE calculator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from crossprune.harness.contract.motion import Dynamics, Thermostat
from crossprune.harness.contract.prediction import Prediction, Predictions
from crossprune.harness.contract.saved import HEADER, read_header, require_as_saved, write_header
from crossprune.harness.errors import DataError, MissingPackage, UserError


class Potential(ABC):
    """A fitted or published model that predicts energies, forces and stress."""

    adapter: ClassVar[str]
    """Name under which `lookup` finds the adapter that can load it."""

    def __init__(self, elements: Sequence[str], info: Mapping[str, float | str] | None = None) -> None:
        self.elements = tuple(elements)
        self.info: dict[str, float | str] = dict(info or {})
        """Facts about the fit for the results table: ``condition_number``; ``warning``, words for a flag."""

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
        """Save into ``folder`` with a header: adapter, elements, facts of the fit, checksums of the files."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / HEADER).unlink(missing_ok=True)
        self.write(folder)
        write_header(folder, self.adapter, self.elements, self.info)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load what `save` saved.

        Raises
        ------
        DataError
            If the folder holds no potential of this adapter, or one that is not as it was saved.
        """
        header = read_header(folder)
        if header["adapter"] != cls.adapter:
            raise DataError(f"{folder} holds a potential of {header['adapter']!r}, not of {cls.adapter!r}")
        require_as_saved(folder, header["files"])
        try:
            potential = cls.read(folder)
        except (UserError, MissingPackage):
            raise
        except Exception as error:  # checksums prove no good will: whatever a reader meets in strange files
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise DataError(f"{folder} holds no readable {cls.adapter} potential: {reason}") from error
        given = tuple(header["elements"])
        if potential.elements and set(potential.elements) != set(given):
            raise DataError(
                f"{folder}: {HEADER} says {', '.join(given)}, the parameters are of "
                f"{', '.join(map(str, potential.elements))}"
            )
        potential.elements = potential.elements or given
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
