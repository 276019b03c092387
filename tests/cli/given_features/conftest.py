"""Shared pieces of the tests of features that a user brings."""

import pytest

from places import PLUGIN
from ucf_features import ABNORMAL, all_videos


@pytest.fixture
def root(tmp_path):
    """A root in UCF-Crime's form without videos: lists, annotation, frame counts."""
    root = tmp_path / "UCFCrime"
    root.mkdir()
    test, train = all_videos()
    for split, videos in (("Test", test), ("Train", train)):
        lines = [f"{'Abuse' if n.startswith('Abuse') else 'Normal_Videos_event'}/{n}.mp4" for n in videos]
        (root / f"Anomaly_{split}.txt").write_text("\n".join(lines))
        (root / f"{split}_Annotation.txt").write_text("\n".join(f"{n}.mp4 {t}" for n, t in videos.items()))
    lines = []
    for name, frames in test.items():
        numbers = [str(n) for pair in ABNORMAL.get(frames, []) for n in pair]
        numbers += ["-1"] * (4 - len(numbers))
        lines.append(f"{name}.mp4  {'Abuse' if frames in ABNORMAL else 'Normal'}  {'  '.join(numbers)}")
    (root / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt").write_text("\n".join(lines))
    return root


@pytest.fixture
def run(vadbench, tmp_path, root):
    """``vadbench run`` on that root: its record, or what it said."""
    base = ["run", "--plugin", PLUGIN, "--clip", "small", "--device", "cpu", "--json"]
    base += ["-d", "ucfcrime", "--data-root", root, "--out", tmp_path / "runs"]

    def call(*arguments, status=0):
        weights = () if "--clip-weights" in arguments else ("--clip-weights", "random:0")
        method = () if "--from" in arguments else ("-m", "linear")
        found = vadbench(*base, *weights, *method, *arguments, status=status)
        return found.json[0] if status == 0 else found.err

    return call
