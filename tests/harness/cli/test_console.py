from __future__ import annotations

import io

import pandas as pd
import pytest
from crossprune.harness.cli.console import print_analysis
from rich.console import Console


@pytest.mark.parametrize(("full", "n_rows"), [(False, 20), (True, 60)])
def test_a_long_table_is_cut_to_the_fraction_nearest_to_a_tenth(full, n_rows):
    overlap = pd.DataFrame(
        {
            "fraction": [0.05, 0.12, 0.4] * 20,
            "first": [f"way{index:02d}" for index in range(60)],
            "jaccard": 0.5,
        }
    )
    output = io.StringIO()
    print_analysis(Console(file=output, width=100), {"overlap": overlap}, full=full)
    text = output.getvalue()
    assert text.count("way") == n_rows
    assert ("20 of 60 rows" in text) is not full
