"""GAP: sparse Gaussian-process potentials on SOAP environments and pair distances, for QUIP."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from crossprune.adapters.gap import gap_fit
from crossprune.adapters.gap.environments import Environments, from_quip
from crossprune.adapters.gap.fast import fit_rows, predict_rows, prepare_rows
from crossprune.adapters.gap.files import parameter_files
from crossprune.adapters.gap.metric import kernel_points
from crossprune.adapters.gap.options import GapOptions
from crossprune.adapters.gap.potential import GapPotential
from crossprune.adapters.linear.offsets import element_energies
from crossprune.adapters.programs import process, quip
from crossprune.harness.contract import (
    Capabilities,
    Descriptor,
    Fitter,
    FloatArray,
    GroupWeight,
    IntArray,
    Potential,
    Predictions,
    Prepared,
    Weights,
    require_elements,
    require_weight,
)
from crossprune.harness.contract.neighbours import require_places
from crossprune.harness.data.frames import energy_of, forces_of, group_of
from crossprune.harness.errors import TooFewFrames

SETTINGS = "settings.txt"
"""gap_fit's arguments as a file, because it cuts long ones on the command line."""
SEED_LIMIT = 2**31 - 1
"""gap_fit's seed is a positive 32-bit integer."""


CUTOFF = 2.1
"""Cutoffs over the spacing of atoms; see docs/tuning.md."""


