"""Batches that go through memory of two processes: equal to the bit, and never over one that was not read."""

import os
import time

import numpy as np
import pytest
import torch

import worker_methods
from method_inputs import labelled
from vadbench.base.method_config import Recipe
from vadbench.dataset import ClassTable, VideoClass
from vadbench.method import Task
from vadbench.training.prefetching import BatchLoader
from vadbench.training.shared_slots import SLOTS, FilledSlot, SlotReader, SlotWriter, shared_file
from vadbench.training.views import BatchPlan, new_array
from vadbench.training.workers import open_workers

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="files in memory are Linux's")
TABLE = ClassTable((VideoClass("Fire"), VideoClass("Normal")), normal=1)
FORMS = {"x": ((4, 3), np.float32), "rows": ((4,), np.int64), "one": ((), np.uint8), "none": ((0, 2), np.float16)}


def plan():
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(5 + i, 4)).astype(np.float32) for i in range(12)]
    videos = [labelled(r, ("Fire",) if i % 2 else ("Normal",), TABLE, f"v{i}") for i, r in enumerate(rows)]
    return BatchPlan(videos, 1, Recipe(batch_size=4), seed=4)


def method():
    task = Task(TABLE, 4, torch.device("cpu"), lambda: pytest.fail("no text needed"))
    return worker_methods.Drawing(worker_methods.Config(), task)


@pytest.fixture
def sides():
    file = shared_file()
    reader = SlotReader(file)
    yield SlotWriter(file), reader
    reader.close()
    with pytest.raises(OSError):
        os.fstat(file)


def lay(writer, number, forms=FORMS):
    """Lay a batch of numbers into a slot, and return what is told of it."""
    writer.begin()
    views = {name: writer.array(name, shape, np.dtype(kind)) for name, (shape, kind) in forms.items()}
    for place, array in enumerate(views.values()):
        array[...] = number + place
    return writer.given(views)


def test_all_batches_but_the_first_go_through_slots_in_turn(sides):
    writer, reader = sides
    first = lay(writer, 0)
    assert not isinstance(first, FilledSlot) and first["x"].tolist() == np.zeros((4, 3)).tolist()
    told = []
    for number in range(1, 8):
        told.append(lay(writer, number))
        if number % SLOTS:
            continue
        # As many as there are slots were written before any of them is read.
        for back, slot in zip(range(SLOTS)[::-1], told[-SLOTS:], strict=True):
            views = reader.read(slot, new_array)
            for place, (name, (shape, kind)) in enumerate(FORMS.items()):
                assert views[name].shape == shape and views[name].dtype == kind
                assert (views[name] == number - back + place).all()
    assert len({slot.arrays["x"][0] for slot in told}) == SLOTS


def test_what_was_read_stays_when_the_slot_is_filled_again(sides):
    writer, reader = sides
    lay(writer, 0)
    kept = reader.read(lay(writer, 1), new_array)
    for number in range(2, 5):
        reader.read(lay(writer, number), new_array)
    assert (kept["x"] == 1).all()


def test_a_batch_that_has_no_room_is_given_as_it_is_and_takes_no_slot(sides):
    writer, reader = sides
    lay(writer, 0)
    one = lay(writer, 1)
    # What is given as it is, is sent before the next batch is begun.
    large = {k: a.copy() for k, a in lay(writer, 2, FORMS | {"x": ((999, 3), np.float32)}).items()}
    other = lay(writer, 3)
    assert large["x"].shape == (999, 3) and (large["x"] == 2).all() and (large["rows"] == 3).all()
    for slot, number in ((one, 1), (other, 3)):
        assert (reader.read(slot, new_array)["x"] == number).all()
    small = reader.read(lay(writer, 4, {"x": ((1, 3), np.float32)}), new_array)
    assert small["x"].tolist() == [[4, 4, 4]]


def test_without_such_files_every_batch_is_given_as_it_is():
    writer = SlotWriter(None)
    for number in range(4):
        assert (lay(writer, number)["x"] == number).all()


def test_workers_hand_their_batches_over_through_slots(monkeypatch):
    """A reader that takes its time reads what it would have read at once: no worker goes on over what is unread."""
    seen, read = [], SlotReader.read

    def slowly(self, slot, allocation):
        time.sleep(0.05)
        seen.append(slot)
        return read(self, slot, allocation)

    monkeypatch.setattr(SlotReader, "read", slowly)
    made = method()
    workers = open_workers(made, made.view, plan(), 1)
    files = [slots._file for slots in workers._slots]
    found = [views for epoch in range(4) for _, views in workers.epoch(epoch, new_array)]
    assert len(seen) == len(found) - 1
    with BatchLoader(made, plan()) as loader:
        wanted = [batch.views for epoch in range(4) for batch in loader.epoch(epoch)]
    for one, other in zip(wanted, found, strict=True):
        assert {k: t.numpy().tobytes() for k, t in one.items()} == {k: a.tobytes() for k, a in other.items()}
    workers.close()
    for file in files:
        with pytest.raises(OSError):
            os.fstat(file)


def test_workers_without_such_files_make_the_same(monkeypatch):
    monkeypatch.setattr("vadbench.training.workers.shared_file", lambda: None)
    made = method()
    with BatchLoader(made, plan(), workers=1) as loader, BatchLoader(made, plan()) as other:
        for one, two in zip(loader.epoch(0), other.epoch(0), strict=True):
            assert all(one.views[name].equal(two.views[name]) for name in two.views)
