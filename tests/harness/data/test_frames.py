"""Data sets as Python shows them."""

from __future__ import annotations

from crossprune.harness.data.cards import load_dataset


def test_a_data_set_shows_itself_in_a_line():
    dataset = load_dataset("si-pbe")
    counts = [dataset.split.count(part) for part in ("train", "test", "ood")]
    assert repr(dataset) == "DataSet('si-pbe', {} frames of Si: {} train, {} test, {} ood)".format(
        len(dataset.frames), *counts
    )
