"""The check of a GPU: it runs on a pretended one, and what goes wrong in a section stops no other."""

import json
import os
import re
import subprocess
import sys
import time

import pytest

from places import ROOT, SUPPORT
from vadbench.testing.pretend import pretend

SCRIPT = ROOT / "benchmarks" / "gpu_check.py"


def check(*arguments, **environment):
    command = [sys.executable, SCRIPT, *arguments]
    there = os.environ | {"CUDA_VISIBLE_DEVICES": ""} | environment
    return subprocess.run(command, capture_output=True, text=True, env=there, check=False)


def test_help_names_every_section_and_needs_no_gpu():
    done = check("--help")
    assert done.returncode == 0, done.stderr
    for name in ("machine", "parity", "bits", "waits", "steps", "extraction", "tests"):
        assert re.search(rf"^    {name} +\w", done.stdout, re.M)


def test_without_a_gpu_it_is_refused_in_one_line(tmp_path):
    done = check("--out", tmp_path)
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (2, "", [])
    assert done.stderr.count("\n") == 1 and "finds no usable GPU" in done.stderr and "--pretend" in done.stderr


def test_an_unknown_method_is_refused():
    done = check("--pretend", "--method", "vadclop")
    assert done.returncode == 2 and "did you mean 'vadclip'?" in done.stderr


@pytest.mark.slow  # half a minute: every section, of two methods
def test_on_a_pretended_device_every_section_runs_and_nothing_is_written(tmp_path):
    done = check("--pretend", "--method", "vadclip", "--method", "knn", "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []
    assert done.stdout.endswith("nothing failed in machine, parity, bits, waits, steps, extraction, tests\n")
    for said in (
        r"machine: product in fp32: differs from the CPU's by \S+ of",
        r"parity: knn: differs from the CPU's: scores of the same weights \S+ \(",
        r"parity: vadclip: differs from the CPU's: scores of the same weights \S+, gradients of a step \S+,",
        r"bits: vadclip: compared with a second and a resumed fit",
        r"waits: vadclip: \d+: .*vadbench/training/loop\.py:\d+",
        r"steps: vadclip: batch 8: \S+ ms in the loop",
        r"extraction: bf16: encoder alone \S+ images/s; every frame: \S+ frames/s",
    ):
        assert re.search(rf"^\[ *\d+ s\] {said}", done.stderr, re.M), said
    assert "bits: knn" not in done.stderr, "the loop does not train it"
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if line[:2] == "| "]
    works = [row[0] for row in rows]
    assert {"vadclip: training step, fp32", "vadclip: training step, tf32", "extract, pooling mean, bf16"} <= set(works)
    assert all(float(row[1].replace(",", "")) > 0 for row in rows[1:])


@pytest.fixture
def sections(monkeypatch):
    """Run a section of tests/support: what was shown, and what came of it."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    monkeypatch.syspath_prepend(str(SUPPORT))
    from gpu import sections

    def call(function, seconds=60.0, methods=()):
        monkeypatch.setitem(sections.PARTS, "it", ("gpu_parts", function, 0.0))
        shown = []
        return shown, sections.run("it", False, methods, seconds, shown.append)

    yield call


def test_a_part_that_fails_leaves_the_next_ones_of_its_section(sections):
    shown, found = sections("sound")
    assert found.failures == ["one: ZeroDivisionError: division by zero"]
    assert shown[0] == "FAILED one: ZeroDivisionError: division by zero" and shown[1].startswith("two: done (")
    assert found.figures == [{"work": "two", "wall": 0.5, "cpu": 0.25}]


@pytest.mark.parametrize(
    ("function", "failure"),
    [
        ("raises", "ValueError: in two lines"),
        ("dies", "its process ended with status 3"),
        ("endless", "stopped after 20 s, which is all that it may take"),
    ],
)
def test_a_section_that_breaks_says_so_and_leaves_what_it_found(sections, function, failure):
    began = time.monotonic()
    shown, found = sections(function, 20.0 if function == "endless" else 60.0)
    assert found.failures == [failure]
    assert [f["work"] for f in found.figures] == ([] if function == "dies" else ["before"])
    assert time.monotonic() - began < 60 and found.seconds > 0
    assert shown == {"dies": ["begun"], "raises": [f"FAILED {failure}"], "endless": []}[function]


def test_methods_come_in_order_as_long_as_there_is_time(sections):
    shown, found = sections("names", methods=["knn", "mil", "vadclip"])
    assert shown[0] == "vadclip mil knn"
    assert found.failures == ["no time for knn and the methods after it"]


def test_the_sections_together_end_in_eight_minutes(sections):
    from gpu.sections import PARTS

    assert sum(seconds for _, _, seconds in PARTS.values()) <= 480


def test_the_file_has_the_form_of_the_other_files_of_speed(sections, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import gpu_check
    from gpu.sections import Findings

    found = {
        "steps": Findings(3.04, [{"work": "x: training step, fp32", "wall": 0.02, "cpu": 0.01, "gpu_gb": 1.0}], []),
        "tests": Findings(1.0, [], ["1 failed"]),
    }
    with pretend():
        path = gpu_check.write(found, tmp_path)
    assert path.name == "speed-pretended-gpu.json"
    record = json.loads(path.read_text())
    assert record.keys() == {"settings", "figures", "growth", "sections", "environment"}
    assert record["settings"].keys() == {"full", "quick", "device", "precision"}
    assert record["figures"][0].keys() == {"work", "wall", "cpu", "gpu_gb", "literal", "floor"}
    assert {"device", "driver", "machine", "torch_build", "rates", "load"} <= record["environment"].keys()
    assert record["sections"] == {
        "steps": {"seconds": 3.0, "failures": []},
        "tests": {"seconds": 1.0, "failures": ["1 failed"]},
    }
    assert "| x: training step, fp32" in gpu_check.table(found) and "20.0" in gpu_check.table(found)
