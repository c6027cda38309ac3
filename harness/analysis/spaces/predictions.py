"""What a stored fit predicted for the frames that it did not see."""

from __future__ import annotations

import functools
import io
import zipfile
from pathlib import Path

import numpy as np
from crossprune.harness.contract import FloatArray, IntArray
from crossprune.harness.engine.stored import stored_subset
from crossprune.harness.store.damage import reading


def holds_predictions(folder: Path) -> bool:
    """Tell whether a fit's folder still holds what `predicted` reads."""
    return folder.is_dir()


@functools.lru_cache(maxsize=4)
def _stored(folder: Path) -> tuple[IntArray, FloatArray, FloatArray]:
    """Read once what every part needs: chosen frames, predicted energies and forces."""
    root, key = folder.parents[3], folder.name
    subset = stored_subset(root, key)
    with (
        reading(root, ("fit", key), sizes=False),  # an archive holds checksums
        zipfile.ZipFile(folder / "predictions.npz") as archive,  # in half the time of np.load
    ):
        energies, forces = (
            np.lib.format.read_array(io.BytesIO(archive.read(f"{name}.npy")))
            for name in ("energies", "forces")
        )
    return subset, energies, forces


def predicted(folder: Path, chosen: IntArray, sizes: IntArray) -> tuple[FloatArray, FloatArray]:
    """Read a fit's predicted energies (eV) and forces (eV/Å) of the frames ``chosen``.

    Parameters
    ----------
    folder
        The fit's in the store.
    chosen
        Indices of frames that the fit did not see.
    sizes
        Atoms of every frame of the data set, shape (n_frames,).

    Raises
    ------
    ValueError
        If the fit saw one of the frames.
    """
    subset, energies, forces = _stored(folder)
    unseen = np.ones(len(sizes), dtype=np.bool_)
    unseen[subset] = False
    if not unseen[chosen].all():
        raise ValueError("asked for predictions of frames that the model was fitted to")
    starts = np.cumsum(unseen * sizes) - sizes
    mine = sizes[chosen]
    atoms = np.arange(mine.sum()) + np.repeat(starts[chosen] - np.cumsum(mine) + mine, mine)
    return energies[np.cumsum(unseen)[chosen] - 1], forces[atoms]
