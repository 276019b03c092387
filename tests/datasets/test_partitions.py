"""Divisions that take a part of each split: PLOVAD's, of three data sets, on small roots and on the real lists."""

import csv
import json

import pytest
from vadbench_shanghaitech.dataset import ShanghaiTech
from vadbench_ucfcrime.dataset import UcfCrime
from vadbench_xdviolence.dataset import XdViolence

from roots import shanghaitech, ucfcrime, xdviolence
from vadbench.base.errors import DataError, UnknownNameError
from vadbench.harness.rules import open_dataset

UCF_TRAIN, UCF_BASE = "ucf-vit-train_base+normal.list", "lists/ucf-vit-test_base+normal.list"
UCF_LISTS = {
    UCF_TRAIN: ["train/Abuse/Abuse001_x264.npy", "train/normal/Normal_Videos001_x264.npy"],
    # Their order is not that of the split, and their folders are not its own.
    UCF_BASE: ["test/normal/Normal_Videos_003_x264.npy", "test/RoadAccidents/RoadAccidents010_x264.npy"],
}
XD_LISTS = {
    "xd-vit-train_base+normal.list": [f"train/abnormal/{xdviolence.TRAIN[0]}.npy"],
    "xd-vit-test_novel.list": [f"test/abnormal/{xdviolence.TEST[0]}.npy"],
}
SH_LISTS = {
    "sh-vit-train_flag-single.list": ["train/01/01_001__normal.npy"],
    "sh-vit-test_flag-single.list": ["test/12/12_0142__throwing_object.npy", "test/02/02_003__normal.npy"],
}


def divided(kind, root, partition):
    return open_dataset(kind, root, partition=partition)


def names(dataset, split):
    return [v.name for v in dataset.read().videos[split]]


def test_a_division_takes_the_videos_that_its_lists_name_in_the_order_of_the_split(tmp_path):
    root = ucfcrime.make_root(tmp_path, **UCF_LISTS)
    dataset = divided(UcfCrime, root, "plovad-base")
    assert names(dataset, "train") == ["Abuse001_x264", "Normal_Videos001_x264"]
    assert names(dataset, "test") == ["RoadAccidents010_x264", "Normal_Videos_003_x264"]
    assert names(UcfCrime(root), "test") == [*ucfcrime.COUNTS], "the data set's own division is what it was"
    whole = {v.name: v for v in UcfCrime(root).videos("test")}
    assert [whole[v.name] for v in dataset.videos("test")] == list(dataset.videos("test"))
    assert all("not in the test list" not in p for p in dataset.problems)


def test_a_split_without_a_list_is_taken_whole(tmp_path):
    root = ucfcrime.make_root(tmp_path, **{UCF_TRAIN: UCF_LISTS[UCF_TRAIN][:1]})
    dataset = divided(UcfCrime, root, "plovad-all")
    assert names(dataset, "train") == ["Abuse001_x264"]
    assert names(dataset, "test") == [*ucfcrime.COUNTS]


def test_the_other_videos_of_a_division_are_no_strangers(tmp_path):
    root = ucfcrime.make_root(tmp_path, **UCF_LISTS)
    for name in ("RoadAccidents010_x264", "Shooting015_x264", "Normal_Videos_003_x264"):
        (root / f"{name}.mp4").touch()
    dataset = divided(UcfCrime, root, "plovad-base")
    assert [v.path.name for v in dataset.videos("test")] == ["RoadAccidents010_x264.mp4", "Normal_Videos_003_x264.mp4"]
    assert dataset.problems == []


def test_xd_violence_is_divided_with_lists_or_by_folders(tmp_path):
    root = xdviolence.make_root(tmp_path / "lists", **XD_LISTS)
    dataset = divided(XdViolence, root, "plovad-novel-only")
    assert (names(dataset, "train"), names(dataset, "test")) == ([xdviolence.TRAIN[0]], [xdviolence.TEST[0]])
    without = {"list/xd.csv": None, "list/xd_test.csv": None}
    root = xdviolence.make_root(tmp_path / "folders", **XD_LISTS, **without)
    for split, of_split in (("train", xdviolence.TRAIN), ("test", xdviolence.TEST)):
        (root / split).mkdir()
        for name in of_split:
            (root / split / f"{name}.mp4").touch()
    dataset = divided(XdViolence, root, "plovad-novel-only")
    assert (names(dataset, "train"), names(dataset, "test")) == ([xdviolence.TRAIN[0]], [xdviolence.TEST[0]])


