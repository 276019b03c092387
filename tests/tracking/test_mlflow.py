"""What lands in a real sqlite store, read back through MLflow's own client and through SQL."""

import contextlib
import http.server
import json
import math
import re
import sqlite3
import subprocess
import sys
import threading
import traceback

import pytest

from vadbench.base.errors import TrackingError
from vadbench.metrics.definitions import MetricValue
from vadbench.records.folders import Outcome, write_record
from vadbench.records.record import RunRecord, SplitRecord
from vadbench.tracking.database import check_store, writing
from vadbench.tracking.mlflow import log_runs
from vadbench.tracking.mlflow_keys import metric_key


@pytest.fixture
def outcome(tmp_path):
    def make(seed, dataset, value=0.8, **changes):
        folder = tmp_path / dataset / str(seed)
        fields = dict(
            status="finished",
            method="m",
            method_version="1",
            dataset=dataset,
            trained_on=dataset,
            seed=seed,
            key=f"key{seed}",
            evaluation="e",
            protocol={"name": "native"},
            metrics={
                "AUC": MetricValue(value=value, low=value - 0.1, high=value + 0.1),
                "mAP@0.1": MetricValue(value=0.25),
                "mAP": MetricValue(value=None, reason="the method gives no probabilities of these classes"),
                "AUC[Car (parked)]": MetricValue(value=0.5),
            },
            config={
                "recipe": {"epochs": 2, "text": "x" * 9000},
                "n_ctx": 8,
                "flag": True,
                "weights": {"Car (parked)": 2, "no": {}},
            },
            changed=[],
            fingerprint={"encoder": "small"},
            clip={"model": "small", "weights": ""},
            data={"test": SplitRecord(videos=4, expected=4, abnormal=2, manifest="abc", frames=100, positives=10)},
            environment={"commit": "c", "device": "cpu"},
            seconds={"training": 1.5},
            compute={"parameters": 3, "cpu_seconds": {"scoring": 1.0}, "video_hours": 2.0},
            created="2026-01-01T00:00:00+00:00",
        )
        record = RunRecord(**(fields | changes))
        write_record(folder, record)
        lines = [{"epoch": e, "learning_rate": 0.1, "steps": 1, "loss": {"total": 1.0 / (e + 1)}} for e in range(3)]
        (folder / "training.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
        (folder / "roc.png").write_bytes(b"png")
        return Outcome(folder, record, reused=False)

    return make


@pytest.fixture
def client(tracking_address):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=tracking_address)


def test_seeds_become_children_of_one_parent(outcome, client, tracking_address):
    outcomes = [outcome(seed, "seeds", value=0.7 + seed / 10) for seed in range(2)]
    assert log_runs(outcomes) == tracking_address
    experiment = client.get_experiment_by_name("seeds")
    runs = client.search_runs([experiment.experiment_id])
    parents = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    children = [r for r in runs if "mlflow.parentRunId" in r.data.tags]
    assert (len(parents), len(children)) == (1, 2)
    assert {c.data.tags["mlflow.parentRunId"] for c in children} == {parents[0].info.run_id}
    assert parents[0].data.metrics["AUC"] == pytest.approx(0.75)
    assert parents[0].data.metrics["AUC_std"] == pytest.approx(0.0707, abs=1e-4)
    assert all(r.info.status == "FINISHED" for r in runs)
    child = next(c for c in children if c.data.params["seed"] == "0")
    assert child.data.metrics["AUC"] == 0.7
    assert child.data.metrics["AUC_low"] == pytest.approx(0.6)
    assert child.data.metrics["mAP_at_0.1"] == 0.25
    assert child.data.metrics["AUC/class Car _28_parked_29_"] == 0.5
    assert child.data.metrics["seconds_training"] == 1.5
    costs = {name: value for name, value in child.data.metrics.items() if name.startswith("cost_")}
    assert costs == {"cost_training_seconds": 1.5, "cost_parameters": 3, "cost_scoring_ms_per_hour": 500}
    assert "mAP" not in child.data.metrics
    assert "no probabilities of these classes" in child.data.tags["vadbench.undefined"]
    assert child.data.params["recipe.epochs"] == "2"
    assert child.data.params["flag"] == "true" and child.data.params["weights.no"] == "{}"
    assert child.data.params["weights.Car _28_parked_29_"] == "2"
    assert len(child.data.params["recipe.text"]) == 6000
    assert json.loads(child.data.tags["vadbench.fingerprint"]) == {"encoder": "small"}
    history = client.get_metric_history(child.info.run_id, "loss_total")
    assert [(m.step, m.value) for m in history] == [(0, 1.0), (1, 0.5), (2, pytest.approx(1 / 3))]
    assert {a.path for a in client.list_artifacts(child.info.run_id)} == {"result.json", "roc.png"}
    (given,) = client.get_run(child.info.run_id).inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("seeds", "abc")


