"""What depends on the device: numbers are the same on a pretended GPU, which is asked for no value, and parts fit."""

from __future__ import annotations

import pytest
import torch

from vadbench.nn.devices import part_count, sent
from vadbench.nn.sampling import abnormal_first, sum_where, top_mean
from vadbench.testing.pretend import pretend

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_the_abnormal_samples_come_first_each_kind_in_its_order():
    normal = torch.tensor([False, True, True, False, True, False])
    assert abnormal_first(normal).tolist() == [0, 3, 5, 1, 2, 4]


def test_only_what_is_chosen_is_summed():
    values = torch.tensor([[1.0, torch.nan, 4.0], [2.0, torch.inf, 8.0]])
    chosen = torch.tensor([True, False, True])
    assert sum_where(values, chosen).tolist() == [5, 10]
    assert sum_where(values, torch.zeros(3, dtype=torch.bool)).tolist() == [0, 0]
    with pretend() as world:
        found = sum_where(values.to(GPU), chosen.to(GPU))
        assert not world.waits()
        assert found.cpu().tolist() == [5, 10]


def test_the_highest_rows_are_averaged_on_a_gpu_without_a_wait():
    values, lengths = torch.randn(3, 9, 2), torch.tensor([8, 1, 5])
    wanted = top_mean(values, lengths, 3)
    with pretend() as world:
        found = top_mean(values.to(GPU), lengths.to(GPU), 3)
        assert not world.waits()
        torch.testing.assert_close(found.cpu(), wanted)


def test_a_tensor_of_the_cpu_is_sent_without_a_wait():
    assert sent(torch.ones(2), CPU).tolist() == [1, 1]
    with pretend() as world:
        there = sent(torch.ones(2), GPU)
        assert there.device.type == "cuda" and world.count("h2d-pinned") == 1
        assert not world.count("h2d-pageable", "d2h", "sync")


@pytest.mark.parametrize(("rows", "parts"), [(1, 1), (100, 1), (101, 2), (1000, 10)])
def test_parts_on_a_cpu_have_so_many_rows(rows, parts):
    assert part_count(rows, 100, 1 << 60, CPU) == parts


@pytest.mark.parametrize(
    ("free", "unused", "parts"), [(100, 0, 1), (80, 0, 1), (40, 0, 2), (0, 40, 2), (1, 9, 8), (0, 0, 64)]
)
def test_parts_on_a_gpu_are_as_many_as_its_free_memory_asks_for(monkeypatch, free, unused, parts):
    """64 rows of a mebibyte; of so many mebibytes that are free or held without use, 0.8 may be taken."""
    with pretend():
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free << 20, 100 << 20))
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: (unused + 7) << 20)
        monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 7 << 20)
        found = part_count(64, 1, 1 << 20, GPU)
        assert found == parts if free + unused else found >= 64
        monkeypatch.undo()
