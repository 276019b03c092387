"""``vadbench score`` on what is still growing: real files, real servers."""

import json
import signal
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from processes import interruptible
from scored import TINY, column, table
from watch_media import encode, grow, noise, server


def test_a_growing_file_is_followed(trained, score, tmp_path):
    whole = encode(tmp_path / "whole.mkv", noise(200))
    expected, _ = score(whole, "--run", trained())
    path = tmp_path / "growing.mkv"
    writer = grow(path, whole.read_bytes(), seconds=1)
    (found,), _ = score(path, "--run", trained(), "--follow", "--timeout", "10")
    writer.join()
    assert found["frames"] == 200 and found["error"] is None
    assert column(found["folder"]) == pytest.approx(column(expected[0]["folder"]), abs=1e-6)


def test_rows_of_a_stream_appear_while_it_runs(trained, score, tmp_path):
    content = encode(tmp_path / "a.ts", noise(200)).read_bytes()
    run, rows, seen, done = trained("zero-shot"), tmp_path / "scored" / "a" / "scores.csv", set(), threading.Event()

    def watch():
        while not done.wait(0.02):
            if rows.exists():
                seen.add(len(rows.read_text().splitlines()) - 1)

    def pause(part):
        # However slow this machine is: rows are seen before all has been sent.
        end = time.monotonic() + 60
        time.sleep(0.2)
        while len(seen - {0}) < {4: 1, 6: 2, 8: 3}.get(part, 0) and time.monotonic() < end:
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with server(content, chunked=True, pause=pause) as (address, _):
        (found,), _ = score(f"{address}/a.ts", "--run", run, "--follow")
    done.set()
    watcher.join()
    assert found["rows"] == 200 == len(table(rows.parent))
    assert len({n for n in seen if 0 < n < 200}) >= 3, "windows, not all at once"


@contextmanager
def followed(trained, tmp_path, source):
    """``vadbench score --follow`` in a process of its own, and its folder."""
    options = ["--follow", "--timeout", "600", "--out", tmp_path / "out"]
    process = subprocess.Popen(
        interruptible("score", *TINY, source, "--run", trained("zero-shot"), *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, tmp_path / "out" / "a"
    finally:
        process.kill()
        process.communicate()


def wait_for(process, ready):
    end = time.monotonic() + 600
    while process.poll() is None and not ready():
        if time.monotonic() > end:
            process.send_signal(signal.SIGABRT)  # writes the stacks of its threads
            process.wait()
        time.sleep(0.05)
    assert process.poll() is None, process.communicate()


def ended(process):
    """What it writes to the error stream until it has ended."""
    try:
        return process.communicate(timeout=600)[1]
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        return process.communicate()[1]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["file", "stream"])
def test_a_stop_by_hand_keeps_what_was_scored(trained, tmp_path, kind):
    with ExitStack() as stack:
        if kind == "file":
            source = encode(tmp_path / "a.mkv", noise(100))
        else:
            content = encode(tmp_path / "a.ts", noise(200)).read_bytes()
            address, _ = stack.enter_context(server(content, share=0.5, stall=3600))
            source = f"{address}/a.ts"
        process, folder = stack.enter_context(followed(trained, tmp_path, source))
        rows = folder / "scores.csv"
        wait_for(process, lambda: rows.exists() and len(table(folder)) >= 60)
        process.send_signal(signal.SIGINT)
        err = ended(process)
    assert process.returncode == 0, err
    summary = json.loads((folder / "summary.json").read_text())
    assert 60 <= summary["rows"] == summary["frames"] == len(table(folder)) and "stopped by hand" in summary["notes"]


@pytest.mark.slow
def test_a_stop_by_hand_before_the_first_row_says_so(trained, tmp_path):
    path = tmp_path / "a.mkv"
    path.touch()
    with followed(trained, tmp_path, path) as (process, folder):
        wait_for(process, folder.exists)
        process.send_signal(signal.SIGINT)
        err = ended(process)
    assert process.returncode == 1
    assert f"vadbench: {path}: stopped by hand before its first row" in err.splitlines() and "Traceback" not in err
    assert not (folder / "summary.json").exists()


@pytest.mark.parametrize("follow", [(), ("--follow",)])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_dropped_stream_leaves_its_scores_and_fails(trained, score, tmp_path, chunked, follow):
    content = encode(tmp_path / "a.ts", noise(200)).read_bytes()
    with server(content, share=0.5, chunked=chunked) as (address, _):
        (found,), err = score(f"{address}/a.ts?token=secret", "--run", trained(), *follow, status=1)
    assert "a.ts?...: broken off at frame" in err and "the server dropped the connection" in err
    assert "secret" not in err + json.dumps(found)
    assert 80 < found["frames"] <= 102
    assert len(table(found["folder"])) == found["rows"] == found["frames"]
    assert "broken off" in (Path(found["folder"]) / "index.html").read_text()


def test_a_stalled_stream_is_given_up(trained, score, tmp_path):
    content = encode(tmp_path / "a.ts", noise(200)).read_bytes()
    with server(content, share=0.5, stall=3600) as (address, _):
        (found,), _ = score(f"{address}/a.ts", "--run", trained(), "--follow", "--timeout", "5", status=1)
    assert found["rows"] > 80 and "nothing came for 5 s" in found["error"]
