"""What the model of each cell predicted for frames that it did not see: energies, forces, errors by force."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from crossprune.harness.analysis.cells import labelled, way_of
from crossprune.harness.analysis.spaces.errors import N_BINS, edges_of, fifths
from crossprune.harness.analysis.spaces.predictions import holds_predictions, predicted
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.data.frames import DataSet, energy_of, forces_of
from crossprune.harness.engine.stored import stored_dataset
from crossprune.harness.fingerprint import canonical_hash, source_hash
from crossprune.harness.store.kept import kept
from crossprune.harness.store.objects import Store

PARTS = ("test", "ood")
CELL = ["source", "way", "fraction", "model"]
MOST_FITS = 1000
"""Fits whose predictions are looked at; of more, those at the fractions nearest to a tenth."""
MOST_POINTS = 60_000
"""Energies on the page, over all fits and parts: of many fits fewer of each."""
FEW, MANY = 40, 300
"""Energies of one fit and part on the page, at least and at most."""
SIDE, SIDE_OF_MANY = 40, 20
"""Bins along each axis of the histogram of force components; the second for over a hundred fits."""
FITS = [*CELL, "part", "seed", "fit_key", "energies", "filled", "counts", "n_beyond", "force_mae"]
LABELS = [
    "source",
    "part",
    "frames",
    "labels",
    "low",
    "high",
    "side",
    "edges",
    "sizes",
    "n_atoms",
    "n_frames",
]


@dataclass(frozen=True)
class Part:
    """Frames of one part, with their labels."""

    frames: IntArray
    """Which frames of the data set."""
    shown: IntArray
    """Those whose energies are on the page, as places among ``frames``."""
    energies: FloatArray
    """Labels, eV/atom, shape (n_frames,)."""
    forces: FloatArray
    """Labels, eV/Å, shape (n_atoms, 3)."""
    fifth: IntArray
    """Fifth of each atom by the length of its labelled force, shape (n_atoms,)."""
    edges: FloatArray
    """Inner ends of these fifths, eV/Å, shape (4,)."""
    ends: tuple[float, float]
    """Ends of the histogram of force components, eV/Å."""
    side: int
    """Bins along each of its axes."""


def errors_of_fits(root: Path, results: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Look at the predictions of each cell's first seed on the parts test and ood; a store keeps the tables.

    Parameters
    ----------
    root
        The store.
    results
        Rows over all groups, of the first pool of each data set, which is ``source`` (or ``dataset``).

    Returns
    -------
    dict
        ``cell_fits`` (`FITS`, a row per cell and part): predicted ``energies`` (eV/atom) of the shown frames;
        the ``filled`` bins of the histogram of force components (row × side + column: label, prediction) and
        their ``counts``, ``n_beyond`` of which lie outside and are counted in the outermost bins;
        ``force_mae`` (eV/Å) in each fifth of the part's atoms by the length of the labelled force.
        ``cell_parts`` (`LABELS`, a row per data set and part): the shown ``frames`` and their ``labels``
        (eV/atom), the ends of the histogram, the inner ``edges`` of the fifths, their mean force in
        ``sizes`` (eV/Å), and how many atoms and frames there are.
    """
    table = fits_of(results)
    store = Store(root)
    held = {key for key in set(table["dataset_key"]) if key and store.has("dataset", key)}
    table = table[table["dataset_key"].isin(held)]
    shown = nearest(table)
    stamp = canonical_hash(shown.astype(str).to_numpy().tolist(), source_hash(__name__))
    return kept(root, "cells", stamp, lambda: _tables(store, shown))


def fits_of(results: pd.DataFrame) -> pd.DataFrame:
    """List the finished cells below the full set by their first seed: `CELL`, seed, fit and data set."""
    done = labelled(results)
    done = done[(done["status"] == "done") & (done["fraction"] < 1 - 1e-9) & done["fit_key"].astype(bool)]
    done = done.assign(way=way_of(done), source=done["source"] if "source" in done else done["dataset"])
    table = done.sort_values([*CELL, "seed"]).drop_duplicates(CELL)
    return table[[*CELL, "seed", "fit_key", "dataset_key"]].reset_index(drop=True)


