"""Tables sort, filter and hide columns, say what their words mean, and are saved as they are shown."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ATTACK = "<img src=x onerror=alert(1)> & 50% of a_b"
TABLE = 'table[data-name="fractions"]'
TOOLS = f".tabled:has({TABLE}) .tools"


def table_of(page: Page, name: str = "fractions") -> Locator:
    """Bring a table into view, and wait until it can be sorted."""
    table = page.locator(f'table[data-name="{name}"]')
    page.locator(f'details:has(table[data-name="{name}"])').evaluate_all(
        "(all) => all.forEach((one) => (one.open = true))"
    )
    table.scroll_into_view_if_needed()
    expect(page.locator(f'.tabled:has(table[data-name="{name}"]) .tools button').first).to_be_visible()
    return table


def column(table: Locator, name: str) -> list[str]:
    names = [one.strip() for one in table.locator("thead th").all_inner_texts()]
    at = names.index(name) + 1
    return [one.strip() for one in table.locator(f"tbody tr > :nth-child({at})").all_inner_texts()]


def exact(table: Locator, name: str) -> list[float]:
    """Return what a column of numbers is sorted by."""
    at = [one.strip() for one in table.locator("thead th").all_inner_texts()].index(name) + 1
    cells = table.locator(f"tbody tr > :nth-child({at})")
    return [float(one) for one in cells.evaluate_all("(all) => all.map((one) => one.dataset.order)") if one]


def save(page: Page, kind: str, path) -> str:
    page.locator(TOOLS).get_by_role("button", name="LaTeX, Markdown").press("Enter")
    with page.expect_download() as saved:
        page.get_by_role("button", name=f"Save as {kind}").locator("visible=true").click()
    saved.value.save_as(path)
    page.keyboard.press("Escape")
    return path.read_text(encoding="utf-8")


def test_numbers_sort_as_numbers_both_ways_and_absent_ones_come_last(small, open_page):
    page = open_page(small)
    table = table_of(page, "efficiency")
    heading = table.locator("thead th").filter(has=page.get_by_text("data ratio", exact=True))
    before, texts = exact(table, "data ratio"), column(table, "data ratio")
    assert 0 < texts.count("–") == len(texts) - len(before)
    heading.get_by_role("button").press("Enter")
    expect(heading).to_have_attribute("aria-sort", "ascending")
    assert exact(table, "data ratio") == sorted(before) != before
    assert set(column(table, "data ratio")[len(before) :]) == {"–"}
    heading.click()
    expect(heading).to_have_attribute("aria-sort", "descending")
    assert exact(table, "data ratio") == sorted(before, reverse=True)
    assert set(column(table, "data ratio")[len(before) :]) == {"–"}


def test_rows_are_filtered_by_text_and_by_conditions(small, open_page):
    page = open_page(small)
    table = table_of(page)
    n_rows = table.locator("tbody tr").count()
    page.locator(TOOLS).get_by_role("searchbox").fill("own / other")
    expect(page.locator(TOOLS).locator("output")).to_have_text(re.compile(rf"^\d+ of {n_rows} rows$"))
    assert set(column(table, "comparison")) == {"own / other"}
    page.locator(TOOLS).get_by_role("button", name="Columns").press("Enter")
    page.get_by_label("Condition on fraction").locator("visible=true").fill("> 0.2")
    expect(table.locator("tbody tr").first).to_contain_text("0.5")
    assert set(column(table, "fraction")) == {"0.5"}
    page.get_by_label("Condition on fraction").locator("visible=true").fill("> 7")
    expect(table).to_contain_text("No row has this")


def test_a_link_restores_order_filter_and_columns(small, open_page):
    page = open_page(small)
    table = table_of(page)
    table.locator("thead th", has_text="comparison").click()
    table.locator("thead th", has_text="ratio").first.click(modifiers=["Shift"])
    page.locator(TOOLS).get_by_role("searchbox").fill("force")
    page.locator(TOOLS).get_by_role("button", name="Columns").press("Enter")
    page.get_by_label("Condition on fraction").locator("visible=true").fill("<= 0.5")
    page.keyboard.press("Escape")
    page.locator(TOOLS).get_by_role("button", name="Columns").press("Enter")
    page.get_by_role("checkbox", name="verdict").locator("visible=true").uncheck()
    page.keyboard.press("Escape")
    expect(table.locator("thead th", has_text="verdict")).to_have_count(0)
    address = page.evaluate("location.hash")
    again = table_of(open_page(small, address))
    expect(again.locator("thead th", has_text="verdict")).to_have_count(0)
    assert again.locator("tbody tr").all_inner_texts() == table.locator("tbody tr").all_inner_texts()
    rows = list(zip(column(again, "comparison"), exact(again, "ratio"), strict=True))
    assert rows == sorted(rows)
    assert set(column(again, "fraction")) == {"0.1", "0.5"}


def test_latex_is_what_is_shown_and_well_formed(small, open_page, tmp_path):
    page = open_page(small)
    table = table_of(page)
    page.locator(TOOLS).get_by_role("searchbox").fill("force")
    expect(page.locator(TOOLS).locator("output")).to_contain_text(" of ")
    page.locator(TOOLS).get_by_role("button", name="Columns").press("Enter")
    page.get_by_role("checkbox", name="verdict").locator("visible=true").uncheck()
    page.keyboard.press("Escape")
    text = save(page, "LaTeX", tmp_path / "table.tex")
    rows = check_latex(text)
    assert "verdict" not in rows[0]
    assert rows[1:] == [
        [cell.strip() for cell in row.split("\t")] for row in table.locator("tbody tr").all_inner_texts()
    ]
    assert "Own, other and random choosers at each fraction" in text


def test_latex_of_evil_names_and_of_a_matrix(small, open_page, tmp_path):
    page = open_page(small)
    for name in ("matrix-mlearn-Mo-force_mae_ev_per_angstrom-test", "failures"):
        table_of(page, name)
        tools = page.locator(f'.tabled:has(table[data-name="{name}"]) .tools')
        tools.get_by_role("button", name="LaTeX, Markdown").press("Enter")
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save as LaTeX").locator("visible=true").click()
        saved.value.save_as(tmp_path / name)
        page.keyboard.press("Escape")
        text = (tmp_path / name).read_text(encoding="utf-8")
        check_latex(text)
        assert ("$\\pm$" in text) == name.startswith("matrix")
        assert (r"RuntimeError: 50\% \& \textless{}b\textgreater{}" in text) == (name == "failures")
    assert r"\textless{}img src=x onerror=alert(1)\textgreater{} \& 50\% of a\_b" in (
        tmp_path / "matrix-mlearn-Mo-force_mae_ev_per_angstrom-test"
    ).read_text(encoding="utf-8")


def check_latex(text: str) -> list[list[str]]:
    """Return the cells of a tabular, undone of escapes; fail if it would not compile."""
    bare = re.sub(r"\\[\\&%$#_{}]", "", text)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    first, *lines = bare.splitlines()
    assert first.startswith("% ")
    assert "booktabs" in first
    assert not re.search(r"[#_^~<>|]", "".join(lines))
    assert "%" not in "".join(lines)
    begun, ended = (re.findall(rf"\\{word}{{(\w+)}}", text) for word in ("begin", "end"))
    assert begun == ended[::-1]
    columns = re.search(r"\\begin{(?:tabular|longtable)}{([lr]+)}", text)
    assert columns is not None
    rows = [
        line.strip()[:-3] for line in text.splitlines() if line.startswith("    ") and line.endswith(r" \\")
    ]
    cells = [re.split(r"(?<!\\)&", row) for row in rows]
    assert {len(one) for one in cells} == {len(columns[1])}
    return [[undone(one.strip()) for one in row] for row in cells]


def undone(text: str) -> str:
    plain = text.replace(r"\textless{}", "<").replace(r"\textgreater{}", ">").replace("--", "–")
    return re.sub(r"\\([&%$#_{}])", r"\1", plain)


def test_the_picture_of_the_first_screen_is_a_table_as_well(small, open_page, tmp_path):
    page = open_page(small)
    page.locator("#first .tools").get_by_role("button", name="LaTeX, Markdown").press("Enter")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as LaTeX").locator("visible=true").click()
    assert saved.value.suggested_filename == "matrix.tex"
    saved.value.save_as(tmp_path / "matrix.tex")
    head, *rows = check_latex((tmp_path / "matrix.tex").read_text(encoding="utf-8"))
    assert head[1:] == [ATTACK, "snap"]
    assert r"mlearn-Mo, 10 \% kept}" in (tmp_path / "matrix.tex").read_text(encoding="utf-8")
    assert len(rows) == page.locator("#first .matrix tbody tr").count()


def test_markdown_is_copied(small, open_page):
    page = open_page(small)
    table = table_of(page)
    page.locator(TOOLS).get_by_role("button", name="LaTeX, Markdown").press("Enter")
    page.get_by_role("button", name="Copy as Markdown").locator("visible=true").click()
    expect(page.locator("#said")).to_contain_text("Copied")
    caption, empty, head, rule, *rows = page.evaluate("navigator.clipboard.readText()").strip().splitlines()
    assert caption.startswith("Own, other and random")
    assert empty == ""
    assert head.count("|") == rule.count("|") == table.locator("thead th").count() + 1
    assert [row.count("|") for row in rows] == [head.count("|")] * table.locator("tbody tr").count()


def test_words_of_headings_are_explained_to_mouse_and_keyboard(small, open_page):
    page = open_page(small)
    heading = table_of(page).locator("thead th", has_text="n units")
    tooltip = page.get_by_role("tooltip")
    heading.hover()
    expect(tooltip).to_contain_text("Independent repeats")
    page.keyboard.press("Escape")
    expect(tooltip).to_be_hidden()
    page.mouse.move(2, 2)
    button = heading.get_by_role("button")
    button.focus()
    expect(tooltip).to_contain_text("Independent repeats")
    expect(button).to_have_accessible_description(re.compile("Independent repeats"))


def test_names_stay_text(small, open_page, draw_all):
    page = open_page(small)
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    draw_all(page)
    table_of(page, "cost")
    page.locator('.tabled:has(table[data-name="cost"]) .tools').get_by_role("searchbox").fill("img src")
    expect(page.locator('table[data-name="cost"]')).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.locator("img").count() == 0
