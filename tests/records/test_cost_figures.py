"""What a run cost: the arithmetic of its figures, what is said where one is not known, and damaged records."""

import json

import numpy as np
import pytest

from vadbench.base.errors import RunError
from vadbench.records.cost_figures import COST_FIGURES, NO_RATE, UNRECORDED, cost_words, known_costs
from vadbench.records.costs import ComputeRecord, video_hours
from vadbench.records.folders import read_record, write_record
from vadbench.records.record import RunRecord, SplitRecord
from vadbench.scoring.video_scores import VideoScores

FULL = {
    "parameters": 1234567,
    "trainable": 1000,
    "cpu_seconds": {"training": 40.0, "scoring": 3.0},
    "training_parts": 2,
    "video_hours": 0.5,
    "rows_per_second": 1.875,
    "encoder_gflop": 35.1269,
}


def record(device="cpu", **changes):
    values = {
        "status": "finished", "method": "m", "method_version": "1", "dataset": "d", "trained_on": "d", "seed": 0,
        "key": "k", "evaluation": "e", "protocol": {"name": "native"}, "config": {}, "changed": [], "fingerprint": {},
        "clip": {}, "data": {}, "environment": {"device": device, "processor": "a machine, 2 threads", "threads": 1},
        "created": "2026-01-01T00:00:00+00:00", "seconds": {"training": 30.0, "scoring": 2.0, "metrics": 50.0},
        "peak_memory_mb": {
            "training": 700.0, "threshold": 800.0, "scoring": 750.0, "metrics": 9000.0,
            **({} if device == "cpu" else {"training (GPU)": 600.0, "scoring (GPU)": 100.0}),
        },
        "compute": FULL,
    }  # fmt: skip
    return RunRecord(**(values | changes))


def missing(run):
    return {figure.name: figure.missing(run) for figure in COST_FIGURES if figure.value(run) is None}


def test_figures_of_a_processor():
    assert known_costs(record()) == {
        "trainable_parameters": 1000,
        "parameters": 1234567,
        "training_seconds": 30,
        "scoring_ms_per_hour": 3 * 1000 / 0.5,
        "peak_memory_mib": 800,
        "encoder_gflop_per_row": 35.1269,
        "rows_per_second": 1.875,
    }


def test_on_a_gpu_the_clock_and_its_own_memory_count():
    found = known_costs(record("a GPU"))
    assert found["scoring_ms_per_hour"] == 2 * 1000 / 0.5
    assert found["peak_memory_mib"] == 600


@pytest.mark.parametrize(
    ("seconds", "compute", "expected"),
    [
        ({"training": 3.0}, {}, 3),
        ({"prepare": 2.0}, {}, 2),
        ({"scoring": 1.0}, {"training_seconds": 8.0}, 8),
        ({"training": 3.0}, {"training_seconds": 8.0}, 3),
        ({"scoring": 1.0}, {}, None),
    ],
)
def test_the_training_is_the_run_s_own_or_the_one_that_it_evaluated(seconds, compute, expected):
    found = known_costs(record(seconds=seconds, compute=compute | {"parameters": 1}))
    assert found.get("training_seconds") == expected


@pytest.mark.parametrize("hours", [None, 0.0])
def test_without_a_frame_rate_nothing_is_said_of_an_hour(hours):
    test = SplitRecord(videos=1, expected=1, abnormal=1, manifest="m", frames=2_000_000)
    run = record(compute=FULL | {"video_hours": hours, "rows_per_second": None}, data={"test": test})
    assert missing(run) == {"scoring_ms_per_hour": NO_RATE, "rows_per_second": NO_RATE}
    said = "; ".join(cost_words(run))
    assert "1,500 ms of the processor to score a million frames, whose rate is not known" in said
    assert "hour" not in said


def test_what_is_known_is_said_in_words():
    assert cost_words(record()) == [
        "1,234,567 parameters, 1,000 of them trained",
        "30 s of training in 2 parts",
        "6,000 ms of the processor to score an hour of video (0.5 h scored)",
        "800 MiB at most",
        "35.13 GFLOP of the image encoder for a row",
        "1.875 rows a second of video",
        "on a machine, 2 threads, 1 of them used, no GPU",
    ]
    elsewhere = record(
        seconds={}, compute=FULL | {"training_seconds": 8.0, "training_machine": "a GPU", "training_parts": None}
    )
    assert cost_words(elsewhere)[1] == "8 s of training on a GPU"


def test_a_record_made_before_says_nothing(tmp_path):
    content = record().model_dump(mode="json")
    del content["compute"]
    (tmp_path / "result.json").write_text(json.dumps(content | {"seconds": {}, "peak_memory_mb": {}}))
    old = read_record(tmp_path)
    assert old.compute == ComputeRecord()
    assert cost_words(old) == [] and known_costs(old) == {}
    assert set(missing(old).values()) == {UNRECORDED}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reads": "frames"}, "reads no features"),
        ({"reads": "none"}, "reads no features"),
        ({"streams": {"audio": {"fingerprint": {}, "dim": 2, "spacing": "1s"}}}, "other streams"),
        ({}, "what made the features is not known"),
    ],
)
def test_the_reason_for_no_operations_of_an_encoder_is_said(changes, words):
    assert words in missing(record(compute=FULL | {"encoder_gflop": None}, **changes))["encoder_gflop_per_row"]


def test_figures_come_back_as_written(tmp_path):
    written = record()
    write_record(tmp_path, written)
    assert read_record(tmp_path) == written


@pytest.mark.parametrize(
    ("part", "content"),
    [
        ("compute", []),
        ("compute", {"parameters": -1}),
        ("compute", {"parameters": 1.5}),
        ("compute", {"trainable": float("inf")}),
        ("compute", {"cpu_seconds": {"scoring": -0.5}}),
        ("compute", {"cpu_seconds": {"scoring": float("nan")}}),
        ("compute", {"video_hours": float("inf")}),
        ("compute", {"training_parts": 0}),
        ("compute", {"encoder_gflop": "much"}),
        ("compute", {"speed": 1}),
        ("seconds", {"training": float("nan")}),
        ("peak_memory_mb", {"training": -1}),
    ],
)
def test_a_damaged_record_is_refused_in_one_line(tmp_path, part, content):
    (tmp_path / "result.json").write_text(json.dumps(record().model_dump(mode="json") | {part: content}))
    with pytest.raises(RunError, match=part) as error:
        read_record(tmp_path)
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


def test_hours_of_video_are_known_where_every_frame_rate_is():
    def video(frames, rate):
        return VideoScores("v", frames, np.zeros(1, np.float32), None, rate=rate)

    assert video_hours([video(90_000, 25.0), video(54_000, 30.0)]) == pytest.approx(1.5)
    assert video_hours([video(90_000, 25.0), video(54_000, None)]) is None
