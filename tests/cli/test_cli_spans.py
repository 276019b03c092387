"""Data sets from one file of spans, and the file that hands a ground truth on, in commands."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from places import KINDS, PLUGIN
from roots.spans import SETS, entry, make_root, make_rows, own_form
from roots.ucfcrime import make_root as ucf_root

pytestmark = pytest.mark.usefixtures("quick_runs")
PLUGINS = ("--plugin", PLUGIN, "--plugin", KINDS / "three_splits.py")
CLIP = ("--clip", "small", "--clip-weights", "random:0")
SHORT = ("-m", "linear", "--set", "recipe.learning_rate=0.1", *CLIP)


@pytest.fixture
def run(vadbench, tmp_path):
    def call(*arguments, status=0):
        found = vadbench("run", *PLUGINS, "--device", "cpu", "--json", "--out", tmp_path / "runs", *arguments,
                         status=status)  # fmt: skip
        return found.json[0] if status == 0 else found.err

    return call


@pytest.fixture
def places(tmp_path):
    """The options that name the root and the features of a data set."""

    def call(name, root=None):
        folder = root or make_root(tmp_path / name, name)
        return "--data-root", folder, "--features", make_rows(tmp_path / f"{name} rows", name)

    return call


def truth_of(name):
    return {v: [any(a <= t < b for a, b in spans) for t in range(n)] for v, (n, _, spans) in SETS[name].items()}


@pytest.mark.parametrize("name", SETS)
def test_a_method_without_training_runs(run, places, name):
    found = run("-m", "random", "-d", name, *places(name))
    assert list(found["data"]) == ["test"] and found["data"]["test"]["videos"] == 3
    assert found["data"]["test"]["frames"] == sum(frames for frames, _, _ in SETS[name].values())
    truth = [frame for frames in truth_of(name).values() for frame in frames]
    assert found["metrics"]["prevalence"]["value"] == pytest.approx(sum(truth) / len(truth))
    assert (found["metrics"]["mAUC"]["value"] is None) == (name != "lad")
    assert found["protocol"]["truth"] == ""


@pytest.mark.parametrize("name", [*SETS, "spans"])
def test_a_training_made_elsewhere_is_evaluated(run, vadbench, places, tmp_path, name):
    trained = run(*SHORT, "-d", "three-splits")
    root = make_root(tmp_path / "spans", "lad") if name == "spans" else None
    found = run("--from", trained["folder"], "--dataset", name, *places("lad" if root else name, root))
    assert (found["trained_on"], found["dataset"], found["key"]) == ("three-splits", name, trained["key"])
    scores = vadbench("show", "run", found["folder"], "--json").json
    assert scores["metrics"]["AUC"]["value"] == found["metrics"]["AUC"]["value"] > 0.6, "rows are louder in the spans"
    problems = vadbench("results", "check", found["folder"], *PLUGINS, status=None).out.splitlines()
    assert not [p for p in problems if "result.json: " in p and "environment: " not in p]


@pytest.mark.parametrize("name", [*SETS, "spans"])
def test_a_method_that_must_be_trained_is_refused_in_a_line(run, places, tmp_path, name):
    root = make_root(tmp_path / "spans", "lad") if name == "spans" else None
    told = run(*SHORT, "-d", name, *places("lad" if root else name, root), status=2)
    (line,) = told.splitlines()
    assert "must be trained" in line and f"{name} has no train split" in line and "--from RUN" in line


def test_videos_of_any_file_run_without_a_root_where_their_features_are_given(run, tmp_path):
    rows, path = make_rows(tmp_path / "rows", "tad"), tmp_path / "mine.json"
    path.write_text(json.dumps(own_form(SETS["tad"])))
    found = run("-m", "random", "-d", "spans", "--truth", path, "--features", rows)
    name = found["protocol"]["truth"]
    assert name.startswith("mine.json@") and found["data"]["test"]["expected"] == 3
    root = tmp_path / "root"
    root.mkdir()
    (root / "truth.json").write_text(path.read_text())
    other = run("-m", "random", "-d", "spans", "--data-root", root, "--features", rows)
    assert other["protocol"]["truth"] == name.replace("mine.json", "truth.json"), "a file in the root is named as well"
    assert other["metrics"]["AUC"] == found["metrics"]["AUC"]
    line = run("-m", "random", "-d", "spans", "--features", rows, status=2)
    assert "no data root for spans" in line and len(line.splitlines()) == 1


def test_a_method_that_reads_nothing_needs_the_file_alone(run, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(own_form(SETS["tad"])))
    found = run("-m", "blind-centre", "-d", "tad", "--truth", path)
    assert found["data"]["test"]["videos"] == 3 and found["data"]["test"]["frames"] == 115


def test_a_page_of_a_run_under_a_file_looks_for_videos_in_a_root_without_it(run, vadbench, tmp_path):
    (tmp_path / "mine.json").write_text(json.dumps(own_form(SETS["tad"])))
    found = run("-m", "blind-centre", "-d", "spans", "--truth", tmp_path / "mine.json")
    (tmp_path / "videos").mkdir()
    page = ("report", found["folder"], "--output", tmp_path / "page.html")
    said = vadbench(*page, "--data-root", tmp_path / "videos").err
    assert f"none of the test videos is under {tmp_path / 'videos'}: no thumbnails" in said


def test_results_under_two_files_are_never_of_one_kind(run, vadbench, tmp_path):
    rows = make_rows(tmp_path / "rows", "tad")
    for i in (1, 2):
        content = own_form(SETS["tad"])
        content["videos"]["05_else_902"]["segments"][0][1] += i
        (tmp_path / f"{i}.json").write_text(json.dumps(content))
        run("-m", "random", "-d", "spans", "--truth", tmp_path / f"{i}.json", "--features", rows)
    tables = vadbench("leaderboard", "--out", tmp_path / "runs", "--format", "json").json["tables"]
    assert [[row["rank"] for row in table["rows"]] for table in tables] == [[1], [1]]
    assert all(f"{i}.json@" in table["title"] for i, table in enumerate(tables, start=1))


GRID = """
title = "Zero-shot"
seeds = [0]
clip = "small"
clip_weights = "random:0"
[[tables]]
id = "1"
title = "Sets for testing alone"
columns = [
  { dataset = "dota", metric = "AUC" },
  { dataset = "tad", metric = "AUC" },
  { dataset = "lad", metric = "AUC" },
  { dataset = "spans", metric = "AUC" },
]
rows = [
  { label = "random", method = "random" },
  { label = "linear", method = "linear" },
]
"""


def test_a_grid_does_what_needs_no_training_and_calls_the_rest_impossible(vadbench, places, tmp_path):
    file = tmp_path / "zero.toml"
    file.write_text(GRID)
    given = []
    for name in (*SETS, "spans"):
        root = make_root(tmp_path / name, "lad" if name == "spans" else name)
        rows = make_rows(tmp_path / f"{name} rows", "lad" if name == "spans" else name)
        given += ["--data-root", f"{name}={root}", "--features", f"{name}={rows}"]
    base = ("bench", file, *PLUGINS, "--device", "cpu", "--out", tmp_path / "grid", *given)
    found = vadbench(*base, "--json").json
    states = {(c["method"], c["dataset"]): (c["state"], c["reason"]) for c in found["cells"]}
    for name in (*SETS, "spans"):
        assert states["random", name][0] == "done", states["random", name]
        state, reason = states["linear", name]
        assert state == "impossible" and f"{name} has no train split" in reason


def test_a_grid_names_the_file_and_needs_no_root(vadbench, tmp_path):
    path, rows = tmp_path / "mine.json", make_rows(tmp_path / "rows", "tad")
    path.write_text(json.dumps(own_form(SETS["tad"])))
    (tmp_path / "one.toml").write_text(
        GRID[: GRID.index("columns")]
        + 'columns = [{ dataset = "spans", metric = "AUC" }]\n'
        + f'rows = [{{ label = "random", method = "random", set = {{ "protocol.truth" = "{path}" }} }}]\n'
    )
    base = (
        "bench",
        tmp_path / "one.toml",
        "--device",
        "cpu",
        "--out",
        tmp_path / "grid",
        "--features",
        f"spans={rows}",
    )
    assert "1 runs, 1 to do" in (first := vadbench(*base)).out + first.err
    assert "1 runs, 1 done" in (again := vadbench(*base)).out + again.err, "the file is known by what it says"


@pytest.mark.parametrize("name", [*SETS, "spans"])
@pytest.mark.parametrize("form", ["fractions", "own"])
def test_a_generated_root_passes_the_checks_of_data_sets(vadbench, tmp_path, name, form):
    root = make_root(tmp_path / "root", "lad" if name == "spans" else name, form, with_videos=True)
    found = vadbench("check", "dataset", name, "--data-root", root, "--json").json
    results = Counter(check["result"] for check in found)
    assert results.keys() == {"passed"} and results["passed"] >= 14


# --- data export ----------------------------------------------------------------------------------------------------


def test_a_ground_truth_is_printed_and_nothing_else(vadbench, tmp_path):
    root = ucf_root(tmp_path)
    found = vadbench("data", "export", "ucfcrime", "--data-root", root)
    content = json.loads(found.out)
    assert content["videos"] == {
        "RoadAccidents010_x264": {"frames": 60, "segments": [["RoadAccidents", 0, 20], ["RoadAccidents", 30, 40]]},
        "Shooting015_x264": {"frames": 50, "segments": [["Shooting", 4, 50]]},
        "Normal_Videos_003_x264": {"frames": 17, "segments": []},
    }
    assert (content["dataset"], content["split"]) == ("ucfcrime", "test") and "truth" not in content
    assert "licence of ucfcrime: none stated; for research" in found.err
    assert "'Shooting015_x264' ends past its 50 frames; cut there" in found.err


def test_what_is_written_is_what_truth_reads(vadbench, tmp_path, run):
    (tmp_path / "ucf").mkdir()
    root, path = ucf_root(tmp_path / "ucf"), tmp_path / "ucf.json"
    printed = vadbench("data", "export", "ucfcrime", "--data-root", root, "--out", path)
    assert str(path) in printed.out
    again = vadbench("data", "export", "ucfcrime", "--data-root", root, "--truth", path)
    assert json.loads(again.out)["videos"] == json.loads(path.read_text())["videos"]
    assert json.loads(again.out)["truth"].startswith("ucf.json@")
    plain = run("-m", "blind-centre", "-d", "spans", "--truth", path)
    truth = [t < 20 or 30 <= t < 40 for t in range(60)] + [t >= 4 for t in range(50)] + [False] * 17
    assert plain["metrics"]["prevalence"]["value"] == pytest.approx(sum(truth) / len(truth))


def test_fractions_become_frames(vadbench, tmp_path):
    root = ucf_root(tmp_path)
    numbers = {"RoadAccidents010_x264": (60, "Road accidents", [(1, 20), (31, 40)])}
    numbers |= {"Shooting015_x264": (50, "shooting", [(5, 52)]), "Normal_Videos_003_x264": (17, "Normal", [])}
    content = [entry(name, *facts) for name, facts in numbers.items()]
    (tmp_path / "ucf_test_anno.json").write_text(json.dumps(content))
    found = vadbench("data", "export", "ucfcrime", "--data-root", root, "--truth", tmp_path / "ucf_test_anno.json")
    own = vadbench("data", "export", "ucfcrime", "--data-root", root)
    assert json.loads(found.out)["videos"] == json.loads(own.out)["videos"], "they are 1-based with both ends inside"


def test_lengths_that_a_data_set_does_not_state_are_decoded(vadbench, tmp_path):
    root = make_root(tmp_path / "root", "tad", "fractions", None, with_videos=True)
    content = json.loads(vadbench("data", "export", "tad", "--data-root", root).out)
    assert content["videos"]["Normal_903"] == {"frames": 30, "segments": []}
    (root / "clips" / "Normal_903.mp4").write_bytes(b"cut")
    found = vadbench("data", "export", "tad", "--data-root", root)
    assert json.loads(found.out)["videos"]["Normal_903"] == {"frames": None, "segments": []}
    assert "1 of 3 videos have a number of frames that is not known: Normal_903" in found.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tad", "--split", "validation"), "tad has no validation split"),
        (("tad", "--truth", "absent.json"), "absent.json"),
        (("tda",), "did you mean 'tad'"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_a_line(vadbench, tmp_path, arguments, words):
    root = make_root(tmp_path / "root", "tad")
    found = vadbench("data", "export", *arguments, "--data-root", root, status=2)
    assert len(found.err.splitlines()) == 1 and words in found.err and not found.out


def test_a_file_that_cannot_be_written_is_one_line(vadbench, tmp_path):
    root = make_root(tmp_path / "root", "tad")
    (tmp_path / "file").write_text("")
    found = vadbench("data", "export", "tad", "--data-root", root, "--out", tmp_path / "file" / "x.json", status=2)
    assert "choose another folder" in found.err.splitlines()[-1]
    assert not list(Path(os.environ["VADBENCH_CACHE"]).glob("datasets/*"))


def test_a_ground_truth_is_enough_to_check_a_data_set_that_is_nothing_else(vadbench, tmp_path):
    videos = {f"video-{i}": {"frames": 40, "segments": [["Fight", 5, 20]] if i % 2 else []} for i in range(4)}
    (tmp_path / "mine.json").write_text(json.dumps({"videos": videos}))
    found = vadbench("check", "dataset", "spans", "--truth", tmp_path / "mine.json", "--json").json
    assert {check["result"] for check in found} == {"passed"}
    assert "4 of 4 test videos" in {check["check"]: check["found"] for check in found}["counts"]
    # Without one there is nothing to check.
    found = vadbench("check", "dataset", "spans", "--json").json
    assert "no data root for spans" in {check["check"]: check["found"] for check in found}["counts"]
