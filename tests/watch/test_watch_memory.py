"""A long video takes no more memory than a short one: measured in processes of their own."""

import json
import subprocess
import sys

import numpy as np
import pytest

from vadbench.data.media import write_video

FPS = 25

LIMIT_MB = 60
"""A picture has 3 KiB: a thing of that size kept of each of the long video's would be 170 MiB."""
WINDOW = 16_384
"""Rows of a window of a method that needs the whole video: fewer than the long video has, as a day has more than a
window."""

PROGRAM = f"""
import json, sys
from pathlib import Path
import torch
from vadbench.scoring import windows
from vadbench.watch.reader import Reader
from vadbench.watch.scorer import open_untrained
from vadbench.watch.sources import find_sources
from vadbench.watch.scored_video import score_video
from vadbench.plugins.registry import Registry

windows.ROWS_OF_WHOLE = {WINDOW}
method, folder, *videos = sys.argv[1:]
scorer = open_untrained(method, Registry(), torch.device("cpu"), dataset="synthetic")
for video in videos:
    Path("/proc/self/clear_refs").write_text("5")  # the peak is measured anew from here on
    (source,) = find_sources([video])
    result = score_video(Reader(source), scorer, Path(folder) / source.name)
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(json.dumps({{"peak": int(peak.split()[1]) / 1024, "frames": result.frames, "rows": result.rows}}))
"""


def pictures(count):
    """A bright bar that moves over a dark ground."""
    ground = np.random.default_rng(0).integers(0, 60, (32, 32, 3), dtype=np.uint8)
    for i in range(count):
        frame = ground.copy()
        frame[:, i // 3 % 28 : i // 3 % 28 + 4] = 220
        yield frame


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Some minutes, which fill a window, and forty."""
    folder = tmp_path_factory.mktemp("long")
    counts = {folder / "short.mp4": WINDOW + 1500, folder / "long.mp4": 2400 * FPS}
    for path, count in counts.items():
        write_video(path, pictures(count), FPS, preset="ultrafast")
    return counts


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak memory of a process is begun anew by Linux alone")
@pytest.mark.parametrize("method", ["zero-shot", "random"])
def test_a_long_video_takes_the_memory_of_a_short_one(videos, tmp_path, method):
    # "random" needs the whole video, so that its windows are the longest there are.
    command = [sys.executable, "-c", PROGRAM, method, tmp_path, *videos]
    found = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    results = [json.loads(line) for line in found.stdout.splitlines() if line.startswith("{")]
    assert [r["frames"] for r in results] == list(videos.values())
    short, long = (r["peak"] for r in results)
    print(f"peak memory in MB: {short:.0f}, {long:.0f}")
    assert long - short < LIMIT_MB
