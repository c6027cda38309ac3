"""A GAP that QUIP evaluates: prediction, saving, export."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from ase import Atoms
from crossprune.adapters.gap import gap_fit
from crossprune.adapters.gap.fast import SparseModel
from crossprune.adapters.gap.received import require_gap
from crossprune.adapters.programs import quip
from crossprune.harness.contract import Potential, Prediction
from crossprune.harness.contract.neighbours import require_places
from crossprune.harness.errors import DataError


class GapPotential(Potential):
    """A GAP, held as the contents of its parameter file and of its sparse points."""

    adapter = "gap"

    def __init__(
        self,
        elements: Sequence[str],
        cutoff: float,
        files: Mapping[str, bytes],
        info: Mapping[str, float | str] | None = None,
        sparse: SparseModel | None = None,
    ) -> None:
        super().__init__(elements, info)
        self.cutoff = cutoff
        self.files = dict(files)
        self.sparse = sparse
        """Sparse points and coefficients of a fast fit; not saved, because the files hold them too."""
        self._quip: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the Fortran object behind; it is made again from the files."""
        return {**self.__dict__, "_quip": None}

    def predict(self, atoms: Atoms) -> Prediction:
        """Predict one structure; stress (−virial/V) where it is periodic in three directions."""
        self.require_elements(atoms)
        require_places(atoms)
        has_stress = bool(atoms.pbc.all())
        properties = ["energy", "forces", "virial"] if has_stress else ["energy", "forces"]
        box = quip.boxed(atoms, self.cutoff)
        with quip.LOCK:
            loaded = self._load()
            loaded.calculate(box, properties)
            energy, forces = float(loaded.results["energy"]), np.array(loaded.results["forces"])
            virial = np.array(loaded.extra_results["config"]["virial"]) if has_stress else None
        stress = None if virial is None else quip.stress_from(virial, atoms.get_volume())
        return Prediction(energy, forces, stress)

    def write(self, folder: Path) -> None:
        """Write the parameter file, the sparse points and the cutoff."""
        self.export(folder)
        (folder / "cutoff.txt").write_text(f"{self.cutoff:.17g}\n")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what `write` wrote."""
        try:
            paths = [folder / gap_fit.XML, *sorted(folder.glob(f"{gap_fit.XML}.sparseX.*"))]
            files = {path.name: path.read_bytes() for path in paths}
            cutoff = float((folder / "cutoff.txt").read_text())
        except (OSError, ValueError) as error:
            raise DataError(f"{folder} holds no readable GAP: {error}") from None
        if not 0 < cutoff < math.inf:
            raise DataError(f"{folder / 'cutoff.txt'}: the cutoff is {cutoff:g} Å")
        try:
            require_gap(files)
        except DataError as error:
            raise DataError(f"{folder}: {error}") from None
        return cls((), cutoff, files)

    def export(self, folder: Path) -> list[Path]:
        """Write ``gap.xml`` and its sparse points, as QUIP and LAMMPS's ``pair_style quip`` read them."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        return [folder / name for name in self.files]

    def _load(self) -> Any:
        if self._quip is None:
            with tempfile.TemporaryDirectory(prefix="crossprune-gap-") as folder:
                self.export(Path(folder))
                try:
                    self._quip = quip.quippy("potential").Potential(
                        param_filename=str(Path(folder, gap_fit.XML)), calculation_always_required=True
                    )
                except RuntimeError as error:
                    raise DataError(f"QUIP cannot read this GAP: {' '.join(str(error).split())}") from None
        return self._quip
