"""The leaderboard's page in a real browser: groups apart, published figures apart from ours, sorting, filters."""

import json
import re
from collections import Counter

import pytest

from report_pages import choose_columns, unreachable
from vadbench.records.published import published_numbers
from vadbench.report.board import leaderboard_page

HOSTILE = "</script><img src=x onerror='window.hacked=1'>אב\u202e"


@pytest.fixture
def board(keep, make_split, runs, tmp_path, vadbench):
    """Write the leaderboard of what was kept; its path."""

    def call(*arguments):
        path = tmp_path / "board.html"
        vadbench("leaderboard", "--out", runs, "--format", "html", "--output", path, *arguments)
        return path

    return call


@pytest.fixture
def opened(keep, make_split, board, browser):
    """A leaderboard of two methods under one protocol and one under another, one of them on a data set of papers."""

    keep(make_split(0), "good")
    keep(make_split(1), "other", config={"text": HOSTILE}, changed=["text"])
    changed = make_split(2)
    rules = {"name": "vadclip", "boundaries": "vadclip", "tail": "rows", "localization": "vadclip"}
    protocol = changed.rules.model_copy(update=rules).model_dump(mode="json")
    keep(changed, "third", dataset="ucfcrime", trained_on="ucfcrime", protocol=protocol)
    return browser(board())


def shown(page, selector):
    # In one call: asking the browser for each element by itself takes seconds.
    return page.execute_script(
        "return [...document.querySelectorAll(arguments[0])].filter(e => e.checkVisibility({opacityProperty: true,"
        " visibilityProperty: true}) && e.getClientRects().length).map(e => e.innerText.trim())",
        selector,
    )


def names_of(page):
    """Names of the methods that are seen, each without the line below it."""
    return [text.split("\n")[0] for text in shown(page, "section.measured tbody:not(.apart) th")]


def choose(page, name, value):
    from selenium.webdriver.support.select import Select

    Select(page.find_element("id", f"filter-{name}")).select_by_visible_text(value)


def test_groups_have_tables_of_their_own_and_names_are_text(opened):
    assert shown(opened, "section.measured h2") == ["d measured", "ucfcrime measured"]
    names = names_of(opened)
    assert sorted(names, key=len)[:2] == ["good", "third"] and len(names) == 3
    assert any("onerror='window.hacked=1'" in name for name in names)
    assert opened.execute_script("return [window.hacked ?? null, document.images.length]") == [None, 0]


def test_published_figures_stand_apart_and_say_how_they_are_known(opened):
    assert [t for t in shown(opened, ".tag") if t == "published"]
    assert not shown(opened, ".published table")
    choose(opened, "dataset", "ucfcrime")
    choose(opened, "protocol", "as published")
    assert not shown(opened, "section.measured h2")
    rows = [re.sub(r"\s+", " ", text) for text in shown(opened, ".published tbody tr")]
    own = [n for n in published_numbers() if n.dataset == "ucfcrime" and n.metric == "AUC" and n.key == "vadclip2024"]
    quoted = next(n for n in own if not n.first_hand)
    first = next(n for n in own if n.first_hand and not n.variant)
    assert any(f"{first.reported_in}, {first.table} {first.printed}" in row for row in rows)
    assert any(f"{quoted.reported_in}, {quoted.table} {quoted.printed}*" in row for row in rows)
    assert not any(f"{first.reported_in}, {first.table} {first.printed}*" in row for row in rows)


def published_part(dataset):
    """Headings and rows of the published figures of a data set, as the page has them: text by heading."""
    page = leaderboard_page([], [n for n in published_numbers() if n.dataset == dataset])
    (section,) = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])["sections"]
    titles = [column["title"] for column in section["columns"]]
    return section, [dict(zip(titles, row["cells"], strict=True)) for row in section["rows"]]


