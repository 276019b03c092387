"""The CLIP of a run: the one that options name, or that a finished training used, and what results must say of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vadbench.base.errors import CheckpointError
from vadbench.clip import SMALL, Clip, ClipSource
from vadbench.clip.memory import remembered_clip
from vadbench.clip.origin import is_file, require_named
from vadbench.harness.checkpoints import ClipEntry
from vadbench.records.record import weights_name

if TYPE_CHECKING:
    import torch

SMALL_CLIP_NOTE = (
    "features come from the small CLIP embedded in vadbench, trained on rendered scenes: the figures compare methods"
    " on this data, they say nothing about the published encoders"
)

SMALL_TEXT_NOTE = (
    "text of the small CLIP: texts are encoded by the one embedded in vadbench, trained on captions of rendered scenes;"
    " the figures say nothing about the published encoders"
)


def clip_notes(source: ClipSource) -> list[str]:
    """Return the notes on features made by CLIPs that no paper uses."""
    if source.weights.startswith("random:"):
        return ["features come from an untrained CLIP: this is a control, not a result"]
    return [SMALL_CLIP_NOTE] if _is_small(source) else []


def text_notes(source: ClipSource) -> list[str]:
    """Return the notes where a CLIP that no paper uses encodes only texts."""
    if source.weights.startswith("random:"):
        return ["text of an untrained CLIP: this is a control, not a result"]
    return [SMALL_TEXT_NOTE] if _is_small(source) else []


def clip_facts(clip: Clip) -> dict[str, str]:
    """Return a CLIP as records name it: weights from a file by the file's name, and by their hash."""
    return {
        "model": clip.source.model,
        "weights": weights_name(clip.source.weights),
        "sha256": clip.weights_sha256,
    }


def _is_small(source: ClipSource) -> bool:
    return source.model == SMALL and not source.weights


def clip_source(model: str | None, weights: str | None) -> ClipSource:
    """Return the CLIP that ``--clip`` and ``--clip-weights`` name; the embedded small one where neither does.

    Raises:
        UnknownNameError, ClipError: the model or the file of weights is not there.
    """
    source = ClipSource("" if model is None and weights is not None else model or SMALL, weights or "")
    require_named(source)
    return source


def open_clip(source: ClipSource, device: Callable[[], torch.device]) -> Clip:
    """Return a CLIP: one that was loaded before is not loaded again, on that device, until its towers are used."""

    def load() -> Clip:
        from vadbench.clip import load_clip

        return load_clip(source, device())

    return remembered_clip(source, load)


def open_clip_of(
    made: ClipEntry, run: Path, model: str | None, weights: str | None, device: Callable[[], torch.device]
) -> Clip:
    """Return the CLIP of a finished training, which records its hash, as :func:`open_clip` does.

    Args:
        made: the record of it.
        run: the training's folder.
        model: the user's name for the CLIP; the recorded name where neither this nor ``weights`` is given.
        weights: its weights; a record names those from a file by the file's name alone.
        device: returns where to compute.

    Raises:
        CheckpointError: it is another CLIP, or it must be named.
    """
    said = f"the run in {run} used the CLIP {made.model} {made.weights} with sha256 {made.sha256[:12]}"
    if model == made.model and weights is None:
        model = None
    source = ClipSource(made.model, made.weights) if model is None else clip_source(model, weights)
    if model not in (None, SMALL) and weights is None:
        raise CheckpointError(
            f"{said}, which it brings along: leave out --clip {model}; a copy of it under another name needs"
            " --clip-weights as well"
        )
    if model is None and weights is not None:
        source = ClipSource(made.model, weights)
    elif model is None and is_file(source.weights) and not Path(source.weights).is_file():
        raise CheckpointError(f"{said}, a file that is not here; name it with --clip-weights")
    clip = open_clip(source, device)
    if clip.weights_sha256 != made.sha256:
        raise CheckpointError(
            f"{said}, found sha256 {clip.weights_sha256[:12]}; name it with --clip and --clip-weights"
        )
    return clip
