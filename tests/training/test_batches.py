"""Batches: which videos meet, and that reading ahead changes nothing but the time."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from method_inputs import labelled
from vadbench.base.method_config import MethodConfig, Recipe
from vadbench.base.seeds import MAIN_STAGE, Purpose, generator
from vadbench.dataset import ClassTable, VideoClass
from vadbench.method import Method, Task
from vadbench.training.batches import batches, weak_labels
from vadbench.training.prefetching import BatchLoader
from vadbench.training.views import BatchPlan

TABLE = ClassTable((VideoClass("Fire"), VideoClass("Normal"), VideoClass("Fall")), normal=1)
RECIPE = Recipe(batch_size=4)


class Drawing(Method):
    """A view that draws: three rows of each video."""

    def view(self, video, rng):
        features = video.rows
        return {"x": features[rng.integers(len(features), size=3)], "rows": np.array(len(features))}


METHOD = Drawing(MethodConfig(), Task(TABLE, 4, torch.device("cpu"), lambda: pytest.fail("no text needed")))


def videos(abnormal=6, normal=9, dtype=np.float32, seen=lambda number: None):
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=(5 + i, 4)).astype(dtype) for i in range(abnormal + normal)]

    def read(number):
        seen(number)
        return rows[number]

    carried = [("Fall", "Fire")[: 1 + i % 2] if i < abnormal else ("Normal",) for i in range(len(rows))]
    made = [labelled(r, c, TABLE, f"v{i}") for i, (r, c) in enumerate(zip(rows, carried, strict=True))]
    return [v.with_line(replace(v.stream("clip"), read=lambda i=i: read(i))) for i, v in enumerate(made)]


def prefetched(method, samples, recipe, seed, epoch):
    return BatchLoader(method, BatchPlan(samples, 1, recipe, seed)).epoch(epoch)


def test_balanced_batches_hold_abnormal_then_normal_videos():
    samples = videos(5, 9)
    labels = np.stack([s.labels for s in samples])
    found = list(batches(samples, 1, RECIPE, 0, 0))
    assert len(found) == 9 // 2
    for batch in found:
        assert [labels[i, 1] for i in batch] == [0, 0, 1, 1]
    normal = [i for b in found for i in b[2:]]
    assert len(set(normal)) == len(normal)


def test_paired_batches_end_with_the_shorter_list_and_repeat_nothing():
    samples = videos(5, 9)
    labels = np.stack([s.labels for s in samples])
    recipe = RECIPE.model_copy(update={"sampler": "paired"})
    found = list(batches(samples, 1, recipe, 0, 0))
    assert len(found) == 5 // 2
    assert all([labels[i, 1] for i in batch] == [0, 0, 1, 1] for batch in found)
    assert len({i for b in found for i in b}) == 8


def test_mixed_batches_hold_every_video_once():
    recipe = RECIPE.model_copy(update={"sampler": "mixed"})
    found = [i for b in batches(videos(), 1, recipe, 0, 0) for i in b]
    assert sorted(found) == list(range(15))


@pytest.mark.parametrize("size", [1, 4, 7])
def test_mixed_batches_may_have_any_size(size):
    found = list(batches(videos(), 1, Recipe(sampler="mixed", batch_size=size), 0, 0))
    assert [len(b) for b in found] == [size] * (15 // size) + [15 % size] * bool(15 % size)
    assert sorted(i for b in found for i in b) == list(range(15))


@pytest.mark.parametrize("sampler", ["balanced", "paired", "mixed"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_loaded_batches_are_those_assembled_one_after_another(sampler, dtype):
    recipe = Recipe(batch_size=4, sampler=sampler)
    samples = videos(dtype=dtype)
    labels = np.stack([s.labels for s in samples])
    found = list(prefetched(METHOD, samples, recipe, 3, 2))
    place = 0
    for indices, batch in zip(batches(samples, 1, recipe, 3, 2), found, strict=True):
        draws = [generator(Purpose.VIEW, 3, MAIN_STAGE, 2, place + i) for i in range(len(indices))]
        place += len(indices)
        views = [METHOD.view(samples[i], rng) for i, rng in zip(indices, draws, strict=True)]
        np.testing.assert_array_equal(batch.views["x"].numpy(), np.stack([v["x"] for v in views]).astype(np.float32))
        np.testing.assert_array_equal(batch.views["rows"].numpy(), [v["rows"] for v in views])
        np.testing.assert_array_equal(batch.labels.numpy(), labels[indices])
        np.testing.assert_array_equal(batch.first.numpy(), [samples[i].first_class for i in indices])


def test_the_next_batch_is_read_while_one_is_used():
    reads = threading.Semaphore(0)
    found = prefetched(METHOD, videos(seen=lambda _: reads.release()), RECIPE, 0, 0)
    next(found)
    for _ in range(8):
        assert reads.acquire(timeout=30)
    found.close()


def test_an_error_in_the_thread_reaches_the_training():
    def fail(number):
        raise OSError("a disk is gone")

    with pytest.raises(OSError, match="a disk is gone"):
        list(prefetched(METHOD, videos(seen=fail), RECIPE, 0, 0))


def test_breaking_off_leaves_no_thread():
    found = prefetched(METHOD, videos(), RECIPE, 0, 0)
    next(found)
    assert any(t.name.startswith("vadbench-batches") for t in threading.enumerate())
    found.close()
    assert not any(t.name.startswith("vadbench-batches") for t in threading.enumerate())


def test_an_alias_is_no_second_class_and_labels_are_ones():
    table = ClassTable((VideoClass("Normal"), VideoClass("Riot", aliases=("G",)), VideoClass("Fire")), normal=0)
    for names, expected, first in (
        (("Riot", "G"), [0, 1, 0], 1),
        (("Fire", "G"), [0, 1, 1], 2),
        (("G", "Fire"), [0, 1, 1], 1),
        (("Normal",), [1, 0, 0], 0),
    ):
        labels, found = weak_labels(names, table)
        assert labels.tolist() == expected and found == first, names


def test_a_view_does_not_depend_on_what_was_drawn_before_it():
    whole = list(prefetched(METHOD, videos(), RECIPE, 0, 4))
    # Built out of order, and each batch alone, as another process would.
    for number, (indices, batch) in reversed(
        list(enumerate(zip(batches(videos(), 1, RECIPE, 0, 4), whole, strict=True)))
    ):
        draws = [generator(Purpose.VIEW, 0, MAIN_STAGE, 4, 4 * number + i) for i in range(len(indices))]
        views = [METHOD.view(videos()[i], rng)["x"] for i, rng in zip(indices, draws, strict=True)]
        np.testing.assert_array_equal(batch.views["x"].numpy(), np.stack(views))


def test_what_one_list_draws_does_not_depend_on_the_other():
    def normal(abnormal):
        return [[i - abnormal for i in b[2:]] for b in batches(videos(abnormal, 9), 1, RECIPE, 0, 0)]

    assert normal(3) == normal(6)
