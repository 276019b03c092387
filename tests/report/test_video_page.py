"""The page of one scored video in a real browser."""

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from vadbench.dataset import ClassTable, VideoClass
from vadbench.watch.events import Event
from vadbench.watch.pipeline import StreamedRows
from vadbench.watch.recording import PeakAlbum
from vadbench.watch.score_curve import ScoreCurve
from vadbench.watch.thresholds import EventThreshold
from vadbench.watch.timeline import Thumbnail
from vadbench.watch.video_page import MOST_CLASSES, video_page

NAME = '<img src=x onerror=alert(1)> "שלום" </title><script>document.title="run"</script>'
THRESHOLD = EventThreshold(0.8, 0.4, "of a test")
REMARKS = ("a man runs", NAME)
EVENTS = [
    Event(30.0, 38.0, 750, 950, 0.99, 34.0, 850, 0.97, "Fire", REMARKS),
    Event(45.0, 50.0, 1125, 1250, 0.9, 47.0, 1175, 0.85, NAME, ()),
]


class Pictures:
    def thumbnail(self, frame):
        file = io.BytesIO()
        Image.new("RGB", (192, 108), (200, frame % 250, 0)).save(file, "JPEG")
        return Thumbnail(frame, file.getvalue())


def a_minute(rows=300, unit=True, classes=3, high=1.0, uneven=False):
    """A minute with two events, its classes, and its pictures."""
    times = np.arange(rows) * 60 / rows
    if uneven:
        times = 60 * (np.arange(rows) / rows) ** 2
    scores = np.full(rows, 0.2, np.float32)
    scores[(times >= 30) & (times < 38)] = 0.97
    scores[(times >= 45) & (times < 50)] = 0.85
    scores[np.abs(times - 34).argmin()], scores[np.abs(times - 47).argmin()] = 0.99, 0.9
    shares = np.stack([1 - scores, *[scores / (i + 1) for i in range(classes - 1)]], 1)
    curve, album = ScoreCurve(unit=unit, end=60.0), PeakAlbum(Pictures(), 1500 // rows or 1)
    part = StreamedRows(0, times, high * scores, shares)
    curve.add(part)
    album.add(part)
    return curve, album


def page_of(curve, album, events=EVENTS, threshold=THRESHOLD, classes=3, title=NAME):
    table = ClassTable(
        (VideoClass("Normal"), VideoClass("Fire"), *(VideoClass(f"c{i}") for i in range(classes - 2))), 0
    )
    return video_page(title, {"video": title}, [title], curve, events, threshold, table, album)


@pytest.fixture
def opened(browser, tmp_path):
    def call(content=None, **window):
        (tmp_path / "page.html").write_text(content or page_of(*a_minute()), encoding="utf-8")
        return browser(tmp_path / "page.html", **window)

    return call


def hover(page, share):
    """Move the pointer over the curve, at a share of the plot's width."""
    page.execute_script(
        """const box = canvas.getBoundingClientRect(), { plot } = viewer.boxes();
        const x = box.left + plot.x + arguments[0] * plot.width, y = box.top + plot.y + 5;
        canvas.dispatchEvent(new PointerEvent("pointermove", { clientX: x, clientY: y, bubbles: true }));""",
        share,
    )
    return page.find_element("id", "readout").text


def test_names_are_text_and_nothing_else_runs(opened):
    page = opened()
    assert page.title == NAME and page.find_element("tag name", "h1").text == NAME
    assert page.find_elements("css selector", "img[onerror]") == []
    cells = [cell.text for cell in page.find_elements("css selector", "tbody tr:first-child > *")]
    assert cells == ["0:30.0", "0:38.0", "0.990\nat 0:34.0", f"Fire\na man runs\n{NAME}", ""]
    assert NAME in page.find_element("id", "facts").text and NAME in page.find_element("id", "notes").text
    source = (page.current_url.removeprefix("file://"), "r")
    with open(*source, encoding="utf-8") as file:
        text = file.read()
    assert not re.findall(r'(?:src|href)="(?!data:)', text) and text.count("<script") == 2


def test_the_pointer_tells_time_event_score_and_class(opened):
    page = opened()
    assert hover(page, 34.1 / 60).splitlines()[0] == "0:34.1, event Fire"
    score = page.find_element("css selector", "#readout b")
    assert float(score.text) == pytest.approx(0.99, abs=0.005)
    assert "Fire 99 %" in page.find_element("id", "readout").text
    assert hover(page, 0.25).splitlines()[0] == "0:15.0, no event"
    assert float(page.find_element("css selector", "#readout b").text) == pytest.approx(0.2, abs=0.005)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_events_are_shaded_where_they_are_and_the_thresholds_are_drawn(opened, scheme):
    page = opened(scheme=scheme)
    columns, rows = page.execute_script(
        """viewer.draw();
        const { plot } = viewer.boxes(), pen = canvas.getContext("2d");
        const hex = (name) => color(name).match(/\\w\\w/g).map((part) => parseInt(part, 16)).join();
        const of = (x, y) => pen.getImageData(x, y, 1, 1).data.slice(0, 3).join();
        const columns = [], rows = [];
        const y = plot.y + Math.round(plot.height * 0.9);
        for (let x = 0; x < plot.width; x++) columns.push(of(plot.x + x, y) === hex("--truth") ? 1 : 0);
        for (const score of [0.8, 0.4]) {
          const height = Math.floor(plot.y + plot.height * (1 - score));
          let inked = 0;
          for (let x = 5; x < plot.width / 2 - 5; x++) {
            inked += [0, 1].some((dy) => of(plot.x + x, height + dy) === hex("--truth-ink"));
          }
          rows.push(inked / (plot.width / 2));
        }
        return [columns, rows];"""
    )
    shaded = np.flatnonzero(columns) * 60 / len(columns)
    assert shaded.min() == pytest.approx(30, abs=0.3) and shaded.max() == pytest.approx(50, abs=0.3)
    inside = (shaded > 38.3) & (shaded < 44.7)
    assert not inside.any()
    assert all(share > 0.1 for share in rows), rows


def test_an_event_is_shown_from_the_table(opened):
    page = opened()
    page.find_element("css selector", "tbody tr:nth-child(2) button").click()
    view = page.execute_script("return [viewer.view.from, viewer.view.to]")
    assert view == [4000, 5500] and page.find_element("id", "readout").text.startswith("0:47.0, event")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_it_fits_its_width_and_is_legible(opened, legible, width, scheme):
    events = [EVENTS[0], Event(45.0, 50.0, 1125, 1250, 0.9, 47.0, 1175, 0.85, "Vehicle on walkway", ())]
    page = opened(page_of(*a_minute(), events=events, title="door"), width=width, scheme=scheme)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    assert legible(scheme) > 15
    inside = page.execute_script("const s = document.querySelector('.scroll'); return [s.scrollWidth, s.clientWidth]")
    assert inside[0] <= inside[1] + 1, "no column is outside of the view"
    assert page.find_elements("css selector", "h1")[0].text == "door"
    assert page.find_element("tag name", "body").text.count("door") == 3, (
        "the heading, a fact and the note of this test"
    )
    for image in page.find_elements("tag name", "img"):
        shown, own = page.execute_script(
            "return [arguments[0].width / arguments[0].height, arguments[0].naturalWidth / arguments[0].naturalHeight]",
            image,
        )
        assert shown == pytest.approx(own, rel=0.03)
    assert page.execute_script("return data.videos[0].strip.frames.length") == 6, "pictures in a row"


def test_a_day_is_a_small_page_that_keeps_every_peak(opened, tmp_path):
    rows = 200_000
    scores = np.random.default_rng(0).uniform(0.1, 0.3, rows).astype(np.float32)
    scores[123_456], scores[77_777] = 0.95, 0.01
    curve, album = ScoreCurve(end=86400.0), PeakAlbum(Pictures(), 16)
    shares = np.full((1000, 40), 0.01, np.float32)
    for first in range(0, rows, 1000):
        part = slice(first, first + 1000)
        day = StreamedRows(first, np.arange(first, first + 1000) * 0.432, scores[part], shares)
        curve.add(day)
        album.add(day)
    peak = Event(1e3, 1002.0, 0, 9, 0.9, 1001.0, 4, 0.8, "Fire", ("said",))
    content = page_of(curve, album, [peak] * 600, classes=40)
    assert len(content) < 1_500_000
    page = opened(content)
    assert len(page.find_elements("css selector", "tbody tr")) == 500
    assert "100 more in events.csv" in page.find_element("id", "events").text
    highest, lowest = page.execute_script(
        "const [run] = data.runs, part = (bytes) => bytes.slice(0, run.rows[0]);"
        "return [Math.max(...part(run.bytes)), Math.min(...part(run.lowBytes))]"
    )
    assert (highest, lowest) == (255, 0)
    assert page.execute_script("return data.runs[0].classNames.length") == MOST_CLASSES
    assert "16 classes with lower probabilities" in page.find_element("id", "curve-help").text


@pytest.mark.parametrize("uneven", [True, False])
def test_rows_stand_where_their_times_are(opened, uneven):
    page = opened(page_of(*a_minute(150, uneven=uneven)))
    for second, score in ((29, 0.2), (31, 0.97), (37, 0.97), (40, 0.2), (46, 0.85), (52, 0.2)):
        hover(page, second / 60)
        assert float(page.find_element("css selector", "#readout b").text) == pytest.approx(score, abs=0.005)


def test_scores_of_any_size_are_drawn_with_their_threshold(opened):
    curve, album = a_minute(unit=False, high=10.0)
    page = opened(page_of(curve, album, threshold=EventThreshold(12.5, 12.5, "given"), events=[]))
    assert page.execute_script("return [wholeRange[0], wholeRange[1]]") == pytest.approx([2, 12.5], abs=0.01)
    assert "No row reaches the threshold 12.5: highest 9.9" in page.find_element("id", "events").text


@pytest.mark.parametrize("threshold", [EventThreshold(0.8, 0.4, "given"), EventThreshold(0.47, 0.45, "given")])
def test_scores_close_to_each_other_fit_the_height_until_the_box_is_unchecked(opened, threshold):
    times = np.arange(300) / 5
    scores = np.where(times < 30, 0.43, 0.51).astype(np.float32)
    curve = ScoreCurve(end=60.0, size=100)
    curve.add(StreamedRows(0, times, scores - 0.01 * (np.arange(300) % 2).astype(np.float32), None))
    page = opened(page_of(curve, PeakAlbum(Pictures(), 5), events=[], threshold=threshold))
    box = page.find_element("css selector", "#video-controls input")
    assert box.is_selected() and "fit height" in page.find_element("id", "video-controls").text
    assert page.execute_script("return viewer.range()") == pytest.approx([0.42, 0.51], abs=1e-3)
    inked = """viewer.draw();
        const { plot } = viewer.boxes(), pen = canvas.getContext("2d"), found = [];
        const ink = color("--truth-ink").match(/\\w\\w/g).map((part) => parseInt(part, 16)).join();
        for (let y = 0; y < canvas.height; y++) {
          const row = pen.getImageData(plot.x, y, plot.width, 1).data;
          let count = 0;
          for (let x = 0; x < row.length; x += 4) count += row.slice(x, x + 3).join() === ink;
          if (count > plot.width / 10) found.push(y - plot.y);
        }
        return found;"""
    assert len(page.execute_script(inked)) == (2 if threshold.value < 0.51 else 0), "lines of thresholds"
    box.click()
    assert page.execute_script("return viewer.range()") == [0, 1]
    assert len(page.execute_script(inked)) == 2


def test_scores_that_fill_the_axis_are_not_fitted(opened):
    page = opened()
    assert not page.find_element("css selector", "#video-controls input").is_selected()
    assert page.execute_script("return viewer.range()") == [0, 1]


def test_scores_near_1_are_told_from_1(opened):
    events = [Event(30.0, 38.0, 750, 950, 0.99999991, 34.0, 850, 0.97, "Fire", ())]
    curve, album = a_minute(high=0.99999991 / 0.99)
    page = opened(page_of(curve, album, events=events, threshold=EventThreshold(0.99999903, 0.9999974, "given")))
    assert page.find_element("css selector", "tbody td:nth-child(3)").text.startswith("1 - 9e-08\n")
    said = page.find_element("id", "video-controls").text
    assert "events begin at 1 - 9.7e-07; dotted: they end below 1 - 2.6e-06" in said
    hover(page, 34.1 / 60)
    assert page.find_element("css selector", "#readout b").text.startswith("1 - ")
    texts = page.execute_script("viewer.fitted = true; viewer.show(3000, 3010); return viewer.ticks()")
    assert [part for part, _ in texts] == [0, 0.5, 1]


def test_a_video_without_a_row_has_a_page_without_a_curve(opened):
    page = opened(page_of(ScoreCurve(), PeakAlbum(Pictures(), 1), [], None, title="door"))
    assert page.find_element("tag name", "h1").text == "door"
    assert not page.find_element("id", "curve").is_displayed()
    assert "no row was scored" in page.find_element("id", "events").text


def test_all_that_is_shown_is_data_of_the_page():
    text = page_of(*a_minute())
    found = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S).group(1))
    assert [event["start"] for event in found["events"]] == [30.0, 45.0]
    assert found["videos"][0]["segments"] == [["Fire", 3000, 3800], [NAME, 4500, 5000]]
    assert "png" not in text.lower().replace("image/png", "")
