"""Processes that decode: the same store to the byte, errors as in this process, and none that outlives it."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from extraction import LENGTHS, content, extract
from processes import children, is_alive
from vadbench.base.errors import DecodingError
from vadbench.clip import CROPS
from vadbench.clip.framing import Framing
from vadbench.dataset import Video
from vadbench.features.decoding import Decoder
from vadbench.features.preparation import Preparation


@pytest.fixture
def damaged(tmp_path):
    folder = tmp_path / "damaged"
    folder.mkdir()
    for i in range(9):
        Image.fromarray(np.full((40, 40), 20 * i, np.uint8)).save(folder / f"{i}.png")
    (folder / "6.png").write_bytes((folder / "6.png").read_bytes()[:40])
    return Video("damaged", ("x",), folder)


def test_processes_make_the_same_store_and_tell_of_damage(tmp_path, clip, videos, wide, damaged):
    """Frames of several sizes, so that batches outgrow the memory that both processes have."""
    several = [*videos, damaged, *wide]
    made = {"stride": 2, "pooling": "mean", "crops": CROPS[:5], "batch_size": 6, "keep_going": True}
    seen, reports = [], {}
    for jobs in (0, 2):
        reports[jobs] = extract(
            several, clip, tmp_path / str(jobs), **made, jobs=jobs, progress=lambda *args: seen.append(args)
        )
    assert content(tmp_path / "0") == content(tmp_path / "2")
    assert reports[2].extracted == reports[0].extracted == [*LENGTHS, "0", "1", "2"]
    assert reports[2].frames == reports[0].frames
    assert reports[2].failed == reports[0].failed
    assert "frame 6" in dict(reports[2].failed)["damaged"]
    assert seen[-1][:3] == ("extracting features", len(several), len(several))


def test_a_process_that_is_ended_is_told_of_with_its_video(videos):
    before = children(os.getpid())
    preparation = Preparation(Framing(image_size=32).preprocess, 1, "mean", 2)
    with Decoder([v.path for v in videos], preparation, processes=True) as decoder:
        items = decoder.items()
        next(items)
        [child] = children(os.getpid()) - before
        os.kill(child, signal.SIGKILL)
        with pytest.raises(DecodingError, match=r"ended by SIGKILL while it read .*a\.mp4.*fewer --jobs"):
            for _, item in items:
                if isinstance(item, Exception):
                    raise item
    assert not children(os.getpid()) - before


STARTED = """
import sys, time
from pathlib import Path
from vadbench.clip.framing import Framing
from vadbench.features.decoding import Decoder
from vadbench.features.preparation import Preparation

preparation = Preparation(Framing(image_size=32).preprocess, 1, "mean", 2)
with Decoder([Path(sys.argv[1])], preparation, processes=True) as decoder:
    next(decoder.items())
    print("begun", flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
def test_no_process_outlives_the_one_that_started_it(videos):
    process = subprocess.Popen([sys.executable, "-c", STARTED, str(videos[4].path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    started = children(process.pid)
    assert started
    process.kill()
    process.communicate()
    until = time.monotonic() + 60
    while time.monotonic() < until and any(map(is_alive, started)):
        time.sleep(0.1)
    assert not [number for number in started if is_alive(number)]
