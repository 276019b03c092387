"""Engines by what comes back of tasks, worker processes that die included."""

import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

import engine_work as work
from places import ROOT, SUPPORT
from processes import is_alive
from vadbench.base.cores import usable_cores
from vadbench.base.errors import ConfigError
from vadbench.benchmarks.engines import LostTask
from vadbench.benchmarks.engines.local import LocalEngine, _Queue, crowding, visible_gpus


def run_all(engine, groups, work):
    started, results = [], {}

    def ended(task, result):
        assert task not in results
        results[task] = result

    engine.run_all(groups, work, started.append, ended)
    return started, results


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_every_task_is_done_once_and_started_before(jobs):
    started, results = run_all(LocalEngine(jobs, "cpu"), [[0, 1], [2], [3]], work.double)
    assert results == {0: 0, 1: 2, 2: 4, 3: 6}
    assert sorted(started) == [0, 1, 2, 3]


@pytest.mark.parametrize("jobs", [1, 2])
def test_nothing_to_do_is_nothing_done(jobs):
    assert run_all(LocalEngine(jobs, "cpu"), [], work.double) == ([], {})


def test_one_job_is_done_in_this_process_and_more_are_not():
    _, alone = run_all(LocalEngine(1, "cpu"), [[0, 1]], work.told)
    assert {pid for pid, *_ in alone.values()} == {os.getpid()}
    _, several = run_all(LocalEngine(2, "cpu"), [[0], [1]], work.told)
    assert os.getpid() not in {pid for pid, *_ in several.values()}


def test_workers_take_turns_at_the_gpus_and_share_the_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("vadbench.benchmarks.engines.local.visible_gpus", lambda device: ["4", "7"])
    monkeypatch.setattr("vadbench.benchmarks.engines.local.usable_cores", lambda: 12)
    _, results = run_all(LocalEngine(3), [[0], [1], [2]], work.told)
    assert [results[i][1:] for i in range(3)] == [("4", "4", "4"), ("7", "4", "4"), ("4", "4", "4")]


