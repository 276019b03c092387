"""``vadbench descriptions check`` and ``vadbench run --descriptions`` as a user types them."""

import json
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from places import PLUGIN

pytestmark = pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
SITE = 'normal = ["people walking", "an ordinary street"]\nabnormal = ["a fire with smoke"]\n'


@pytest.fixture
def site(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(SITE)
    return path


@pytest.fixture
def run(vadbench, tmp_path):
    """``vadbench run`` on the tiny data set, its records."""

    def call(*arguments, status=0):
        base = ("run", "--plugin", PLUGIN, "--device", "cpu", "--out", tmp_path / "runs", "--json")
        out, err = vadbench(*base, *arguments, status=status)
        return json.loads(out) if out else None, err

    return call


def test_a_sound_bank_is_shown_with_its_nearest_phrases(vadbench, site):
    out, _ = vadbench("descriptions", "check", site)
    assert "nearest of the other side" in out and "people walking" in out
    assert out.splitlines()[-1].endswith("site.toml: 2 normal and 1 abnormal phrases; can be used")
    found = vadbench("descriptions", "check", site, "--json").json
    assert found["problems"] == found["notes"] == []
    assert found["clip"] == {"model": "small", "weights": ""}
    by_phrase = {p["phrase"]: p for p in found["phrases"]}
    assert set(by_phrase) == {"people walking", "an ordinary street", "a fire with smoke"}
    assert by_phrase["people walking"]["nearest"] == "a fire with smoke" and by_phrase["people walking"]["tokens"] == 4


def test_a_bank_that_comes_with_the_methods_is_checked_by_its_name(vadbench):
    out, _ = vadbench("descriptions", "check", "general")
    assert out.splitlines()[-1].startswith("general: ") and out.splitlines()[-1].endswith("; can be used")
    assert "did you mean 'general'?" in vadbench("descriptions", "check", "genera", status=2).err


def test_a_phrase_that_is_too_long_behind_its_prefix_is_a_problem(vadbench, site):
    site.write_text(f'normal = ["a street"]\n[classes]\nFire = ["{"walking " * 74}"]\n[normals]\nFire = ["a stove"]\n')
    (problem,) = vadbench("descriptions", "check", site, "--json", status=2).json["problems"]
    assert problem.startswith("'Anomalous scene: walking ") and "CLIP reads 77" in problem


def test_every_problem_is_listed_and_the_status_says_so(vadbench, site):
    long = "walking " * 90
    site.write_text(
        f'normal = ["a street", "A street", "", "fire"]\nabnormal = ["{long}"]\n[classes]\nFire = ["fire"]\n'
    )
    out, _ = vadbench("descriptions", "check", site, status=2)
    problems = [line for line in out.splitlines() if line.startswith("problem: ")]
    assert len(problems) == 4
    for part in ("2 times in normal", "an empty phrase in normal", "both normal and abnormal", "is 92 tokens long"):
        assert any(part in line for line in problems), part
    assert out.splitlines()[-1].endswith("cannot be used, 4 to fix")


def test_ambiguous_phrases_are_listed_and_those_above_the_threshold_noted(vadbench, site):
    site.write_text(
        SITE + '[classes]\nFire = ["burning flames"]\n[normals]\nFire = ["red evening light", "dark street"]\n'
    )
    found = vadbench("descriptions", "check", site, "--json", "--ambiguity", "-1").json
    values = [a["value"] for a in found["ambiguities"]]
    assert values == sorted(values, reverse=True) and {a["name"] for a in found["ambiguities"]} == {"Fire"}
    noted = [note for note in found["notes"] if "reword it" in note]
    assert len(noted) == 2 and found["ambiguities"][0]["phrase"] in noted[0] and found["problems"] == []
    between = str(sum(values) / 2)
    out = vadbench("descriptions", "check", site, "--ambiguity", between).out
    assert sum("reword it" in line for line in out.splitlines()) == 1 and f"{values[1]:.3f}" in out
    site.write_text(site.read_text() + '[avoid]\nFire = ["Evening"]\n')
    out = vadbench("descriptions", "check", site, status=2).out
    assert "problem: normal phrase 'red evening light' has 'Evening', which class 'Fire' avoids; reword it" in out


def test_phrases_of_both_sides_that_are_the_same_to_clip_are_noted(vadbench, site):
    """The small CLIP was never taught to fall."""
    site.write_text('normal = ["a person walking"]\nabnormal = ["a fallen person walking", "a fire with smoke"]\n')
    found = vadbench("descriptions", "check", site, "--json").json
    noted = [note for note in found["notes"] if note.startswith("CLIP can hardly tell")]
    alike = [p for p in found["phrases"] if p["abnormal"] and p["cosine"] >= 0.99]
    assert [p["phrase"] for p in alike] == ["a fallen person walking"]
    (note,) = noted
    assert "the abnormal 'a fallen person walking' from the normal 'a person walking' (cosine 1.000)" in note


def test_a_bank_of_one_side_is_a_problem(vadbench, site):
    site.write_text('normal = ["a street"]\n')
    assert "problem: no abnormal phrase" in vadbench("descriptions", "check", site, status=2)[0]
    site.write_text('abnormal = ["a street"]\n')
    assert "problem: no normal phrase" in vadbench("descriptions", "check", site, status=2)[0]


def test_an_unreadable_bank_is_one_line(vadbench, tmp_path):
    for name, text in (("missing.toml", None), ("broken.toml", "normal = [\n"), ("other.toml", "title = 3")):
        if text is not None:
            (tmp_path / name).write_text(text)
        out, err = vadbench("descriptions", "check", tmp_path / name, status=2)
        assert not out and len(err.splitlines()) == 1 and name in err


def test_words_never_taught_and_classes_without_phrases_are_noted(vadbench, site):
    site.write_text(SITE + '[classes]\nFire = ["flames on a zebra"]\nExplosion = ["cyclist fighting"]\n')
    out, _ = vadbench("descriptions", "check", site, "--dataset", "synthetic")
    notes = [line for line in out.splitlines() if line.startswith("note: ")]
    assert any(
        "'small' was never taught: " in n
        and {"zebra", "cyclist", "fighting"} <= set(n.replace(",", "").replace(";", "").split())
        for n in notes
    )
    assert any("Cyclist, Fallen person, Fighting, Vehicle on walkway" in n for n in notes)


def test_a_class_that_the_data_set_lacks_stops_every_command_in_one_line(vadbench, run, site, tmp_path):
    site.write_text(SITE + '[classes]\nSquare = ["a bright square"]\nSqare = ["a light square"]\n')
    said = "rename the class 'Sqare', which the data set lacks, or move its phrases to the list 'abnormal'; did you"
    checked, _ = vadbench("descriptions", "check", site, "--dataset", "tiny", "--plugin", PLUGIN, status=2)
    assert sum(said in line for line in checked.splitlines() if line.startswith("problem: ")) == 1
    for method in ("descriptions-frame", "descriptions-video"):
        _, err = run("-m", method, "-d", "tiny", "--descriptions", site, status=2)
        assert len(err.splitlines()) == 1 and said in err and "mean 'Square'" in err
    video = tmp_path / "none.mp4"
    video.touch()
    named = ("--method", "descriptions-frame", "--descriptions", site, "--dataset", "tiny", "--plugin", PLUGIN)
    _, err = vadbench("score", video, *named, "--out", tmp_path / "scored", status=2)
    assert len(err.splitlines()) == 1 and said in err
    file = tmp_path / "bench.toml"
    file.write_text(
        'title = "t"\n[[tables]]\nid = "1"\ntitle = "t"\ncolumns = [{ dataset = "tiny", metric = "AUC" }]\n'
        f'rows = [{{ label = "a", method = "descriptions-frame", set = {{ descriptions = "{site}" }} }}]\n'
    )
    shown, _ = vadbench("bench", file, "--plugin", PLUGIN, "--out", tmp_path / "runs")
    assert sum(said in line for line in shown.splitlines() if line.startswith("impossible here: ")) == 1


def test_a_run_on_a_bank_of_ones_own_needs_no_training(run, site):
    arguments = ("-m", "descriptions-frame", "-d", "tiny", "--set", "recipe.epochs=0")
    (record,), _ = run(*arguments, "--descriptions", site)
    assert record["status"] == "finished" and "training" not in record["seconds"]
    assert record["config"]["recipe"]["epochs"] == 0 and record["changed"][0] == "recipe.epochs"
    assert record["config"]["descriptions"]["abnormal"] == ["a fire with smoke"]
    (same,), _ = run(*arguments, "--set", f"descriptions={site}")
    assert same["key"] == record["key"] and same["created"] == record["created"]
    moved = site.rename(site.with_name("elsewhere.toml"))
    assert run(*arguments, "--descriptions", moved)[0][0]["key"] == record["key"]
    moved.write_text(SITE.replace("smoke", "flames"))
    (edited,), _ = run(*arguments, "--descriptions", moved)
    assert edited["key"] != record["key"]
    (general,), _ = run(*arguments)
    assert general["config"]["descriptions"]["title"] == "general"


def test_a_run_without_an_epoch_scores_as_the_words_do_and_has_no_weights_to_select(run, site):
    arguments = ("-m", "descriptions-frame", "-d", "tiny", "--descriptions", site, "--set", "recipe.epochs=0")
    (record,), _ = run(*arguments, "--seeds", "3")
    folder = Path(record["folder"])
    assert json.loads((folder / "checkpoint.json").read_text())["threshold"] is None
    weights = load_file(folder / "checkpoint.safetensors")
    assert (weights["weights"] == 1).all() and (weights["biases"] == 0).all()
    assert not (folder / "training.jsonl").exists()
    for rule in ("validation", "best-on-test"):
        _, err = run(*arguments, "--selection", rule, status=2)
        assert "is not trained: there are no weights to select; leave --selection out" in err


@pytest.mark.parametrize("method", ["linear", "mil"])
def test_any_method_may_be_run_as_it_begins(run, method):
    (record,), _ = run("-m", method, "-d", "tiny", "--set", "recipe.epochs=0")
    assert record["status"] == "finished" and record["config"]["recipe"]["epochs"] == 0
    assert not {"training", "threshold"} & record["seconds"].keys()
    (same,), _ = run("-m", method, "-d", "tiny", "--set", "recipe.epochs=0")
    assert same["created"] == record["created"]


def test_a_finished_run_keeps_its_words_without_the_file(run, site):
    settings = ("--set", "recipe.epochs=1", "--set", "recipe.batch_size=4")
    (record,), _ = run("-m", "descriptions-video", "-d", "tiny", "--descriptions", site, *settings)
    site.unlink()
    (again,), _ = run("--from", record["folder"], "--protocol", "vadclip")
    assert again["config"]["descriptions"]["normal"] == ["people walking", "an ordinary street"]
    assert again["key"] == record["key"] and again["evaluation"] != record["evaluation"]
    _, err = run("--from", record["folder"], "--descriptions", site, status=2)
    assert "leave out --set, --descriptions" in err


def test_a_bank_with_normal_sides_on_a_data_set_that_has_none_of_its_own(run, site):
    asked = ("-m", "prompt-contrast", "-d", "tiny")
    _, said = run(*asked, status=2)
    assert len(said.splitlines()) == 1 and "name one with --descriptions" in said
    site.write_text('normal = ["a grey wall"]\n[classes]\nSquare = ["a bright square"]\n')
    (found,), _ = run(*asked, "--descriptions", site)
    assert found["supervision"] == "training-free" and found["protocol"]["post"] == "gaussian(50f)"
    assert "AUC/unprocessed" in found["metrics"]
    assert {"normals", "avoid"}.isdisjoint(found["config"]["descriptions"]), "as banks were recorded before"
    lines = (Path(found["folder"]) / "remarks.jsonl").read_text().splitlines()
    assert {json.loads(line)["text"] for line in lines} == {"a bright square"}
    site.write_text(site.read_text() + '[normals]\nSquare = ["an empty wall"]\n')
    (other,), _ = run(*asked, "--descriptions", site)
    assert other["key"] != found["key"]
    assert other["config"]["descriptions"]["normals"] == [["Square", ["an empty wall"]]]


def test_a_method_that_reads_no_descriptions_says_so(run, site):
    _, err = run("-m", "linear", "-d", "tiny", "--descriptions", site, status=2)
    assert "'linear' reads no descriptions; leave --descriptions out" in err


@pytest.mark.parametrize("given", ["descriptions=general", 'descriptions.normal=["a street"]'])
def test_descriptions_that_are_given_twice_are_refused(run, site, given):
    _, err = run("-m", "descriptions-frame", "-d", "tiny", "--descriptions", site, "--set", given, status=2)
    assert f"--descriptions {site} and --set {given} both give descriptions; leave one out" in err


def test_a_bank_that_cannot_be_used_stops_a_run_in_one_line(run, site):
    site.write_text(SITE + '[classes]\nFire = ["a fire with smoke"]\n')
    _, err = run("-m", "descriptions-frame", "-d", "tiny", "--descriptions", site, status=2)
    assert len(err.splitlines()) == 1
    assert f"description bank {site}: 'a fire with smoke' is in abnormal and in classes.Fire; keep one" in err


def test_show_prints_a_bank_as_set_takes_it(vadbench):
    found = vadbench("show", "method", "descriptions-frame", "--dataset", "ucfcrime", "--json").json
    settings = {s["name"]: s["value"] for s in found["settings"]}
    assert settings["descriptions"] == "ucfcrime"
    assert vadbench("show", "method", "anomalyclip", "--json").json["settings"]


AXES = {
    "descriptions-video": [
        ["temporal.global=false"],
        ["temporal.local=false", "temporal.global=false"],
        ["temporal.window=8"],
        ["temporal.layers=3"],
        ["prompt.kind=template"],
        ["prompt.kind=learned-category"],
        ["prompt.position=middle"],
        ["prompt.length=32"],
    ],
    "descriptions-frame": [["vote=majority"], ["vote=none"], ["descriptions=general"]],
}
"""Tables 5 to 10 of the paper as settings."""


@pytest.mark.parametrize("method, settings", [(m, s) for m in AXES for s in AXES[m]], ids=str)
def test_every_axis_of_the_papers_tables_runs_from_the_command_line(run, method, settings):
    two_steps = ["recipe.epochs=2", "recipe.batch_size=8", "length=16"]
    chosen = [part for setting in (*two_steps, *settings) for part in ("--set", setting)]
    (record,), _ = run("-m", method, "-d", "tiny", *chosen)
    log = [json.loads(line) for line in (Path(record["folder"]) / "training.jsonl").read_text().splitlines()]
    assert sum(line["steps"] for line in log) == 2
    assert 0 <= record["metrics"]["AUC"]["value"] <= 1


@pytest.mark.slow
def test_a_phrase_for_a_kind_that_was_left_out_makes_it_recognised(vadbench, tmp_path, monkeypatch, synthetic_cache):
    monkeypatch.setenv("VADBENCH_CACHE", str(synthetic_cache))
    normal = '["normal street with nothing unusual", "ordinary street", "people walking normally"]'
    phrases = {"Fire": "a fire with smoke", "Vehicle on walkway": "a vehicle on the walkway"}
    added = {"Explosion": "a big explosion", "Fallen person": "a person lying on the ground"}
    found = []
    for number, classes in enumerate((phrases, phrases | added)):
        site = tmp_path / f"{number}.toml"
        lines = [f'"{name}" = ["{phrase}"]' for name, phrase in classes.items()]
        site.write_text("\n".join([f"normal = {normal}", "[classes]", *lines]))
        out, _ = vadbench(
            "run", "-m", "descriptions-frame", "-d", "synthetic", "--set", "recipe.epochs=0", "--descriptions", site,
            "--out", tmp_path / "runs", "--device", "cpu", "--json",
        )  # fmt: skip
        found.append({name: metric["value"] for name, metric in json.loads(out)[0]["metrics"].items()})
    before, after = found
    for kind in added:
        assert after[f"AP[{kind}]"] > before[f"AP[{kind}]"] + 0.5
    assert after["AUC"] > before["AUC"]
