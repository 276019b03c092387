"""Windows change no score: against whole videos, for every method that is installed, and against the feature store."""

import signal
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from method_inputs import as_videos
from scored import table
from vadbench.base.config import resolve
from vadbench.clip import ClipSource, load_clip
from vadbench.dataset import ClassTable, Video, VideoClass
from vadbench.features.encoders import FrameEncoder
from vadbench.features.extraction import extract_features
from vadbench.features.fingerprint import clip_fingerprint
from vadbench.features.store import FeatureStore
from vadbench.method import Method, Reach, Scores, Task
from vadbench.plugins.registry import installed
from vadbench.watch.pipeline import (
    Pictures,
    Stopwatch,
    encoded_rows,
    score_pictures,
    score_rows,
)
from vadbench.watch.reader import Reader
from vadbench.watch.scored_video import score_video
from vadbench.watch.scorer import Scorer
from vadbench.watch.sources import find_sources
from vadbench.watch.thresholds import fixed_threshold
from watch_media import encode, noise

TABLE = ClassTable((VideoClass("Normal"), VideoClass("Fire"), VideoClass("Fighting")), 0)
SMALLER = {
    "anomalyclip": ["segments=4", "segment_length=4"],
    "clip-temporal-linear": ["length=32"],
    "vadclip": ["length=32"],
    "descriptions-video": ["length=32"],
    "descriptions-frame": ["vote_window=9"],
}
"""Settings under which 300 rows are many windows."""


@pytest.fixture(scope="module")
def clip():
    return load_clip(ClipSource("small", "random:0"))


def scorer_of(clip, method, **fingerprint):
    made = {"stride": 1, "pooling": "mean"} | fingerprint
    return Scorer("it", method.eval(), clip, clip_fingerprint(clip, **made), "fp32", fixed_threshold(0.5, ""), "")


def make(clip, name, *more):
    kind = installed().method(name)
    torch.manual_seed(0)
    config = resolve(kind.Config, {}, environment={}, assignments=[*SMALLER.get(name, []), *more])
    method = kind(config, Task(TABLE, clip.dim, torch.device("cpu"), lambda: clip.text))
    for parameter in method.parameters():  # Zeros, which some begin with, would hide everything.
        parameter.data += 0.05 * torch.randn_like(parameter)
    return method


def video(rows, dim, crops=1):
    return np.random.default_rng(rows).standard_normal((crops, rows, dim), dtype=np.float32)


def in_bits(rows, sizes):
    start = 0
    while start < rows.shape[1]:
        for size in sizes:
            yield rows[:, start : start + size]
            start += size


def collected(scorer, rows, sizes, follow=True):
    parts = list(score_rows(in_bits(rows, sizes), scorer, follow, Stopwatch()))
    assert [first for first, _ in parts] == list(np.cumsum([0, *(len(s.anomaly) for _, s in parts)]))[:-1]
    classes = None if parts[0][1].classes is None else np.concatenate([s.classes for _, s in parts])
    return np.concatenate([s.anomaly for _, s in parts]), classes


CHUNKED = [
    ("zero-shot", ()), ("clip-linear", ()), ("clip-temporal-linear", ()), ("vadclip", ()), ("mil", ("scored=rows",)),
    ("descriptions-frame", ()), ("descriptions-frame", ("vote=majority",)), ("descriptions-frame", ("vote=none",)),
    ("descriptions-video", ()),
]  # fmt: skip


@pytest.mark.parametrize(("name", "settings"), CHUNKED)
@pytest.mark.parametrize("rows", [1, 2, 31, 32, 33, 300])
def test_windows_change_no_score(clip, name, settings, rows):
    method = make(clip, name, *settings).eval()
    assert not method.reach.whole
    features = video(rows, clip.dim)
    with torch.inference_mode():
        (whole,) = method.score(as_videos([torch.from_numpy(features[0])]))
    for sizes in ([1], [7, 40, 3], [300]):
        anomaly, classes = collected(scorer_of(clip, method), features, sizes)
        assert anomaly == pytest.approx(whole.anomaly.numpy(), abs=1e-5)
        assert (classes is None) == (whole.classes is None)
        if classes is not None:
            assert classes == pytest.approx(whole.classes.numpy(), abs=1e-5)


@pytest.mark.parametrize("name", ["anomalyclip", "mil", "random"])
def test_a_method_that_needs_the_whole_video_gets_it_where_it_fits(clip, name):
    method = make(clip, name).eval()
    assert method.reach.whole
    features = video(300, clip.dim)
    with torch.inference_mode():
        (whole,) = method.score(as_videos([torch.from_numpy(features[0])]))
    anomaly, _ = collected(scorer_of(clip, method), features, [50], follow=False)
    assert anomaly == pytest.approx(whole.anomaly.numpy(), abs=1e-5)


