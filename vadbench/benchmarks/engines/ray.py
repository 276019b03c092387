"""Ray engine: tasks on a Ray cluster whose machines share the folders."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

from vadbench.base.cores import CORES_VARIABLE
from vadbench.base.errors import ConfigError, first_line
from vadbench.base.locations import CACHE_VARIABLE, cache_root
from vadbench.benchmarks.engines import LastResult, LostTask, R, T

RETRIES = 3
"""Number of times Ray tries a task again after its worker died."""
LOOK = 1.0
"""Seconds from one look at the cluster to the next."""
SILENT = 8
"""The cluster is lost when so many looks in a row find a part of it that does not answer."""
_TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
_TOKEN_MODE = "RAY_AUTH_MODE"
_START = "start one with: ray start --head"
_ASK = (
    "it answers, and may ask for a token, as clusters of Ray 2.60 do: copy the file ~/.ray/auth_token of its head here,"
    " or set RAY_AUTH_TOKEN to what that has"
)


class RayEngine:
    """Engine that runs tasks on a Ray cluster, with one GPU each if the cluster has any, else one core.

    A task on a GPU gets its share of the cores of the machines that have GPUs, and a process does task after task: the
    start of CUDA and the opening of CLIP and features are paid once.

    The machines must see ``--out``, the data and the cache under the same paths and have the same vadbench installed.
    Without an address, and if Ray finds none, Ray is started on this machine and ends with the tasks.

    Args:
        address: address of the cluster, such as ``ray://head:10001`` or ``auto``; by default, Ray looks for one.
        device: ``auto``, ``cpu`` or ``cuda``, as the tasks use it.

    Raises:
        ConfigError: Ray, or the client that an address ``ray://`` needs, is not installed.
    """

    def __init__(self, address: str | None = None, device: str = "auto") -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if _has_token():
            # Ray itself uses the token only for a cluster that it finds without an address. Read when it is imported.
            os.environ.setdefault(_TOKEN_MODE, "token")
        try:
            # Ray is an optional extra, which may not be installed when types are checked.
            self._ray: Any = importlib.import_module("ray")
        except ImportError as error:
            raise ConfigError(
                "--engine ray needs Ray, which is not installed; expected: pip install 'vadbench[ray]'"
            ) from error
        self._where = address or os.environ.get("RAY_ADDRESS", "")
        if self._where.startswith("ray://") and importlib.util.find_spec("grpc") is None:
            raise ConfigError(
                f"the address {self._where} needs Ray's client, which is not installed; expected: pip install"
                " 'vadbench[ray]', or on a machine of the cluster its own address, HOST:6379"
            )
        self._address = address
        self._device = device
        self._lost = ""

    def run_all(
        self,
        groups: Sequence[Sequence[T]],
        work: Callable[[T], R | LastResult[R]],
        started: Callable[[T], None],
        ended: Callable[[T, R | LostTask], None],
    ) -> None:
        """See :meth:`vadbench.benchmarks.engines.Engine.run_all`; Ray retries a task whose worker or machine died.

        ``started`` is never called, as Ray does not report it. When the cluster itself no longer answers, the tasks
        that are left are lost with it, and so are those of later calls.
        """
        if self._lost or not any(groups):
            for task in (t for group in groups for t in group):
                ended(task, LostTask(self._lost, engine=True))
            return
        ray = self._ray
        with self._connected():
            parts, silent = self._parts(), 0
            on_gpu = self._device != "cpu" and ray.cluster_resources().get("GPU", 0) > 0
            cores = _cores_per_gpu(ray.nodes()) if on_gpu else 1
            # Ray ends the process of a task on a GPU after it, unless told that it may do any number of them.
            share = {"num_gpus": 1, "max_calls": 0} if on_gpu else {}
            remote = ray.remote(max_retries=RETRIES, num_cpus=cores, **share)(_do)
            send, spoiled = partial(remote.remote, work, cores), 0
            pending = {send(task): task for group in groups for task in group}
            while pending:
                # Ray would wait for a minute for a cluster that is gone, and then end this process.
                silent = 0 if all(map(_answers, parts)) else silent + 1
                if silent == SILENT:
                    self._lose(pending.values(), ended)
                    return
                try:
                    ready, _ = ray.wait(list(pending), num_returns=1, timeout=LOOK)
                except (ConnectionError, ray.exceptions.RayError):  # of a client whose server is gone
                    silent = SILENT - 1
                    continue
                for reference in ready:
                    task = pending.pop(reference)
                    try:
                        result = ray.get(reference)
                    except ray.exceptions.RayError as error:
                        if spoiled:  # its tries may have gone to processes that had ended for what others did
                            spoiled -= 1
                            pending[send(task)] = task
                            continue
                        result = LostTask(f"Ray gave it up: {first_line(error)}")
                    if isinstance(result, LastResult):
                        spoiled, result = spoiled + 1, result.result
                    ended(task, result)

    def _lose(self, tasks: Iterable[T], ended: Callable[[T, LostTask], None]) -> None:
        self._lost = f"the Ray cluster at {self._where or 'this machine'} no longer answers"
        for task in tasks:
            ended(task, LostTask(self._lost, engine=True))

    def _parts(self) -> list[tuple[str, int]]:
        """Return the addresses that must answer: the client's server, or the head and Ray's process on this machine."""
        if self._where.startswith("ray://"):
            return [place] if (place := _place(self._where)) else []
        context = self._ray.get_runtime_context()
        here = [n for n in self._ray.nodes() if n.get("NodeID") == context.get_node_id()]
        own = [(str(n["NodeManagerAddress"]), int(n["NodeManagerPort"])) for n in here]
        return [*([head] if (head := _place(context.gcs_address)) else []), *own]

    @contextmanager
    def _connected(self) -> Iterator[None]:
        # Ray prints reports about workers to stdout, which is for a command's result.
        with redirect_stdout(sys.stderr):
            self._connect()
            try:
                yield
            finally:
                if not self._lost:  # it would wait for the cluster
                    self._ray.shutdown()

    def _connect(self) -> None:
        place = _place(self._where)
        if place and not _answers(place):  # Ray would try for half a minute
            raise ConfigError(f"no Ray cluster at {self._where}: nothing answers there; {_START}")
        try:
            self._ray.init(
                address=self._address,
                logging_level=logging.ERROR,
                log_to_driver=False,
                runtime_env={"env_vars": {CACHE_VARIABLE: str(cache_root().resolve())}},
            )
        except Exception as error:  # Ray raises ConnectionError, ValueError and its own classes
            where = self._where or "this machine"
            advice = _START
            if "AF_UNIX" in str(error):  # as batch systems name temporary folders; ray start would fail in the same way
                advice = "set RAY_TMPDIR to a folder with a short path, such as /tmp"
            elif place:
                advice = _ASK
            raise ConfigError(f"no Ray cluster at {where}: {first_line(error)}; {advice}") from error


class _Process:
    """What this process of Ray has met: the GPUs that it was given, and whether one of them failed."""

    gpus: str | None = None
    failed = False


def _do(work: Callable[[T], R | LastResult[R]], cores: int, task: T) -> R | LastResult[R]:
    """Do a task in a process of Ray.

    The process ends instead where its device failed under an earlier task, or where it is given another GPU than
    before, as CUDA keeps to the first: Ray then tries the task in another process.
    """
    gpus = os.environ.get("CUDA_VISIBLE_DEVICES")
    if _Process.failed or _Process.gpus not in (None, gpus):
        os._exit(1)
    _Process.gpus = gpus
    os.environ[CORES_VARIABLE] = str(cores)
    result = work(task)
    _Process.failed = isinstance(result, LastResult)
    return result


def _cores_per_gpu(nodes: Iterable[Mapping[str, Any]]) -> int:
    """Return the cores for a task with a GPU: the smallest share on the machines with GPUs, so that all GPUs have one.

    >>> _cores_per_gpu([{"Alive": True, "Resources": {"CPU": 64}}, {"Alive": True, "Resources": {"CPU": 20, "GPU": 8}}])
    2
    """
    found = [node["Resources"] for node in nodes if node["Alive"] and node["Resources"].get("GPU", 0) >= 1]
    return max(1, min((int(made.get("CPU", 0) // made["GPU"]) for made in found), default=1))


def _has_token() -> bool:
    """Return whether this user has a token of a Ray cluster where Ray looks for one."""
    return any(os.environ.get(name) for name in _TOKENS) or (Path.home() / ".ray" / "auth_token").is_file()


def _place(address: str) -> tuple[str, int] | None:
    """Return host and port of an address, ``None`` where it names none, such as ``auto``.

    >>> _place("ray://head:10001"), _place("head:6379"), _place("auto")
    (('head', 10001), ('head', 6379), None)
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdecimal() else None


def _answers(place: tuple[str, int]) -> bool:
    try:
        socket.create_connection(place, timeout=LOOK).close()
    except OSError:
        return False
    return True
