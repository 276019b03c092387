"""Every metric of recorded scores of published methods, and of scores that look at no frame, against values that were
computed frame by frame with scikit-learn; the files are no part of the repository."""

import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from vadbench_ucfcrime.dataset import UcfCrime

from literal_metrics import of_frames
from vadbench.dataset import ClassTable, Video, VideoClass
from vadbench.metrics.evaluation import evaluate
from vadbench.scoring.protocol import NATIVE
from vadbench.scoring.split import ScoredSplit
from vadbench.scoring.video_scores import VideoScores
from xd_lists import xdviolence

KEYS = {
    "AUC": "AUC",
    "AP": "AP",
    "AP_trapezoid": "AP/trapezoid",
    "AnoAUC": "AnoAUC",
    "within": "AUC/within",
    "cross": "AUC/cross",
    "macro_within": "AUC/video",
    "video_mean_AUC": "AUC/flattened",
    "pair_share": "pair-share",
    **{f"recall@{rate}%FPR": f"recall@{rate}%FPR" for rate in (1, 2, 3, 5)},
    "FPR_at_95TPR_normal_videos": "FPR@95TPR",
    "FAR": "FAR",
    "distinct_scores": "distinct",
}
SMOOTHED = " +gaussian10"
UNKNOWN = "yatoyun_sht.npz"
"""File without expected values: the frame counts of its normal videos are not at hand."""
UCF, XD = "ucf", "xd"
FILES = {
    "pel4vad_ucf_test290_stride16_all_good.npz": UCF,
    "pel4vad_ucf_test290_stride16_no_OPT.npz": UCF,
    "urf_hvaa_ucf.json": UCF,
    "vadtree_ucf_coarse_raw.json": UCF,
    "yatoyun_ucf_clip_i3d.npz": UCF,
    "yatoyun_ucf_i3d_only.npz": UCF,
    "urf_hvaa_xd.json": XD,
    "yatoyun_xd.npz": XD,
    "urf_hvaa_msad.json": "",
    "urf_hvaa_ubnormal.json": "",
    "vadtree_msad_final_ensemble.json": "",
}
"""Data set whose native annotation holds; the other files bring their own."""
BLIND = {
    "length (shorter is more anomalous)": lambda frames, abnormal: np.full(frames, -float(frames)),
    "centre prior": lambda frames, abnormal: centre(frames),
    "oracle video label": lambda frames, abnormal: np.full(frames, float(abnormal)),
    "oracle video label x centre prior": lambda frames, abnormal: abnormal * centre(frames),
}
COUNTS = ("videos", "frames", "positives")
TABLE = ClassTable((VideoClass("Normal"), VideoClass("Anomaly")), normal=0)
RUNS = [*FILES, *(name + SMOOTHED for name in FILES if name.startswith("urf_hvaa"))]
RUNS += [f"blind {dataset} {name}" for dataset in (UCF, XD) for name in BLIND]


def centre(frames):
    return np.exp(-((((np.arange(frames) - (frames - 1) / 2) / (frames / 2)) ** 2) / 2))


@pytest.fixture(scope="module")
def recorded(test_data):
    folder = test_data / "scores"
    if not folder.is_dir():
        pytest.skip(f"no recorded scores at {folder}")
    return folder


@pytest.fixture(scope="module")
def truth(test_data, tmp_path_factory):
    """Frames and runs of the test videos of a data set, by name."""
    found = {
        UCF: UcfCrime(test_data / "ucfcrime"),
        XD: xdviolence(test_data / "xdviolence", tmp_path_factory.mktemp("xd")),
    }
    return {name: {v.name: (v.frames, v.runs) for v in dataset.videos("test")} for name, dataset in found.items()}


def of_file(path, name):
    """Scores of each video by name, the frames that a row stands for, and the annotation that the file brings."""
    path = path / name.removesuffix(SMOOTHED)
    if path.suffix == ".npz":
        with np.load(path) as file:
            return {video: file[video] for video in file.files}, 16, None
    videos = json.loads(path.read_text())["videos"]
    # Spans are read as 0-based and inclusive.
    own = {n: (v["frames"], runs_of(v["spans_inclusive"], v["frames"])) for n, v in videos.items()}
    if "segments" in next(iter(videos.values())):
        return {n: of_segments(v["segments"], v["frames"]) for n, v in videos.items()}, 1, own
    rows = {n: np.array(v["scores"], float) for n, v in videos.items()}
    if name.endswith(SMOOTHED):
        rows = {n: gaussian_filter1d(r, 10) for n, r in rows.items()}
    return rows, 16, own


