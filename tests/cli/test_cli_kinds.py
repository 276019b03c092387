"""Every kind of method from a run to its results, as a user meets it, and killed in the middle."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kinds import CLIP, EVERY_KIND, METHOD_FILES, PLUGINS, save_audio
from places import KINDS, SUPPORT
from scored import column
from vadbench.plugins.registry import Registry
from vadbench.records.record import RunRecord
from vadbench.records.scores import load_split

every_kind = pytest.mark.parametrize("kind", EVERY_KIND, ids=lambda kind: kind.name)
COMMON = (*PLUGINS, *CLIP, "--device", "cpu")


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_cache):
    """A folder with a cache and a stream of sound, which these tests share."""
    folder = tmp_path_factory.mktemp("kinds")
    shutil.copytree(tiny_cache, folder / "cache")
    save_audio(folder / "audio")
    return folder


@pytest.fixture(autouse=True)
def shared_cache(place, monkeypatch):
    monkeypatch.setenv("VADBENCH_CACHE", str(place / "cache"))


@pytest.fixture(scope="module")
def arguments_of(place):
    """Give the arguments of ``vadbench`` that run a kind."""

    def call(kind, dataset="tiny", out="runs"):
        own = [a.replace("AUDIO", str(place / "audio")) for a in kind.arguments]
        return ["run", *COMMON, "-m", kind.name, "-d", dataset, "--out", place / out, *own]

    return call


@pytest.fixture(scope="module")
def finished(arguments_of, prepare, place):
    """Run a kind on ``tiny``, once, and give the folder."""
    runs = {}

    def call(kind):
        if kind.name not in runs:
            prepare(*arguments_of(kind), VADBENCH_CACHE=place / "cache")
            (result,) = (place / "runs" / "tiny" / kind.name).glob("*/result.json")
            runs[kind.name] = result.parent
        return runs[kind.name]

    return call


def record_of(folder):
    return RunRecord.model_validate_json((folder / "result.json").read_text())


def test_every_method_of_the_plugins_is_tried_here():
    registry = Registry(files=[KINDS / f"{name}.py" for name in METHOD_FILES])
    own = registry.specs("method").keys() - Registry().specs("method").keys()
    assert own and own <= {kind.name for kind in EVERY_KIND}


@every_kind
def test_a_run_says_what_it_was_and_is_not_repeated(kind, finished, arguments_of, vadbench):
    folder = finished(kind)
    found = record_of(folder)
    assert (found.status, found.supervision, found.reads) == ("finished", kind.supervision, kind.reads)
    assert found.marks == kind.marks
    assert bool(found.clip) == bool(found.fingerprint) == (kind.reads == "features")
    before = (folder / "result.json").stat().st_mtime_ns
    (again,) = vadbench(*arguments_of(kind), "--json").json
    assert again["key"] == folder.name and (folder / "result.json").stat().st_mtime_ns == before
    dry = vadbench(*arguments_of(kind), "--dry-run", "--json").json
    assert [(run["key"], run["state"]) for run in dry["runs"]] == [(folder.name, "finished")]
    assert f"{kind.name} on tiny{kind.marks}, seed 0: finished" in vadbench("show", "run", folder).out
    assert vadbench("show", "method", kind.name, *PLUGINS).out.startswith(f"name: {kind.name}\n")


@every_kind
def test_its_results_are_measured_again_compared_drawn_and_reported(kind, finished, vadbench, place, tmp_path):
    folder, other = finished(kind), finished(EVERY_KIND[1])
    assert "unchanged" in vadbench("rescore", folder).out
    said = vadbench("compare", folder, other).out
    assert said.startswith(f"A: {kind.name} ") and f" on tiny{kind.marks}, " in said and "B: blind-rows" in said
    vadbench("report", *PLUGINS, folder, other, "--output", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert kind.name in page and kind.marks in page and f'"{kind.supervision}"' in page
    vadbench("log", folder)


@every_kind
def test_a_finished_training_is_evaluated_on_other_data(kind, finished, arguments_of, vadbench, place):
    own = [a.replace("AUDIO", str(place / "audio")) for a in kind.arguments if a != "--set" and "recipe" not in a]
    (found,) = vadbench("run", *COMMON, "--from", finished(kind), "-d", "other", "--json", *own).json
    assert found["dataset"] == "other" and found["trained_on"] == "tiny" and found["status"] == "finished"
    assert found["metrics"]["AUC"] == pytest.approx(record_of(finished(kind)).metrics["AUC"].model_dump()) or (
        kind.name in ("open-vocabulary", "zero-shot")  # which are asked for the other classes
    )


@every_kind
def test_a_users_own_videos_are_scored_as_in_the_run_or_refused_in_a_line(kind, finished, vadbench, place, tmp_path):
    split = load_split(finished(kind))
    videos = [place / "cache" / "datasets" / "tiny" / f"{s.name}.mp4" for s in split.scores]
    asked = ("score", *videos, "--run", finished(kind), *PLUGINS, "--device", "cpu", "--json", "--out", tmp_path)
    if isinstance(kind.scores, str):
        out, err = vadbench(*asked, status=2)
        assert not out and len(err.splitlines()) == 1 and kind.scores in err and kind.name in err
        assert not list(tmp_path.iterdir())
        return
    found = vadbench(*asked, *kind.scores).json
    for summary, expected in zip(found, split.scores, strict=True):
        assert column(summary["folder"]) == pytest.approx(expected.anomaly, rel=1e-4, abs=1e-6)
    company = "these 6 videos are taken as the whole split"
    assert any(company in note for note in found[0]["notes"]) == (kind.name == "transductive")


def test_videos_that_are_scored_in_company_may_be_damaged_or_named_alike(finished, vadbench, place, tmp_path):
    (kind,) = (kind for kind in EVERY_KIND if kind.name == "transductive")
    first, second = (place / "cache" / "datasets" / "tiny" / f"test-{i}.mp4" for i in range(2))
    alike, cut = tmp_path / "test-0.mp4", tmp_path / "cut.mp4"
    shutil.copy(second, alike)
    cut.write_bytes(first.read_bytes()[:3000])
    asked = ("score", first, alike, "--run", finished(kind), *PLUGINS, "--device", "cpu", "--json", *kind.scores)
    alone, _ = (s["folder"] for s in vadbench(*asked, "--out", tmp_path / "two").json)
    found = vadbench(*asked[:3], cut, *asked[3:], "--out", tmp_path / "three", status=1).json
    assert [Path(s["folder"]).name for s in found[:2]] == ["test-0", "test-0-2"] and found[2]["folder"] is None
    assert [bool(s["error"]) for s in found] == [False, False, True] and found[2]["rows"] == 0
    assert list(column(found[0]["folder"])) == list(column(alone))


def test_one_leaderboard_ranks_what_may_be_compared_and_never_an_oracle(finished, vadbench, place):
    for kind in EVERY_KIND:
        finished(kind)
    found = vadbench("leaderboard", *PLUGINS, "--out", place / "runs", "-d", "tiny", "--json").json
    rows = {row["label"].split()[0]: (row, table) for table in found["tables"] for row in table["rows"]}
    assert rows.keys() == {kind.name for kind in EVERY_KIND}
    for kind in EVERY_KIND:
        row, table = rows[kind.name]
        assert row["supervision"] == kind.supervision
        assert row.get("depends", "") == kind.marks.strip(" ()").replace("oracle", "").removeprefix("depends ")
        together = {k.name for k in EVERY_KIND if rows[k.name][1] is table}
        assert ("rank" in row, together == {kind.name}) == {
            "oracle": (False, True), "blind-rows": (True, True), "two-streams": (True, True),
        }.get(kind.name, (True, False))  # fmt: skip
        assert kind.reads != "frames" or together == {k.name for k in EVERY_KIND if k.reads == "frames"}


GRID = """
title = "Kinds"
seeds = [0]
clip = "small"
clip_weights = "random:0"
[[tables]]
id = "1"
title = "Kinds"
columns = [{ dataset = "tiny", metric = "AUC" }, { dataset = "testing-only", metric = "AUC" }]
rows = [
"""


@pytest.mark.slow
def test_a_grid_of_kinds_does_what_can_be_done_and_says_why_the_rest_cannot(vadbench, place, tmp_path):
    rows = [f'  {{ label = "{kind.name}", method = "{kind.name}" }},\n' for kind in EVERY_KIND if not kind.arguments]
    file = tmp_path / "kinds.toml"
    file.write_text(GRID + "".join(rows) + '  { label = "two", method = "two-streams" },\n]\n')
    base = ("bench", file, *PLUGINS, "--device", "cpu", "--out", place / "grid")
    found = vadbench(*base, "--json").json
    reasons = {(c["method"], c["dataset"]): c["reason"] for c in found["cells"] if c["state"] == "impossible"}
    trained = {k.name for k in EVERY_KIND if not k.arguments and k.supervision in ("weak", "one-class")}
    frames = {k.name for k in EVERY_KIND if k.reads == "frames"} - trained
    assert reasons.keys() == {("two-streams", "tiny")} | {
        (name, "testing-only") for name in {*trained, *frames, "two-streams"}
    }
    assert all("no train split" in reasons[name, "testing-only"] for name in trained)
    assert all("no file of them is here" in reasons[name, "testing-only"] for name in frames)
    assert "--features tiny.audio=DIR" in reasons["two-streams", "tiny"]
    assert set(found["counts"]) == {"done", "impossible"} and all("\n" not in reason for reason in reasons.values())
    assert vadbench("table", f"{file}/1", *PLUGINS, "--out", place / "grid").out.count("oracle") >= 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in EVERY_KIND if kind.trains], ids=lambda kind: kind.name)
def test_killed_in_its_training_it_ends_with_the_same_bits(kind, finished, arguments_of, place):
    command = [str(a) for a in arguments_of(kind, out="killed")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(SUPPORT)]), "VADBENCH_MLFLOW": "off"}
    process = subprocess.Popen(
        [sys.executable, SUPPORT / "slowed.py", "0.3", *command],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    root = place / "killed" / "tiny" / kind.name
    try:
        while process.poll() is None and not list(root.glob("*/stages/*.safetensors")):
            time.sleep(0.02)
        time.sleep(0.2)
        assert process.poll() is None, "it ended before it was killed"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    expected = finished(kind)
    assert not (root / expected.name / "checkpoint.safetensors").exists()
    subprocess.run([sys.executable, SUPPORT / "slowed.py", "0", *command], env=environment, check=True)
    for name in ("checkpoint.safetensors", "training.jsonl"):
        assert (root / expected.name / name).read_bytes() == (expected / name).read_bytes()
    one, other = (load_split(folder) for folder in (root / expected.name, expected))
    for mine, theirs in zip(one.scores, other.scores, strict=True):
        assert mine.name == theirs.name and (mine.anomaly == theirs.anomaly).all()
    assert not (root / expected.name / "stages").exists()
