"""``vadbench data duplicates``, and the count in ``vadbench data check``."""

import json
import shutil

import numpy as np
import pytest

import planted
from npy_files import save
from places import SUPPORT
from stores import append
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.store import StoreWriter

PLUGIN = ["--plugin", SUPPORT / "clip_folders_plugin.py"]


@pytest.fixture(scope="module")
def made(made_once):
    """Two scenes to train on; in test a mirrored cut of one under another class, and a scene of its own."""

    def fill(folder):
        first, second, third, *_ = planted.scenes(folder).values()
        planted.write(folder / "train" / "street.mp4", first, crf=23)
        planted.write(folder / "train" / "market.mp4", second, crf=23)
        planted.write(folder / "test" / "riot-<b>.mp4", first[40:180, :, ::-1], crf=26)
        planted.write(folder / "test" / "yard.mp4", third, crf=23)

    return made_once("cut and mirrored", fill)


@pytest.fixture
def root(made, tmp_path):
    return shutil.copytree(made, tmp_path / "root")


def test_a_mirrored_cut_across_splits_is_told_and_gives_status_1(root, vadbench, tmp_path):
    page = tmp_path / "pairs.html"
    found = vadbench("data", "duplicates", "clip-folders", "--data-root", root, *PLUGIN, "--page", page, status=1)
    line = next(line for line in found.out.splitlines() if "street" in line)
    assert "street (train)" in line and "riot-<b> (test)" in line
    assert "part, mirrored; labelled Normal and Riot" in line
    assert "1 near-duplicates, 1 across splits, among 4 videos" in found.out
    assert "small CLIP" in found.err
    text = page.read_text()
    assert "riot-&lt;b&gt;" in text and "riot-<b>" not in text and text.count('src="data:image/jpeg;base64,') == 2


def test_the_json_has_the_documented_names(root, vadbench):
    found = json.loads(
        vadbench("data", "duplicates", "clip-folders", "--data-root", root, *PLUGIN, "--json", status=1).out
    )
    assert list(found) == [
        *("dataset", "count", "across", "pairs", "videos", "short", "unreadable", "aligned", "spacing", "threshold")
    ]
    assert (found["dataset"], found["count"], found["across"], found["threshold"]) == ("clip-folders", 1, 1, 0.88)
    (pair,) = found["pairs"]
    assert list(pair) == [
        *("a", "b", "splits", "kind", "mirrored", "cosine", "rows", "changes"),
        *("overlap", "spacing", "start", "offset", "labels", "across"),
    ]
    assert (pair["a"], pair["b"], pair["splits"]) == ("street", "riot-<b>", ["train", "test"])
    assert pair["mirrored"] is True and abs(pair["offset"] - 40) <= 6 and pair["labels"] == [["Normal"], ["Riot"]]


def test_within_one_split_the_status_is_0(root, vadbench):
    found = vadbench("data", "duplicates", "clip-folders", "--data-root", root, *PLUGIN, "--partition", "one")
    assert "1 near-duplicates, 0 across splits" in found.out


def test_a_higher_threshold_names_nothing(root, vadbench):
    asked = ["--data-root", root, *PLUGIN, "--threshold", "0.9999"]
    assert "0 near-duplicates, 0 across splits" in vadbench("data", "duplicates", "clip-folders", *asked).out


def features(folder):
    """Features that say that ``yard`` and ``market`` show the same."""
    rng = np.random.default_rng(0)
    rows = {n: (9 + rng.normal(size=(30, 16)).cumsum(0)).astype(np.float32) for n in ("street", "market", "riot-<b>")}
    rows["yard"] = rows["market"]
    for name, own in rows.items():
        save(folder / f"{name}.npy", own)
    return folder


def test_given_features_are_compared_without_any_video(root, vadbench, tmp_path):
    asked = [
        "--data-root",
        root,
        "--features",
        features(tmp_path / "rows"),
        "--features-layout",
        "vadclip",
        *PLUGIN,
        "--json",
    ]
    found = json.loads(vadbench("data", "duplicates", "clip-folders", *asked, status=1).out)
    assert [{p["a"], p["b"]} for p in found["pairs"]] == [{"market", "yard"}]
    assert (found["spacing"], found["videos"]) == (16, 4)


def test_a_data_set_that_is_in_its_ground_truth_is_compared_with_it(vadbench, tmp_path):
    folder = features(tmp_path / "rows")
    entries = {name: {"frames": 480, "segments": []} for name in ("street", "market", "riot-<b>", "yard")}
    (tmp_path / "mine.json").write_text(json.dumps({"videos": entries}))
    asked = ["data", "duplicates", "spans", "--features", folder, "--features-layout", "vadclip"]
    found = json.loads(vadbench(*asked, "--truth", tmp_path / "mine.json", "--json").out)
    assert [{p["a"], p["b"]} for p in found["pairs"]] == [{"market", "yard"}]


def test_a_damaged_video_is_a_note_and_the_others_are_compared(root, vadbench):
    (root / "train" / "market.mp4").write_bytes(b"no video")
    found = vadbench("data", "duplicates", "clip-folders", "--data-root", root, *PLUGIN, status=1)
    assert "1 near-duplicates, 1 across splits, among 3 videos" in found.out


def test_features_of_no_video_are_refused(root, refused, tmp_path):
    made = Fingerprint("tiny", "0" * 64, "gelu", "none", stride=16, pooling="mean", dim=16)
    with StoreWriter(tmp_path / "store", made) as writer:
        append(writer, "another", [np.ones((30, 16), np.float32)], 480, "another")
    line = refused("data", "duplicates", "clip-folders", "--data-root", root, *PLUGIN, "--features", tmp_path / "store")
    assert "features of none of the videos of clip-folders" in line


def test_a_layout_without_features_is_refused(root, refused):
    line = refused("data", "duplicates", "clip-folders", "--data-root", root, *PLUGIN, "--features-layout", "vadclip")
    assert "give both" in line


def test_data_check_counts_them_where_features_are_checked(root, vadbench, tmp_path):
    asked = [
        "clip-folders",
        "--data-root",
        root,
        *PLUGIN,
        "--features",
        features(tmp_path / "rows"),
        "--features-layout",
        "vadclip",
    ]
    told = vadbench("data", "check", *asked, status=2).out
    assert "near-duplicates: 1 pairs, 1 across splits (vadbench data duplicates clip-folders)" in told
    assert "duplicate: 'market' (train) and 'yard' (test) show the same, cosine 1.000" in told
    values = json.loads(vadbench("data", "check", *asked, "--json", status=2).out)
    assert values["duplicates"] == {"pairs": 1, "across": 1} and values["counts"]["duplicate"] == 1
    values = json.loads(vadbench("data", "check", *asked, "--json", "--no-duplicates", status=2).out)
    assert values["duplicates"] is None and values["counts"]["duplicate"] == 0
