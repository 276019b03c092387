"""Which crops of a video are scored and trained on, and how the scores of several become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from vadbench.base.errors import FeatureError
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.source import FeatureSource

CENTER = "center"
Joining = Literal["mean", "max"]


def joining(fingerprint: Fingerprint) -> Joining:
    """What the scores of a video's crops become: their mean, or of regions their maximum."""
    return "max" if fingerprint.regions else "mean"


def choose_crops(crops: Sequence[str], wanted: str, asked: bool) -> tuple[str, ...]:
    """The crops of a video that are scored; none where it lacks the one that is wanted.

    Args:
        crops: those the video has.
        wanted: a crop's name, its number in the order of ``crops``, ``mean`` for all of them, or ``max`` for all
            regions.
        asked: whether the user named it. A number counts for crops that have names only then: what is crop 5 of ten for
            authors says nothing about crops that others made. Otherwise the center crop, or a single one whatever it is
            called, does as well.
    """
    if wanted in ("mean", MAXIMUM):
        return tuple(crops)
    if wanted in crops:
        return (wanted,)
    if asked:
        named = not any(crop.isdecimal() for crop in crops)
        return (crops[int(wanted)],) if named and wanted.isdecimal() and int(wanted) < len(crops) else ()
    if CENTER in crops:
        return (CENTER,)
    return tuple(crops) if len(crops) == 1 else ()


def scored_crops(
    features: FeatureSource, names: Sequence[str], wanted: str, asked: bool, notes: list[str]
) -> dict[str, Sequence[str]]:
    """The crops of each test video that are scored: those of :func:`choose_crops`, of regions all.

    Args:
        features: where the crops are.
        names: of the test videos.
        wanted: as for :func:`choose_crops`.
        asked: as for :func:`choose_crops`.
        notes: grows by what a reader of the results must know.

    Raises:
        FeatureError: a video lacks the crop, two videos differ in their crops and their mean is wanted, or regions are
            to be scored otherwise than by their maximum, or anything else by it.
    """
    regions = features.fingerprint.regions is not None
    if asked and regions != (wanted == MAXIMUM):
        kind, rule = ("regions", "their maximum") if regions else ("whole frames", "a crop or the mean of all")
        raise FeatureError(
            f"features in {features.folder} are of {kind}, which are scored by {rule}, found --crop {wanted}; leave"
            " --crop out"
        )
    if regions:
        notes.append("scores are the maximum over regions")
        return {name: features.crops(name) for name in names}
    chosen: dict[str, Sequence[str]] = {}
    instead: dict[tuple[str, ...], str] = {}
    for name in names:
        crops = tuple(features.crops(name))
        chosen[name] = choose_crops(crops, wanted, asked)
        if not chosen[name]:
            raise FeatureError(
                f"no crop '{wanted}' of {name!r} in {features.folder}, found {', '.join(crops)}; name one of them with"
                " --crop, or --crop mean"
            )
        if wanted == "mean" and crops != chosen[names[0]]:
            raise FeatureError(
                f"the mean of crops needs the same crops of every video: {names[0]!r} has"
                f" {', '.join(chosen[names[0]])}, {name!r} has {', '.join(crops)}; name one with --crop"
            )
        if wanted not in ("mean", *crops):
            instead[crops] = chosen[name][0]
    if instead:
        notes.append(_instead(instead, wanted, asked))
    return chosen


def _instead(instead: Mapping[tuple[str, ...], str], wanted: str, asked: bool) -> str:
    """Which crop was scored in place of the one that features lack, by the crops that they have."""
    scored = ", ".join(f"'{crop}'" for crop in sorted(set(instead.values())))
    if asked:
        return f"crop number {wanted} of these features is {scored}"
    if all(len(crops) == 1 for crops in instead):
        return f"the protocol asks for crop {wanted}; these features only have {scored}, which was scored instead"
    return f"the protocol asks for crop {wanted}, which these features do not name; {scored} was scored instead"


def crops_like_test(features: FeatureSource, name: str, wanted: str, asked: bool) -> Sequence[str]:
    """The crops of a training video that are scored as test videos are: for a threshold, or where it is held out.

    Some publish fewer crops of training videos than of test videos: one that lacks the crop is scored by the crop that
    it is trained on.
    """
    crops = features.crops(name)
    if features.fingerprint.regions:
        return crops
    return choose_crops(crops, wanted, asked) or training_crops(features, name, "one")


def training_crops(features: FeatureSource, name: str, which: str) -> Sequence[str]:
    """The crops of a training video that are samples: ``all``, or ``one``, the center crop (else the first).

    The first of regions is the most confident one of each frame.
    """
    crops = features.crops(name)
    return crops if which == "all" else (CENTER if CENTER in crops else crops[0],)


def training_notes(fingerprint: Fingerprint, which: str) -> list[str]:
    """What a reader of the results of a trained method must know about the crops it was trained on."""
    if not fingerprint.regions or which == "all":
        return []
    return [
        "trained on the most confident region of each frame and scored on all of them; --set rows.crops=all trains on"
        " all of them"
    ]


MAXIMUM = "max"
"""The crop of a protocol that scores regions: a row's score is the highest of those of all regions."""
