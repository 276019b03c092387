"""Tables in three forms, pages that run nothing, pictures and annotated videos."""

import csv
import io
import json

import av
import numpy as np
import pytest
from PIL import Image

from vadbench.base.errors import ConfigError, StorageError
from vadbench.dataset import ClassTable, VideoClass
from vadbench.watch.annotated_video import annotate
from vadbench.watch.events import Event
from vadbench.watch.pipeline import StreamedRows
from vadbench.watch.reader import Reader
from vadbench.watch.score_curve import ScoreCurve
from vadbench.watch.sources import find_sources
from vadbench.watch.timeline import Thumbnail
from vadbench.watch.video_folder import VideoFolder, draw_curve, read_scores, save_figure
from vadbench.watch.video_page import clock
from watch_media import encode, noise

TABLE = ClassTable((VideoClass("Normal"), VideoClass('a,"b"')), 0)
EVENT = Event(1.0, 2.5, 10, 25, 0.9, 1.5, 15, 0.7, '<script>alert("x")</script>')


def rows(first, count, classes=True):
    rng = np.random.default_rng(first)
    anomaly = rng.random(count, np.float32)
    probabilities = np.stack([1 - anomaly, anomaly], 1) if classes else None
    return StreamedRows(first, (first + np.arange(count)) / 7, anomaly, probabilities)


def jpeg(colour=(255, 0, 0)):
    file = io.BytesIO()
    Image.new("RGB", (96, 72), colour).save(file, "JPEG")
    return file.getvalue()


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
@pytest.mark.parametrize("classes", [True, False])
def test_tables_hold_every_digit(tmp_path, form, classes):
    parts = [rows(0, 5, classes), rows(5, 3, classes)]
    with VideoFolder(tmp_path / "x", TABLE, 16, form) as folder:
        for part in parts:
            folder.add(part)
    with open(tmp_path / "x" / "scores.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["time", "frame", "score", *(["p(Normal)", 'p(a,"b")'] if classes else [])]
    assert [int(r["frame"]) for r in table] == [16 * i for i in range(8)]
    assert [float(r["time"]) for r in table] == [round(i / 7, 3) for i in range(8)]
    scores = np.concatenate([p.anomaly for p in parts])
    assert np.array_equal(np.array([r["score"] for r in table], np.float32), scores)
    assert [s for _, _, s in read_scores(tmp_path / "x" / "scores.csv")] == [float(r["score"]) for r in table]
    if form == "json":
        other = json.loads((tmp_path / "x" / "scores.json").read_text())
    elif form == "parquet":
        import pandas as pd

        other = pd.read_parquet(tmp_path / "x" / "scores.parquet").to_dict("records")
    else:
        return
    assert [list(r) for r in other] == [list(r) for r in table]
    for mine, theirs in zip(table, other, strict=True):
        assert np.allclose([float(v) for v in mine.values()], [float(v) for v in theirs.values()], rtol=1e-7, atol=0)


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_a_video_without_rows_has_tables_all_the_same(tmp_path, form):
    with VideoFolder(tmp_path / "x", TABLE, 1, form):
        pass
    assert (tmp_path / "x" / "scores.csv").read_text() == "time,frame,score\n"
    if form == "json":
        assert json.loads((tmp_path / "x" / "scores.json").read_text()) == []


def test_rows_and_events_are_on_disk_before_the_end(tmp_path):
    with VideoFolder(tmp_path / "x", TABLE, 16) as folder:
        folder.add(rows(0, 5))
        folder.add_events([EVENT])
        assert len((tmp_path / "x" / "scores.csv").read_text().splitlines()) == 6
        assert "1.0,2.5,10,25,0.9,1.5,15,0.7" in (tmp_path / "x" / "events.csv").read_text()


def test_results_of_an_earlier_call_are_removed_and_nothing_else(tmp_path):
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "scores.parquet").write_text("old")
    (folder / "mine.txt").write_text("mine")
    with VideoFolder(folder, TABLE, 1):
        pass
    assert {p.name for p in folder.iterdir()} == {"mine.txt", "scores.csv", "events.csv"}


def test_a_file_in_the_way_is_one_line(tmp_path):
    (tmp_path / "x").write_text("a file")
    with pytest.raises(StorageError, match="a file stands where a folder is needed"):
        VideoFolder(tmp_path / "x" / "y", TABLE, 1)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00.0"), (59.96, "1:00.0"), (61.04, "1:01.0"), (36000, "10:00:00.0")]
)
def test_clock(seconds, text):
    assert clock(seconds) == text


