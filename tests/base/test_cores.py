"""The cores that a process may use, by its affinity and by the share that it is given."""

import os
import subprocess
import sys

import pytest

from vadbench.base.cores import threads, usable_cores


@pytest.mark.parametrize(
    ("share", "found"), [(None, 6), ("2", 2), ("8", 6), ("0", 6), ("-1", 6), ("", 6), ("many", 6), ("²", 6)]
)
def test_a_share_narrows_the_affinity_and_never_widens_it(monkeypatch, share, found):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
    monkeypatch.delenv("VADBENCH_CORES", raising=False)
    if share is not None:
        monkeypatch.setenv("VADBENCH_CORES", share)
    assert usable_cores() == found


def test_where_there_is_no_affinity_the_machines_cores_count(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delenv("VADBENCH_CORES", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    assert usable_cores() == 5
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_a_real_affinity_and_a_share_set_the_decoding_workers():
    code = (
        "import os\nfrom vadbench.base.cores import usable_cores\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nprint(usable_cores())\n"
        "os.sched_getaffinity = lambda process: set(range(32))\nprint(usable_cores())\n"
        "from vadbench.features.decoding import WORKERS\nprint(WORKERS)"
    )
    environment = os.environ | {"VADBENCH_CORES": "6"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == ["1", "6", "3"]


@pytest.mark.parametrize(("asked", "found"), [("1", 1), ("3", 3), ("12", 8), ("", 8), ("0", 8), ("4,2", 8)])
def test_threads_are_the_cores_or_fewer_where_the_environment_says_so(monkeypatch, asked, found):
    monkeypatch.setattr("vadbench.base.cores.usable_cores", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert threads() == found
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert threads() == 8
