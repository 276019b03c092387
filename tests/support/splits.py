"""Scored splits, drawn and written out."""

import numpy as np

from vadbench.dataset import ClassTable, Segment, Video, VideoClass
from vadbench.records.folders import write_record
from vadbench.records.keys import EDITION
from vadbench.records.record import RunRecord
from vadbench.records.scores import save_split
from vadbench.scoring.protocol import protocol
from vadbench.scoring.split import ScoredSplit
from vadbench.scoring.video_scores import VideoScores

TABLE = ClassTable((VideoClass("Riot", aliases=("G",)), VideoClass("Normal"), VideoClass("Car_accident")), normal=1)


def split(seed, rules="native", classes=True, branches=True, binary=False, stride=4, table=TABLE, videos=12):
    """Half of the videos with segments of up to two classes; frames end within, at or behind the last row."""
    rng = np.random.default_rng(seed)
    abnormal = [VideoClass.name for i, VideoClass in enumerate(table.classes) if i != table.normal]
    scores, truth = [], []
    for i in range(videos):
        rows = int(rng.integers(4, 20))
        frames = rows * stride + int(rng.integers(1 - stride, 3))
        probabilities = rng.random((rows, len(table))).astype(np.float32)
        segments = []
        for _ in range(int(rng.integers(1, 4)) if i % 2 else 0):
            start = int(rng.integers(0, frames - 4))
            segments.append(Segment(str(rng.choice(abnormal)), start, start + int(rng.integers(1, frames - start))))
        runs = ((1, 3), (5, frames - 2)) if binary and i % 2 else None
        labels = tuple(dict.fromkeys(s.label for s in segments)) or ("Normal",)
        truth.append(Video(f"v{i}, ä", labels, segments=tuple(segments), binary=runs))
        scores.append(
            VideoScores(
                f"v{i}, ä",
                frames,
                rng.random(rows).astype(np.float32),
                probabilities / probabilities.sum(1, keepdims=True) if classes else None,
                {b: rng.random(rows).astype(np.float32) for b in ("align", "class agnostic")} if branches else {},
            )
        )
    return ScoredSplit(scores, truth, stride, table, protocol(rules).rules, normal_segments=bool(seed % 2))


def keep(split, folder):
    """Save a split as a run would."""
    record = RunRecord(
        status="finished", method="m", method_version="1", dataset="d", trained_on="d", seed=0, key="k", evaluation="e",
        edition=EDITION,
        protocol=split.rules.model_dump(mode="json"), config={}, changed=[], fingerprint={}, clip={}, data={},
        unit_scores=split.unit_scores, environment={}, created="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    write_record(folder, record)
    save_split(split, folder / "scores.npz")
    return folder


def table(*names, normal, **aliases):
    """A class table by names, some with aliases."""
    return ClassTable(tuple(VideoClass(n, aliases=aliases.get(n, ())) for n in names), normal)
