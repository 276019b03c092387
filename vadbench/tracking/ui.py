"""MLflow's web server as a child process that never outlives the command that started it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

from vadbench.base.errors import TrackingError
from vadbench.tracking import server_guard
from vadbench.tracking.address import TRACKING_VARIABLE, tracking_address

SECONDS = 120
"""Time that the server may take to answer; its first import on a cold disk is slow."""
GRACE = 10


def serve(host: str, port: int, out: Path, ready: Callable[[str, str], None]) -> None:
    """Serve MLflow's pages until Ctrl-C or a signal to end.

    Args:
        host: address of this machine to listen on.
        port: port to listen on.
        out: folder of run folders, whose store is used if none is configured.
        ready: called with the address of the pages and the store once the server answers.

    Raises:
        TrackingError: there is no store, the port is in use, or the server ended by itself.
    """
    address = tracking_address(out)
    if address.is_server:
        raise TrackingError(f"the store {address.shown} is a server with its own pages; open it in a browser")
    if address.file is not None and not address.file.is_file():
        raise TrackingError(
            f"no store at {address.shown}: the first vadbench run makes it; for the store of other runs give their"
            f" --out or set {TRACKING_VARIABLE}"
        )
    _require_free(host, port)
    # One person looks: MLflow's four workers, and its jobs for language models, would take four times the memory.
    command = [sys.executable, "-m", "mlflow", "ui", "--host", host, "--port", str(port), "--workers", "1"]
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"} | os.environ
    # The address may include a password, and other users can see the arguments of a process.
    environment |= {"MLFLOW_BACKEND_STORE_URI": address.uri}
    environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log, _ending_on_signals():

        def said() -> str:
            return address.without_secrets(_last_line(log))

        # Started in a new session, so that all of the server's workers can be ended together.
        server = subprocess.Popen(
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        # Isolated, so that no file of the current folder is imported.
        watch = [sys.executable, "-I", str(Path(server_guard.__file__)), str(server.pid), str(GRACE)]
        guard = subprocess.Popen(watch, stdin=subprocess.PIPE, start_new_session=True)
        try:
            _wait(server, host, port, said)
            ready(f"http://{host}:{port}", address.shown)
            server.wait()
            raise TrackingError(f"MLflow's server ended by itself: {said()}")
        except KeyboardInterrupt:
            pass
        finally:
            guard.kill()
            _end(server)
            guard.communicate()


def _require_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise TrackingError(
                f"port {port} of {host} cannot be used ({error.strerror}); end the program that uses it, or choose"
                " another --port"
            ) from error


def _wait(server: subprocess.Popen[bytes], host: str, port: int, said: Callable[[], str]) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            raise TrackingError(f"MLflow's server did not start: {said()}")
        try:
            socket.create_connection((host, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TrackingError(f"MLflow's server did not answer within {SECONDS} seconds: {said()}")


def _end(server: subprocess.Popen[bytes]) -> None:
    """Terminate the server and its workers, and kill them if they do not end in time."""
    for kind, seconds in ((signal.SIGTERM, GRACE), (signal.SIGKILL, None)):
        try:
            os.killpg(server.pid, kind)
            server.wait(seconds)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    server.wait()


def _last_line(log: IO[str]) -> str:
    log.seek(0)
    lines = [line.strip() for line in log if line.strip()]
    return lines[-1] if lines else "it printed nothing"


@contextmanager
def _ending_on_signals() -> Iterator[None]:
    """Treat signals to end like Ctrl-C, so that the server is not left running."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
