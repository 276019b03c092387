"""How many threads work is split over."""

import os

import pytest

from vadbench.base.cores import cores, threads


@pytest.mark.parametrize(("asked", "found"), [("1", 1), ("3", 3), ("12", 8), ("", 8), ("0", 8), ("4,2", 8)])
def test_threads_are_the_cores_or_fewer_where_the_environment_says_so(monkeypatch, asked, found):
    monkeypatch.setattr("vadbench.base.cores.cores", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert threads() == found
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert threads() == 8


def test_cores_are_those_that_the_process_may_use():
    assert 1 <= cores() <= os.cpu_count()
