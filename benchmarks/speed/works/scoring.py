"""Scoring: a video, a test split, and a day of video whose rows come bit by bit; methods and their literal versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import gpu_peak_gb, operations, operations_rate, peak_gb
from works import methods
from works.work import Options, Work, floor_of, off

from vadbench.base.arithmetic import arithmetic
from vadbench.clip import load_clip
from vadbench.features.encoders import BATCH
from vadbench.features.fingerprint import Fingerprint, clip_fingerprint
from vadbench.features.shard import FeatureRows
from vadbench.features.source import FeatureSource
from vadbench.method import Batch, Method
from vadbench.scoring.opened import open_videos
from vadbench.scoring.scoring import score_videos
from vadbench.scoring.video_scores import VideoScores
from vadbench.watch.pipeline import Stopwatch, score_rows
from vadbench.watch.scorer import Scorer
from vadbench.watch.thresholds import fixed_threshold

DAY = 24 * 3600 * 30
"""Frames of 24 hours."""
GROWTH_GB = 0.3
"""Memory by which a day of video may exceed a tenth of it."""


def built(name: str, options: Options) -> Method:
    """A method with random weights, of published size but for the CLIP and the batch when it has to be quick."""
    torch.manual_seed(0)
    return methods.build(name, _sizes(options), options.device)


def _sizes(options: Options) -> methods.Sizes:
    return methods.QUICK if options.quick else methods.PUBLISHED


def literal_of(method: Any) -> tuple[Callable[..., torch.Tensor], Callable[..., torch.Tensor]]:
    """The literal version's losses ``(batch)`` and scores ``(rows)`` with the weights of a method; RTFM and CLIP-TSA
    have only the losses."""
    if type(method).__name__ in ("Rtfm", "ClipTsa"):
        return _magnitude_losses(method), _no_scores
    if type(method).__name__ == "UrDmu":
        from literal import urdmu
        from vadbench_urdmu.checkpoint import reference_names as names_of

        own = dict(method.named_parameters())
        state = {theirs: own[ours] for ours, theirs in names_of(method.config).items()}

        def losses(batch: Batch) -> torch.Tensor:
            # Normal samples first; the sampler gives them behind the others.
            segments = torch.cat(batch.views["segments"].chunk(2)[::-1])
            draws = method.draws((2, len(segments) // 2, 1, segments.shape[1]), segments.device)
            kept = (mask.flatten(0, 2) for layer in draws.kept for mask in layer)
            return urdmu.losses(segments, state, kept, draws.noise.flatten(0, 1))

        return losses, lambda rows: urdmu.score(rows, state)
    classes, text = method.task.classes, method.task.text
    if type(method).__name__ == "AnomalyClip":
        from literal import anomalyclip

        words = classes.prompt_words(method.config.prompt_words)
        state = dict(method.named_parameters()) | dict(method.named_buffers())
        known = (words, classes.normal, state, text)
        return (
            lambda batch: anomalyclip.losses(batch.views["features"], batch.labels.argmax(1), *known),
            lambda rows: anomalyclip.score(rows, *known),
        )
    from literal import vadclip
    from vadbench_vadclip.checkpoint import reference_names

    order = [classes.normal, *classes.abnormal]
    words = [classes.prompt_words(method.config.prompt_words)[i] for i in order]
    own = dict(method.named_parameters()) | dict(method.named_buffers())
    state = {theirs: own[ours] for ours, theirs in reference_names(method.config).items()}
    return (
        lambda batch: vadclip.losses(
            batch.views["features"], batch.views["length"], batch.labels[:, order], words, state, text
        ),
        lambda rows: vadclip.score(rows, words, state, text),
    )


def _magnitude_losses(method: Any) -> Callable[..., torch.Tensor]:
    from literal import rtfm
    from vadbench_mil.checkpoint import cliptsa_names, rtfm_names

    selecting = type(method).__name__ == "ClipTsa"
    names = cliptsa_names(method.config, front=method.front is not None) if selecting else rtfm_names(method.config)
    own = dict(method.named_parameters()) | dict(method.named_buffers())
    # The authors have the kernel of a convolution last.
    state = {theirs: own[ours].permute(1, 2, 0) if own[ours].ndim == 3 else own[ours] for ours, theirs in names.items()}
    if not selecting:
        return lambda batch: rtfm.losses(_bags(batch), state)
    chosen = method.config.selection
    return lambda batch: rtfm.selected_losses(_bags(batch), state, chosen.ratio, chosen.draws, chosen.sigma)


def _bags(batch: Any) -> torch.Tensor:
    rows: torch.Tensor = batch.views["rows"]
    return rows if rows.ndim == 4 else rows[:, None]


def _no_scores(rows: torch.Tensor) -> torch.Tensor:
    raise NotImplementedError("there is no literal version of the scoring")


class Drawn(FeatureSource):
    """Drawn rows in memory, of videos of so many rows each."""

    def __init__(self, rows: list[int], stride: int, dim: int) -> None:
        self.folder = Path()
        self.fingerprint = Fingerprint("drawn", "drawn", "unknown", "none", stride, "mean", dim)
        self.kept = {f"{i:06d}": torch.randn(n, dim).numpy() for i, n in enumerate(rows)}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.kept)

    def crops(self, name: str) -> tuple[str, ...]:
        return self.fingerprint.crops

    def crop_rows(self, name: str, crop: str) -> FeatureRows:
        return self.kept[name]

    def frames(self, name: str) -> int:
        return len(self.kept[name]) * self.fingerprint.stride

    def stamp(self, name: str) -> str:
        return ""

    def scored_by(self, method: Method, precision: str) -> list[VideoScores]:
        """Scores of all of them, as an evaluation computes them, text encoded anew."""
        crops = {name: self.crops(name) for name in self.names}
        frames = {name: self.frames(name) for name in self.names}
        return score_videos(method, open_videos(self, crops, frames), precision=precision)


def videos(split: bool, name: str, options: Options, folder: Path) -> Work:
    """A video of 5,000 frames, or a tenth of a test split of UCF-Crime's size; literally text anew for every video."""
    method = built(name, options).eval()
    _, score = literal_of(method)
    sizes = _sizes(options)
    many, frames = (methods.VIDEOS, methods.FRAMES) if options.full else sizes.split
    lengths = methods.lengths(many, frames) if split else [sizes.video]
    stride = method.config.rows.stride
    drawn = Drawn([-(-n // stride) for n in lengths], stride, method.task.dim)
    ours = partial(drawn.scored_by, method, options.precision)

    @torch.inference_mode()
    def literal(names: tuple[str, ...]) -> list[torch.Tensor]:
        with arithmetic("fp32", method.task.device):
            kept = (torch.from_numpy(drawn.kept[name]) for name in names)
            return [score(rows.to(method.task.device)).cpu() for rows in kept]

    def difference() -> float:
        ours = drawn.scored_by(method, "fp32")[0].anomaly
        return off(ours, literal(drawn.names[:1])[0].numpy())

    return Work(ours, partial(literal, drawn.names), partial(floor_of, ours, options), difference)


def long_video(name: str, options: Options, folder: Path) -> Work:
    """Rows of 24 hours of video, scored as they come, as ``vadbench score`` does after encoding them.

    A row depends on its chunk of 256 with VadCLIP, which scores 4,096 rows at once. With AnomalyCLIP it depends on the
    whole video, which is too long to hold: windows of 131,072 rows are scored apart, and the record says so. The peak
    of memory must not grow from a tenth of the video to all of it.
    """
    method = built(name, options).eval()
    stride, dim = method.config.rows.stride, method.task.dim
    clip = load_clip(_sizes(options).clip)
    made = clip_fingerprint(clip, stride=stride, pooling="mean")
    scorer = Scorer(name, method, clip, made, options.precision, fixed_threshold(0.5, ""), "")
    frames = 50_000 if options.quick else DAY
    bits = torch.randn(64, 1, BATCH // stride, dim).numpy()

    def streamed(rows: int) -> Iterator[FeatureRows]:
        for i in range(-(-rows // bits.shape[2])):
            yield bits[i % len(bits)]

    def score(frames: int) -> int:
        return sum(
            len(scores.anomaly) for _, scores in score_rows(streamed(frames // stride), scorer, False, Stopwatch())
        )

    peaks: list[tuple[float, float]] = []

    def tenth() -> None:
        score(frames // 10)
        peaks.append((peak_gb(), gpu_peak_gb()))

    def facts() -> dict[str, float]:
        growth = max(now - before for now, before in zip((peak_gb(), gpu_peak_gb()), peaks[0], strict=True))
        assert growth < GROWTH_GB, f"{name}: a day of video takes {growth:.2f} GB more than a tenth of it"
        return {"frames": frames, "growth_gb": growth}

    def floor() -> float:
        # Ten times a tenth: counted operation by operation, a day would take twice as long.
        return 10 * operations(tenth) / operations_rate(options.device, options.precision, options.quick)

    return Work(partial(score, frames), None, floor, before=tenth, facts=facts)
