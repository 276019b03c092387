"""What a method gives beside its scores, on the page of a run: remarks at their times, extras as curves, costs."""

from dataclasses import replace

import numpy as np
import pytest

from report_pages import HOSTILE, find, point, readout, texts
from vadbench.base.remarks import Remarks
from vadbench.report.content import LONGEST_SHOWN, MOST_REMARKS
from vadbench.scoring.video_scores import VideoScores

COSTS = {"calls": {"total": 1200, "per_video": 100}, "dollars": {"total": 0.5, "per_video": 0.0417}}


def said(*spans):
    texts = list(dict.fromkeys(text for *_, text in spans))
    columns = np.array([(first, end, texts.index(text)) for first, end, text in spans], np.int64).T
    return Remarks(*columns, texts)


@pytest.fixture
def talkative(make_split):
    """Change each video of a split by a function of its number and scores."""

    def call(change, **how):
        split = make_split(**how)
        return replace(split, given=[replace(s, **change(i, s)) for i, s in enumerate(split.scores)])

    return call


def remarks_of(i, scores: VideoScores):
    """Out of order in time, one to the end; those of the second video alone have another text."""
    return {"remarks": said((4, 8, "a man runs"), (0, 2, "a quiet street" if i != 1 else "a fire"))}


def lines(browser):
    return [[line.get_attribute("aria-current"), line.text] for line in find_all(browser, "#remarks li")]


def find_all(browser, selector):
    return browser.find_elements("css selector", selector)


def test_remarks_stand_at_their_times_and_a_click_goes_there(talkative, keep, page, browser):
    opened = browser(page(keep(talkative(remarks_of))))
    assert find(opened, "#video-name").text == "v01"  # the first that is anomalous
    assert lines(opened) == [["true", "frames 0 to 15 a fire"], [None, "frames 32 to 63 a man runs"]]
    find_all(opened, "#remarks button")[1].click()
    assert readout(opened)[0] == 32
    assert [current for current, _ in lines(opened)] == [None, "true"]
    point(opened, 20, 64)
    assert [current for current, _ in lines(opened)] == [None, None]
    # Where the video is zoomed in elsewhere, the view moves there.
    opened.execute_script("viewer.show(0, 10)")
    find_all(opened, "#remarks button")[1].click()
    assert opened.execute_script("return [viewer.view.from, viewer.view.to]") == [32, 64]
    opened.execute_script("viewer.open(2)")
    assert [text for _, text in lines(opened)] == ["frames 0 to 15 a quiet street", "frames 32 to 63 a man runs"]
    assert texts(opened, "#remarks h4") == ["Remarks"]


def test_of_several_runs_each_has_its_own_remarks_extras_and_costs(talkative, make_split, keep, page, browser):
    extras = lambda i, s: {"extras": {"motion": np.linspace(-2, 6, len(s.anomaly)).astype(np.float32)}}  # noqa: E731
    both = keep(talkative(lambda i, s: remarks_of(i, s) | extras(i, s)), "vlm", costs=COSTS)
    opened = browser(page(keep(make_split(1), "quiet"), both))
    assert texts(opened, "#remarks h4") == ["Remarks of vlm"]
    assert texts(opened, "#costs p") == ["Costs of vlm: calls 1,200 (100 a video), dollars 0.5 (0.0417 a video)"]
    assert texts(opened, "#extras label") == ["motion of vlm-2 to 6"]
    assert not find_all(opened, "#readout b[data-extra]")
    before = opened.execute_script("return canvas.toDataURL()")
    find(opened, "#extras input").click()
    point(opened, 63, 64)
    assert find(opened, "#readout b[data-extra=motion]").text.startswith("6")
    opened.execute_script("viewer.move(0); viewer.draw()")
    assert find(opened, "#readout b[data-extra=motion]").text.startswith("-2")
    assert opened.execute_script("return canvas.toDataURL()") != before, "its curve is drawn"
    find(opened, "#extras input").click()
    opened.execute_script("viewer.move(0); viewer.draw()")
    assert opened.execute_script("return canvas.toDataURL()") == before


def test_a_run_without_any_of_it_shows_nothing_of_it(make_split, keep, page, browser):
    path = page(keep(make_split()))
    opened = browser(path)
    for place in ("#remarks", "#extras", "#costs"):
        assert find(opened, place).text == "" and find(opened, place).size["height"] == 0
    data = opened.execute_script("return data.runs[0]")
    assert not {"remarks", "extras", "costs"} & data.keys()


def test_hostile_remarks_are_text_and_long_ones_are_cut(talkative, keep, page, browser):
    spans = [(0, 1, text) for text in (*HOSTILE, "w " * 2000)]
    split = talkative(lambda i, s: {"remarks": said(*spans)})
    path = page(keep(split, costs={"__proto__": COSTS["calls"]}))
    for width in (1200, 375):
        opened = browser(path, width=width)
        assert opened.execute_script("return window.hacked") is None
        assert opened.execute_script("return [document.images.length, document.scripts.length]") == [0, 2]
        shown = texts(opened, "#remarks li bdi")
        assert shown[: len(HOSTILE)] == [text[:LONGEST_SHOWN] for text in HOSTILE]
        assert len(shown[-1]) == LONGEST_SHOWN and shown[-1].endswith("...")
        assert opened.execute_script("return document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_remarks_stand_out_from_what_is_behind_them(talkative, keep, page, browser, legible, scheme):
    opened = browser(page(keep(talkative(remarks_of), costs=COSTS)), scheme=scheme)
    assert any("a fire" in text for _, text in lines(opened))
    assert legible(scheme) > 50


def test_very_many_remarks_keep_the_page_small_and_are_counted(talkative, keep, page, browser):
    many = said(*((i % 8, i % 8 + 1, f"number {i}") for i in range(3 * MOST_REMARKS)))
    opened = browser(page(keep(talkative(lambda i, s: {"remarks": many}))))
    shown = texts(opened, "#remarks li")
    assert len(shown) == MOST_REMARKS and shown[0] == "frames 0 to 7 number 0"
    assert f"{2 * MOST_REMARKS} more in remarks.jsonl" in find(opened, "#remarks").text
