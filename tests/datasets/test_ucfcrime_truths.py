import json

import numpy as np
import pytest
from vadbench_ucfcrime.dataset import UcfCrime

from roots.ucfcrime import COUNTS, TEMPORAL_FILE, make_root
from vadbench.base.errors import DataError, UnknownNameError
from vadbench.harness.rules import open_dataset

UCF_R, UMIL = "UCF-R-annotations.txt", "UCF_test.txt"
ROAD, SHOT, NORMAL = COUNTS
UCF_R_LINES = [f"{ROAD}|60|[0, 4, 50, 60]", f"{SHOT}|50|[7,7]", f"{NORMAL} 18 -1"]
UMIL_LINES = [
    f"RoadAccidents/{ROAD}.mp4 59 RoadAccidents 1 20 60 61",
    f"/home/someone/Shooting/{SHOT}.mp4 50 10 0 0 5 5",
    f"Testing_Normal_Videos_Anomaly/{NORMAL}.mp4 17 Normal -1 -1",
]


def under(root, truth):
    """The test videos under a truth and the notes on it, the way a run opens them."""
    dataset = open_dataset(UcfCrime, root, truth=truth)
    listing = dataset.read()
    assert dataset.by_class
    return listing.videos["test"], listing.problems


def labels_of(video):
    """1 for each anomalous frame, from the segments and not from their union."""
    marked = np.zeros(video.frames, int)
    for s in video.segments:
        marked[s.start : s.end] = 1
    return marked


def test_ucf_r_counts_from_0_with_both_ends_inside(tmp_path):
    road, shot, normal = under(make_root(tmp_path, **{UCF_R: UCF_R_LINES}), "ucf-r")[0]
    assert np.flatnonzero(labels_of(road)).tolist() == [0, 1, 2, 3, 4, *range(50, 60)]
    assert np.flatnonzero(labels_of(shot)).tolist() == [7]
    assert (normal.labels, normal.segments, normal.frames) == (("Normal",), (), 17), (
        "the true length, not that plus one"
    )
    assert {s.label for s in road.segments} == {"RoadAccidents"}
    assert (road.labels, shot.labels) == (("RoadAccidents",), ("Shooting",))


def test_an_end_past_the_video_is_cut_and_told(tmp_path):
    problems = under(make_root(tmp_path, **{UCF_R: UCF_R_LINES}), "ucf-r")[1]
    assert problems[0] == (
        "ground truth ucf-r: 3 spans in 2 of 3 videos; its numbers are read as 0-based with both ends inside,"
        " which its authors do not state"
    )
    (cut,) = problems[1:]
    assert f"{UCF_R}, line 1: " in cut and "ends at frame 61, past its 60 frames; cut there" in cut


def test_umil_counts_as_the_official_annotation_does(tmp_path):
    videos, (note, cut) = under(make_root(tmp_path, **{UMIL: UMIL_LINES}), "umil")
    assert [np.flatnonzero(labels_of(v)).tolist() for v in videos] == [[*range(20), 59], [4], []]
    assert [v.frames for v in videos] == [60, 50, 17]
    assert "changed the intervals of 14 videos without saying so" in note and "line 1" in cut


def test_official_annotation_need_not_be_there(tmp_path):
    root = make_root(tmp_path, **{UCF_R: UCF_R_LINES, TEMPORAL_FILE: None, "Test_Annotation.txt": None})
    videos, problems = under(root, "ucf-r")
    assert [[(s.start, s.end) for s in v.segments] for v in videos] == [[(0, 5), (50, 61)], [(7, 8)], []]
    assert [v.frames for v in videos] == [None] * 3, "the file's counts are not relied on"
    assert len(problems) == 1


def test_the_data_sets_own_truth_is_what_it_was(tmp_path):
    root = make_root(tmp_path, **{UCF_R: UCF_R_LINES, UMIL: UMIL_LINES})
    assert [[(s.start, s.end) for s in v.segments] for v in UcfCrime(root).read().videos["test"]] == [
        [(0, 20), (30, 40)],
        [(4, 50)],
        [],
    ]


