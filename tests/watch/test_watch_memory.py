"""Scoring a long video takes bounded memory: measured in a process of its own."""

import json
import subprocess
import sys

import numpy as np
import pytest

from vadbench.data.media import write_video

FPS = 25
FRAMES = 600 * FPS
SIDE = 64
LIMIT_MB = 90
"""A picture has 12 KiB: a thing of that size kept of each picture behind the first third would be 117 MiB."""
WINDOW = 4096
"""Rows of a window of a method that needs the whole video: fewer than the long video has, as a day has more than a
window."""

PROGRAM = f"""
import json, sys
from pathlib import Path
import torch
from vadbench.harness.environment import peak_memory_mb
from vadbench.scoring import windows
from vadbench.watch.reader import Reader
from vadbench.watch.scorer import open_untrained
from vadbench.watch.sources import find_sources
from vadbench.watch.scored_video import score_video
from vadbench.plugins.registry import Registry

windows.ROWS_OF_WHOLE = {WINDOW}
method, folder, *videos = sys.argv[1:]
scorer = open_untrained(method, Registry(), torch.device("cpu"), dataset="synthetic")
peaks = []


def progress(what, done, total, note=""):
    if done > {FRAMES} / 3:
        peaks.append(peak_memory_mb())


for video in videos:
    (source,) = find_sources([video])
    result = score_video(Reader(source), scorer, Path(folder) / source.name, progress=progress)
print(json.dumps({{"first": peaks[0], "last": peak_memory_mb(), "frames": result.frames, "rows": result.rows}}))
"""


def pictures(count):
    """A bright bar that moves over a dark ground."""
    ground = np.random.default_rng(0).integers(0, 60, (SIDE, SIDE, 3), dtype=np.uint8)
    for i in range(count):
        frame = ground.copy()
        left = i // 3 % (SIDE - 4)
        frame[:, left : left + 4] = 220
        yield frame


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A minute, after which everything is loaded, and ten."""
    folder = tmp_path_factory.mktemp("long")
    counts = {folder / "minute.mp4": 60 * FPS, folder / "ten.mp4": FRAMES}
    for path, count in counts.items():
        write_video(path, pictures(count), FPS, preset="ultrafast")
    return list(counts)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["zero-shot", "random"])
def test_a_video_takes_no_more_memory_the_longer_it_lasts(videos, tmp_path, method):
    # "random" needs the whole video, so that its windows are the longest there are.
    # A shell between: Linux counts to a process's peak memory what it was before exec, here a copy of pytest.
    shell = ["sh", "-c", '"$@" || exit', "sh"]
    command = [*shell, sys.executable, "-c", PROGRAM, method, tmp_path, *videos]
    found = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    result = json.loads(found.stdout.splitlines()[-1])
    assert result["frames"] == FRAMES
    print(f"peak memory in MB: {result}")
    assert result["last"] - result["first"] < LIMIT_MB