def test_a_picture_shows_curve_events_and_peaks(tmp_path):
    curve = ScoreCurve(times=[0.0, 1.0, 2.0], scores=[0.1, 0.9, 0.2], end=3.0)
    figure = draw_curve(curve, [EVENT], 0.5, "a$x_y^{<b> שלום 视频", [(1.0, 0.9, Thumbnail(15, jpeg((0, 255, 0))))])
    save_figure(figure, tmp_path / "curve.png")
    with Image.open(tmp_path / "curve.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    green = (pixels[..., 1] > 200) & (pixels[..., 0] < 60) & (pixels[..., 2] < 60)
    assert green.sum() > 2000, "the peak's frame"
    line = figure.axes[0].lines[0]
    assert line.get_xdata().tolist() == [0, 1, 2, 3] and line.get_ydata().tolist() == [0.1, 0.9, 0.2, 0.2]
    low, high = figure.axes[0].patches[0].get_x(), figure.axes[0].patches[0].get_width()
    assert (low, high) == (1.0, 1.5)


def test_a_picture_of_scores_close_to_each_other_shows_them_and_says_where_the_threshold_is():
    curve = ScoreCurve(times=[0.0, 1.0, 2.0], scores=[0.43, 0.51, 0.43], end=3.0)
    axes = draw_curve(curve, [], 0.86, "a", []).axes[0]
    assert axes.get_ylim() == pytest.approx((0.43, 0.51), abs=0.002)
    assert axes.get_ylabel() == "anomaly score\nthreshold 0.86 is outside"
    axes = draw_curve(curve, [], 0.5, "a", []).axes[0]
    assert axes.get_ylabel() == "anomaly score" and axes.get_ylim()[1] < 0.52


@pytest.mark.parametrize("milliseconds", [None, [0, 40, 80, 500, 540, 2000, 2033, 2066, 5000, 5100]])
def test_an_annotated_video_keeps_frames_and_times(tmp_path, milliseconds):
    path = encode(tmp_path / "a.mkv", noise(10), milliseconds=milliseconds)
    (source,) = find_sources([str(path)])
    with VideoFolder(tmp_path / "x", TABLE, 4) as folder:
        folder.add(rows(0, 3))
    times = [p.time for p in Reader(source)]
    curve = ScoreCurve(times=[times[0], times[4], times[8]], scores=[0.0, 1.0, 0.0], end=times[-1] + 0.04)
    out = tmp_path / "shown.mp4"
    event = Event(times[4], times[8], 4, 8, 1.0, times[4], 4, 1.0, "")
    assert annotate(Reader(source), tmp_path / "x" / "scores.csv", curve, [event], 0.5, out) == 10
    with av.open(str(out)) as container:
        frames = list(container.decode(video=0))
    assert [f.time for f in frames] == pytest.approx(times, abs=2e-3)
    assert {(f.width, f.height) for f in frames} == {(320, 240 + 114)}
    strip = frames[0].to_ndarray(format="rgb24")[240 + 40 :].astype(int)
    pink = ((strip[..., 0] - strip[..., 2]) > 20).any(0).nonzero()[0] / 319
    assert pink.min() == pytest.approx(times[4] / curve.end, abs=0.03)
    assert pink.max() == pytest.approx(times[8] / curve.end, abs=0.03)
    marks = []
    for frame in frames:
        strip = frame.to_ndarray(format="rgb24")[240 + 40 : 240 + 50].astype(int).max((0, 2))
        marks.append(strip.argmin() / 319)
    assert marks == pytest.approx([t / curve.end for t in times], abs=0.02)
    assert list(tmp_path.glob(".*")) == []


def strip_of(tmp_path, scores, events, threshold):
    """The strip under the first frame of an annotated second of ten frames, in colours."""
    path = encode(tmp_path / "a.mkv", noise(10))
    (source,) = find_sources([str(path)])
    with VideoFolder(tmp_path / "x", TABLE, 1) as folder:
        folder.add(StreamedRows(0, np.arange(10) / 25, np.float32(scores), None))
    curve = ScoreCurve(times=(np.arange(10) / 25).tolist(), scores=scores, lows=scores, end=0.4)
    annotate(Reader(source), tmp_path / "x" / "scores.csv", curve, events, threshold, tmp_path / "shown.mp4")
    with av.open(str(tmp_path / "shown.mp4")) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")[240:].astype(int)


def blue(strip):
    return (strip[..., 2] - strip[..., 0] > 60) & (strip[..., 2] > 120)


@pytest.mark.parametrize("highest", [0.98, 1.0])
def test_the_curve_of_an_annotated_video_is_not_cut(tmp_path, highest):
    strip = strip_of(tmp_path, [0.0] * 5 + [highest] * 5, [], 0.5)
    top = blue(strip[:, 170:310]).any(1).nonzero()[0]
    bottom = blue(strip[:, 10:150]).any(1).nonzero()[0]
    # All of a line two pixels thick, at its place between the ends of the plot and below the names.
    assert 34 <= top[0] == pytest.approx(38 + (1 - highest) * 72, abs=2) and len(top) >= 2
    assert bottom[-1] < len(strip) - 1 and len(bottom) >= 2


def test_an_annotated_video_has_the_names_of_its_events_and_the_threshold(tmp_path):
    events = [Event(0.04, 0.08, 1, 2, 1.0, 0.04, 1, 1.0, "Fire"), Event(0.36, 0.4, 9, 10, 1.0, 0.36, 9, 1.0, "W" * 30)]
    strip = strip_of(tmp_path, [0.0] * 10, events, 0.5)
    names = (strip[18:34, :, 0] - strip[18:34, :, 1] > 40).any(0).nonzero()[0]
    assert 30 <= names[0] <= 36 and names[-1] <= 318, "names begin with their events and stay in the picture"
    assert len(names[names < 60]) > 8 and len(names[names > 70]) > 100
    plain = strip_of(tmp_path, [0.0] * 10, [], 0.5)
    grey = (plain[55:75, 200:].max(2) < 170) & (np.ptp(plain[55:75, 200:], axis=2) < 40)
    assert grey.any(1).sum() >= 6 and grey[:14].sum() > 60, "the words stand above the line"


@pytest.mark.parametrize("same", ["a.mkv", "linked.mkv"])
def test_an_annotated_video_never_replaces_the_one_that_was_scored(tmp_path, same):
    path = encode(tmp_path / "a.mkv", noise(10))
    (tmp_path / "linked.mkv").hardlink_to(path)
    content = path.read_bytes()
    with VideoFolder(tmp_path / "x", TABLE, 4) as folder:
        folder.add(rows(0, 3))
    curve = ScoreCurve(times=[0.0], scores=[0.5], end=0.4)
    (source,) = find_sources([str(path)])
    with pytest.raises(ConfigError, match="is the video that was scored; write the annotated one to another file"):
        annotate(Reader(source), tmp_path / "x" / "scores.csv", curve, [], 0.5, tmp_path / same)
    assert path.read_bytes() == content


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_remarks_are_a_column_of_rows_and_events_where_the_method_gives_any(tmp_path, form):
    said = [["=1+1", "a\nb"], [], ["x" * 20_000]]
    part = StreamedRows(0, np.arange(3.0), np.ones(3, np.float32), None, said)
    event = Event(0.0, 3.0, 0, 3, 1.0, 0.0, 0, 1.0, "", ("=1+1", "a\nb"))
    with VideoFolder(tmp_path / "x", TABLE, 1, form) as folder:
        folder.add(part)
        folder.add_events([event])
    with open(tmp_path / "x" / "scores.csv", newline="") as file:
        table = list(csv.DictReader(file))
    texts = ["=1+1; a\nb", "", "x" * 9997 + "..."]
    # A spreadsheet takes no remark for a formula.
    assert [row["remarks"] for row in table] == ["'=1+1; a b", *texts[1:]]
    assert [score for *_, score in read_scores(tmp_path / "x" / "scores.csv")] == [1, 1, 1]
    with open(tmp_path / "x" / "events.csv", newline="") as file:
        assert [row["remarks"] for row in csv.DictReader(file)] == ["'=1+1; a b"]
    if form == "json":
        other = json.loads((tmp_path / "x" / "scores.json").read_text())
    else:
        import pandas as pd

        other = pd.read_parquet(tmp_path / "x" / "scores.parquet").to_dict("records")
    assert [row["remarks"] for row in other] == texts
