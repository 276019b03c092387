"""Ray engine: tasks on a Ray cluster whose machines share the folders."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

from vadbench.base.errors import ConfigError, first_line
from vadbench.base.locations import CACHE_VARIABLE, cache_root
from vadbench.benchmarks.engines import LostTask, R, T

RETRIES = 3
"""Number of times Ray tries a task again after its worker died."""


class RayEngine:
    """Engine that runs tasks on a Ray cluster, with one GPU each if the cluster has any, else one core.

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

    def run_all(
        self,
        groups: Sequence[Sequence[T]],
        work: Callable[[T], R],
        started: Callable[[T], None],
        ended: Callable[[T, R | LostTask], None],
    ) -> None:
        """See :meth:`vadbench.benchmarks.engines.Engine.run_all`; Ray retries a task whose worker or machine died.

        ``started`` is never called, as Ray does not report it.
        """
        if not any(groups):
            return
        ray = self._ray
        with self._connected():
            on_gpu = self._device != "cpu" and ray.cluster_resources().get("GPU", 0) > 0
            share = {"num_gpus": 1} if on_gpu else {"num_cpus": 1}

            def one(task: Any) -> Any:
                return work(task)

            remote = ray.remote(max_retries=RETRIES, **share)(one)
            pending = {remote.remote(task): task for group in groups for task in group}
            while pending:
                (reference,), _ = ray.wait(list(pending), num_returns=1)
                task = pending.pop(reference)
                try:
                    result = ray.get(reference)
                except ray.exceptions.RayError as error:
                    result = LostTask(f"Ray gave it up: {first_line(error)}")
                ended(task, result)

    @contextmanager
    def _connected(self) -> Iterator[None]:
        # Ray prints reports about workers to stdout, which is for a command's result.
        with redirect_stdout(sys.stderr):
            self._connect()
            try:
                yield
            finally:
                self._ray.shutdown()

    def _connect(self) -> None:
        try:
            self._ray.init(
                address=self._address,
                logging_level=logging.ERROR,
                log_to_driver=False,
                runtime_env={"env_vars": {CACHE_VARIABLE: str(cache_root().resolve())}},
            )
        except Exception as error:  # Ray raises ConnectionError, ValueError and its own classes
            where = self._where or "this machine"
            advice = "start one with: ray start --head"
            if "AF_UNIX" in str(error):  # as batch systems name temporary folders; ray start would fail in the same way
                advice = "set RAY_TMPDIR to a folder with a short path, such as /tmp"
            raise ConfigError(f"no Ray cluster at {where}: {first_line(error)}; {advice}") from error
