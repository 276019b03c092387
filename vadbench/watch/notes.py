"""Notes for a reader of the scores of a video, beside those that the method has on all."""

from __future__ import annotations

from vadbench.scoring.windows import window_rows
from vadbench.watch.reader import Reader
from vadbench.watch.scorer import Scorer


def count_notes(reader: Reader, frames: int, duration: float) -> list[str]:
    """Return the differences between a video that was read to its end and the declaration of its container, which may
    state no length."""
    if reader.unseen_end is not None:
        return [f"{reader.source.shown} is {reader.unseen_end}"]
    if reader.declared is not None and reader.declared != frames:
        return [f"{frames} frames decoded, {reader.declared} declared by the container"]
    if reader.length is not None and reader.length - duration > 1:
        return [f"{duration:.1f} s decoded, {reader.length:.1f} s declared by the container: it may be cut off"]
    return []


def score_notes(reader: Reader, scorer: Scorer, rows: int) -> list[str]:
    """Return what was done to make the scores of a number of rows that a reader of them does not expect."""
    notes = []
    if reader.damaged:
        notes.append(f"{reader.damaged} damaged frames, scored as the decoder guessed them")
    window = window_rows(scorer.method.reach, reader.follow)
    cut = scorer.fingerprint is not None and not scorer.in_company and rows > window
    if cut and scorer.method.reach.whole:
        notes.append(
            f"a score of '{scorer.name}' depends on the whole video, which is too long to hold: scored in windows of"
            f" {window:,} rows, {window * scorer.stride:,} frames"
        )
    return notes
