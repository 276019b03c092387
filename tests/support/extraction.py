"""Features of small videos, extracted and made frame by frame."""

from vadbench.base.types import silent
from vadbench.features.decoding import WORKERS
from vadbench.features.encoders import FrameEncoder
from vadbench.features.extraction import extract_features
from vadbench.features.fingerprint import clip_fingerprint

LENGTHS = {"a": 37, "b": 5, "c": 16, "d": 1, "e": 50}


def extract(
    videos,
    clip,
    store,
    batch_size=256,
    workers=WORKERS,
    shard=(0, 1),
    keep_going=False,
    progress=silent,
    jobs=0,
    **made,
):
    """Extract the features that the other arguments say."""
    encoder = FrameEncoder(clip, clip_fingerprint(clip, **made), batch_size, workers, jobs=jobs)
    return extract_features(videos, encoder, store, shard=shard, keep_going=keep_going, progress=progress)


def content(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if not p.name.startswith(".")}
