"""Small feature stores."""

import math

import numpy as np

from vadbench.base.errors import FeatureError
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.store import StoreWriter

DIM = 5
PRINT = Fingerprint("tiny", "0" * 64, "gelu", "none", stride=4, pooling="mean", dim=DIM)


def some_rows(seed, frames, stride=4):
    return np.random.default_rng(seed).standard_normal((math.ceil(frames / stride), DIM)).astype(np.float32)


def fill(folder, names=("a", "b", "c"), shard=(0, 1), fingerprint=PRINT):
    with StoreWriter(folder, fingerprint, shard) as writer:
        for i, name in enumerate(names):
            frames = 9 + 4 * i
            append(writer, name, [some_rows(name.encode()[0], frames)] * len(fingerprint.crops), frames, f"id-{name}")


def append(writer, name, crops, frames, source):
    """Add a whole video, ``(rows, dim)`` for each crop; a refused one is dropped."""
    try:
        for rows in crops:
            writer.write_rows(name, rows)
        writer.finish(name, frames, source)
    except FeatureError:
        writer.discard()
        raise


def content(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if not p.name.startswith(".")}
