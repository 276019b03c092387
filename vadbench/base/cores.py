"""The processor cores that this process may use."""

from __future__ import annotations

import os


def cores() -> int:
    """Return how many cores the process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads() -> int:
    """Return how many threads work is to be split over: the cores, or fewer where ``OMP_NUM_THREADS`` says so.

    Workers that share a machine are told their part of its cores in this way.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores(), int(asked)) if asked.isdecimal() and int(asked) else cores()
