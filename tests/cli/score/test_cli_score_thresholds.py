"""Where the events of ``vadbench score`` begin and end."""

import json

import numpy as np
import pytest

from command_line import succeed
from scored import TINY, column, tiny_video
from vadbench.metrics.event_counts import KEYS
from vadbench.watch.thresholds import calibrated_threshold, own_threshold
from watch_media import encode, noise


def test_the_threshold_is_the_99th_percentile_of_normal_training_videos(trained, score, home):
    run = trained()
    names = [f"train-{i}" for i in range(8) if i % 2]
    found, _ = score(*(tiny_video(home, n) for n in names), "--run", run)
    scores = np.concatenate([column(s["folder"]) for s in found])
    kept = json.loads((run / "checkpoint.json").read_text())["threshold"]
    assert kept == pytest.approx(np.percentile(scores, 99), abs=1e-6)
    assert found[0]["threshold"] == kept
    found, _ = score(tiny_video(home, "test-0"), "--run", run, "--threshold", "0.25")
    assert found[0]["threshold"] == 0.25


def test_of_many_normal_videos_some_are_drawn_by_the_seed(monkeypatch, tmp_path, trained, home):
    from vadbench.harness import threshold

    monkeypatch.setattr(threshold, "NORMAL_VIDEOS", 2)
    found = {}
    for name, arguments in {"0": ["--seeds", "0"], "again": ["--seeds", "0"], "1": ["--seeds", "1"]}.items():
        base = ["run", *TINY, "--clip", "small", "--clip-weights", "random:0", "-m", "linear", "-d", "tiny"]
        succeed(*base, "--set", "recipe.epochs=1", "--out", tmp_path / name, *arguments)
        (info,) = (tmp_path / name).glob("*/*/*/checkpoint.json")
        found[name] = json.loads(info.read_text())
    assert found["0"]["threshold"] == found["again"]["threshold"] != found["1"]["threshold"]


def test_the_threshold_changes_no_key_no_weight_and_no_metric_but_those_of_events(monkeypatch, tmp_path, trained):
    from vadbench.harness import training

    run = trained()
    monkeypatch.setattr(training, "normal_threshold", lambda *_, **__: None)
    succeed(
        "run", *TINY, "--clip", "small", "--clip-weights", "random:0", "-m", "linear", "-d", "tiny", "--out", tmp_path
    )
    (other,) = (p.parent for p in tmp_path.glob("*/*/*/result.json"))
    assert other.name == run.name
    assert (other / "checkpoint.safetensors").read_bytes() == (run / "checkpoint.safetensors").read_bytes()
    records = [json.loads((f / "result.json").read_text()) for f in (other, run)]
    of_events = set(KEYS)
    first, second = ({k: v for k, v in r["metrics"].items() if k not in of_events} for r in records)
    assert first == second and "AUC" in first


def test_a_run_without_a_threshold_says_so(trained, score, home, tmp_path):
    old = tmp_path / "old"
    old.mkdir()
    for name in ("checkpoint.json", "checkpoint.safetensors", "result.json"):
        (old / name).write_bytes((trained() / name).read_bytes())
    info = json.loads((old / "checkpoint.json").read_text())
    del info["threshold"]
    (old / "checkpoint.json").write_text(json.dumps(info))
    found, _ = score(tiny_video(home, "test-0"), "--run", old)
    assert found[0]["threshold"] == pytest.approx(own_threshold(column(found[0]["folder"]), True).value)
    assert any("has no threshold" in note for note in found[0]["notes"])
    found, _ = score(tiny_video(home, "test-0"), "--run", old, "--calibrate", tiny_video(home, "train-1"))
    assert not any("has no threshold" in note for note in found[0]["notes"])


def test_a_video_says_the_threshold_of_a_method_without_training(trained, score, home):
    run = trained("zero-shot", "tiny")
    assert json.loads((run / "checkpoint.json").read_text())["threshold"] is None
    found, _ = score(tiny_video(home, "test-0"), tiny_video(home, "test-1"), "--run", run)
    own = [own_threshold(column(video["folder"]), True) for video in found]
    assert [video["threshold"] for video in found] == pytest.approx([threshold.value for threshold in own])
    assert [video["threshold_end"] for video in found] == pytest.approx([threshold.low for threshold in own])
    assert all("of the video itself" in video["threshold_origin"] for video in found)
    assert not any("threshold" in note for note in found[0]["notes"])


def test_a_quiet_stretch_says_the_threshold(trained, score, home, tmp_path):
    quiet = [tiny_video(home, f"train-{i}") for i in (1, 3)]
    video = tiny_video(home, "test-0")
    words = ("-m", "zero-shot", "-d", "tiny", "--clip", "small", "--clip-weights", "random:0")
    for own in (("--run", trained()), words):
        scored, _ = score(*quiet, *own, out=tmp_path / "quiet")
        scores = np.concatenate([column(s["folder"]) for s in scored])
        expected = calibrated_threshold(scores, True, "")
        (found,), _ = score(video, *own, "--calibrate", quiet[0], "--calibrate", quiet[1])
        assert found["threshold"] == pytest.approx(expected.value, rel=1e-4)
        assert found["threshold_end"] == pytest.approx(expected.low, rel=1e-4)
        assert "60 rows of 2 quiet videos" in found["threshold_origin"]
    assert {p.name for p in (tmp_path / "scored").iterdir()} == {"test-0"}, "quiet videos have no folder"
    (found,), _ = score(video, *words, "--calibrate", quiet[0], "--threshold", 0.25)
    assert found["threshold"] == 0.25 and "--calibrate is not used, as --threshold is given" in found["notes"]


def test_a_quiet_stretch_must_be_read_to_its_end(trained, vadbench, home, tmp_path):
    cut = encode(tmp_path / "cut.mkv", noise(60))
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    asked = ("score", *TINY, tiny_video(home, "test-0"), "--run", trained(), "--out", tmp_path / "out")
    found = vadbench(*asked, "--calibrate", cut, status=2)
    assert "--calibrate: " in found.err and "cut.mkv: damaged at frame" in found.err and not (tmp_path / "out").exists()


def test_where_events_end_can_be_said(trained, score, home):
    video, run = tiny_video(home, "test-0"), trained()
    (usual,), _ = score(video, "--run", run)
    scores = np.sort(column(usual["folder"]))
    begin = scores[-5]
    (low,), _ = score(video, "--run", run, "--threshold", begin, "--threshold-end", scores[0], "--min-length", 0)
    assert (low["threshold"], low["threshold_end"]) == (begin, scores[0])
    assert [e["end"] for e in low["events"]] == [low["duration"]], "no row is below"
    assert any("an event may not end; raise --threshold-end" in note for note in low["notes"])
    (high,), _ = score(video, "--run", run, "--threshold", begin, "--threshold-end", begin, "--min-length", 0)
    assert np.median(scores) < begin == high["threshold_end"]
    assert not any("--threshold-end" in note for note in high["notes"])


def test_events_of_no_class_have_no_such_column(vadbench, tmp_path):
    call = ("score", *TINY, encode(tmp_path / "a.mp4", noise(50)), "-m", "descriptions-frame", "--threshold", 0)
    said = vadbench(*call, "--out", tmp_path / "out").out
    heads = [line.split() for line in said.splitlines() if line.lstrip().startswith("start")]
    assert heads == [["start", "end", "peak", "at", "mean"]]
