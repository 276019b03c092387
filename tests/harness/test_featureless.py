"""Runs of methods that read frames or nothing: no features, no CLIP, and all that comes after a run."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from places import KINDS, PLUGIN
from vadbench.data.media import read_frames
from vadbench.records.scores import load_split

pytestmark = pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
KIND_FILES = {name: KINDS / f"{name.replace('-', '_')}.py" for name in ("oracle", "blind-rows", "brightness")}
PLUGINS = [x for file in (PLUGIN, *KIND_FILES.values()) for x in ("--plugin", file)]
CLIP = ("--clip", "small", "--clip-weights", "random:0")


@pytest.fixture
def run(vadbench, tmp_path):
    def call(method, dataset="tiny", *more, status=0):
        base = ("run", *PLUGINS, "--device", "cpu", "--json", "--out", tmp_path / "runs")
        found = vadbench(*base, "-m", method, "-d", dataset, *more, status=status)
        return found.json[0] if status == 0 else found.err

    return call


@pytest.mark.parametrize(
    ("method", "reads", "supervision"),
    [
        ("motion-energy", "frames", "training-free"),
        ("brightness", "frames", "weak"),
        ("blind-rows", "none", "training-free"),
        ("oracle", "none", "oracle"),
    ],
)
def test_a_record_says_what_the_scores_were_made_from(run, method, reads, supervision):
    found = run(method)
    assert (found["clip"], found["fingerprint"], found["reads"]) == ({}, {}, reads)
    assert found["supervision"] == supervision
    # Training videos take part only where something is learnt from them.
    assert list(found["data"]) == (["train", "test"] if supervision == "weak" else ["test"])
    assert found["data"]["test"]["frames"] == 180
    split = load_split(Path(found["folder"]))
    assert [(s.frames, len(s.anomaly)) for s in split.scores] == [(30, -(-30 // split.stride))] * 6
    assert run(method) == found, "it is returned, not repeated"


def test_an_oracle_reaches_everything(run):
    found = run("oracle")
    assert found["metrics"]["AUC"]["value"] == found["metrics"]["AP"]["value"] == 1
    # Rows of three frames, of which one or two are anomalous at either end of the event.
    assert run("oracle", "tiny", "--set", "rows.stride=3")["metrics"]["AUC"]["value"] < 1


@pytest.mark.usefixtures("tiny_at_hand")
def test_only_a_declared_oracle_is_handed_the_truth(run, tmp_path):
    plain = KIND_FILES["oracle"].read_text().replace(', supervision="oracle"', "").replace('"oracle"', '"no-oracle"')
    (tmp_path / "no_oracle.py").write_text(plain.replace('"oracle:', '"no_oracle:'))
    told = run("no-oracle", "tiny", "--plugin", tmp_path / "no_oracle.py", status=None)
    assert "'NoneType' object has no attribute 'runs'" in str(told)


def test_scores_of_frames_are_those_of_the_decoder(run):
    found = run("motion-energy", "tiny", "--set", "rows.stride=30")
    root = Path(os.environ["VADBENCH_CACHE"]) / "datasets" / "tiny"
    for scores in load_split(Path(found["folder"])).scores:
        grey = [
            np.asarray(Image.fromarray(f).convert("L"), np.float64) for f in read_frames(root / f"{scores.name}.mp4")
        ]
        energy = np.mean([np.abs(b - a).mean() for a, b in pairwise(grey)])
        assert scores.anomaly == pytest.approx([energy / (energy + 2)], rel=1e-5)


def test_a_trained_method_of_frames_learns_and_its_scores_meet_no_fixed_threshold(run):
    found = run("brightness")
    assert found["metrics"]["AUC"]["value"] > 0.9
    assert found["unit_scores"] is False
    assert found["metrics"]["FAR"]["value"] is None and "means nothing" in found["metrics"]["FAR"]["reason"]
    assert json.loads((Path(found["folder"]) / "checkpoint.json").read_text())["clip"] is None


def test_a_training_is_evaluated_elsewhere(run, vadbench, tmp_path):
    trained = run("brightness")
    base = ("run", *PLUGINS, "--device", "cpu", "--json", "--out", tmp_path / "runs")
    (found,) = vadbench(*base, "--from", trained["folder"], "-d", "other").json
    assert (found["trained_on"], found["dataset"], found["key"]) == ("tiny", "other", trained["key"])
    assert found["metrics"]["AUC"]["value"] == trained["metrics"]["AUC"]["value"]
    assert (found["clip"], found["fingerprint"], found["reads"]) == ({}, {}, "frames")


def test_the_named_clip_has_no_part_in_it(run):
    found = run("motion-energy")
    named = run("motion-energy", "tiny", *CLIP)
    assert (named["key"], named["evaluation"], named["clip"]) == (found["key"], found["evaluation"], {})


def test_another_video_file_is_another_run(run, monkeypatch):
    found = {method: run(method) for method in ("motion-energy", "brightness", "blind-rows")}
    monkeypatch.setenv("TINY_END", "19")
    truth = {method: run(method) for method in found}
    for method, record in truth.items():
        # The annotation belongs to the evaluation, and what a training is made of does not change.
        assert record["key"] == found[method]["key"] and record["evaluation"] != found[method]["evaluation"]


def test_results_can_be_measured_again_and_checked(run, vadbench, tmp_path):
    found = run("motion-energy")
    assert vadbench("rescore", found["folder"], "--json").json[0]["changed"] == {}
    problems = vadbench("results", "check", found["folder"], *PLUGINS, status=None).out
    assert [s for s in problems.splitlines() if "result.json: " in s and "environment: " not in s] == []
    path = Path(found["folder"]) / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"clip": {"model": "small"}}))
    assert "clip: expected none" in vadbench("results", "check", found["folder"], *PLUGINS, status=None).out


def test_what_comes_after_a_run_says_that_there_are_no_features(run, vadbench, tmp_path):
    records = [run(method) for method in ("motion-energy", "oracle", "blind-rows")] + [run("random", "tiny", *CLIP)]
    shown = vadbench("show", "run", records[0]["folder"]).out
    assert "features: none, it decodes the videos" in shown and "(depends on no later row)" in shown
    board = vadbench("leaderboard", "--out", tmp_path / "runs", "--format", "md").out
    for words in ("Features none (family frames)", "Features none (family none)", "oracles: not comparable"):
        assert words in board
    assert "Never ranked." in board and "| oracle | oracle |" in board
    vadbench("report", *(r["folder"] for r in records), "--output", tmp_path / "page.html")
    assert "none, it decodes the videos" in (tmp_path / "page.html").read_text()
    compared = vadbench("compare", records[0]["folder"], records[3]["folder"]).err
    assert "CLIPs differ" in compared and "features differ" in compared


def test_images_are_frames_too(run, tmp_path):
    from roots.ucsdped2 import make_root

    found = run("motion-energy", "ucsdped2", "--data-root", make_root(tmp_path / "ped2"), "--set", "rows.stride=10")
    split = load_split(Path(found["folder"]))
    # Grey 5 more in each frame, in frames of 8 x 12.
    assert [s.frames for s in split.scores] == [25] * len(split.scores)
    assert np.concatenate([s.anomaly for s in split.scores]) == pytest.approx(5 / 7, abs=1e-6)


def test_damage_stops_a_run_or_leaves_a_video_out(run):
    root = Path(os.environ["VADBENCH_CACHE"]) / "datasets" / "tiny"
    path = root / "test-1.mp4"
    whole = path.read_bytes()
    path.write_bytes(
        whole[: len(whole) // 2] + bytes(len(whole) // 3) + whole[-(len(whole) - len(whole) // 2 - len(whole) // 3) :]
    )
    assert "test-1.mp4: damaged at frame" in run("motion-energy", status=2)
    found = run("motion-energy", "tiny", "--allow-incomplete")
    assert found["data"]["test"]["videos"] == 5
    assert any(note.startswith("incomplete: 5 of 6 test videos") for note in found["notes"])


def test_what_does_not_fit_is_a_line_before_anything_starts(run, tmp_path):
    features = tmp_path / "features"
    features.mkdir()
    refused = run("motion-energy", "tiny", "--features", features, status=2)
    assert len(refused.splitlines()) == 1 and "reads no features" in refused
    gone = run("motion-energy", "ucfcrime", "--data-root", features, status=2)
    assert len(gone.splitlines()) == 1


def test_no_clip_is_loaded(tmp_path):
    """In a process of its own, to its end: the package open_clip is never imported, in a run and in scoring."""
    run = ["run", "-m", "motion-energy", "-d", "tiny", "--plugin", str(PLUGIN), "--device", "cpu"]
    video = Path(os.environ["VADBENCH_CACHE"]) / "datasets" / "tiny" / "test-0.mp4"
    score = ["score", str(video), "-m", "motion-energy", "--device", "cpu"]
    code = """
import sys
from vadbench.cli import main
for arguments in {arguments}:
    try:
        main(arguments)
    except SystemExit as ended:
        assert not ended.code
print("LOADED", [name for name in sys.modules if name.split(".")[0] == "open_clip"])
""".format(arguments=[[*run, "--out", str(tmp_path / "runs")], [*score, "--out", str(tmp_path / "scored")]])
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "LOADED []" in found.stdout, found.stdout + found.stderr
    assert (tmp_path / "scored" / "test-0" / "scores.csv").is_file()
