"""The decoding threads: frames in order, a little ahead, and errors that reach the reader."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from extraction import content, extract
from vadbench.base.errors import MediaError
from vadbench.clip import CROPS
from vadbench.data.media import write_video
from vadbench.dataset import Video
from vadbench.features.decoding import Decoder
from vadbench.features.preparation import Preparation
from vadbench.features.store import FeatureStore


@pytest.mark.parametrize("crops", [1, 5])
def test_workers_change_neither_bytes_nor_order(tmp_path, clip, videos, wide, crops):
    several = [*videos, *wide]
    for workers in (1, 2, 5):
        extract(
            several, clip, tmp_path / str(workers), stride=2, pooling="mean", crops=CROPS[:crops], batch_size=6,
            workers=workers,
        )  # fmt: skip
    assert content(tmp_path / "1") == content(tmp_path / "2") == content(tmp_path / "5")


def numbered_decoder(
    monkeypatch, lengths, stride, pooling, batch_size, workers=1, preprocess=lambda frame: frame, at_once=1
):
    """A decoder of made-up videos whose frames are their own number."""
    monkeypatch.setattr(
        "vadbench.features.preparation.lazy_frames",
        lambda length, **_: (lambda i=i: np.full((1, 1, 3), i, np.uint8) for i in range(length)),
    )
    return Decoder(lengths, Preparation(preprocess, stride, pooling, batch_size), workers, at_once=at_once)


def test_frames_stay_in_order_however_long_each_takes(monkeypatch):
    def slow(frame):
        time.sleep(0.004 if frame.max() % 3 == 0 else 0)
        return frame

    with numbered_decoder(monkeypatch, [40, 1, 25], 1, "mean", 7, workers=4, preprocess=slow) as decoder:
        for number, length in enumerate([40, 1, 25]):
            batches = [batch[:, 0, 0, 0].tolist() for batch in decoder.batches(number)]
            assert [i for batch in batches for i in batch] == list(range(length))
            assert [len(batch) for batch in batches[:-1]] == [7] * (len(batches) - 1)
            assert decoder.frames == length
        assert decoder.decoded == 66


def test_a_signal_that_a_decoding_thread_takes_ends_the_wait(monkeypatch):
    class Told(Exception):
        pass

    def tell(number, frame):
        raise Told

    waiting, done = threading.Event(), threading.Event()

    def signalled(frame):
        waiting.wait(300)
        time.sleep(0.05)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        done.wait(300)
        return frame

    before = signal.signal(signal.SIGUSR1, tell)
    try:
        began = time.monotonic()
        with numbered_decoder(monkeypatch, [1], 1, "mean", 6, preprocess=signalled) as decoder:
            get = decoder._queue.get
            monkeypatch.setattr(decoder._queue, "get", lambda **options: waiting.set() or get(**options))
            with pytest.raises(Told):
                next(decoder.batches(0))
            assert time.monotonic() - began < 200, "told when the frame came"
            done.set()
    finally:
        done.set()
        signal.signal(signal.SIGUSR1, before)


def test_several_workers_prepare_at_the_same_time(monkeypatch):
    meeting = threading.Barrier(3, timeout=300)

    def together(frame):
        meeting.wait()
        return frame

    with numbered_decoder(monkeypatch, [6], 1, "mean", 6, workers=3, preprocess=together) as decoder:
        assert [len(batch) for batch in decoder.batches(0)] == [6]


@given(
    length=st.integers(1, 60),
    stride=st.integers(1, 20),
    pooling=st.sampled_from(["first", "middle", "mean"]),
    batch_size=st.integers(1, 9),
    workers=st.integers(1, 3),
)
def test_the_frames_chosen_are_those_the_rows_need(length, stride, pooling, batch_size, workers):
    pieces = [list(range(length))[start : start + stride] for start in range(0, length, stride)]
    chosen = {
        "first": [piece[0] for piece in pieces],
        "middle": [piece[len(piece) // 2] for piece in pieces],
        "mean": list(range(length)),
    }[pooling]
    with (
        pytest.MonkeyPatch.context() as patch,
        numbered_decoder(patch, [length], stride, pooling, batch_size, workers) as decoder,
    ):
        batches = [batch[:, 0, 0, 0].tolist() for batch in decoder.batches(0)]
        assert decoder.frames == length
    assert [number for batch in batches for number in batch] == chosen
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)


def test_several_videos_are_decoded_at_the_same_time(monkeypatch):
    meeting = threading.Barrier(3, timeout=60)

    def together(frame):
        if frame[0].max() == 0:
            meeting.wait()
        return frame

    lengths = [5, 9, 7, 2, 1, 12]
    found = {number: [] for number in range(len(lengths))}
    ended = {}
    with numbered_decoder(monkeypatch, lengths, 1, "mean", 4, workers=3, preprocess=together, at_once=3) as decoder:
        for number, item in decoder.items():
            if isinstance(item, int):
                ended[number] = item
                decoder.taken()
            else:
                found[number].append(item[:, 0, 0, 0].tolist())
        assert decoder.decoded == sum(lengths)
    assert ended == dict(enumerate(lengths))
    for number, length in enumerate(lengths):
        assert [i for batch in found[number] for i in batch] == list(range(length))
        assert [len(batch) for batch in found[number][:-1]] == [4] * ((length - 1) // 4)


def test_no_more_than_so_many_videos_begin_before_one_is_taken(monkeypatch):
    monkeypatch.setattr("vadbench.features.decoding._VIDEOS_AHEAD", 4)
    began = []

    def frames(number, **_):
        began.append(number)
        yield lambda: np.zeros((1, 1, 3), np.uint8)

    monkeypatch.setattr("vadbench.features.preparation.lazy_frames", frames)
    preparation = Preparation(lambda frame: frame, 1, "mean", 1)
    with Decoder(range(20), preparation, workers=2, at_once=2) as decoder:
        items = decoder.items()
        for _ in range(8):
            next(items)
        time.sleep(0.3)
        assert sorted(began) == [0, 1, 2, 3]
        decoder.taken()
        next(items)
        assert began[-1] == 4
    assert not [t for t in threading.enumerate() if t.name.startswith("vadbench-decoder")]


COUNTED = """
import os, sys
import numpy as np
import torch
from pathlib import Path
from vadbench.clip.framing import Framing
from vadbench.features.decoding import Decoder
from vadbench.features.preparation import Preparation

