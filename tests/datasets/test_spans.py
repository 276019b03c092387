"""Data sets from one file of spans: DoTA, LAD, TAD and any other."""

import json
import math
import shutil
from collections import Counter

import pytest
from PIL import Image
from vadbench_spans.dataset import Dota, Lad, Tad
from vadbench_spans.generic import Spans

from roots.spans import SETS, entry, make_root, own_form
from roots.ucfcrime import make_root as ucf_root
from roots.xdviolence import make_root as xd_root
from vadbench.base.errors import DataError
from vadbench.base.ground_truth import Segment
from vadbench.base.hashing import digest
from vadbench.data.annotations.truth_files import read_truth
from vadbench.data.media import declared_frames
from vadbench.dataset import Dataset
from vadbench.harness.rules import open_dataset
from vadbench.inspect import export_truth, inspect
from watch_media import encode, numbered

KINDS = {"dota": Dota, "lad": Lad, "tad": Tad}


def refused(call, *words):
    with pytest.raises(DataError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def told(videos):
    return {v.name: (v.frames, v.labels[0], [(s.start, s.end) for s in v.segments]) for v in videos}


def written(folder, content, name="mine.json"):
    (folder / name).write_text(json.dumps(content))
    return folder / name


def adopted(path, root):
    return open_dataset(Spans, root, truth=str(path))


# --- the three ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize(
    ("form", "counts", "with_videos"),
    [
        ("fractions", "frames.json", False),
        ("fractions", "frames.txt", False),
        ("fractions", None, True),
        ("own", None, False),
    ],
)
def test_every_layout_gives_the_same_videos(tmp_path, name, form, counts, with_videos):
    dataset = KINDS[name](make_root(tmp_path, name, form, counts, with_videos))
    dataset.prepare()
    listing = dataset.read()
    videos = {
        video: (None if with_videos and label == "Normal" else frames, label, spans)
        for video, (frames, label, spans) in SETS[name].items()
    }
    assert told(listing.videos["test"]) == videos, "in a root of videos a normal one's length is the decoder's"
    assert dataset.splits == ("test",) and listing.problems == []
    paths = [v.path for v in listing.videos["test"]]
    assert paths == [tmp_path / "clips" / f"{n}.mp4" if with_videos else None for n in SETS[name]]
    assert [dataset.is_normal(v) for v in listing.videos["test"]] == [f[1] == "Normal" for f in SETS[name].values()]


def test_the_file_may_be_a_folder_below(tmp_path):
    make_root(tmp_path / "annotations", "tad")
    assert told(Tad(tmp_path).videos("test")) == SETS["tad"]


def test_classes_are_measured_where_they_are_annotated():
    assert [(k.by_class, len(k.classes.abnormal)) for k in (Dota, Lad, Tad)] == [(False, 1), (True, 14), (False, 1)]
    assert {name: kind.expected for name, kind in KINDS.items()} == {
        "dota": {"test": 1402}, "lad": {"test": 560}, "tad": {"test": 100},
    }  # fmt: skip
    assert Tad.classes.names == ("Normal", "Car Accident") and Dota.frame_rate == 10


def test_the_class_of_a_list_is_found_whatever_its_case(tmp_path):
    content = [entry("a", 10, "car accident", [(0, 4)]), entry("b", 10, "normal", [])]
    written(tmp_path, content, "tad_test_anno.json")
    written(tmp_path, {"a": 10, "b": 10}, "frames.json")
    assert [v.labels for v in Tad(tmp_path).videos("test")] == [("Car Accident",), ("Normal",)]


def test_a_segment_without_a_class_is_of_the_only_one(tmp_path):
    written(tmp_path, {"videos": {"a": {"frames": 9, "segments": [[None, 2, 5]]}}}, "truth.json")
    for kind in (Dota, Tad):
        (video,) = kind(tmp_path).videos("test")
        assert video.segments == (Segment(kind.classes.names[1], 2, 5),)
    refused(lambda: Lad(tmp_path).videos("test"), "truth.json, 'a'", "has no class", "Crash")


def test_without_lengths_fractions_are_refused_in_one_line(tmp_path):
    root = make_root(tmp_path, "tad", counts=None)
    refused(
        Tad(root).read, "tad_test_anno.json, entry 1, '01_Accident_901'", "length, which is unknown", "frame counts"
    )


