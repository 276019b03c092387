"""Recorded scores of published methods, in the forms in which they circulate, give the figures that were computed from
them frame by frame, and those that their authors report."""

import json

import pytest

from vadbench.base.text import spaced
from xd_lists import xdviolence

FIGURES = {
    "AUC": "AUC",
    "AP": "AP",
    "AP_trapezoid": "AP/trapezoid",
    "AnoAUC": "AnoAUC",
    "within": "AUC/within",
    "pair_share": "pair-share",
    "cross": "AUC/cross",
    "macro_within": "AUC/video",
    "video_mean_AUC": "AUC/flattened",
    **{f"recall@{rate}%FPR": f"recall@{rate}%FPR" for rate in (1, 2, 3, 5)},
    "FPR_at_95TPR_normal_videos": "FPR@95TPR",
    "FAR": "FAR",
    "distinct_scores": "distinct",
}
"""Metric keys by the names in the file of expected figures."""
SMOOTHED = ("--post", "gaussian(10)")
LOGITS = ("--post", "logistic, round(4)")
URF_MSAD = ("--tolerance", 201, "--set", "protocol.partition=one-class")
"""27 of its videos are scored in part, and 120 of them are training videos of the usual division."""
CASES = {
    "pel4vad_ucf_test290_stride16_all_good.npz": ("ucfcrime", "", ()),
    "pel4vad_ucf_test290_stride16_no_OPT.npz": ("ucfcrime", "", ()),
    "urf_hvaa_ucf.json": ("ucfcrime", "", ()),
    "urf_hvaa_ucf.json +gaussian10": ("ucfcrime", "", SMOOTHED),
    "vadtree_ucf_coarse_raw.json": ("ucfcrime", "", LOGITS),
    "yatoyun_ucf_clip_i3d.npz": ("ucfcrime", "", ()),
    "yatoyun_ucf_i3d_only.npz": ("ucfcrime", "", ()),
    "urf_hvaa_xd.json": ("xdviolence", "", ()),
    "urf_hvaa_xd.json +gaussian10": ("xdviolence", "", SMOOTHED),
    "yatoyun_xd.npz": ("xdviolence", "", ()),
    "urf_hvaa_msad.json": ("msad", "made", URF_MSAD),
    "urf_hvaa_msad.json +gaussian10": ("msad", "itself", (*URF_MSAD, *SMOOTHED)),
    "vadtree_msad_final_ensemble.json": ("msad", "itself", LOGITS),
    "urf_hvaa_ubnormal.json": ("ubnormal", "itself", ()),
    "urf_hvaa_ubnormal.json +gaussian10": ("ubnormal", "made", SMOOTHED),
}
"""Data set, ground truth (its own, a file made from the scores' or the scores' own), and options, by the name of the
file of scores and of the expected figures."""


@pytest.fixture
def source(test_data):
    """The folder of recorded scores."""
    folder = test_data / "scores"
    if not folder.is_dir():
        pytest.skip(f"no recorded scores in {folder}")
    return folder


@pytest.fixture
def load(test_data, source, tmp_path, vadbench, quick_runs):
    """Import one of the files; the record."""

    def call(dataset, file, *arguments, truth=""):
        root = {"msad": "more/msad", "ubnormal": "more/ubnormal"}.get(dataset, dataset)
        root = test_data / root
        if dataset == "xdviolence":
            (tmp_path / "xd").mkdir()
            root = xdviolence(root, tmp_path / "xd").root
        given = ("--truth", {"made": tmp_path / "truth.json", "itself": source / file}[truth]) if truth else ()
        if truth == "made":
            videos = json.loads((source / file).read_text(encoding="utf-8"))["videos"]
            own = {
                name: {"frames": v["frames"], "segments": [[None, a, b + 1] for a, b in v["spans_inclusive"]]}
                for name, v in videos.items()
            }
            (tmp_path / "truth.json").write_text(json.dumps({"videos": own}), encoding="utf-8")
        command = ("import-scores", "--name", "m", "-d", dataset, "--data-root", root, "--out", tmp_path / "runs")
        return vadbench(*command, *given, *arguments, source / file, "--json").json

    return call


def figure(record, key):
    return record["metrics"][key]["value"]


@pytest.mark.parametrize("case", CASES)
def test_figures_are_those_of_frames(load, source, case):
    expected = json.loads((source / "expected.json").read_text())[case]
    dataset, truth, arguments = CASES[case]
    record = load(dataset, case.partition(" ")[0], *arguments, truth=truth)
    test = record["data"]["test"]
    assert [test[n] for n in ("videos", "frames", "positives")] == [
        expected[n] for n in ("videos", "frames", "positives")
    ]
    assert test["expected"] == test["videos"]
    named = {key: number for key, number in expected.items() if key in FIGURES}
    assert len(named) == len(FIGURES)
    assert {key: figure(record, FIGURES[key]) for key in named} == pytest.approx(named, abs=1e-9, rel=0)
    stride = 1 if "vadtree" in case else 16
    assert any(note.startswith(f"a score {spaced(stride)}") for note in record["notes"])
    if dataset == "xdviolence":
        # 14 names in the annotation end in .mp4: no frame of theirs is lost.
        assert test["abnormal"] == 500


def test_shanghaitech_by_rows(load):
    record = load("shanghaitech", "yatoyun_sht.npz", "--set", "protocol.tail=rows", "--stride", 16)
    assert figure(record, "AUC") == pytest.approx(0.98705, abs=1e-5)
    assert record["data"]["test"]["frames"] % 16 == 0 and record["data"]["test"]["videos"] == 199


def test_pel4vad_reports_what_its_protocol_gives(load):
    rules = ("--set", "protocol.tail=rows", "--set", "protocol.boundaries=vadclip")
    record = load("ucfcrime", "pel4vad_ucf_test290_stride16_all_good.npz", *rules)
    found = [100 * figure(record, key) for key in ("AUC", "AP/trapezoid", "FAR")]
    assert found == pytest.approx([86.76, 33.99, 0.47], abs=0.01)
    assert [n / 100 for n in found] == pytest.approx([0.867580, 0.339992, 0.00474], abs=1e-5)


@pytest.mark.parametrize(
    ("file", "dataset", "arguments"),
    [
        ("urf_hvaa_ucf.json", "ucfcrime", ()),
        ("urf_hvaa_xd.json", "xdviolence", ()),
        ("urf_hvaa_msad.json", "msad", (*URF_MSAD, "--set", "protocol.tail=zero")),
        ("urf_hvaa_ubnormal.json", "ubnormal", ()),
    ],
)
def test_urf_hvaa_stores_what_its_own_truth_gives(load, source, file, dataset, arguments):
    stored = json.loads((source / file).read_text(encoding="utf-8"))["expected"]
    record = load(dataset, file, *SMOOTHED, *arguments, truth="itself")
    found = {"auc": figure(record, "AUC"), "pr_trapezoid": figure(record, "AP/trapezoid")}
    assert found == pytest.approx(stored, abs=1e-9, rel=0)
    assert record["protocol"]["truth"].startswith(f"{file}@")
