"""``vadbench ui``: MLflow's pages come up on the right store and go with the command."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request

import pytest
from mlflow import MlflowClient

from processes import interruptible


@pytest.fixture
def port():
    """A port that is free, below those that the system gives to whoever asks for any."""
    for number in range(20_000 + os.getpid() % 10_000, 32_000):
        if not listening(number):
            return number
    raise AssertionError("no port is free")


@pytest.fixture
def refused(vadbench):
    return lambda *arguments: vadbench("ui", *arguments, status=2).err


@pytest.fixture
def store(tracking_address):
    """A store that exists, with an experiment in it."""
    client = MlflowClient(tracking_uri=tracking_address)
    if client.get_experiment_by_name("seen") is None:
        client.create_experiment("seen")
    return tracking_address


def listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_pages_show_the_store_and_end_with_the_command(store, port, number, tmp_path):
    process = subprocess.Popen(
        interruptible("ui", "--port", port), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        line = process.stdout.readline()
        assert line.startswith(f"MLflow at http://127.0.0.1:{port} shows sqlite:////"), process.stderr.read()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search",
            json.dumps({"max_results": 50}).encode(),
            {"Content-Type": "application/json"},
        )
        found = json.load(urllib.request.urlopen(request, timeout=300))
        assert "seen" in [experiment["name"] for experiment in found["experiments"]]
        process.send_signal(number)
        assert process.wait(300) == (-number if number == signal.SIGKILL else 0)
    finally:
        process.kill()
        process.communicate()
    end = time.monotonic() + 120
    while listening(port) and time.monotonic() < end:
        time.sleep(0.1)
    assert not listening(port)


def test_a_port_that_is_taken_is_said(store, refused):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        said = refused("--port", str(port))
    assert said.startswith(f"vadbench: port {port} of 127.0.0.1 cannot be used (Address already in use)")
    assert "choose another --port" in said


def test_a_store_that_is_not_there_is_not_made(refused, monkeypatch, tmp_path, port):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/none.db")
    assert "the first vadbench run makes it" in refused("--port", str(port))
    assert not os.listdir(tmp_path)


def test_a_server_elsewhere_has_pages_of_its_own(refused, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://example.org/mlflow")
    assert "is a server with its own pages" in refused()


def test_a_server_that_does_not_start_says_why(refused, monkeypatch, tmp_path, port):
    (tmp_path / "broken.db").write_bytes(b"no database")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/broken.db")
    said = refused("--port", str(port))
    assert "MLflow's server did not start: " in said and "it printed nothing" not in said
