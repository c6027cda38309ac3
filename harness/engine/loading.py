"""The data sets of a study, in all their pools, and what a study must not ask of them."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ase import Atoms
from crossprune.harness.contract import have_weight
from crossprune.harness.data.cards import (
    DataOptions,
    card_of,
    list_cards,
    load_card,
    load_dataset,
    load_labelled,
    load_pools,
)
from crossprune.harness.data.frames import DataSet, SourceLabels, group_of
from crossprune.harness.data.names import is_file, is_one_of, table_of
from crossprune.harness.data.partition import PoolId, pool_ids
from crossprune.harness.data.schema import Level
from crossprune.harness.data.sources import Downloader
from crossprune.harness.data.twins import stand_among
from crossprune.harness.engine.study import Study
from crossprune.harness.errors import DataError, StudyError, unknown_name
from crossprune.harness.evaluation.motion.runs import CRYSTAL
from crossprune.harness.evaluation.references import require_fitting
from crossprune.harness.lookup import AdapterSpec, load_potential
from crossprune.harness.selection.gathering import given_in
from crossprune.harness.selection.methods import GIVEN_MARK
from crossprune.harness.tables import from_table

ATOMS = (
    "energies of isolated atoms are left aside, as all models of a transfer have energies per element of the "
    "labels"
)
Split = tuple[str, int]
"""Name of a data set, and number of its pool: what shares a training and a test part."""


def data_options(study: Study, name: str) -> DataOptions:
    """Read a study's ``[data.NAME]`` table; one that belongs to no data set of the study is an error.

    ``name`` is what tables call the data set, or where it is.
    """
    source = study.labels.get(name, name)
    known = (*study.datasets, *filter(None, [study.transfer.source]))
    table = dict(table_of(study.data, known, source, list_cards()) or {})
    target = study.transfer.target
    if target and table.setdefault("level", target) != target:
        raise StudyError(
            f"[transfer] target is {target!r}, and [data.{name}] level {table['level']!r}; give one of them"
        )
    return from_table(DataOptions, table, f"[data.{name}]")


def load_splits(study: Study, names: Iterable[str]) -> dict[Split, DataSet]:
    """Load data sets of a study, by what tables call them, each in all its pools."""
    sources, each = study.labels, study.ood == "each"
    pools = {
        name: load_pools(sources[name], study.pools, each=each, options=data_options(study, name))
        for name in sorted(names)
    }
    if study.transfer.source:
        pools = {name: _of_study(study, sources[name], several) for name, several in pools.items()}
    return {
        (name, pool): dataset
        for name, several in pools.items()
        for (pool, _), dataset in zip(ids_of(study, several[0]), several, strict=True)
    }


def _of_study(study: Study, name: str, pools: tuple[DataSet, ...]) -> tuple[DataSet, ...]:
    source, cards = study.transfer.source, list_cards()
    table = next((one for key, one in study.data.items() if is_one_of(key, [source], cards)), {})
    return with_source(
        pools,
        name,
        source,
        options=data_options(study, name),
        of_source=from_table(DataOptions, table, f"[data.{source}]"),
    )


def ids_of(study: Study, dataset: DataSet) -> list[PoolId]:
    """Return number and held-out group of all pools of a data set in a study."""
    return pool_ids(dataset, study.pools, each=study.ood == "each")


def require_groups(study: Study, datasets: Iterable[DataSet]) -> None:
    """Raise `StudyError` if a study names a group that none of its data sets has.

    Groups are named by ``[weights.GROUP]`` tables and by ``starts`` of ``[md]``.
    """
    several = list(datasets)
    known = {group for dataset in several for group in dataset.groups}
    sources = [dataset.source for dataset in several if dataset.source is not None]
    others = {group_of(atoms) for source in sources for atoms in source.frames}
    for group in study.weights:
        if group not in known | others:
            raise StudyError(f"[weights.{group}]: {unknown_name('group', group, known | others)}")
    for group in study.md.groups:
        if group not in known:
            raise StudyError(f"[md]: starts: {unknown_name('group', group, {*known, CRYSTAL})}")


def require_published(study: Study, datasets: Mapping[str, DataSet]) -> None:
    """Raise `StudyError` if a published potential cannot be loaded, or knows the elements of no data set."""
    for source in study.published:
        known = set(load_potential(source).elements)
        if not any(set(dataset.elements) <= known for dataset in datasets.values()):
            have = "; ".join(f"{name}: {', '.join(one.elements)}" for name, one in datasets.items())
            words = f"knows {', '.join(sorted(known))}, and no data set of these alone is here ({have})"
            raise StudyError(f"published: {source!r} {words}")


def require_given(study: Study, datasets: Iterable[DataSet]) -> None:
    """Raise `StudyError` if a pattern of `given` fits no frame, or all of a training part is given."""
    groups = {dataset.groups[index] for dataset in datasets for index in dataset.indices("train")}
    for pattern in study.given:
        if not fnmatch.filter(groups, pattern):
            raise StudyError(
                f"given: {pattern!r} fits no group that can be chosen ({', '.join(sorted(groups))})"
            )
    for dataset in datasets if study.given else ():
        if len(given_in(dataset, GIVEN_MARK.join(study.given))) == len(dataset.indices("train")):
            raise StudyError(
                f"given: all training frames of {dataset.name} are given, so there is nothing to choose"
            )


def require_weight(study: Study, datasets: Mapping[str, DataSet]) -> None:
    """Raise `StudyError` if the weights leave nothing of a data set's training part, or source, to fit to."""
    for name, dataset in datasets.items():
        if (source := dataset.source) is not None:
            pairs = zip(source.frames, source.usable, strict=True)
            groups = {group_of(atoms) for atoms, usable in pairs if usable}
            if not have_weight(groups, study.weights):
                raise StudyError(
                    f"[weights]: energy and forces are 0 in every group of the source {source.name} "
                    f"({', '.join(sorted(groups))}), so there is nothing to carry over"
                )
        groups = {dataset.groups[index] for index in dataset.indices("train")}
        if not have_weight(groups, study.weights):
            raise StudyError(
                f"[weights]: energy and forces are 0 in every group of {name} that can be chosen "
                f"({', '.join(sorted(groups))}), so there is nothing to fit; give one a weight above 0"
            )


