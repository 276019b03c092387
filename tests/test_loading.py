"""Batches: which videos meet, and that reading ahead changes nothing but the time."""

import threading

import numpy as np
import pytest
import torch

from vadbench.config import MethodConfig, Recipe
from vadbench.dataset import ClassTable, VideoClass
from vadbench.loading import Sample, batches, loaded
from vadbench.method import Method, Task

TABLE = ClassTable((VideoClass("Fire"), VideoClass("Normal")), normal=1)
RECIPE = Recipe(batch_size=4)


class Drawing(Method):
    """A view that draws: three rows of each video."""

    def view(self, features, rng):
        return {"x": features[rng.integers(len(features), size=3)], "rows": np.array(len(features))}


METHOD = Drawing(MethodConfig(), Task(TABLE, 4, torch.device("cpu"), lambda: pytest.fail("no text needed")))


def videos(abnormal=6, normal=9, dtype=np.float32, seen=lambda number: None):
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(5 + i, 4)).astype(dtype) for i in range(abnormal + normal)]

    def read(number):
        seen(number)
        return rows[number]

    labels = [np.eye(2, dtype=np.float32)[int(i >= abnormal)] for i in range(len(rows))]
    return [Sample(lambda i=i: read(i), y) for i, y in enumerate(labels)]


def test_balanced_batches_hold_abnormal_then_normal_videos():
    labels = np.stack([s.labels for s in videos(5, 9)])
    found = list(batches(labels, 1, RECIPE, np.random.default_rng(0)))
    assert len(found) == 9 // 2
    for batch in found:
        assert [labels[i, 1] for i in batch] == [0, 0, 1, 1]
    normal = [i for b in found for i in b[2:]]
    assert len(set(normal)) == len(normal)


def test_paired_batches_end_with_the_shorter_list_and_repeat_nothing():
    labels = np.stack([s.labels for s in videos(5, 9)])
    recipe = RECIPE.model_copy(update={"sampler": "paired"})
    found = list(batches(labels, 1, recipe, np.random.default_rng(0)))
    assert len(found) == 5 // 2
    assert all([labels[i, 1] for i in batch] == [0, 0, 1, 1] for batch in found)
    assert len({i for b in found for i in b}) == 8


def test_mixed_batches_hold_every_video_once():
    labels = np.stack([s.labels for s in videos()])
    recipe = RECIPE.model_copy(update={"sampler": "mixed"})
    found = [i for b in batches(labels, 1, recipe, np.random.default_rng(0)) for i in b]
    assert sorted(found) == list(range(15))


@pytest.mark.parametrize("size", [1, 4, 7])
def test_mixed_batches_may_have_any_size(size):
    labels = np.stack([s.labels for s in videos()])
    found = list(batches(labels, 1, Recipe(sampler="mixed", batch_size=size), np.random.default_rng(0)))
    assert [len(b) for b in found] == [size] * (15 // size) + [15 % size] * bool(15 % size)
    assert sorted(i for b in found for i in b) == list(range(15))


@pytest.mark.parametrize("sampler", ["balanced", "paired", "mixed"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_loaded_batches_are_those_assembled_one_after_another(sampler, dtype):
    recipe = Recipe(batch_size=4, sampler=sampler)
    samples, rng = videos(dtype=dtype), np.random.default_rng(3)
    labels = np.stack([s.labels for s in samples])
    found = list(loaded(METHOD, samples, recipe, np.random.default_rng(3)))
    for indices, batch in zip(batches(labels, 1, recipe, rng), found, strict=True):
        views = [METHOD.view(samples[i].read(), rng) for i in indices]
        np.testing.assert_array_equal(batch.views["x"].numpy(), np.stack([v["x"] for v in views]).astype(np.float32))
        np.testing.assert_array_equal(batch.views["rows"].numpy(), [v["rows"] for v in views])
        np.testing.assert_array_equal(batch.labels.numpy(), labels[indices])


def test_the_next_batch_is_read_while_one_is_used():
    reads = threading.Semaphore(0)
    found = loaded(METHOD, videos(seen=lambda _: reads.release()), RECIPE, np.random.default_rng(0))
    next(found)
    for _ in range(8):
        assert reads.acquire(timeout=30)
    found.close()


def test_an_error_in_the_thread_reaches_the_training():
    def fail(number):
        raise OSError("a disk is gone")

    with pytest.raises(OSError, match="a disk is gone"):
        list(loaded(METHOD, videos(seen=fail), RECIPE, np.random.default_rng(0)))


def test_breaking_off_leaves_no_thread():
    found = loaded(METHOD, videos(), RECIPE, np.random.default_rng(0))
    next(found)
    assert any(t.name.startswith("vadbench-batches") for t in threading.enumerate())
    found.close()
    assert not any(t.name.startswith("vadbench-batches") for t in threading.enumerate())
