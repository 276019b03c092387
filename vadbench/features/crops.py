"""Choice of the crops of a video that are scored and trained on, and of how the scores of several become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vadbench.base.errors import FeatureError
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.source import FeatureSource

CENTER = "center"
MEAN = "mean"
"""The crop of a protocol that scores all crops: a row's score is the mean of theirs."""
MAXIMUM = "max"
"""The crop of a protocol that scores regions: a row's score is the highest of those of all regions."""
Joining = Literal["mean", "max"]


def joining(fingerprint: Fingerprint) -> Joining:
    """Return how the scores of a video's crops are joined: by their mean, those of regions by their maximum."""
    return "max" if fingerprint.regions else "mean"


@dataclass(frozen=True)
class CropRule:
    """The rule that chooses the crops of a video that an evaluation scores.

    Args:
        wanted: a crop's name, its number in the order of the crops, :data:`MEAN` for all of them, or :data:`MAXIMUM`
            for all regions.
        asked: whether the user named it. Only then does a number count for crops that have names, because crop 5 of an
            author's ten says nothing about crops that others made. Otherwise the center crop, or a single one of any
            name, is scored instead.
    """

    wanted: str
    asked: bool = False

    def choose(self, crops: Sequence[str]) -> tuple[str, ...]:
        """Return those crops of a video that are scored; empty where it lacks the one that is wanted."""
        if self.wanted in (MEAN, MAXIMUM):
            return tuple(crops)
        if self.wanted in crops:
            return (self.wanted,)
        if self.asked:
            numbered = self.wanted.isdecimal() and not any(crop.isdecimal() for crop in crops)
            return (crops[int(self.wanted)],) if numbered and int(self.wanted) < len(crops) else ()
        if CENTER in crops:
            return (CENTER,)
        return tuple(crops) if len(crops) == 1 else ()

    def of_test(self, features: FeatureSource, names: Sequence[str]) -> tuple[dict[str, tuple[str, ...]], list[str]]:
        """Return the crops of each test video that are scored (from :meth:`choose`, or all of regions), and notes.

        Raises:
            FeatureError: a video lacks the crop, two videos differ in their crops and their mean is wanted, or regions
                are to be scored otherwise than by their maximum, or anything else by it.
        """
        regions = features.fingerprint.regions is not None
        if self.asked and regions != (self.wanted == MAXIMUM):
            kind, rule = ("regions", "their maximum") if regions else ("whole frames", "a crop or the mean of all")
            raise FeatureError(
                f"features in {features.folder} are of {kind}, which are scored by {rule}, found --crop {self.wanted};"
                " leave --crop out"
            )
        there = {name: tuple(features.crops(name)) for name in names}
        if regions:
            return there, ["scores are the maximum over regions"]
        chosen = {name: self._scored(features.folder, name, crops) for name, crops in there.items()}
        if self.wanted == MEAN:
            _require_alike(chosen)
            return chosen, []
        instead = {crops: chosen[name][0] for name, crops in there.items() if self.wanted not in crops}
        return chosen, [self._instead(instead)] if instead else []

    def like_test(self, features: FeatureSource, name: str) -> Sequence[str]:
        """Return the crops of a training video to score as of a test video: for a threshold, or if it is held out.

        Some feature sets have fewer crops of training videos than of test videos: a video that lacks the crop is scored
        by the crop that it is trained on.
        """
        crops = features.crops(name)
        return crops if features.fingerprint.regions else self.choose(crops) or training_crops(features, name, "one")

    def _scored(self, folder: Path, name: str, crops: Sequence[str]) -> tuple[str, ...]:
        if chosen := self.choose(crops):
            return chosen
        raise FeatureError(
            f"no crop '{self.wanted}' of {name!r} in {folder}, found {', '.join(crops)}; name one of them with --crop,"
            " or --crop mean"
        )

    def _instead(self, instead: Mapping[tuple[str, ...], str]) -> str:
        """Return the note on the crop that was scored in place of the one that features lack."""
        scored = ", ".join(f"'{crop}'" for crop in sorted(set(instead.values())))
        if self.asked:
            return f"crop number {self.wanted} of these features is {scored}"
        why = f"the protocol asks for crop {self.wanted}"
        if all(len(crops) == 1 for crops in instead):
            return f"{why}; these features only have {scored}, which was scored instead"
        return f"{why}, which these features do not name; {scored} was scored instead"


def _require_alike(crops: Mapping[str, Sequence[str]]) -> None:
    """Raise if two videos differ in their crops, whose mean is to be scored."""
    first = next(iter(crops), "")
    for name, own in crops.items():
        if own != crops[first]:
            raise FeatureError(
                f"the mean of crops needs the same crops of every video: {first!r} has {', '.join(crops[first])},"
                f" {name!r} has {', '.join(own)}; name one with --crop"
            )


def require_bags(features: FeatureSource, bags: Mapping[str, Sequence[str]]) -> None:
    """Raise if the crops of videos cannot be given to a method as bags.

    Args:
        features: of the videos.
        bags: the crops of each.

    Raises:
        FeatureError: two bags differ in their number of crops, or they are regions, of which each frame has others.
    """
    if features.fingerprint.regions is not None:
        raise FeatureError(
            f"features in {features.folder} are of regions, which differ from frame to frame and make no bag of crops;"
            " set rows.crops=one or all, or give features of whole frames"
        )
    first = next(iter(bags), "")
    for name, crops in bags.items():
        if len(crops) != len(bags[first]):
            raise FeatureError(
                f"a bag needs as many crops of every video: {first!r} has {len(bags[first])}, {name!r} has"
                f" {len(crops)}; name one crop with --crop"
            )


def require_single(features: FeatureSource, crops: Mapping[str, Sequence[str]]) -> None:
    """Raise if several crops of a video are scored, which a method that scores videos in company is not given.

    Args:
        features: of the videos.
        crops: those of each video that are scored.

    Raises:
        FeatureError: a video has several.
    """
    for name, own in crops.items():
        if len(own) > 1:
            raise FeatureError(
                f"a method that scores videos in company is given one crop of each, found {len(own)} of {name!r} in"
                f" {features.folder}; give features of one crop, or name one with --crop"
            )


def training_crops(features: FeatureSource, name: str, which: str) -> Sequence[str]:
    """Return the crops of a training video that are samples: ``all``, or ``one``, the center crop (else the first).

    Of regions the first is the most confident one of each frame.
    """
    crops = features.crops(name)
    return crops if which == "all" else (CENTER if CENTER in crops else crops[0],)


def training_notes(fingerprint: Fingerprint, which: str) -> list[str]:
    """Return the notes on the crops that a method was trained on, for readers of its results."""
    if not fingerprint.regions or which == "all":
        return []
    return [
        "trained on the most confident region of each frame and scored on all of them; --set rows.crops=all trains on"
        " all of them"
    ]