def test_methods_of_every_package_say_how_far_they_reach():
    own = {name for name in installed().specs("method") if installed().method(name).reach is not Method.reach}
    assert own >= {"zero-shot", "clip-linear", "clip-temporal-linear", "mil", "anomalyclip", "vadclip",
                   "descriptions-frame", "descriptions-video"}  # fmt: skip


class Sees(Method):
    """Scores a row by how much it was given: the sum of all rows, or of its chunk with its margins."""

    def __init__(self, clip, reach):
        super().__init__(Method.Config(), Task(TABLE, clip.dim, torch.device("cpu"), lambda: clip.text))
        self._reach = reach

    reach = property(lambda self: self._reach)

    def score(self, videos):
        return [Scores(self._sums(v.rows[:, 0].double()).float()) for v in videos]

    def _sums(self, values):
        reach, count = self._reach, len(values)
        starts = [i // reach.chunk * reach.chunk for i in range(count)]
        return torch.stack([values[max(0, s - reach.margin) : s + reach.chunk + reach.margin].sum() for s in starts])


@settings(max_examples=60)
@given(st.integers(1, 9), st.integers(0, 7), st.integers(1, 60), st.lists(st.integers(1, 20), min_size=1, max_size=4),
       st.booleans())  # fmt: skip
def test_any_reach_is_respected(clip, chunk, margin, rows, sizes, follow):
    method = Sees(clip, Reach(chunk, margin))
    features = video(rows, clip.dim)
    expected = method._sums(torch.from_numpy(features[0, :, 0]).double()).numpy()
    anomaly, classes = collected(scorer_of(clip, method), features, sizes, follow)
    assert anomaly == pytest.approx(expected, abs=1e-5) and classes is None


def test_a_short_last_window_is_filled_up_with_what_came_before(clip):
    class Whole(Sees):
        def _sums(self, values):
            return values.sum().expand(len(values))

    method = Whole(clip, Reach(10, whole=True))
    features = video(24, clip.dim)
    anomaly, _ = collected(scorer_of(clip, method), features, [24])
    first = features[0, :, 0].astype(float)
    expected = [first[:10].sum()] * 10 + [first[10:20].sum()] * 10 + [first[14:].sum()] * 4
    assert anomaly == pytest.approx(np.array(expected), abs=1e-5)


def test_several_crops_count_by_their_mean(clip):
    method = make(clip, "clip-linear").eval()
    features = video(40, clip.dim, crops=2)
    scorer = scorer_of(clip, method, crops=("center", "top-left"))
    anomaly, _ = collected(scorer, features, [16])
    with torch.inference_mode():
        found = [method.score(as_videos([torch.from_numpy(crop)]))[0].anomaly.numpy() for crop in features]
    assert anomaly == pytest.approx(np.mean(found, 0), abs=1e-6)


@pytest.mark.parametrize("count", [1, 15, 16, 17, 40])
@pytest.mark.parametrize(
    "recipe",
    [
        {"stride": 1, "pooling": "mean"},
        {"stride": 16, "pooling": "mean"},
        {"stride": 16, "pooling": "first"},
        {"stride": 5, "pooling": "middle"},
        {"stride": 4, "pooling": "mean", "crops": ("center", "top-left", "center-mirrored"), "dtype": "float16"},
    ],
)
def test_rows_are_those_of_the_feature_store(clip, tmp_path, count, recipe):
    path = encode(tmp_path / "a.mp4", noise(count))
    encoder = FrameEncoder(clip, clip_fingerprint(clip, **recipe))
    extract_features([Video("a", (), path)], encoder, tmp_path / "store")
    store = FeatureStore(tmp_path / "store")
    (source,) = find_sources([str(path)])
    with Pictures(Reader(source), encoder) as pictures:
        found = np.concatenate(list(encoded_rows(pictures, encoder, Stopwatch())), 1)
        assert (pictures.decoded, len(pictures.starts)) == (count, found.shape[1])
    assert found.dtype == np.dtype(recipe.get("dtype", "float32"))
    for rows, crop in zip(found, store.crops("a"), strict=True):
        assert np.array_equal(rows, store.crop_rows("a", crop))


def test_rows_come_with_the_times_of_their_first_frames(clip, tmp_path):
    path = encode(tmp_path / "a.mkv", noise(10), milliseconds=[0, 40, 80, 500, 540, 2000, 2033, 2066, 5000, 5100])
    scorer = scorer_of(clip, make(clip, "random"), stride=4, pooling="first")
    (source,) = find_sources([str(path)])
    with Pictures(Reader(source), FrameEncoder(clip, scorer.fingerprint, 4)) as pictures:
        (rows,) = score_pictures(pictures, scorer, False, Stopwatch())
    assert rows.starts == pytest.approx([0, 0.54, 5.0], abs=2e-3)
    assert pictures.until > 5.1


def test_pictures_of_peaks_are_remembered_until_they_are_forgotten(clip, tmp_path):
    path = encode(tmp_path / "a.mp4", noise(50))
    scorer = scorer_of(clip, make(clip, "random"), stride=10, pooling="first")
    (source,) = find_sources([str(path)])
    with Pictures(Reader(source), FrameEncoder(clip, scorer.fingerprint)) as pictures:
        list(score_pictures(pictures, scorer, False, Stopwatch()))
        assert [pictures.thumbnail(f).frame for f in (0, 12, 38, 100)] == [0, 10, 40, 40]
        pictures.forget(25)
        assert [pictures.thumbnail(f).frame for f in (0, 100)] == [20, 40]
    assert pictures.thumbnail(40).jpeg[:2] == b"\xff\xd8"


@pytest.fixture
def stops():
    """Ctrl-C works as in a terminal, and does so again afterwards."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: signal.raise_signal(signal.SIGINT)
    found = signal.signal(signal.SIGINT, before)
    assert found is signal.default_int_handler


def followed(clip, path, tmp_path):
    (source,) = find_sources([str(path)])
    scorer = scorer_of(clip, Sees(clip, Reach(8)))
    return score_video(Reader(source, follow=True, timeout=600), scorer, tmp_path / "out")


def then(monkeypatch, act):
    """Act before the rows of a video are scored, and after each window."""

    def scored(*given):
        act()
        for rows in score_pictures(*given):
            yield rows
            act()

    monkeypatch.setattr("vadbench.watch.scored_video.score_pictures", scored)


def test_a_stop_by_hand_ends_the_video_where_its_reading_ends(clip, tmp_path, monkeypatch, stops):
    windows = []

    def stop():
        windows.append(len(windows))
        if len(windows) == 2:
            stops()

    then(monkeypatch, stop)
    result = followed(clip, encode(tmp_path / "a.mkv", noise(50)), tmp_path)
    assert 0 < result.frames == result.rows == len(table(tmp_path / "out")) <= 50 and result.error == ""
    assert result.duration == pytest.approx(result.frames / 25) and "stopped by hand" in result.notes


def test_a_stop_by_hand_before_the_first_row_is_an_error(clip, tmp_path, monkeypatch, stops):
    path = tmp_path / "a.mkv"
    path.touch()
    then(monkeypatch, stops)
    result = followed(clip, path, tmp_path)
    assert (result.rows, result.error) == (0, f"{path}: stopped by hand before its first row")


def test_a_second_stop_by_hand_ends_the_program(clip, tmp_path, monkeypatch, stops):
    then(monkeypatch, lambda: stops() or stops())
    with pytest.raises(KeyboardInterrupt):
        followed(clip, encode(tmp_path / "a.mkv", noise(50)), tmp_path)


def test_a_damaged_image_ends_a_folder_of_frames_where_it_lies(clip, tmp_path):
    for i, frame in enumerate(noise(20)):
        Image.fromarray(frame).save(tmp_path / f"{i:02}.png")
    (tmp_path / "07.png").write_bytes(b"no image")
    (source,) = find_sources([str(tmp_path)])
    scorer = scorer_of(clip, make(clip, "zero-shot"), stride=4)
    result = score_video(Reader(source, fps=10), scorer, tmp_path / "out")
    assert (result.frames, result.rows, result.duration) == (7, 2, 0.7)
    assert "07.png: damaged image (frame 7)" in result.error


def test_what_is_timed_within_something_else_counts_once():
    def slow(items):
        for item in items:
            time.sleep(0.02)
            yield item

    watch = Stopwatch()
    began = time.perf_counter()
    waited = watch.each("waiting", slow(iter(range(5))))
    assert list(watch.each("working", slow(waited))) == [0, 1, 2, 3, 4]
    elapsed = time.perf_counter() - began
    assert watch.seconds["waiting"] >= 0.1 and watch.seconds["working"] >= 0.1
    assert sum(watch.seconds.values()) <= elapsed
