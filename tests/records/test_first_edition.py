"""A run folder that the first edition left (without its weights): every command that reads run folders reads it."""

import csv
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from command_line import status_of, succeed
from vadbench.base.errors import RunError
from vadbench.harness.checkpoints import read_info
from vadbench.metrics.measurement import measure
from vadbench.records import published
from vadbench.records.folders import read_record
from vadbench.records.record import SCHEMA
from vadbench.records.scores import load_split

FOLDER = Path(__file__).resolve().parent / "first_edition"
KEY = "24294662df02"
CLASSES = ["Cyclist", "Explosion", "Fallen person", "Fighting", "Fire", "Vehicle on walkway"]
BRANCHES = ["coarse", "align"]


@pytest.fixture
def out(tmp_path):
    return Path(shutil.copytree(FOLDER, tmp_path / "runs"))


@pytest.fixture
def folder(out):
    return out / "synthetic" / "vadclip" / KEY


@pytest.fixture
def vadbench(vadbench, out):
    return lambda *arguments, status=0: vadbench(*arguments, "--out", out, status=status)


def require_as_known(metrics, known):
    """Require the known values; no interval rests on the four videos that have a segment of each class, others are a
    little wider today."""
    few = {k: f"no interval: 4 videos of class {c}, fewer than 5" for c in CLASSES for k in (f"AUC[{c}]", f"AP[{c}]")}
    for key, old in known.items():
        new = metrics[key]
        assert new.value == pytest.approx(old.value, abs=1e-12)
        if key in few:
            assert (new.low, new.high, new.reason) == (None, None, few[key])
        else:
            assert old.low - 0.03 <= new.low <= old.low and old.high <= new.high <= old.high + 0.03, key


def written(folder):
    return json.loads((folder / "result.json").read_text())


def test_the_record_is_one_of_the_first_edition_and_names_no_folder(folder):
    assert written(folder)["schema_version"] == 2
    for path in folder.glob("*.json*"):
        assert not re.search(r"/(tmp|home|root|work|data)\b", path.read_text())


def test_every_figure_is_found_under_todays_key(folder):
    old, record = written(folder)["metrics"], read_record(folder)
    assert record.schema_version == SCHEMA
    spelling = {f"{m}/{c}": f"{m}[{c}]" for m in ("AUC", "AP") for c in CLASSES}
    spelling |= {f"{m}/{b}": f"{m}({b})" for m in ("AUC", "AP", "AnoAUC") for b in BRANCHES}
    assert spelling.keys() <= old.keys()
    expected = {spelling.get(key, key): value for key, value in old.items()}
    assert {key: value.model_dump() for key, value in record.metrics.items()} == expected


def test_its_scores_measure_as_they_did(folder):
    require_as_known(measure(load_split(folder)), read_record(folder).metrics)


def test_its_checkpoint_is_described(folder):
    info = read_info(folder)
    assert (info.method, info.dataset, info.key) == ("vadclip", "synthetic", KEY)
    table = info.class_table()
    assert sorted(table.names[i] for i in table.abnormal) == CLASSES


def test_it_is_shown(vadbench):
    text, _ = vadbench("show", "run", KEY)
    assert "AUC(coarse)" in text and "Vehicle on walkway" in text and "AUC/" not in text
    assert "AUC[Fire]" in vadbench("show", "run", KEY, "--json").json["metrics"]


def test_it_is_ranked_and_stands_in_tables(vadbench, folder):
    auc = written(folder)["metrics"]["AUC/Fire"]["value"]
    for metric in ("AUC/Fire", "AUC[Fire]"):
        rows = csv.DictReader(io.StringIO(vadbench("leaderboard", "--metric", metric, "--format", "csv")[0]))
        (figure,) = [r["reproduced"] for r in rows if r["metric"] == "AUC[Fire]" and r["row"].startswith("vadclip")]
        assert float(figure) == pytest.approx(auc, abs=1e-6)
    assert f"{100 * written(folder)['metrics']['AUC']['value']:.2f}" in vadbench("table", "quick/synthetic")[0]