def test_shanghaitech_names_carry_their_class(tmp_path):
    root = shanghaitech.make_root(tmp_path, **{name: "\n".join(lines) for name, lines in SH_LISTS.items()})
    dataset = divided(ShanghaiTech, root, "plovad-single")
    assert (names(dataset, "train"), names(dataset, "test")) == (["01_001"], ["12_0142", "02_003"])


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_the_last_line_counts_whether_or_not_a_newline_ends_it(tmp_path, end):
    root = ucfcrime.make_root(tmp_path, **UCF_LISTS)
    (root / UCF_BASE).write_bytes(("\n".join(UCF_LISTS[UCF_BASE]) + end).encode())
    assert len(names(divided(UcfCrime, root, "plovad-base"), "test")) == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("test/Abuse/Abuse028_x264.npy", ["'Abuse028_x264' is none of the 3 test videos of ucfcrime"]),
        ("train/Abuse/Abuse001_x264.npy", ["'Abuse001_x264' is none of the 3 test videos"]),
        ("../Shooting/Shooting015_x264.npy", ["must not contain '..'"]),
        ("test/normal/Normal_Videos_003_x264.npy", ["listed already", "line 1"]),
        ("test/Shooting/Shooting015_x264.npy 1 2", ["expected a path alone"]),
    ],
)
def test_a_damaged_line_is_named(tmp_path, line, words):
    lists = {**UCF_LISTS, UCF_BASE: [UCF_LISTS[UCF_BASE][0], line]}
    with pytest.raises(DataError) as caught:
        divided(UcfCrime, ucfcrime.make_root(tmp_path, **lists), "plovad-base").read()
    message = str(caught.value)
    assert "base+normal.list, line 2" in message and "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("test/02/02_003.npy", "expected a name, '__' and a class, found '02_003'"),
        ("test/12/12_0142__vehicle.npy", "'12_0142' is listed already"),
        ("test/12/12_0143__vehicle.npy", "'12_0143' is none of the 3 test videos of shanghaitech"),
    ],
)
def test_a_damaged_line_with_a_class_is_named(tmp_path, line, words):
    lists = {**SH_LISTS, "sh-vit-test_flag-single.list": [SH_LISTS["sh-vit-test_flag-single.list"][0], line]}
    root = shanghaitech.make_root(tmp_path, **{name: "\n".join(lines) for name, lines in lists.items()})
    with pytest.raises(DataError) as caught:
        divided(ShanghaiTech, root, "plovad-single").read()
    assert "sh-vit-test_flag-single.list, line 2" in str(caught.value) and words in str(caught.value)


def test_a_missing_list_says_where_it_comes_from(tmp_path):
    with pytest.raises(DataError, match=r"ucf-vit-train_base\+normal.list not found in .*github.com/ctX-u/PLOVAD"):
        divided(UcfCrime, ucfcrime.make_root(tmp_path), "plovad-novel").read()
    with pytest.raises(UnknownNameError, match="unknown partition of ucfcrime 'plovad_base'; did you mean"):
        divided(UcfCrime, tmp_path, "plovad_base")


