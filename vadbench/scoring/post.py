"""Post-processing: declared steps between the scores of a method and the metrics, such as smoothing over time."""

from __future__ import annotations

from vadbench.scoring.video_scores import VideoScores


def processed(scores: VideoScores, post: str, stride: int) -> VideoScores:
    """Return the scores of a video after post-processing of the anomaly score and every branch.

    Args:
        scores: of the video.
        post: the steps, as in :attr:`vadbench.scoring.protocol.Protocol.post`.
        stride: frames from one row to the next.
    """
    raise NotImplementedError(post)
