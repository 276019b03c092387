"""Events of a video whose threshold is its own: of a file and of a stream, and pictures of its peaks."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest

from vadbench.dataset import ClassTable, VideoClass
from vadbench.watch.pipeline import StreamedRows
from vadbench.watch.recording import PeakAlbum, Recording
from vadbench.watch.timeline import Thumbnail
from vadbench.watch.video_folder import VideoFolder

TABLE = ClassTable((VideoClass("Normal"), VideoClass("Fire"), VideoClass("Fighting")), 0)
SCORER = SimpleNamespace(threshold=None, classes=TABLE, stride=5, shortest=1.0, unit=True)


class Pictures:
    """A timeline that has a thumbnail of every frame, and forgets as the decoder does."""

    gone = 0

    def thumbnail(self, frame):
        assert frame >= self.gone, "the decoder has it no more"
        return Thumbnail(frame, str(frame).encode())

    def forget(self, before):
        self.gone = before


def a_minute(remarks=False):
    """Scores of a minute at five rows a second: fire from 30 to 38 s, a single high row at 10 s."""
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.55, 0.75, 300).astype(np.float32)
    scores[150:190], scores[50] = 0.99, 0.995
    classes = np.stack([1 - scores, scores * 0.9, scores * 0.1], 1)
    said = [["a; b", "=1"] if score > 0.9 else [] for score in scores] if remarks else None
    return StreamedRows(0, np.arange(300) / 5, scores, classes, said)


def recorded(folder, size, live=False, rows=None):
    rows, told = a_minute() if rows is None else rows, []
    with VideoFolder(folder, TABLE, 5) as files, Recording(files, Pictures(), SCORER, told.append, live) as recording:
        for first in range(0, len(rows.anomaly), size):
            part = slice(first, first + size)
            said = None if rows.remarks is None else rows.remarks[part]
            recording.add(StreamedRows(first, rows.starts[part], rows.anomaly[part], rows.classes[part], said))
        recording.finish(60.0, 1500)
    return recording, told


@pytest.mark.parametrize(("size", "live"), [(300, False), (7, False), (1, True), (64, True)])
def test_a_file_and_a_stream_have_the_same_events_in_the_end(tmp_path, size, live):
    recording, told = recorded(tmp_path / "v", size, live)
    (event,) = recording.events
    assert (event.start, event.end, event.label, event.first_frame) == (30.0, 38.0, "Fire", 750)
    assert 0.75 < recording.threshold.low < recording.threshold.value < 0.99
    assert told == [event], "told once, whenever"
    with (tmp_path / "v" / "events.csv").open() as file:
        assert [float(row["start"]) for row in csv.DictReader(file)] == [30.0]


def test_what_a_stream_told_before_is_replaced_by_what_all_scores_say(tmp_path):
    rows = a_minute()
    rows.anomaly[200:] = np.random.default_rng(1).uniform(0.9, 0.97, 100)
    recording, told = recorded(tmp_path / "v", 5, live=True, rows=rows)
    # When the first event ends, little is seen of the rest, which is higher than what came before it.
    assert told[0].start == 30.0
    assert recording.events == recorded(tmp_path / "w", 300, rows=rows)[0].events != told
    kept = [(tmp_path / name / "events.csv").read_text() for name in "vw"]
    assert kept[0] == kept[1]


def test_remarks_come_through_unchanged(tmp_path):
    recording, _ = recorded(tmp_path / "v", 64, rows=a_minute(remarks=True))
    assert recording.events[0].remarks == ("a; b", "=1")


def test_a_quiet_video_has_no_event(tmp_path):
    rows = a_minute()
    rows.anomaly[:] = np.random.default_rng(3).uniform(0.9, 0.96, 300)
    recording, told = recorded(tmp_path / "v", 64, rows=rows)
    assert (recording.events, told) == ([], []) and recording.threshold.value > 0.96


def test_no_row_is_no_threshold(tmp_path):
    with VideoFolder(tmp_path / "v", TABLE, 5) as files, Recording(files, Pictures(), SCORER, print) as recording:
        recording.finish(0.0, 0)
    assert recording.threshold is None and recording.events == []


@pytest.mark.parametrize("count", [3, 256, 257, 1000, 5000])
@pytest.mark.parametrize("size", [1, 37, 5000])
def test_an_album_has_the_highest_row_of_each_interval(count, size):
    scores = np.random.default_rng(count).random(count).astype(np.float32)
    album = PeakAlbum(Pictures(), 5)
    for first in range(0, count, size):
        part = scores[first : first + size]
        album.add(StreamedRows(first, np.arange(first, first + len(part)) / 5.0, part, None))
    each = 2 ** max(0, int(np.ceil(np.log2(count / 256))))
    expected = [5 * (i + int(scores[i : i + each].argmax())) for i in range(0, count, each)]
    assert [peak.frame for peak in album.peaks] == expected
    assert all(json.loads(peak.picture.jpeg) == peak.frame for peak in album.peaks)
