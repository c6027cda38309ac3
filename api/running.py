"""Run a study: from a file, a dictionary or a `Study` to its tables and its report."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import pandas as pd
    from crossprune.harness.engine.loop import Progress, RunResult
    from crossprune.harness.engine.study import Study
    from crossprune.harness.engine.trials.assessment import Assessment
    from crossprune.harness.engine.trials.published import Published
    from crossprune.harness.store.objects import Store

    OnProgress = Callable[[str, Progress], None]
    OnNotes = Callable[[Mapping[str, Sequence[str]]], None]

CELLS, MODELS, PUBLISHED = "cells", "trials of models", "published potentials"
"""What progress is told of."""


@dataclass(frozen=True)
class Run:
    """What a run left behind."""

    store: Path
    """Its folder, with ``results.parquet``, ``report.html`` and everything that was computed."""
    results: pd.DataFrame
    """Errors: a row per cell, split and group, as `results` gives them."""
    properties: pd.DataFrame | None
    """Properties of every model; None if the study asks for none."""
    md: pd.DataFrame | None
    """Runs of molecular dynamics of every model; None if the study asks for none."""
    report: Path
    """The page."""
    statuses: Mapping[str, int]
    """How many cells ended in which way."""
    notes: Mapping[str, Sequence[str]]
    """What loading each data set left out, changed or warns of."""

    @property
    def failed(self) -> pd.DataFrame:
        """Rows of cells that are neither done nor skipped; ``reason`` says why."""
        return self.results[~self.results["status"].isin(["done", "skipped"])]


def run(
    study: str | Path | Mapping[str, Any] | Study,
    *,
    store: str | Path | None = None,
    workers: int = 1,
    retry: Iterable[str] = (),
    data: Sequence[str] = (),
    loading: Mapping[str, Any] | None = None,
    executor: str = "local",
    memory_gb: float | None = None,
    on_progress: OnProgress = lambda what, progress: None,
    on_notes: OnNotes = lambda notes: None,
) -> Run:
    """Run every cell of a study that its store does not hold; write table and report.

    Parameters
    ----------
    study
        Path of a study file, the same tables as a dictionary, or a `Study`.
    store
        Folder for results; default: ``crossprune-NAME`` here.
    workers
        Processes; 0 runs in this one.
    retry
        Statuses of cells to run again: failed, timeout, crashed, ...
    data
        Data sets or files instead of the study's.
    loading
        Of files: names of the labels (``energy_key``, ...), as in ``[data.NAME]``.
    executor
        ``local``, or ``parsl:FILE`` for a cluster.
    memory_gb
        Memory of a task, GB; default: the study's.
    on_progress
        Called with what runs (cells, published potentials, trials of models) and how far it is.
    on_notes
        Called once, before anything runs, with what loading each data set left out, changed or warns of.

    Returns
    -------
    Run
        Tables, the store, the report, and what failed.

    Raises
    ------
    StudyError, DataError, MissingPackage
        If the study or its data are wrong, or a package is missing.
    KeyboardInterrupt
        If the run was interrupted; the same call goes on from there.

    Examples
    --------
    >>> import tempfile
    >>> import crossprune
    >>> study = {"study": {"name": "t", "datasets": ["si-pbe"], "models": ["mean"], "fractions": [0.5, 1.0],
    ...                    "seeds": [0]}, "data": {"si-pbe": {"smoke": True}}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = crossprune.run(study, store=folder, workers=0)
    >>> done.statuses, len(done.failed)
    ({'done': 2}, 0)
    >>> here = done.results[(done.results["group"] == "all") & (done.results["split"] == "test")]
    >>> here[["chooser", "fraction", "n_configurations"]].values.tolist()
    [['random', 0.5, 8.0], ['random', 1.0, 16.0]]
    """
    from crossprune.harness.store.repair import healed

    def work() -> Run:
        ready = Work.begin(
            study,
            store=store,
            workers=workers,
            retry=retry,
            data=data,
            loading=loading,
            executor=executor,
            memory_gb=memory_gb,
        )
        return _all_steps(ready, on_progress, on_notes)

    with _main_left_alone():
        return healed(work)


def _all_steps(work: Work, on_progress: OnProgress, on_notes: OnNotes) -> Run:
    from crossprune.rows import results

    with work:
        result = work.cells(lambda one: on_progress(CELLS, one), on_notes)
        published = work.published(result, lambda one: on_progress(PUBLISHED, one))
        root, tried = work.store.root, None
        if not (held := work.is_held(result, published)):
            work.write(result, published)
            tried = work.trials(result, published, lambda one: on_progress(MODELS, one))
        if result.left or published.left or (tried is not None and tried.left):
            raise KeyboardInterrupt
    provenance = work.provenance(result, "crossprune.run(...)")
    page = root / "report.html" if held else write_report(root, provenance)
    return Run(
        store=root,
        results=results(root),
        properties=results(root, "properties") if (root / "properties.parquet").is_file() else None,
        md=results(root, "md") if (root / "md.parquet").is_file() else None,
        report=page,
        statuses=dict(result.statuses),
        notes=result.notes,
    )


@dataclass
class Work:
    """A study with its store and executor, step by step, for whoever shows what happens in between."""

    study: Study
    text: str
    """The study as TOML."""
    store: Store
    executor: Executor
    retry: Sequence[str]

    @classmethod
    def begin(
        cls,
        study: str | Path | Mapping[str, Any] | Study,
        *,
        store: str | Path | None = None,
        workers: int = 1,
        retry: Iterable[str] = (),
        data: Sequence[str] = (),
        loading: Mapping[str, Any] | None = None,
        executor: str = "local",
        memory_gb: float | None = None,
    ) -> Work:
        """Read the study, open its store and start its executor."""
        from crossprune.harness.engine.clusters import executor_of
        from crossprune.harness.errors import StudyError, unknown_name
        from crossprune.harness.store.objects import Store
        from crossprune.harness.store.records import STATUSES
        from crossprune.harness.store.repair import clear_places

        again = tuple(retry)
        for status in again:
            if status not in STATUSES or status == "done":
                raise StudyError(unknown_name("status", status, set(STATUSES) - {"done"}))
        asked, text = _read(study)
        if data or loading:
            asked = asked.with_data(data, loading or {})
        if memory_gb is not None:
            if not 0 < memory_gb < math.inf:
                raise StudyError(f"--memory-gb is {memory_gb:g}; give a number above 0")
            limits = dataclasses.replace(asked.limits, memory_gb=memory_gb)
            asked = dataclasses.replace(asked, limits=limits)
        opened = Store(Path(store) if store else Path(f"crossprune-{asked.name}"))
        opened.remove_leftovers()
        clear_places(opened)
        runs = executor_of(executor, workers, asked.limits.timeout_s, asked.limits.memory_gb)
        return cls(asked, text, opened, runs, again)

    def __enter__(self) -> Work:
        """Use it in a ``with``, which ends the workers."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """End the workers."""
        self.executor.shutdown(cancel_futures=kind is not None)

    def cells(self, on_progress: Callable[[Progress], None], on_notes: OnNotes) -> RunResult:
        """Run all cells that the store does not hold."""
        from crossprune.harness.engine import loop

        return loop.run(
            self.study,
            self.store,
            self.executor,
            retry=self.retry,
            on_progress=on_progress,
            on_notes=on_notes,
        )

    def published(self, result: RunResult, on_progress: Callable[[Progress], None]) -> Published:
        """Evaluate the published potentials that the study names."""
        from crossprune.harness.engine.trials.published import evaluate_published

        return evaluate_published(
            self.study, self.store, self.executor, result, retry=self.retry, on_progress=on_progress
        )

    def is_held(self, result: RunResult, published: Published) -> bool:
        """Say whether there was nothing to compute, in a store that cannot be written."""
        from crossprune.harness.store.readonly import can_write

        computed = +result.computed or result.left or published.computed or published.left
        return not (can_write(self.store.root) or computed)

    def write(self, result: RunResult, published: Published) -> int:
        """Write the results table; return how many cells the one before had that are not this study's.

        Tables of properties and dynamics of an earlier study in this store are not this one's.
        """
        from crossprune.harness.store.tables import cells_in

        before = cells_in(self.store.root / "results.parquet")
        result.write(self.store.root / "results.parquet", published.table)
        for name in ("properties", "md"):
            (self.store.root / f"{name}.parquet").unlink(missing_ok=True)
        mine = set(result.overall["cell"])
        mine |= set(published.overall["cell"]) if len(published.overall) else set()
        return len(before - mine)

    def trials(
        self, result: RunResult, published: Published, on_progress: Callable[[Progress], None]
    ) -> Assessment | None:
        """Put the models to the test and write what they did; None if the study asks for nothing."""
        import pandas as pd
        from crossprune.harness.engine.trials.assessment import assess
        from crossprune.harness.store.tables import write_table

        wanted = self.study.properties.enabled or self.study.md.enabled
        if result.left or published.left or not wanted:
            return None
        overall = result.overall
        if len(published.overall):
            overall = pd.concat([overall, published.overall], ignore_index=True)
        tried = assess(
            self.study, self.store, self.executor, overall, retry=self.retry, on_progress=on_progress
        )
        write_table(tried.properties, self.store.root / "properties.parquet")
        write_table(tried.md, self.store.root / "md.parquet")
        return tried

    def provenance(self, result: RunResult, command: str) -> dict[str, object]:
        """Say where a run's numbers come from."""
        import datetime
        import platform

        from crossprune.harness.engine.results import code_version

        table = result.overall
        versions = {one for text in table["versions"] for one in text.split("; ") if one}
        return {
            "study": self.study.name,
            "toml": self.text,
            "command": command,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "python": platform.python_version(),
            "hardware": "; ".join(sorted(set(table["hardware"]) - {""})),
            "versions": "; ".join(sorted(versions)),
            "cells": int(table["cell"].nunique()),
            "notes_on_data": "; ".join(
                f"{one}: {note}" for one, notes in result.notes.items() for note in notes
            ),
            **code_version(),
        }


def _read(study: str | Path | Mapping[str, Any] | Study) -> tuple[Study, str]:
    """Return a study, and its text."""
    from crossprune.harness.engine.study import Study, document_of, parse_study, read_study, to_toml

    if isinstance(study, Study):
        return study, to_toml(document_of(study))
    if isinstance(study, Mapping):
        return parse_study(study, "the study"), to_toml(study)
    found = read_study(Path(study))
    return found, Path(study).read_text()


def write_report(
    folder: Path,
    provenance: Mapping[str, object] | None,
    on_line: Callable[[str], None] = lambda line: None,
) -> Path:
    """Write the report of a finished run from its tables, and what it rests on, if that is new.

    Parameters
    ----------
    folder
        Of the run.
    provenance
        Of `Work.provenance`; None to take what the store has.
    on_line
        Called if the store's cannot be read, with a line that says so.
    """
    import json

    from crossprune.harness.engine.results import MD, PROPERTIES, published_rows, read_with_published, refits
    from crossprune.harness.errors import StudyError
    from crossprune.harness.store.objects import write_file
    from crossprune.harness.store.tables import read_provenance, read_table
    from crossprune.reports import page

    results, facts = folder / "results.parquet", folder / "provenance.json"
    if provenance is None:
        if not results.is_file():
            raise StudyError(f"{folder} holds no finished run: crossprune run STUDY.toml --store {folder}")
        if (provenance := read_provenance(facts)) is None:
            provenance = {}
            again = f"crossprune run STUDY.toml --store {folder} writes it again"
            on_line(f"{facts} cannot be read, so the report does not say what it rests on; {again}")
    else:
        text = json.dumps(provenance, indent=1)
        write_file(facts, lambda temporary: temporary.write_text(text))
    assessed = {
        name: read_table(place, columns)
        for name, columns in {"properties": PROPERTIES, "md": MD}.items()
        if (place := folder / f"{name}.parquet").is_file()
    }
    overall = read_with_published(results)
    return page.write_report(
        refits(overall), folder, provenance, whole=results, beside=published_rows(overall), **assessed
    )


@contextlib.contextmanager
def _main_left_alone() -> Iterator[None]:
    """Keep worker processes from running the script that calls `run` again: their tasks are not in it."""
    main = vars(sys.modules["__main__"])
    kept: dict[str, Any] = {name: main[name] for name in ("__file__", "__spec__") if name in main}
    main.pop("__file__", None)
    main["__spec__"] = None
    try:
        yield
    finally:
        main |= kept
