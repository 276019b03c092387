"""``vadbench score --method prompt-contrast``: a bank in words, and the sentence beside each event."""

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from scored import TINY, column, table
from watch_media import encode, noise

SITE = """
title = "yard"
normal = ["an ordinary street", "people walking normally"]
[classes]
Fire = ["a fire with smoke", "burning flames"]
Explosion = ["a big explosion", "a bright fireball"]
[normals]
Fire = ["red evening light", "street at dusk"]
[avoid]
Fire = ["burning"]
"""
SENTENCES = {"a fire with smoke", "burning flames", "a big explosion", "a bright fireball"}


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(SITE)
    return path


@pytest.fixture
def video(tmp_path):
    dark = [np.full((48, 64, 3), 30, np.uint8)] * 120
    return encode(tmp_path / "a.mp4", [*dark, *noise(120), *dark])


def test_each_event_names_the_sentence_that_it_is_most_like(score, vadbench, site, video, tmp_path):
    asked = (video, "-m", "prompt-contrast", "--descriptions", site)
    (found,), _ = score(*asked)
    scores = column(found["folder"])
    asked = (*asked, "--threshold", (scores.min() + scores.max()) / 2)
    (found,), _ = score(*asked)
    folder = Path(found["folder"])
    assert found["post"] == "gaussian(50f)" and found["events"]
    rows = table(folder)
    assert {row["remarks"] for row in rows} <= SENTENCES
    for event in found["events"]:
        on_rows = {r["remarks"] for r in rows if event["start"] - 1e-3 <= float(r["time"]) < event["end"] - 1e-3}
        assert event["remarks"] and set(event["remarks"].split("; ")) <= on_rows
        assert event["class"] in ("Fire", "Explosion")
    with (folder / "events.csv").open(newline="") as file:
        assert [row["remarks"] for row in csv.DictReader(file)] == [e["remarks"] for e in found["events"]]
    page = (folder / "index.html").read_text()
    assert found["events"][0]["remarks"].split("; ")[0] in page and "gaussian(50f)" in page
    said = vadbench("score", *TINY, *asked, "--out", tmp_path / "again").out
    assert "post-processing gaussian(50f)" in said and found["events"][0]["remarks"].split("; ")[0] in said


@pytest.mark.parametrize("stride", [1, 16])
def test_what_the_method_proposes_is_done_and_can_be_taken_away(score, site, video, stride):
    asked = (video, "-m", "prompt-contrast", "--descriptions", site, "--set", f"rows.stride={stride}")
    (plain,), _ = score(*asked, "--post", "none")
    raw = column(plain["folder"])
    assert "post" not in plain
    (smooth,), _ = score(*asked)
    np.testing.assert_allclose(column(smooth["folder"]), gaussian_filter1d(raw, 50 / stride), atol=1e-6)
    (other,), _ = score(*asked, "--post", "gaussian(2)")
    np.testing.assert_allclose(column(other["folder"]), gaussian_filter1d(raw, 2), atol=1e-6)


def test_classes_of_a_data_set_come_with_its_bank(score, video):
    (found,), _ = score(video, "-m", "prompt-contrast", "-d", "synthetic")
    assert "p(Fallen person)" in table(found["folder"])[0]


@pytest.mark.parametrize(
    "more, message",
    [
        ((), "no bank of sentences comes for it; name one with --descriptions"),
        (("-d", "tiny"), "no bank of sentences comes for it; name one with --descriptions"),
        (("--descriptions", "{site}", "--post", "centre-weight"), "depends on the length of the video"),
        (("--descriptions", "{site}", "--post", "smooth(2)"), "unknown step of post-processing 'smooth'"),
    ],
)
def test_what_cannot_be_scored_is_said_in_one_line(score, site, video, more, message):
    asked = [str(part).replace("{site}", str(site)) for part in more]
    found, err = score(video, "-m", "prompt-contrast", *asked, status=2)
    assert found is None and len(err.splitlines()) == 1 and message in err
