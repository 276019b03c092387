"""``vadbench import-scores``: what it leaves behind."""

import hashlib
import json
import signal
import subprocess
import sys

import numpy as np
import pytest

from filmed_plugin import FRAMES, POSITIVES, by_frame, drawn
from imported_scores import notes, out_of, value, written
from literal_metrics import of_frames
from places import FILMED
from vadbench.records.folders import read_record
from vadbench.records.scores import load_split


def test_the_folder_is_that_of_a_run(load, save, out):
    record = load(save(), "--source", "github.com/x/y", "--licence", "MIT", "--commit", "abc", "--saw", "the internet")
    folder = out / "filmed" / "mine" / record["key"]
    assert record["folder"] == str(folder)
    files = {p.name for p in folder.iterdir()} - {".lock"}
    assert {"result.json", "scores.npz", "roc.png", "pr.png"} <= files
    assert record["reads"] == "recorded" and record["supervision"] == "weak"
    assert record["trained_on"] == record["dataset"] == "filmed"
    source = record["recorded"]
    assert (source["source"], source["licence"], source["commit"]) == ("github.com/x/y", "MIT", "abc")
    assert source["files"] == {"scores.npz": hashlib.sha256((out.parent / "scores.npz").read_bytes()).hexdigest()}
    assert "scores were computed by others: github.com/x/y, commit abc, licence MIT" in record["notes"]
    assert "its models had seen: the internet" in record["notes"]
    assert record["code"]["dataset"]["distribution"]
    split = load_split(folder)
    assert {s.name: s.anomaly.tolist() for s in split.given} == {n: v.tolist() for n, v in drawn().items()}


def test_what_nobody_states_is_said(load, save):
    record = load(save())
    assert notes(record, "source not stated") and notes(record, "licence not stated")
    assert "what its models had seen before is not stated" in record["notes"]


def test_the_checksum_of_a_folder_is_of_the_scores_in_it(load, tmp_path, monkeypatch):
    (tmp_path / "each").mkdir()
    for name, values in drawn().items():
        np.save(tmp_path / "each" / f"{name}.npy", values)
    first = load(tmp_path / "each")["recorded"]["files"]
    (tmp_path / "each" / "README.md").write_text("x")
    monkeypatch.chdir(tmp_path / "each")
    again = load(".", name="again")["recorded"]["files"]
    assert first == again and list(first) == ["each"]
    np.save(tmp_path / "each" / "calm.npy", np.ones(20))
    assert load(".", name="other")["recorded"]["files"] != first


def test_the_same_scores_are_imported_once(load, save, out, tmp_path):
    first = load(save(), "--source", "x")
    before = written(out)
    again = load(save(), "--source", "x")
    (tmp_path / "copy").mkdir()
    elsewhere = load(save(name="copy/of.npz"))
    assert written(out) == before and again == first == elsewhere
    other = load(save(), "--post", "gaussian(1)")
    assert other["key"] == first["key"] and other["evaluation"] != first["evaluation"]
    assert other["folder"] == f"{first['folder']}/evaluations/{other['evaluation']}"
    assert load(save(), "--set", "protocol.tail=zero")["key"] == first["key"]
    scores = drawn()
    scores["calm"][0] += 1e-6
    assert load(save(scores))["key"] != first["key"]
    assert len(list(out.rglob("result.json"))) == 4


def test_class_probabilities_are_part_of_the_scores(load, tmp_path):
    keys = []
    for share in (0.25, 0.5, None):
        entries = {
            n: {"scores": v.tolist()} | ({} if share is None else {"classes": {"Riot": [share] * len(v)}})
            for n, v in drawn().items()
        }
        (tmp_path / "all.json").write_text(json.dumps(entries))
        keys.append(load(tmp_path / "all.json")["key"])
    assert len(set(keys)) == 3


def test_more_may_be_said_of_scores_later(load, save, out):
    first = load(save(), "--source", "x", "--supervision", "training-free")
    told = load(save(), "--licence", "MIT", "--trained-on", "ucfcrime")
    assert (told["recorded"]["source"], told["recorded"]["licence"]) == ("x", "MIT")
    assert (told["supervision"], told["trained_on"]) == ("training-free", "ucfcrime")
    assert told["key"] == first["key"] and told["metrics"] == first["metrics"]
    assert notes(told, "others: x, licence MIT") and read_record(out_of(told)).trained_on == "ucfcrime"
    before = written(out)
    assert load(save()) == told and written(out) == before, "what is not said again stays"
    assert len(list(out.rglob("result.json"))) == 1


def test_for_people_the_figures_and_the_notes_are_printed(vadbench, save, out):
    command = ("import-scores", "--name", "mine", "-d", "filmed", "--plugin", FILMED, "--out", out, save())
    printed = vadbench(*command)
    assert f"mine on filmed (recorded): 12 test videos, {FRAMES} frames, {POSITIVES} of them anomalous" in printed.out
    assert "note: a score every 16 frames" in printed.err and "AUC" in printed.out
    assert printed.out.rstrip().endswith(str(next((out / "filmed" / "mine").iterdir())))
    assert "(finished earlier)" in vadbench(*command).out


def test_two_imports_at_once_do_not_mix(load, save, out, held_by_another_process):
    record = load(save())
    with held_by_another_process(out_of(record)):
        assert "in use by another process" in load(save(), "--post", "round(1)", status=2)
    assert load(save(), "--post", "round(1)")["key"] == record["key"]


def test_a_killed_import_leaves_nothing_that_counts(save, load, out, tmp_path):
    """Killed at the moment when everything but the record is written."""
    code = """
import os, signal, sys
import vadbench.harness.import_scores as harness
harness.save_pictures = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
from vadbench.cli import main
main(sys.argv[1:])
"""
    command = ["import-scores", "--name", "mine", "-d", "filmed", "--plugin", FILMED, "--out", out, save()]
    for more in ([], ["--post", "round(1)"]):
        done = subprocess.run([sys.executable, "-c", code, *map(str, command), *more], capture_output=True, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert list(out.rglob("scores.npz")) and not list(out.rglob("result.json"))
    record = load(save())
    assert value(record, "AUC") == pytest.approx(of_frames(by_frame(drawn()))["AUC"], abs=1e-12)
    assert not [p for p in out_of(record).rglob(".*") if p.name != ".lock"], "no temporary file"
    assert [s.anomaly.tolist() for s in load_split(out_of(record)).given] == [v.tolist() for v in drawn().values()]