@pytest.mark.parametrize("form", ["webm", "folder"])
def test_lengths_come_from_containers_that_state_none_and_from_folders_of_frames(tmp_path, form):
    root = make_root(tmp_path, "tad", counts=None)
    for name, (frames, _, spans) in SETS["tad"].items():
        if form == "webm":
            encode(root / f"{name}.webm", numbered(frames), "libvpx-vp9")
        else:
            (root / name).mkdir()
            for i, frame in enumerate(numbered(frames)):
                Image.fromarray(frame).save(root / name / f"{i}.png")
        assert declared_frames(next(root.glob(f"{name}*"))) == (None if form == "webm" else frames), spans
    videos = Tad(root).read().videos["test"]
    assert [(v.frames, v.runs) for v in videos] == [
        (frames if spans else None, tuple(spans)) for frames, _, spans in SETS["tad"].values()
    ]


def test_a_damaged_video_whose_length_is_needed_gives_one_line(tmp_path):
    root = make_root(tmp_path, "tad", counts=None, with_videos=True)
    (root / "clips" / "05_else_902.mp4").write_bytes(b"cut")
    refused(Tad(root).read, "05_else_902.mp4: not a readable video")


def test_counts_of_another_copy_are_refused_by_the_fractions(tmp_path):
    root = make_root(tmp_path, "tad")
    counts = {video: frames + 1 for video, (frames, _, _) in SETS["tad"].items()}
    written(root, counts, "frames.json")
    refused(Tad(root).read, "entry 1, '01_Accident_901'", "no whole one", "another number of frames")


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("frames.json", '{"01_Accident_901": "x"}', "frames.json, '01_Accident_901': expected a whole number"),
        ("frames.txt", "01_Accident_901 38\n05_else_902", "frames.txt, line 2: expected a video and its number"),
        ("tad_test_anno.json", '[{"path": "a.npy"}]', "tad_test_anno.json, entry 1: expected {"),
        ("tad_test_anno.json", '{"videos": {}}', "tad_test_anno.json: expected {"),
        ("truth.json", "{}", "expected one ground truth, found"),
    ],
)
def test_a_damaged_file_gives_one_line(tmp_path, name, text, words):
    root = make_root(tmp_path, "tad", counts="frames.json" if name == "frames.json" else "frames.txt")
    (root / name).write_text(text)
    refused(Tad(root).read, str(tmp_path), words)


def test_a_root_without_the_file_says_what_is_expected(tmp_path):
    refused(Tad(tmp_path).read, f"no tad_test_anno.json or truth.json in {tmp_path}", "--truth FILE", "frames.json")
    refused(Tad(tmp_path / "absent").prepare, str(tmp_path / "absent"))


def test_the_other_list_of_tad_is_refused_and_a_part_of_a_list_is_none(tmp_path, monkeypatch):
    videos = {f"video{i}": (10, "Car Accident", [(0, 4)]) for i in range(100)}
    written(tmp_path, own_form(videos), "truth.json")
    refused(Tad(tmp_path).read, "truth.json@", "100 videos", "UMIL's", "--dataset spans --truth FILE")
    monkeypatch.setattr(Tad, "names_digest", digest(sorted(videos)))
    assert len(Tad(tmp_path).videos("test")) == 100
    del videos["video3"]
    written(tmp_path, own_form(videos), "truth.json")
    assert len(Tad(tmp_path).videos("test")) == 99


def test_another_truth_takes_the_place_of_the_file(tmp_path):
    changed = own_form(
        {n: (frames, label, [(1, 3)] * bool(spans)) for n, (frames, label, spans) in SETS["tad"].items()}
    )
    path = written(tmp_path, changed)
    empty, full = tmp_path / "empty", make_root(tmp_path / "full", "tad")
    empty.mkdir()
    for root in (empty, full):
        dataset = open_dataset(Tad, root, truth=str(path))
        assert [v.runs for v in dataset.read().videos["test"]] == [((1, 3),), ((1, 3),), ()]
    without = {n: e for n, e in changed["videos"].items() if n != "Normal_903"}
    dataset = open_dataset(Tad, full, truth=str(written(tmp_path, {"videos": without})))
    refused(dataset.read, "lacks 1 of 3 videos", "Normal_903")


