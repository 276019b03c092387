"""Batches: which videos meet, and that reading ahead changes nothing but the time."""

import threading
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from method_inputs import labelled
from vadbench.base.errors import ConfigError
from vadbench.base.method_config import MethodConfig, Recipe
from vadbench.base.seeds import MAIN_STAGE, Purpose, generator
from vadbench.dataset import ClassTable, VideoClass
from vadbench.method import Method, Task
from vadbench.training.batches import batches, step_counts, weak_labels
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


def kinds(abnormal, normal):
    """Samples of which nothing but their labels is asked: abnormal ones first."""
    return [SimpleNamespace(labels=np.eye(2)[int(i >= abnormal)]) for i in range(abnormal + normal)]


def cycled(**settings):
    return Recipe(sampler="cycled", **settings)


SIZES = st.tuples(st.integers(1, 4), st.integers(0, 9), st.integers(0, 9)).map(
    lambda drawn: (drawn[0], drawn[0] + drawn[1], drawn[0] + drawn[2])
)
"""Half a batch, and as many abnormal and normal videos as fill it, or more."""


@given(SIZES, st.integers(0, 12), st.integers(0, 30), st.integers(1, 3))
def test_cycled_lists_go_on_from_epoch_to_epoch_each_by_itself(sizes, epoch_steps, steps, stage):
    half, abnormal, normal = sizes
    recipe = cycled(batch_size=2 * half, epoch_steps=epoch_steps, steps=steps)
    samples, each = kinds(abnormal, normal), epoch_steps or max(abnormal, normal) // half
    epochs = -(-steps // each) if steps else 4
    # Each epoch without those before it, the last one first.
    backwards = [list(batches(samples, 1, recipe, 5, e, stage)) for e in reversed(range(epochs + 1))]
    by_epoch = backwards[::-1]
    lengths = [len(b) for b in by_epoch]
    if steps:
        assert sum(lengths) == steps and lengths[-1] == 0 and set(lengths[:-2]) <= {each}
    else:
        assert set(lengths) == {each}
    whole = [batch for epoch in by_epoch for batch in epoch]
    for number, (size, first) in enumerate(((abnormal, 0), (normal, abnormal))):
        drawn = [batch[half * number : half * (number + 1)] for batch in whole]
        passes = size // half
        for start in range(0, len(drawn), passes):
            # From the formula: a pass is an order of its own, its batches cut from it one after the other.
            rng = generator(Purpose.CYCLE, 5, stage, number, start // passes)
            order = rng.permutation(np.arange(first, first + size))
            expected = [order[i * half : (i + 1) * half].tolist() for i in range(passes)]
            assert drawn[start : start + passes] == expected[: len(drawn) - start]


def test_lists_start_again_where_the_published_loops_start_theirs():
    """Two shuffled loaders, each begun anew when its own batches are used up: 125 and 126 of 64 videos, whose first
    restarts are before the steps 126, 251, 376 and 127, 253, 379; and a list of one batch, drawn anew at every step."""
    recipe = cycled(batch_size=128, epoch_steps=50, steps=400)
    whole = [b for e in range(8) for b in batches(kinds(126 * 64 + 36, 125 * 64), 1, recipe, 0, e)]
    assert len(whole) == 400
    for half, restarts in ((slice(64, 128), [1, 126, 251, 376]), (slice(0, 64), [1, 127, 253, 379])):
        for begin, end in pairwise([*restarts, 401]):
            drawn = [i for batch in whole[begin - 1 : end - 1] for i in batch[half]]
            assert len(set(drawn)) == len(drawn)
            # One step more would repeat a video, for all but 36 have had their turn.
            assert end == 401 or set(whole[end - 1][half]) & set(drawn)
    single = [b[:32] for b in batches(kinds(63, 160), 1, cycled(batch_size=64, epoch_steps=40), 0, 0)]
    assert all(len(set(b)) == 32 for b in single) and len({tuple(sorted(b)) for b in single}) == 40


@given(SIZES, st.sampled_from(["balanced", "paired", "mixed"]), st.integers(1, 40), st.integers(0, 3))
def test_a_training_in_steps_is_one_in_epochs_that_is_cut_short(sizes, sampler, steps, stage):
    half, abnormal, normal = sizes
    samples, stage = kinds(abnormal, normal), stage + MAIN_STAGE
    recipe = Recipe(sampler=sampler, batch_size=2 * half)
    cut = recipe.model_copy(update={"steps": steps})
    each = len(list(batches(samples, 1, recipe, 3, 0)))
    assert step_counts(samples, 1, recipe)[0] == step_counts(samples, 1, cut)[0] == each
    epochs = range(steps // each + 2)
    whole, short = ([b for e in epochs for b in batches(samples, 1, r, 3, e, stage)] for r in (recipe, cut))
    assert short == whole[:steps]


@given(SIZES, st.sampled_from(["balanced", "paired", "mixed"]), st.integers(0, 5), st.integers(0, 5))
def test_the_samplers_draw_what_they_always_drew(sizes, sampler, seed, epoch):
    """The orders of the first stage, from the formula alone."""
    half, abnormal, normal = sizes
    recipe = Recipe(sampler=sampler, batch_size=2 * half)
    found = list(batches(kinds(abnormal, normal), 1, recipe, seed, epoch))
    if sampler == "mixed":
        order = generator(Purpose.ORDER, seed, 1, epoch, 0).permutation(abnormal + normal).tolist()
        assert found == [order[i : i + 2 * half] for i in range(0, len(order), 2 * half)]
        return
    halves = []
    for number, indices in enumerate((np.arange(abnormal), np.arange(abnormal, abnormal + normal))):
        rng, drawn = generator(Purpose.ORDER, seed, 1, epoch, number), []
        for _ in range(20):
            order = rng.permutation(indices)
            drawn += [order[i * half : (i + 1) * half].tolist() for i in range(len(order) // half)]
        halves.append(drawn)
    count = (min if sampler == "paired" else max)(abnormal // half, normal // half)
    assert found == [a + n for a, n in zip(*halves, strict=False)][:count]


@pytest.mark.parametrize("sampler", ["balanced", "paired", "cycled", "mixed"])
def test_each_stage_has_orders_of_its_own(sampler):
    recipe = Recipe(sampler=sampler, batch_size=4)
    drawn = [list(batches(kinds(20, 20), 1, recipe, 0, 0, stage)) for stage in (MAIN_STAGE, 2, 3)]
    assert drawn[0] == list(batches(kinds(20, 20), 1, recipe, 0, 0))
    assert drawn[0] != drawn[1] != drawn[2] != drawn[0]


def test_no_videos_and_too_few_are_said():
    with pytest.raises(ConfigError, match="no videos to train on"):
        list(batches([], 1, Recipe(sampler="mixed"), 0, 0))
    with pytest.raises(ConfigError, match=r"found 1 and 9; set recipe\.batch_size=2"):
        list(batches(kinds(1, 9), 1, cycled(batch_size=4), 0, 0))
