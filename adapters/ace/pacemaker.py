"""Fit an ACE by the original program, pacemaker, where the user has it."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from ase import Atoms
from crossprune.adapters.ace.model import AceModel, Embedding
from crossprune.adapters.ace.potential import PacePotential, read_model
from crossprune.adapters.ace.write import write_yaml
from crossprune.adapters.programs import process
from crossprune.adapters.programs.pacemaker_frames import (
    HIGHEST,
    LOWEST,
    SUFFIX,
    data_frame,
    loss_weights,
    write_data_frame,
)
from crossprune.adapters.programs.pacemaker_program import PROGRAM, QUIET, find_pacemaker
from crossprune.harness.contract import Weights
from crossprune.harness.errors import DataError

INPUT, START, TRAIN = "input.yaml", "start.yaml", f"train{SUFFIX}"
OUTPUTS = ("output_potential.yaml", "interim_potential_best_cycle.yaml", "interim_potential_0.yaml")
"""What a run leaves, best first."""
SEED_LIMIT = 2**31 - 1


@dataclass(frozen=True)
class PacemakerOptions:
    """What pacemaker trains and for how long; basis, core and weights are those of the adapter."""

    n_densities: Literal[1, 2] = 1
    """1: energies linear in the functions; 2: a second density under a square root as well."""
    trainable: Literal["ALL", "func"] = "ALL"
    """Train radial functions too (ALL), or the coefficients of the functions only (func)."""
    l1: float = 1e-8
    """pacemaker's L1_coeffs (dimensionless)."""
    l2: float = 1e-8
    """pacemaker's L2_coeffs (dimensionless)."""
    max_iterations: int = 2000
    """Iterations of BFGS."""
    batch_size: int = 100
    """Structures per evaluation of the loss."""
    timeout_s: float = 86400.0
    """Wall time allowed to the program, s."""
    memory_gb: float = 16.0
    """Resident memory allowed to it, GB."""

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        for name in ("max_iterations", "batch_size", "timeout_s", "memory_gb"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("l1", "l2"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")


@dataclass(frozen=True)
class Task:
    """One fit: where it starts, what it sees, how labels are weighted."""

    start: AceModel
    """Functions, radial functions and cores; coefficients and reference energies are not used."""
    frames: Sequence[Atoms]
    weights: Weights
    references: Mapping[str, float]
    """Energy per element that is subtracted from the labels, eV."""
    energy_weight: float
    """1/(eV/atom)."""
    force_weight: float
    """1/(eV/Å)."""
    seed: int


def fit(task: Task, options: PacemakerOptions) -> PacePotential:
    """Write the input, run the program, and read its potential.

    Raises
    ------
    MissingPacemaker
        As `find_pacemaker`.
    DataError
        If the program leaves no readable potential, or energies are beyond what it takes as they are.
    CellTimeout, CellOutOfMemory, CellCrash, RuntimeError
        As `crossprune.adapters.programs.process.run`.
    """
    program = find_pacemaker()
    with tempfile.TemporaryDirectory(prefix="crossprune-pacemaker-") as name:
        folder = Path(name)
        write_input(folder, task, options)
        done = process.run(
            [str(program.path), INPUT, "--no-predict"],
            folder,
            timeout_s=options.timeout_s,
            memory_gb=options.memory_gb,
            variables=variables(),
        )
        found = next((folder / one for one in OUTPUTS if (folder / one).is_file()), None)
        if found is None:
            raise DataError(f"{PROGRAM} left none of {', '.join(OUTPUTS)}; {done.tail}")
        model, _ = read_model(found)
        source = found.name
    if missing := set(task.start.elements) - set(model.elements):
        raise DataError(f"{PROGRAM}'s {source} lacks {', '.join(sorted(missing))}")
    centres = tuple(
        dataclasses.replace(centre, reference=task.references[element])
        for element, centre in zip(model.elements, model.centres, strict=True)
    )
    info: dict[str, float | str] = {
        "fitter": PROGRAM,
        "source": source,
        **{f"{package} version": version for package, version in program.versions.items()},
        "n_parameters": float(_n_trained(model, options.trainable)),
        "child_peak_memory_mb": done.peak_memory_mb,
        "child_cpu_s": done.cpu_s,
    }
    return PacePotential(dataclasses.replace(model, centres=centres), info)


def _n_trained(model: AceModel, trainable: str) -> int:
    functions = sum(centre.coefficients.size for centre in model.centres if centre.coefficients is not None)
    return functions + (trainable == "ALL") * sum(bond.coefficients.size for bond in model.bonds.values())


def variables() -> dict[str, str]:
    """Return what keeps TensorFlow to the threads that other libraries were given, and quiet."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    limits = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), threads)
    return QUIET | (limits if threads.isdigit() else {})


def write_input(folder: Path, task: Task, options: PacemakerOptions) -> None:
    """Write data frame, starting potential and ``input.yaml`` (pacemaker.readthedocs.io, "Input file")."""
    import pandas as pd  # only here: nothing else of ACE needs it
    import yaml  # its absence is reported by the reader of potentials

    table = data_frame(task.frames, task.references)
    per_atom = table["energy_corrected"] / [len(atoms) for atoms in task.frames]
    if per_atom.min() < LOWEST or per_atom.max() > HIGHEST:
        raise DataError(
            f"energies of {per_atom.min():.1f} to {per_atom.max():.1f} eV/atom after subtraction of the "
            f"elements' own; {PROGRAM} shifts what is outside {LOWEST:g} to {HIGHEST:g} by itself"
        )
    energy, forces, kappa = loss_weights(task.frames, task.weights, task.energy_weight, task.force_weight)
    write_data_frame(folder / TRAIN, table.assign(w_energy=energy, w_forces=pd.Series(forces, table.index)))
    write_yaml(_start(task.start, options.n_densities), folder / START)
    settings: dict[str, Any] = {
        "cutoff": task.start.cutoff,
        "seed": task.seed,
        "potential": START,
        # Without datapath the variable PACEMAKERDATAPATH would lead elsewhere.
        "data": {"filename": TRAIN, "datapath": str(folder.resolve()), "ignore_weights": False},
        "fit": {
            "loss": {"kappa": kappa, "L1_coeffs": options.l1, "L2_coeffs": options.l2},
            "optimizer": "BFGS",
            "maxiter": options.max_iterations,
            "trainable_parameters": options.trainable,
        },
        "backend": {"evaluator": "tensorpot", "batch_size": options.batch_size, "display_step": 50},
    }
    (folder / INPUT).write_text(yaml.safe_dump(settings, sort_keys=False))


def _start(model: AceModel, n_densities: int) -> AceModel:
    """Return the model with coefficients of zero, pacemaker's own beginning, and without references."""
    kind = "FinnisSinclair" if n_densities == 1 else "FinnisSinclairShiftedScaled"
    powers = np.array([[1.0, 1.0], [1.0, 0.5]])[:n_densities]
    centres = tuple(
        dataclasses.replace(
            centre,
            embedding=Embedding(kind, powers, centre.embedding.core_cutoff, centre.embedding.core_width),
            coefficients=np.zeros((len(centre.functions), n_densities)),
            reference=0.0,
        )
        for centre in model.centres
    )
    return dataclasses.replace(model, centres=centres)