def test_the_two_average_precisions_and_an_unknown_one_never_share_a_column():
    section, rows = published_part("xdviolence")
    columns = {column["title"]: column for column in section["columns"]}
    headings = [title for title in columns if title.startswith("AP")]
    assert headings == ["AP (step)", "AP (trapezoid)", "AP (rule unknown)"]
    assert (
        "trapezoid" in columns["AP (trapezoid)"]["explanation"] and "not known" in columns[headings[2]]["explanation"]
    )
    assert len({columns[title]["explanation"] for title in headings}) == 3
    shown = Counter((row["reported in"]["text"], title, row[title]["text"]) for row in rows for title in headings)
    for found in (
        ("vadclip2024, Table 1", "AP (step)", "84.51"),
        ("lavad2024, Table 2", "AP (trapezoid)", "62.01"),
        ("lavad2024, Table 2", "AP (rule unknown)", "17.83"),
        ("pel4vad2024, README results", "AP (trapezoid)", "85.59"),
    ):
        assert shown[found] == 1
    numbers = Counter(n.ap_rule for n in published_numbers() if (n.dataset, n.metric) == ("xdviolence", "AP"))
    filled = Counter(title for (_, title, text), count in shown.items() for _ in range(count) if text)
    assert [filled[title] for title in headings] == [numbers[rule] for rule in ("step", "trapezoid", "unknown")]


@pytest.mark.parametrize("dataset", sorted({n.dataset for n in published_numbers()}))
def test_no_two_published_figures_of_one_metric_are_said_to_be_the_same_thing(dataset):
    section, rows = published_part(dataset)
    figures = {column["title"] for column in section["columns"] if column.get("number")}
    said = Counter(
        (*(row[title]["text"] for title in row if title not in figures), metric)
        for row in rows
        for metric in figures
        if row[metric]["text"]
    )
    assert [words for words, count in said.items() if count > 1] == []
    for row in rows:
        words = [cell["text"] for title, cell in row.items() if title not in {"method", *figures} and cell["text"]]
        assert row["method"]["stacked"] == words


def test_the_two_test_splits_of_msad_are_told_apart():
    _, rows = published_part("msad")
    found = {row["AUC"]["text"]: row["tested on"]["text"] for row in rows if row["method"]["text"] == "Probe-VAD"}
    assert found == {"94.36": "weakly-supervised split", "87.55": "one-class split"}


def test_published_figures_of_selected_weights_or_processed_scores_say_so():
    _, rows = published_part("xdviolence")
    said = {(row["reported in"]["text"], cell["text"]): cell.get("explanation", "") for row in rows
            for title, cell in row.items() if title.startswith("AP")}  # fmt: skip
    assert said["vadclip2024, Table 1", "84.51"] == "weights selected on the test set (best-on-test)"
    assert said["pel4vad2024, README results", "85.59"] == "scores post-processed (other)"
    assert said["anomalyclip2024, Table 3", "78.51"] == said["tpwng2024, Table 1", "83.68"] == ""


def test_filters_narrow_down_to_data_set_protocol_and_backbone(opened):
    everything = shown(opened, "#shown")
    choose(opened, "protocol", "vadclip")
    assert shown(opened, "section h2") == ["ucfcrime measured", "Notes"]
    choose(opened, "protocol", "all")
    choose(opened, "backbone", "I3D-RGB")
    assert not shown(opened, "section.measured h2")
    backbones = set(shown(opened, ".published tbody td:nth-child(3)"))
    assert backbones == {"I3D-RGB"}
    choose(opened, "backbone", "CLIP ViT-B/16")
    choose(opened, "dataset", "ucfcrime")
    assert "ucfcrime measured" in shown(opened, "h2") and "d measured" not in shown(opened, "h2")
    assert set(shown(opened, ".published tbody td:nth-child(3)")) == {"CLIP ViT-B/16"}
    choose(opened, "dataset", "all")
    choose(opened, "backbone", "all")
    assert shown(opened, "#shown") == everything


