"""Runs on the real official lists with generated features in VadCLIP's layout: the documented counts of frames."""

import csv

import numpy as np
import pytest
from vadbench_ucfcrime.dataset import UcfCrime
from vadbench_xdviolence.dataset import XdViolence

pytestmark = pytest.mark.usefixtures("quick_runs")
DIM = 64


@pytest.fixture
def ucf(test_data, tmp_path):
    root = tmp_path / "ucf"
    root.mkdir()
    for path in (test_data / "ucfcrime").glob("*.txt"):
        (root / path.name).write_bytes(path.read_bytes())
    return UcfCrime(root)


@pytest.fixture
def xd(test_data, tmp_path):
    root = tmp_path / "xd"
    root.mkdir()
    for path in (test_data / "xdviolence").glob("*.txt"):
        (root / path.name).write_bytes(path.read_bytes())
    for split in ("train", "test"):
        with (test_data / "xdviolence" / f"vadclip_{split}_videos.csv").open(encoding="utf-8") as file:
            rows = [
                (f"/home/someone/{r['video']}__{c}.npy", r["label"]) for r in csv.DictReader(file) for c in r["crops"]
            ]
        with (root / f"xd_{split}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("path", "label"), *rows])
    return XdViolence(root)


def write_features(dataset, crop):
    """A file of one crop a video; only test videos have as many rows as their frames make."""
    folder = dataset.root / "features"
    folder.mkdir()
    rows = {}
    for split in ("train", "test"):
        for video in dataset.videos(split):
            rows[video.name] = max(video.frames // 16, 1) if split == "test" else 1
            values = np.random.default_rng(len(rows)).standard_normal((rows[video.name], DIM)).astype(np.float16)
            np.save(folder / f"{video.name}__{crop}.npy", values)
    return folder, rows


@pytest.fixture
def run(vadbench, tmp_path):
    def call(dataset, features, *arguments):
        base = ["run", "-m", "random", "-d", dataset.name, "--data-root", dataset.root, "--features", features]
        base += ["--features-layout", "vadclip", "--clip", "small", "--set", "rows.stride=16", "--json"]
        return vadbench(*base, "--out", tmp_path / "runs", *arguments).json[0]

    return call


def counts(record):
    test = record["data"]["test"]
    return test["videos"], test["frames"], test["positives"]


def positives(annotation, rows, first_column):
    """Frames of 16 n that lie in [start, end) of any interval of an annotation line, counted one by one."""
    total = 0
    for line in annotation.read_text(encoding="utf-8").splitlines():
        name, *rest = line.split()
        name = name.removesuffix(".mp4")
        numbers = [int(n) for n in rest[first_column:]]
        labels = np.zeros(16 * rows[name], bool)
        for start, end in zip(numbers[::2], numbers[1::2], strict=True):
            if start >= 0:
                labels[start:end] = True
        total += labels.sum()
    return total


def test_ucf_crime(ucf, run):
    features, rows = write_features(ucf, crop=5)
    native = run(ucf, features)
    assert counts(native) == (290, 1_111_808, 84_338)
    assert sum("ends past its" in n and "cut there" in n for n in native["notes"]) == 5
    theirs = run(ucf, features, "--protocol", "vadclip")
    test = [v.name for v in ucf.videos("test")]
    expected = positives(ucf.root / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt", rows, 1)
    assert counts(theirs) == (290, 16 * sum(rows[n] for n in test), expected)
    assert theirs["protocol"]["crop"] == "5"


@pytest.mark.slow
def test_xd_violence(xd, run):
    features, rows = write_features(xd, crop=0)
    assert counts(run(xd, features)) == (800, 2_335_801, 539_562)
    theirs = run(xd, features, "--protocol", "vadclip")
    test = [v.name for v in xd.videos("test")]
    expected = positives(xd.root / "annotations.txt", rows, 0)
    assert counts(theirs) == (800, 16 * sum(rows[n] for n in test), expected)
    single = run(xd, features, "--subset", "single-anomaly")
    assert counts(single)[0] == 753 and single["data"]["train"]["videos"] == 3711
    assert "subset single-anomaly: 753 of 800 test videos" in single["notes"]
