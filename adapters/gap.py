"""GAP: sparse Gaussian-process potentials on SOAP environments and pair distances, for QUIP."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from ase import Atoms
from crossprune.adapters import _process, _quip
from crossprune.adapters._gap_environments import Environments, from_quip
from crossprune.adapters._gap_fast import SparseModel, fit_rows, predict_rows, prepare_rows
from crossprune.adapters._gap_files import parameter_files
from crossprune.adapters._quip import GapOptions
from crossprune.harness.contract import (
    Capabilities,
    Descriptor,
    Fitter,
    FloatArray,
    GroupWeight,
    IntArray,
    Potential,
    Prediction,
    Predictions,
    Prepared,
    Weights,
    require_elements,
)
from crossprune.harness.errors import DataError, MissingPackage, TooFewFrames
from crossprune.harness.frames import element_counts, energy_of, forces_of, group_of

SETTINGS = "settings.txt"
"""gap_fit's arguments as a file, because it cuts long ones on the command line."""
SEED_LIMIT = 2**31 - 1
"""gap_fit's seed is a positive 32-bit integer."""
_QUIP_LOCK = threading.Lock()
"""QUIP keeps Fortran module variables, so only one thread of a process may be inside it."""


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
        """Predict one structure; stress (−virial/V) where it has a cell and is periodic."""
        self.require_elements(atoms)
        has_stress = atoms.cell.rank == 3 and bool(atoms.pbc.any())
        properties = ["energy", "forces", "virial"] if has_stress else ["energy", "forces"]
        box = _quip.boxed(atoms, self.cutoff)
        with _QUIP_LOCK:
            quip = self._load()
            quip.calculate(box, properties)
            energy, forces = float(quip.results["energy"]), np.array(quip.results["forces"])
            virial = np.array(quip.extra_results["config"]["virial"]) if has_stress else None
        stress = None if virial is None else _quip.stress_from(virial, atoms.get_volume())
        return Prediction(energy, forces, stress)

    def write(self, folder: Path) -> None:
        """Write the parameter file, the sparse points and the cutoff."""
        self.export(folder)
        (folder / "cutoff.txt").write_text(f"{self.cutoff:.17g}\n")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read what `write` wrote."""
        try:
            paths = [folder / _quip.XML, *sorted(folder.glob(f"{_quip.XML}.sparseX.*"))]
            files = {path.name: path.read_bytes() for path in paths}
            return cls((), float((folder / "cutoff.txt").read_text()), files)
        except (OSError, ValueError) as error:
            raise DataError(f"{folder} holds no readable GAP: {error}") from None

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
                self._quip = _quippy("potential").Potential(
                    param_filename=str(Path(folder, _quip.XML)), calculation_always_required=True
                )
        return self._quip


class Gap(Descriptor[GapOptions], Fitter[GapOptions]):
    """SOAP power spectra as features; fits by linear algebra on prepared rows, or by gap_fit."""

    name = "gap"
    capabilities = Capabilities(exact_subset_refit=True)
    options_type = GapOptions
    distributions: ClassVar[tuple[str, ...]] = ("numpy", "quippy-ase")
    potential_type = GapPotential
    smoke: ClassVar[Mapping[str, Any]] = {
        "cutoff": 4.0,
        "pair_cutoff": 4.0,
        "n_max": 4,
        "l_max": 3,
        "n_sparse": 40,
        "timeout_s": 120.0,
    }

    def __init__(
        self,
        elements: Sequence[str],
        options: GapOptions | None = None,
        isolated_atom_energies: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(elements, options, isolated_atom_energies)
        _quippy("descriptors")
        self._soap: Any = None

    @classmethod
    def is_seeded(cls, options: GapOptions) -> bool:
        """gap_fit draws its sparse points; the fast fitter draws nothing."""
        return options.fitter == "gap_fit"

    def __getstate__(self) -> dict[str, Any]:
        """Leave the Fortran object behind."""
        return {**self.__dict__, "_soap": None}

    def features(self, atoms: Atoms) -> FloatArray:
        """Return the SOAP power spectrum of each atom, of unit length, resolved by pairs of elements."""
        require_elements(atoms, self.elements, "adapter 'gap'")
        spectrum: FloatArray = np.array(self._describe(atoms, gradient=False)["data"], dtype=np.float64)
        return spectrum[:, :-1]  # the last entry is QUIP's constant offset of the kernel, always 0

    def environments(self, atoms: Atoms) -> dict[int, Environments]:
        """Return the SOAP vectors and their derivatives, per atomic number."""
        return from_quip(self._describe(atoms, gradient=True), atoms.numbers)

    def _describe(self, atoms: Atoms, *, gradient: bool) -> dict[str, Any]:
        box = _quip.boxed(atoms, self.options.cutoff)
        with _QUIP_LOCK:
            if self._soap is None:
                self._soap = _quippy("descriptors").Descriptor(_quip.soap_string(self.elements, self.options))
            found: dict[str, Any] = self._soap.calc(box, grad=gradient)
        return found

    def prepare(self, frames: Sequence[Atoms], *, workspace: Path | None = None) -> Prepared:
        """Check elements and labels; for the fast fitter, compute the kernel rows.

        Raises
        ------
        StudyError
            If the rows need more space than ``rows_gb``.
        """
        for atoms in frames:
            require_elements(atoms, self.elements, "adapter 'gap'")
            energy_of(atoms)
            forces_of(atoms)
        if self.options.fitter == "gap_fit" or not frames:
            return Prepared(frames)
        arrays = prepare_rows(
            frames, self.elements, self.options, self.features, self.environments, workspace
        )
        return Prepared(frames, arrays)

    def fit(
        self, prepared: Prepared, subset: IntArray, *, weights: Weights, rng: np.random.Generator
    ) -> GapPotential:
        """Fit to the chosen frames; gap_fit draws its sparse points with ``rng``, the fast fitter does not.

        A group's expected errors are divided by its weights; a label of weight 0 is left out.

        Raises
        ------
        TooFewFrames
            If ``subset`` is empty.
        CellTimeout, CellOutOfMemory, CellCrash, RuntimeError
            As `crossprune.adapters._process.run`, by gap_fit.
        """
        frames = [prepared.frames[index] for index in subset]
        if not frames:
            raise TooFewFrames("GAP needs at least one frame, got none")
        baseline = self._baseline(frames)
        if self.options.fitter == "gap_fit":
            return self._run_gap_fit(frames, weights, baseline, rng)
        sparse = fit_rows(prepared, subset, self.elements, self.options, weights, baseline)
        info: dict[str, float | str] = {
            "condition_number": sparse.condition_number,
            "n_sparse": float(sum(map(len, sparse.points))),
        }
        files = parameter_files(sparse, self.options)
        return GapPotential(self.elements, self.options.reach, files, info, sparse)

    def predict(self, potential: Potential, prepared: Prepared, indices: IntArray) -> Predictions:
        """Predict prepared frames by their rows, or by QUIP where the potential has none there."""
        sparse = potential.sparse if isinstance(potential, GapPotential) else None
        if sparse is None or not sparse.matches(prepared):
            return super().predict(potential, prepared, indices)
        return Predictions.from_list(list(predict_rows(sparse, prepared, indices)))

    def _run_gap_fit(
        self,
        frames: Sequence[Atoms],
        weights: Weights,
        baseline: Mapping[str, float],
        rng: np.random.Generator,
    ) -> GapPotential:
        with tempfile.TemporaryDirectory(prefix="crossprune-gap-fit-") as name:
            folder = Path(name)
            command, n_sparse = self._command(folder, frames, weights, baseline, rng)
            done = _process.run(
                command, folder, timeout_s=self.options.timeout_s, memory_gb=self.options.memory_gb
            )
            files = _quip.read_parameters(folder)
        info: dict[str, float | str] = {
            "child_peak_memory_mb": done.peak_memory_mb,
            "child_cpu_s": done.cpu_s,
            "n_sparse": float(sum(n_sparse.values())),
        }
        return GapPotential(self.elements, self.options.reach, files, info)

    def _baseline(self, frames: Sequence[Atoms]) -> dict[str, float]:
        """Return the energy per element that is subtracted first (eV): given, or regressed on ``frames``.

        An element that the subset lacks gets the mean of the others.
        """
        if self.isolated_atom_energies is not None:
            missing = sorted(set(self.elements) - set(self.isolated_atom_energies))
            if missing:
                raise DataError(f"no isolated-atom energy of {', '.join(missing)}; give all elements or none")
            return {element: self.isolated_atom_energies[element] for element in self.elements}
        counts = element_counts(frames, self.elements)
        present = counts.sum(axis=0) > 0
        energies = np.array([energy_of(atoms) for atoms in frames])
        values = np.full(len(self.elements), energies.sum() / counts.sum())
        values[present] = np.linalg.lstsq(counts[:, present], energies, rcond=None)[0]
        return dict(zip(self.elements, values.tolist(), strict=True))

    def _command(
        self,
        folder: Path,
        frames: Sequence[Atoms],
        weights: Weights,
        baseline: Mapping[str, float],
        rng: np.random.Generator,
    ) -> tuple[list[str], dict[str, int]]:
        """Write training file and settings; return gap_fit's call and the sparse points per element."""
        weight_of = [weights.get(group_of(atoms), GroupWeight()) for atoms in frames]
        names = {weight: f"w{number}" for number, weight in enumerate(dict.fromkeys(weight_of))}
        _quip.write_training(folder / "train.xyz", frames, weight_of, names, self.options)
        kernels, n_sparse = _quip.kernels(frames, self.elements, self.options)
        energies = ":".join(f"{element}:{energy:.17g}" for element, energy in baseline.items())
        virial = _quip.VIRIAL if self.options.use_stress else _quip.NO_LABEL
        settings = [
            "atoms_filename=train.xyz",
            f"gap={kernels}",
            f"e0={{{energies}}}",
            f"default_sigma={{{' '.join(_quip.expected_errors(GroupWeight(), self.options))}}}",
            f"config_type_sigma={_quip.sigmas(names, self.options)}",
            f"energy_parameter_name={_quip.ENERGY}",
            f"force_parameter_name={_quip.FORCES}",
            f"virial_parameter_name={virial}",
            f"stress_parameter_name={_quip.NO_LABEL}",
            f"hessian_parameter_name={_quip.NO_LABEL}",
            f"local_property_parameter_name={_quip.NO_LABEL}",
            f"config_type_parameter_name={_quip.NAME}",
            f"sparse_jitter={self.options.jitter:.10g}",
            "do_copy_atoms_file=F",
            "sparse_separate_file=T",
            f"gap_file={_quip.XML}",
            f"rnd_seed={int(rng.integers(1, SEED_LIMIT))}",
        ]
        (folder / SETTINGS).write_text("\n".join(settings) + "\n")
        return [str(find_gap_fit()), f"config_file={SETTINGS}"], n_sparse


def find_gap_fit() -> Path:
    """Return gap_fit's path: quippy's own program, else the environment's, else the search path's.

    quippy's comes first: what the environment's ``bin`` holds is a Python script around it, which turns a
    crash into an ordinary exit code, and whose death does not end the program.

    Raises
    ------
    MissingPackage
        If there is none.
    """
    own = Path(_quippy("convert").__file__).with_name("gap_fit")
    for path in (own, Path(sys.executable).with_name("gap_fit"), Path(shutil.which("gap_fit") or os.devnull)):
        if path.is_file() and os.access(path, os.X_OK):
            return path
    raise MissingPackage("adapter 'gap'", "quippy-ase", "gap")


def _quippy(module: str) -> Any:
    try:
        return import_module(f"quippy.{module}")
    except ModuleNotFoundError as error:
        if error.name not in ("quippy", "f90wrap"):
            raise
        raise MissingPackage("adapter 'gap'", "quippy-ase", "gap") from None
