"""What two levels of theory make of the same structures, and what models carry over from one to the other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def compare_levels(
    data: str,
    source: str = "",
    target: str = "",
    *,
    loading: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Compare labels of two levels of theory on the structures that both have.

    Parameters
    ----------
    data
        A data set, or the path of a file; the target's labels.
    source
        The other labels: another level of ``data``, a data set or a file. Empty takes the level that is
        left where ``data`` has two.
    target
        Level of ``data``; empty takes its first.
    loading
        Options of ``data`` as in a study's ``[data.NAME]`` table.

    Returns
    -------
    pd.DataFrame
        A row for all structures and one per group: ``n_structures``, ``shift_ev_per_atom`` (target less
        source) with ``shift_low`` and ``shift_high``, ``energy_correlation`` and, after each level's
        energies per element are subtracted, ``referenced_correlation`` and
        ``referenced_mae_mev_per_atom``; ``force_mae_ev_per_angstrom``, ``force_largest_ev_per_angstrom``,
        ``force_slope`` (Σ F_T·F_S / Σ F_S²), ``force_correlation``, ``stress_mae_gpa``.

    Raises
    ------
    StudyError, DataError
        If there are no such labels, or no structure has both.

    Examples
    --------
    >>> import crossprune
    >>> table = crossprune.compare_levels("si-pair")
    >>> float(round(table["shift_ev_per_atom"][0], 3))
    -3.187
    """
    import dataclasses

    import pandas as pd
    from crossprune.harness.data.cards import DataOptions, card_of, load_dataset
    from crossprune.harness.engine.loading import source_frames
    from crossprune.harness.errors import StudyError
    from crossprune.harness.evaluation.level_pairs import level_pairs
    from crossprune.harness.tables import from_table

    table = {**(loading or {}), **({"level": target} if target else {})}
    options = from_table(DataOptions, table, f"[data.{data}]")
    dataset = load_dataset(data, options=options)
    if not source:
        levels = list(card_of(data, options, dataset.elements).levels)
        own = options.level or next(iter(levels), "")
        others = [one for one in levels if one != own]
        if len(others) != 1:
            raise StudyError(f"{data}: compare with which labels? give a source: a level, data set or file")
        source = others[0]
    frames, _ = source_frames(data, source, options)
    return pd.DataFrame([dataclasses.asdict(one) for one in level_pairs(frames, dataset.frames)])


def transfer_of_run(store: str | Path) -> pd.DataFrame:
    """Compare models that carry something over from source labels with the same models without.

    Parameters
    ----------
    store
        Folder of a finished run whose study has a table ``[transfer]``.

    Returns
    -------
    pd.DataFrame
        A row per ``metric`` (force, energy), ``split``, ``dataset``, ``chooser``, ``method``, ``model``,
        ``way``, ``references`` and number of target labels ``n_labelled``: ``error`` and
        ``error_without`` (geometric means over seeds), ``error_ratio`` with the ends of its interval,
        ``labels_ratio`` (times as many target labels for the same error without transfer; inf: more than
        the study has, 0: fewer than its smallest number) with the ends of its, and ``verdict``: helps,
        harms or not shown. Intervals are of 95 %, each for itself.

    Raises
    ------
    StudyError
        If the folder holds no finished run, or one without transfer.

    Examples
    --------
    >>> import tempfile
    >>> import crossprune
    >>> study = {"study": {"name": "t", "datasets": ["si-pair"], "models": ["mean"], "fractions": [0.5, 1.0],
    ...                    "seeds": [0]}, "data": {"si-pair": {"smoke": True}},
    ...          "transfer": {"source": "pbe", "ways": ["source"]}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = crossprune.run(study, store=folder, workers=0)
    ...     table = crossprune.transfer_of_run(folder)
    >>> table.loc[table["metric"] == "force", "error_ratio"].tolist()  # `mean` has no forces
    [1.0, 1.0, 1.0, 1.0]
    """
    from crossprune.harness.analysis.efficiency.transfer import transfer_of

    return transfer_of(Path(store))
