"""The features of a finished run, extracted from a user's videos: its CLIP and the fingerprint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from vadbench.base.errors import CheckpointError
from vadbench.base.method_config import MethodConfig
from vadbench.clip import CROPS, Clip
from vadbench.features.crops import CENTER, CropRule
from vadbench.features.fingerprint import Fingerprint, clip_fingerprint
from vadbench.harness.checkpoints import CheckpointInfo
from vadbench.harness.clips import open_clip_of
from vadbench.records.folders import read_record
from vadbench.records.record import RESULT


def clip_of_run(
    info: CheckpointInfo, run: Path, clip_model: str | None, clip_weights: str | None, device: torch.device
) -> Clip:
    """Return the CLIP of a run, under the name that the user gives where the recorded one does not lead to it.

    Raises:
        CheckpointError: the run had none, or another is found.
    """
    if info.clip is None:
        raise CheckpointError(
            f"the features of the run in {run} are not of a CLIP, so they cannot be made here; train on CLIP's features"
        )
    return open_clip_of(info.clip, run, clip_model, clip_weights, lambda: device)


def features_of_run(info: CheckpointInfo, run: Path, config: MethodConfig, clip: Clip, notes: list[str]) -> Fingerprint:
    """Return the fingerprint of the features to make, of the crops that the run scored.

    Args:
        info: of the run's training.
        run: its folder.
        config: its settings.
        clip: makes them.
        notes: grows by what a reader of the scores must know.

    Raises:
        CheckpointError: they cannot be made here.
    """
    trained = Fingerprint.from_dict(info.fingerprint)
    if trained.regions:
        raise CheckpointError(
            f"the run in {run} was trained on regions ({trained.regions}), which cannot be found in these videos; train"
            " on whole frames"
        )
    if not trained.known:
        notes.append(
            "the run's features are of unknown origin; those of these videos are extracted by vadbench from the center"
            " crop, and may differ from them more than the method tolerates"
        )
        return clip_fingerprint(clip, stride=config.rows.stride, pooling=config.rows.pooling)
    if trained.pooling == "unknown" or trained.arithmetic == "unknown" or not set(trained.crops) <= set(CROPS):
        raise CheckpointError(
            f"the features of the run in {run} cannot be made here, as their origin is partly unknown; train on"
            " features made by extract"
        )
    made = clip_fingerprint(
        clip,
        stride=trained.stride,
        pooling=trained.pooling,
        dtype=trained.dtype,
        crops=trained.crops,
        arithmetic=trained.arithmetic,
    )
    if differing := trained.differences(made):
        raise CheckpointError(f"the features of the run in {run} cannot be made here: {'; '.join(differing)}")
    return replace(made, crops=_scored(trained.crops, run))


def _scored(crops: tuple[str, ...], run: Path) -> tuple[str, ...]:
    """Return the crops that the run scored."""
    rule = CropRule(CENTER)
    if (run / RESULT).is_file():
        record = read_record(run)
        rule = CropRule(str(record.protocol.get("crop", CENTER)), "protocol.crop" in record.changed)
    if chosen := rule.choose(crops):
        return chosen
    raise CheckpointError(
        f"the run in {run} scored crop {rule.wanted}, its features have {', '.join(crops)}; run it again"
    )
