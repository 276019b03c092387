import json

import pytest

from vadbench.base.errors import RunError
from vadbench.base.hashing import digest
from vadbench.metrics.definitions import MetricValue
from vadbench.records.folders import RunFolder, read_record, write_record
from vadbench.records.record import RunRecord, features_words, summarise
from vadbench.records.run_names import find_run


def record(**changes):
    values = {
        "status": "finished",
        "method": "m",
        "method_version": "1",
        "dataset": "d",
        "trained_on": "d",
        "seed": 0,
        "key": "k",
        "evaluation": "e",
        "protocol": {"name": "native"},
        "config": {},
        "changed": [],
        "fingerprint": {},
        "clip": {},
        "data": {},
        "environment": {},
        "created": "2026-01-01T00:00:00+00:00",
    }
    return RunRecord(**(values | changes))


def test_a_record_is_titled_by_what_it_changed():
    changed = ["recipe.epochs", "protocol.crop"]
    assert record(config={"recipe": {"epochs": 5}, "n_ctx": 8}, changed=changed).title == "m recipe.epochs=5"


def test_a_title_writes_settings_as_they_are_given():
    config = {"flag": True, "weights": {"a.b": 1.5}, "sizes": [1, 2], "part": {"on": False}, "word": None}
    changed = ["flag", 'weights."a.b"', "weights.gone", "sizes", "part", "word", "protocol.crop"]
    title = 'm flag=true weights."a.b"=1.5 sizes=[1, 2] word=null weights.gone=absent part={}'
    assert record(config=config, changed=changed).title == title


def test_a_record_reads_back_as_written(tmp_path):
    written = record(
        metrics={"AUC": MetricValue(value=0.5, low=0.4, high=0.6), "mAP": MetricValue(value=None, reason="none")}
    )
    write_record(tmp_path, written)
    assert read_record(tmp_path) == written
    assert json.loads((tmp_path / "result.json").read_text())["metrics"]["AUC"] == {
        "value": 0.5, "low": 0.4, "high": 0.6, "reason": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"schema_version": 99}', "has schema 99, this vadbench reads 2 and 3; upgrade"),
        ('{"schema_version": 2, "status"', "cannot read"),
        ("[]", "not a run record"),
        ('{"schema_version": 1}', "has schema 1, this vadbench reads 2 and 3; delete this file and run again"),
        ('{"schema_version": 2, "metrics": [1]}', "not a run record"),
        ('{"schema_version": 2, "status": "done"}', "status"),
        ('{"schema_version": 2, "dataset": "/tmp/elsewhere"}', "run record"),
    ],
)
def test_records_that_cannot_be_read_are_named(tmp_path, content, words):
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(RunError, match=words) as error:
        read_record(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_other_evaluations_lie_beside_the_first(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.evaluation("one") == tmp_path
    write_record(tmp_path, record(evaluation="one"))
    assert folder.evaluation("one") == tmp_path
    assert folder.evaluation("two") == tmp_path / "evaluations" / "two"
    assert folder.finished("one") is not None
    assert folder.finished("two") is None


def test_a_failed_run_gives_way_to_the_next_try(tmp_path):
    write_record(tmp_path, record(evaluation="one", status="failed", error="no"))
    assert RunFolder(tmp_path).finished("one") is None
    assert RunFolder(tmp_path).evaluation("two") == tmp_path


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1}) != digest({"a": 1, "b": [2, 1]})


def test_runs_are_found_by_the_start_of_their_key(tmp_path):
    for key in ("abc1", "abd2"):
        write_record(tmp_path / "d" / "m" / key, record(key=key))
    assert find_run("abc", tmp_path).name == "abc1"
    assert find_run(str(tmp_path / "d" / "m" / "abd2"), tmp_path).name == "abd2"
    with pytest.raises(RunError, match=r"abc1.*abd2"):
        find_run("ab", tmp_path)


def test_means_leave_out_what_a_seed_lacks():
    runs = [
        record(seed=i, metrics={"AUC": MetricValue(value=v), "mAP": MetricValue(value=None if i else 1.0, reason="")})
        for i, v in enumerate((0.5, 0.7, 0.9))
    ]
    assert summarise(runs) == {"AUC": (pytest.approx(0.7), pytest.approx(0.2))}
    assert summarise(runs[:1])["AUC"] == (0.5, None)
    with pytest.raises(RunError, match="one method"):
        summarise([runs[0], record(method="other")])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_metric_that_one_seed_lacks_has_no_mean_whichever_comes_first(order):
    """A reused run of an earlier version may lack what is measured today, or have what is measured no more."""
    old = record(seed=0, metrics={"AUC": MetricValue(value=0.5), "gone": MetricValue(value=0.1)})
    new = record(seed=1, metrics={"AUC": MetricValue(value=0.7), "AUC/within": MetricValue(value=0.9)})
    runs = [(old, new)[i] for i in order]
    assert summarise(runs) == {"AUC": (pytest.approx(0.6), pytest.approx(0.1414, abs=1e-4))}


@pytest.mark.parametrize("key", ["AUC (all)", "AUC[", "", "AUC/"])
def test_a_record_whose_metric_has_no_key_is_refused(tmp_path, key):
    content = record().model_dump(mode="json") | {"metrics": {key: {"value": 0.5}}}
    (tmp_path / "result.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match="not a run record: metrics"):
        read_record(tmp_path)


@pytest.mark.parametrize("field", ["method", "dataset", "trained_on", "key", "evaluation"])
@pytest.mark.parametrize("value", ["/tmp/elsewhere", "../up", "", "a/b"])
def test_names_in_a_record_cannot_point_elsewhere(field, value):
    with pytest.raises(ValueError, match="pattern"):
        record(**{field: value})


@pytest.mark.parametrize(
    ("config", "supervision"),
    [
        ({}, "training-free"),
        ({"recipe": None}, "training-free"),
        ({"recipe": {"epochs": 0}}, "training-free"),
        ({"recipe": {"epochs": 5}}, "weak"),
    ],
)
def test_a_record_made_before_supervision_was_recorded_has_that_of_its_recipe(tmp_path, config, supervision):
    assert record(config=config).supervision == supervision
    write_record(tmp_path, record(config=config))
    content = json.loads((tmp_path / "result.json").read_text())
    del content["supervision"]
    (tmp_path / "result.json").write_text(json.dumps(content))
    assert read_record(tmp_path).supervision == supervision


@pytest.mark.parametrize(
    ("fields", "marks"),
    [
        ({}, ""),
        ({"supervision": "one-class"}, ""),
        ({"supervision": "oracle"}, " (oracle)"),
        ({"company": "split"}, " (depends on the whole split)"),
        ({"lookahead": 0}, " (depends on no later row)"),
        ({"lookahead": 1}, " (depends on 1 row ahead)"),
        ({"lookahead": 2}, " (depends on 2 rows ahead)"),
        ({"supervision": "oracle", "company": "split"}, " (oracle, depends on the whole split)"),
    ],
)
def test_what_a_score_is_made_from_is_marked_where_it_is_unusual(fields, marks):
    assert record(**fields).marks == marks


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"fingerprint": {"encoder": "ViT"}}, "ViT"),
        ({}, "of unknown origin"),
        ({"reads": "frames"}, "none, it decodes the videos"),
        ({"reads": "none"}, "none"),
    ],
)
def test_the_features_of_a_record_in_words(fields, words):
    assert features_words(record(**fields)) == words
