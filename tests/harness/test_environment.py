"""What a record keeps of the machine and of the code, and what the stages of a run take."""

import json
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import vadbench
from vadbench.base.method_config import MethodConfig, Recipe
from vadbench.dataset import ClassTable, VideoClass
from vadbench.harness import environment
from vadbench.harness.environment import SPENT, Meter, describe
from vadbench.method import Method, Task
from vadbench.plugins import provenance

CPU = torch.device("cpu")


class Stopped(BaseException):
    """An interruption."""


def test_a_record_names_the_commit_of_the_checkout_that_vadbench_lies_in(monkeypatch):
    checkout = Path(vadbench.__file__).resolve().parents[1]
    git = checkout / ".git"
    exists = Path.exists  # in an unpacked archive there is none
    monkeypatch.setattr(Path, "exists", lambda path, **options: path == git or exists(path, **options))
    monkeypatch.setattr(provenance, "commit", lambda folder: f"commit of {folder}")
    assert describe(CPU)["commit"] == f"commit of {checkout}"


@pytest.fixture
def clocks(monkeypatch):
    """Clocks that stand still until they are set; peaks of memory likewise."""
    now = SimpleNamespace(wall=0.0, cpu=0.0, memory=0.0)
    stopped = SimpleNamespace(perf_counter=lambda: now.wall, process_time=lambda: now.cpu)
    monkeypatch.setattr(environment, "time", stopped)
    none = SimpleNamespace(ru_utime=0.0, ru_stime=0.0)
    monkeypatch.setattr(environment, "resource", SimpleNamespace(RUSAGE_CHILDREN=0, getrusage=lambda _: none))
    monkeypatch.setattr(environment, "peak_memory_mb", lambda: now.memory)
    return now


def spend(clocks, wall, cpu, memory=0.0):
    clocks.wall, clocks.cpu, clocks.memory = clocks.wall + wall, clocks.cpu + cpu, memory


def spin(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_each_stage_has_its_own_time_and_peak(tmp_path, clocks):
    meter = Meter(CPU, tmp_path)
    with meter.stage("training"):
        spend(clocks, 3, 5, memory=70)
    spend(clocks, 100, 100)  # between stages
    with meter.stage("scoring"):
        spend(clocks, 0.5, 0.25, memory=90)
    assert meter.seconds == {"training": 3, "scoring": 0.5}
    assert meter.cpu_seconds == {"training": 5, "scoring": 0.25}
    assert meter.peak_memory_mb == {"training": 70, "scoring": 90}
    assert meter.parts == {"training": 1, "scoring": 1}
    assert not list(tmp_path.iterdir())


def test_a_stage_that_was_interrupted_counts_the_work_that_was_kept(tmp_path, clocks):
    meter = Meter(CPU, tmp_path)
    with pytest.raises(Stopped), meter.stage("training"):
        spend(clocks, 10, 20, memory=500)
        meter.keep()
        spend(clocks, 7, 7, memory=600)
        raise Stopped
    again = Meter(CPU, tmp_path)
    assert again.seconds == {"training": 10} and again.cpu_seconds == {"training": 20}
    with again.stage("training"):
        spend(clocks, 5, 6, memory=400)
        again.keep()
        again.keep()
    assert again.seconds == {"training": 15} and again.cpu_seconds == {"training": 26}
    assert again.peak_memory_mb == {"training": 500} and again.parts == {"training": 2}
    assert Meter(CPU, tmp_path).seconds == {"training": 15}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1]",
        '{"seconds": {"training": -1}}',
        '{"seconds": {"training": NaN}}',
        '{"seconds": "long"}',
        '{"more": 1}',
    ],
)
def test_a_damaged_note_of_what_was_done_before_stops_no_run(tmp_path, clocks, content):
    (tmp_path / SPENT).write_text(content)
    meter = Meter(CPU, tmp_path)
    with meter.stage("training"):
        spend(clocks, 2, 1)
    assert meter.seconds == {"training": 2} and meter.parts == {"training": 1}
    meter.keep()
    assert json.loads((tmp_path / SPENT).read_text())["cpu_seconds"] == {"training": 1}


def test_processor_time_is_that_of_the_stage_and_of_the_processes_it_started(tmp_path, no_collections):
    meter = Meter(CPU, tmp_path)
    with meter.stage("busy"):
        spin(0.05)
    with meter.stage("idle"):
        pass
    with meter.stage("children"):
        code = "import time\nwhile time.process_time() < 0.1: pass"
        subprocess.run([sys.executable, "-c", code], check=True)
    assert meter.cpu_seconds["busy"] >= 0.05
    assert 0 <= meter.cpu_seconds["idle"] < 0.05
    assert meter.cpu_seconds["children"] >= 0.1


class Small(Method):
    class Config(MethodConfig):
        pass

    def __init__(self, config, task):
        super().__init__(config, task)
        self.layer = nn.Linear(3, 2)
        self.layer.bias.requires_grad_(False)
        self.shared = self.layer
        self.register_buffer("bank", torch.zeros(50))


@pytest.mark.parametrize(("recipe", "trainable"), [(Recipe(), 6), (None, 0)])
def test_parameters_are_counted_once_and_only_those_that_are_trained_as_trained(tmp_path, recipe, trainable):
    classes = ClassTable((VideoClass("Normal"), VideoClass("Fire")), normal=0)
    meter = Meter(CPU, tmp_path)
    meter.count_parameters(Small(Small.Config(recipe=recipe), Task(classes, 3, CPU, lambda: None)))
    assert (meter.parameters, meter.trainable) == (3 * 2 + 2, trainable)
