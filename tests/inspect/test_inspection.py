import json
import os

import numpy as np
import pytest

import broken_datasets as broken
from small_copies import (
    FRAMES,
    LAYOUTS,
    ODD,
    TEMPORAL,
    Ped2,
    Sh,
    Ucf,
    Xd,
    found_of,
    remove,
    texts_of,
    usable,
    write_clip,
    write_images,
    write_lines,
)
from vadbench.harness.given_features import GivenFeatures
from vadbench.inspect import MEANINGS, inspect


def path_of(dataset, name):
    return next(v.path for split in ("train", "test") for v in dataset.videos(split) if v.name == name)


def test_a_complete_copy_is_complete(kind, root):
    dataset = kind(root)
    calls = []
    report = inspect(dataset, progress=lambda *call: calls.append(call))
    assert (report.status, report.source, found_of(report)) == ("complete", "videos", {})
    assert report.features is None and report.preflight is None
    total = sum(dataset.expected.values())
    assert calls[0] == ("checking videos", 0, total) and calls[-1] == ("checking videos", total, total)
    for split in ("train", "test"):
        videos, counted = dataset.videos(split), report.splits[split]
        assert counted.listed == len(videos) == dataset.expected[split]
        normal = sum(dataset.is_normal(v) for v in videos)
        kinds = [(counted.videos, len(videos)), (counted.normal, normal), (counted.abnormal, len(videos) - normal)]
        classes = [(tally, sum(c in v.labels for v in videos)) for c, tally in counted.classes.items()]
        assert all((t.expected, t.found, t.usable) == (n, n, n) for t, n in (*kinds, *classes))
        assert counted.frames_found == FRAMES * len(videos)
        assert counted.frames_stated == FRAMES * counted.stating == FRAMES * sum(v.frames is not None for v in videos)
    assert report.splits["train"].positive_frames == 0 and report.splits["test"].stating > 0
    assert report.splits["test"].positive_frames == {Ucf: 6 + 2 + 12, Xd: 10 + 8, Sh: 4 + 4, Ped2: 6 * 5}[kind]


def test_peculiarities_of_the_annotation_are_told(tmp_path):
    for kind in (Ucf, Xd):
        (tmp_path / kind.name).mkdir()
        kind.build(tmp_path / kind.name)
    (cut,) = texts_of(inspect(Ucf(tmp_path / "ucfcrime")), "annotation")
    assert "interval 9 21 of 'Arson009_x264' ends past its 20 frames" in cut and f"{TEMPORAL}, line 2" in cut
    (odd,) = (text for text in texts_of(inspect(Xd(tmp_path / "xdviolence")), "annotation") if "odd" in text)
    assert "xd.csv, line 4: odd label 'G', read as Explosion" in odd


def test_a_missing_video_is_named(kind, root):
    name, _ = LAYOUTS[kind]
    remove(path_of(kind(root), name))
    report = inspect(kind(root))
    assert (report.status, found_of(report)) == ("incomplete", {"missing": [name]})
    (text,) = texts_of(report, "missing")
    assert repr(name) in text and str(root) in text and "--allow-incomplete" in text
    test, total = report.splits["test"].videos, kind.expected["test"]
    assert (test.expected, test.found, test.usable) == (total, total - 1, total - 1)
    assert report.splits["test"].normal.usable == len(LAYOUTS[kind][1])


def test_a_file_or_image_without_bytes_is_named(kind, root):
    name, _ = LAYOUTS[kind]
    path = path_of(kind(root), name)
    file = sorted(path.iterdir())[3] if path.is_dir() else path
    file.write_bytes(b"")
    report = inspect(kind(root))
    assert (report.status, found_of(report)) == ("incomplete", {"zero-length": [name]})
    assert str(file) in texts_of(report, "zero-length")[0]
    test, total = report.splits["test"].videos, kind.expected["test"]
    assert (test.expected, test.found, test.usable) == (total, total, total - 1)