def test_it_is_compared_drawn_and_reported(vadbench, tmp_path):
    found = vadbench("compare", KEY, KEY, "--metrics", "AUC,AUC/Fire", "--json").json["metrics"]
    assert list(found) == ["AUC", "AUC[Fire]"] and found["AUC"]["verdict"] == "identical"
    assert vadbench("plot", KEY, "--kind", "per-class", "--output", tmp_path / "p")[0].endswith("per-class.pdf\n")
    vadbench("report", KEY, "--no-thumbnails", "--output", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
    assert [name for name, auc, ap in data["runs"][0]["perClass"] if auc and ap] == CLASSES


def test_measured_again_it_keeps_its_figures_and_gets_those_of_today(vadbench, folder):
    before = read_record(folder).metrics
    text, err = vadbench("rescore", KEY)
    record = read_record(folder)
    assert err == "" and "event-F1@0.3" in record.metrics and len(record.metrics) > len(before)
    require_as_known(record.metrics, before)
    once = (folder / "result.json").read_bytes()
    text, err = vadbench("rescore", KEY)
    assert ": unchanged, " in text and err == "" and (folder / "result.json").read_bytes() == once


def test_its_events_are_counted_from_the_threshold_of_its_training_on(vadbench, folder):
    threshold = json.loads((folder / "checkpoint.json").read_text())["threshold"]
    split = load_split(folder)
    assert split.threshold == threshold == pytest.approx(0.42015, abs=1e-5)
    assert read_record(folder).threshold is None
    with_it = measure(split)["hit"]
    vadbench("rescore", KEY)
    assert read_record(folder).threshold == threshold
    (folder / "checkpoint.json").unlink()  # the record has it now
    assert load_split(folder).threshold == threshold and measure(load_split(folder))["hit"] == with_it
    assert not any("chosen on the normal test videos" in note for note in read_record(folder).notes)


@pytest.mark.parametrize("content", [None, "{", "[]", "[" * 100_000, '{"threshold": "high"}', '{"threshold": 1e999}'])
def test_without_a_legible_checkpoint_its_threshold_is_chosen_on_the_test_split_and_it_says_so(
    vadbench, folder, content
):
    (folder / "checkpoint.json").unlink()
    if content is not None:
        (folder / "checkpoint.json").write_text(content)
    assert load_split(folder).threshold is None
    vadbench("rescore", KEY)
    record = read_record(folder)
    assert record.threshold is None and record.metrics["hit"].value is not None
    assert [note for note in record.notes if "chosen on the normal test videos" in note] != []
    assert "unchanged" in vadbench("rescore", KEY)[0]
    assert read_record(folder).notes == record.notes


def test_the_threshold_of_another_data_set_is_not_taken_from_its_checkpoint(folder):
    content = written(folder)
    (folder / "result.json").write_text(json.dumps(content | {"trained_on": "elsewhere"}))
    assert load_split(folder).threshold is None


def test_its_frame_rates_are_unknown(folder):
    assert {s.rate for s in load_split(folder).given} == {None}
    reason = measure(load_split(folder))["false-alarms-per-hour"].reason
    assert reason.startswith("the frame rate of") and "normal videos is unknown" in reason


def test_where_measuring_changes_it_the_record_is_written_as_todays(vadbench, folder):
    content = written(folder)
    content["metrics"]["AP/Fire"]["value"] = 0.5
    (folder / "result.json").write_text(json.dumps(content))
    assert "AP[Fire]" in vadbench("rescore", KEY)[0]
    assert written(folder)["schema_version"] == SCHEMA
    known = read_record(FOLDER / "synthetic" / "vadclip" / KEY).metrics
    require_as_known(read_record(folder).metrics, {"AP[Fire]": known["AP[Fire]"]})


def test_handed_in_it_is_checked_like_any_other(capsys, out, folder):
    def check():
        status_of("results", "check", out)
        return capsys.readouterr().out

    # Its record lacks the figures of today.
    assert "the scores give hit, the record do not" in check()
    status_of("rescore", KEY, "--out", out)
    assert "nothing to fix" in check()
    content = written(folder)
    content["metrics"]["AP[Fire]"]["value"] = 0.5
    (folder / "result.json").write_text(json.dumps(content))
    assert "AP[Fire] has value 0.5, its scores give" in check()


def test_it_is_logged_under_todays_keys(vadbench, out, tracking_address):
    from mlflow import MlflowClient

    succeed("log", out / "synthetic" / "vadclip" / KEY)
    client = MlflowClient(tracking_uri=tracking_address)
    runs = client.search_runs([client.get_experiment_by_name("synthetic").experiment_id])
    (child,) = [r for r in runs if r.data.tags.get("vadbench.key") == KEY and "mlflow.parentRunId" in r.data.tags]
    assert {"AUC/class Vehicle on walkway", "AnoAUC/branch align"} <= child.data.metrics.keys()


def test_a_first_edition_record_with_a_key_that_means_nothing_is_refused_in_one_line(folder):
    content = written(folder)
    content["metrics"]["AUC (of all)"] = {"value": 0.5}
    (folder / "result.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"not a run record: metrics.*expected metric\[/measure\]") as error:
        read_record(folder)
    assert len(str(error.value).splitlines()) == 1


def test_published_numbers_in_the_first_editions_spelling_are_the_same_numbers():
    fields = dict.fromkeys(published.PublishedNumber.__dataclass_fields__, "x") | {"value": "4.98"}
    del fields["printed"]
    for old, new, value in (
        ("AUC/Abuse", "AUC[Abuse]", 0.0498),
        ("time_ms[CLIP feature]", "time_ms/CLIP-feature", 4.98),
    ):
        number = published._number(fields | {"metric": old})
        assert number == published._number(fields | {"metric": new})
        assert (number.metric, number.value) == (new, value)
    assert published.search(metric="AUC/Abuse") == published.search(metric="AUC[Abuse]") != []
    assert published.search(metric="auc/abuse") == published.search(metric="AUC[Abuse]")
    assert published.search(metric="time_ms[total]") == published.search(metric="time_ms/total") != []


def test_a_branch_that_was_called_by_what_keys_cannot_carry_is_read(folder, vadbench):
    path, name = folder / "result.json", "text+image (0.5)"
    content = written(folder)
    content["metrics"] = {k.replace("/align", f"/{name}"): v for k, v in content["metrics"].items()}
    path.write_text(json.dumps(content))
    with np.load(folder / "scores.npz") as file:
        arrays = {k.replace("branch align", f"branch {name}"): file[k] for k in file.files}
    np.savez(folder / "scores.npz", **arrays)
    assert "AUC(text-image-0-5)" in read_record(folder).metrics
    assert list(load_split(folder).scores[0].branches) == ["coarse", "text-image-0-5"]
    before = read_record(folder).metrics
    vadbench("rescore", folder)
    require_as_known(read_record(folder).metrics, before)


def test_metrics_that_runs_do_not_have_or_that_are_not_compared_are_named(vadbench, folder):
    _, err = vadbench("leaderboard", "--metric", "AUC/align", status=2)
    assert "unknown metric of these runs 'AUC[align]'" in err and "AUC(align)" in err
    _, err = vadbench("compare", folder, folder, "--metrics", "AUC(align)", status=2)
    assert err.strip().endswith("scores of branches are not compared, found AUC(align); leave it out")
    _, err = vadbench("compare", folder, folder, "--metrics", "AUC/align", status=2)
    assert "(align)" not in err
