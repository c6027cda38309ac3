"""Count what a calculator computes: a measure of work that is the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes


class CountingCalculator(Calculator):
    """Another calculator's results, and how many structures it was asked for."""

    def __init__(self, calculator: Calculator) -> None:
        super().__init__()
        self.calculator = calculator
        self.implemented_properties = calculator.implemented_properties
        self.n_evaluations = 0

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] | None = None,
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Let the other calculator compute one structure."""
        super().calculate(atoms, list(properties or ["energy"]), list(system_changes))
        self.n_evaluations += bool(system_changes)  # a further property of the same structure is no other one
        self.calculator.calculate(self.atoms, list(properties or ["energy"]), list(system_changes))
        self.results = dict(self.calculator.results)
