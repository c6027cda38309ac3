"""``crossprune describe``: latent spaces, splits and pools before anything is run or chosen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from crossprune.harness.cli import commands
from rich.console import Console

if TYPE_CHECKING:  # imported when the command needs them, so that --help is quick
    from collections.abc import Iterator, Mapping

    import pandas as pd
    from crossprune.harness.analysis.spaces.looks import Look, Structures
    from crossprune.harness.engine.study import Study

console = Console()


def describe(
    source: Annotated[str, typer.Argument(help="Data set, file with structures, or study (TOML).")],
    chooser: Annotated[
        list[str] | None,
        typer.Option("--chooser", help="Family whose space is looked at (repeatable); default: the study's."),
    ] = None,
    space: Annotated[
        list[str] | None, typer.Option("--space", help="atoms, rows or force_rows (repeatable).")
    ] = None,
    pooling: Annotated[
        list[str] | None, typer.Option("--pooling", help="mean, sum, max, std, mean_std (repeatable).")
    ] = None,
    scaling: Annotated[
        list[str] | None,
        typer.Option("--scaling", help="none, standard, standard_all, whitened, pca:K, model (repeatable)."),
    ] = None,
    split_method: Annotated[
        str | None, typer.Option("--split-method", help="given, stratified, random, blocks or groups.")
    ] = None,
    group_by: Annotated[
        str | None, typer.Option("--group-by", help="group, or trajectory: each one a group of its own.")
    ] = None,
    split_key: Annotated[
        str | None, typer.Option("--split-key", help="Of a file: key that holds train, test or ood.")
    ] = None,
    energy_key: commands.EnergyKeyOption = None,
    forces_key: commands.ForcesKeyOption = None,
    stress_key: commands.StressKeyOption = None,
    virial_key: commands.VirialKeyOption = None,
    group_key: commands.GroupKeyOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, for machines.")] = False,
) -> None:
    """Describe latent spaces before anything is run or chosen: faults, leaks of the split, worth of pruning.

    Example: `crossprune describe si-pbe --chooser snap --chooser chimes --space atoms --space rows`

    Example: `crossprune describe frames.extxyz --chooser snap --pooling mean --pooling mean_std --json`

    Example: `crossprune describe studies/composition-mlearn-si.toml --chooser snap`

    Nothing is fitted, and labels play no part: a file may have none, and is one pool then. Options of
    families are those of the study; spaces of a store are described by `crossprune analyze STORE`.
    """
    from crossprune.harness.analysis.spaces.described import before_choosing
    from crossprune.harness.analysis.spaces.verdicts import sentences
    from crossprune.harness.cli.console import print_analysis, print_notes, print_text
    from crossprune.harness.errors import StudyError

    keys: dict[str, Any] = dict(
        commands.given_keys(energy_key, forces_key, stress_key, virial_key, group_key)
    )
    how = {"split": split_method, "group_by": group_by, "split_key": split_key}
    keys |= {name: value for name, value in how.items() if value is not None}
    study = _study(source, chooser, space, pooling, scaling, keys)
    known = {name: _structures(study, name) for name in study.datasets}
    notes = {name: lines for name, (_, lines) in known.items()}
    skipped: list[str] = []
    tables = before_choosing(_looks(study, [one for one, _ in known.values()], skipped))
    if skipped and tables["findings"].empty:
        raise StudyError("; ".join(dict.fromkeys(skipped)))
    if skipped:
        notes["skipped"] = tuple(dict.fromkeys(skipped))
    if as_json:
        print(json.dumps(_document(tables, notes), indent=1, allow_nan=False))
        return
    print_notes(console, notes)
    worth = tables["worth"].drop(columns="remark")  # its sentences follow
    print_analysis(console, {**tables, "worth": worth})
    for line in sentences(tables["worth"]):
        print_text(console, line)


def _study(
    source: str,
    choosers: list[str] | None,
    spaces: list[str] | None,
    poolings: list[str] | None,
    scalings: list[str] | None,
    data: dict[str, Any],
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
    from crossprune.harness.lookup import adapter_class, families
    from crossprune.harness.selection.methods import RANDOM

    if Path(source).is_dir():
        raise StudyError(f"{source} is a folder; spaces of a store: crossprune analyze {source}")
    is_study = Path(source).suffix == ".toml"
    study = read_study(Path(source)) if is_study else Study("describe", (source,), ())
    axes: dict[str, list[str] | None] = {"choosers": choosers, "spaces": spaces}
    axes |= {"poolings": poolings, "scalings": scalings}
    given: dict[str, Any] = {name: tuple(dict.fromkeys(one)) for name, one in axes.items() if one}
    known = {name: table_of(study.data, study.datasets, name, list_cards()) for name in study.datasets}
    tables = {name: {**(one or {}), **data} for name, one in known.items()}
    try:
        study = dataclasses.replace(study, **given, data=tables)
    except ValueError as error:
        raise StudyError(str(error)) from None
    require_known(study)
    asked = [one for one in study.choosers if one != RANDOM]
    if not asked:
        names = [one for one in families() if not one.startswith("broken")]
        raise StudyError(f"whose latent space? give --chooser NAME: {', '.join(sorted(names))}")
    for name in asked:
        adapter_class(str(study.options.get(name, {}).get("adapter", name)))
    return dataclasses.replace(study, choosers=tuple(asked))


def _structures(study: Study, name: str) -> tuple[Structures, tuple[str, ...]]:
    """Load a data set with its split, or a file without labels as one pool; also what loading says."""
    from crossprune.harness.analysis.spaces.looks import Structures
    from crossprune.harness.data.cards import load_dataset
    from crossprune.harness.data.files.formats import read_structures
    from crossprune.harness.engine.plan import data_options
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


def _document(tables: Mapping[str, pd.DataFrame], notes: Mapping[str, Any]) -> dict[str, Any]:
    """Lay everything out as JSON; what is not a number is null."""
    from crossprune.harness.cli.analysis import plain

    records = {name: table.to_dict("records") for name, table in tables.items()}
    document: dict[str, Any] = plain({"notes": {k: list(v) for k, v in notes.items()}, "tables": records})
    return document
