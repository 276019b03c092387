"""``vadbench data truth`` on generated roots and on runs of a data set that makes its features."""

import json
from pathlib import Path

import pytest

from places import DIVIDED
from roots.ucfcrime import COUNTS, make_root

ROAD, SHOT, NORMAL = COUNTS
UCF_R = "UCF-R-annotations.txt"
LINES = [f"{ROAD}|60|[0, 4, 50, 59]", f"{SHOT}|50|[4, 49]", f"{NORMAL} 18 -1"]


@pytest.fixture
def root(tmp_path):
    return make_root(tmp_path / "UCF-Crime", **{UCF_R: LINES})


def test_the_numbers_of_two_truths_are_printed(vadbench, root):
    out, err = vadbench("data", "truth", "ucfcrime", "native", "ucf-r", "--data-root", root)
    assert [line.split() for line in out.splitlines()[:7]] == [
        ["A:", "native"],
        ["B:", "ucf-r"],
        [],
        ["3", "videos", "A", "B"],
        [*["-" * len("anomalous by this one alone")], *["-" * 3] * 2],
        ["frames", "127", "127"],
        ["anomalous", "frames", "76", "61"],
    ]
    # Official: 0 to 19 and 30 to 39, 4 to 49; UCF-R: 0 to 4 and 50 to 59, 4 to 49.
    assert "1 of 3 videos and 35 frames differ; IoU 0.593" in out  # 51 of 86
    (row,) = [line.split() for line in out.splitlines() if line.startswith(ROAD)]
    assert row == [ROAD, "30", "15", "35"]
    assert SHOT not in out
    assert "note: A: " in err and "note: B: ground truth ucf-r: 3 spans in 2 of 3 videos" in err


def test_json_has_all_videos_with_their_runs(vadbench, root):
    found = json.loads(vadbench("data", "truth", "ucfcrime", "native", "ucf-r", "--data-root", root, "--json").out)
    by_video = {v["name"]: v for v in found["by_video"]}
    assert by_video[ROAD] == {
        "name": ROAD,
        "frames": [60, 60],
        "positives": [30, 15],
        "differing": 35,
        "runs": [[[0, 20], [30, 40]], [[0, 5], [50, 60]]],
    }
    assert (by_video[SHOT]["runs"], by_video[NORMAL]["runs"]) == ([[[4, 50]]] * 2, [[], []])
    assert {k: found[k] for k in ("names", "videos", "videos_differing", "frames", "positives", "iou", "runs")} == {
        "names": ["native", "ucf-r"],
        "videos": 3,
        "videos_differing": 1,
        "frames": [127, 127],
        "positives": [76, 61],
        "iou": 51 / 86,
        "runs": [],
    }


def test_only_the_videos_with_the_most_differing_frames_are_printed(vadbench, tmp_path):
    names = [f"Abuse{i:03d}_x264" for i in range(12)]
    root = make_root(
        tmp_path,
        **{
            "Annotations/Anomaly_Test.txt": [f"Abuse/{n}.mp4" for n in names],
            "Temporal_Anomaly_Annotation_for_Testing_Videos.txt": [f"{n}.mp4 Abuse 1 20 -1 -1" for n in names],
            "Test_Annotation.txt": [f"{n}.mp4 60 x" for n in names],
            UCF_R: [f"{n}|60|[0, {20 + i}]" for i, n in enumerate(names)],
        },
    )
    out = vadbench("data", "truth", "ucfcrime", "native", "ucf-r", "--data-root", root).out
    shown = [line.split()[0] for line in out.splitlines() if line.startswith("Abuse")]
    assert shown == names[:1:-1] and "and 2 more (--json lists all)" in out


def test_videos_of_one_truth_alone_are_named(vadbench, root, tmp_path):
    entries = {name: {"frames": None, "segments": []} for name in (SHOT, NORMAL, *(f"other{i}" for i in range(7)))}
    path = tmp_path / "part.json"
    path.write_text(json.dumps({"videos": entries}))
    out = vadbench("data", "truth", "ucfcrime", "native", path, "--data-root", root).out
    assert f"test videos in A alone: 1; '{ROAD}'" in out
    assert "names in B that no test video has: 7; 'other0', 'other1', 'other2', 'other3', 'other4', and 2 more" in out
    assert "2 videos" in out and "B: part.json@" in out