def test_the_versions_of_what_computes_on_a_gpu_are_tags(outcome, client):
    versions = {"cuda": "13.2", "cudnn": "9.26.0", "driver": "580.65.06"}
    log_runs([outcome(0, "gpu", environment={"commit": "c", "device": "NVIDIA H200", **versions}), outcome(1, "gpu")])
    runs = client.search_runs([client.get_experiment_by_name("gpu").experiment_id])
    found = {
        run.data.tags["vadbench.device"]: {n: run.data.tags.get(f"vadbench.{n}") for n in versions}
        for run in runs
        if "mlflow.parentRunId" in run.data.tags
    }
    assert found == {"NVIDIA H200": versions, "cpu": dict.fromkeys(versions)}


def test_the_truth_and_the_division_are_tags(outcome, client):
    log_runs([outcome(0, "tagged-own")])
    log_runs(
        [
            outcome(
                0, "tagged-other", protocol={"name": "native", "truth": "mine.json@012345abcdef", "partition": "wide"}
            )
        ]
    )
    for name, found in (("tagged-own", {}), ("tagged-other", {"truth": "mine.json@012345abcdef", "partition": "wide"})):
        for run in client.search_runs([client.get_experiment_by_name(name).experiment_id]):
            tags = {tag: run.data.tags.get(f"vadbench.{tag}") for tag in ("truth", "partition")}
            assert {tag: value for tag, value in tags.items() if value is not None} == found


