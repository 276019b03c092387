"""``vadbench cache``: what is listed, and what goes."""

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from stores import fill


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Features of two data sets, the videos of one, and notes; those of ``old`` were used long ago."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("VADBENCH_CACHE", str(cache))
    for owner in ("new", "old"):
        fill(cache / "features" / owner / "0123abcd")
        (cache / "features" / owner / ".lock").touch()
        (cache / "features" / owner / "checked.jsonl").write_text("x" * 10)
    (cache / "datasets" / "new" / "v1").mkdir(parents=True)
    (cache / "datasets" / "new" / "v1" / "a.mp4").write_bytes(bytes(1000))
    (cache / "clips.jsonl").write_text("y" * 20)
    past = datetime(2020, 1, 2, tzinfo=UTC).timestamp()
    for path in (cache / "features" / "old").rglob("*"):
        os.utime(path, (past, past))
    (tmp_path / "mine").mkdir()
    (cache / "datasets" / "linked").symlink_to(tmp_path / "mine")
    return cache


def entries(vadbench):
    return {(e["kind"], e["owner"]): e for e in vadbench("cache", "--json").json["entries"] if e["kind"] != "notes"}


def test_sizes_are_told_by_kind_and_data_set(vadbench, cache):
    found = entries(vadbench)
    assert found.keys() == {("features", "new"), ("features", "old"), ("data", "new")}
    assert found["data", "new"]["bytes"] == 1000
    store = cache / "features" / "old" / "0123abcd"
    assert found["features", "old"]["bytes"] == sum(p.stat().st_size for p in store.rglob("*") if p.is_file())
    assert found["features", "old"]["used"] == "2020-01-02T00:00:00+00:00"
    assert "tiny, every 4 frames" in found["features", "old"]["what"]
    whole = vadbench("cache", "--json").json
    assert whole["bytes"] == sum(p.lstat().st_size for p in cache.rglob("*") if p.is_file())
    text = vadbench("cache").out
    assert "data: 1 kB" in text and "notes: 40 B" in text and "2020-01-0" in text


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["features"], {("data", "new")}),
        (["new"], {("features", "old")}),
        (["--unused-for", "30d"], {("features", "new"), ("data", "new")}),
        (["new", "--unused-for", "30d"], {("features", "new"), ("features", "old"), ("data", "new")}),
        ([], set()),
    ],
)
def test_what_is_named_and_unused_goes(vadbench, cache, arguments, left):
    vadbench("cache", "clear", *arguments, "--yes")
    assert entries(vadbench).keys() == left
    assert not (cache / ".deleted").exists() and (cache / "datasets" / "linked").is_symlink()


def test_without_an_answer_nothing_goes(vadbench, refused, cache):
    told = vadbench("cache", "clear", status=2).err
    assert "add --yes" in told and "features: old" in told and len(entries(vadbench)) == 3
    assert "did you mean 'features'" in refused("cache", "clear", "featurs")


@pytest.mark.parametrize("place", ["features/old", "features/old/0123abcd"])
def test_what_another_process_has_locked_stays(vadbench, cache, held_by_another_process, place):
    with held_by_another_process(cache / place):
        found = vadbench("cache", "clear", "features", "--yes", "--json", status=1).json
    assert found["in_use"] == [str(cache / "features" / "old" / "0123abcd")]
    assert entries(vadbench).keys() == {("features", "old"), ("data", "new")}


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="only Linux tells what is open")
def test_what_another_process_has_in_its_memory_stays(vadbench, cache):
    rows = next((cache / "features" / "old" / "0123abcd").glob("rows*"))
    code = "import numpy, sys, time; a = numpy.memmap(sys.argv[1]); print('there', flush=True); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", code, rows], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline().strip() == "there"
        vadbench("cache", "clear", "old", "--yes", status=1)
    finally:
        process.kill()
        process.communicate()
    assert rows.is_file()
    vadbench("cache", "clear", "old", "--yes")
    assert not rows.exists()
