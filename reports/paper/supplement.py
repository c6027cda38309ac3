"""The supplement of a study: level of theory, what it rests on, and one entry for each work that it used."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd
from crossprune.harness.data.cards import card_of, list_cards, load_card
from crossprune.harness.data.schema import Card
from crossprune.harness.engine.loading import data_options
from crossprune.harness.engine.study import Study, parse_study
from crossprune.harness.errors import MissingPackage
from crossprune.harness.lookup import families, resolve
from crossprune.harness.selection import methods
from crossprune.harness.tables import parse_toml
from crossprune.reports.embedding import text_uri
from crossprune.reports.paper.bibliography import Entry, beside, distinct, escaped, used

OWN = (__name__, methods.__name__)
"""Modules beside which it is said what to cite, apart from families."""
NAME_OF_AUTHOR = re.compile(r"(?:\w\.[ -]?)+ ?[^\W\d_][\w'’ -]*")
"""``A. V. Shapeev``, ``X.-G. Li``: initials, then a surname."""


class Data(NamedTuple):
    """A data set as a paper names it."""

    name: str
    title: str
    level_of_theory: str
    licence: str
    citation: str
    doi: str


@dataclass(frozen=True)
class Supplement:
    """What the section holds."""

    data: Sequence[Data]
    works: Sequence[tuple[str, str, str]]
    """What for, key and DOI of each entry."""
    bibtex: str
    bibtex_address: str
    """Downloads it."""
    study_address: str
    """Downloads the study file; empty where it is not known."""
    undeclared: Sequence[str]
    """Families and data sets that say nothing to cite."""


def supplement(
    results: pd.DataFrame, provenance: Mapping[str, object], statistics: Mapping[str, pd.DataFrame]
) -> Supplement:
    """Gather what a paper on a study says and cites.

    Parameters
    ----------
    results
        The long results table.
    provenance
        As in `crossprune.reports.page.write_report`: ``toml`` is the study, ``versions`` name programs.
    statistics
        Tables of the analysis: what is not there was not used.
    """
    study = study_of(provenance)
    cards = list(_cards(results, study))
    adapters = _adapters(results, study)
    tags = set(_tags(results, provenance, statistics, study, adapters))
    entries = [one for module in OWN for one in used(beside(module), tags)]
    undeclared = []
    for name in adapters:
        known = used(beside(families()[name].adapter.partition(":")[0]), tags) if name in families() else []
        entries += known
        if not any(f"adapter:{name}" in one.tags for one in [*known, *entries]):
            undeclared.append(name)
    of_data = [(card, _entry_of(card)) for card in cards]
    undeclared += [card.name for card, entry in of_data if entry is None]
    first = [one for one in entries if "study" in one.tags]
    rest = [one for one in entries if "study" not in one.tags]
    works = distinct([*first, *(entry for _, entry in of_data if entry is not None), *rest])
    version = str(provenance.get("crossprune_version", ""))
    works = [_with_version(one, version) for one in works]
    bibtex = "\n\n".join(one.text() for one in works) + "\n"
    toml = str(provenance.get("toml", ""))
    return Supplement(
        data=[_data(card) for card in cards],
        works=[(_what_for(one, tags), one.key, one.fields.get("doi", "")) for one in works],
        bibtex=bibtex,
        bibtex_address=text_uri(bibtex),
        study_address=text_uri(toml) if toml else "",
        undeclared=undeclared,
    )


def study_of(provenance: Mapping[str, object]) -> Study | None:
    """Read the study of a run's provenance; None if it is not there, or not understood any more."""
    try:
        return parse_study(parse_toml(str(provenance["toml"]).encode(), "the study"), "the study")
    except (KeyError, ValueError, MissingPackage):
        return None


def _cards(results: pd.DataFrame, study: Study | None) -> Iterator[Card]:
    """Return the cards of the data sets; of one that is not known, nothing."""
    column = "source" if "source" in results else "dataset"
    for name in sorted(set(results[column].astype(str))):
        source = name if study is None else study.labels.get(name, name)
        if source in list_cards():
            yield load_card(source)
        elif study is not None and name in study.labels:
            try:
                yield card_of(source, data_options(study, name))
            except (OSError, ValueError):
                continue


