"""The tables of a report page: marks with intervals, the best figures, and every column on any screen."""

import json

import pytest

from report_pages import choose_columns, find, texts, unreachable
from vadbench.metrics.definitions import COMPARED, definition
from vadbench.plugins.registry import Registry
from vadbench.tables.ranked_runs import rank

NAMES = [f"v{i:02}" for i in range(32)]
"""Eight abnormal videos of each class, so that classes have intervals."""


def marks(browser, column):
    """By class and run, where the dot and the ends of the whisker of a column are, in percent of the axis."""
    return browser.execute_script(
        """
        const of = (svg) => [["circle", "cx"], ["line.bar", "x1"], ["line.bar", "x2"]].map(([tag, name]) =>
          parseFloat(svg.querySelector(tag)?.getAttribute(name)));
        return [...document.querySelectorAll("#classes tbody tr")].map((row) =>
          [...row.children[arguments[0]].querySelectorAll("svg")].map(of));""",
        column,
    )


def test_marks_of_classes_span_the_intervals_of_the_record(make_split, keep, page, browser):
    folders = [keep(make_split(seed, names=NAMES), f"m{seed}") for seed in (0, 1)]
    records = [json.loads((folder / "result.json").read_text())["metrics"] for folder in folders]
    opened = browser(page(*folders))
    for column, metric in ((1, "AUC"), (2, "AP")):
        ticks = [float(t) for t in texts(opened, f"#classes thead th:nth-child({column + 1}) svg text")]
        low, high = ticks[0] / 100, ticks[-1] / 100
        found = [[record[f"{metric}[{name}]"] for record in records] for name in ("Riot", "Fire")]
        lowest = min(value["low"] for of_class in found for value in of_class)
        assert high == 1 and ticks[1] == pytest.approx(50 * (low + high))
        if metric == "AUC":
            assert lowest < 0.5  # else the axis would begin there
            assert low == pytest.approx(int(lowest * 10) / 10)
        else:
            assert low == 0
        for row, of_class in zip(marks(opened, column), found, strict=True):
            for places, value in zip(row, of_class, strict=True):
                shown = [low + place / 100 * (high - low) for place in places]
                assert shown == pytest.approx([value[k] for k in ("value", "low", "high")], abs=1e-4)
        cells = texts(opened, f"#classes tbody td:nth-child({column + 1})")
        for cell, of_class in zip(cells, found, strict=True):
            for v in of_class:
                assert f"{100 * v['value']:.1f} [{100 * v['low']:.1f}, {100 * v['high']:.1f}]" in cell


def test_an_axis_of_auc_begins_at_chance_and_a_figure_without_interval_is_a_dot(make_split, keep, page, browser):
    split = make_split()  # three videos of a class
    metrics = json.loads((keep(split) / "result.json").read_text())["metrics"]
    values = {name: {"value": value} for name, value in (("AUC[Riot]", 0.5), ("AUC[Fire]", 0.75))}
    opened = browser(page(keep(split, "good", metrics=metrics | values)))
    assert texts(opened, "#classes thead th:nth-child(2) svg text") == ["50", "75", "100"]
    assert [[dot for dot, *_ in row] for row in marks(opened, 1)] == [[0], [50]]
    assert not texts(opened, "#classes line.bar")


def emphasis(browser):
    """By heading, how the figure of each run is marked."""
    rows = browser.execute_script(
        """
        const mark = (cell) => cell.querySelector("span").className + (cell.textContent.includes("≈") ? "≈" : "");
        const rows = [...document.querySelectorAll("#figures tbody tr")];
        return rows.map((row) => [...row.querySelectorAll("td")].map(mark));"""
    )
    return dict(zip((definition(key).title for key in COMPARED), zip(*rows, strict=True), strict=True))


def test_the_best_figures_are_marked_as_in_the_leaderboard(make_split, keep, page, browser, runs):
    folders = [keep(make_split(seed, names=NAMES), f"m{seed}") for seed in range(3)]
    opened = browser(page(*folders))
    (table,), _ = rank(runs, Registry())
    expected = {}
    for place, column in enumerate(table.columns):
        figures = {row.label: row.cells[place].reproduced for row in table.rows}
        expected[column.title] = tuple(
            ("best" if f.best else "second" if f.second else "") + ("≈" if f.tied else "")
            for f in (figures[f"m{seed}"] for seed in range(3))
        )
    assert emphasis(opened) == expected
    assert "best" in expected["AUC"] and expected["FAR"] == ("", "", "")
    assert "Bold: best" in find(opened, "#figures").text


def test_nothing_is_marked_of_one_run_of_few_videos_or_of_runs_under_other_rules(make_split, keep, page, browser):
    one = keep(make_split(0, names=NAMES), "one")
    few = [keep(make_split(seed, names=NAMES[:8]), f"few{seed}") for seed in (0, 1)]
    rules = make_split().rules.model_copy(update={"name": "vadclip", "boundaries": "vadclip", "tail": "rows"})
    other = keep(make_split(1, names=NAMES), "other", protocol=rules.model_dump(mode="json"))
    for folders, said in (
        ([one], ""),
        (few, "too few videos to tell methods apart."),
        ([one, other], "not ranked with the others: differs in"),
    ):
        opened = browser(page(*folders))
        assert {mark for row in emphasis(opened).values() for mark in row} == {""}
        assert said in find(opened, "#figures").text and ("Bold" in find(opened, "#figures").text) == bool(said)


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (800, "dark"), (1400, "light")])
def test_every_column_is_seen_or_can_be_chosen_on_any_screen(make_split, keep, page, browser, legible, width, scheme):
    classes = ("Normal", *(f"class number {i}" for i in range(9)))
    folders = [keep(make_split(seed, names=NAMES, classes=classes), f"m{seed}") for seed in (0, 1)]
    opened = browser(page(*folders), width=width, scheme=scheme)
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width
    assert unreachable(opened) == []
    assert legible(scheme) > 100
    hint = find(opened, "#classes .hint")
    assert not hint.is_displayed()  # it fits at any width
    if width == 390:
        assert choose_columns(opened, "#figures", "mAP", "AP") == ["run", "AP", "mAP"]
        assert find(opened, "#confusion .hint").is_displayed()
    else:
        assert not [e for e in opened.find_elements("css selector", ".chooser") if e.is_displayed()]
    assert opened.execute_script("return performance.getEntriesByType('resource').length") == 0
