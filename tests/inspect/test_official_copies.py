"""Looking at official lists and clips, and at a root of the size of UCF-Crime."""

import csv
import json
import runpy
import shutil
import time

import pytest
from vadbench_shanghaitech.dataset import ShanghaiTech
from vadbench_ucfcrime.dataset import UcfCrime
from vadbench_ucsdped2.dataset import UcsdPed2
from vadbench_xdviolence.dataset import XdViolence

from places import ROOT
from small_copies import TEMPORAL, found_of, texts_of, usable
from vadbench.inspect import inspect


def official_ucf(source, root):
    for name in ("Anomaly_Train.txt", "Anomaly_Test.txt", TEMPORAL):
        shutil.copyfile(source / "ucfcrime" / name, root / name)
    for split in ("Train", "Test"):
        shutil.copyfile(source / "ucfcrime" / f"ekosman_{split}_Annotation.txt", root / f"{split}_Annotation.txt")


def official_xd(source, root):
    for name in ("annotations.txt", "annotations_multiclasses.txt", "uws4vad_xdv_tframes.txt"):
        shutil.copyfile(source / "xdviolence" / name, root / name)
    for split in ("train", "test"):
        with (source / "xdviolence" / f"vadclip_{split}_videos.csv").open(encoding="utf-8") as file:
            rows = [(f"/home/someone/{r['video']}__0.npy", r["label"]) for r in csv.DictReader(file)]
        with (root / f"xd_{split}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("path", "label"), *rows])


def official_sh(source, root):
    for name in ("SH_Train.txt", "SH_Test.txt", "semantic_annotation.json", "frame_masks.json"):
        shutil.copyfile(source / "shanghaitech" / name, root / name)


@pytest.mark.parametrize(
    ("kind", "build", "normal", "abnormal", "frames", "positive", "peculiar"),
    [
        (UcfCrime, official_ucf, (800, 150), (810, 140), (290, 1_111_808), 84_338, ("ends past", 5)),
        (XdViolence, official_xd, (2049, 300), (1905, 500), (800, 2_335_801), 539_562, ("odd label", 2)),
        (ShanghaiTech, official_sh, (175, 155), (63, 44), (44, None), None, ("", 0)),
    ],
    ids=["ucf", "xd", "sh"],
)
def test_the_official_lists_say_what_is_expected(
    test_data, tmp_path, kind, build, normal, abnormal, frames, positive, peculiar
):
    build(test_data, tmp_path)
    report = inspect(kind(tmp_path))
    train, test = report.splits["train"], report.splits["test"]
    assert (train.normal.expected, test.normal.expected) == normal
    assert (train.abnormal.expected, test.abnormal.expected) == abnormal
    assert {s: r.videos.expected for s, r in report.splits.items()} == kind.expected
    assert test.stating == frames[0] and frames[1] in (None, test.frames_stated)
    assert positive in (None, test.positive_frames)
    words, times = peculiar
    assert sum(words in text for text in texts_of(report, "annotation")) == times
    # Nothing but lists is there.
    assert report.status == "unusable" and len(texts_of(report, "nothing")) == 2
    assert len(found_of(report)["missing"]) == sum(kind.expected.values())


def test_the_masks_of_shanghaitech_are_counted(test_data, tmp_path):
    official_sh(test_data, tmp_path)
    report = inspect(ShanghaiTech(tmp_path))
    masks = json.loads((test_data / "shanghaitech" / "frame_masks.json").read_text())
    listed = (test_data / "shanghaitech" / "SH_Test.txt").read_text().split()
    own = [m for name, m in masks.items() if name in listed]
    assert report.splits["test"].frames_stated == sum(m["n"] for m in own)
    assert report.splits["test"].positive_frames == sum(b - a for m in own for a, b in m["runs"])


def test_the_official_ped2_clips_are_complete(test_data):
    report = inspect(UcsdPed2(test_data / "ucsdped2"))
    assert report.status == "complete" and usable(report) == 28
    assert sum(split.frames_found for split in report.splits.values()) == 4560


def test_a_root_of_ucf_crimes_size_is_checked_in_seconds(tmp_path, capsys):
    build = runpy.run_path(str(ROOT / "benchmarks" / "speed" / "datacheck.py"))
    build["build"](tmp_path, rows=4, dim=8)
    began = time.perf_counter()
    assert build["list_both"](tmp_path) == 1900
    listed = time.perf_counter()
    report = build["check"](tmp_path)
    checked = time.perf_counter()
    with capsys.disabled():
        print(f"\n1,900 videos listed in {listed - began:.2f} s, checked in {checked - listed:.2f} s")
    assert report.status == "complete" and usable(report) == 1900
    assert report.splits["test"].positive_frames == 140 * 3
