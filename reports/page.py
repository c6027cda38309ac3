"""One static page per study: opens offline, readable without JavaScript, prints well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from crossprune.harness.analysis.answer import stored_statistics
from crossprune.harness.analysis.cells import labelled
from crossprune.harness.analysis.contrasts import EVERY_MODEL
from crossprune.harness.analysis.details.artefacts import Artefacts, gather
from crossprune.harness.analysis.details.gathered import Details, details_of
from crossprune.harness.analysis.outcomes.softening import kept_softening
from crossprune.harness.analysis.primary import OF_NO_PART, Asked, asked, sentence
from crossprune.harness.analysis.scope import n_owners
from crossprune.harness.analysis.spaces.verdicts import sentences
from crossprune.harness.engine.results import by_pool, not_held_out, published_rows, refits
from crossprune.harness.evaluation.metrics import ALL
from crossprune.harness.store.objects import write_file
from crossprune.harness.store.tables import read_pieces, write_csv
from crossprune.reports import published, spaces, tables
from crossprune.reports.definitions import WORDS
from crossprune.reports.drawing import figures
from crossprune.reports.drawing.evidence import map_data, overlaps, parity_figures, shown_overlaps
from crossprune.reports.drawing.forest import forest_plot
from crossprune.reports.drawing.fronts import COSTS, cell_costs, front_figure
from crossprune.reports.drawing.shares import composition_figures, over_seeds
from crossprune.reports.drawing.softness import softness_of
from crossprune.reports.embedding import (
    TABLES,
    Bundle,
    bundle,
    environment,
    packed,
    packed_json,
    script,
    source,
    styles,
)
from crossprune.reports.findings.asked import primary_of
from crossprune.reports.findings.questions import against_random, questions
from crossprune.reports.findings.savings import savings
from crossprune.reports.headline import headline, title_of
from crossprune.reports.matrices import Block, blocks_of
from crossprune.reports.opened.cells import cell_data
from crossprune.reports.opened.structures import frame_data
from crossprune.reports.paper.supplement import supplement
from crossprune.reports.pictures import BY_NAME, choices, curves_data, matrix_data
from crossprune.reports.properties import (
    error_tint,
    property_errors,
    property_values,
    ramps,
    survival,
    without_result,
)
from crossprune.reports.tables import METRICS, SPLITS, Metric
from crossprune.reports.wording import (
    KNOWN_PROVENANCE,
    comparison_rows,
    provenance_rows,
    split_name,
)

PAGE = "report.html"
TABLE = "results.csv"
NOTHING = Artefacts()
NO_DETAILS = Details()
VIEWER = "vendor/3dmol.min.js"
BY_DEFAULT = Asked()
NOTHING_KEPT: Mapping[str, pd.DataFrame] = {}
MAX_FAILURES = 200
"""Failures listed on the page; their file has all."""


@dataclass(frozen=True)
class Panel:
    """What the page shows for one data set, metric and split."""

    dataset: str
    metric: Metric
    split: str
    table: pd.DataFrame
    blocks: Sequence[Block]
    ratios: Bundle
    errors: Bundle
    curves: Bundle
    fronts: Bundle


def write_report(
    results: pd.DataFrame,
    folder: Path,
    provenance: Mapping[str, object],
    *,
    properties: pd.DataFrame | None = None,
    md: pd.DataFrame | None = None,
    whole: Path | None = None,
    beside: pd.DataFrame | None = None,
) -> Path:
    """Write ``report.html`` and ``results.csv`` into ``folder``.

    Parameters
    ----------
    results
        The long results table, one row per cell × split × group.
    folder
        Where to write; made if it does not exist. If it is the run's store, intervals rest on its
        errors per test configuration as well, and latent maps, parity and overlaps are shown.
    provenance
        Any of ``study`` (name), ``toml`` (text of the study), ``command``, ``versions``, ``commit``,
        ``hardware``, ``date``, ``n_cells``; further keys are listed under their own name.
    properties, md
        The tables of properties and of molecular dynamics, if the study asked for them.
    whole
        The whole table as Parquet, if ``results`` holds only its rows over all groups.
    beside
        Rows of published potentials, over all groups, if the study names any.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    DataError
        If the table lacks a column.
    """
    tables.check_columns(results)
    artefacts = gather(folder, results)
    page = render(
        results,
        provenance,
        stored_statistics(folder, results),
        question=asked(folder),
        artefacts=artefacts,
        details=details_of(folder, results, artefacts, whole),
        properties=properties,
        md=md,
        beside=beside,
        softening=kept_softening(folder),
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_csv([results] if whole is None else read_pieces(whole), folder / TABLE)
    write_file(folder / PAGE, lambda path: path.write_text(page, encoding="utf-8"))
    return folder / PAGE


def render(
    results: pd.DataFrame,
    provenance: Mapping[str, object],
    statistics: Mapping[str, pd.DataFrame],
    *,
    question: Asked = BY_DEFAULT,
    artefacts: Artefacts = NOTHING,
    details: Details = NO_DETAILS,
    properties: pd.DataFrame | None = None,
    md: pd.DataFrame | None = None,
    beside: pd.DataFrame | None = None,
    softening: Mapping[str, pd.DataFrame] = NOTHING_KEPT,
) -> str:
    """Return the page as HTML; ``statistics`` are `stored_statistics`, the rest as in `write_report`.

    ``softening`` are the tables of `kept_softening`.
    """
    made = environment(asked=sentence, error_tint=error_tint)
    overall = by_pool(results[results["group"] == ALL])
    results = labelled(overall)
    cells = tables.cells(results)
    known = None if beside is None or beside.empty else by_pool(labelled(beside))
    panels = _panels(results, cell_costs(cells), known)
    soft = softness_of(softening, properties)
    properties, md = (None if one is None else by_pool(one) for one in (properties, md))
    failures = tables.failures(results)
    together = None if artefacts.overlap is None else shown_overlaps(artefacts.overlap)
    pictures = matrix_data(statistics.get("matrix"))
    enough = savings(statistics.get("enough"), tables.data_kept(results))
    sources = _sources(results, [*(one.dataset for one in panels), *(one.dataset for one in artefacts.maps)])
    summaries = [(one.metric.column, one.split, one.table) for one in panels]
    structures = frame_data(details)
    data: dict[str, Mapping[str, object]] = {
        "matrix": pictures,
        "curves": curves_data(summaries, sources, pictures),
        **cell_data(overall, details, properties=_refits(properties), md=_refits(md)),
        **structures,
    }
    data |= {} if enough is None else {"enough": enough.data}
    paper = supplement(results, provenance, statistics)
    kinds, worth = artefacts.spaces.get("composition"), artefacts.spaces.get("worth")
    return made.get_template("page.html.jinja").render(
        title=title_of(list(dict.fromkeys(sources.values())), str(provenance.get("study", "without a name"))),
        headline=headline(statistics.get("answer"), question, n_owners(results)),
        style=styles(),
        words=WORDS,
        script=script(),
        libraries=_libraries(plots=bool(panels or artefacts.maps), structures=bool(structures)),
        data={name: packed_json(one) for name, one in data.items() if one},
        only_chosen=bool(len(cells)) and (cells["model"] == "").all(),
        statuses=cells["status"].value_counts().to_dict(),
        n_cells=len(cells),
        question=question,
        headlines=_headlines(statistics),
        primary=primary_of(
            statistics.get("answer"),
            question,
            n_owners(results),
            per_configuration=artefacts.per_configuration,
        ),
        against_random=against_random(statistics, question),
        questions=questions(statistics, question),
        savings=enough,
        paper=paper,
        seeds=", ".join(map(str, sorted(set(results["seed"])))),
        panels=panels,
        choices=choices(
            sources,
            pictures,
            list(dict.fromkeys((one.metric.column, one.split) for one in panels)),
            question.primary,
        ),
        maps=[(name, bundle([data])) for name, data in map_data(artefacts.maps)],
        parity=[(*part, bundle(drawn)) for part, drawn in parity_figures(artefacts.parity).items()],
        notices=spaces.notices(artefacts.spaces),
        verdicts=[] if worth is None else sentences(worth),
        spaces=spaces.tables_of(artefacts.spaces),
        where=spaces.errors_of(artefacts.spaces),
        compositions=[] if kinds is None else composition_figures(kinds),
        composition_table=None if kinds is None else over_seeds(kinds),
        overlaps=[] if together is None else overlaps(together),
        overlap_table=together,
        n_guessed=tables.n_guessed(results),
        failures=failures.head(MAX_FAILURES),
        all_failures=failures.assign(reason=failures["reason"].map(_last_line)),
        property_errors=pd.DataFrame() if properties is None else property_errors(refits(properties)),
        property_values=pd.DataFrame() if properties is None else property_values(refits(properties)),
        without_result=without_result(properties, md),
        soft=soft,
        survival=pd.DataFrame() if md is None else survival(refits(md)),
        ramps=pd.DataFrame() if md is None else ramps(refits(md)),
        published=None if known is None else published.errors(known),
        published_assessed=[] if known is None else published.assessed(*map(_published, (properties, md))),
        kept=tables.data_kept(results),
        cost=tables.cost(results),
        provenance=provenance_rows(results, provenance),
        source={key: str(provenance.get(key, "")) for key in KNOWN_PROVENANCE},
    )


def _sources(results: pd.DataFrame, shown: Iterable[str]) -> dict[str, str]:
    """Return the data set of each name that panels and maps go by: of pools, what they are drawn from."""
    table = results if "source" in results else results.assign(source=results["dataset"])
    known = dict(zip(table["dataset"], table["source"], strict=True))
    return {name: str(known.get(name, name)) for name in shown}


def _libraries(*, plots: bool, structures: bool) -> dict[str, str]:
    """Pack the libraries that the page runs when it first draws something."""
    from plotly.offline import get_plotlyjs

    found = {"tables": packed(source(TABLES))}
    if plots:
        found["plotly"] = packed(get_plotlyjs())
    if structures:
        found["3dmol"] = packed(source(VIEWER))
    return found


def _refits(table: pd.DataFrame | None) -> pd.DataFrame | None:
    return None if table is None else refits(table)


def _published(table: pd.DataFrame | None) -> pd.DataFrame | None:
    return None if table is None else published_rows(table)


def _last_line(reason: object) -> str:
    return (str(reason).strip().splitlines() or [""])[-1]


def _panels(results: pd.DataFrame, costs: pd.DataFrame, known: pd.DataFrame | None) -> list[Panel]:
    """Make a panel for every data set, metric and split for which a cell has a number."""
    choosers = tables.random_first(results["chooser"])
    panels = []
    for metric in METRICS:
        for split in SPLITS:
            shown = results if split == "ood" else not_held_out(results)
            table = tables.summary(shown, metric.column, split).merge(costs, how="left")
            for dataset, here in table.groupby("dataset"):
                if here["mean"].notna().any():
                    levels = {} if known is None else published.levels(known, str(dataset), metric, split)
                    panels.append(_panel(str(dataset), metric, split, here, choosers, levels))
    return sorted(panels, key=lambda panel: panel.dataset)


def _panel(
    dataset: str,
    metric: Metric,
    split: str,
    table: pd.DataFrame,
    choosers: Sequence[str],
    levels: Mapping[str, float],
) -> Panel:
    """Lay out one panel's table and figures."""
    blocks = blocks_of(table)
    curves = tables.curves_of(table)
    models = sorted(set(curves["model"]))
    lines = [figures.learning_curve(curves, metric, one, choosers, levels) for one in models]
    ratios = _heat_maps([one for one in blocks if one.has_ratios], metric, ratio=True)
    errors = _heat_maps([one for one in blocks if not one.full], metric, ratio=False)
    fronts = [front_figure(table, metric, cost) for cost in COSTS]
    drawn = [bundle(one) for one in (ratios, errors, lines, fronts)]
    return Panel(dataset, metric, split, table, blocks, *drawn)