def test_a_check_of_the_files_counts_what_is_there(tmp_path):
    root = make_root(tmp_path, "tad", with_videos=True)
    report = inspect(Tad(root))
    assert report.counts["count"] == 1 and report.counts["missing"] == 0
    split = report.splits["test"]
    assert (split.videos.usable, split.normal.found, split.abnormal.found) == (3, 1, 2)
    assert (split.frames_stated, split.frames_found, split.positive_frames) == (115, 115, 45)
    (root / "clips" / "05_else_902.mp4").unlink()
    assert "1 of 3 videos have no file" in " ".join(inspect(Tad(root)).to_dict()["problems"][-1].values())


# --- any videos -----------------------------------------------------------------------------------------------------


def test_classes_and_videos_follow_the_file(tmp_path):
    videos = {"a": (20, "fire", [(0, 5)]), "b": (20, "Car_Accident", [(3, 5)]), "c": (9, "Normal", [])}
    dataset = adopted(written(tmp_path, own_form(videos)), tmp_path)
    assert dataset.classes.names == ("Normal", "Car_Accident", "fire") and dataset.by_class
    assert dataset.classes.words == ("normal", "Car Accident", "fire") and dataset.sizes == {"test": 3}
    assert told(dataset.read().videos["test"]) == videos
    assert dataset.by_class and Spans.classes.names == ("Normal", "Abnormal"), "the class itself is as before"


@pytest.mark.parametrize(
    ("labels", "names", "by_class"),
    [
        ([None, None], ("Normal", "Abnormal"), False),
        (["Fire", "fire"], ("Normal", "Fire"), False),
        (["Fire", "Riot"], ("Normal", "Fire", "Riot"), True),
        (["Fire", None], ("Normal", "Abnormal", "Fire"), False),
        (["Fire", "abnormal"], ("Normal", "Abnormal", "Fire"), False),
        (["Car_accident", "car Accident"], ("Normal", "Car_accident"), False),
        ([], ("Normal", "Abnormal"), False),
    ],
)
def test_segments_without_a_class_are_of_one_class(tmp_path, labels, names, by_class):
    entries = {f"v{i}": {"frames": 9, "segments": [[label, i, i + 2]]} for i, label in enumerate(labels)}
    dataset = adopted(written(tmp_path, {"videos": {**entries, "calm": {"frames": 9, "segments": []}}}), tmp_path)
    assert (dataset.classes.names, dataset.by_class) == (names, by_class)
    *abnormal, calm = dataset.read().videos["test"]
    assert [v.runs for v in abnormal] == [((i, i + 2),) for i in range(len(labels))] and calm.labels == ("Normal",)
    found = [(v.segments[0].label, v.labels) for v in abnormal]
    assert found == [(v.labels[0], v.labels) for v in abnormal] and {n for n, _ in found} <= set(names)
    assert (dataset.classes.names, dataset.by_class) == (names, by_class)


def test_a_file_in_the_root_does_as_well_as_an_option(tmp_path):
    root = make_root(tmp_path, "tad", "own")
    dataset, asked = open_dataset(Spans, root), adopted(root / "truth.json", root)
    assert dataset.other_truth.name == asked.other_truth.name == read_truth(root / "truth.json").name
    assert dataset.read() == asked.read() and dataset.classes == asked.classes
    assert told(dataset.videos("test")) == SETS["tad"]
    refused(lambda: Spans(tmp_path / "none").other_truth, "no *_test_anno.json or truth.json", "--truth FILE")


def test_without_a_root_an_empty_folder_stands_for_it_where_a_truth_is_given(tmp_path, monkeypatch):
    monkeypatch.setenv("VADBENCH_CACHE", str(tmp_path / "cache"))
    path = written(tmp_path, own_form(SETS["tad"]))
    for kind in (Spans, Tad):
        dataset = open_dataset(kind, None, truth=str(path))
        dataset.prepare()
        assert told(dataset.read().videos["test"]) == SETS["tad"] and not list(dataset.root.iterdir())
        refused(lambda kind=kind: open_dataset(kind, None), f"no data root for {kind.name}")
        refused(lambda kind=kind: open_dataset(kind, tmp_path / "mistyped", truth=str(path)).prepare(), "mistyped")


