"""Three scores of the same videos, drawn with their AUC and AUC within: why a high AUC need not find an anomaly.

``python docs/place.py FILE.svg`` writes the picture; the documentation draws it anew each time it is built. Its figures
are computed from the scores that it shows.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from docutils import nodes
from numpy.typing import NDArray
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from vadbench.metrics.ranking import roc_auc

FRAMES, ANOMALOUS = 24, slice(9, 15)
"""Frames of each video, and those of the first that are anomalous."""
VIDEOS = ("abnormal video", "normal video", "normal video")
LEFT, WIDE, TALL, GAP, TOP = 140, 132, 54, 12, 24
"""Pixels: the column of names, the box of a video, the space between boxes, and the row of headings."""
FIGURES = LEFT + len(VIDEOS) * (WIDE + GAP)
Scores = NDArray[np.float64]


def scores() -> dict[tuple[str, ...], Scores]:
    """Return the scores ``(videos, frames)`` by the lines of their names."""
    time = np.arange(FRAMES)
    ripple = 0.06 * np.sin(1.3 * time) + 0.04 * np.sin(2.9 * time + 1)
    peak = np.exp(-(((time - 12.2) / 3.2) ** 4))
    bump = 0.45 * np.exp(-(((time - 17) / 2) ** 2))
    return {
        ("finds the place", "and the video"): np.stack([0.2 + 0.62 * peak, 0.2 + bump, 0.15 + 0 * time]) + ripple,
        ("knows the video,", "not the place"): np.stack([0.8 + 0 * time, 0.3 + 0 * time, 0.2 + 0 * time]),
        ("finds the place,", "not the video"): np.stack([0.2 + 0.3 * peak, 0.7 + 0 * time, 0.15 + 0 * time]) + ripple,
    }


def figures(of: Scores) -> tuple[float, float]:
    """Return the AUC over the frames of all videos, and that within the abnormal one."""
    truth = np.zeros(of.shape, int)
    truth[0, ANOMALOUS] = 1
    pooled, within = (roc_auc(s.ravel(), t.ravel(), 1 - t.ravel()) for s, t in ((of, truth), (of[0], truth[0])))
    assert pooled is not None and within is not None
    return pooled, within


def picture() -> str:
    """Return an SVG: a row for each score, a box for each video, and the figures at the end of the row."""
    shown = scores()
    width, height = FIGURES + 150, TOP + len(shown) * (TALL + GAP)
    measured = _measured(shown)
    said = "; ".join(f"{' '.join(name)}: AUC {_percent(a)}, AUC within {_percent(w)}" for name, (a, w) in measured)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif"'
        ' font-size="13" fill="currentColor" role="img">',
        f"<title>Three scores over the frames of the same three videos. {said}</title>",
        *(_text(_left(i) + WIDE / 2, 14, video) for i, video in enumerate(VIDEOS)),
        *(_text(FIGURES + 25 + 80 * i, 14, name) for i, name in enumerate(("AUC", "AUC within"))),
    ]
    for row, (name, (pooled, within)) in enumerate(measured):
        top = TOP + row * (TALL + GAP)
        parts += [_text(LEFT - 12, top + 24 + 17 * i, line, "end") for i, line in enumerate(name)]
        for i, values in enumerate(shown[name]):
            parts += _video(_left(i), top, values, abnormal=i == 0)
        parts += [
            _text(FIGURES + 25 + 80 * i, top + TALL / 2 + 6, _percent(value), size=17)
            for i, value in enumerate((pooled, within))
        ]
    return "\n".join([*parts, "</svg>"])


def _measured(shown: dict[tuple[str, ...], Scores]) -> list[tuple[tuple[str, ...], tuple[float, float]]]:
    return [(name, figures(of)) for name, of in shown.items()]


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _left(video: int) -> int:
    return LEFT + video * (WIDE + GAP)


def _text(x: float, y: float, text: str, anchor: str = "middle", size: int = 13) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}">{text}</text>'


def _video(left: float, top: float, values: Scores, abnormal: bool) -> Iterator[str]:
    """Yield the box of a video, its anomalous frames shaded, and the score of each frame."""
    step = WIDE / FRAMES
    yield (
        f'<rect x="{left}" y="{top}" width="{WIDE}" height="{TALL}" fill="none" stroke="currentColor"'
        ' stroke-opacity="0.25"/>'
    )
    if abnormal:
        x, wide = left + ANOMALOUS.start * step, (ANOMALOUS.stop - ANOMALOUS.start) * step
        yield f'<rect x="{x:g}" y="{top}" width="{wide:g}" height="{TALL}" fill="#f59e0b" fill-opacity="0.3"/>'
    heights = [f"{top + TALL * (1 - value):.1f}" for value in values]
    path = "".join(f"V{y}H{left + (i + 1) * step:g}" for i, y in enumerate(heights))
    yield f'<path d="M{left} {heights[0]}{path}" fill="none" stroke="#6366f1" stroke-width="2"/>'


class _Picture(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", picture(), format="html")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("vadbench-place", _Picture)
    return {"parallel_read_safe": True}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(picture(), encoding="utf-8")
