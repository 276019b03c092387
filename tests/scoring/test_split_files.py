"""Files of scores that are not what a run left: refused in one line, and nothing in them runs."""

import io
import json
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splits import keep, split
from vadbench.base.errors import RunError
from vadbench.records.scores import load_split


@pytest.fixture
def folder(tmp_path):
    return keep(split(0), tmp_path)


def rewrite(folder, **changes):
    """Replace arrays of a scores file; ``None`` leaves one out."""
    with np.load(folder / "scores.npz") as file:
        arrays = {k: file[k] for k in file.files} | changes
    np.savez(folder / "scores.npz", **{k: v for k, v in arrays.items() if v is not None})


def refused(folder):
    """The one line that reading or measuring the file ends with."""
    with pytest.raises(RunError) as error:
        load_split(folder)
    message = str(error.value)
    assert str(folder / "scores.npz") in message and "run the method again" in message
    assert len(message.splitlines()) == 1
    return message


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("name", ["labels", "classes", "branch align", "anything"])
def test_pickled_objects_are_refused_and_nothing_of_them_runs(folder, tmp_path, name):
    rewrite(folder, **{name: np.array([Touch(tmp_path / "touched")], dtype=object)})
    refused(folder)
    assert not (tmp_path / "touched").exists()


def test_a_file_that_is_a_pickle_is_refused(folder, tmp_path):
    (folder / "scores.npz").write_bytes(pickle.dumps(Touch(tmp_path / "touched")))
    refused(folder)
    assert not (tmp_path / "touched").exists()


def test_a_single_array_is_refused(folder):
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    (folder / "scores.npz").write_bytes(buffer.getvalue())
    refused(folder)


def test_a_missing_file_is_named(folder):
    (folder / "scores.npz").unlink()
    refused(folder)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(folder, share):
    content = (folder / "scores.npz").read_bytes()
    (folder / "scores.npz").write_bytes(content[: int(share * len(content))])
    refused(folder)


@given(data=st.data())
@settings(max_examples=150)
def test_flipped_bytes_are_refused_or_harmless(tmp_path_factory, data):
    made = split(0)
    folder = keep(made, tmp_path_factory.mktemp("flipped"))
    content = bytearray((folder / "scores.npz").read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "scores.npz").write_bytes(content)
    try:
        read = load_split(folder)
    except RunError:
        return
    # A byte that says nothing, such as a date: every array has a checksum of its own.
    for a, b in zip(made.scores, read.scores, strict=True):
        np.testing.assert_array_equal(a.anomaly, b.anomaly)


NEEDED = (
    "names", "labels", "frames", "rows", "stride", "anomaly", "class_names", "normal", "localises_normal", "segments",
    "runs",
)  # fmt: skip


@pytest.mark.parametrize("name", NEEDED)
def test_a_file_without_one_of_its_arrays_is_refused(folder, name):
    rewrite(folder, **{name: None})
    assert name in refused(folder)


