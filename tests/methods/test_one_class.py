"""The one-class methods: what they keep of normal videos, how they measure rows, and how little memory they take."""

import json
import os
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file
from scipy.spatial.distance import cdist
from sklearn.covariance import EmpiricalCovariance, shrunk_covariance
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from vadbench_baselines.kept_rows import BLOCK, RowSample, core_set, normal_rows
from vadbench_baselines.one_class import Density, Knn

from method_inputs import all_normal, as_videos, labelled
from places import PLUGIN
from vadbench.base.errors import DataError
from vadbench.clip import Clip
from vadbench.dataset import ClassTable, VideoClass
from vadbench.inputs import StreamInput, TrainingData
from vadbench.method import Reach, Task, build_method

TABLE = ClassTable((VideoClass("Fire"), VideoClass("Normal"), VideoClass("Fall")), 1)
BOTH = pytest.mark.parametrize("kind", [Knn, Density])


def made(kind, dim, seed=0, **settings):
    task = Task(TABLE, dim, torch.device("cpu"), Clip, seed=seed)
    return build_method(kind, kind.Config.model_validate(settings), task, seed).eval()


def fitted(kind, videos, seed=0, **settings):
    method = made(kind, videos[0].shape[1], seed, **settings)
    method.fit(all_normal(videos, TABLE), None)
    return method


def drawn(seed, lengths=(40, 7, 90, 33, 1, 64, 12), dim=24):
    """Rows of videos about a common mean and one of their own."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal(dim)
    return [
        (common + 0.5 * rng.standard_normal(dim) + 0.5 * rng.standard_normal((n, dim))).astype(np.float32)
        for n in lengths
    ]


def unit(rows):
    length = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1)


def sample_of(videos, capacity, seed, cut=BLOCK):
    sample = RowSample(capacity, seed)
    for i, rows in enumerate(videos):
        for start in range(0, len(rows), cut):
            sample.add(rows[start : start + cut], i)
    return sample.kept()


@given(
    st.integers(0, 2**32), st.integers(1, 40), st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(1, 9)
)
def test_the_rows_of_the_smallest_keys_are_kept_however_the_stream_is_cut(seed, capacity, lengths, cut):
    videos = [np.full((n, 2), i, np.float16) + np.arange(n)[:, None] / 64 for i, n in enumerate(lengths)]
    found = sample_of(videos, capacity, seed, cut)
    keys = np.random.default_rng(seed).random(sum(lengths))
    expected = np.sort(np.argsort(keys)[:capacity])
    np.testing.assert_array_equal(found.place, expected)
    np.testing.assert_array_equal(found.keys, keys[expected])
    np.testing.assert_array_equal(found.rows, np.concatenate(videos)[expected])
    np.testing.assert_array_equal(found.video, np.repeat(np.arange(len(lengths)), lengths)[expected])


def test_every_part_of_a_stream_has_its_share():
    found = sample_of([np.zeros((1000, 1))] * 20, 5000, 3)
    shares = np.bincount(found.video, minlength=20)
    # 250 each on average, with a standard deviation of 13.4.
    assert shares.min() > 200 and shares.max() < 300


@BOTH
def test_blocks_of_rows_do_not_matter(kind, monkeypatch):
    videos = drawn(0)
    usual = fitted(kind, videos, memory={"capacity": 60})
    for module in ("kept_rows", "one_class"):
        monkeypatch.setattr(f"vadbench_baselines.{module}.BLOCK", 7)
    other = fitted(kind, videos, memory={"capacity": 60})
    for name, value in usual.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value, rtol=1e-6, atol=1e-7)
    rows = torch.from_numpy(drawn(1)[2])
    (found,), (again,) = (m.score(as_videos([rows])) for m in (usual, other))
    torch.testing.assert_close(again.anomaly, found.anomaly, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 20, 40, 90])
def test_a_core_set_is_chosen_greedily(count):
    rows = np.random.default_rng(count).standard_normal((40, 5))
    rows[30:] = rows[3]  # as of a picture that stands still
    chosen = [0]
    while len(chosen) < min(count, len(rows)):
        nearest = cdist(rows, rows[chosen], "sqeuclidean").min(1)
        nearest[chosen] = -1
        chosen.append(int(nearest.argmax()))
    found = core_set(rows, count)
    assert len(set(found.tolist())) == len(found) == min(count, 40)
    distinct = min(count, 30)
    # Which of equal rows comes first is left to rounding.
    np.testing.assert_array_equal(rows[found[:distinct]], rows[chosen[:distinct]])


def expected_knn(videos, rows, k, keys, calibration, quantile):
    """Distances of rows, and q, by scikit-learn's neighbours of each set of rows that may be compared."""

    def mean_distance(memory, some):
        neighbours = NearestNeighbors(n_neighbors=min(k, len(memory)), algorithm="brute", metric="sqeuclidean")
        return neighbours.fit(memory).kneighbors(some)[0].mean(1) / 2

    memory, owner = np.concatenate(videos), np.repeat(np.arange(len(videos)), [len(v) for v in videos])
    of_memory = [
        mean_distance(memory[owner != owner[i]] if len(videos) > 1 else np.delete(memory, i, 0), memory[i : i + 1])[0]
        for i in np.argsort(keys)[:calibration]
    ]
    return mean_distance(memory, rows), np.quantile(of_memory, quantile)


