"""``vadbench bench`` and ``vadbench run`` where memory is short or a GPU breaks: what is sound is done."""

import json

import pytest

from places import PLUGIN, SUPPORT

pytestmark = pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
FAILING = ["--plugin", SUPPORT / "failing_devices_plugin.py"]
GRID = """title = "Failing devices"
clip = "small"
clip_weights = "random:0"
seeds = [0, 1, 2]
[[tables]]
id = "1"
title = "One"
columns = [{ dataset = "tiny", metric = "AUC" }]
rows = [{ label = "sticky", method = "sticky" }, { label = "full", method = "full" }]
"""
BROKEN = "the GPU failed: CUDA error: device-side assert triggered; this process can compute nothing more on it: "


@pytest.fixture(autouse=True)
def sound():
    """A process whose device is sound: the plugin breaks that of the tests' process."""

    def repair():
        import failing_devices_plugin

        failing_devices_plugin.Sticky.broken.clear()

    repair()
    yield repair
    repair()


def states(found):
    return {(cell["method"], cell["seed"]): cell["state"] for cell in found["cells"]}


def test_with_one_job_a_broken_gpu_stops_the_command_and_the_next_goes_on_with_what_was_not_tried(
    bench, write, sound, tmp_path
):
    file = write(GRID)
    found, err = bench(file, *FAILING, status=1)
    assert states(found) == {
        ("sticky", 0): "failed",
        **dict.fromkeys([("sticky", 1), ("sticky", 2), ("full", 0), ("full", 1), ("full", 2)], "to do"),
    }
    assert f"vadbench: {BROKEN}" in err and "the same command does what is left" in err
    (record,) = (tmp_path / "runs").rglob("result.json")
    record = json.loads(record.read_text())
    assert record["status"] == "failed" and record["error"].startswith(BROKEN) and "\n" not in record["error"]
    sound()
    found, err = bench(file, *FAILING, status=1)
    assert states(found) == {
        ("sticky", 0): "failed",
        ("full", 1): "failed",
        **dict.fromkeys([("sticky", 1), ("sticky", 2), ("full", 0), ("full", 2)], "done"),
    }
    reason = next(cell["reason"] for cell in found["cells"] if (cell["method"], cell["seed"]) == ("full", 1))
    assert reason == (
        "the GPU's memory does not suffice (tried to allocate 2.50 GiB, 1.02 GiB of 7.79 GiB free, this process has"
        " 6.77 GiB); set a smaller recipe.batch_size (4 now), or run fewer jobs at a time"
    )
    assert "[6/6] failed sticky on tiny, seed 0" in err, "what failed before comes last"


@pytest.mark.slow
def test_with_workers_the_cell_that_broke_a_gpu_fails_once_and_the_others_are_done(bench, write):
    found, err = bench(write(GRID.replace("[0, 1, 2]", "[0, 1]")), *FAILING, "--jobs", 2, status=1)
    assert states(found) == {
        ("sticky", 0): "failed",
        ("full", 1): "failed",
        **dict.fromkeys([("sticky", 1), ("full", 0)], "done"),
    }
    assert err.count("failed sticky on tiny, seed 0") == 1


def run(vadbench, method, out, **options):
    return vadbench(
        *("run", "-m", method, "-d", "tiny", "--plugin", PLUGIN, *FAILING, "--out", out, "--device", "cpu"),
        *("--seeds", "0-2", "--clip", "small", "--clip-weights", "random:0"),
        **options,
    )


def test_seeds_after_one_that_broke_the_gpu_are_not_tried(vadbench, tmp_path):
    found = run(vadbench, "sticky", tmp_path, status=2)
    assert f"vadbench: seed 0: {BROKEN}" in found.err and len(list(tmp_path.rglob("result.json"))) == 1


def test_seeds_after_one_without_memory_are_run(vadbench, tmp_path):
    found = run(vadbench, "full", tmp_path, status=2)
    assert "vadbench: seed 1: the GPU's memory does not suffice (tried" in found.err
    assert sorted(json.loads(p.read_text())["status"] for p in tmp_path.rglob("result.json")) == [
        "failed",
        "finished",
        "finished",
    ]
