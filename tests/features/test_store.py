"""The feature store: what goes in comes out, whatever interrupts, and pooling is exact."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stores import DIM, PRINT, append, content, fill, some_rows
from vadbench.base.errors import FeatureError
from vadbench.features.pooling import can_serve, pool_rows
from vadbench.features.store import FeatureStore, StoreWriter

POOLINGS = ("first", "middle", "mean")


def test_what_goes_in_comes_out(tmp_path):
    fill(tmp_path)
    store = FeatureStore(tmp_path)
    assert store.names == ("a", "b", "c")
    assert store.fingerprint == PRINT
    for i, name in enumerate("abc"):
        frames = 9 + 4 * i
        np.testing.assert_array_equal(store.rows(name), some_rows(name.encode()[0], frames)[None])
        assert (store.frames(name), store.source(name)) == (frames, f"id-{name}")
        store.check(name)
    with pytest.raises(ValueError, match="read-only"):
        store.rows("a")[0, 0, 0] = 1


def test_rows_are_mapped_not_read(tmp_path):
    fill(tmp_path)
    rows = FeatureStore(tmp_path).rows("b")
    with (tmp_path / "rows-0-of-1.bin").open("r+b") as file:
        file.seek(3 * DIM * 4)  # behind the three rows of "a"
        file.write(np.float32(42).tobytes())
    assert rows[0, 0, 0] == 42


def test_crops_keep_their_order(tmp_path):
    fingerprint = dataclasses.replace(PRINT, crops=("left", "right"))
    left, right = some_rows(1, 10), some_rows(2, 10)
    with StoreWriter(tmp_path, fingerprint) as writer:
        append(writer, "a", [left, right], 10, "x")
        append(writer, "b", [right, left], 10, "x")
    store = FeatureStore(tmp_path)
    np.testing.assert_array_equal(store.rows("a"), np.stack([left, right]))
    np.testing.assert_array_equal(store.rows("b"), np.stack([right, left]))


def test_float16_is_rounded_and_overflow_refused(tmp_path):
    half = dataclasses.replace(PRINT, dtype="float16")
    with StoreWriter(tmp_path, half) as writer:
        append(writer, "a", [some_rows(1, 8)], 8, "x")
        with pytest.raises(FeatureError, match=r"video 'b' as float16.*row 1"):
            append(writer, "b", [np.array([[1.0] * DIM, [1e6] * DIM], np.float32)], 8, "x")
        append(writer, "c", [some_rows(3, 8)], 8, "x")
    store = FeatureStore(tmp_path)
    assert store.names == ("a", "c")
    np.testing.assert_array_equal(store.rows("c")[0], some_rows(3, 8).astype(np.float16))


@pytest.mark.parametrize(
    ("rows", "frames", "reason"),
    [
        (np.zeros((2, DIM + 1), np.float32), 8, f"rows of width {DIM}"),
        (np.zeros((2, DIM), np.float32), 9, "must make 3 rows"),
        (np.zeros((0, DIM), np.float32), 0, "at least one"),
        (np.full((2, DIM), np.nan, np.float32), 8, "NaN"),
    ],
)
def test_wrong_rows_are_refused_and_leave_nothing(tmp_path, rows, frames, reason):
    fill(tmp_path)
    before = content(tmp_path)
    with StoreWriter(tmp_path, PRINT) as writer, pytest.raises(FeatureError, match=reason):
        append(writer, "d", [rows], frames, "x")
    assert content(tmp_path) == before


def test_a_later_video_of_the_same_name_wins(tmp_path):
    fill(tmp_path)
    with StoreWriter(tmp_path, PRINT) as writer:
        assert writer.source("a") == "id-a"
        assert writer.source("a") != "new"
        assert writer.source("z") is None
        append(writer, "a", [some_rows(99, 20)], 20, "new")
        assert writer.source("a") == "new"
    store = FeatureStore(tmp_path)
    assert (store.frames("a"), store.source("a"), len(store.names)) == (20, "new", 3)
    np.testing.assert_array_equal(store.rows("a")[0], some_rows(99, 20))


def test_a_later_video_wins_across_shards_whatever_their_names(tmp_path):
    fill(tmp_path, shard=(1, 2))
    with StoreWriter(tmp_path, PRINT, (0, 1)) as writer:
        append(writer, "a", [some_rows(99, 20)], 20, "new")
    assert FeatureStore(tmp_path).source("a") == "new"
    with StoreWriter(tmp_path, PRINT, (0, 3)) as writer:
        append(writer, "a", [some_rows(98, 24)], 24, "newest")
    assert FeatureStore(tmp_path).source("a") == "newest"


def test_shards_are_one_store(tmp_path):
    fill(tmp_path, names="ab", shard=(0, 2))
    fill(tmp_path, names="cd", shard=(1, 2))
    store = FeatureStore(tmp_path)
    assert store.names == ("a", "b", "c", "d")
    np.testing.assert_array_equal(store.rows("d")[0], some_rows(b"d"[0], 13))


def test_another_fingerprint_is_refused_with_the_differences(tmp_path):
    fill(tmp_path)
    with (
        pytest.raises(FeatureError, match="activation: gelu here, quickgelu there"),
        StoreWriter(tmp_path, dataclasses.replace(PRINT, activation="quickgelu")),
    ):
        pass


def test_versions_are_recorded_beside_the_fingerprint(tmp_path):
    fill(tmp_path)
    record = json.loads((tmp_path / "fingerprint.json").read_text())
    assert record["digest"] == PRINT.digest
    assert {"av", "torch", "open_clip_torch"} <= set(record["versions"])


def test_one_writer_a_shard(tmp_path):
    with StoreWriter(tmp_path, PRINT) as writer:
        with pytest.raises(FeatureError, match="another process"), StoreWriter(tmp_path, PRINT):
            pass
        with StoreWriter(tmp_path, PRINT, (1, 2)) as other:
            append(other, "b", [some_rows(1, 8)], 8, "x")
        append(writer, "a", [some_rows(1, 8)], 8, "x")
    assert FeatureStore(tmp_path).names == ("a", "b")


def test_a_dead_process_holds_no_lock(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from vadbench.features.store import StoreWriter\n"
        "from vadbench.features.fingerprint import Fingerprint\n"
        f"StoreWriter(Path(sys.argv[1]), {PRINT!r}).__enter__(); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    fill(tmp_path)
    assert FeatureStore(tmp_path).names == ("a", "b", "c")


@pytest.mark.parametrize("shard", [(1, 1), (-1, 2), (0, 0)])
def test_a_shard_must_exist(tmp_path, shard):
    with pytest.raises(FeatureError, match="0 <= i < n"):
        StoreWriter(tmp_path, PRINT, shard)


@settings(max_examples=40)
@given(cut=st.integers(0, 10_000), lost_line=st.booleans())
def test_an_unfinished_end_is_cut_off_and_done_again(tmp_path_factory, cut, lost_line):
    """Whatever prefix of the files a kill leaves, in the order they are written, the end is the same."""
    whole = tmp_path_factory.mktemp("whole")
    fill(whole)
    expected = content(whole)
    torn = tmp_path_factory.mktemp("torn")
    fill(torn, names="ab")
    index, rows = torn / "index-0-of-1.jsonl", torn / "rows-0-of-1.bin"
    last_line = expected[index.name][index.stat().st_size :]
    last_rows = expected[rows.name][rows.stat().st_size :]
    with rows.open("ab") as file:
        file.write(last_rows[: cut % (len(last_rows) + 1)] if lost_line else last_rows)
    if not lost_line:
        with index.open("ab") as file:
            file.write(last_line[: cut % len(last_line)])
    assert FeatureStore(torn).names == ("a", "b")
    with StoreWriter(torn, PRINT) as writer:
        for i, name in enumerate("abc"):
            if writer.source(name) != f"id-{name}":
                append(writer, name, [some_rows(name.encode()[0], 9 + 4 * i)], 9 + 4 * i, f"id-{name}")
    assert content(torn) == expected


def test_a_reader_sees_finished_videos_only(tmp_path):
    with StoreWriter(tmp_path, PRINT) as writer:
        append(writer, "a", [some_rows(1, 8)], 8, "x")
        writer.write_rows("b", some_rows(2, 8))
        assert FeatureStore(tmp_path).names == ("a",)
        writer.finish("b", 8, "x")
        assert FeatureStore(tmp_path).names == ("a", "b")


def test_a_video_needs_a_name(tmp_path):
    with StoreWriter(tmp_path, PRINT) as writer:
        with pytest.raises(FeatureError, match="expected a name"):
            append(writer, "", [some_rows(1, 8)], 8, "x")
        append(writer, "a", [some_rows(1, 8)], 8, "x")
    assert FeatureStore(tmp_path).names == ("a",)


def test_check_finds_the_row(tmp_path):
    fill(tmp_path)
    values = np.memmap(tmp_path / "rows-0-of-1.bin", "<f4", "r+").reshape(-1, DIM)
    values[3 + 2, 1] = np.inf
    values.flush()
    store = FeatureStore(tmp_path)
    store.check("a")
    with pytest.raises(FeatureError, match=r"video 'b', crop center.*row 2"):
        store.check("b")


def test_what_is_not_there_says_so(tmp_path):
    with pytest.raises(FeatureError, match="no feature store"):
        FeatureStore(tmp_path)
    fill(tmp_path, names=["Abuse001"])
    with pytest.raises(FeatureError, match="did you mean 'Abuse001'"):
        FeatureStore(tmp_path).rows("Abuse01")
    (tmp_path / "fingerprint.json").write_text("{}")
    with pytest.raises(FeatureError, match="cannot read"):
        FeatureStore(tmp_path)


# --- pooling -------------------------------------------------------------------------------------------------------


def literal_pool(frames_of, to_stride, pooling):
    """Frame by frame: cut the video into pieces of ``to_stride`` frames and let each speak for itself."""
    pooled = []
    for start in range(0, len(frames_of), to_stride):
        piece = frames_of[start : start + to_stride]
        pooled.append({"first": piece[0], "middle": piece[len(piece) // 2], "mean": np.mean(piece, axis=0)}[pooling])
    return np.array(pooled)


@given(
    frames=st.integers(1, 70),
    stride=st.integers(1, 6),
    factor=st.integers(1, 6),
    pooling=st.sampled_from(POOLINGS),
    seed=st.integers(0, 2**32 - 1),
)
def test_pooling_stored_rows_equals_pooling_frames(frames, stride, factor, pooling, seed):
    per_frame = np.random.default_rng(seed).standard_normal((frames, 3))
    stored = literal_pool(per_frame, stride, pooling).astype(np.float32)
    have = dataclasses.replace(PRINT, stride=stride, pooling=pooling)
    if not can_serve(have, stride * factor, pooling):
        assert pooling == "middle"
        with pytest.raises(FeatureError, match="extract again"):
            pool_rows(stored, frames, stride, stride * factor, pooling)
        return
    pooled = pool_rows(stored, frames, stride, stride * factor, pooling)
    expected = literal_pool(per_frame, stride * factor, pooling)
    assert pooled.dtype == np.float32
    np.testing.assert_allclose(pooled, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("wanted", POOLINGS)
@pytest.mark.parametrize("stored", POOLINGS)
def test_what_can_be_served(stored, wanted):
    every, fourth = (dataclasses.replace(PRINT, stride=s, pooling=stored) for s in (1, 4))
    assert all(can_serve(every, stride, wanted) for stride in (1, 3, 16))
    assert can_serve(fourth, 4, wanted) == (stored == wanted)
    assert can_serve(fourth, 8, wanted) == (stored == wanted != "middle")
    assert not any(can_serve(fourth, stride, wanted) for stride in (1, 2, 6))


def test_unpooled_rows_are_not_copied():
    rows = some_rows(0, 9)
    assert pool_rows(rows, 9, 4, 4, "mean") is rows


@pytest.mark.parametrize(("frames", "stride", "to_stride"), [(9, 4, 6), (8, 4, 8), (13, 4, 8), (0, 4, 8)])
def test_rows_that_do_not_fit_are_refused(frames, stride, to_stride):
    with pytest.raises(FeatureError):
        pool_rows(some_rows(0, 9), frames, stride, to_stride, "mean")
