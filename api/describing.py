"""Latent spaces, splits and pools before anything is run or chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from ase import Atoms
    from crossprune.harness.analysis.spaces.looks import Look, Structures
    from crossprune.harness.engine.study import Study

FRAMES = "frames"
"""Name of frames that were given as they are."""


@dataclass(frozen=True)
class Description:
    """What a look at latent spaces found."""

    tables: Mapping[str, pd.DataFrame]
    """``findings``: faults; ``worth``: how much there is to prune; ``leakage`` and the like: of the split."""
    notes: Mapping[str, Sequence[str]]
    """Of each data set, what loading left out, changed or warns of; under ``skipped``, what was left out."""
    sentences: Sequence[str]
    """What ``worth`` says, in words."""


def describe(
    source: str | Path | Sequence[Atoms],
    *,
    choosers: Sequence[str] = (),
    spaces: Sequence[str] = (),
    poolings: Sequence[str] = (),
    scalings: Sequence[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    loading: Mapping[str, Any] | None = None,
) -> Description:
    """Describe latent spaces before anything is run or chosen: faults, leaks of the split, worth of pruning.

    Nothing is fitted, and labels play no part: frames may have none, and are one pool then.

    Parameters
    ----------
    source
        Name of a data set, path of a file or of a study, or structures.
    choosers
        Families whose space is looked at; of a study, its own by default.
    spaces
        ``atoms``, ``rows``, ``force_rows``.
    poolings
        ``mean``, ``sum``, ``max``, ``std``, ``mean_std``.
    scalings
        ``none``, ``standard``, ``standard_all``, ``whitened``, ``pca:K``, ``model``.
    options
        Of families, as a study's ``[options.NAME]`` tables.
    loading
        Of a file: keys and splits, as in a study's ``[data.NAME]`` table.

    Returns
    -------
    Description
        Data frames by name, notes, and sentences.

    Raises
    ------
    StudyError, DataError
        If there is no chooser, a name is unknown, or data are broken.

    Examples
    --------
    >>> import crossprune
    >>> found = crossprune.describe("si-pbe", choosers=["composition"])
    >>> sorted(found.tables)
    ['findings', 'leakage', 'worth']
    >>> found.tables["worth"][["chooser", "space"]].drop_duplicates().values.tolist()
    [['composition', 'atoms']]
    """
    from crossprune.harness.analysis.spaces.described import before_choosing
    from crossprune.harness.analysis.spaces.looks import Structures
    from crossprune.harness.analysis.spaces.verdicts import sentences
    from crossprune.harness.errors import StudyError

    axes = {"choosers": choosers, "spaces": spaces, "poolings": poolings, "scalings": scalings}
    given = None if isinstance(source, (str, Path)) else list(source)
    if given is not None and (loading or not given):
        raise StudyError("loading is for files, and frames were given" if loading else "there are no frames")
    study = _study(FRAMES if isinstance(given, list) else str(source), axes, loading or {}, options or {})
    if given is None:
        known = {name: _structures(study, name) for name in study.datasets}
    else:
        note = f"all {len(given)} frames are one pool, nothing is tested"
        known = {FRAMES: (Structures.unlabelled(given, FRAMES), (note,))}
    notes = {name: lines for name, (_, lines) in known.items()}
    skipped: list[str] = []
    tables = before_choosing(_looks(study, [one for one, _ in known.values()], skipped))
    if skipped and tables["findings"].empty:
        raise StudyError("; ".join(dict.fromkeys(skipped)))
    if skipped:
        notes["skipped"] = tuple(dict.fromkeys(skipped))
    return Description(tables, notes, sentences(tables["worth"]))


def _study(
    source: str,
    axes: Mapping[str, Sequence[str]],
    data: Mapping[str, Any],
    options: Mapping[str, Mapping[str, Any]],
) -> Study:
    """Return what is to be looked at as a study that only chooses.

    Raises
    ------
    StudyError
        If there is no chooser, or a name is unknown.
    """
    import dataclasses

    from crossprune.harness.data.cards import list_cards
    from crossprune.harness.data.names import table_of
    from crossprune.harness.engine.grid import require_known
    from crossprune.harness.engine.study import Study, read_study
    from crossprune.harness.errors import StudyError
    from crossprune.harness.lookup import FOR_TESTS, adapter_class, families
    from crossprune.harness.selection.methods import RANDOM

    if source != FRAMES and Path(source).is_dir():
        raise StudyError(f"{source} is a folder; spaces of a store: crossprune analyze {source}")
    is_study = Path(source).suffix == ".toml"
    study = read_study(Path(source)) if is_study else Study("describe", (source,), ())
    given: dict[str, Any] = {name: tuple(dict.fromkeys(one)) for name, one in axes.items() if one}
    known = {name: table_of(study.data, study.datasets, name, list_cards()) for name in study.datasets}
    tables = {name: {**(one or {}), **data} for name, one in known.items()}
    try:
        study = dataclasses.replace(study, **given, data=tables, options={**study.options, **options})
    except ValueError as error:
        raise StudyError(str(error)) from None
    require_known(study)
    asked = [one for one in study.choosers if one != RANDOM]
    if not asked:
        names = set(families()) - {FOR_TESTS}
        raise StudyError(f"whose latent space? give --chooser NAME: {', '.join(sorted(names))}")
    for name in asked:
        adapter_class(str(study.options.get(name, {}).get("adapter", name)))
    return dataclasses.replace(study, choosers=tuple(asked))


def _structures(study: Study, name: str) -> tuple[Structures, tuple[str, ...]]:
    """Load a data set with its split, or a file without labels as one pool; also what loading says."""
    from crossprune.harness.analysis.spaces.looks import Structures
    from crossprune.harness.data.cards import load_dataset
    from crossprune.harness.data.files.formats import read_structures
    from crossprune.harness.engine.loading import data_options
    from crossprune.harness.errors import NoLabels, StudyError

    options = data_options(study, name)
    try:
        dataset = load_dataset(name, options=options)
    except NoLabels as error:
        if asked := [one for one in ("split", "split_key") if getattr(options, one, None)]:
            raise StudyError(
                f"{name}: {', '.join(asked)}: frames without labels are one pool that is not split ({error})"
            ) from None
        found = Structures.unlabelled(read_structures(Path(name), options.keys), Path(name).name)
        why = f"{error}"
        return found, (f"no labels ({why}); all {len(found.frames)} frames are one pool, nothing is tested",)
    return Structures.of(dataset, dataset.name), dataset.notes


def _looks(study: Study, structures: list[Structures], skipped: list[str]) -> Iterator[Look]:
    """Describe each data set by each family, in each of the spaces that both have; note what is skipped."""
    import itertools

    from crossprune.harness.analysis.spaces.looks import fresh_looks
    from crossprune.harness.lookup import adapter_class, resolve
    from crossprune.harness.selection.axes import MODEL

    for known, name in itertools.product(structures, study.choosers):
        spec = resolve(name, study.options)
        can = adapter_class(spec.adapter).capabilities
        is_whole = getattr(adapter_class(spec.adapter), "level", "") == "structure"
        able = {
            "space": [one for one in study.spaces if one == "atoms" or can.rows],
            "pooling": [one for one in study.poolings if one != "std" or not is_whole],
            "scaling": [one for one in study.scalings if one != MODEL or can.metric],
        }
        asked = {"space": study.spaces, "pooling": study.poolings, "scaling": study.scalings}
        skipped += [
            f"{name} has no {axis} {value!r}, and is not looked at in it"
            for axis, values in asked.items()
            for value in sorted(set(values) - set(able[axis]))
        ]
        yield from fresh_looks(
            known, spec, itertools.product(able["space"], able["pooling"], able["scaling"])
        )
