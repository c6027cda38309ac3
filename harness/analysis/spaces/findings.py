"""What is wrong with each latent space that chose in a store, see `crossprune.harness.selection.linter`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from ase import Atoms
from crossprune.harness.analysis.spaces.latent import stored_specs
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.data.frames import DataSet, element_counts, frames_hash
from crossprune.harness.engine.keys import features_key, rows_key
from crossprune.harness.engine.stored import STAGE_OF, stored_dataset, stored_vectors
from crossprune.harness.selection.axes import MODEL
from crossprune.harness.selection.gathering import gather
from crossprune.harness.selection.linter import Finding, lint
from crossprune.harness.store.objects import Store

SPACE = ["dataset", "chooser", "space", "pooling", "scaling"]
NOTHING = Finding("note", "nothing found", 0, np.nan, np.nan, "")
COLUMNS = [*SPACE, "level", "finding", "n_columns", "share", "changed", "remark"]


def findings(root: Path, subsets: pd.DataFrame) -> pd.DataFrame:
    """Look at every latent space in which something was chosen.

    Parameters
    ----------
    root
        The store.
    subsets
        Of `crossprune.harness.analysis.spaces.chosen.chosen_subsets`.

    Returns
    -------
    pd.DataFrame
        `COLUMNS`: a row per finding; ``share`` is what part of the squared distances between configurations
        is of the columns that it is about, ``changed`` what part of a tenth chosen by farthest points is
        another without them. A space without findings has a row of the level ``note``.
    """
    specs, store, rows = stored_specs(root), Store(root), []
    pooled = subsets[(subsets["space"] != "") & (subsets["pooling"] != "")]
    for (name, key, chooser, space), part in pooled.groupby(["dataset", "dataset_key", "chooser", "space"]):
        if chooser not in specs:
            continue
        dataset, stage = stored_dataset(store.root, str(key)), STAGE_OF[str(space)]
        key_of = features_key if stage == "features" else rows_key
        vectors = key_of(frames_hash(dataset), specs[chooser])
        if not store.has(stage, vectors):
            continue
        train = dataset.indices("train")
        values, facts = stored_vectors(store, vectors, str(space)), _of_cells(dataset, train)
        seen = {}
        for own in set(part["scaling"] == MODEL):
            metric = (
                specs[chooser].make(dataset.elements, dataset.isolated_atom_energies).metric if own else None
            )
            seen[own] = gather(dataset, train, values, space=str(space), metric=metric)
        for pooling, scaling in sorted(set(zip(part["pooling"], part["scaling"], strict=True))):
            axes = (name, chooser, space, pooling, scaling)
            found = lint(replace(seen[scaling == MODEL], pooling=pooling, scaling=scaling), *facts)
            rows += [(*axes, *vars(one).values()) for one in found or [NOTHING]]
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_cells(dataset: DataSet, train: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return volumes per atom (Å³; NaN without a cell), and shares of the elements."""
    frames = [dataset.frames[index] for index in train]
    counts = element_counts(frames, dataset.elements).astype(np.float64)
    return np.array([_volume(atoms) for atoms in frames]), counts / counts.sum(axis=1, keepdims=True)


def _volume(atoms: Atoms) -> float:
    return float(atoms.get_volume()) / len(atoms) if atoms.cell.rank == 3 else float("nan")
