"""Work and memory of resampling grow as the data do: counted in operations and in bytes, never in seconds."""

import tracemalloc

import numpy as np
import pytest

from class_rows import CLASSES, class_rows
from former_resampling import resampled_auc as former_auc
from vadbench.metrics.bootstrap import draw_videos, resampled_metrics
from vadbench.metrics.evaluation import evaluate
from vadbench.metrics.localization import LocalisedVideo, localise
from vadbench.metrics.multiplicities import Multiplicities
from vadbench.metrics.sweep import resampled_auc

TIMES = 4


class Work:
    """Multiplications of all resamples together, and sums that they have."""

    def __init__(self, monkeypatch):
        made = Multiplicities.matrices
        self.multiplied = self.places = 0

        def counted(drawn, *given):
            matrices = made(drawn, *given)
            self.multiplied += drawn.resamples * sum(matrix.nnz for matrix in matrices)
            self.places += drawn.resamples * sum(matrix.shape[0] for matrix in matrices)
            return matrices

        monkeypatch.setattr(Multiplicities, "matrices", counted)

    def of(self, work):
        """What a call adds."""
        self.multiplied = self.places = 0
        work()
        return self.multiplied, self.places


def all_metrics(videos, resamples=64, longest=8):
    """A call that resamples all metrics of a split, whose rows are returned beside it."""
    rows, draws = class_rows(0, videos, longest), draw_videos(videos, resamples)
    keys = list(evaluate(rows))
    return rows, lambda: resampled_metrics(rows, keys, draws)


def localisation(videos):
    """A call that resamples the precision of segments, two proposals a video."""
    rng = np.random.default_rng(0)
    made = []
    for i in range(videos):
        scores = rng.random((12, 4)) / 10
        scores[[2, 3, 8], 1 + i % 2] = 1
        made.append(LocalisedVideo(f"v{i}", scores.astype(np.float32), 192, [(1 + i % 2, 32, 64)]))
    found, draws = localise(made, 16, CLASSES, 0), draw_videos(videos, 64)
    return lambda: found.resampled(draws)


@pytest.mark.parametrize("videos", [50, 400])
def test_so_many_times_the_videos_take_so_many_times_the_operations(monkeypatch, videos):
    count = Work(monkeypatch)
    for make in (lambda n: all_metrics(n)[1], localisation):
        few, many = count.of(make(videos)), count.of(make(TIMES * videos))
        for before, now in zip(few, many, strict=True):
            assert 0 < now < 1.3 * TIMES * before


def test_a_row_is_multiplied_once_for_each_thing_that_ranks_it(monkeypatch):
    """By the anomaly score, by each class, and once more for the mean of its video; one that has both kinds twice."""
    rows, work = all_metrics(300)
    multiplied, places = Work(monkeypatch).of(work)
    both = np.count_nonzero((rows.positives > 0) & (rows.positives < rows.frames))
    assert 0 < multiplied <= 64 * (len(CLASSES) + 1) * (len(rows.scores) + both)
    # Places are steps, three or five kinds of frames at each; a step has a positive row.
    assert places <= 64 * (5 * 3 * np.count_nonzero(rows.positives) + 3 * len(rows.names))


def test_there_is_no_cliff_at_a_number_of_videos(monkeypatch):
    """Beyond 5,000 videos resamples were once counted one after the other."""
    count, made = Work(monkeypatch), [all_metrics(n, resamples=8, longest=3) for n in (4990, 5010)]
    few, many = (count.of(work) for _, work in made)
    assert many == pytest.approx(few, rel=0.1)
    rows, draws = made[1][0].binary(), draw_videos(5010, 8)
    np.testing.assert_allclose(resampled_auc(rows, draws), former_auc(rows, draws), atol=1e-12, rtol=0)


def peak(work):
    """Most bytes that a call has allocated."""
    tracemalloc.start()
    work()
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def test_memory_grows_as_the_videos_do():
    few, many = (peak(all_metrics(n)[1]) for n in (1000, 1000 * TIMES))
    assert many < 1.1 * TIMES * few
    assert peak(localisation(4000)) < 1.1 * TIMES * peak(localisation(1000))


def test_memory_above_the_inputs_is_less_than_twice_theirs():
    """At a length of videos and a number of classes as data sets have them; the draws belong to what is above."""
    rows = class_rows(0, 400, longest=400)
    inputs = (rows.video, rows.scores, rows.frames, rows.positives, rows.class_scores, rows.class_positives)
    keys = list(evaluate(rows))

    def work():
        resampled_metrics(rows, keys, draw_videos(400, 1000))

    work()  # the first one imports modules
    found = peak(work)
    assert found < 2 * sum(array.nbytes for array in inputs)