def test_rates_of_groups_and_losses_of_stages_have_names_of_their_own(outcome, client):
    made = outcome(0, "stages")
    lines = [
        {"stage": "mil", "epoch": 0, "learning_rate": 0.1, "steps": 1, "loss": {"total": 1.0}},
        {
            "stage": "refine (2)",
            "epoch": 0,
            "learning_rate": {"default": 0.2, "head": 0.3},
            "steps": 1,
            "loss": {"head/bce": 2.0, "total": 3.0},
        },
    ]
    (made.folder / "training.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    log_runs([made])
    experiment = client.get_experiment_by_name("stages").experiment_id
    (child,) = [r for r in client.search_runs([experiment]) if "mlflow.parentRunId" in r.data.tags]
    found = {k: v for k, v in child.data.metrics.items() if k.startswith(("loss_", "learning_rate"))}
    assert found == {
        "learning_rate/mil": 0.1,
        "loss_mil/total": 1.0,
        "learning_rate/refine _28_2_29_/default": 0.2,
        "learning_rate/refine _28_2_29_/head": 0.3,
        "loss_refine _28_2_29_/head/bce": 2.0,
        "loss_refine _28_2_29_/total": 3.0,
    }


def test_logging_twice_adds_nothing(outcome, client):
    log_runs([outcome(0, "twice")])
    log_runs([outcome(0, "twice")])
    assert len(client.search_runs([client.get_experiment_by_name("twice").experiment_id])) == 2


def test_what_is_logged_takes_no_mlflow(outcome, client, monkeypatch):
    given, calls = [outcome(0, "known"), outcome(1, "known")], []
    stored = log_runs(given)

    @contextlib.contextmanager
    def counted(address):
        calls.append(address)
        with writing(address) as store:
            yield store

    monkeypatch.setattr("vadbench.tracking.mlflow.writing", counted)
    assert log_runs(given) == stored and not calls
    experiment = client.get_experiment_by_name("known").experiment_id
    (child,) = client.search_runs([experiment], "params.seed = '1'")
    client.delete_run(child.info.run_id)
    log_runs(given[:1])
    assert not calls
    log_runs(given)
    (again,) = client.search_runs([experiment], "params.seed = '1'")
    assert len(calls) == 1 and again.info.run_id != child.info.run_id


def test_a_log_that_stopped_before_its_means_is_completed(outcome, client, monkeypatch):
    log_runs([outcome(0, "means", 0.5)])
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("vadbench.tracking.mlflow._summarise", raising(KeyboardInterrupt))
        log_runs([outcome(0, "means", 0.9)])
    experiment = client.get_experiment_by_name("means").experiment_id
    (child,) = client.search_runs([experiment], "tags.`mlflow.parentRunId` != ''")
    parent = child.data.tags["mlflow.parentRunId"]
    assert (child.data.metrics["AUC"], client.get_run(parent).data.metrics["AUC"]) == (0.9, 0.5)
    log_runs([outcome(0, "means", 0.9)])
    assert client.get_run(parent).data.metrics["AUC"] == 0.9


def raising(error):
    def call(*arguments):
        raise error

    return call


def test_a_label_names_the_runs_and_is_logged_when_it_changes(outcome, client):
    for label, name in (("", "m seed 0"), ("longer", "m [longer] seed 0"), ("best", "m [best] seed 0")):
        log_runs([outcome(0, "labelled", label=label)])
        experiment = client.get_experiment_by_name("labelled").experiment_id
        parent, child = sorted(client.search_runs([experiment]), key=lambda r: "mlflow.parentRunId" in r.data.tags)
        assert child.info.run_name == name and parent.info.run_name == name.removesuffix(" seed 0")
        assert child.data.tags.get("vadbench.label", "") == label
        assert len(client.get_metric_history(child.info.run_id, "AUC")) == 1


def test_a_record_that_was_measured_again_is_logged_again_in_its_run(outcome, client):
    log_runs([outcome(0, "again", 0.5)])
    log_runs([outcome(0, "again", 0.9)])
    experiment = client.get_experiment_by_name("again").experiment_id
    [child] = client.search_runs([experiment], "tags.`mlflow.parentRunId` != ''")
    assert child.data.metrics["AUC"] == 0.9
    assert client.get_run(child.data.tags["mlflow.parentRunId"]).data.metrics["AUC"] == 0.9


def test_means_hold_all_seeds_however_they_were_logged(outcome, client):
    for seed in range(3):
        log_runs([outcome(seed, "apart", value=0.6 + seed / 10)])
    log_runs([outcome(0, "apart", value=0.6)])
    runs = client.search_runs([client.get_experiment_by_name("apart").experiment_id])
    (parent,) = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    assert parent.data.metrics["AUC"] == pytest.approx(0.7)
    assert parent.data.metrics["AUC_std"] == pytest.approx(0.1)
    assert parent.data.tags["vadbench.seeds"] == "0, 1, 2"
    assert not [m for m in parent.data.metrics if m.startswith(("loss_", "seconds_", "cost_"))]


def test_a_link_in_a_run_folder_is_not_followed(outcome, client, tmp_path):
    (tmp_path / "secret").write_text("secret")
    given = outcome(0, "links")
    (given.folder / "roc.png").unlink()
    (given.folder / "roc.png").symlink_to(tmp_path / "secret")
    log_runs([given])
    runs = client.search_runs([client.get_experiment_by_name("links").experiment_id])
    paths = {a.path for r in runs for a in client.list_artifacts(r.info.run_id)}
    assert paths == {"result.json"}


def test_the_store_is_a_database_anybody_can_read(outcome, tracking_address):
    log_runs([outcome(0, "plain", value=0.625)])
    with sqlite3.connect(tracking_address.removeprefix("sqlite:///")) as database:
        query = (
            "select m.value from metrics m join runs r on m.run_uuid = r.run_uuid"
            " join experiments e on e.experiment_id = r.experiment_id where e.name = 'plain' and m.key = 'AUC'"
        )
        assert set(database.execute(query).fetchall()) == {(0.625,)}
    database.close()


def test_a_store_that_cannot_be_reached_says_why(outcome, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match=r"MLflow at http://127.0.0.1:9"):
        log_runs([outcome(0, "away")])
    with pytest.raises(TrackingError):
        check_store()


@pytest.mark.parametrize("status", [401, 404, 502])
def test_a_server_that_refuses_says_why(outcome, monkeypatch, status):
    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(status)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(TrackingError, match=rf"MLflow at http://127.0.0.1:\d+: .*\b{status}\b") as error:
            log_runs([outcome(0, "refused")])
        server.shutdown()
    assert "\n" not in str(error.value)


def test_a_folder_that_is_not_a_store_says_why(outcome, monkeypatch, tmp_path):
    (tmp_path / "broken.db").write_text("this is no database")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/broken.db")
    with pytest.raises(TrackingError, match="database"):
        log_runs([outcome(0, "broken")])


@pytest.mark.slow
def test_four_processes_may_meet_at_a_fresh_store(tmp_path):
    code = "from vadbench.tracking.database import check_store, writing; check_store()"
    environment = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/fresh.db", "PATH": "", "HOME": str(tmp_path)}
    processes = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(4)]
    assert [p.wait() for p in processes] == [0, 0, 0, 0]


