"""Frames that never arrived, as every command that reads videos tells of them: with file, frame and time."""

import os
import re
from pathlib import Path

import av
import pytest

from places import PLUGIN
from vadbench.features.store import FeatureStore
from video_kinds import KINDS, bars, with_hole, write

CLIP = ["--clip", "small", "--clip-weights", "random:0", "--device", "cpu"]
LOST = r"damaged at frame (\d+), (\d+\.\d\d) s \((no frames between|it ends here)"


def spoil(path, content):
    path.write_bytes(content)
    return path


@pytest.fixture
def videos(tmp_path):
    """A folder with a whole webm, one with a hole, and one that is cut off, beside a file of variable rate."""
    folder = tmp_path / "in"
    folder.mkdir()
    whole = write(folder / "whole.webm", KINDS["webm-vp9"], bars(80))
    spoil(folder / "hole.webm", with_hole(whole.read_bytes()))
    spoil(folder / "cut.webm", whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    write(
        folder / "events.mkv", KINDS["mkv-h264"], bars(20), milliseconds=[40 * i + 5000 * (i // 5) for i in range(20)]
    )
    return folder


def test_extraction_stops_at_lost_frames_or_records_what_it_leaves_out(vadbench, videos, tmp_path):
    stopped = vadbench("extract", videos, *CLIP, "--out", tmp_path / "a", status=2).err
    (line,) = (text for text in stopped.splitlines() if text.startswith("vadbench:"))
    assert re.search(rf"{videos}/cut\.webm: {LOST}", line)
    found = vadbench("extract", videos, *CLIP, "--out", tmp_path / "b", "--keep-going", "--json", status=1)
    assert found.json["extracted"] == ["events", "whole"] and found.json["notes"] == []
    assert [name for name, _ in found.json["failed"]] == ["cut", "hole"]
    for name, reason in found.json["failed"]:
        frame, seconds, _ = re.search(rf"{name}\.webm: {LOST}", reason).groups()
        assert int(frame) < 80 and float(seconds) == pytest.approx(int(frame) / 25, abs=6e-3)
        assert f"left out: {name}: {reason}" in found.err
    store = FeatureStore(tmp_path / "b")
    assert {name: store.frames(name) for name in store.names} == {"events": 20, "whole": 80}


def test_a_score_ends_before_lost_frames_and_says_so(vadbench, videos, tmp_path):
    paths = [videos / name for name in ("hole.webm", "cut.webm", "whole.webm", "events.mkv")]
    own = ["-m", "zero-shot", "-d", "ucfcrime", "--device", "cpu", "--json", "--out", tmp_path / "out"]
    found = vadbench("score", *paths, *own, status=1)
    for summary in found.json[:2]:
        assert int(re.search(LOST, summary["error"])[1]) == summary["frames"] < 80
        assert summary["error"] in found.err
    assert [s["error"] for s in found.json[2:]] == [None, None]
    assert [s["frames"] for s in found.json[2:]] == [80, 20]
    assert not any("cut off" in note or "states no length" in note for s in found.json[2:] for note in s["notes"])


UNSTATED = {
    "ts": "is of a kind (mpegts) that states no length: an early end cannot be seen",
    "mpg-mpeg1": "is of a kind (mpeg) that states no length: an early end cannot be seen",
    "raw-hevc": "(hevc) without times and a stated length: an early end and lost frames cannot be seen",
}


@pytest.mark.parametrize(
    ("kind", "cut"), [*((kind, False) for kind in UNSTATED), ("ts", True), ("raw-hevc", True)], ids=str
)
@pytest.mark.parametrize("name", ["extract", "score"])
def test_where_no_length_is_stated_a_note_says_what_cannot_be_seen(vadbench, tmp_path, name, kind, cut):
    path = write(tmp_path / f"a{KINDS[kind].suffix}", KINDS[kind], bars(20))
    if cut:  # where a packet begins, as where a recorder stopped
        with av.open(str(path)) as container:
            places = [p.pos for p in container.demux(video=0) if p.pos is not None and p.size]
        path.write_bytes(path.read_bytes()[: places[14]])
    command = {
        "extract": ["extract", path, *CLIP, "--out", tmp_path / "out"],
        "score": ["score", path, "-m", "zero-shot", "-d", "ucfcrime", "--device", "cpu", "--out", tmp_path / "out"],
    }[name]
    found = vadbench(*command, "--json")
    notes = found.json["notes"] if name == "extract" else found.json[0]["notes"]
    (note,) = (text for text in notes if "cannot be seen" in text)
    assert note.endswith(UNSTATED[kind])
    assert f"note: {note}" in found.err or name == "score"


@pytest.fixture
def tiny(vadbench, tmp_path):
    """Run or check the tiny data set, one of whose test videos has a hole."""
    path = Path(os.environ["VADBENCH_CACHE"]) / "datasets" / "tiny" / "test-1.mp4"
    made = write(tmp_path / "whole.webm", KINDS["webm-vp9"], bars(30))
    path.write_bytes(with_hole(made.read_bytes()))

    def call(*arguments, status=0):
        return vadbench(*arguments, "--plugin", PLUGIN, status=status)

    return call


@pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
@pytest.mark.parametrize(
    "method",
    [["motion-energy", "--device", "cpu"], ["linear", *CLIP, "--set", "recipe.epochs=1"]],
    ids=lambda own: own[0],
)
def test_a_run_stops_or_leaves_a_video_with_lost_frames_out(tiny, tmp_path, method):
    own = ["run", "-m", *method, "-d", "tiny", "--out", tmp_path / "runs", "--json"]
    stopped = tiny(*own, status=2).err
    assert re.search(rf"test-1\.mp4: {LOST}", stopped)
    record = tiny(*own, "--allow-incomplete").json[0]
    assert record["data"]["test"]["videos"] == 5
    assert any(re.search(rf"test-1\.mp4: {LOST}", note) for note in record["notes"])


@pytest.mark.usefixtures("tiny_at_hand")
def test_a_check_names_the_frame(tiny):
    found = tiny("data", "check", "tiny", "--json", status=1).json
    (problem,) = (p for p in found["problems"] if p["kind"] == "unreadable")
    assert problem["name"] == "test-1" and re.search(rf"test-1\.mp4: {LOST}", problem["text"])


@pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
@pytest.mark.parametrize(
    "method",
    [["motion-energy", "--device", "cpu"], ["linear", *CLIP, "--set", "recipe.epochs=1"]],
    ids=lambda own: own[0],
)
def test_a_record_and_a_check_say_that_an_early_end_could_not_be_seen(vadbench, tmp_path, method):
    path = Path(os.environ["VADBENCH_CACHE"]) / "datasets" / "tiny" / "test-1.mp4"
    path.write_bytes(write(tmp_path / "a.ts", KINDS["ts"], bars(30)).read_bytes())
    own = ["run", "-m", *method, "-d", "tiny", "--out", tmp_path / "runs", "--json"]
    note = "is of a kind (mpegts) that states no length: an early end cannot be seen"
    record = vadbench(*own, "--plugin", PLUGIN).json[0]
    assert record["data"]["test"]["videos"] == 6 and f"'test-1' {note}" in record["notes"]
    found = vadbench("data", "check", "tiny", "--json", "--plugin", PLUGIN).json
    assert found["status"] == "complete" and found["counts"]["length"] == 1
    assert [p["text"] for p in found["problems"]] == [f"{path} {note}"]
