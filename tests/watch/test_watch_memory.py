"""A long video takes no more memory than a short one: measured in processes of their own."""

import json
import subprocess
import sys

import numpy as np
import pytest

from vadbench.data.media import write_video

FPS = 25

PROGRAM = """
import json, sys
from pathlib import Path
import torch
from vadbench.harness.environment import peak_memory_mb
from vadbench.watch.reader import Reader
from vadbench.watch.scorer import open_untrained
from vadbench.watch.sources import find_sources
from vadbench.watch.scored_video import score_video
from vadbench.plugins.registry import Registry

scorer = open_untrained(sys.argv[2], Registry(), torch.device("cpu"), dataset="synthetic", assignments=sys.argv[4:])
(source,) = find_sources([sys.argv[1]])
result = score_video(Reader(source), scorer, Path(sys.argv[3]))
print(json.dumps({"peak": peak_memory_mb(), "frames": result.frames, "events": len(result.events)}))
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
    """A minute and two hours."""
    folder = tmp_path_factory.mktemp("long")
    lengths = {"minute": 60 * FPS, "two_hours": 7200 * FPS}
    for name, count in lengths.items():
        write_video(folder / f"{name}.mp4", pictures(count), FPS, preset="ultrafast")
    return {folder / f"{name}.mp4": count for name, count in lengths.items()}


@pytest.mark.slow
@pytest.mark.parametrize("method", ["zero-shot", "random"])
def test_two_hours_take_the_memory_of_a_minute(videos, tmp_path, method):
    # "random" needs the whole video, so that its windows are the longest there are.
    peaks = {}
    for video, frames in videos.items():
        # A shell between: Linux counts to a process's peak memory what it was before exec, here a copy of pytest.
        shell = ["sh", "-c", '"$@" || exit', "sh"]
        command = [*shell, sys.executable, "-c", PROGRAM, video, method, tmp_path / video.stem]
        found = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stderr
        result = json.loads(found.stdout.splitlines()[-1])
        assert result["frames"] == frames
        peaks[video.stem] = result["peak"]
    print(f"peak memory in MB: {peaks}")
    assert peaks["two_hours"] - peaks["minute"] < 200