HOSTILE = [
    "Car (parked)",
    "Car [parked]",
    "Car {parked}",
    "Car _parked_",
    "x",
    "x_low",
    "x/y",
    "x//y",
    "..",
    "a",
    "a ",
    "é",
    "打架",
    "爆炸",
]


def test_classes_with_like_names_are_metrics_of_their_own_in_a_real_store(outcome, client):
    """Each with its interval; no figure takes the place of another."""
    values = {
        key: MetricValue(value=(i + 1) / 100, low=(i + 1) / 1000, high=(i + 1) / 10000)
        for i, key in enumerate([*(f"AUC[{c}]" for c in HOSTILE), "AUC/x", "AUC(x)", "AUC(x_low)", "AUC"])
    }
    log_runs([outcome(seed, "alike", metrics=values) for seed in (0, 1)])
    runs = client.search_runs([client.get_experiment_by_name("alike").experiment_id])
    for run in runs:
        found = run.data.metrics
        for key, value in values.items():
            for suffix, number in (("", value.value), ("_low", value.low), ("_high", value.high)):
                assert found[metric_key(key) + suffix] == pytest.approx(number)
        of_metrics = [name for name in found if not name.startswith(("loss_", "seconds_", "cost_", "learning_rate"))]
        is_parent = "mlflow.parentRunId" not in run.data.tags
        assert len(of_metrics) == 3 * len(values) * (2 if is_parent else 1)


def test_a_mean_that_a_later_seed_lacks_does_not_stand_as_that_of_all(outcome, client):
    """The parent says which seeds it holds: a metric that one of them lacks has no mean there."""
    both = {"AUC": MetricValue(value=0.5), "mAP": MetricValue(value=0.25)}
    log_runs([outcome(0, "lacking", metrics=both)])
    log_runs(
        [outcome(1, "lacking", metrics={"AUC": MetricValue(value=0.75), "mAP": MetricValue(value=None, reason="none")})]
    )
    runs = client.search_runs([client.get_experiment_by_name("lacking").experiment_id])
    (parent,) = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    assert parent.data.tags["vadbench.seeds"] == "0, 1"
    assert parent.data.metrics["AUC"] == 0.625
    assert math.isnan(parent.data.metrics["mAP"])


def test_settings_that_are_called_like_facts_of_a_run_do_not_hide_them(outcome, client):
    log_runs([outcome(3, "settings", config={"seed": 17, "width": 4})])
    runs = client.search_runs([client.get_experiment_by_name("settings").experiment_id])
    (child,) = [r for r in runs if "mlflow.parentRunId" in r.data.tags]
    assert child.data.params == {"seed": "3", "set.seed": "17", "width": "4"}


def test_every_setting_is_a_parameter_of_its_own_whatever_its_table_holds(outcome, client):
    names = ["a@b", "a_at_b", "x/../y", "y", "/", "打架", "爆炸", "end ", "end", "l" * 300]
    weights = {name: number for number, name in enumerate(names, start=1)}
    log_runs([outcome(3, "named", config={"weights": weights, "seed": 1, "set": {"seed": 2}})])
    runs = client.search_runs([client.get_experiment_by_name("named").experiment_id])
    (child,) = [r for r in runs if "mlflow.parentRunId" in r.data.tags]
    assert sorted(map(int, child.data.params.values())) == sorted([*range(1, 11), 1, 2, 3])
    assert {"seed": "3", "set.seed": "1", "weights.打架": "6", "weights.y": "4"}.items() <= child.data.params.items()