@pytest.mark.parametrize("damage", [lambda data: b"<html>not found</html>", lambda data: data[: len(data) // 2]])
@pytest.mark.parametrize("kind", [Ucf, Xd], indirect=True)
def test_a_damaged_video_is_named(kind, root, damage):
    name, _ = LAYOUTS[kind]
    path = path_of(kind(root), name)
    path.write_bytes(damage(path.read_bytes()))
    report = inspect(kind(root))
    assert (report.status, found_of(report)) == ("incomplete", {"unreadable": [name]})
    assert str(path) in texts_of(report, "unreadable")[0]


@pytest.mark.parametrize(("frames", "status"), [(22, "complete"), (23, "incomplete"), (1, "incomplete")])
@pytest.mark.parametrize("kind", [Ucf, Xd, Sh], indirect=True)
def test_a_video_of_another_length_than_annotated_is_named(kind, root, frames, status):
    name, _ = LAYOUTS[kind]
    path = path_of(kind(root), name)
    remove(path)
    if path.suffix:
        write_clip(path, frames)
    else:
        write_images(path, ".jpg", frames)
    report = inspect(kind(root))
    assert report.status == status and found_of(report) == ({} if status == "complete" else {"frames": [name]})
    for text in texts_of(report, "frames"):
        assert name in text and f"states 20 frames, found {frames};" in text
    if status == "complete":
        assert report.splits["test"].frames_found == report.splits["test"].frames_stated + 2 + 20 * (kind is Sh)


@pytest.mark.parametrize(("end", "found"), [(20, {}), (22, {}), (23, {"frames": ["Arson009_x264"]})])
def test_an_interval_past_a_video_whose_length_nobody_states_is_told(tmp_path, end, found):
    Ucf.build(tmp_path, stated=False)
    annotation = (tmp_path / TEMPORAL).read_text().replace("9 21", f"9 {end}")
    (tmp_path / TEMPORAL).write_text(annotation)
    report = inspect(Ucf(tmp_path))
    assert found_of(report) == found and report.status == ("incomplete" if found else "complete")
    told = texts_of(report, "annotation" if end == 22 else "frames")
    assert told == ([] if end == 20 else [t for t in told if f"'Arson009_x264' ends at frame {end}, past its 20" in t])
    assert len(told) == (end != 20)


def test_a_video_of_no_list_is_named(kind, root):
    extra = root / "left over = #é__label_A.mp4"
    write_clip(extra)
    report = inspect(kind(root))
    assert (report.status, found_of(report)) == ("complete", {"extra": [str(extra)]})


def test_links_that_lead_out_or_nowhere_are_named(kind, root, tmp_path):
    name, _ = LAYOUTS[kind]
    path = path_of(kind(root), name)
    away = tmp_path / "elsewhere" / path.name
    away.parent.mkdir()
    path.rename(away)
    path.symlink_to(away)
    (root / "inside").symlink_to(path.parent)
    (root / "nowhere").symlink_to(tmp_path / "nothing")
    report = inspect(kind(root))
    assert report.status == "complete"
    found = dict(zip(found_of(report)["link"], texts_of(report, "link"), strict=True))
    assert set(found) == {str(path), str(root / "nowhere")}
    assert (
        f"is a link to {away}, outside" in found[str(path)] and "which does not exist" in found[str(root / "nowhere")]
    )


def test_a_kind_of_video_without_any_is_unusable(kind, root):
    _, normal = LAYOUTS[kind]
    dataset = kind(root)
    for path in [path_of(dataset, name) for name in normal]:
        remove(path)
    report = inspect(kind(root))
    assert report.status == "unusable" and set(found_of(report)) == {"nothing", "missing"}
    assert found_of(report)["missing"] == normal
    assert texts_of(report, "nothing") == [f"none of {len(normal)} normal test videos can be used; add some of them"]
    assert report.problems[0].kind == "nothing"


def test_a_split_without_any_video_is_unusable(kind, root):
    dataset = kind(root)
    for path in [v.path for v in dataset.videos("train")]:
        remove(path)
    report = inspect(kind(root))
    count = kind.expected["train"]
    assert report.status == "unusable" and len(found_of(report)["missing"]) == count
    assert texts_of(report, "nothing") == [f"none of {count} train videos can be used; add some of them"]
    assert report.splits["test"].videos.usable == kind.expected["test"]


TRUTHS = {Ucf: TEMPORAL, Xd: "annotations.txt", Sh: "semantic_annotation.json", Ped2: "UCSDped2/Test/Test005_gt"}


def test_without_its_annotation_a_data_set_is_unusable(kind, root):
    remove(root / TRUTHS[kind])
    report = inspect(kind(root))
    assert report.status == "unusable" and "test" not in report.splits
    assert any(os.path.basename(TRUTHS[kind]) in text for text in texts_of(report, "list"))
    assert report.problems[0].kind == "list"
    # Only ShanghaiTech's training labels come from the annotation too.
    if kind is not Sh:
        assert report.splits["train"].videos.usable == kind.expected["train"]


def test_no_root_and_no_list_are_unusable(tmp_path):
    for root, words in ((tmp_path / "none", "not found"), (tmp_path, "no train list in")):
        report = inspect(Ucf(root))
        assert (report.status, report.source, report.splits) == ("unusable", "none", {})
        assert words in texts_of(report, "list")[0] and str(root) in texts_of(report, "list")[0]


def test_lists_shorter_than_a_complete_copy_are_incomplete(tmp_path):
    Ucf.build(tmp_path)
    write_lines(tmp_path / "Anomaly_Train.txt", Ucf.train[1:])
    report = inspect(Ucf(tmp_path))
    assert report.status == "incomplete" and set(found_of(report)) == {"count", "extra"}
    assert "train list names 2 videos, a complete copy's 3" in texts_of(report, "count")[0]
    assert (report.splits["train"].videos.expected, report.splits["train"].listed) == (3, 2)


def test_a_video_in_both_splits_is_unusable(tmp_path):
    Ucf.build(tmp_path)
    write_lines(tmp_path / "Anomaly_Train.txt", [*Ucf.train[1:], Ucf.test[0]])
    report = inspect(Ucf(tmp_path))
    assert report.status == "unusable"
    assert texts_of(report, "list") == ["'Abuse028_x264' is listed more than once; keep one line of the lists"]


def test_one_defect_does_not_hide_the_others(tmp_path):
    Ucf.build(tmp_path)
    (tmp_path / Ucf.train[0]).unlink()
    (tmp_path / Ucf.train[1]).write_bytes(b"")
    (tmp_path / Ucf.test[0]).write_bytes(b"nothing that plays")
    write_clip(tmp_path / Ucf.test[1], 30)
    report = inspect(Ucf(tmp_path))
    assert found_of(report) | {"nothing": []} == {
        "missing": [ODD],
        "zero-length": ["Arson001_x264"],
        "unreadable": ["Abuse028_x264"],
        "frames": ["Arson009_x264"],
        "nothing": [],
    }
    assert repr(ODD) in texts_of(report, "missing")[0]
    assert len(texts_of(report, "nothing")) == 2 and usable(report) == 2


def test_the_report_is_plain_values_with_the_documented_names(kind, root):
    remove(path_of(kind(root), LAYOUTS[kind][0]))
    report = inspect(kind(root))
    values = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert list(values) == [
        *("status", "counts", "dataset", "root", "source", "splits", "features", "preflight", "duplicates", "problems"),
        *("partition", "truth"),
    ]
    assert values["counts"] == {k: len(texts_of(report, k)) for k in MEANINGS} and values["counts"]["missing"] == 1
    assert set(values["splits"]["test"]) == {
        *("videos", "listed", "normal", "abnormal", "classes"),
        *("frames_stated", "stating", "frames_found", "positive_frames"),
    }
    assert set(values["splits"]["test"]["videos"]) == {"expected", "found", "usable"}
    assert [set(p) for p in values["problems"]] == [{"kind", "name", "text"}] * len(report.problems)


def test_a_data_set_is_checked_in_the_splits_that_it_has(tmp_path):
    root = broken.make_root(tmp_path / "root")
    for kind, splits in ((broken.ForTesting, ["test"]), (broken.ThreeParts, ["train", "validation", "test"])):
        folder = features_of(kind(root), tmp_path / kind.__name__)
        report = inspect(kind(root), GivenFeatures(folder))
        assert (report.status, list(report.splits)) == ("complete", splits)
        assert [counted.videos.usable for counted in report.splits.values()] == [4] * len(splits)
    assert report.splits["validation"].positive_frames == report.splits["test"].positive_frames == 2 * 4


def test_without_validation_videos_a_run_is_possible_and_without_training_videos_it_is_not(tmp_path):
    dataset = broken.ThreeParts(broken.make_root(tmp_path / "root"))
    for split, status in (("validation", "incomplete"), ("train", "unusable")):
        folder = features_of(dataset, tmp_path / split)
        for path in folder.glob(f"{split}-*.npy"):
            path.unlink()
        report = inspect(dataset, GivenFeatures(folder))
        assert report.status == status
        said = [p.text for p in report.problems if p.text.startswith("none of")]
        assert said == [f"none of 4 {split} videos can be used; add some of them"]


def features_of(dataset, folder):
    folder.mkdir()
    for split in dataset.splits:
        for video in dataset.videos(split):
            np.save(folder / f"{video.name}.npy", np.ones((10, 8), np.float32))
    return folder
