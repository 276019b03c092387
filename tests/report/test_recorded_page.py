"""The page of recorded scores of a test set as large as UCF-Crime's: one small file that a browser opens."""

import numpy as np
import pytest

from report_pages import point, readout, texts
from vadbench.dataset import ClassTable, Segment, Video, VideoClass
from vadbench.records.record import RecordedSource, SplitRecord
from vadbench.scoring.protocol import NATIVE
from vadbench.scoring.split import ScoredSplit
from vadbench.scoring.video_scores import VideoScores

VIDEOS, ABNORMAL, FRAMES = 290, 140, 1_111_808
TABLE = ClassTable(tuple(VideoClass(name) for name in ("Normal", "Abuse", "Arrest", "Arson")), normal=0)
SOURCE = RecordedSource(source="github.com/somebody/scores", licence="none stated", commit="0b5c54e")


def large(seed, stride, steps=0):
    """Scores of 290 videos of 1.1 million frames; by frame they are constant over steps, as scored segments are."""
    rng = np.random.default_rng(11)
    lengths = rng.lognormal(7.7, 1.0, VIDEOS)
    lengths = np.maximum(lengths / lengths.sum() * FRAMES, 200).astype(int)
    noise = np.random.default_rng(seed)
    videos, scores = [], []
    for i, frames in enumerate(lengths.tolist()):
        name = f"Abuse{i:03d}_x264" if i < ABNORMAL else f"Normal_Videos_{i:03d}_x264"
        start = int(rng.integers(0, frames // 2))
        label = TABLE.names[1 + i % 3] if i < ABNORMAL else "Normal"
        segments = (Segment(label, start, start + frames // 8 + 1),) if i < ABNORMAL else ()
        rows = -(-frames // stride)
        values = noise.random(-(-rows // steps)).repeat(steps)[:rows] if steps else noise.random(rows)
        values[start // stride : (start + frames // 8) // stride] += 0.2 if segments else 0
        scores.append(VideoScores(name, frames, (values / 1.2).astype(np.float32), None, rate=30.0))
        videos.append(Video(name, (label,), frames=frames, segments=segments))
    return ScoredSplit(scores, videos, stride, TABLE, NATIVE.rules)


@pytest.mark.parametrize(("stride", "steps"), [(16, 0), (1, 150)], ids=["a row per 16 frames", "a row per frame"])
def test_two_recorded_methods_on_290_videos_are_one_small_page(keep, page, browser, stride, steps):
    common = {
        "method_version": "recorded",
        "reads": "recorded",
        "recorded": SOURCE,
        "fingerprint": {},
        "clip": {},
        "config": {},
        "data": {"test": SplitRecord(videos=VIDEOS, expected=VIDEOS, abnormal=ABNORMAL, manifest="m")},
    }
    splits = [large(1, 16), large(2, stride, steps)]
    folders = [keep(s, m, intervals=False, **common) for s, m in zip(splits, ("good", "other"), strict=True)]
    path = page(*folders)
    assert path.stat().st_size < 5e6
    text = path.read_text(encoding="utf-8")
    # Nothing is fetched: no address but that of the source, which is text, and the names of XML.
    assert not [part[:40] for part in text.split('src="')[1:] if not part.startswith("data:")]
    assert "<link" not in text and "@import" not in text
    opened = browser(path)
    assert texts(opened, "#subtitle")[0].startswith(f"{VIDEOS} test videos, {ABNORMAL} of them abnormal")
    told = [fact for fact in texts(opened, "#facts dd") if "github.com/somebody/scores, commit 0b5c54e" in fact]
    assert len(told) == 2 and all(fact.endswith("licence none stated") for fact in told)
    point(opened, 100, splits[0].scores[0].frames)
    assert set(readout(opened)[2]) == {0, 1}
