"""Cores that this process may use: where threads and processes are counted out, they are counted from here."""

from __future__ import annotations

import os

CORES_VARIABLE = "VADBENCH_CORES"
"""Environment variable with the number of cores of a process that shares them, as workers of a benchmark do."""


def usable_cores() -> int:
    """Return the number of cores that this process may use, at least 1.

    These are the cores of its affinity, which batch systems, containers and ``taskset`` narrow, or fewer where
    :data:`CORES_VARIABLE` says so; that variable is ignored where it is no positive number.
    """
    # process_cpu_count() is in Python from 3.13 on, and sched_getaffinity() on Linux alone.
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = os.environ.get(CORES_VARIABLE, "")
    return min(here, int(share)) if share.isascii() and share.isdecimal() and int(share) else here


def threads() -> int:
    """Return how many threads work is to be split over: the usable cores, or fewer if ``OMP_NUM_THREADS`` says so."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    usable = usable_cores()
    return min(usable, int(asked)) if asked.isascii() and asked.isdecimal() and int(asked) else usable
