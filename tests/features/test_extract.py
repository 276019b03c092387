"""Extraction: a row for every piece of every video, the same bytes however often it is killed, and honest reports."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from extraction import LENGTHS, content, extract
from vadbench.base.errors import DataError, FeatureError, MediaError
from vadbench.data.media import declared_frames, lazy_frames, read_frames, write_video
from vadbench.dataset import Video
from vadbench.features.encoders import PooledCrops
from vadbench.features.fingerprint import clip_fingerprint
from vadbench.features.pooling import pool_rows
from vadbench.features.store import FeatureStore


def encode_frames(clip, path):
    """One row per frame, a frame at a time."""
    frames = [torch.from_numpy(frame).permute(2, 0, 1)[None] for frame in read_frames(path)]
    return np.concatenate([clip.encode_images(clip.preprocess(frame)).numpy() for frame in frames])


@pytest.mark.parametrize("pooling", ["first", "middle", "mean"])
@pytest.mark.parametrize("stride", [1, 4, 16])
def test_rows_are_those_of_the_frames_they_stand_for(tmp_path, clip, videos, stride, pooling):
    report = extract(videos, clip, tmp_path, stride=stride, pooling=pooling, batch_size=7)
    assert report.extracted == list(LENGTHS)
    assert report.frames == sum(LENGTHS.values())
    assert (report.present, report.failed, report.mismatches) == ([], [], [])
    store = FeatureStore(tmp_path)
    assert store.fingerprint == clip_fingerprint(clip, stride=stride, pooling=pooling)
    for video in videos:
        frames = encode_frames(clip, video.path)
        assert store.frames(video.name) == len(frames) == LENGTHS[video.name]
        expected = []
        for start in range(0, len(frames), stride):
            piece = frames[start : start + stride]
            expected.append({"first": piece[0], "middle": piece[len(piece) // 2], "mean": piece.mean(0)}[pooling])
        np.testing.assert_allclose(store.rows(video.name)[0], expected, rtol=1e-4, atol=1e-5)


def test_extracted_means_are_bit_for_bit_the_pooled_rows_of_every_frame(tmp_path, clip, videos):
    extract(videos, clip, tmp_path / "1", stride=1, pooling="mean", batch_size=7)
    extract(videos, clip, tmp_path / "4", stride=4, pooling="mean", batch_size=7)
    fine, coarse = FeatureStore(tmp_path / "1"), FeatureStore(tmp_path / "4")
    for name, length in LENGTHS.items():
        np.testing.assert_array_equal(coarse.rows(name)[0], pool_rows(fine.rows(name)[0], length, 1, 4, "mean"))


def test_real_clips_have_a_row_for_every_frame(tmp_path, clip, test_data):
    real = [Video(p.stem, ("x",), p) for p in sorted((test_data / "videos").glob("*.mp4"))]
    report = extract(real, clip, tmp_path, stride=1, pooling="mean")
    assert not report.mismatches
    store = FeatureStore(tmp_path)
    for video in real:
        assert store.rows(video.name).shape == (1, declared_frames(video.path), clip.dim)
        store.check(video.name)


def test_a_folder_of_images_is_a_video(tmp_path, clip):
    folder = tmp_path / "frames"
    folder.mkdir()
    for i in range(11):
        Image.fromarray(np.full((40, 40), 20 * i, np.uint8)).save(folder / f"{i}.tif")
    extract([Video("v", ("x",), folder)], clip, tmp_path / "s", stride=4, pooling="first")
    store = FeatureStore(tmp_path / "s")
    assert (store.frames("v"), store.rows("v").shape) == (11, (1, 3, clip.dim))
    np.testing.assert_allclose(store.rows("v")[0], encode_frames(clip, folder)[::4], rtol=1e-4, atol=1e-5)


def test_a_second_call_finds_everything_there(tmp_path, clip, videos):
    extract(videos, clip, tmp_path, stride=4, pooling="first")
    before = content(tmp_path)
    report = extract(videos, clip, tmp_path, stride=4, pooling="first")
    assert (report.extracted, report.present, report.frames) == ([], list(LENGTHS), 0)
    assert content(tmp_path) == before


def test_a_changed_file_is_extracted_again(tmp_path, clip):
    path = tmp_path / "v.mp4"
    video = Video("v", ("x",), path)
    write_video(path, np.zeros((5, 32, 32, 3), np.uint8), fps=25)
    extract([video], clip, tmp_path / "s", stride=1, pooling="mean")
    write_video(path, np.full((9, 32, 32, 3), 200, np.uint8), fps=25)
    report = extract([video], clip, tmp_path / "s", stride=1, pooling="mean")
    assert report.extracted == ["v"]
    assert FeatureStore(tmp_path / "s").frames("v") == 9


def test_rows_do_not_depend_on_what_else_is_extracted(tmp_path, clip, videos):
    extract(videos, clip, tmp_path / "all", stride=4, pooling="mean")
    extract(videos, clip, tmp_path / "two", stride=4, pooling="mean", shard=(1, 2))
    extract(videos, clip, tmp_path / "two", stride=4, pooling="mean", shard=(0, 2))
    one, two = FeatureStore(tmp_path / "all"), FeatureStore(tmp_path / "two")
    assert one.names == two.names
    for name in one.names:
        np.testing.assert_array_equal(one.rows(name), two.rows(name))


def test_mismatching_counts_are_reported_and_extracted(tmp_path, clip, videos):
    claims = [Video("a", ("x",), videos[0].path, frames=38), Video("b", ("x",), videos[1].path, frames=5)]
    report = extract(claims, clip, tmp_path, stride=4, pooling="first")
    assert [str(m) for m in report.mismatches] == ["a: 37 frames decoded, 38 declared by its data set"]
    assert FeatureStore(tmp_path).frames("a") == 37


def test_a_container_that_declares_too_much_is_reported(tmp_path, clip, monkeypatch, videos):
    monkeypatch.setattr("vadbench.features.ordered_videos.declared_frames", lambda path: 40)
    report = extract(videos[:1], clip, tmp_path, stride=4, pooling="first")
    assert [str(m) for m in report.mismatches] == ["a: 37 frames decoded, 40 declared by its container"]


@pytest.fixture
def with_damaged(tmp_path, videos):
    text = tmp_path / "text.mp4"
    text.write_text("no video\n" * 100)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(videos[0].path.read_bytes()[:-2000])
    broken = [Video("text", ("x",), text), Video("cut", ("x",), cut), Video("gone", ("x",), tmp_path / "gone.mp4")]
    return [videos[0], *broken, Video("fileless", ("x",)), videos[4]]


def test_a_damaged_video_stops_it_and_keeps_what_is_done(tmp_path, clip, with_damaged):
    with pytest.raises(MediaError, match=r"text\.mp4"):
        extract(with_damaged[:2], clip, tmp_path / "s", stride=4, pooling="first")
    assert FeatureStore(tmp_path / "s").names == ("a",)


def test_keep_going_leaves_damaged_videos_out_and_says_which(tmp_path, clip, with_damaged):
    report = extract(with_damaged, clip, tmp_path / "s", stride=4, pooling="first", keep_going=True)
    assert report.extracted == ["a", "e"]
    assert {name for name, _ in report.failed} == {"text", "cut", "gone", "fileless"}
    assert "text.mp4" in dict(report.failed)["text"]
    assert FeatureStore(tmp_path / "s").names == ("a", "e")


def test_damage_in_the_middle_leaves_no_rows_behind(tmp_path, clip, monkeypatch, videos):
    clean = tmp_path / "clean"
    extract([videos[0], videos[2]], clip, clean, stride=1, pooling="mean", batch_size=4)

    def breaks_at_thirty(path, **_):
        for i, frame in enumerate(real(path)):
            if path == videos[4].path and i == 30:
                raise MediaError(f"{path}: damaged at frame 30")
            yield frame

    real = lazy_frames
    monkeypatch.setattr("vadbench.features.preparation.lazy_frames", breaks_at_thirty)
    torn = tmp_path / "torn"
    order = [videos[0], videos[4], videos[2]]
    report = extract(order, clip, torn, stride=1, pooling="mean", batch_size=4, keep_going=True)
    assert [name for name, _ in report.failed] == ["e"]
    assert content(torn) == content(clean)


def test_videos_behind_a_damaged_one_wait_for_it_and_come_in_order(tmp_path, clip, with_damaged, videos):
    """The damaged one is long behind the others when four are decoded at once."""
    several = [with_damaged[2], *videos, with_damaged[1]]
    for workers in (1, 4):
        made = {"stride": 4, "pooling": "mean", "batch_size": 3, "workers": workers, "keep_going": True}
        report = extract(several, clip, tmp_path / str(workers), **made)
        assert report.extracted == list(LENGTHS)
        assert report.frames == sum(LENGTHS.values())
        assert [name for name, _ in report.failed] == ["cut", "text"]
    assert content(tmp_path / "1") == content(tmp_path / "4")
    order = [json.loads(line)["name"] for line in (tmp_path / "4" / "index-0-of-1.jsonl").read_text().splitlines()]
    assert order == list(LENGTHS)


def test_a_batch_is_launched_before_the_one_before_it_is_read(tmp_path, clip, monkeypatch, videos):
    """A GPU has the next batch to work on while rows are read and written."""
    done = []
    encode, read = clip.encode_images, PooledCrops.add
    monkeypatch.setattr(clip, "encode_images", lambda *args: (done.append("launched"), encode(*args))[1])
    monkeypatch.setattr(PooledCrops, "add", lambda *args: (done.append("read"), read(*args))[1])
    extract(videos[:1], clip, tmp_path, stride=4, pooling="first", batch_size=3)
    assert done == ["launched", *["launched", "read"] * 3, "read"]


def test_an_encoder_that_gives_nan_is_an_error_naming_the_video(tmp_path, clip, monkeypatch, videos):
    monkeypatch.setattr(
        clip, "encode_images", lambda frames, arithmetic: torch.full((len(frames), clip.dim), torch.nan)
    )
    with pytest.raises(FeatureError, match=r"video 'a'.*NaN"):
        extract(videos, clip, tmp_path, stride=1, pooling="mean", batch_size=2)
    report = extract(videos, clip, tmp_path, stride=1, pooling="mean", batch_size=2, keep_going=True)
    assert len(report.failed) == len(videos)


def test_repeated_names_are_refused(tmp_path, clip, videos):
    with pytest.raises(DataError, match="more than once"):
        extract([videos[0], videos[0]], clip, tmp_path, stride=1, pooling="mean")


def test_progress_counts_up_to_the_end(tmp_path, clip, videos):
    seen = []
    alone = {"stride": 4, "pooling": "first", "workers": 1}
    extract(videos[:2], clip, tmp_path, **alone, progress=lambda *args: seen.append(args))
    looking, stage = "looking for changed videos", "extracting features"
    assert [call[:3] for call in seen[:2]] == [(looking, 0, 2), (looking, 1, 2)]
    del seen[:2]
    assert [call[:3] for call in seen] == [(stage, 0, 2), (stage, 1, 2), (stage, 2, 2)]
    assert all(re.fullmatch(r"[1-9][\d,]* frames/s", call[3]) for call in seen[:-1])
    seen.clear()
    extract(videos[:3], clip, tmp_path, **alone, progress=lambda *args: seen.append(args))
    assert [call[:3] for call in seen[3:]] == [(stage, 2, 3), (stage, 3, 3)]


def test_progress_moves_within_a_long_video(tmp_path, clip, videos):
    seen = []
    many = {"stride": 1, "pooling": "mean", "batch_size": 10}
    extract(videos[4:], clip, tmp_path, **many, progress=lambda *args: seen.append(args))
    assert [call[1] for call in seen if call[0] == "extracting features"] == [0] * 5 + [1]


# --- being killed --------------------------------------------------------------------------------------------------

KILLER = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from vadbench.clip import CROPS, ClipSource, load_clip
from vadbench.dataset import Video
from vadbench.features.encoders import FrameEncoder
from vadbench.features.fingerprint import clip_fingerprint
from vadbench.features.extraction import extract_features

weights, folder, whole, torn, crops, workers = sys.argv[1:]
whole, torn = Path(whole), Path(torn)
torch.set_num_threads(1)
clip = load_clip(ClipSource("", weights))
videos = [Video(p.stem, ("x",), p) for p in sorted(Path(folder).glob("*.mp4"))]

def start(store):
    process = os.fork()
    if not process:
        made = clip_fingerprint(clip, stride=2, pooling="mean", crops=CROPS[: int(crops)])
        extract_features(videos, FrameEncoder(clip, made, 4, int(workers)), store)
        os._exit(0)
    return process

def finish(process):
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

began = time.monotonic()
assert finish(start(whole)) == 0
took = time.monotonic() - began
complete = (whole / "rows-0-of-1.bin").stat().st_size
moments = random.Random(0)
partial = set()
# How fast a machine is decides how many kills fall into an extraction: until there are enough, another one is killed.
while len(partial) < 5:
    store = torn / str(len(list(torn.iterdir())))
    for _ in range(40):
        process = start(store)
        time.sleep(moments.random() * took / 4)
        os.kill(process, signal.SIGKILL)
        code = finish(process)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        rows = store / "rows-0-of-1.bin"
        size = rows.stat().st_size if rows.exists() else 0
        partial |= {size} if 0 < size < complete else set()
    else:
        assert finish(start(store)) == 0
"""


@pytest.mark.parametrize(("crops", "workers"), [(1, 1), (5, 2)])
def test_killed_at_any_moment_it_resumes_to_the_same_bytes(tmp_path, weights, videos, crops, workers):
    folder, whole, torn = tmp_path / "videos", tmp_path / "whole", tmp_path / "torn"
    folder.mkdir()
    torn.mkdir()
    for i in range(30):
        (folder / f"{i:02}.mp4").write_bytes(videos[(0, 2, 4)[i % 3]].path.read_bytes())
    subprocess.run(
        [sys.executable, "-c", KILLER, str(weights), str(folder), str(whole), str(torn), str(crops), str(workers)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
        timeout=1500,
    )
    for store in torn.iterdir():
        assert content(store) == content(whole)
        assert {p.name for p in store.iterdir()} == {p.name for p in whole.iterdir()}
        assert len(FeatureStore(store).names) == 30