def nearest(fits: pd.DataFrame, most: int = MOST_FITS) -> pd.DataFrame:
    """Keep at most ``most`` fits: whole fractions, those nearest to a tenth first, one at least."""
    if len(fits) <= most:
        return fits
    sizes = fits.groupby("fraction").size()
    order = sorted(sizes.index, key=lambda one: abs(np.log(one / 0.1)))
    there = np.cumsum([sizes[one] for one in order])
    wanted = order[: max(1, int(np.searchsorted(there, most, side="right")))]
    kept_fits: pd.DataFrame = fits[fits["fraction"].isin(wanted)]
    return kept_fits.head(most)


def _tables(store: Store, fits: pd.DataFrame) -> dict[str, pd.DataFrame]:
    rows, labels = [], []
    held = [key for key in fits["fit_key"] if holds_predictions(store.path("fit", str(key)))]
    fits = fits[fits["fit_key"].isin(held)]
    points = int(np.clip(MOST_POINTS // max(1, 2 * len(fits)), FEW, MANY))
    side = SIDE if len(fits) <= 100 else SIDE_OF_MANY
    for (source, key), mine in fits.groupby(["source", "dataset_key"]):
        dataset = stored_dataset(store.root, str(key))
        parts = {part: part_of(dataset, part, points, side) for part in PARTS if len(dataset.indices(part))}
        labels += [_labels(str(source), part, one) for part, one in parts.items()]
        for row in mine.to_dict("records"):
            head = [row[one] for one in CELL]
            folder = store.path("fit", str(row["fit_key"]))
            for part, one in parts.items():
                known = looked_at(one, dataset.sizes, *predicted(folder, one.frames, dataset.sizes))
                rows.append((*head, part, row["seed"], row["fit_key"], *known))
    return {
        "cell_fits": pd.DataFrame(rows, columns=FITS),
        "cell_parts": pd.DataFrame(labels, columns=LABELS),
    }


def part_of(dataset: DataSet, part: str, points: int, side: int) -> Part:
    """Gather what every model is compared with on one part."""
    frames = dataset.indices(part)
    sizes = dataset.sizes[frames]
    forces = np.concatenate([forces_of(dataset.frames[index]) for index in frames])
    lengths = np.linalg.norm(forces, axis=1)
    edges = edges_of(lengths)
    low, high = float(forces.min()), float(forces.max())
    margin = 0.05 * (high - low) or 1.0
    return Part(
        frames=frames,
        shown=np.sort(np.random.default_rng(0).permutation(len(frames))[:points]),
        energies=np.array([energy_of(dataset.frames[index]) for index in frames]) / sizes,
        forces=forces,
        fifth=fifths(lengths, edges),
        edges=edges,
        ends=(low - margin, high + margin),
        side=side,
    )


def looked_at(
    part: Part, sizes: IntArray, energies: FloatArray, forces: FloatArray
) -> tuple[FloatArray, IntArray, IntArray, int, FloatArray]:
    """Return one model's predictions on a part: ``energies`` to ``force_mae`` of `FITS`.

    ``sizes`` are of all frames; ``energies`` (eV) and ``forces`` (eV/Å) are predictions of the part's.
    """
    low, high = part.ends
    ends = np.linspace(low, high, part.side + 1)
    sides = [
        np.clip(np.searchsorted(ends, one.ravel(), side="right") - 1, 0, part.side - 1)
        for one in (part.forces, forces)
    ]
    counts = np.bincount(sides[0] * part.side + sides[1], minlength=part.side**2)
    filled = np.flatnonzero(counts)
    beyond = int(np.count_nonzero((forces < low) | (forces > high)))
    errors = np.abs(forces - part.forces).mean(axis=1)
    atoms = np.bincount(part.fifth, minlength=N_BINS)
    sums = np.bincount(part.fifth, errors, minlength=N_BINS)
    by_force = np.divide(sums, atoms, out=np.full(N_BINS, np.nan), where=atoms > 0)
    per_atom = energies / sizes[part.frames]
    return per_atom[part.shown], filled, counts[filled], beyond, by_force


def _labels(source: str, name: str, part: Part) -> tuple[object, ...]:
    atoms = np.bincount(part.fifth, minlength=N_BINS)
    sums = np.bincount(part.fifth, np.linalg.norm(part.forces, axis=1), minlength=N_BINS)
    means = np.divide(sums, atoms, out=np.full(N_BINS, np.nan), where=atoms > 0)
    shown = part.frames[part.shown], part.energies[part.shown]
    return (
        source,
        name,
        *shown,
        *part.ends,
        part.side,
        part.edges,
        means,
        len(part.forces),
        len(part.frames),
    )