def _adapters(results: pd.DataFrame, study: Study | None) -> list[str]:
    """Name the families that choose and are fitted, whatever the study calls them."""
    labels = {str(one) for column in ("chooser", "model") for one in results[column]} - {"", "random"}
    options = {} if study is None else study.options
    return sorted({str(options.get(label, {}).get("adapter", label)) for label in labels} - {"published"})


def _tags(
    results: pd.DataFrame,
    provenance: Mapping[str, object],
    statistics: Mapping[str, pd.DataFrame],
    study: Study | None,
    adapters: Sequence[str],
) -> Iterator[str]:
    """Say what a study used, as the tags of entries have it."""
    yield "study"
    yield from (f"adapter:{name}" for name in adapters)
    yield from (f"table:{name}" for name, table in statistics.items() if len(table))
    for method in set(results["method"].astype(str)):
        yield f"method:{method.partition(',')[0].partition('@')[0]}"
        yield from (f"scaling:{one.strip().removesuffix(' scaling')}" for one in method.split(",")[1:])
    for column in {"scaling"} & set(results.columns):
        yield from (f"scaling:{one}" for one in set(results[column].astype(str)))
    versions = [str(provenance.get("versions", ""))]
    versions += [str(one) for one in set(results["versions"])] if "versions" in results else []
    for text in versions:
        yield from (f"package:{one.split()[0]}" for one in text.split(";") if one.strip())
    if "pool" in results and results["pool"].nunique() > 1:
        yield "pools"
    if study is None:
        return
    if study.properties.enabled:
        yield from (f"property:{name}" for name in study.properties.names)
    for label in {*study.choosers, *study.models}:
        yield from _options(label, study)


def _options(label: str, study: Study) -> Iterator[str]:
    """Say which options an adapter has, defaults included."""
    try:
        spec = resolve(label, study.options)
    except (ValueError, MissingPackage):
        return
    for name, value in dataclasses.asdict(spec.options).items():
        if isinstance(value, (bool, str)):
            yield f"option:{spec.adapter}.{name}={str(value).lower()}"


def _entry_of(card: Card) -> Entry | None:
    """Write what a card says as an entry; None if it names nothing to cite."""
    if not card.citation:
        return None
    names: list[str] = []
    rest = card.citation.split(", ")
    while rest and NAME_OF_AUTHOR.fullmatch(rest[0]):
        names.append(rest.pop(0))
    years = re.findall(r"\((\d{4})\)", card.citation)
    fields = {"author": " and ".join(map(escaped, names))} if names else {"title": escaped(card.title)}
    fields["note"] = escaped(", ".join(rest))
    fields |= {"year": years[-1]} if years else {}
    fields |= {"doi": card.doi} if card.doi else {}
    key = f"{names[0].split()[-1].lower()}{years[-1]}" if names and years else card.name
    tagged = {**fields, "keywords": f"dataset:{card.name}"}
    return Entry("misc", re.sub(r"[^\w-]", "", key) or "data", tagged)


def _data(card: Card) -> Data:
    said: Any = (card.title, card.level_of_theory, card.licence, card.citation)
    title, level, licence, citation = (str(one) or "not said" for one in said)
    return Data(card.name, title, level, licence, citation, card.doi)


def _with_version(entry: Entry, version: str) -> Entry:
    if entry.kind != "software" or not version:
        return entry
    return dataclasses.replace(entry, fields={**entry.fields, "version": escaped(version)})


KINDS = {
    "dataset": "data set",
    "adapter": "family",
    "option": "option",
    "method": "choosing",
    "scaling": "scaling",
    "package": "program",
    "property": "property",
    "table": "statistics",
}


def _what_for(entry: Entry, tags: set[str]) -> str:
    """Say what an entry is cited for: ``family gap, program quippy-ase``."""
    parts = []
    for tag in sorted(entry.tags):
        kind, _, name = tag.partition(":")
        if kind in KINDS and (tag in tags or kind == "dataset"):
            parts.append(f"{KINDS[kind]} {name}")
    if "study" in entry.tags:
        parts.insert(0, "everything")
    return ", ".join(parts) or "pools"
