"""Batches on a pretended GPU: the CPU's, through memory that is page-locked once and used again when it was copied."""

import numpy as np
import pytest
import torch

import worker_methods
from method_inputs import labelled
from vadbench.base.method_config import Recipe
from vadbench.dataset import ClassTable, VideoClass
from vadbench.method import Task
from vadbench.testing.pretend import pretend
from vadbench.training.placement import Placement
from vadbench.training.prefetching import BatchLoader
from vadbench.training.views import BatchPlan

TABLE = ClassTable((VideoClass("Fire"), VideoClass("Normal")), normal=1)
GPU = torch.device("cuda")


def plan(dtype=np.float32):
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(5 + i, 4)).astype(dtype) for i in range(12)]
    return BatchPlan(
        [labelled(r, ("Fire",) if i % 2 else ("Normal",), TABLE, f"v{i}") for i, r in enumerate(rows)],
        normal=1,
        recipe=Recipe(batch_size=4),
        seed=4,
    )


def numbers(device, dtype):
    method = worker_methods.Drawing(worker_methods.Config(), Task(TABLE, 4, device, lambda: pytest.fail("no text")))
    with BatchLoader(method, plan(dtype)) as loader:
        found = [batch for epoch in range(2) for batch in loader.epoch(epoch)]
    for batch in found:
        assert {t.device.type for t in (*batch.views.values(), batch.labels, batch.first)} == {device.type}
    return [[t.cpu() for t in (*b.views.values(), b.labels, b.first)] for b in found]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_batches_on_a_gpu_are_those_of_the_cpu_and_nothing_is_waited_for(dtype):
    wanted = numbers(torch.device("cpu"), dtype)
    with pretend() as world:
        found = numbers(GPU, dtype)
        arrays = len(wanted[0]) * len(wanted)
        assert world.count("h2d-pinned") == arrays and not world.count("h2d-pageable", "sync")
    for one, other in zip(wanted, found, strict=True):
        for a, b in zip(one, other, strict=True):
            assert a.dtype == b.dtype and torch.equal(a, b)


def test_memory_is_page_locked_once_and_used_again_when_it_was_copied(monkeypatch):
    with pretend():
        done = []

        class Event(torch.cuda.Event):
            def query(self):
                return False

            def synchronize(self):
                done.append(self)

        monkeypatch.setattr(torch.cuda.Stream, "record_event", lambda self: Event())
        placement, places, events = Placement(GPU), [], []
        for size in (8, 6, 8, 9):
            placement.begin()
            array = placement.array("x", (size,), np.dtype(np.float32))
            places.append(array.__array_interface__["data"][0])
            array[:] = size
            tensor = placement.placed("view x", array)
            events.append(placement.end())
            placement.wait(events[-1], [tensor])
            assert tensor.cpu().tolist() == [size] * size
        # Two batches have memory of their own, of which the first is there again at the third; a larger one gets more.
        assert places[0] == places[2] != places[1]
        assert done == events[:2]


def test_an_array_that_is_elsewhere_is_copied_to_page_locked_memory():
    with pretend() as world:
        placement = Placement(GPU)
        placement.begin()
        assert placement.placed("x", np.arange(3.0)).cpu().tolist() == [0, 1, 2]
        assert world.count("h2d-pinned") == 1 and not world.count("h2d-pageable")


def test_a_cpu_has_new_memory_for_every_batch():
    placement, kept = Placement(torch.device("cpu")), []
    for number in range(4):
        placement.begin()
        array = placement.array("x", (2,), np.dtype(np.float32))
        array[:] = number
        kept.append(placement.placed("x", array))
        assert placement.end() is None
    assert [t.tolist() for t in kept] == [[i, i] for i in range(4)]