@pytest.mark.parametrize(
    ("first", "last", "spans", "look"),
    [
        (0, 0, [(0, 5), (3, 10)], ""),
        (1, 0, [(0, 5), (3, 10)], "1-based with both ends inside"),
        (0, -1, [(0, 5), (3, 10)], "0-based with the last frame inside"),
        (0, 0, [(2, 5), (3, 9)], ""),
    ],
)
def test_fractions_of_unknown_numbers_are_read_half_open_and_doubted(tmp_path, first, last, spans, look):
    written(tmp_path, [entry("a", 10, "Fire", spans, first, last)])
    written(tmp_path, {"a": 10}, "frames.json")
    dataset = adopted(tmp_path / "mine.json", tmp_path)
    listing = dataset.read()
    assert [(s.start, s.end) for s in listing.videos["test"][0].segments] == [(a + first, b + last) for a, b in spans]
    assert len(listing.problems) == bool(look)
    assert all("read as [start, end)" in p and f"look {look}:" in p for p in listing.problems)


def test_a_check_knows_a_set_of_any_size(tmp_path):
    report = inspect(Spans(make_root(tmp_path, "tad", with_videos=True)))
    assert report.status == "complete" and report.splits["test"].videos.expected == 3


# --- handing a ground truth on --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("with_videos", [False, True])
def test_what_is_exported_is_the_same_ground_truth(tmp_path, name, with_videos):
    root = make_root(tmp_path / "root", name, counts=None if with_videos else "frames.json", with_videos=with_videos)
    found = export_truth(KINDS[name](root), "test", tmp_path / "cache")
    path = tmp_path / "handed-on.json"
    path.write_text(found.text)
    assert found.notes == []
    for kind in (KINDS[name], Spans):
        assert told(open_dataset(kind, root, truth=str(path)).read().videos["test"]) == SETS[name]
    again = export_truth(adopted(path, root), "test", tmp_path / "cache")
    assert json.loads(again.text)["videos"] == json.loads(found.text)["videos"]
    assert json.loads(again.text)["truth"] == read_truth(path).name


# --- files of fractions on other data sets --------------------------------------------------------------------------


def fractions_of(dataset: Dataset, numbers):
    """A file as LaGoVAD's: the unconverted numbers of each video over its frames."""
    return [
        entry(v.name, v.frames, dataset.classes.words[dataset.classes.id(v.labels[0])].capitalize(), numbers(v))
        for v in dataset.videos("test")
    ]


def one_based(video):
    return [(start + 1, end) for start, end in video.runs]


def inclusive(video):
    return [(start, end - 1) for start, end in video.runs]


def under_fractions(dataset, numbers, folder, name):
    path = written(folder, fractions_of(dataset, numbers), name)
    other = open_dataset(type(dataset), dataset.root, truth=str(path))
    return other, path


@pytest.mark.parametrize(("make", "kind", "numbers"), [(ucf_root, "ucf", one_based), (xd_root, "xd", inclusive)])
def test_fractions_of_their_own_numbers_give_the_official_frames(tmp_path, make, kind, numbers):
    dataset = kinds()[kind](make(tmp_path))
    other, _ = under_fractions(dataset, numbers, tmp_path, f"{kind}_test_anno.json")
    own, found = dataset.read().videos["test"], other.read().videos["test"]
    assert [v.runs for v in found] == [v.runs for v in own] and any(v.runs for v in own)
    assert [v.labels for v in found] == [v.labels for v in own]
    assert (dataset.by_class, other.by_class) == (True, kind == "ucf"), "one class a video is not that of each segment"


def kinds():
    from vadbench_ucfcrime.dataset import UcfCrime
    from vadbench_xdviolence.dataset import XdViolence

    return {"ucf": UcfCrime, "xd": XdViolence}