@pytest.mark.parametrize("name", ["my%20project", "is it?on", ":x"])
def test_runs_are_logged_in_folders_of_any_name_and_nothing_is_left_elsewhere(outcome, monkeypatch, tmp_path, name):
    place = tmp_path / "places" / name
    place.mkdir(parents=True)
    monkeypatch.chdir(place)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    made = outcome(0, "named", value=0.625)
    shown = log_runs([made])
    assert [p.name for p in place.parent.iterdir()] == [name]
    assert [p.name for p in place.iterdir()] == ["results"]
    assert {p.name for p in (place / "results").iterdir()} == {"mlflow.db", ".mlflow.db.lock", "mlflow-artifacts"}
    with sqlite3.connect(place / "results" / "mlflow.db") as database:
        assert set(database.execute("select value from metrics where key = 'AUC'")) == {(0.625,)}
    database.close()
    assert {p.name for p in (place / "results").rglob("*.png")} == {"roc.png"}
    assert check_store() == shown


def test_no_password_is_in_what_is_said_of_a_store(outcome, vadbench, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    made = outcome(0, "secret")
    for address in ("http://alice:s3cret@127.0.0.1:9", "postgresql://alice:s3cret@127.0.0.1:9/db"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        shown = address.replace("alice:s3cret@", "")
        with pytest.raises(TrackingError, match=re.escape(f"MLflow at {shown}")) as caught:
            log_runs([made])
        assert "s3cret" not in "".join(traceback.format_exception(caught.value))
        for command in (["doctor"], ["log", str(made.folder)], ["ui", "--port", "1"]):
            found = vadbench(*command, status=None)
            assert "s3cret" not in found.out + found.err
            assert command[0] == "ui" or shown in found.out + found.err


def test_the_way_out_of_a_deleted_experiment_works(outcome, client):
    log_runs([outcome(0, "deleted")])
    client.delete_experiment(client.get_experiment_by_name("deleted").experiment_id)
    with pytest.raises(TrackingError, match=r"the experiment 'deleted' of MLflow at .* was deleted") as caught:
        log_runs([outcome(1, "deleted")])
    command = re.search("restore it with: (.*?);", str(caught.value))[1]
    subprocess.run(command, shell=True, check=True, capture_output=True)
    log_runs([outcome(1, "deleted")])
    assert len(client.search_runs([client.get_experiment_by_name("deleted").experiment_id])) == 3


@pytest.mark.parametrize("call", [2, 4, 7, 9])
def test_an_interrupted_log_goes_on_without_a_point_twice(outcome, client, monkeypatch, call):
    from mlflow import MlflowClient

    made, name = outcome(0, f"cut{call}"), f"cut{call}"
    send, calls = MlflowClient.log_batch, []

    def cut(self, *arguments, **options):
        calls.append(1)
        if len(calls) == call + 1:
            raise KeyboardInterrupt
        return send(self, *arguments, **options)

    monkeypatch.setattr("vadbench.tracking.mlflow.BATCH_METRICS", 2)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(MlflowClient, "log_batch", cut)
        log_runs([made])
    log_runs([made])
    experiment = client.get_experiment_by_name(name).experiment_id
    (child,) = client.search_runs([experiment], "tags.`mlflow.parentRunId` != ''")
    counts = {m: len(client.get_metric_history(child.info.run_id, m)) for m in child.data.metrics}
    assert counts.pop("loss_total") == counts.pop("learning_rate") == 3
    assert {"AUC", "AUC_low", "seconds_training"} < counts.keys() and set(counts.values()) == {1}


def test_a_value_that_is_measured_back_and_forth_ends_with_the_last(outcome, client):
    for value in (0.5, 0.9, 0.5, 0.7):
        log_runs([outcome(0, "back", value)])
        (child,) = client.search_runs(
            [client.get_experiment_by_name("back").experiment_id], "tags.`mlflow.parentRunId` != ''"
        )
        assert child.data.metrics["AUC"] == value
