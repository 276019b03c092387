"""Pictures of near-duplicates, side by side at their alignment, and the page that shows them."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vadbench.base.errors import MediaError
from vadbench.base.types import Progress, silent
from vadbench.inspect.duplicate_report import DuplicateReport, NearDuplicate
from vadbench.report.page import document
from vadbench.report.thumbnails import Strip, joined_strip, read_small, spread_frames

SHOWN = 200
"""Maximum number of pairs whose pictures are looked at; the worst come first."""
_SIZE = (32, 18)
_ALIKE = 0.5
"""Correlation of grey values below which pictures are of different things; those of copies have 0.9 and more."""


@dataclass(frozen=True)
class PicturedReport:
    """Near-duplicates with pictures.

    Args:
        report: the report, whose pairs say whether they are mirrored where their pictures do.
        strips: corresponding frames of both videos, by their names; only of pairs whose files can be read.
        notes: a line for each file that cannot be read.
    """

    report: DuplicateReport
    strips: Mapping[tuple[str, str], tuple[Strip, Strip]]
    notes: Sequence[str]


def add_pictures(report: DuplicateReport, paths: Mapping[str, Path], progress: Progress = silent) -> PicturedReport:
    """Look at corresponding frames of the first pairs, as far as there are files.

    Args:
        report: the near-duplicates.
        paths: existing video files and folders of frames, by video.
        progress: called with the number of finished pairs.
    """
    pairs, notes = list(report.pairs), list[str]()
    strips = {}
    for done, pair in enumerate(pairs[:SHOWN]):
        progress("looking at pictures", done, len(pairs[:SHOWN]))
        if pair.a not in paths or pair.b not in paths:
            continue
        wanted = [spread_frames(start, pair.overlap * pair.spacing) for start in pair.start]
        try:
            of_a, of_b = (read_small(paths[name], own) for name, own in zip((pair.a, pair.b), wanted, strict=True))
        except MediaError as error:
            notes.append(f"no pictures of {pair.a} and {pair.b}: {error}")
            continue
        count = min(len(of_a), len(of_b))
        if count:
            strips[pair.a, pair.b] = (joined_strip(of_a[:count], wanted[0]), joined_strip(of_b[:count], wanted[1]))
            mirrored = is_mirrored(of_a[:count], of_b[:count])
            pairs[done] = replace(pair, mirrored=pair.mirrored if mirrored is None else mirrored)
    progress("looking at pictures", len(pairs[:SHOWN]), len(pairs[:SHOWN]))
    return PicturedReport(replace(report, pairs=pairs), strips, list(dict.fromkeys(notes)))


def is_mirrored(a: Sequence[Image.Image], b: Sequence[Image.Image]) -> bool | None:
    """Return True if pictures are more like the mirror images of those they correspond to than like themselves.

    ``None`` where they are like neither. Both sequences have the same length.
    """
    straight = turned = 0.0
    for x, y in zip(a, b, strict=True):
        grey, other = _grey(x), _grey(y)
        straight += float((grey * other).sum()) / len(a)
        turned += float((grey * other[:, ::-1]).sum()) / len(a)
    return turned > straight if max(straight, turned) >= _ALIKE else None


def _grey(picture: Image.Image) -> NDArray[np.float64]:
    values = np.asarray(picture.convert("L").resize(_SIZE, Image.Resampling.BILINEAR), np.float64)
    centred: NDArray[np.float64] = values - values.mean()
    return centred / (np.linalg.norm(centred) or 1.0)


def describe(pair: NearDuplicate) -> str:
    """Return what a pair is, in a few words.

    Example: ``part, mirrored; labelled Abuse and Normal``.
    """
    text = pair.kind + (", mirrored" if pair.mirrored else "")
    if pair.labels is None:
        return text
    return f"{text}; labelled {' and '.join(', '.join(labels) for labels in pair.labels)}"


def duplicates_page(dataset: str, pictured: PicturedReport) -> str:
    """Return a page in one file with the figures and the pictures of near-duplicates."""
    report = pictured.report
    head = (
        f"<h1>Near-duplicates of {html.escape(dataset)}</h1>\n"
        f"<p>{len(report.pairs):,} pairs among {report.videos:,} videos, {report.across:,} of them across splits. Both"
        " rows of pictures show corresponding frames. Cosine: of the aligned rows without the mean of each stretch,"
        f" {report.threshold} asked; rows: mean cosine of the rows as they are; changes: that of the changes from row"
        " to row.</p>\n"
    )
    notes = "".join(f"<p>{html.escape(text)}</p>\n" for text in pictured.notes)
    if len(report.pairs) > SHOWN:
        notes += f"<p>The first {SHOWN} pairs are shown; --json lists all.</p>\n"
    sections = "".join(_section(pair, pictured.strips.get((pair.a, pair.b))) for pair in report.pairs[:SHOWN])
    return document(f"Near-duplicates of {dataset}", f'{head}<div class="notes">{notes}</div>\n{sections}')


def _section(pair: NearDuplicate, strips: tuple[Strip, Strip] | None) -> str:
    rows = ""
    for i, name in enumerate((pair.a, pair.b)):
        end = pair.start[i] + pair.overlap * pair.spacing
        picture = f'<img src="{strips[i].source}" alt="frames {strips[i].frames}">' if strips else ""
        rows += (
            f'<tr><th class="name">{html.escape(name)}</th><td>{html.escape(pair.splits[i])}</td>'
            f'<td class="number">{pair.start[i]}-{end}</td><td>{picture}</td></tr>\n'
        )
    return (
        f"<h2>{html.escape(describe(pair))}</h2>\n<p>cosine {pair.cosine:.3f}, rows {pair.rows:.3f}, changes"
        f" {pair.changes:.2f}, overlap {pair.overlap} rows of {pair.spacing} frames</p>\n"
        '<div class="scroll"><table>\n'
        "<thead><tr><th>video</th><th>split</th><th>frames</th><th>pictures</th></tr></thead>"
        f"<tbody>\n{rows}</tbody></table></div>\n"
    )
