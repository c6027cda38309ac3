"""What is wrong with latent spaces, see `crossprune.harness.selection.linter`, as a table."""

from __future__ import annotations

import numpy as np
from crossprune.harness.analysis.spaces.looks import ATOMS, SPACE, Look
from crossprune.harness.selection.linter import Finding, lint

NOTHING = Finding("note", "nothing found", 0, np.nan, np.nan, "")
COLUMNS = [*SPACE, "level", "finding", "n_columns", "share", "changed", "remark"]


def rows_of(look: Look) -> list[tuple[object, ...]]:
    """Return the rows, `COLUMNS`, of one space; one of the level ``note`` where nothing is found.

    ``share`` is what part of the squared distances between configurations is of the columns that it is
    about, ``changed`` what part of a tenth chosen by farthest points is another without them.
    """
    train, known = look.train, look.structures
    intensive = look.names[2] == ATOMS and look.names[3] != "sum"
    found = lint(look.candidates(train), known.volumes(train), known.compositions(train), intensive=intensive)
    return [(*look.names, *vars(one).values()) for one in found or [NOTHING]]
