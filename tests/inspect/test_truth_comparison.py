"""Two ground truths side by side: every count against loops over single frames."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score
from vadbench_ucfcrime.dataset import UcfCrime

from roots.ucfcrime import make_root
from splits import keep
from vadbench.base.errors import DataError, RunError
from vadbench.dataset import Video
from vadbench.inspect.truth_comparison import compare_truths, covered, shared
from vadbench.scoring.protocol import Protocol
from vadbench.scoring.split import ScoredSplit
from vadbench.scoring.video_scores import VideoScores

TEMPORAL = "Temporal_Anomaly_Annotation_for_Testing_Videos.txt"
UCF_R = "UCF-R-annotations.txt"
STRIDE = 4
RUNS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=6)


def laid(gaps_and_lengths):
    """Ascending runs that do not touch, from gaps before them and their lengths."""
    found, at = [], -1
    for gap, length in gaps_and_lengths:
        found.append((at + gap, at + gap + length))
        at += gap + length
    return found


@given(RUNS, RUNS)
def test_frames_in_both_are_counted_as_one_by_one(a, b):
    a, b = laid(a), laid(b)
    inside = [{t for start, end in runs for t in range(start, end)} for runs in (a, b)]
    assert shared(a, b) == shared(b, a) == len(inside[0] & inside[1])
    assert [covered(a), covered(b)] == [len(own) for own in inside]


def test_very_many_runs_take_a_moment():
    every_second = [(i, i + 1) for i in range(0, 400_000, 2)]
    assert shared(every_second, [(start, end + 1) for start, end in every_second[::2]]) == 100_000


@pytest.fixture
def drawn():
    """Frames of thirty videos, and 0 or 1 for each frame by the official annotation and by UCF-R."""
    rng = np.random.default_rng(7)
    found = {}
    for i in range(30):
        frames = int(rng.integers(30, 90))
        truths = []
        for _ in range(2):
            marked = np.zeros(frames, int)
            for _ in range(int(rng.integers(1, 3)) if i % 3 else 0):
                start = int(rng.integers(0, frames - 2))
                marked[start : start + int(rng.integers(1, 25))] = 1
            truths.append(marked)
        found[f"{'Arson' if i % 3 else 'Normal_Videos_'}{i:03d}_x264"] = truths
    return found


def spans(marked, first, last):
    """Numbers of the intervals of an array, counted as a file does that adds these to 0-based, half-open ones."""
    edges = np.flatnonzero(np.diff(marked, prepend=0, append=0)).tolist()
    return [n for start, end in zip(edges[::2], edges[1::2], strict=True) for n in (start + first, end + last)]


@pytest.fixture
def root(tmp_path, drawn):
    folders = {n: "Arson" if n.startswith("Arson") else "Testing_Normal_Videos_Anomaly" for n in drawn}
    labels = {n: "Arson" if n.startswith("Arson") else "Normal" for n in drawn}
    return make_root(
        tmp_path / "root",
        **{
            "Annotations/Anomaly_Test.txt": [f"{folders[n]}/{n}.mp4" for n in drawn],
            TEMPORAL: [
                " ".join(map(str, [f"{n}.mp4", labels[n], *(spans(own, 1, 0) or [-1, -1])]))
                for n, (own, _) in drawn.items()
            ],
            UCF_R: [
                f"{n}|{len(other)}|{spans(other, 0, -1)}" if other.any() else f"{n} {len(other) + 1} -1"
                for n, (_, other) in drawn.items()
            ],
            "Test_Annotation.txt": [f"{n}.mp4 {len(own)} x" for n, (own, _) in drawn.items()],
        },
    )


def test_every_count_is_that_of_a_loop_over_frames(root, drawn):
    found = compare_truths(UcfCrime, root, ("native", "ucf-r"))
    totals = {"a": 0, "b": 0, "both": 0, "differ": 0, "frames": 0}
    differing = {}
    for name, (own, other) in drawn.items():
        for t in range(len(own)):
            totals["a"] += own[t] == 1
            totals["b"] += other[t] == 1
            totals["both"] += own[t] == 1 and other[t] == 1
            totals["frames"] += 1
            if own[t] != other[t]:
                totals["differ"] += 1
                differing[name] = differing.get(name, 0) + 1
    assert (found.names, found.dataset) == (("native", "ucf-r"), "ucfcrime")
    assert found.frames == (totals["frames"], totals["frames"])
    assert (found.positives, found.both, found.differing) == (
        (totals["a"], totals["b"]),
        totals["both"],
        totals["differ"],
    )
    assert found.iou == totals["both"] / (totals["both"] + totals["differ"])
    assert {v.name: v.differing for v in found.unlike} == differing
    assert [v.differing for v in found.videos] == sorted((differing.get(n, 0) for n in drawn), reverse=True)
    assert found.only == found.others == ([], [])
    assert "1-based" not in found.notes[1][0] and "0-based with both ends inside" in found.notes[1][0]
    plain = json.loads(json.dumps(found.to_dict()))
    assert (plain["videos"], plain["videos_differing"], plain["frames_differing"]) == (
        30,
        len(differing),
        found.differing,
    )
    for video in plain["by_video"]:
        for runs, marked in zip(video["runs"], drawn[video["name"]], strict=True):
            assert [t for start, end in runs for t in range(start, end)] == np.flatnonzero(marked).tolist()


def test_a_truth_equals_itself_and_the_sides_can_be_exchanged(root):
    same = compare_truths(UcfCrime, root, ("ucf-r", "ucf-r"))
    assert (same.differing, same.iou, list(same.unlike)) == (0, 1.0, [])
    there, back = (compare_truths(UcfCrime, root, pair) for pair in (("native", "ucf-r"), ("ucf-r", "native")))
    assert (there.positives, there.differing) == (back.positives[::-1], back.differing)


def test_without_an_anomalous_frame_there_is_no_iou(root, drawn, tmp_path):
    content = {"videos": {name: {"frames": len(own), "segments": []} for name, (own, _) in drawn.items()}}
    (tmp_path / "none.json").write_text(json.dumps(content))
    none = str(tmp_path / "none.json")
    found = compare_truths(UcfCrime, root, (none, none))
    assert (found.positives, found.iou) == ((0, 0), None)


def test_videos_in_one_alone_and_names_of_no_test_video_are_told_apart(root, drawn, tmp_path):
    names = list(drawn)
    entries = {n: {"frames": None, "segments": []} for n in [*names[2:], "Abuse001_x264", "nobody"]}
    (tmp_path / "part.json").write_text(json.dumps({"videos": entries}))
    found = compare_truths(UcfCrime, root, ("native", str(tmp_path / "part.json")))
    assert (found.only, found.others) == ((names[:2], []), ([], ["Abuse001_x264", "nobody"]))
    assert {v.name for v in found.videos} == set(names[2:])
    assert found.positives == (sum(int(own.sum()) for n, (own, _) in drawn.items() if n in names[2:]), 0)


def test_a_length_that_one_does_not_know_has_no_total(root, drawn, tmp_path):
    (root / "Test_Annotation.txt").unlink()
    entries = {n: {"frames": len(own), "segments": []} for n, (own, _) in drawn.items()}
    (tmp_path / "all.json").write_text(json.dumps({"videos": entries}))
    found = compare_truths(UcfCrime, root, ("native", str(tmp_path / "all.json")))
    assert found.frames == (None, sum(len(own) for own, _ in drawn.values()))


def test_a_division_narrows_what_is_compared(root, drawn):
    names = list(drawn)[:7]
    (root / "ucf-vit-train_base+normal.list").write_text("train/Abuse/Abuse001_x264.npy")
    (root / "ucf-vit-test_base+normal.list").write_text("\n".join(f"test/x/{n}.npy" for n in names))
    found = compare_truths(UcfCrime, root, ("native", "ucf-r"), "plovad-base")
    assert {v.name for v in found.videos} == set(names)
    assert found.positives == tuple(sum(int(drawn[n][i].sum()) for n in names) for i in range(2))
    assert len(found.others[1]) == len(drawn) - len(names)


@pytest.fixture
def run(drawn, tmp_path):
    """Keep a run on some of the videos with drawn scores, and return its folder and the scores of each video's rows."""

    def call(names=tuple(drawn), dataset="ucfcrime", **rules):
        rng = np.random.default_rng(1)
        rows = {n: rng.integers(0, 50, -(-len(drawn[n][0]) // STRIDE)).astype(np.float32) / 50 for n in names}
        scores = [VideoScores(n, len(drawn[n][0]), rows[n], None) for n in names]
        videos = [Video(n, ("Arson" if drawn[n][0].any() else "Normal",), binary=()) for n in names]
        split = ScoredSplit(scores, videos, STRIDE, UcfCrime.classes, Protocol(name="native", **rules))
        folder = keep(split, tmp_path / "run")
        record = json.loads((folder / "result.json").read_text())
        (folder / "result.json").write_text(json.dumps(record | {"dataset": dataset}))
        return folder, rows

    return call


def frames_of(rows, drawn, side, names, tail="hold"):
    """Score and label of every frame."""
    scores, labels = [], []
    for name in names:
        marked = drawn[name][side]
        total = len(rows[name]) * STRIDE if tail == "rows" else len(marked)
        for t in range(total):
            scores.append(rows[name][min(t // STRIDE, len(rows[name]) - 1)])
            labels.append(marked[t] if t < len(marked) else 0)
    return np.array(labels), np.array(scores)


@pytest.mark.parametrize("tail", ["hold", "rows"])
def test_a_run_is_measured_under_both_and_left_as_it_is(root, drawn, run, tail):
    folder, rows = run(tail=tail)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    (measured,) = compare_truths(UcfCrime, root, ("native", "ucf-r"), runs=[folder]).runs
    for side in range(2):
        labels, scores = frames_of(rows, drawn, side, drawn, tail)
        assert measured.metrics["AUC"][side].value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
        assert measured.metrics["AP"][side].value == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
        own = [frames_of(rows, drawn, side, [n], tail) for n in drawn]
        mixed = [roc_auc_score(y, s) for y, s in own if 0 < y.sum() < len(y)]
        weights = [y.sum() * (len(y) - y.sum()) for y, _ in own if 0 < y.sum() < len(y)]
        within = measured.metrics["AUC/within"][side].value
        assert within == pytest.approx(np.average(mixed, weights=weights), abs=1e-12)
    assert (measured.videos, measured.left_out, measured.own) == (30, 0, "native")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


class ByRows(UcfCrime):
    """UCF-Crime, one of whose ground truths means something by rows alone."""

    truths = {**UcfCrime.truths, "ucf-r": replace(UcfCrime.truths["ucf-r"], tail="rows")}


@pytest.mark.parametrize("own", [{}, {"truth": "ucf-r", "tail": "rows"}])
def test_a_rule_that_one_truth_demands_is_not_one_of_the_other(root, drawn, run, own):
    folder, rows = run(**own)
    compared = compare_truths(ByRows, root, ("native", "ucf-r"), runs=[folder])
    (measured,) = compared.runs
    said = "frames are compared as they are annotated; runs are measured under its rule tail=rows as well"
    assert [said in notes for notes in compared.notes] == [False, True]
    for side, tail in enumerate(("hold", "rows")):
        labels, scores = frames_of(rows, drawn, side, drawn, tail)
        assert measured.metrics["AUC"][side].value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert measured.own == own.get("truth", "native")


def test_a_runs_post_processing_stays_and_videos_of_one_truth_are_left_out(root, drawn, run, tmp_path):
    folder, rows = run(post="round(1)")
    names = list(drawn)[3:]
    entries = {n: {"frames": None, "segments": [[None, 0, 5]] if n.startswith("Arson") else []} for n in names}
    (tmp_path / "part.json").write_text(json.dumps({"videos": entries}))
    (measured,) = compare_truths(UcfCrime, root, ("native", str(tmp_path / "part.json")), runs=[folder]).runs
    assert (measured.videos, measured.left_out) == (len(names), 3)
    rounded = {n: r.round(1) for n, r in rows.items()}
    labels, scores = frames_of(rounded, drawn, 0, names)
    assert measured.metrics["AUC"][0].value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    raw = frames_of(rows, drawn, 0, names)
    assert measured.metrics["AUC"][0].value != pytest.approx(roc_auc_score(*raw), abs=1e-6)


def test_other_runs_are_refused(root, drawn, run, tmp_path):
    folder, _ = run(dataset="xdviolence")
    with pytest.raises(RunError, match="expected a finished run on ucfcrime, found a run on 'xdviolence'"):
        compare_truths(UcfCrime, root, ("native", "ucf-r"), runs=[folder])
    folder, _ = run(names=list(drawn)[:2])
    entries = {n: {"frames": None, "segments": []} for n in list(drawn)[2:]}
    (tmp_path / "part.json").write_text(json.dumps({"videos": entries}))
    with pytest.raises(RunError, match="none of its 2 videos is in both ground truths"):
        compare_truths(UcfCrime, root, ("native", str(tmp_path / "part.json")), runs=[folder])


def test_a_truth_of_other_lengths_than_the_runs_is_refused(root, drawn, run):
    folder, _ = run()
    name = next(iter(drawn))
    lines = (root / "Test_Annotation.txt").read_text().replace(f"{name}.mp4 {len(drawn[name][0])} ", f"{name}.mp4 99 ")
    (root / "Test_Annotation.txt").write_text(lines)
    (root / UCF_R).write_text((root / UCF_R).read_text().replace(f"{name} {len(drawn[name][0]) + 1} ", f"{name} 99 "))
    with pytest.raises(DataError, match=f"{name}: the data set states 99 frames"):
        compare_truths(UcfCrime, root, ("native", "ucf-r"), runs=[folder])


def test_the_real_annotations_of_ucf_crime_differ_as_documented(test_data, tmp_path):
    for file in (test_data / "ucfcrime").glob("*.txt"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    packed = json.loads((test_data / "more" / "ucf_r" / "ucf_r_spans.json").read_text())["videos"]
    lines = [
        f"{name}|{frames}|{[n for span in spans for n in span]}" if spans else f"{name} {frames} -1"
        for name, (frames, spans) in packed.items()
    ]
    (tmp_path / UCF_R).write_text("\n".join(lines))
    found = compare_truths(UcfCrime, tmp_path, ("native", "ucf-r"))
    assert (len(found.videos), found.frames) == (290, (1_111_808, 1_111_808))
    assert found.positives == (84_338, 190_753)
    assert found.positives[0] - found.both == 3_691
    assert round(found.iou, 3) == 0.415
    assert len(found.unlike) == 140
    same_numbers = {v.name: v.differing for v in found.videos}["Abuse030_x264"]
    assert same_numbers == 2, "the same numbers, which count from 1 in one file and from 0 in the other"
