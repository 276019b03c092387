"""Extras, scores of whole videos, costs and remarks in a run folder: written, read back, and refused where damaged."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splits import keep, split
from vadbench.base.errors import PluginError, RunError
from vadbench.base.remarks import LONGEST_REMARK, Remarks
from vadbench.metrics.measurement import measure
from vadbench.records import remark_file
from vadbench.records.scores import load_split, save_split
from vadbench.results.rescore import rescore

LINE = {"video": "v0, ä", "first_row": 0, "end_row": 1, "text": "x"}


def said(*spans):
    texts = list(dict.fromkeys(text for *_, text in spans))
    columns = np.array([(first, end, texts.index(text)) for first, end, text in spans], np.int64).T
    return Remarks(*columns, texts)


def spans(remarks):
    columns = zip(remarks.first, remarks.end, remarks.which, strict=True)
    return [(int(first), int(end), remarks.texts[which]) for first, end, which in columns]


def rich(seed=0):
    """A split whose videos have everything; the costs and remarks of some are absent."""
    made, rng = split(seed), np.random.default_rng(seed)
    scores = [
        replace(
            s,
            extras={e: rng.normal(size=len(s.anomaly)).astype(np.float32) for e in ("motion", "top-5 %".strip(" %"))},
            video={rule: rng.random(3).astype(np.float32) for rule in ("one", "many")},
            costs={"calls": float(i)} | ({"tokens": 0.5} if i % 2 else {}),
            remarks=said((0, 2, 'a "fire"\n\u2028<b>'), (1, len(s.anomaly), "ä"), (2, 3, "ä")) if i % 3 else None,
        )
        for i, s in enumerate(made.scores)
    ]
    return replace(made, given=scores)


def test_everything_comes_back(tmp_path):
    made = rich()
    for read in (load_split(keep(made, tmp_path), remarks=True), load_split(tmp_path, remarks=True)):
        for before, after in zip(made.scores, read.scores, strict=True):
            for of in ("extras", "video", "branches"):
                assert list(getattr(after, of)) == list(getattr(before, of))
                for name, values in getattr(before, of).items():
                    np.testing.assert_array_equal(getattr(after, of)[name], values)
                    assert getattr(after, of)[name].dtype == np.float32
            assert after.costs == before.costs
            assert (after.remarks is None) == (before.remarks is None)
            if before.remarks is not None:
                assert spans(after.remarks) == spans(before.remarks)
    assert all(s.remarks is None for s in load_split(tmp_path).scores), "nothing that is measured needs them"
    assert measure(load_split(tmp_path)) == measure(split(0)), "nothing is measured on any of it"


def test_the_only_rule_of_a_method_comes_back_without_a_name(tmp_path):
    made = split(0)
    of_video = np.array([0.5, 0.25, 0.25], np.float32)
    made = replace(made, given=[replace(s, video={"": of_video}) for s in made.scores])
    for scores in load_split(keep(made, tmp_path)).scores:
        assert {rule: values.tolist() for rule, values in scores.video.items()} == {"": of_video.tolist()}


def test_a_run_without_any_of_it_leaves_the_same_arrays_as_ever_and_no_further_file(tmp_path):
    folder = keep(split(0), tmp_path)
    with np.load(folder / "scores.npz") as file:
        assert set(file.files) == {
            "names", "labels", "frames", "rows", "stride", "anomaly", "class_names", "normal", "localises_normal",
            "segments", "runs", "classes", "branch align", "branch class agnostic",
        }  # fmt: skip
    assert sorted(p.name for p in folder.iterdir()) == ["result.json", "scores.npz"]
    assert load_split(folder, remarks=True).scores[0].remarks is None


def test_a_line_has_the_rows_the_frames_and_the_text_of_a_remark(tmp_path):
    made = rich()
    lines = [json.loads(line) for line in (keep(made, tmp_path) / "remarks.jsonl").read_text("utf-8").split("\n")[:-1]]
    assert len(lines) == 3 * 8
    second = made.scores[1]
    rows = len(second.anomaly)
    assert lines[:2] == [
        {"video": second.name, "first_row": 0, "end_row": 2, "first_frame": 0, "end_frame": 8,
         "text": 'a "fire"\n\u2028<b>'},
        {"video": second.name, "first_row": 1, "end_row": rows, "first_frame": 4, "end_frame": second.frames,
         "text": "ä"},
    ]  # fmt: skip


def test_the_scores_file_does_not_grow_with_the_texts(tmp_path):
    made = rich()
    size = (keep(made, tmp_path / "a") / "scores.npz").stat().st_size
    wordy = [replace(s, remarks=said((0, 1, "word " * 1000))) for s in made.scores]
    assert (keep(replace(made, given=wordy), tmp_path / "b") / "scores.npz").stat().st_size == size


def test_scores_made_anew_without_remarks_leave_no_old_ones(tmp_path):
    folder = keep(rich(), tmp_path)
    save_split(split(0), folder / "scores.npz")
    assert not (folder / "remarks.jsonl").exists()


def test_too_many_remarks_leave_what_was_there(tmp_path, monkeypatch):
    folder = keep(rich(), tmp_path)
    before = (folder / "remarks.jsonl").read_bytes()
    monkeypatch.setattr(remark_file, "MOST_BYTES", 100)
    with pytest.raises(PluginError, match="at most 100 bytes together"):
        save_split(rich(1), folder / "scores.npz")
    assert (folder / "remarks.jsonl").read_bytes() == before
    assert not list(folder.glob(".*"))
    with pytest.raises(RunError, match="expected at most 100 bytes"):
        load_split(folder, remarks=True)


def test_measuring_again_leaves_remarks_as_they_are(tmp_path):
    folder = keep(rich(), tmp_path)
    before = (folder / "remarks.jsonl").read_bytes()
    assert rescore(folder).changed  # the record has no metrics
    assert (folder / "remarks.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2 of"),
        ("[" * 60_000, "line 2 of"),
        ("[1]", "expected an object"),
        (json.dumps(LINE | {"video": "w"}), "'video' must be a video of the scores, found 'w'"),
        (json.dumps(LINE | {"video": ["v0, ä"]}), "'video' must be"),
        (json.dumps(LINE | {"first_row": -1}), "found -1 to 1"),
        (json.dumps(LINE | {"first_row": 1}), "found 1 to 1"),
        (json.dumps(LINE | {"end_row": 10_000}), "found 0 to 10000"),
        (json.dumps(LINE | {"end_row": 1.0}), r"found 0 to 1\.0"),
        (json.dumps(LINE | {"first_row": False}), "found False to 1"),
        (json.dumps(LINE | {"text": None}), "'text' must be a text"),
        (json.dumps(LINE | {"text": "x" * (LONGEST_REMARK + 1)}), "'text' must be a text of at most"),
        (json.dumps(LINE) + " " * 200_000, "bytes"),
        (json.dumps({k: v for k, v in LINE.items() if k != "end_row"}), "found 0 to None"),
        ("1" * 5000, "line 2 of"),
        ("\ud800", "line 2 of"),
    ],
)
def test_lines_that_are_no_remark_are_refused_in_one_line(tmp_path, line, message):
    folder = keep(split(0), tmp_path)
    content = f"{json.dumps(LINE)}\n{line}\n".encode("utf-8", "surrogatepass")
    (folder / "remarks.jsonl").write_bytes(content)
    with pytest.raises(RunError, match=message) as error:
        load_split(folder, remarks=True)
    assert "line 2 of" in str(error.value) and len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 600
    load_split(folder)


@given(data=st.data())
@settings(max_examples=100)
def test_flipped_bytes_of_remarks_are_refused_or_give_remarks_on_rows_that_are_there(tmp_path_factory, data):
    made = rich()
    folder = keep(made, tmp_path_factory.mktemp("flipped"))
    content = bytearray((folder / "remarks.jsonl").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "remarks.jsonl").write_bytes(content)
    try:
        read = load_split(folder, remarks=True)
    except RunError:
        return
    for scores in read.scores:
        for first, end, text in spans(scores.remarks) if scores.remarks else ():
            assert 0 <= first < end <= len(scores.anomaly) and isinstance(text, str)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("extra motion", lambda a: a["extra motion"][:-1]),
        ("extra motion", lambda a: a["extra motion"] * np.float32("nan")),
        ("extra motion", lambda a: a["extra motion"].astype(str)),
        ("extra a/b", lambda a: a["extra motion"]),
        ("extra ", lambda a: a["extra motion"]),
        ("video one", lambda a: a["video one"][:, :2]),
        ("video one", lambda a: a["video one"][:-1]),
        ("video", lambda a: a["video one"][0]),
        ("video", lambda a: a["video one"] * np.float32("inf")),
        ("video a[b]", lambda a: a["video one"]),
        ("cost calls", lambda a: a["cost calls"][:-1]),
        ("cost calls", lambda a: a["cost calls"] - 1),
        ("cost calls", lambda a: a["cost calls"] + np.inf),
        ("cost calls", lambda a: a["cost calls"].astype(int)),
        ("cost a.b", lambda a: a["cost calls"]),
    ],
)
def test_arrays_of_a_foreign_file_are_checked(tmp_path, name, values):
    folder = keep(rich(), tmp_path)
    with np.load(folder / "scores.npz") as file:
        arrays = {k: file[k] for k in file.files}
    np.savez(folder / "scores.npz", **(arrays | {name: values(arrays)}))
    with pytest.raises(RunError, match="run the method again") as error:
        load_split(folder)
    assert len(str(error.value).splitlines()) == 1


def test_scores_are_read_without_torch():
    code = "import sys, vadbench.records.scores; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
