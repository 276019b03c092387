"""The comparison of rules for the threshold of events: what it counts, where it plants events, and a minute of it."""

from importlib import import_module

import pytest

from places import ROOT


@pytest.fixture
def events(monkeypatch):
    """The script that writes the table."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return import_module("events")


@pytest.mark.parametrize(
    ("planted", "reported", "counted"),
    [
        ([(100, 180), (350, 400)], [], (0, 0)),
        ([], [(0, 10), (50, 60)], (0, 2)),
        ([(100, 180), (350, 400)], [(179, 350)], (1, 0)),
        ([(100, 180), (350, 400)], [(90, 100), (180, 190), (399, 500)], (1, 2)),
        ([(100, 180), (350, 400)], [(0, 600)], (2, 0)),
        ([(100, 180), (350, 400)], [(110, 120), (130, 140), (200, 210)], (1, 1)),
    ],
)
def test_an_event_is_found_where_one_overlaps_it_and_false_where_it_overlaps_none(events, planted, reported, counted):
    assert events.count(planted, reported) == counted


def test_every_class_is_planted_as_often_and_no_minute_has_one_twice(events):
    minutes = [events.planted(minute) for minute in range(events.MINUTES)]
    kinds = [kind for minute in minutes for kind, _, _ in minute]
    assert sorted(kinds) == sorted([*events.EVENTS] * 4)
    for (kind, start, end), (other, later, last) in minutes:
        assert kind != other and 0 < start < end < later < last < events.FRAMES


def test_a_minute_holds_the_events_and_a_quiet_one_none(events):
    told = events.script(3, events.planted(3))
    assert [(e.kind, e.start, e.end) for e in told.events] == events.planted(3) and told.frames == events.FRAMES
    assert not events.script(3, []).events


def test_the_page_shows_a_line_for_every_method_and_rule(events):
    _, shown, _ = import_module("marked").divided(events.PAGE, events.MARKS)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in shown.strip().splitlines()[2:]]
    assert [row[:2] for row in rows] == [[method, rule] for method in events.METHODS for rule in events.RULES]
    assert all(row[2].endswith(f" of {2 * events.MINUTES}") for row in rows)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_minute_of_each_sort_is_scored_by_every_method_and_rule(events, tmp_path):
    made = list(events.lines(1, tmp_path))
    assert [row[:2] for row in made] == [[method, rule] for method in events.METHODS for rule in events.RULES]
    assert all(row[2] in ("0 of 2", "1 of 2", "2 of 2") and min(row[3:]) >= 0 for row in made)
    found = {(method, rule): int(hits.split()[0]) for method, rule, hits, *_ in made}
    assert any(found.values())