def _heat_maps(blocks: Sequence[Block], metric: Metric, *, ratio: bool) -> list[figures.Figure]:
    """Draw the fractions of a panel on one colour scale."""
    shown = [one.ratios if ratio else one.errors for one in blocks]
    span = figures.span_of(shown, ratio=ratio)
    return [
        figures.heat_map(values, one.ways, one.models, metric, one.label, ratio=ratio, span=span)
        for values, one in zip(shown, blocks, strict=True)
    ]


def _headlines(statistics: Mapping[str, pd.DataFrame]) -> list[dict[str, object]]:
    """Lay out the comparisons for the two metrics that the answer rests on."""
    blocks: list[dict[str, object]] = []
    if "answer" not in statistics:
        return blocks
    for (name, split), table in statistics["answer"].groupby(["metric", "split"], sort=False):
        choosers = statistics["choosers"]
        by_chooser = choosers[(choosers["metric"] == name) & (choosers["split"] == split)]
        blocks.append(
            {
                "metric": (metric := _metric_of(str(name))),
                "split": split,
                "title": metric.label if name in OF_NO_PART else f"{metric.label}, {split_name(str(split))}",
                "plot": forest_plot(table, f"Ratios of {name}, {split_name(str(split))}"),
                "better": table["better"].iloc[0],
                "rows": comparison_rows(table),
                "chooser_rows": comparison_rows(by_chooser[by_chooser["model"] == EVERY_MODEL]),
                "table": table,
                "chooser_table": by_chooser,
            }
        )
    return blocks


def _metric_of(name: str) -> Metric:
    """Return the metric that an outcome goes by on the page."""
    return BY_NAME.get(name) or Metric(name, name.replace("_", " ").capitalize(), "")