SIZES = [
    ((40, 7, 90, 33, 1, 64, 12), 24, {}),
    ((3, 1), 24, {"k": 9}),
    ((50,), 24, {"k": 1, "calibration": 20}),
    ((30, 30, 30, 30, 30, 30), 100, {"quantile": 0.5, "calibration": 40}),
    ((30, 30, 30, 30, 30, 30), 100, {"normalise": False}),
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("lengths", "dim", "settings"), SIZES)
def test_neighbours_are_those_of_scikit_learn(seed, lengths, dim, settings):
    videos, (rows,) = drawn(seed, lengths, dim), drawn(seed + 100, (50,), dim)
    rows[3] = 0
    method = fitted(Knn, videos, seed, **settings)
    as_compared = unit if settings.get("normalise", True) else np.float64
    keys = np.random.default_rng(seed).random(sum(lengths))
    own = {"k": 5, "calibration": 2048, "quantile": 0.95} | settings
    distances, q = expected_knn(
        [as_compared(v) for v in videos], as_compared(rows), own["k"], keys, own["calibration"], own["quantile"]
    )
    (found,) = method.score(as_videos([torch.from_numpy(rows)]))
    np.testing.assert_allclose(float(method.q), q, rtol=2e-5)
    np.testing.assert_allclose(method.distances(torch.from_numpy(rows)), distances, rtol=2e-5)
    np.testing.assert_allclose(found.anomaly, distances / (distances + q), atol=1e-5)
    assert found.classes is None


def expected_density(videos, rows, shrinkage, keys, calibration, quantile):
    """Distances of rows, and q, by scikit-learn's shrunk covariance."""

    def distances(training, some):
        moments = EmpiricalCovariance().fit(training)
        moments._set_covariance(shrunk_covariance(moments.covariance_, shrinkage))
        return moments.mahalanobis(some) / some.shape[1]

    everything, owner = np.concatenate(videos), np.repeat(np.arange(len(videos)), [len(v) for v in videos])
    order = np.argsort(keys)
    apart = order[owner[order] % 5 == 4]
    training = everything[owner % 5 != 4] if len(apart) else everything
    unseen = everything[(apart if len(apart) else order)[:calibration]]
    return distances(everything, rows), np.quantile(distances(training, unseen), quantile)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("lengths", "dim", "settings"),
    [
        ((40, 7, 90, 33, 30, 64, 12, 20, 5, 9), 24, {}),
        ((40, 7, 90), 24, {"calibration": 20}),
        ((30, 30, 30, 30, 30, 30), 200, {"shrinkage": 0.5, "quantile": 0.5, "calibration": 11}),
        ((30, 30, 30, 30, 30, 30), 24, {"shrinkage": 1.0, "normalise": False}),
    ],
)
def test_the_density_is_that_of_scikit_learns_shrunk_covariance(seed, lengths, dim, settings):
    videos, (rows,) = drawn(seed, lengths, dim), drawn(seed + 100, (50,), dim)
    method = fitted(Density, videos, seed, **settings)
    as_compared = unit if settings.get("normalise", True) else np.float64
    keys = np.random.default_rng(seed).random(sum(lengths))
    own = {"shrinkage": 0.1, "calibration": 2048, "quantile": 0.95} | settings
    distances, q = expected_density(
        [as_compared(v) for v in videos], as_compared(rows), own["shrinkage"], keys, own["calibration"], own["quantile"]
    )
    (found,) = method.score(as_videos([torch.from_numpy(rows)]))
    np.testing.assert_allclose(float(method.q), q, rtol=1e-6)
    np.testing.assert_allclose(method.distances(torch.from_numpy(rows)), distances, rtol=1e-6)
    np.testing.assert_allclose(found.anomaly, distances / (distances + q), atol=1e-6)
    assert found.classes is None


@BOTH
def test_equal_rows_and_a_single_one_have_scores(kind):
    for videos in ([np.ones((1, 8), np.float32)], [np.ones((5, 8), np.float32)] * 6):
        method = fitted(kind, videos)
        rows = torch.stack([torch.ones(8), -torch.ones(8), torch.zeros(8)])
        (found,) = method.score(as_videos([rows]))
        assert method.q == 1
        assert found.anomaly.isfinite().all() and found.anomaly[0] < 1e-6 < 0.01 < found.anomaly[1] < 1