def test_sorting_sorts_one_table(opened):
    table = opened.find_element("css selector", "section.measured table")
    heads = table.find_elements("css selector", "thead th")
    place = [head.text for head in heads].index("AP")

    def column():
        cells = table.find_elements("css selector", f"tbody:not(.apart) tr > :nth-child({place + 1})")
        return [float(cell.text.split()[0]) for cell in cells]

    heads[place].find_element("css selector", "button").click()
    assert column() == sorted(column(), reverse=True)
    heads[place].find_element("css selector", "button").click()
    assert column() == sorted(column()) and len(set(column())) == 2


def test_metrics_are_defined_under_pointer_and_focus(opened):
    tip = opened.find_element("id", "tip")
    button = opened.find_element("xpath", "//section//button[text()='FAR']")
    opened.execute_script("arguments[0].focus()", button)
    assert tip.text.startswith("False-alarm rate")
    opened.execute_script("arguments[0].blur()", button)
    assert not tip.is_displayed()


def test_what_is_looked_for_is_found_and_only_what_is_seen_is_counted(opened):
    papers = len(opened.execute_script("return [...document.querySelectorAll('.published tr[data-row]')]"))
    assert shown(opened, "#shown") == [f"3 rows, {papers:,} more in closed tables"]
    opened.find_element("css selector", ".published summary").click()
    first = len(shown(opened, ".published tr[data-row]"))
    assert shown(opened, "#shown") == [f"{3 + first:,} rows, {papers - first:,} more in closed tables"]
    search = opened.find_element("id", "search")
    search.send_keys("onerror OTHER")  # a setting and a method
    assert len(names_of(opened)) == 1 and not shown(opened, ".published table")
    assert shown(opened, "#shown") == ["1 row"]
    search.clear()
    search.send_keys("table VADCLIP2024")
    rows = shown(opened, ".published tr[data-row]")
    assert rows and all("vadclip2024, Table" in row for row in rows) and not names_of(opened)
    assert shown(opened, "#shown") == [f"{len(rows)} rows"]
    search.clear()
    search.send_keys("\ue00d")  # a blank asks for nothing
    assert shown(opened, "#shown") == [f"3 rows, {papers:,} more in closed tables"]
    choose(opened, "supervision", "one-class")
    column = [text for text in shown(opened, ".published tbody td:nth-child(4)") if text]
    assert not names_of(opened) and set(column) == {"one-class"}


def test_a_note_is_once_on_the_page_and_its_letters_lead_there(opened):
    notes = shown(opened, "#footnotes dd")
    assert len(notes) == len(set(notes)) > 2
    assert len(shown(opened, "#reading p")) == 2  # how to read figures, and what marks mean
    marks = opened.execute_script(
        "return [...document.querySelectorAll('.measured sup a')].map(a => [a.textContent, a.getAttribute('href')])"
    )
    letters = shown(opened, "#footnotes dt")
    assert {letter for letter, _ in marks} == set(letters)
    assert all(address == f"#note-{letter}" for letter, address in marks)
    mark = opened.find_element("css selector", ".measured sup a")
    opened.execute_script("arguments[0].focus()", mark)
    assert opened.find_element("id", "tip").text == notes[letters.index(mark.text)]


def test_a_long_list_of_settings_pushes_no_figure_away(keep, make_split, board, browser):
    keep(make_split(), config={"text": HOSTILE * 20}, changed=["text"])
    page = browser(board("-d", "d"), width=1400)
    assert unreachable(page) == [] and shown(page, ".hint") == []
    assert HOSTILE[-4:-1] in names_of(page)[0]