def require_source(study: Study, specs: Mapping[str, AdapterSpec]) -> None:
    """Raise `StudyError` if a model is to carry something over, and nobody says from where."""
    for label, spec in specs.items():
        if spec.transfer is not None and spec.transfer.way != "none" and not study.transfer.source:
            raise StudyError(
                f"[options.{label}]: transfer = {spec.transfer.way!r}, and no labels to carry over; name "
                'them: source = "…" in [transfer]'
            )


def require_crystals(study: Study, datasets: Mapping[str, DataSet]) -> None:
    """Raise `StudyError` if what a study says of its own files does not fit the data, or no property."""
    sources = study.labels
    for name, dataset in datasets.items():
        if sources[name] not in list_cards():
            card = card_of(sources[name], data_options(study, name), dataset.elements)
            require_fitting(card, dataset, f"[data.{name}]")


def with_source(
    pools: Sequence[DataSet],
    name_or_path: str,
    source: str,
    *,
    options: DataOptions | None = None,
    of_source: DataOptions | None = None,
    downloader: Downloader | None = None,
) -> tuple[DataSet, ...]:
    """Put labels of another level beside the pools of a data set.

    Of each pool, source labels of structures that are in its test or ood part are withheld: whoever has them
    knows more of what is tested than its own labels tell.

    Parameters
    ----------
    pools
        The data set's, as `load_pools` returns them.
    name_or_path
        What they were loaded from.
    source
        One of the data set's other levels, the name of a card, or the path of a file.
    options
        How the data set was read.
    of_source
        How another data set is read as source; its split plays no part.

    Raises
    ------
    StudyError, DataError
        If there is no such source, it is what the pools hold themselves, or no frame of it can be used.
    """
    options = options or DataOptions()
    frames, notes = source_frames(name_or_path, source, options, of_source, downloader)
    elements, is_level = set(pools[0].elements), _is_level(name_or_path, source, options)
    known = [atoms for atoms in frames if set(atoms.symbols) <= elements]
    if len(known) < len(frames):
        notes.append(f"source {source}: {len(frames) - len(known)} frames with other elements left out")
    if not known:
        raise DataError(f"source {source!r}: no frame is of {', '.join(sorted(elements))} alone")
    reserved: Sequence[Atoms] = ()
    if options.folds and not is_level:  # what cross-validation keeps away from the training part
        whole = load_dataset(name_or_path, options=replace(options, folds=0), downloader=downloader)
        reserved = _not_in_train(whole)
    found = []
    for dataset in pools:
        hidden = stand_among(known, [*_not_in_train(dataset), *reserved])
        train = [dataset.frames[index] for index in dataset.indices("train")]
        in_train = stand_among(known, train) if is_level else [True] * len(known)
        usable = tuple(not one and other for one, other in zip(hidden, in_train, strict=True))
        if not any(usable):
            raise DataError(f"source {source!r}: all of its structures are tested in {dataset.name}")
        said = [f"source {source}: {sum(usable)} labelled structures"]
        said += [f"{usable.count(False)} withheld, as they are in test or ood"] * (False in usable)
        of_atoms = [ATOMS] if dataset.isolated_atom_energies is not None else []
        found.append(
            replace(
                dataset,
                source=SourceLabels(source, tuple(known), usable),
                isolated_atom_energies=None,
                notes=(*dataset.notes, *notes, "; ".join(said), *of_atoms),
            )
        )
    return tuple(found)


def _not_in_train(dataset: DataSet) -> list[Atoms]:
    return [one for one, part in zip(dataset.frames, dataset.split, strict=True) if part != "train"]


def _levels_of(name: str, options: DataOptions) -> Mapping[str, Level]:
    return load_card(name).levels if name in list_cards() else card_of(name, options).levels


def _is_level(name: str, source: str, options: DataOptions) -> bool:
    """Say whether a source is another level of the data set itself, named in its card or by its frames."""
    levels, cards = _levels_of(name, options), list_cards()
    if source in levels:
        return True
    is_other = source in cards or is_file(Path(source)) or bool(Path(source).suffix)
    return not levels and options.level is not None and name not in cards and not is_other


def source_frames(
    name: str,
    source: str,
    options: DataOptions,
    of_source: DataOptions | None = None,
    downloader: Downloader | None = None,
) -> tuple[list[Atoms], list[str]]:
    """Return the frames with a data set's other labels, and what a user must know of them.

    Raises
    ------
    StudyError, DataError
        As `with_source`.
    """
    levels, cards = _levels_of(name, options), list_cards()
    if _is_level(name, source, options):
        target = options.level or next(iter(levels))
        if source == target:
            raise StudyError(f"{name}: source and target are both {source!r}; name two levels")
        own = replace(options, level=source, folds=0)
        return list(load_dataset(name, options=own, downloader=downloader).frames), []
    if is_one_of(source, [name], cards):
        raise StudyError(
            f"source {source!r} is the data set itself; name one of its other levels"
            + (f" ({', '.join(levels)})" if levels else ", or another data set")
        )
    return load_labelled(source, options=of_source, downloader=downloader)