@pytest.mark.parametrize("length", [1, 30, 1e3, 1e5])
def test_equal_rows_of_any_length_have_no_spread(length):
    """What cancels in their variance is not exactly 0."""
    row = (length * unit(np.random.default_rng(1).standard_normal((1, 64)))).astype(np.float32)
    method = fitted(Density, [row.repeat(1000, 0)] * 7, normalise=False, shrinkage=1e-6)
    assert torch.equal(method.inverse, torch.eye(64))
    (found,) = method.score(as_videos([torch.from_numpy(np.concatenate([row, -row]))]))
    assert found.anomaly[0] < 1e-3 < 0.01 < found.anomaly[1]


@BOTH
def test_one_normal_row_in_twenty_is_above_the_threshold_and_abnormal_ones_are(kind):
    videos = drawn(4, lengths=(60,) * 60)
    method = fitted(kind, videos[:40])
    assert method.threshold == 0.5
    with torch.inference_mode():
        normal = torch.cat([s.anomaly for s in method.score(as_videos(map(torch.from_numpy, videos[40:])))])
        odd = [torch.from_numpy(v) + 4 * torch.eye(24)[0] for v in videos[40:]]
        abnormal = torch.cat([s.anomaly for s in method.score(as_videos(odd))])
    share = float((normal > 0.5).float().mean())
    assert 0.01 < share < 0.12, share
    truth = np.repeat([0, 1], [len(normal), len(abnormal)])
    assert roc_auc_score(truth, torch.cat([normal, abnormal])) > 0.9
    assert float((abnormal > 0.5).float().mean()) > 2 * share


@BOTH
def test_a_score_depends_on_its_row_alone(kind):
    method = fitted(kind, drawn(0))
    videos = as_videos(map(torch.from_numpy, drawn(1)))
    together = [scores.anomaly for scores in method.score(videos)]
    alone = [method.score([video])[0].anomaly for video in reversed(videos)][::-1]
    assert all(map(torch.equal, together, alone))
    other = method.retarget(ClassTable((VideoClass("Normal"), VideoClass("Flood")), 0))
    assert all(torch.equal(a, s.anomaly) for a, s in zip(together, other.score(videos), strict=True))
    assert method.reach == Reach()
    (part,) = method.score([videos[2].window(20, 50)])
    torch.testing.assert_close(part.anomaly, together[2][20:50], rtol=1e-5, atol=1e-6)


@BOTH
def test_only_normal_videos_are_read(kind):
    class ReadError(Exception):
        pass

    def unreadable():
        raise ReadError

    videos = drawn(0)
    samples = list(all_normal(videos, TABLE).videos)
    stream = StreamInput(unreadable, 30, 1)
    closed = replace(labelled(videos[0], ["Fall"], TABLE, "abnormal"), streams={"clip": stream})
    method = made(kind, 24)
    method.fit(TrainingData([closed, *samples, closed], TABLE), None)
    for name, value in fitted(kind, videos).state_dict().items():
        assert torch.equal(method.state_dict()[name], value)
    with pytest.raises(DataError, match="needs normal training videos, found 1 videos and none of them normal; choose"):
        made(kind, 24).fit(TrainingData([closed], TABLE), None)


@BOTH
def test_the_order_of_videos_matters_only_for_what_is_drawn(kind):
    videos, (rows,) = drawn(0), drawn(9, (50,))
    usual, turned = fitted(kind, videos), fitted(kind, videos[::-1])
    distances = [m.distances(torch.from_numpy(rows)).double() for m in (usual, turned)]
    torch.testing.assert_close(*distances, rtol=1e-5, atol=1e-7)
    if kind is Knn:  # of Gaussians other videos are held out
        assert float(turned.q) == pytest.approx(float(usual.q), rel=1e-5)


def test_seeds_show_the_choice_of_rows_where_the_capacity_binds():
    videos = drawn(0)
    for memory, differs in (({}, False), ({"capacity": 50}, True), ({"capacity": 50, "seed": 3}, False)):
        first, other = (fitted(Knn, videos, seed, memory=memory).memory for seed in (0, 1))
        assert torch.equal(first, other) != differs
    given = fitted(Knn, videos, 3, memory={"capacity": 50}).memory
    assert torch.equal(given, first), "the run's seed is the default"


