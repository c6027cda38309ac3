"""The commands that print the statistics of finished runs, or of a table alone."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from crossprune.harness.store.readonly import can_write
from rich.console import Console

if TYPE_CHECKING:  # imported when the command needs it, so that --help is quick
    from collections.abc import Mapping

    import pandas as pd
    from crossprune.harness.analysis.primary import Asked

RESULT = (
    *("better", "low", "high", "p", "verdict", "role", "design", "n_pairs", "n_units", "n_missing"),
    *("n_pools", "repeat", "at_end", "label_ratio"),
)
"""What JSON says of the primary comparison, beside its estimate."""
console = Console()


def analyze(
    store: Annotated[Path, typer.Argument(help="Folder of a finished run, or a table: .parquet or .csv.")],
    full: Annotated[bool, typer.Option("--full", help="Print every row of long tables.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, for machines.")] = False,
) -> None:
    """Print the statistics that answer the question, and describe the latent spaces.

    Example: `crossprune analyze mo`, or `crossprune analyze merged.csv --json`

    The verdict on the primary comparison comes first. Long tables are cut to the rows that most people
    ask for first. Tables with all rows and columns are written to STORE/analysis as Parquet. A table
    without its store gives what a table can tell: intervals that rest on seeds alone, which are too narrow.
    """
    from crossprune.harness.analysis.answer import analyse
    from crossprune.harness.analysis.primary import asked
    from crossprune.harness.cli.console import print_analysis, print_text

    tables, question = analyse(store), asked(store)
    if as_json:
        print(json.dumps(_document(tables, question, store), indent=1, allow_nan=False))
        return
    for line in _verdict(tables, question, store):
        print_text(console, line)
    if _only_chooses(store):
        first = ("composition", "worth", "leakage", "findings")
        order = sorted(tables, key=lambda name: first.index(name) if name in first else len(first))
        tables = {name: tables[name] for name in order if len(tables[name])}
    print_analysis(console, tables, full=full)
    if store.is_file():
        return
    kept = str((store / "analysis").resolve())
    if not can_write(store / "analysis"):
        kept = f"not written, {kept} cannot be"
    console.print(f"tables: {kept}", soft_wrap=True, highlight=False)


def compare(
    before: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    after: Annotated[Path, typer.Argument(help="Folder of another: the same study after a change.")],
    page: Annotated[
        Path | None,
        typer.Option("--page", help="File to write; default: compared.html beside AFTER's table."),
    ] = None,
) -> None:
    """Say what changed between two finished runs, and write a page that shows it cell by cell.

    Example: `crossprune compare mo-before mo-after`

    Errors of common cells are compared seed by seed; differences of options, versions and data are named.

    Exit code 0, whether or not something changed; 2: one is no finished run, or they have no cell in common.
    """
    from crossprune.harness.cli.console import print_text
    from crossprune.reports.several.stores import PAGE, finding, write_comparison

    written = after / PAGE if page is None else page
    changes = write_comparison(before, after, written)
    print_text(console, finding(changes))
    for cause in changes.causes:
        print_text(console, f"- {cause}")
    console.print(f"page: {written.resolve()}", soft_wrap=True, highlight=False)


def transfer(
    store: Annotated[Path, typer.Argument(help="Folder of a finished run with a table [transfer].")],
    split: Annotated[str, typer.Option("--split", help="test or ood.")] = "test",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, for machines.")] = False,
) -> None:
    """Say what models gain by what they carry over from labels of another level of theory.

    Example: `crossprune transfer crossprune-transfer-si`

    By number of target labels: error with transfer over the error of the same model without (95 % interval,
    paired by seed), and how many times as many target labels it needs without for the same error; > is more
    than the study has, < fewer than its smallest number.
    """
    from crossprune.harness.cli.console import print_lines, print_text
    from crossprune.harness.cli.layout import lines_of
    from crossprune.harness.engine.study import PARTS
    from crossprune.harness.errors import StudyError, unknown_name
    from crossprune.levels import transfer_of_run

    if split not in PARTS:
        raise StudyError(unknown_name("split", split, PARTS))
    table = transfer_of_run(store)
    if as_json:
        print(json.dumps(plain({"transfer": table.to_dict("records")}), indent=1, allow_nan=False))
        return
    keys = ["metric", "dataset", "chooser", "method"]
    for (metric, dataset, chooser, method), part in table[table["split"] == split].groupby(keys, sort=False):
        way = chooser if chooser == method else f"{chooser} · {method}"
        print_text(console, f"{dataset}, {split}, {metric} error; labels chosen by {way}")
        print_lines(console, lines_of(_shown(part)))


def _primary(tables: Mapping[str, pd.DataFrame], question: Asked) -> list[dict[Any, Any]]:
    """Return the row of the comparison that is asked for; none if there is nothing to compare."""
    from crossprune.harness.analysis.contrasts import EVERY_MODEL

    if "answer" not in tables:
        return []
    asked, table = question.primary, tables["answer"]
    here = (table["metric"] == asked.outcome) & (table["split"] == asked.split)
    here &= (table["model"] == EVERY_MODEL) & (table["comparison"] == asked.comparison)
    return table[here].to_dict("records")


def _verdict(tables: Mapping[str, pd.DataFrame], question: Asked, store: Path) -> list[str]:
    """Say in words what the primary comparison found, and how far that is to be believed."""
    from crossprune.harness.analysis.primary import sentence
    from crossprune.harness.analysis.scope import too_few
    from crossprune.reports.wording import answer

    rows = _primary(tables, question)
    if store.is_file():  # whoever wrote it asked nothing before
        rows = [{**row, "role": "by default"} for row in rows]
    if _only_chooses(store):
        return ["No model is fitted in this study, it only chooses: what it chose, and what its spaces are."]
    lines = [f"{sentence(question.primary)}:", *(answer(rows) or [_why_nothing(question, store)])]
    scope = tables.get("scope")
    if rows and rows[0]["comparison"] == "own / other" and scope is not None and len(scope):
        lines.append(too_few(int(scope["n_descriptors"].max())))
    if _is_smoke(store):
        lines.append(
            "The data are a smoke subset: all of this tries the machine, and its numbers mean nothing."
        )
    lines = [line for line in lines if line]
    if question.changed:
        lines.append(f"All of this is exploratory: {question.changed}.")
    if store.is_file():
        lines.append(
            "A table without its store: nobody knows what was asked before it had results, nor the error of "
            "the test set. Intervals rest on seeds alone and are too narrow."
        )
    return lines


def _why_nothing(question: Asked, store: Path) -> str:
    """Say that nothing can be compared, and what became of the runs or properties that were asked for."""
    from crossprune.harness.analysis.answer import assessed
    from crossprune.harness.analysis.primary import OF_NO_PART

    if question.primary.outcome not in OF_NO_PART or store.is_file():
        return "nothing to compare: no model was fitted, or none has an error."
    name = "md" if question.primary.outcome.startswith("survival") else "properties"
    rows = assessed(store).get(name)
    if rows is None:
        return "nothing to compare: the run has not come so far."
    counts = ", ".join(f"{count} {one}" for one, count in rows["status"].value_counts().items())
    reasons = rows.loc[rows["status"] != "done", "reason"].value_counts()
    reason = f"; most often: {reasons.index[0].splitlines()[-1]}" if len(reasons) else ""
    return f"nothing to compare: of what was asked, {counts or 'nothing has ended'}{reason}."


def _only_chooses(store: Path) -> bool:
    """Say whether a run was of a study without models."""
    from crossprune.harness.analysis.spaces.latent import stored_study

    study = None if store.is_file() else stored_study(store)
    return study is not None and not study.models


def _is_smoke(store: Path) -> bool:
    """Say whether a run was of tiny subsets of its data, for tests."""
    from crossprune.harness.data.cards import SMOKE
    from crossprune.harness.store.tables import PROVENANCE, read_provenance

    known = None if store.is_file() else read_provenance(store / PROVENANCE)
    return known is not None and SMOKE in str(known.get("notes_on_data"))


def _document(tables: Mapping[str, pd.DataFrame], question: Asked, store: Path) -> dict[str, Any]:
    """Lay everything out as JSON; what is not a number is null."""
    primary: dict[str, Any] = {**vars(question.primary), "changed": question.changed}
    for row in _primary(tables, question):
        primary |= {"estimate": row["ratio"], **{name: row.get(name) for name in RESULT}}
    primary["said"] = _verdict(tables, question, store)[1:]
    records = {name: table.to_dict("records") for name, table in tables.items()}
    return {"primary": plain(primary), "tables": plain(records)}


def plain(value: Any) -> Any:
    """Return a value as JSON has it, with all that is in it."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _shown(part: pd.DataFrame) -> pd.DataFrame:
    """Lay rows out as a table of texts: a row per model and way, a column per number of labels."""
    import pandas as pd

    names = part["model"] + "-" + part["way"]
    names += np.where(part["references"] == "target", "", "-" + part["references"])
    texts = [
        f"{ratio:.2f} ({_times(labels)})" + {"helps": "", "harms": "!", "not shown": "?"}[verdict]
        for ratio, labels, verdict in zip(
            part["error_ratio"], part["labels_ratio"], part["verdict"], strict=True
        )
    ]
    wide = pd.DataFrame({"model": names, "fraction": part["fraction"].to_numpy(), "text": texts})
    table = wide.pivot(index="model", columns="fraction", values="text").reindex(list(dict.fromkeys(names)))
    sizes = dict(zip(part["fraction"], part["n_labelled"], strict=True))
    table.columns = pd.Index([f"{sizes[fraction]:g}" for fraction in table.columns])
    return table.reset_index()


def _times(ratio: float) -> str:
    if math.isinf(ratio):
        return ">"
    return "<" if ratio == 0 else f"×{ratio:.2g}" if math.isfinite(ratio) else "–"
