"""Nothing grows with the number of videos but what names them: measured in processes of their own."""

import json
import subprocess
import sys

import pytest

from places import PLUGIN

ROWS, DIM = 3600, 64
"""Rows of a video: 1,900 of them in float16 are some 870 MB, UCF-Crime at stride 16."""

PROGRAM = """
import json, sys, threading, time
from pathlib import Path
from vadbench.harness.experiment import open_experiment
from vadbench.harness.request import Request
from vadbench.harness.run import run
from vadbench.plugins.registry import Registry

peak, trained = 0, threading.Event()

def anonymous():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024

def watch():
    global peak
    while not trained.wait(0.02):
        peak = max(peak, anonymous())

def progress(stage, done, total):
    if stage == "scoring":  # scores are kept, a few numbers a row; features are not
        trained.set()

watcher = threading.Thread(target=watch)
watcher.start()
request = Request(
    "linear", "ucfcrime", ("recipe.epochs=1", "rows.stride=16"), data_root=Path(sys.argv[1]),
    features=Path(sys.argv[1]) / "features", clip_model="small", clip_weights="random:0", device="cpu",
    out=Path(sys.argv[2]),
)
outcome = run(open_experiment(request, Registry(files=(Path(sys.argv[3]),)), progress), 0, progress)
watcher.join()
print(json.dumps({"peak": peak, "videos": sum(s.videos for s in outcome.record.data.values())}))
"""


def build(root, count):
    """A root in UCF-Crime's form with ``count`` videos and features in VadCLIP's layout."""
    import numpy as np

    features = root / "features"
    features.mkdir(parents=True)
    block = np.random.default_rng(0).standard_normal((ROWS, DIM), dtype=np.float32).astype(np.float16)
    lists = {"train": [], "test": []}
    annotation = []
    for i in range(count):
        split, abnormal = "test" if i % 7 == 0 else "train", i % 2 == 0
        name = f"Abuse{i:04d}_x264" if abnormal else f"Normal_Videos_{i:04d}_x264"
        lists[split].append(f"{'Abuse' if abnormal else 'Training_Normal_Videos_Anomaly'}/{name}.mp4")
        if split == "test":
            interval = "100 900" if abnormal else "-1 -1"
            annotation.append(f"{name}.mp4  {'Abuse' if abnormal else 'Normal'}  {interval}  -1  -1")
        block[0, 0] = i
        np.save(features / f"{name}__0.npy", block)
    (root / "Anomaly_Train.txt").write_text("\n".join(lists["train"]))
    (root / "Anomaly_Test.txt").write_text("\n".join(lists["test"]))
    (root / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt").write_text("\n".join(annotation))


@pytest.mark.slow
def test_anonymous_memory_of_a_training_does_not_grow_with_the_number_of_videos(tmp_path):
    peaks = {}
    for count in (190, 1900):
        build(tmp_path / str(count), count)
        command = [sys.executable, "-c", PROGRAM, tmp_path / str(count), tmp_path / "runs", PLUGIN]
        found = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stderr
        result = json.loads(found.stdout.splitlines()[-1])
        assert result["videos"] == count
        peaks[count] = result["peak"]
    print(f"peak anonymous memory in MB by number of videos: {peaks}")
    # Names, labels and segments of 1,710 more videos, and the allocator's slack; their features are 790 MB.
    assert peaks[1900] - peaks[190] < 40