WRONG = {
    "fewer scores than rows": lambda a: {"anomaly": a["anomaly"][:-1]},
    "more scores than rows": lambda a: {"anomaly": np.append(a["anomaly"], a["anomaly"])},
    "fewer class rows than rows": lambda a: {"classes": a["classes"][:-1]},
    "fewer classes than names": lambda a: {"classes": a["classes"][:, 1:]},
    "a flat table of classes": lambda a: {"classes": a["classes"][:, 0]},
    "fewer scores of a branch": lambda a: {"branch align": a["branch align"][:-1]},
    "fewer names": lambda a: {"names": a["names"][:-1]},
    "a name twice": lambda a: {"names": np.append(a["names"][1:], a["names"][1:2])},
    "fewer labels": lambda a: {"labels": a["labels"][:-1]},
    "fewer counts of frames": lambda a: {"frames": a["frames"][:-1]},
    "fewer counts of rows": lambda a: {"rows": a["rows"][:-1]},
    "a negative count of rows": lambda a: {"rows": a["rows"] * [-1] + [0]},
    "no frames": lambda a: {"frames": a["frames"] * 0},
    "a stride of 0": lambda a: {"stride": np.int64(0)},
    "two strides": lambda a: {"stride": np.array([4, 4])},
    "an index of the normal class that is out of range": lambda a: {"normal": np.int64(7)},
    "a segment of no class": lambda a: {"segments": a["segments"] + [0, 9, 0, 0]},
    "a segment of class -1": lambda a: {"segments": a["segments"] * [1, 0, 1, 1] - [0, 1, 0, 0]},
    "a segment of no video": lambda a: {"segments": a["segments"] + [99, 0, 0, 0]},
    "a segment that ends before it starts": lambda a: {"segments": a["segments"][:, [0, 1, 3, 2]]},
    "segments of three numbers": lambda a: {"segments": a["segments"][:, :3]},
    "runs of two numbers": lambda a: {"runs": a["runs"][:, :2]},
    "runs of no video": lambda a: {"runs": a["runs"] + [99, 0, 0]},
    "a run that ends before it starts": lambda a: {"runs": a["runs"][:, [0, 2, 1]]},
    "runs past the end": lambda a: {"runs": a["runs"] + [0, 10_000, 10_000]},
    "scores that are not numbers": lambda a: {"anomaly": a["anomaly"].astype(str)},
    "scores that are not finite": lambda a: {"anomaly": a["anomaly"] * np.float32("nan")},
    "class probabilities that are not finite": lambda a: {"classes": a["classes"] * np.float32("inf")},
    "labels that are no JSON": lambda a: {"labels": np.array(["{"] * len(a["labels"]))},
    "a class without a name": lambda a: {"class_names": np.array(["", *a["class_names"][1:]])},
    "a branch that no key can carry": lambda a: {"branch a(b)": a["anomaly"]},
    "fewer frame rates": lambda a: {"rates": np.ones(len(a["names"]) - 1)},
    "a frame rate of 0": lambda a: {"rates": np.zeros(len(a["names"]))},
    "a negative frame rate": lambda a: {"rates": -np.ones(len(a["names"]))},
    "an infinite frame rate": lambda a: {"rates": np.full(len(a["names"]), np.inf)},
    "frame rates in words": lambda a: {"rates": np.full(len(a["names"]), "25")},
    "labels that are no list": lambda a: {"labels": np.array(["5"] * len(a["labels"]))},
}


@pytest.mark.parametrize("what", WRONG)
def test_arrays_that_contradict_each_other_are_refused(folder, what):
    with np.load(folder / "scores.npz") as file:
        arrays = {k: file[k] for k in file.files}
    rewrite(folder, **WRONG[what](arrays))
    refused(folder)


def test_frame_rates_are_kept_where_they_are_known(tmp_path):
    made = split(0)
    rates = [25.0, None, 29.97] * 4
    made = replace(made, given=[replace(s, rate=rate) for s, rate in zip(made.given, rates, strict=True)])
    folder = keep(made, tmp_path)
    assert [s.rate for s in load_split(folder).given] == rates
    rewrite(folder, rates=None)  # a file of an older run
    assert {s.rate for s in load_split(folder).given} == {None}


def test_a_file_without_any_frame_rate_is_as_it_was(folder):
    with np.load(folder / "scores.npz") as file:
        assert "rates" not in file.files


def test_a_threshold_of_a_record_is_that_of_its_scores(folder):
    content = json.loads((folder / "result.json").read_text())
    for threshold in (None, 0.25, -3):
        (folder / "result.json").write_text(json.dumps(content | {"threshold": threshold}))
        assert load_split(folder).threshold == threshold
    for wrong in ("high", float("nan"), [0.5]):
        (folder / "result.json").write_text(json.dumps(content | {"threshold": wrong}))
        with pytest.raises(RunError, match="threshold"):
            load_split(folder)


def test_an_array_that_claims_to_be_endless_is_refused(folder):
    """A header of 80 bytes can ask for any amount of memory."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (100000000000000,), }"
    header = header.ljust(117) + b"\n"
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(folder / "scores.npz", "a") as file:
        file.writestr("branch endless.npy", array)
    refused(folder)


@pytest.mark.parametrize("protocol", [{}, {"name": "native", "tail": "wag"}, {"name": "native", "more": 1}])
def test_a_protocol_that_nobody_knows_is_refused(folder, protocol):
    content = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(content | {"protocol": protocol}))
    with pytest.raises(RunError, match="protocol") as error:
        load_split(folder)
    assert len(str(error.value).splitlines()) == 1