@pytest.fixture
def real(test_data, tmp_path):
    """Roots with the official lists and PLOVAD's, each in the folder in which its authors have them."""
    lists = test_data / "more" / "openvocab"
    own = {
        "ucf": (UcfCrime, "ucfcrime", ["*.txt"]),
        "xd": (XdViolence, "xdviolence", ["annotations*.txt"]),
        "sh": (ShanghaiTech, "shanghaitech", ["*"]),
    }
    found = {}
    for short, (kind, folder, patterns) in own.items():
        root = tmp_path / short
        (root / f"{short}_base2novel").mkdir(parents=True)
        files = [p for pattern in patterns for p in (test_data / folder).glob(pattern)]
        for path in files:
            (root / path.name).write_bytes(path.read_bytes())
        for path in (lists / f"{short}_base2novel").iterdir():
            (root / f"{short}_base2novel" / path.name).write_bytes(path.read_bytes())
        found[short] = kind, root
    for split in ("train", "test"):
        with (test_data / "xdviolence" / f"vadclip_{split}_videos.csv").open(encoding="utf-8") as file:
            rows = [(f"{row['video']}__{crop}.npy", row["label"]) for row in csv.DictReader(file) for crop in "01"]
        with (tmp_path / "xd" / f"xd_{split}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("path", "label"), *rows])
    return found


def test_every_real_division_has_the_stated_number_of_videos_of_each_split(real):
    for kind, root in real.values():
        own = {split: {v.name for v in kind(root).videos(split)} for split in ("train", "test")}
        for partition in kind.partitions:
            dataset = divided(kind, root, partition)
            for split, names_of_split in own.items():
                here = [v.name for v in dataset.videos(split)]
                assert len(here) == len(set(here)) == dataset.sizes[split], (kind.name, partition, split)
                assert set(here) <= names_of_split


def test_the_real_divisions_are_those_of_the_lists(real, test_data):
    """Counted from the bytes of the lists, of which several lack the last newline."""
    expected = json.loads((test_data / "more" / "expected.json").read_text())["openvocab"]
    ucf, xd, sh = (
        {name: divided(kind, root, name) for name in kind.partitions} for kind, root in (real[k] for k in real)
    )
    assert expected == {
        "ucf": {
            "train_base_normal": len(ucf["plovad-base"].videos("train")),
            "test_base_normal": len(ucf["plovad-base"].videos("test")),
            "test_novel_normal": len(ucf["plovad-novel"].videos("test")),
        },
        "xd": {
            "test_all": len(xd["plovad-all"].videos("test")),
            "test_base": len(xd["plovad-base-only"].videos("test")),
            "test_novel": len(xd["plovad-novel-only"].videos("test")),
            "train_base_normal": len(xd["plovad-base"].videos("train")),
        },
        "shanghaitech": {
            "test_base": len(sh["plovad-base-only"].videos("test")),
            "test_novel": len(sh["plovad-novel-only"].videos("test")),
            "test_single": len(sh["plovad-all"].videos("test")),
            "train_base_normal": len(sh["plovad-base"].videos("train")),
            "train_single": len(sh["plovad-single"].videos("train")),
        },
    }
    for kind, root in real.values():
        for path in root.glob("*_base2novel/*.list"):
            stated = len(path.read_bytes().split())
            used = [
                d.sizes[split]
                for d in (divided(kind, root, name) for name in kind.partitions)
                for split, file in d.partitions[d.partition].lists.items()
                if file == path.name
            ]
            if kind is not XdViolence:  # whose names contain blanks
                assert used and set(used) == {stated}, path


def test_the_real_base_and_novel_classes_have_nothing_in_common(real):
    for kind, root in real.values():
        trained, base, novel = (
            {label for v in divided(kind, root, name).videos(split) for label in v.labels}
            for name, split in (("plovad-base", "train"), ("plovad-base", "test"), ("plovad-novel", "test"))
        )
        normal = kind.classes.names[kind.classes.normal]
        assert base <= trained, kind.name
        assert novel & trained == {normal}, kind.name
        if kind is UcfCrime:
            assert novel | base == set(kind.classes.names) and len(base) == 7


def test_the_real_names_of_shanghaitech_carry_a_class_of_the_video(real):
    kind, root = real["sh"]
    labels = {v.name: v.labels for split in ("train", "test") for v in kind(root).videos(split)}
    for path in root.glob("*_base2novel/*.list"):
        for line in path.read_text().split():
            name, _, called = line.rsplit("/", 1)[1].removesuffix(".npy").partition("__")
            assert kind.classes.names[kind.classes.id(called)] in labels[name]