def of_segments(segments, frames):
    scores = np.zeros(frames)
    for first, last, value in segments:
        scores[first : last + 1] = round(1 / (1 + np.exp(-value)), 4)
    return scores


def runs_of(spans, frames):
    inside = np.zeros(frames, bool)
    for first, last in spans:
        inside[first : last + 1] = True
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(int), [0]])))
    return tuple(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def split_of(rows, stride, truth):
    """A split of scores as they are, in float64 where they are."""
    assert rows.keys() == truth.keys()
    given = [VideoScores(name, truth[name][0], own, None) for name, own in rows.items()]
    videos = [Video(name, ("Anomaly",) if truth[name][1] else ("Normal",), binary=truth[name][1]) for name in rows]
    return ScoredSplit(given, videos, stride, TABLE, NATIVE.rules)


def made(run, recorded, truth):
    if run.startswith("blind "):
        _, dataset, name = run.split(" ", 2)
        rows = {video: BLIND[name](frames, bool(runs)) for video, (frames, runs) in truth[dataset].items()}
        return split_of(rows, 1, truth[dataset])
    rows, stride, own = of_file(recorded, run)
    dataset = FILES[run.removesuffix(SMOOTHED)]
    return split_of(rows, stride, truth[dataset] if dataset else own)


@pytest.fixture(scope="module")
def expected(recorded):
    return json.loads((recorded / "expected.json").read_text())


def test_every_file_is_measured(expected):
    assert {*RUNS, UNKNOWN} == expected.keys()
    assert set().union(*(expected[run] for run in RUNS)) == KEYS.keys() | {*COUNTS, "mixed_videos"}


@pytest.mark.parametrize("run", RUNS)
def test_recorded_scores_have_the_metrics_computed_frame_by_frame(recorded, truth, expected, run):
    rows = made(run, recorded, truth).rows
    counts = {"videos": len(rows.names), "frames": rows.total, "positives": rows.positives.sum()}
    mixed = np.count_nonzero(rows.abnormal & (rows.video_positives < rows.video_frames))
    assert counts | {"mixed_videos": mixed} == {key: expected[run][key] for key in (*COUNTS, "mixed_videos")}
    found = {key: value.value for key, value in evaluate(rows).items()}
    if "length" in run:  # its scores are not between 0 and 1, whatever a threshold of 0.5 gives
        assert (found["FAR"], expected[run]["FAR"]) == (None, 0.0)
    wanted = {KEYS[k]: v for k, v in expected[run].items() if k in KEYS and not (k == "FAR" and "length" in run)}
    assert {key: found[key] for key in wanted} == pytest.approx(wanted, abs=1e-9, rel=0)


GENERATED = {
    "continuous": lambda rng, n: rng.random(n),
    "continuous in float32": lambda rng, n: rng.random(n).astype(np.float32),
    "tied": lambda rng, n: np.round(rng.random(n), 1),
    "yes or no": lambda rng, n: rng.integers(0, 2, n).astype(float),
    "smoothed": lambda rng, n: gaussian_filter1d(np.round(rng.random(n), 1), 10),
}


@pytest.mark.parametrize("stride", [1, 16])
@pytest.mark.parametrize("kind", GENERATED)
def test_generated_scores_have_the_metrics_computed_frame_by_frame(kind, stride):
    """Normal, abnormal and mixed videos, one of one row; rows end before, at and after the frames."""
    rng = np.random.default_rng(len(kind) + stride)
    lengths = [1, 15, 16, 17, *rng.integers(20, 400, 20)]
    rows = {f"v{i}": GENERATED[kind](rng, max(1, frames // stride + i % 2)) for i, frames in enumerate(lengths)}
    runs = [() if i % 2 else ((0, n),) if i % 6 == 0 else ((n // 3, n // 2), (n - 2, n)) for i, n in enumerate(lengths)]
    truth = {f"v{i}": (int(n), own) for i, (n, own) in enumerate(zip(lengths, runs, strict=True))}
    split = split_of(rows, stride, truth)
    videos = []
    for name, (frames, own) in truth.items():
        held = np.array([rows[name][min(f // stride, len(rows[name]) - 1)] for f in range(frames)])
        videos.append((held, np.array([any(a <= f < b for a, b in own) for f in range(frames)])))
    assert {(t.any(), t.all()) for _, t in videos} == {(False, False), (True, True), (True, False)}
    found, expected = evaluate(split.rows), of_frames(videos)
    assert {key: found[key].value for key in expected} == pytest.approx(expected, abs=1e-9)
