"""Long videos are cut by one rule, and a run gives them the scores that ``vadbench score`` gives."""

import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vadbench.base.config import resolve
from vadbench.base.errors import PluginError
from vadbench.clip import ClipSource, load_clip
from vadbench.data.media import write_video
from vadbench.dataset import ClassTable, Video, VideoClass
from vadbench.features.crops import joining
from vadbench.features.encoders import FrameEncoder
from vadbench.features.extraction import extract_features
from vadbench.features.fingerprint import clip_fingerprint
from vadbench.features.source import FeatureSource
from vadbench.features.store import FeatureStore
from vadbench.method import Method, Reach, Scores, Task
from vadbench.plugins.registry import installed
from vadbench.scoring.opened import open_videos
from vadbench.scoring.scoring import ROWS_AT_ONCE, score_videos
from vadbench.scoring.windows import first_needed, next_window, window_rows, windows
from vadbench.watch.pipeline import Stopwatch, score_rows
from vadbench.watch.reader import Reader
from vadbench.watch.scored_video import score_video
from vadbench.watch.scorer import Scorer
from vadbench.watch.sources import find_sources
from vadbench.watch.thresholds import fixed_threshold

TABLE = ClassTable((VideoClass("Normal"), VideoClass("Fire"), VideoClass("Fighting")), 0)
REACHES = st.one_of(
    st.builds(Reach, st.integers(1, 9), st.integers(0, 12)),
    st.builds(lambda chunk: Reach(chunk, whole=True), st.integers(1, 9)),
)


@pytest.fixture(scope="module")
def clip():
    return load_clip(ClipSource("small", "random:0"))


@pytest.fixture
def short_windows(monkeypatch):
    """Windows of so few rows that tests are quick."""

    def limit(parts, whole):
        monkeypatch.setattr("vadbench.scoring.windows.ROWS_OF_PARTS", parts)
        monkeypatch.setattr("vadbench.scoring.windows.ROWS_OF_WHOLE", whole)

    return limit


class Drawn(FeatureSource):
    """Rows in memory, ``(crops, rows, dim)`` of each video."""

    def __init__(self, rows, fingerprint):
        self.folder, self.fingerprint, self.rows = Path(), fingerprint, rows

    names = property(lambda self: tuple(sorted(self.rows)))

    def crops(self, name):
        if self.fingerprint.regions:
            return tuple(str(i) for i in range(len(self.rows[name])))
        return self.fingerprint.crops

    def crop_rows(self, name, crop):
        return self.rows[name][self.crops(name).index(crop)]

    def frames(self, name):
        return self.rows[name].shape[1]

    def stamp(self, name):
        return ""