torch.set_num_threads(4)

def threads():
    return len(os.listdir("/proc/self/task"))

before, most = threads(), 0
preparation = Preparation(Framing(image_size=224).preprocess, 1, "mean", 8)
with Decoder([Path(sys.argv[1])] * 2, preparation, workers=2, at_once=2) as decoder:
    for _, item in decoder.items():
        most = max(most, threads())
print(most - before)
"""


def test_no_thread_that_prepares_frames_starts_threads_of_torch(tmp_path):
    """An operation of torch over many values would start as many as torch may use, for each thread that calls it."""
    path = tmp_path / "large.mp4"
    write_video(path, np.random.default_rng(0).integers(0, 255, (6, 480, 640, 3), np.uint8), fps=25)
    told = subprocess.check_output(
        [sys.executable, "-c", COUNTED, str(path)], env=os.environ | {"OMP_NUM_THREADS": "4"}
    )
    assert 1 <= int(told) <= 2


@pytest.mark.parametrize("workers", [1, 4])
def test_frames_are_decoded_only_a_little_ahead(monkeypatch, workers):
    made = []

    def frames(length, **_):
        for i in range(length):
            made.append(i)
            yield lambda: np.zeros((1, 1, 3), np.uint8)

    monkeypatch.setattr("vadbench.features.preparation.lazy_frames", frames)
    with Decoder([10_000], Preparation(lambda frame: frame, 1, "mean", 8), workers) as decoder:
        next(decoder.batches(0))
        time.sleep(0.3)
        assert len(made) <= 8 * 4 + 2 * workers + 2
    assert not [t for t in threading.enumerate() if t.name.startswith("vadbench-decoder")]


def test_a_damaged_image_names_its_file_and_frame_though_a_worker_reads_it(tmp_path, clip, videos):
    folder = tmp_path / "frames"
    folder.mkdir()
    for i in range(9):
        Image.fromarray(np.full((40, 40), 20 * i, np.uint8)).save(folder / f"{i}.png")
    (folder / "6.png").write_bytes((folder / "6.png").read_bytes()[:40])
    both = [Video("images", ("x",), folder), videos[1]]
    wanted = {"stride": 1, "pooling": "mean", "crops": CROPS[:5], "workers": 3}
    with pytest.raises(MediaError, match=r"6\.png.*frame 6"):
        extract(both, clip, tmp_path / "s", **wanted)
    for present in ([], ["b"]):
        report = extract(both, clip, tmp_path / "s", **wanted, keep_going=True)
        assert report.present == present
        assert [name for name, _ in report.failed] == ["images"]
        assert re.search(r"6\.png.*frame 6", report.failed[0][1])
    assert FeatureStore(tmp_path / "s").names == ("b",)


def test_an_unexpected_error_in_a_worker_reaches_the_reader(monkeypatch):
    def fails(frame):
        raise RuntimeError("a defect")

    with (
        numbered_decoder(monkeypatch, [3], 1, "mean", 8, workers=2, preprocess=fails) as decoder,
        pytest.raises(RuntimeError, match="a defect"),
    ):
        list(decoder.batches(0))


def test_an_unexpected_error_in_the_thread_reaches_the_reader(monkeypatch):
    def fails(path, **_):
        raise RuntimeError("a defect")
        yield

    monkeypatch.setattr("vadbench.features.preparation.lazy_frames", fails)
    with (
        Decoder(["x"], Preparation(lambda frame: frame, 1, "mean", 8)) as decoder,
        pytest.raises(RuntimeError, match="a defect"),
    ):
        list(decoder.batches(0))