def test_the_crops_of_a_video_are_no_other_video():
    (rows,) = drawn(0, (30,))
    twins = [labelled(rows, ["Normal"], TABLE, "same")] * 2
    data = TrainingData([*twins, *(labelled(v, ["Normal"], TABLE, f"v{i}") for i, v in enumerate(drawn(1)))], TABLE)
    assert [number for number, _ in normal_rows(data)] == [0, 0, *range(1, 8)]
    method = made(Knn, 24, k=1, quantile=0.1)
    method.fit(data, None)
    # A row whose twin counted would be at distance 0, and 60 of 307 have one.
    assert method.q > 0.01


@BOTH
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_fit_holds_its_sample_and_a_block_whatever_the_stream(kind, dtype):
    """Of 80 videos of 2,000 rows, which have 20 MB in float16, a sixth is held at most."""

    def reading(i):
        return lambda: np.random.default_rng(i).standard_normal((2000, 64), np.float32).astype(dtype)

    one = labelled(np.zeros((2000, 64), dtype), ["Normal"], TABLE)
    videos = [replace(one, name=f"v{i}", streams={"clip": StreamInput(reading(i), 2000, 1)}) for i in range(80)]
    method = made(kind, 64, memory={"capacity": 256})
    tracemalloc.start()
    try:
        method.fit(TrainingData(videos, TABLE), None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A video in float32 has half a MB, and with the draw it is made of twice that.
    assert peak < 3e6
    if kind is Knn:
        assert method.memory.shape == (256, 64) and method.memory.dtype == torch.float32


@pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
def test_a_training_has_its_rows_in_the_checkpoint_and_scores_elsewhere(vadbench, tmp_path):
    base = ("run", "--plugin", PLUGIN, "--device", "cpu", "--json", "--out", tmp_path / "runs")
    (found,) = vadbench(*base, "-m", "knn", "-d", "tiny", "--set", "rows.stride=2").json
    assert (found["supervision"], found["threshold"]) == ("one-class", 0.5)
    state = load_file(tmp_path / "runs" / "tiny" / "knn" / found["key"] / "checkpoint.safetensors")
    assert state["memory"].shape == (4 * 15, 64), "the rows of four normal training videos of 30 frames"
    np.testing.assert_allclose(np.linalg.norm(state["memory"], axis=1), 1, rtol=1e-5)
    (other,) = vadbench(*base, "--from", found["folder"], "-d", "other").json
    assert (other["trained_on"], other["dataset"], other["key"]) == ("tiny", "other", found["key"])
    assert other["metrics"]["AUC"]["value"] is not None


PROGRAM = """
import json, sys, threading
from pathlib import Path
import numpy as np, torch
from test_one_class import Density, Knn, fitted
from vadbench.inputs import StreamInput, VideoInput
from vadbench.scoring.scoring import score_videos

def anonymous():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024

class Peak:
    def __enter__(self):
        self.before, self.peak, self.ended = anonymous(), 0, threading.Event()
        self.watcher = threading.Thread(target=self.watch)
        self.watcher.start()
        return self

    def watch(self):
        while not self.ended.wait(0.005):
            self.peak = max(self.peak, anonymous() - self.before)

    def __exit__(self, *raised):
        self.ended.set()
        self.watcher.join()

rng, found = np.random.default_rng(0), {}
for kind in (Knn, Density):
    method = fitted(kind, [rng.standard_normal((512, 256), np.float32) for _ in range(5)])
    for rows in (4096, int(sys.argv[2]) // 10, int(sys.argv[2])):
        stream = StreamInput(lambda: np.load(sys.argv[1], mmap_mode="r")[:rows], rows, 16)
        video = VideoInput(name="day", row_count=rows, stride=16, frame_count=16 * rows, streams={"clip": stream})
        with Peak() as measured:
            (scores,) = score_videos(method, [[video]])
        assert len(scores.anomaly) == rows
        found[f"{kind.__name__} {rows}"] = measured.peak
print(json.dumps(found))
"""


@pytest.mark.slow
def test_memory_of_scoring_does_not_grow_from_two_hours_to_a_day_of_rows(tmp_path):
    """2.4 and 24 hours at 25 frames a second, a row for 16 of them."""
    day = 24 * 3600 * 25 // 16
    array = np.lib.format.open_memmap(tmp_path / "day.npy", "w+", np.float32, (day, 256))
    del array  # a sparse file: the values are zeros, and take no room
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "day.npy"), str(day)]
    found = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent, env=found)
    assert done.returncode == 0, done.stderr
    peaks = json.loads(done.stdout.splitlines()[-1])
    print(f"peak anonymous memory in MB above what was there: {peaks}; all rows {day * 256 * 4 / 2**20:.0f}")
    for kind in ("Knn", "Density"):
        # Scores of a day take half a MB and a block of distances up to 67, which a short scoring may be too quick to
        # show; the rows of a day would be 132.
        assert peaks[f"{kind} {day}"] - peaks[f"{kind} {day // 10}"] < 80