class Sees(Method):
    """Adds up exactly what a row's score may depend on; classes and a branch say it in other ways."""

    def __init__(self, clip, reach):
        super().__init__(Method.Config(), Task(TABLE, clip.dim, torch.device("cpu"), lambda: clip.text))
        self._reach, self.calls = reach, []

    reach = property(lambda self: self._reach)

    def score(self, videos):
        self.calls.append([video.row_count for video in videos])
        return [self.of(video.rows) for video in videos]

    def of(self, rows):
        sums, reach, count = rows.double()[:, :3], self._reach, len(rows)
        starts = [0 if reach.whole else i // reach.chunk * reach.chunk for i in range(count)]
        ends = [count if reach.whole else s + reach.chunk + reach.margin for s in starts]
        seen = torch.stack([sums[max(0, s - reach.margin) : e].sum(0) for s, e in zip(starts, ends, strict=True)])
        # A chunk's own order counts as well: rows in another place of it give other scores.
        place = torch.tensor([i - s for i, s in enumerate(starts)])
        return Scores((seen[:, 0] + place).float(), seen.softmax(-1).float(), {"other": seen[:, 1].float()})


def drawn(clip, lengths, crops=1, regions=None):
    names = ("center", "top-left", "top-right")[:crops]
    made = replace(clip_fingerprint(clip, stride=1, pooling="mean", crops=names), regions=regions)
    rng = np.random.default_rng(sum(lengths))
    return Drawn(
        {f"{i:03}": rng.standard_normal((crops, n, clip.dim), dtype="f4") for i, n in enumerate(lengths)}, made
    )


def run_scores(method, source):
    crops = {name: source.crops(name) for name in source.names}
    opened = open_videos(source, crops, {n: source.frames(n) for n in source.names})
    return score_videos(method, opened, joining(source.fingerprint))


def own_scores(method, source, name, sizes=(7,), follow=False, clip=None):
    def bits():
        start, rows = 0, source.rows[name]
        while start < rows.shape[1]:
            for size in sizes:
                if start < rows.shape[1]:
                    yield rows[:, start : start + size]
                start += size

    scorer = Scorer("it", method.eval(), clip, source.fingerprint, "fp32", fixed_threshold(0.5, ""), "")
    parts = list(score_rows(bits(), scorer, follow, Stopwatch()))
    assert [first for first, _ in parts] == list(np.cumsum([0, *(len(s.anomaly) for _, s in parts)]))[:-1]
    classes = None if parts[0][1].classes is None else np.concatenate([s.classes for _, s in parts])
    return np.concatenate([s.anomaly for _, s in parts]), classes


# The rule.


@given(REACHES, st.integers(1, 5), st.integers(1, 200))
def test_windows_cover_a_video_once_and_see_their_margins(reach, chunks, count):
    rows = chunks * reach.chunk
    found = list(windows(reach, rows, count))
    assert [w.first for w in found] == [0, *(w.last for w in found)][:-1] and found[-1].last == count
    for window in found:
        assert 0 <= window.start <= window.first < window.last <= window.stop <= count
        assert window.last - window.first <= rows and window.first % reach.chunk == 0
        if reach.whole:
            assert window.stop - window.start == min(rows, count)
        else:
            assert window.start % reach.chunk == 0
            assert window.start <= max(0, window.first - reach.margin)
            assert window.stop >= min(count, window.last + reach.margin)
            assert window.stop - window.start <= rows + 2 * reach.margin + reach.chunk - 1
    assert all(b.first == a.last for a, b in pairwise(found))
    assert len(found) == 1 or count > rows, "a video that is no longer than a window is scored at once"


@given(REACHES, st.integers(1, 5), st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_rows_that_come_bit_by_bit_are_cut_alike_and_nothing_needed_is_forgotten(reach, chunks, bits):
    rows, done, there, needed, found = chunks * reach.chunk, 0, 0, 0, []
    for new in [*bits, 0]:
        there += new
        while window := next_window(reach, rows, done, there, ended=not new):
            assert window.start >= needed and window.stop <= there
            found.append(window)
            done = window.last
        needed = first_needed(reach, rows, done, there)
    assert found == list(windows(reach, rows, sum(bits)))


def test_windows_are_whole_chunks():
    assert window_rows(Reach()) == 4096
    assert window_rows(Reach(300)) == 3900
    assert window_rows(Reach(5000)) == 5000
    assert window_rows(Reach(512, whole=True)) == 131_072
    assert window_rows(Reach(300, whole=True)) == 130_800
    assert window_rows(Reach(), stream=True) == 1
    assert window_rows(Reach(256), stream=True) == window_rows(Reach(256, whole=True), stream=True) == 256


@pytest.mark.parametrize(("chunk", "margin"), [(0, 0), (-1, 0), (1, -1)])
def test_a_reach_that_nothing_can_have_is_refused(chunk, margin):
    with pytest.raises(PluginError, match="chunk of 1 row or more"):
        Reach(chunk, margin)


# A run.


@settings(max_examples=80)
@given(REACHES, st.lists(st.integers(1, 130), min_size=1, max_size=4), st.integers(1, 3), st.booleans())
def test_a_run_scores_any_length_as_its_rule_says(clip, reach, lengths, crops, regions):
    source = drawn(clip, lengths, crops, "drawn" if regions else None)
    method = Sees(clip, reach)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vadbench.scoring.windows.ROWS_OF_PARTS", 20)
        patch.setattr("vadbench.scoring.windows.ROWS_OF_WHOLE", 30)
        patch.setattr("vadbench.scoring.scoring.ROWS_AT_ONCE", 50)
        found = run_scores(method, source)
        size = window_rows(reach)
    assert [s.name for s in found] == list(source.names)
    assert all(len(call) == 1 or sum(call) <= 50 for call in method.calls)
    assert all(rows <= size + 2 * reach.margin + reach.chunk for call in method.calls for rows in call)
    for scores in found:
        one = [expected(method, torch.from_numpy(rows), size) for rows in source.rows[scores.name]]
        anomaly, classes, branch = ([getattr(s, what) for s in one] for what in ("anomaly", "classes", "branches"))
        others = torch.stack([b["other"] for b in branch])
        anomaly, classes = torch.stack(anomaly), torch.stack(classes)
        if regions:
            winner = anomaly.argmax(0)
            expect = anomaly.amax(0), classes[winner, torch.arange(len(winner))], others.amax(0)
        else:
            expect = anomaly.mean(0), classes.mean(0), others.mean(0)
        for values, wanted in zip((scores.anomaly, scores.classes, scores.branches["other"]), expect, strict=True):
            assert values == pytest.approx(wanted.numpy(), abs=1e-4)


def expected(method, rows, size):
    """What the rule promises, without windows where neighbours alone matter."""
    if not method.reach.whole or len(rows) <= size:
        return method.of(rows)
    starts = list(range(0, len(rows), size))
    parts = [method.of(rows[s : s + size]) for s in starts[:-1]]
    last = method.of(rows[-size:])
    rest = slice(size - (len(rows) - starts[-1]), None)
    parts.append(Scores(last.anomaly[rest], last.classes[rest], {"other": last.branches["other"][rest]}))
    return Scores(
        torch.cat([p.anomaly for p in parts]),
        torch.cat([p.classes for p in parts]),
        {"other": torch.cat([p.branches["other"] for p in parts])},
    )


def test_rows_in_a_call_stay_bounded_whatever_the_length_and_the_number_of_crops(clip):
    method = Sees(clip, Reach(16, 5))
    method.of = lambda rows: Scores(rows[:, 0])
    run_scores(method, drawn(clip, [30_000, 10, 5000, 4000, 4000, 4000, 4000, 4000], crops=3))
    assert max(sum(call) for call in method.calls) <= ROWS_AT_ONCE
    assert max(rows for call in method.calls for rows in call) <= 4096 + 16 + 5


def test_videos_that_fit_are_scored_at_once_as_ever(clip):
    method = Sees(clip, Reach(16, 5))
    method.of = lambda rows: Scores(rows[:, 0])
    run_scores(method, drawn(clip, [4096, 4096, 4000, 4096, 4000, 100]))
    assert method.calls == [[4096, 4096, 4000, 4096], [4000, 100]]


def test_windows_that_answer_differently_are_refused(clip, short_windows):
    short_windows(20, 30)
    method = Sees(clip, Reach())
    method.of = lambda rows: Scores(rows[:, 0], None if len(rows) < 20 else rows[:, :3])
    with pytest.raises(PluginError, match="of the 3 windows of 000 only some have class scores"):
        run_scores(method, drawn(clip, [45]))


# The same video either way.


@settings(max_examples=60)
@given(REACHES, st.integers(1, 150), st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(1, 3))
def test_a_run_and_ones_own_video_have_the_same_scores_bit_for_bit(clip, reach, length, sizes, crops):
    source, method = drawn(clip, [length], crops), Sees(clip, reach)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vadbench.scoring.windows.ROWS_OF_PARTS", 20)
        patch.setattr("vadbench.scoring.windows.ROWS_OF_WHOLE", 30)
        (run,) = run_scores(method, source)
        calls, method.calls = method.calls, []
        anomaly, classes = own_scores(method, source, "000", sizes, clip=clip)
    assert method.calls == calls, "the same rows are scored together"
    assert np.array_equal(anomaly, run.anomaly) and np.array_equal(classes, run.classes)


@settings(max_examples=60)
@given(REACHES.filter(lambda r: not r.whole), st.integers(1, 150), st.lists(st.integers(1, 40), min_size=1, max_size=4))
def test_the_windows_of_a_stream_change_no_score_where_neighbours_alone_matter(clip, reach, length, sizes):
    source, method = drawn(clip, [length]), Sees(clip, reach)
    anomaly, classes = own_scores(method, source, "000", sizes, follow=True, clip=clip)
    whole = method.of(torch.from_numpy(source.rows["000"][0]))
    assert anomaly == pytest.approx(whole.anomaly.numpy(), abs=1e-4)
    assert classes == pytest.approx(whole.classes.numpy(), abs=1e-4)


BUILT_IN = {
    "anomalyclip": ["segments=4", "segment_length=4"],
    "clip-linear": [],
    "clip-temporal-linear": ["length=32"],
    "density": [],
    "descriptions-frame": ["vote_window=9"],
    "descriptions-video": ["length=32"],
    "mil": [],
    "random": [],
    "vadclip": ["length=32"],
    "zero-shot": [],
}


def built(clip, name):
    kind = installed().method(name)
    torch.manual_seed(0)
    config = resolve(kind.Config, {}, environment={}, assignments=BUILT_IN[name])
    method = kind(config, Task(TABLE, clip.dim, torch.device("cpu"), lambda: clip.text))
    for parameter in method.parameters():  # Zeros, which some begin with, would hide everything.
        parameter.data += 0.05 * torch.randn_like(parameter)
    return method.eval()


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_methods_score_a_long_video_the_same_either_way(clip, short_windows, name):
    short_windows(64, 100)
    method, source = built(clip, name), drawn(clip, [333], crops=2)
    (run,) = run_scores(method, source)
    anomaly, classes = own_scores(method, source, "000", [50], clip=clip)
    assert np.array_equal(anomaly, run.anomaly)
    assert (classes is None) == (run.classes is None) and (classes is None or np.array_equal(classes, run.classes))
    if not method.reach.whole:
        short_windows(4096, 131_072)
        (whole,) = run_scores(method, source)
        assert run.anomaly == pytest.approx(whole.anomaly, abs=1e-5)


@pytest.mark.parametrize("name", ["mil", "vadclip"])
def test_a_file_longer_than_the_limit_has_one_score_whichever_way(clip, short_windows, tmp_path, name):
    short_windows(64, 100)
    rng = np.random.default_rng(0)
    frames = (rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(260))
    write_video(tmp_path / "a.mp4", frames, fps=25)
    made = clip_fingerprint(clip, stride=1, pooling="mean")
    extract_features([Video("a", (), tmp_path / "a.mp4")], FrameEncoder(clip, made), tmp_path / "store")
    store, method = FeatureStore(tmp_path / "store"), built(clip, name)
    (run,) = score_videos(method, open_videos(store, {"a": ("center",)}, {"a": 260}))
    scorer = Scorer(name, method, clip, made, "fp32", fixed_threshold(0.5, ""), "")
    (source,) = find_sources([str(tmp_path / "a.mp4")])
    result = score_video(Reader(source), scorer, tmp_path / "out")
    assert (result.rows, result.error) == (260, "")
    lines = (result.folder / "scores.csv").read_text().splitlines()
    column = lines[0].split(",").index("score")
    assert [float(line.split(",")[column]) for line in lines[1:]] == pytest.approx(run.anomaly, abs=1e-6)
    assert any("too long to hold" in note for note in result.notes) == method.reach.whole


PROGRAM = """
import json, sys, threading
from pathlib import Path
import numpy as np, torch
from test_windows import Drawn, Sees, run_scores
from vadbench.clip import ClipSource, load_clip
from vadbench.features.fingerprint import clip_fingerprint
from vadbench.method import Reach, Scores

peak, ended = 0, threading.Event()

def anonymous():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024

def watch():
    global peak
    while not ended.wait(0.01):
        peak = max(peak, anonymous())

clip = load_clip(ClipSource("small", "random:0"))
rows = np.lib.format.open_memmap(sys.argv[1], mode="r")
source = Drawn({"day": rows}, clip_fingerprint(clip, stride=1, pooling="mean", crops=("center", "top-left")))
method = Sees(clip, eval(sys.argv[2]))
method.of = lambda rows: Scores(rows.sum(1), rows[:, :3].softmax(1), {"other": rows[:, 0]})
before = anonymous()
watcher = threading.Thread(target=watch)
watcher.start()
(scores,) = run_scores(method, source)
ended.set()
watcher.join()
print(json.dumps({"peak": peak - before, "rows": len(scores.anomaly), "calls": len(method.calls)}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("reach", ["Reach(256, 100)", "Reach(512, whole=True)"])
def test_a_day_of_video_takes_the_memory_of_its_scores_and_a_window(clip, tmp_path, reach):
    day = 25 * 86_400
    array = np.lib.format.open_memmap(tmp_path / "day.npy", "w+", np.float32, (2, day, clip.dim))
    del array  # a sparse file: the values are zeros, and take no room
    command = [sys.executable, "-c", PROGRAM, tmp_path / "day.npy", reach]
    found = subprocess.run(
        [str(c) for c in command], capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    assert found.returncode == 0, found.stderr
    result = json.loads(found.stdout.splitlines()[-1])
    assert result["rows"] == day and result["calls"] > 16
    print(f"peak anonymous memory in MB: {result['peak']:.0f}, rows of a crop {day * clip.dim * 4 / 2**20:.0f}")
    # Scores, classes and a branch take 43 MB, twice where they are put together; a crop's rows would be ten times that.
    assert result["peak"] < 250 < day * clip.dim * 4 / 2**20