def test_the_gpus_that_a_user_shows_are_those_taken(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,2")
    assert visible_gpus("auto") == ["5", "2"]
    assert visible_gpus("cpu") == []


def test_a_worker_stays_with_its_group_then_takes_a_fresh_one_then_helps_the_longest():
    queue = _Queue([["a0", "a1"], ["b0", "b1", "b2", "b3"], ["c0"]])
    assert queue.next(None) == (0, "a0")
    assert queue.next(None) == (1, "b0")
    assert queue.next(0) == (0, "a1")
    assert queue.next(0) == (2, "c0")
    assert queue.next(2) == (1, "b1")
    assert [queue.next(1) for _ in range(3)] == [(1, "b2"), (1, "b3"), None]


def test_a_task_whose_worker_is_killed_is_begun_once_more(tmp_path):
    _, results = run_all(LocalEngine(2, "cpu"), [[0, 1, 2]], partial(work.die_once, tmp_path))
    assert results == {0: 0, 1: 1, 2: 2}


def test_a_task_that_kills_every_worker_is_lost_and_the_others_go_on():
    _, results = run_all(LocalEngine(2, "cpu"), [[0, 1, 2, 3]], work.die)
    assert {t: r for t, r in results.items() if t != 1} == {0: 0, 2: 2, 3: 3}
    assert isinstance(results[1], LostTask)
    assert "killed by signal 9, 2 times" in results[1].reason


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_task_that_broke_its_device_ends_its_process_and_is_not_tried_again(tmp_path, jobs):
    """Task 1 breaks the process, and a later task there would see it: with one job there is no later task."""
    engine = LocalEngine(jobs, "cpu")
    _, results = run_all(engine, [[0, 1, 2, 3]], partial(work.break_device, tmp_path))
    assert len(list(tmp_path.iterdir())) == 1, "the task was tried again"
    assert results[0] == (0, False) and results[1] == (1, True)
    lost = LostTask("the GPU failed", engine=True)
    left = {2: lost, 3: lost} if jobs == 1 else {2: (2, False), 3: (3, False)}
    assert {t: results[t] for t in (2, 3)} == left
    work.BROKEN.clear()
    _, later = run_all(engine, [[5]], partial(work.break_device, tmp_path))
    assert later == {5: lost if jobs == 1 else (5, False)}


def test_a_gpu_that_no_new_process_can_use_leaves_its_tasks_to_others_or_to_do(tmp_path, monkeypatch):
    """No process here can use such a GPU: the worker that saw its GPU fail must not go on without, on the CPU."""
    monkeypatch.setattr("vadbench.benchmarks.engines.local.visible_gpus", lambda device: ["90", "91"])
    _, results = run_all(LocalEngine(2), [[0, 1, 2, 3, 4]], partial(work.break_gpu, "90"))
    assert sorted(results) == [0, 1, 2, 3, 4]
    assert list(results.values()).count("broken") == 1 and list(results.values()).count("done on 91") == 4
    _, results = run_all(LocalEngine(2), [[0, 1, 2, 3, 4]], partial(work.break_gpu, "90 91"))
    assert list(results.values()).count("broken") == 2
    left = [r for r in results.values() if r != "broken"]
    assert len(left) == 3 and all(r.engine and "no GPU can be used" in r.reason for r in left)


def test_more_jobs_than_gpus_are_said(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,2")
    assert crowding(4, "auto", 9).startswith("4 jobs share 2 GPUs, and their memory")
    assert "3 jobs share 2 GPUs" in crowding(4, "cuda", 3) and "--jobs 2" in crowding(4, "cuda", 3)
    assert [crowding(*asked) for asked in [(2, "auto", 9), (4, "auto", 2), (4, "cpu", 9), (1, "auto", 9)]] == [""] * 4
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert crowding(4, "auto", 9) == ""


def test_what_ended_raises_ends_the_workers_too(tmp_path):
    def ended(task, result):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        LocalEngine(2, "cpu").run_all([[0], [1]], partial(work.note_and_wait, tmp_path), lambda _: None, ended)
    assert not [p for p in tmp_path.iterdir() if Path(f"/proc/{p.name}").exists()]


def test_workers_do_not_outlive_a_parent_that_is_killed(tmp_path):
    code = (
        "import sys\nfrom functools import partial\nimport engine_work\n"
        "from vadbench.benchmarks.engines.local import LocalEngine\n"
        "LocalEngine(2, 'cpu').run_all([[1], [2]], partial(engine_work.note_and_wait, sys.argv[1]), print, print)"
    )
    environment = os.environ | {"PYTHONPATH": str(SUPPORT)}
    parent = subprocess.Popen([sys.executable, "-c", code, tmp_path], env=environment, stdout=subprocess.DEVNULL)
    wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    parent.kill()
    parent.wait()
    wait_for(lambda: not [p for p in tmp_path.iterdir() if is_alive(p.name)])


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_ray_that_is_not_installed_says_what_to_install(monkeypatch):
    from vadbench.benchmarks.engines.ray import RayEngine

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'vadbench\[ray\]'"):
        RayEngine()


@pytest.mark.parametrize("given", [True, False])
def test_an_address_of_rays_client_without_it_is_one_line(monkeypatch, given):
    from vadbench.benchmarks.engines.ray import RayEngine

    monkeypatch.setitem(sys.modules, "ray", object())
    monkeypatch.setitem(sys.modules, "grpc", None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if not given:
        monkeypatch.setenv("RAY_ADDRESS", "ray://head:10001")
    said = r"ray://head:10001 needs Ray's client, .*pip install 'vadbench\[ray\]', or .* HOST:6379$"
    with pytest.raises(ConfigError, match=said):
        RayEngine("ray://head:10001" if given else None)
    RayEngine("head:6379")
    monkeypatch.setitem(sys.modules, "grpc", object())
    RayEngine("head:6379")


@pytest.mark.parametrize("address", ["ray://127.0.0.1:9", "127.0.0.1:9"])
def test_an_address_where_nothing_answers_is_told_without_asking_ray(monkeypatch, address):
    from vadbench.benchmarks.engines.ray import RayEngine

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=lambda **_: pytest.fail("asks")))
    monkeypatch.setitem(sys.modules, "grpc", SimpleNamespace(__spec__=object()))
    with pytest.raises(ConfigError, match=f"^no Ray cluster at {address}: nothing answers there; .*ray start --head$"):
        RayEngine(address).run_all([[1]], abs, None, None)


def test_the_extra_installs_what_the_addresses_of_the_help_need():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    pinned = (ROOT / "constraints.txt").read_text()
    assert any(need.startswith("ray[client]") for need in extras["ray"])
    assert "\nray==" in pinned and "\ngrpcio==" in pinned


RAY = """
import sys
from functools import partial
from pathlib import Path
import engine_work
from vadbench.benchmarks.engines.ray import RayEngine
engine = RayEngine(device="cpu")
results = {}
engine.run_all([[0, 1], [2]], partial(engine_work.die_once, sys.argv[1]), None, results.__setitem__)
engine.run_all([], None, None, None)
assert results == {0: 0, 1: 1, 2: 2}, results
folder, results = Path(sys.argv[1], "broken"), {}
folder.mkdir()
engine.run_all([[0, 1, 2, 3, 4, 5]], partial(engine_work.break_device, folder), None, results.__setitem__)
# In whatever process the others are done, it is none whose device failed.
assert results == {task: (task, task == 1) for task in range(6)}, results
assert len(list(folder.iterdir())) == 1
"""


@pytest.mark.slow
def test_on_ray_every_task_is_done_and_a_killed_worker_is_replaced(tmp_path, real_ray):
    environment = os.environ | {"PYTHONPATH": str(SUPPORT)}
    done = subprocess.run([sys.executable, "-c", RAY, tmp_path], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_ray_cluster_that_is_not_there_is_one_line(real_ray):
    code = (
        "from vadbench.benchmarks.engines.ray import RayEngine\nfrom vadbench.base.errors import ConfigError\n"
        "try: RayEngine('auto', 'cpu').run_all([[1]], print, print, print)\n"
        "except ConfigError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith("no Ray cluster at auto: ") and done.stdout.count("\n") == 1, done.stderr


@pytest.mark.slow
def test_a_temporary_folder_that_is_too_long_for_ray_is_said_with_the_way_out(tmp_path, real_ray):
    long = tmp_path / "user_project_12345678" / "job_98765432_as_batch_systems_name_them" / ("x" * 40)
    long.mkdir(parents=True)
    code = (
        "from vadbench.benchmarks.engines.ray import RayEngine\nfrom vadbench.base.errors import ConfigError\n"
        "try: RayEngine(None, 'cpu').run_all([[1]], abs, print, print)\n"
        "except ConfigError as error: print(error)"
    )

    def said(**variables):
        names = {"TMPDIR": str(long)} | variables
        left = {k: v for k, v in os.environ.items() if k not in ("RAY_TMPDIR", "RAY_ADDRESS")}
        return subprocess.run([sys.executable, "-c", code], env=left | names, capture_output=True, text=True).stdout

    assert said().startswith("no Ray cluster at this machine: ") and "set RAY_TMPDIR to a folder" in said()
    assert "no Ray cluster" not in said(RAY_TMPDIR="/tmp")


CLUSTER = """
import sys
import ray
import engine_work
from functools import partial
from vadbench.benchmarks.engines.ray import RayEngine
def ended(task, result):
    print(task, result, file=sys.__stdout__, flush=True)
    if task == 0:
        print(ray.get_runtime_context().gcs_address, file=sys.__stdout__, flush=True)
engine = RayEngine(None, "cpu")
# A core is left for the guest.
engine.run_all([[0, 1]], partial(engine_work.note_and_wait, sys.argv[1]), None, ended)
engine.run_all([[3]], engine_work.double, None, ended)
"""
GUEST = """
import sys
import engine_work
from vadbench.benchmarks.engines.ray import RayEngine
RayEngine(sys.argv[1], "cpu").run_all([[5]], engine_work.double, None, lambda *it: print(*it, file=sys.__stdout__))
"""


@pytest.mark.skipif(usable_cores() < 2, reason="one task takes the only core")
@pytest.mark.slow  # half a minute: Ray takes 15 seconds to begin, and a cluster is looked at for 8
def test_a_ray_cluster_takes_its_users_token_and_says_when_it_is_gone(tmp_path, real_ray):
    left = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    environment = left | {"PYTHONPATH": f"{SUPPORT}:{left.get('PYTHONPATH', '')}", "HOME": str(tmp_path)}
    call = {"env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    host = subprocess.Popen([sys.executable, "-c", CLUSTER, tmp_path], **call)
    try:
        assert host.stdout.readline() == "0 0\n"
        address = host.stdout.readline().strip()
        # Ray made a token with the cluster, and uses none by itself where an address is given.
        assert (tmp_path / ".ray" / "auth_token").is_file()
        guest = subprocess.run([sys.executable, "-c", GUEST, address], **call, timeout=600)
        assert guest.stdout == "5 10\n"
        begun = time.monotonic()
        for name in ("gcs_server", "raylet"):
            os.kill(process_of(host.pid, name), signal.SIGKILL)
        said = host.communicate(timeout=120)[0].splitlines()
    finally:
        host.kill()
        host.wait()
    assert host.returncode == 0 and time.monotonic() - begun < 50  # Ray would end the process after a minute
    lost = "LostTask(reason='the Ray cluster at this machine no longer answers', engine=True)"
    assert said == [f"1 {lost}", f"3 {lost}"]


def process_of(parent, name):
    """The child of a process with that name."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found, state = (process / "cmdline").read_text().split("\0")[0], (process / "stat").read_text()
        except OSError:
            continue
        if Path(found).name == name and int(state.rpartition(")")[2].split()[1]) == parent:
            return int(process.name)
    raise AssertionError(f"no {name}")


class RefusingRay:
    """A Ray that cannot connect."""

    def init(self, **options):
        raise ConnectionError("Failed to connect to Ray cluster")


@pytest.mark.parametrize("listens", [True, False])
def test_a_cluster_that_answers_and_refuses_may_ask_for_a_token(monkeypatch, listens):
    from vadbench.benchmarks.engines.ray import RayEngine

    monkeypatch.setitem(sys.modules, "ray", RefusingRay())
    with socket.socket() as head:
        head.bind(("127.0.0.1", 0))
        if listens:
            head.listen()
        with pytest.raises(ConfigError) as error:
            RayEngine(f"127.0.0.1:{head.getsockname()[1]}", "cpu").run_all([[1]], abs, print, print)
    assert ("~/.ray/auth_token" in str(error.value), "ray start --head" in str(error.value)) == (listens, not listens)


@pytest.mark.parametrize("how", ["file", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "none", "switched off"])
def test_a_token_is_used_where_there_is_one(monkeypatch, tmp_path, how):
    from vadbench.benchmarks.engines.ray import RayEngine

    monkeypatch.setitem(sys.modules, "ray", object())
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.setenv(name, "")  # so that what the engine sets is taken back
        monkeypatch.delenv(name)
    if how in ("file", "switched off"):
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray" / "auth_token").write_text("0" * 64)
    if how.startswith("RAY"):
        monkeypatch.setenv(how, "x")
    if how == "switched off":
        monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    RayEngine("head:6379")
    assert os.environ.get("RAY_AUTH_MODE") == {"none": None, "switched off": "disabled"}.get(how, "token")