def test_what_is_not_there_is_refused_in_one_line(refused, root, tmp_path):
    def call(*arguments):
        return refused("data", "truth", *arguments, "--data-root", root)

    assert "unknown ground truth of ucfcrime, or file, 'ucf_r'; did you mean 'ucf-r'?" in call(
        "ucfcrime", "native", "ucf_r"
    )
    assert "'nativ'; did you mean 'native'?" in call("ucfcrime", "ucf-r", "nativ")
    assert "unknown partition of ucfcrime 'plovad'" in call("ucfcrime", "native", "ucf-r", "--partition", "plovad")
    assert "UCF_test.txt not found in" in call("ucfcrime", "native", "umil")
    assert "did you mean 'ucfcrime'" in call("ucfcrim", "native", "ucf-r")
    assert "no single run called '1f0c'" in call("ucfcrime", "native", "ucf-r", "--run", "1f0c", "--out", tmp_path)
    (root / UCF_R).write_text("\n".join([*LINES[:2], "what"]))
    assert f"{UCF_R}, line 3: expected 'name|frames|[first, last, ...]'" in call("ucfcrime", "native", "ucf-r")


@pytest.mark.parametrize("truth", ["native", "ucf-r"])
def test_what_is_exported_is_the_same_truth(vadbench, root, tmp_path, truth):
    file = tmp_path / "exported.json"
    asked = [] if truth == "native" else ["--truth", truth]
    vadbench("data", "export", "ucfcrime", "--data-root", root, "--out", file, *asked)
    found = json.loads(vadbench("data", "truth", "ucfcrime", truth, file, "--data-root", root, "--json").out)
    assert (found["videos"], found["frames_differing"], found["iou"]) == (3, 0, 1.0)
    assert found["positives"][0] == {"native": 76, "ucf-r": 61}[truth]
    out = vadbench("data", "truth", "ucfcrime", truth, file, "--data-root", root).out
    assert "0 of 3 videos and 0 frames differ; IoU 1.000" in out and "frames that differ" not in out


@pytest.fixture(scope="module")
def runs(prepare, tmp_path_factory):
    """Two runs on a data set that makes its own features, one of them under another truth, which demands a rule."""
    out = tmp_path_factory.mktemp("runs")
    for truth in ([], ["--truth", "rows"]):
        prepare(
            "run", "-m", "random", "-d", "divided", "--plugin", DIVIDED, "--device", "cpu", "--out", out, *truth
        )  # fmt: skip
    found = [(json.loads(path.read_text()), path.parent) for path in Path(out).rglob("result.json")]
    return {record["protocol"]["truth"]: (record, folder) for record, folder in found}


def test_a_run_has_its_own_figures_under_its_own_truth(vadbench, runs):
    (record, folder), (other, _) = runs[""], runs["rows"]
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    arguments = ["data", "truth", "divided", "native", "rows", "--plugin", DIVIDED]
    for asked in runs.values():
        found = json.loads(vadbench(*arguments, "--run", asked[1], "--json").out)
        (measured,) = found["runs"]
        assert (measured["videos"], measured["left_out"]) == (16, 0)
        assert measured["truth"] == (asked[0]["protocol"]["truth"] or "native")
        for key in ("AUC", "AP", "AUC/within"):
            values = [value["value"] for value in measured["metrics"][key]]
            assert values == [record["metrics"][key]["value"], other["metrics"][key]["value"]]
    out = vadbench(*arguments, "--run", folder).out
    change = 100 * (other["metrics"]["AUC"]["value"] - record["metrics"]["AUC"]["value"])
    (row,) = [line.split() for line in out.splitlines() if line.startswith("AUC ")]
    assert [float(cell) for cell in row[1:]] == pytest.approx(
        [100 * record["metrics"]["AUC"]["value"], 100 * other["metrics"]["AUC"]["value"], change], abs=0.0051
    )
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
