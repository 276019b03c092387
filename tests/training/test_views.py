"""Views of batches: those that draw nothing are made once, within a bound of memory, and no bit changes."""

import numpy as np
import pytest

from method_inputs import labelled
from vadbench.base.errors import PluginError
from vadbench.base.method_config import Recipe
from vadbench.base.seeds import Purpose, generator
from vadbench.dataset import ClassTable, VideoClass
from vadbench.training.views import BatchPlan, ViewMaker

TABLE = ClassTable((VideoClass("Fire"), VideoClass("Normal")), normal=1)
ROWS = [np.random.default_rng(i).normal(size=(4 + i, 3)).astype(np.float32) for i in range(8)]
PLAN = BatchPlan(
    [labelled(rows, ("Fire",) if i < 4 else ("Normal",), TABLE, f"v{i}") for i, rows in enumerate(ROWS)],
    normal=1,
    recipe=Recipe(batch_size=4),
    seed=3,
)


def batches(view, epochs=3, **settings):
    """Stacked views of some epochs, and the names of the videos whose view was asked for, epoch by epoch."""
    asked, found = [], []

    def seen(video, rng):
        asked[-1].append(video.name)
        return view(video, rng)

    maker = ViewMaker(PLAN, seen, **settings)
    for epoch in range(epochs):
        asked.append([])
        found += [maker.batch(epoch, place, indices) for place, indices in PLAN.batches(epoch)]
    return found, asked


def expected(view, epochs=3):
    """The same from the formula: each view made when its turn comes, with a generator of its own."""
    found = []
    for epoch in range(epochs):
        for place, indices in PLAN.batches(epoch):
            draws = [generator(Purpose.VIEW, 3, 1, epoch, place + i) for i in range(len(indices))]
            views = [view(PLAN.samples[i], rng) for i, rng in zip(indices, draws, strict=True)]
            found.append({name: np.stack([v[name] for v in views]) for name in views[0]})
    return found


def drawn(video, rng):
    return {"x": video.rows[rng.integers(len(video.rows), size=2)]}


def plain(video, rng):
    return {"x": video.rows[:4], "count": np.array(len(video.rows))}


def sometimes(video, rng):
    return {"x": video.rows[rng.integers(len(video.rows), size=2)] if len(video.rows) % 2 else video.rows[:2]}


def spawned(video, rng):
    return {"x": rng.spawn(1)[0].normal(size=2)}


VIEWS = {"drawn": drawn, "plain": plain, "sometimes": sometimes, "spawned": spawned}


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("kept_bytes", [0, 100, 2**30])
def test_keeping_views_changes_no_bit(name, kept_bytes):
    found, wanted = batches(VIEWS[name], kept_bytes=kept_bytes)[0], expected(VIEWS[name])
    assert len(found) == len(wanted) == 6
    for one, other in zip(found, wanted, strict=True):
        assert {k: (a.dtype, a.tobytes()) for k, a in one.items()} == {
            k: (a.dtype, a.tobytes()) for k, a in other.items()
        }


def test_a_view_that_draws_nothing_is_made_once():
    asked = batches(plain)[1]
    assert sorted(asked[0]) == [f"v{i}" for i in range(8)] and asked[1:] == [[], []]


@pytest.mark.parametrize("view", [drawn, spawned])
def test_a_view_that_draws_is_made_anew_in_every_epoch(view):
    assert [sorted(names) for names in batches(view)[1]] == [[f"v{i}" for i in range(8)]] * 3


def test_what_is_kept_is_decided_video_by_video():
    asked = batches(sometimes)[1]
    assert len(asked[0]) == 8 and {name for epoch in asked[1:] for name in epoch} == {"v1", "v3", "v5", "v7"}


def test_kept_views_take_no_more_memory_than_they_may():
    size = ROWS[0][:4].nbytes + 8
    for videos in (0, 1, 5):
        asked = batches(plain, kept_bytes=videos * size + size // 2)[1]
        assert [len(names) for names in asked] == [8, 8 - videos, 8 - videos]
        assert asked[1] and sorted(asked[1]) == sorted(asked[2])


def test_a_kept_view_is_a_copy_that_no_later_batch_shares():
    scratch = np.zeros(3)

    def reused(video, rng):
        scratch[:] = len(video.rows)
        return {"x": scratch}

    found = batches(reused)[0]
    for one, other in zip(found, expected(lambda video, rng: {"x": np.full(3, len(video.rows))}), strict=True):
        assert one["x"].tolist() == other["x"].tolist()
    found[0]["x"][:] = -1
    assert (found[2]["x"] > 0).all() and (found[3]["x"] > 0).all()


def test_views_that_differ_are_told_with_the_videos():
    def differing(video, rng):
        return {"x": np.zeros(3 if video.name == "v6" else 2, np.float32)}

    with pytest.raises(PluginError, match=r"x \(2,\) float32 for v\d and x \(3,\) float32 for v6|x \(3,\) .* v6 and"):
        batches(differing)