@pytest.mark.parametrize(
    ("truth", "file", "line", "words"),
    [
        ("ucf-r", UCF_R, f"{SHOT}|50", ["expected 'name|frames|[first, last, ...]' or 'name frames -1'"]),
        ("ucf-r", UCF_R, f"{SHOT}|50|[7, 7", ["expected 'name|frames|"]),
        ("ucf-r", UCF_R, f"{SHOT} 50", ["expected 'name|frames|"]),
        ("ucf-r", UCF_R, f"{SHOT} 50 -2", ["expected 'name|frames|"]),
        ("ucf-r", UCF_R, f"{SHOT}|50|[7]", ["expected pairs"]),
        ("ucf-r", UCF_R, f"{SHOT}|50|[7, x]", ["expected a whole number"]),
        ("ucf-r", UCF_R, f"{SHOT}|fifty|[7, 8]", ["expected a whole number"]),
        ("ucf-r", UCF_R, f"{SHOT}|50|[8, 7]", ["0 <= first <= last"]),
        ("ucf-r", UCF_R, f"{SHOT}|50|[50, 51]", ["ends at frame 52, past its 50 frames"]),
        ("ucf-r", UCF_R, f"{SHOT}|47|[7, 8]", ["47 frames there, 50 by the data set"]),
        ("ucf-r", UCF_R, f"../{SHOT}|50|[7, 8]", ["must not contain '..'"]),
        ("ucf-r", UCF_R, f"{ROAD}|60|[7, 8]", ["has a line already", "line 1"]),
        ("umil", UMIL, f"Shooting/{SHOT}.mp4 50", ["expected 'path frames class first last'"]),
        ("umil", UMIL, f"Shooting/{SHOT}.mp4 50 Shooting 5", ["expected pairs"]),
        ("umil", UMIL, f"Shooting/{SHOT}.mp4 Shooting 5 5 6", ["expected a whole number"]),
        ("umil", UMIL, f"Shooting/{SHOT}.mp4 90 Shooting 5 6", ["90 frames there, 50 by the data set"]),
    ],
)
def test_a_damaged_line_is_named(tmp_path, truth, file, line, words):
    lines = {UCF_R: UCF_R_LINES, UMIL: UMIL_LINES}[file]
    root = make_root(tmp_path, **{file: [lines[0], line, lines[2]]})
    with pytest.raises(DataError) as caught:
        under(root, truth)
    message = str(caught.value)
    assert f"{file}, line 2" in message and "\n" not in message
    assert all(word in message for word in words), message


def test_a_normal_video_with_a_span_is_named(tmp_path):
    root = make_root(tmp_path, **{UCF_R: [*UCF_R_LINES[:2], f"{NORMAL}|17|[3, 4]"]})
    with pytest.raises(DataError, match=rf"{UCF_R}, line 3: .*the video is normal by the data set"):
        under(root, "ucf-r")


def test_a_missing_file_and_a_missing_video_are_named(tmp_path):
    with pytest.raises(DataError, match=f"{UCF_R} not found in"):
        under(make_root(tmp_path), "ucf-r")
    with pytest.raises(DataError, match=f"ground truth ucf-r lacks 1 of 3 videos, the first is '{SHOT}'"):
        under(make_root(tmp_path, **{UCF_R: [UCF_R_LINES[0], UCF_R_LINES[2]]}), "ucf-r")
    with pytest.raises(UnknownNameError, match="did you mean 'ucf-r'"):
        under(tmp_path, "ucf_r")


@pytest.fixture
def real(test_data, tmp_path):
    """The official lists beside UCF-R, unpacked into the form in which it is published."""
    for file in (test_data / "ucfcrime").glob("*.txt"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    packed = json.loads((test_data / "more" / "ucf_r" / "ucf_r_spans.json").read_text())["videos"]
    lines = [
        f"{name}|{frames}|[{', '.join(str(n) for span in spans for n in span)}]" if spans else f"{name} {frames} -1"
        for name, (frames, spans) in packed.items()
    ]
    (tmp_path / UCF_R).write_text("\n".join(lines))
    return tmp_path


def test_the_real_ucf_r_has_the_documented_counts(real, test_data):
    expected = json.loads((test_data / "more" / "expected.json").read_text())["ucf_r"]
    videos, problems = under(real, "ucf-r")
    found = {
        "videos": len(videos),
        "frames": sum(v.frames for v in videos),
        "spans": sum(len(v.segments) for v in videos),
        "positive_inclusive": sum(int(labels_of(v).sum()) for v in videos),
    }
    assert found | {"positive_half_open": 190_569} == expected
    assert (max(len(v.segments) for v in videos), sum(bool(v.segments) for v in videos)) == (5, 140)
    starts_and_ends = [(s.start == 0, s.end == v.frames) for v in videos for s in v.segments]
    assert [sum(side) for side in zip(*starts_and_ends, strict=True)] == [1, 34 + 4]
    assert [p.rpartition("; ")[2] for p in problems[1:]] == ["cut there"] * 4


def test_the_real_ucf_r_is_another_annotation_than_the_official_one(real):
    official, others = UcfCrime(real).read().videos["test"], under(real, "ucf-r")[0]
    own, new = ({v.name: labels_of(v) for v in videos} for videos in (official, others))
    assert list(own) == list(new)
    both = sum(int((own[n] & new[n]).sum()) for n in own)
    either = sum(int((own[n] | new[n]).sum()) for n in own)
    assert round(both / either, 3) == 0.415
    assert sum(int((own[n] & ~new[n] & 1).sum()) for n in own) == 3_691
    # One video has the same numbers in both files, which count from 1 in one and from 0 in the other.
    numbers = [{v.name: [(s.start + a, s.end + b) for s in v.segments] for v in videos}
               for videos, a, b in ((official, 1, 0), (others, 0, -1))]  # fmt: skip
    assert [n for n in own if own[n].any() and numbers[0][n] == numbers[1][n]] == ["Abuse030_x264"]
    abnormal = sum(len(own[n]) for n in own if own[n].any())
    shares = [sum(int(t.sum()) for t in truth.values()) for truth in (own, new)]
    assert [round(100 * s / abnormal, 1) for s in shares] == [18.2, 41.2]
    assert [round(100 * s / 1_111_808, 1) for s in shares] == [7.6, 17.2]