class Gap(Descriptor[GapOptions], Fitter[GapOptions]):
    """SOAP power spectra as features; fits by linear algebra on prepared rows, or by gap_fit."""

    name = "gap"
    capabilities = Capabilities(exact_subset_refit=True, metric=True, masks=True)
    options_type = GapOptions
    distributions: ClassVar[tuple[str, ...]] = ("numpy", "quippy-ase")
    potential_type = GapPotential
    fit_options = frozenset(
        {
            *("n_sparse", "pair_n_sparse", "pair_delta", "pair_theta", "use_stress"),
            *("sigma_energy_per_atom", "sigma_force", "sigma_virial_per_atom"),
        }
    )
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
        quip.quippy("descriptors")
        self._soap: Any = None

    @classmethod
    def is_seeded(cls, options: GapOptions) -> bool:
        """gap_fit draws its sparse points; the fast fitter draws nothing."""
        return options.fitter == "gap_fit"

    def __getstate__(self) -> dict[str, Any]:
        """Leave the Fortran object behind."""
        return {**self.__dict__, "_soap": None}

    @classmethod
    def geometry(cls, spacing: float) -> Mapping[str, Any]:
        """Scale both cutoffs with the spacing of atoms, Å."""
        return dict.fromkeys(("cutoff", "pair_cutoff"), round(CUTOFF * spacing, 2))

    @classmethod
    def search_space(cls, spacing: float) -> Sequence[Mapping[str, Any]]:
        """Two cutoffs; few and many sparse points; small and large expected errors of energies."""
        return [
            {**dict.fromkeys(("cutoff", "pair_cutoff"), round(factor * spacing, 2)), "n_sparse": n, **errors}
            for factor in (1.9, 2.1)
            for n in (500, 1000)
            for errors in ({"sigma_energy_per_atom": 0.002}, {"sigma_energy_per_atom": 0.001})
        ]

    def features(self, atoms: Atoms) -> FloatArray:
        """Return the SOAP power spectrum of each atom, of unit length, resolved by pairs of elements."""
        require_elements(atoms, self.elements, "adapter 'gap'")
        spectrum: FloatArray = np.array(self._describe(atoms, gradient=False)["data"], dtype=np.float64)
        return spectrum[:, :-1]  # the last entry is QUIP's constant offset of the kernel, always 0

    def metric(self, vectors: FloatArray, kinds: IntArray) -> FloatArray:
        """Map spectra to points of the SOAP kernel, see `kernel_points`."""
        options = self.options
        return kernel_points(vectors, kinds, len(self.elements), zeta=options.zeta, delta=options.delta)

    def environments(self, atoms: Atoms) -> dict[int, Environments]:
        """Return the SOAP vectors and their derivatives, per atomic number."""
        return from_quip(self._describe(atoms, gradient=True), atoms.numbers)

    def _describe(self, atoms: Atoms, *, gradient: bool) -> dict[str, Any]:
        require_places(atoms)
        box = quip.boxed(atoms, self.options.cutoff)
        with quip.LOCK:
            if self._soap is None:
                self._soap = quip.quippy("descriptors").Descriptor(
                    gap_fit.soap_string(self.elements, self.options)
                )
            found: dict[str, Any] = self._soap.calc(box, grad=gradient)
        return found

    def prepare(self, frames: Sequence[Atoms], *, workspace: Path | None = None) -> Prepared:
        """Check elements, places and labels; for the fast fitter, compute the kernel rows.

        Raises
        ------
        DataError
            If a structure has no proper cell or two atoms at the same place, among others.
        StudyError
            If the rows need more space than ``rows_gb``.
        """
        for atoms in frames:
            require_elements(atoms, self.elements, "adapter 'gap'")
            require_places(atoms)
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
            If ``subset`` is empty, or its groups' weights of energies and forces are 0.
        CellTimeout, CellOutOfMemory, CellCrash, RuntimeError
            As `crossprune.adapters.programs.process.run`, by gap_fit.
        """
        return self._fit(prepared, subset, None, weights, rng)

    def fit_masked(
        self,
        prepared: Prepared,
        subset: IntArray,
        kept: Sequence[IntArray],
        *,
        weights: Weights,
        rng: np.random.Generator,
    ) -> GapPotential:
        """Fit to the forces of ``kept``, with sparse points chosen as for whole frames.

        Raises
        ------
        TooFewFrames, CellTimeout, CellOutOfMemory, CellCrash, RuntimeError
            As `fit`.
        """
        return self._fit(prepared, subset, kept, weights, rng)

    def _fit(
        self,
        prepared: Prepared,
        subset: IntArray,
        kept: Sequence[IntArray] | None,
        weights: Weights,
        rng: np.random.Generator,
    ) -> GapPotential:
        """Fit to the chosen frames, or to their energies and the forces of the atoms ``kept`` of each."""
        frames = [prepared.frames[index] for index in subset]
        if not frames:
            raise TooFewFrames("GAP needs at least one frame, got none")
        require_weight([group_of(atoms) for atoms in frames], weights)
        energies = element_energies(frames, self.elements, self.isolated_atom_energies)
        baseline = dict(zip(self.elements, energies.tolist(), strict=True))
        options = self.options.weighed(_fitted(frames, kept, weights))
        if options.fitter == "gap_fit":
            return self._run_gap_fit(options, frames, kept, weights, baseline, rng)
        sparse = fit_rows(prepared, subset, self.elements, options, weights, baseline, kept)
        info: dict[str, float | str] = {
            "condition_number": sparse.condition_number,
            "n_sparse": float(sum(map(len, sparse.points))),
            "n_parameters": float(sum(map(len, sparse.coefficients))),
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
        options: GapOptions,
        frames: Sequence[Atoms],
        kept: Sequence[IntArray] | None,
        weights: Weights,
        baseline: Mapping[str, float],
        rng: np.random.Generator,
    ) -> GapPotential:
        with tempfile.TemporaryDirectory(prefix="crossprune-gap-fit-") as name:
            folder = Path(name)
            command, n_sparse = self._command(options, folder, frames, kept, weights, baseline, rng)
            done = process.run(
                command, folder, timeout_s=self.options.timeout_s, memory_gb=self.options.memory_gb
            )
            files = gap_fit.read_parameters(folder)
        info: dict[str, float | str] = {
            "child_peak_memory_mb": done.peak_memory_mb,
            "child_cpu_s": done.cpu_s,
            "n_sparse": float(sum(n_sparse.values())),
        }
        return GapPotential(self.elements, self.options.reach, files, info)

    def _command(
        self,
        options: GapOptions,
        folder: Path,
        frames: Sequence[Atoms],
        kept: Sequence[IntArray] | None,
        weights: Weights,
        baseline: Mapping[str, float],
        rng: np.random.Generator,
    ) -> tuple[list[str], dict[str, int]]:
        """Write training file and settings; return gap_fit's call and the sparse points per element."""
        weight_of = [weights.get(group_of(atoms), GroupWeight()) for atoms in frames]
        names = {weight: f"w{number}" for number, weight in enumerate(dict.fromkeys(weight_of))}
        gap_fit.write_training(folder / "train.xyz", frames, weight_of, names, options, kept)
        kernels, n_sparse = gap_fit.kernels(frames, self.elements, options)
        energies = ":".join(f"{element}:{energy:.17g}" for element, energy in baseline.items())
        virial = gap_fit.VIRIAL if options.use_stress else gap_fit.NO_LABEL
        settings = [
            "atoms_filename=train.xyz",
            f"gap={kernels}",
            f"e0={{{energies}}}",
            f"default_sigma={{{' '.join(gap_fit.expected_errors(GroupWeight(), options))}}}",
            f"config_type_sigma={gap_fit.sigmas(names, options)}",
            f"energy_parameter_name={gap_fit.ENERGY}",
            f"force_parameter_name={gap_fit.FORCES}",
            f"force_mask_parameter_name={gap_fit.MASK}",
            f"virial_parameter_name={virial}",
            f"stress_parameter_name={gap_fit.NO_LABEL}",
            f"hessian_parameter_name={gap_fit.NO_LABEL}",
            f"local_property_parameter_name={gap_fit.NO_LABEL}",
            f"config_type_parameter_name={gap_fit.NAME}",
            f"sparse_jitter={options.jitter:.10g}",
            "do_copy_atoms_file=F",
            "sparse_separate_file=T",
            f"gap_file={gap_fit.XML}",
            f"rnd_seed={int(rng.integers(1, SEED_LIMIT))}",
        ]
        (folder / SETTINGS).write_text("\n".join(settings) + "\n")
        return [str(gap_fit.find_gap_fit()), f"config_file={SETTINGS}"], n_sparse


def _fitted(frames: Sequence[Atoms], kept: Sequence[IntArray] | None, weights: Weights) -> FloatArray:
    """Return the forces that are fitted to, eV/Å, shape (n, 3): those that have a weight."""
    every = [forces_of(atoms) for atoms in frames]
    if kept is not None:
        every = [forces[atoms] for forces, atoms in zip(every, kept, strict=True)]
    counted = [weights.get(group_of(atoms), GroupWeight()).forces > 0 for atoms in frames]
    return np.concatenate(
        [np.empty((0, 3)), *(one for one, counts in zip(every, counted, strict=True) if counts)]
    )
