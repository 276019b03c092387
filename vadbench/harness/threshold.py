"""The score from which on rows count as anomalous, fixed without test labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vadbench.base.seeds import MAIN_STAGE, Purpose, generator, torch_draws
from vadbench.base.types import Progress
from vadbench.harness.provision import Provision
from vadbench.harness.video_inputs import scored_inputs
from vadbench.method import Method
from vadbench.scoring.scoring import score_videos

NORMAL_VIDEOS = 100
"""Most normal training videos that are scored for the threshold: our decision."""


def normal_threshold(
    method: Method, provision: Provision, names: Sequence[str], precision: str, seed: int, progress: Progress
) -> float | None:
    """Return the 99th percentile of the scores of normal training videos, rows counting equally (our decision).

    Of more than :data:`NORMAL_VIDEOS`, that number is drawn under the seed. From the threshold on frames belong to an
    event: in the metrics of events, and in a video without annotation.

    Args:
        method: trained.
        provision: has the features of the videos.
        names: of the normal ones among those that it was trained on.
        precision: arithmetic of the method, as in a recipe.
        seed: of the run.
        progress: told how many videos are done.

    Returns:
        ``None`` where there is no normal video.
    """
    if len(names) > NORMAL_VIDEOS:
        rng = generator(Purpose.THRESHOLD, seed, MAIN_STAGE)
        chosen = rng.choice(len(names), NORMAL_VIDEOS, replace=False)
        names = [names[i] for i in sorted(chosen)]
    scores = []
    for done, (name, crops) in enumerate(provision.scored_like_test(names).items()):
        progress("scoring normal videos", done, len(names))
        # One at a time, and its class probabilities forgotten: those of a hundred long videos would take much memory.
        with torch_draws(method.task.device, Purpose.THRESHOLD, seed, MAIN_STAGE, name):
            inputs = scored_inputs(provision, {name: crops}, seed)
            (video,) = score_videos(method, inputs, provision.joined, precision)
        scores.append(video.anomaly)
    progress("scoring normal videos", len(names), len(names))
    return float(np.percentile(np.concatenate(scores), 99)) if scores else None