@pytest.mark.parametrize(
    ("width", "scheme"), [(320, "light"), (390, "dark"), (390, "light"), (1400, "dark"), (1920, "light")]
)
def test_every_column_is_seen_or_can_be_chosen_on_any_screen(keep, make_split, board, browser, legible, width, scheme):
    keep(make_split())
    keep(make_split(1), "other")
    page = browser(board(), width=width, scheme=scheme)
    choose(page, "backbone", "CLIP ViT-B/16")
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    assert unreachable(page) == []
    assert legible(scheme) > 100
    heads = [" ".join(text.split()) for text in shown(page, "section.measured thead th")]
    stacked = shown(page, ".published .stacked")
    assert (not stacked) if width > 640 else any(text.startswith("CLIP ViT-B/16, weak, official") for text in stacked)
    if width >= 1400:
        assert len(heads) == 11 and shown(page, "section.measured .hint") == []
    else:
        assert heads == ["#", "method", "AUC", "AUC within"]
        assert choose_columns(page, "section.measured", "FAR", "AUC") == ["#", "method", "AUC", "FAR"]
        assert choose_columns(page, "section.measured", "AUC", "FAR") == ["#", "method", "AUC", "FAR"]
        assert set(page.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")) == set()


def test_no_figure_of_false_alarms_is_marked_best(opened):
    table = opened.find_element("css selector", "section.measured table")
    heads = [head.text for head in table.find_elements("css selector", "thead th")]
    marked = {}
    for metric in ("AUC", "FAR"):
        place = heads.index(metric) + 1
        cells = table.find_elements("css selector", f"tbody:not(.apart) tr > :nth-child({place})")
        marked[metric] = [
            bool(cell.find_elements("css selector", ".best, .second")) or "≈" in cell.text for cell in cells
        ]
    assert marked == {"AUC": [True, True], "FAR": [False, False]}


def test_with_four_abnormal_videos_nothing_is_marked_and_the_page_says_why(keep, make_split, board, browser):
    names = [f"v{i:02}" for i in range(8)]
    keep(make_split(0, names=names), "good")
    keep(make_split(1, names=names), "other")
    page = browser(board())
    assert len(shown(page, "section.measured tbody:not(.apart) tr")) == 2
    assert not shown(page, ".measured .best, .measured .second")
    assert any("too few videos to tell" in text.casefold() for text in shown(page, "#footnotes dd"))


def test_a_data_set_called_all_can_be_chosen(keep, make_split, board, browser):
    from selenium.webdriver.support.select import Select

    keep(make_split(), "one", dataset="all", trained_on="all")
    keep(make_split(), "two")
    page = browser(board())
    Select(page.find_element("id", "filter-dataset")).select_by_value("all")
    assert shown(page, "section.measured h2") == ["all measured"]


def test_one_data_set_has_only_its_own_published_figures(keep, make_split, board, browser):
    keep(make_split())
    page = browser(board("-d", "d"))
    assert shown(page, "h2") == ["d measured", "Notes"]


def test_rows_that_look_at_no_frame_stay_below_and_are_not_counted(opened):
    table = opened.find_element("css selector", "section.measured table")
    heads = table.find_elements("css selector", "thead th")
    place = [head.text for head in heads].index("AUC")
    names = ["blind-length", "blind-centre", "blind-oracle-label", "blind-oracle-centre"]

    def last():
        return [row.text.split("\n")[0] for row in table.find_elements("css selector", "tbody th")][-5:]

    below = ["without looking at a frame", *names]
    assert last() == below
    for _ in range(2):
        heads[place].find_element("css selector", "button").click()
        assert last() == below
    cells = table.find_elements("css selector", f"tbody.apart tr > :nth-child({place + 1})")
    # Half of the videos are abnormal, and a quarter of their frames anomalous.
    assert cells[2].text == f"{100 * (1 + 0.5 / (1 - 0.125)) / 2:.2f}"
    assert not table.find_elements("css selector", ".apart .best, .apart .second")
    rows = len(shown(opened, "section.measured tbody:not(.apart) tr"))
    choose(opened, "dataset", "d")
    assert shown(opened, "#shown") == ["2 rows"] and rows == 3
    choose(opened, "backbone", "I3D-RGB")
    assert not shown(opened, ".apart th")
