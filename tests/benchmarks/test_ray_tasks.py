"""What the Ray engine asks of a cluster for a task, and which processes do one, seen by a stub of Ray."""

import os
import sys
from functools import partial
from types import SimpleNamespace

import pytest

import engine_work as work
from vadbench.benchmarks.engines.ray import RayEngine, _Process


class StubRay:
    """A Ray whose cluster is this process; a process that ends is another afterwards."""

    class exceptions:
        class RayError(Exception):
            pass

    def __init__(self, machines):
        self.machines, self.asked, self.ended = machines, [], []

    def init(self, **options):
        pass

    shutdown = init

    def nodes(self):
        return [{"Alive": True, "NodeID": i, "Resources": made} for i, made in enumerate(self.machines)]

    def cluster_resources(self):
        return {name: sum(m.get(name, 0) for m in self.machines) for name in ("CPU", "GPU")}

    def get_runtime_context(self):
        return SimpleNamespace(get_node_id=lambda: None, gcs_address="")

    def remote(self, **options):
        self.asked.append(options)
        return lambda function: SimpleNamespace(remote=lambda *arguments: _Reference(function, arguments))

    def wait(self, pending, num_returns, timeout):
        return pending[:1], pending[1:]

    def get(self, reference):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "_exit", _end)
            try:
                return reference.function(*reference.arguments)
            except _Ended:
                # As where Ray's own tries have met such a process as well.
                self.ended.append(reference.arguments[-1])
                _Process.failed, _Process.gpus = False, None
                work.BROKEN.clear()
                raise self.exceptions.RayError("the worker died") from None


class _Reference:
    def __init__(self, function, arguments):
        self.function, self.arguments = function, arguments


class _Ended(BaseException):
    pass


def _end(status):
    raise _Ended


@pytest.fixture
def on_ray(monkeypatch):
    """Run tasks on the stub: the stub, and the results."""
    monkeypatch.setattr(_Process, "failed", False)
    monkeypatch.setattr(_Process, "gpus", None)
    monkeypatch.setenv("VADBENCH_CORES", "")

    def call(machines, work, tasks, device="auto"):
        ray, results = StubRay(machines), {}
        monkeypatch.setitem(sys.modules, "ray", ray)
        RayEngine("auto", device).run_all([tasks], work, None, results.__setitem__)
        return ray, results

    return call


MACHINES = [{"CPU": 64}, {"CPU": 48, "GPU": 4}, {"CPU": 20, "GPU": 8}]


@pytest.mark.parametrize(
    ("machines", "device", "asked", "cores"),
    [
        (MACHINES, "auto", {"num_gpus": 1, "num_cpus": 2, "max_calls": 0}, "2"),
        (MACHINES[:2], "cuda", {"num_gpus": 1, "num_cpus": 12, "max_calls": 0}, "12"),
        ([{"GPU": 1}], "cuda", {"num_gpus": 1, "num_cpus": 1, "max_calls": 0}, "1"),
        (MACHINES, "cpu", {"num_cpus": 1}, "1"),
        (MACHINES[:1], "auto", {"num_cpus": 1}, "1"),
    ],
)
def test_a_task_keeps_its_process_and_asks_for_the_cores_that_it_uses(on_ray, machines, device, asked, cores):
    ray, results = on_ray(machines, work.told, [0], device)
    assert ray.asked == [{"max_retries": 3} | asked]
    assert results[0][-1] == cores


def test_a_process_whose_device_failed_does_no_other_task_and_costs_none_a_try(on_ray, tmp_path):
    ray, results = on_ray(MACHINES, partial(work.break_device, tmp_path), [0, 1, 2, 3])
    assert ray.ended == [2] and len(list(tmp_path.iterdir())) == 1
    assert results == {0: (0, False), 1: (1, True), 2: (2, False), 3: (3, False)}


def test_a_process_that_is_given_another_gpu_ends_as_cuda_would_keep_to_the_first(on_ray, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")

    def give_another_after_2(task):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", str(task // 2))
        return task

    ray, results = on_ray(MACHINES, give_another_after_2, [0, 1, 2, 3])
    assert ray.ended == [3] and [results[i] for i in range(3)] == [0, 1, 2]
    assert "Ray gave it up" in results[3].reason
