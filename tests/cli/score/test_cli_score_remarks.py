"""``vadbench score`` with a method that gives remarks and counts costs."""

import csv
import json
from pathlib import Path

import pytest

from places import KINDS
from scored import TINY, column, table
from watch_media import encode, noise

REMARKS = ("--plugin", KINDS / "remarks.py")
CLIP = ("-m", "remarks", "-d", "tiny", "--clip", "small", "--clip-weights", "random:0")
EVENTS = ("--threshold", "0.5", "--min-length", "0")


@pytest.fixture
def video(tmp_path):
    return encode(tmp_path / "a.mkv", noise(12), "ffv1")


def test_rows_and_events_have_their_remarks_and_the_summary_the_costs(score, video):
    (found,), _ = score(*REMARKS, video, *CLIP, "--set", "rows.stride=2", *EVENTS)
    folder = Path(found["folder"])
    assert found["costs"] == {"calls": 3, "tokens": 301.5}
    scores, rows = column(folder), table(folder)
    expected = ["a large row <b> & more" if s >= 0.5 else "nothing of note" for s in scores]
    assert [row["remarks"] for row in rows] == expected
    assert [row["remarks"] for row in json.loads((folder / "scores.json").read_text())] == expected
    assert found["events"] and all(e["remarks"] == "a large row <b> & more" for e in found["events"])
    with (folder / "events.csv").open(newline="") as file:
        assert [row["remarks"] for row in csv.DictReader(file)] == [e["remarks"] for e in found["events"]]
    page = (folder / "index.html").read_text()
    assert "a large row \\u003cb\\u003e \\u0026 more" in page and "<b> & more" not in page
    assert "calls 3, tokens 301.5" in page


def test_a_person_reads_them_too(vadbench, video, tmp_path):
    found = vadbench("score", *TINY, *REMARKS, video, *CLIP, *EVENTS, "--set=rows.stride=2", "--out", tmp_path)
    assert "a large row <b> & more" in found.out and "costs: calls 3, tokens 301.5" in found.out


def test_a_method_without_remarks_writes_none(score, video, tmp_path):
    (found,), _ = score(*REMARKS, video, "-m", "motion-energy", "--threshold", "0")
    assert "remarks" not in table(found["folder"])[0] and "costs" not in found
    assert all("remarks" not in event for event in found["events"])
    assert "remarks" not in (Path(found["folder"]) / "events.csv").read_text()
