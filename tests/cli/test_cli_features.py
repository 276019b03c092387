"""``vadbench features``: what people and programs are told of features, and by which exit status."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from stores import append
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.store import StoreWriter

PRINT = Fingerprint("tiny", "ab" * 32, "gelu", "short side 224", stride=1, pooling="mean", dim=8)
LENGTHS = {"Abuse 001": 40, "Léon": 33}


@pytest.fixture
def call(vadbench):
    return partial(vadbench, "features")


def rows_of(name, frames):
    noise = np.random.default_rng(len(name))
    return (noise.standard_normal(8) + 3 + np.cumsum(noise.standard_normal((frames, 8)), 0)).astype(np.float32)


@pytest.fixture
def store(tmp_path):
    with StoreWriter(tmp_path / "store", PRINT) as writer:
        for name, frames in LENGTHS.items():
            append(writer, name, [rows_of(name, frames)], frames, "x")
    return tmp_path / "store"


@pytest.fixture
def npy(tmp_path):
    """The same rows in AnomalyCLIP's layout."""
    folder = tmp_path / "npy"
    folder.mkdir()
    for name, frames in LENGTHS.items():
        np.save(folder / f"{name}.npy", rows_of(name, frames))
    return folder


def content(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_info_of_a_store(call, store):
    shown = call("info", store, "--json").json
    values = np.concatenate([rows_of(*video) for video in LENGTHS.items()])
    lengths = np.sqrt((values.astype(float) ** 2).sum(1))
    assert shown["layout"] == "store" and shown["fingerprint"] == PRINT.digest
    assert shown["made_by"] == PRINT.to_dict()
    assert (shown["videos"], shown["rows"], shown["bytes"], shown["looked_at"]) == (2, 73, 73 * 8 * 4, 73)
    assert shown["length_mean"] == pytest.approx(lengths.mean())
    assert shown["length_std"] == pytest.approx(lengths.std())
    assert (shown["not_finite"], shown["unreadable"]) == (0, [])
    text, _ = call("info", store)
    for words in (PRINT.digest, "tiny", "short side 224", "73, one every frame", "center", "8, float32", "2,336"):
        assert words in text


def test_info_shows_values_whole(call, tmp_path):
    said = "centre crop; mean 0.48145466 0.4578275 0.40821073; std 0.26862954 0.26130258 0.27577711"
    made = replace(PRINT, weights="f" * 60 + "0123", preprocessing=said)
    with StoreWriter(tmp_path / "store", made) as writer:
        append(writer, "a", [rows_of("a", 8)], 8, "x")
    text, _ = call("info", tmp_path / "store")
    assert "f" * 60 + "0123" in text
    assert said in " ".join(text.split())  # a long one is wrapped


def test_info_of_files_of_unknown_origin(call, npy):
    before = content(npy)
    shown = call("info", npy, "--features-layout", "anomalyclip", "--json").json
    assert (shown["layout"], shown["fingerprint"], shown["videos"], shown["rows"]) == ("anomalyclip", "unknown", 2, 73)
    assert "unknown" in call("info", npy, "--features-layout", "anomalyclip")[0]
    text, error = call("info", npy, status=2)
    assert not text and error.count("\n") == 1 and "--features-layout anomalyclip" in error
    assert content(npy) == before


def test_info_tells_damage_and_goes_on(call, npy):
    rows = rows_of("c", 20)
    rows[[3, 7], 2] = np.nan, np.inf
    np.save(npy / "c.npy", rows)
    (npy / "d.npy").write_text("<html>")
    shown = call("info", npy, "--features-layout", "anomalyclip", "--json", status=1).json
    assert (shown["videos"], shown["rows"], shown["not_finite"]) == (3, 93, 2)
    assert len(shown["unreadable"]) == 1 and "d.npy is no .npy file" in shown["unreadable"][0]
    _, error = call("info", npy, "--features-layout", "anomalyclip", status=1)
    assert error.startswith("unreadable: ") and error.count("\n") == 1


def test_info_looks_at_some_rows_or_at_all(call, tmp_path):
    rows = np.ones((1100, 4), np.float32)
    rows[1050] = np.nan
    for i in range(70):
        np.save(tmp_path / f"v{i:02d}__0.npy", rows)
    some = call("info", tmp_path, "--json").json
    assert (some["videos"], some["rows"], some["looked_at"], some["not_finite"]) == (70, 77000, 35 * 1024, 0)
    assert some["length_mean"] == 2 and some["length_std"] == 0
    every = call("info", tmp_path, "--all", "--json", status=1).json
    assert (every["looked_at"], every["not_finite"]) == (77000, 70)


def test_diff_of_the_same_values(call, store, npy):
    before = content(npy) | content(store)
    shown = call("diff", store, npy, "--json").json
    assert shown["same"] and shown["causes"] == [{"kind": "same", "text": "the same values", "videos": 2}]
    assert "encoder: tiny here, unknown there" in shown["fingerprint"]
    text, _ = call("diff", npy, store)
    assert "2 of 2 common videos have the same values" in text and "weights: unknown here" in text
    assert content(npy) | content(store) == before


def test_diff_of_other_values(call, store, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for name, frames in LENGTHS.items():
        rows = rows_of(name, frames)
        np.save(other / f"{name}__0.npy", np.stack([rows[i] for i in range(0, frames, 16)]))
    np.save(other / "extra__0.npy", rows)
    text, error = call("diff", store, other, status=1)
    assert "B has a row every 16 frames, A one every frame: the first of 16 of these" in text
    assert "0 of 2 common videos have the same values; 0 only in A, 1 only in B" in text
    assert error == "only in B: extra\n"
    (line,) = [line for line in text.splitlines() if line.startswith("Léon")]
    assert line.split()[1:] == ["1,", "33,", "8", "1,", "3,", "8", "1.00000", "1.00000", "pooled"]
    shown = call("diff", store, other, "--json", status=1).json
    assert not shown["same"] and shown["only_b"] == ["extra"] and shown["videos"][0]["causes"][0]["kind"] == "pooled"


def test_diff_names_a_layout_for_each_side(call, npy, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for name, frames in LENGTHS.items():
        np.save(other / f"{name}.npy", rows_of(name, frames)[:48:16])
    layouts = ["--features-layout", "anomalyclip", "--features-layout", "vadclip"]
    text, _ = call("diff", npy, other, *layouts, status=1)
    assert "the first of 16" in text
    call("diff", npy, npy, *layouts[:2])
    _, error = call("diff", npy, npy, *layouts, *layouts, status=2)
    assert "at most twice, found 4" in error


def test_the_least_alike_are_printed_and_the_rest_counted(call, tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
    for i in range(14):
        rows = rows_of("x", 20)
        np.save(tmp_path / "a" / f"v{i:02d}__0.npy", rows)
        np.save(tmp_path / "b" / f"v{i:02d}__0.npy", -rows if i == 13 else rows.astype(np.float16).astype(np.float32))
    (tmp_path / "b" / "v12__0.npy").write_text("<html>")
    text, _ = call("diff", tmp_path / "a", tmp_path / "b", status=1)
    lines = [line for line in text.splitlines() if line.startswith("v")]
    assert len(lines) == 11 and lines[1].split() == ["v12", "-", "-", "-", "-", "unreadable"]
    assert lines[2].startswith("v13") and "encoder" in lines[2]
    assert "and 4 more (--json lists all)" in text


@pytest.mark.parametrize("arguments", [("info", "absent"), ("diff", "absent", "absent")])
def test_a_folder_that_is_not_there_is_one_line(call, arguments):
    text, error = call(*arguments, status=2)
    assert not text and error.count("\n") == 1 and error.startswith("vadbench: cannot list absent: No such file")


def test_a_pickle_is_refused_by_name(call, tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    _, error = call("info", tmp_path, status=2)
    assert "a.npy holds pickled Python objects" in error and error.count("\n") == 1


def test_a_damaged_store_is_refused(call, store):
    rows = next(store.glob("rows-*.bin"))
    rows.write_bytes(rows.read_bytes()[:-1])
    assert "is truncated" in call("info", store, status=2)[1]