def test_the_real_ucfcrime_in_fractions_has_the_official_frames(test_data, tmp_path):
    dataset = kinds()["ucf"](test_data / "ucfcrime")
    stated = {}
    lines = (test_data / "ucfcrime" / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt").read_text().splitlines()
    for name, _, *numbers in (line.split() for line in lines):
        pairs = zip(map(int, numbers[::2]), map(int, numbers[1::2]), strict=True)
        stated[name.removesuffix(".mp4")] = [pair for pair in pairs if pair != (-1, -1)]
    other, path = under_fractions(dataset, lambda v: stated[v.name], tmp_path, "ucf_test_anno.json")
    ends = [end for e in json.loads(path.read_text()) for _, end in e["anomaly_span"]]
    assert (len(ends), sum(e > 1 for e in ends), f"{max(ends):.4f}") == (156, 5, "1.0012")
    listing = other.read()
    assert sum(end - start for v in listing.videos["test"] for start, end in v.runs) == 84_338
    assert sum("cut there" in p and "ucf_test_anno.json" in p for p in listing.problems) == 5


def test_the_real_xdviolence_in_fractions_has_the_official_frames(test_data, tmp_path):
    source = test_data / "xdviolence"
    frames = dict(line.rsplit("@", 1) for line in (source / "uws4vad_xdv_tframes.txt").read_text().splitlines() if line)
    counts = {name.rsplit("/", 1)[-1].removesuffix(".mp4"): int(n) for name, n in frames.items()}
    stated = {}
    for line in (source / "annotations.txt").read_text().splitlines():
        before, _, behind = line.rpartition("_label_")
        codes, *numbers = behind.split()
        name = f"{before}_label_{codes.removesuffix('.mp4')}"
        stated[name] = list(zip(map(int, numbers[::2]), map(int, numbers[1::2]), strict=True))
    content = [
        entry(name, counts[name], "Fighting" if spans else "Normal", spans)
        for name in counts
        if (spans := stated.get(name, [])) or name.endswith("_label_A")
    ]
    truth = read_truth(written(tmp_path, content, "xd_test_anno.json"))
    reading = kinds()["xd"].share_reading
    positive = sum(
        math.fsum(end - start for _, start, end in v.at(counts[n], reading).segments) for n, v in truth.videos.items()
    )
    assert (len(stated), sum(map(len, stated.values())), positive) == (500, 1238, 539_562)


# --- the real lists -------------------------------------------------------------------------------------------------


@pytest.fixture
def real(test_data, tmp_path):
    """A root with the real list of a set, and the frame counts where they are at hand."""

    def call(name):
        source = test_data / "more" / "spans"
        shutil.copy(source / f"{name}_test_anno.json", tmp_path)
        counts = json.loads((source / "frames.json").read_text()) | {
            "msad": json.loads((test_data / "more" / "msad" / "frames.json").read_text())["frames"]
        }
        if name in counts:
            written(tmp_path, counts[name], "frames.json")
        return tmp_path

    return call


@pytest.fixture
def expected(test_data):
    return json.loads((test_data / "more" / "expected.json").read_text())["spans"]


def summary(dataset):
    videos = dataset.read().videos["test"]
    return {
        "videos": len(videos),
        "normal": sum(map(dataset.is_normal, videos)),
        "spans": sum(len(v.segments) for v in videos),
        "frames": sum(v.frames for v in videos),
        "positive": sum(end - start for v in videos for start, end in v.runs),
    }


@pytest.mark.parametrize("name", ["dota", "tad"])
def test_the_real_lists_have_the_documented_counts(real, expected, name):
    dataset = KINDS[name](real(name))
    assert summary(dataset) == expected[name] and dataset.sizes["test"] == expected[name]["videos"]
    assert dataset.problems == []
    assert summary(Spans(real(name))) == expected[name]


def test_the_real_list_of_lad_has_the_documented_videos(real, expected):
    truth = Lad(real("lad")).source
    labels = Counter(v.shares[0].label if v.shares else "Normal" for v in truth.videos.values())
    assert labels == {"Normal": 280} | {name: 20 for name in Lad.classes.names[1:]}
    assert len(truth.videos) == expected["lad"]["videos"] == Lad.expected["test"]
    assert sum(len(v.shares) for v in truth.videos.values()) == expected["lad"]["spans"]
    refused(Lad(real("lad")).read, "lad_test_anno.json, entry 1", "length, which is unknown")


@pytest.mark.parametrize(("name", "look"), [("msad", "1-based"), ("ubnormal", "0-based with the last")])
def test_the_real_lists_of_other_sets_are_read_half_open_and_doubted(real, expected, name, look):
    dataset = Spans(real(name))
    found = summary(dataset)
    assert found == {k: v for k, v in expected[name].items() if k in found} | {
        "positive": expected[name]["positive_half_open"]
    }
    assert len(dataset.problems) == 1 and look in dataset.problems[0]
    assert len(dataset.classes.abnormal) == (11 if name == "msad" else 1) and dataset.by_class == (name == "msad")
