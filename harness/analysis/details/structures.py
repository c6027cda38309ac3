"""Which frames of a store a page can show, and which file each comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from crossprune.harness.contract import IntArray
from crossprune.harness.data.cards import card_of, list_cards
from crossprune.harness.data.frames import SPLITS, DataSet
from crossprune.harness.engine.loading import data_options
from crossprune.harness.engine.stored import stored_dataset
from crossprune.harness.engine.study import Study
from crossprune.harness.errors import StudyError
from crossprune.harness.store.objects import Store
from numpy.typing import NDArray

MOST_ATOMS = 40_000
"""Atoms on a page, over all data sets: some 700 kB; of more, frames are drawn at random."""


@dataclass(frozen=True)
class Structures:
    """Frames of one data set that are points of a plot."""

    source: str
    """Name of the data set."""
    dataset: DataSet
    frames: IntArray
    """Which of its frames, ascending."""
    drawn: NDArray[np.bool_]
    """Those of them whose atoms are on the page."""
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Part to the files that its frames come from, where that is known."""


def structures_of(root: Path, results: pd.DataFrame, wanted: Mapping[str, IntArray]) -> Iterator[Structures]:
    """Find the frames ``wanted`` of each data set (``source``) in a store; results are of first pools."""
    store = Store(root)
    name = results["source"] if "source" in results else results["dataset"]
    keys = dict(zip(name, results["dataset_key"], strict=True))
    held = {one: str(keys[one]) for one in wanted if keys.get(one) and store.has("dataset", str(keys[one]))}
    for source, key in held.items():
        dataset = stored_dataset(root, key)
        frames = np.unique(wanted[source])
        drawn = within(dataset.sizes[frames], MOST_ATOMS // len(held))
        yield Structures(source, dataset, frames, drawn)


def within(sizes: IntArray, most: int) -> NDArray[np.bool_]:
    """Draw frames of ``sizes`` atoms, always the same, that have at most so many atoms together."""
    order = np.random.default_rng(0).permutation(len(sizes))
    drawn = np.zeros(len(sizes), dtype=np.bool_)
    left = most
    for place in order:
        if sizes[place] <= left:
            drawn[place] = True
            left -= int(sizes[place])
    return drawn


def files_of(study: Study, source: str) -> dict[str, tuple[str, ...]]:
    """Return the files that frames of each part come from; none if the card, or the study, does not say."""
    try:
        options = data_options(study, source)
        place = study.labels.get(source, source)
        if place not in list_cards():
            parts = {"test": options.test, "ood": options.ood}
            return {part: (Path(parts.get(part) or place).name,) for part in SPLITS}
        card = card_of(place, options)
    except (OSError, KeyError, ValueError, StudyError):  # a store seen from elsewhere
        return {}
    names = tuple(file.path for file in card.files)
    given = options.split in (None, "given") and options.ood_groups is None
    by_part = {one.part for one in card.files} == {"train", "test"} and given
    return {
        part: tuple(one.path for one in card.files if one.part == part)
        if by_part and part != "ood"
        else names
        for part in SPLITS
    }
