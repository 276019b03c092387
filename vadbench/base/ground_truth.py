"""Videos and what is annotated in them: frames are 0-based and intervals half-open everywhere inside vadbench.

A ground truth that takes the place of a data set's own is a :class:`Truth`: a variant that a data set knows by name, or
a file. Whichever it is, it is laid on the data set's videos by name, never by their position in a list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

from vadbench.base.classes import ClassTable, plain_spelling
from vadbench.base.errors import DataError, UnknownNameError, listed, one_line

OVERRUN = 2
"""Frames that an interval may end past its video: five of UCF-Crime's and one of XD-Violence's do, by no more than this
(our decision: further, the annotation and the frame counts do not belong together)."""
_WHOLE = 1e-3
"""How far a share of a length may be from a whole frame: further, it is a share of another length."""


@dataclass(frozen=True)
class Segment:
    """An annotated anomaly: class name, first frame, one past the last frame (0-based, half-open)."""

    label: str
    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise DataError(f"segment of '{self.label}' must have 0 <= start < end, found [{self.start}, {self.end})")


@dataclass(frozen=True)
class Video:
    """A clip of a data set.

    Args:
        name: unique within the data set; the key of features, ground truth and scores.
        labels: video-level class names, the normal class's name for a normal video.
        path: the video file or the folder of frames; ``None`` where only features exist.
        frames: the true frame count where the data set states it; otherwise the decoder's count is used.
        segments: annotated anomalies, of the test split and, where it is annotated, of the validation split; never
            shown to a method.
        binary: the anomalous frames as merged half-open runs, where the data set annotates them apart from its classes
            and the two differ; ``()`` means none. ``None`` where they are the union of the segments.
        scenario: where the video was filmed, such as ``parkinglot``, where the data set says so; results are broken
            down by it.
        aliases: other names that its file and its features circulate under.
    """

    name: str
    labels: tuple[str, ...]
    path: Path | None = None
    frames: int | None = None
    segments: tuple[Segment, ...] = ()
    binary: tuple[tuple[int, int], ...] | None = None
    scenario: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """The anomalous frames, whatever their class, as ascending half-open runs."""
        return merged(self.segments) if self.binary is None else self.binary


def merged(segments: Iterable[Segment]) -> tuple[tuple[int, int], ...]:
    """Return the frames that segments cover, as ascending half-open runs that neither overlap nor touch.

    >>> merged([Segment("Riot", 5, 9), Segment("Riot", 0, 3), Segment("Abuse", 3, 4)])
    ((0, 4), (5, 9))
    """
    union: list[tuple[int, int]] = []
    for start, end in sorted((s.start, s.end) for s in segments):
        if union and start <= union[-1][1]:
            union[-1] = (union[-1][0], max(union[-1][1], end))
        else:
            union.append((start, end))
    return tuple(union)


@dataclass(frozen=True)
class IntervalReading:
    """The meaning of the two numbers of an annotated interval.

    Args:
        first, last: numbers added to them to make the interval half-open and 0-based.
        of_id_lists: they count from the first frame that AnomalyCLIP's lists state, which are then read before others.
        final: number added, beyond that, to the second one of a video's last interval.
        row: where it is not 0, a video has as many frames as its rows of this number have, the last one whole: the
            second number is at most that, and the interval is cut there.
    """

    first: int
    last: int
    of_id_lists: bool = False
    final: int = 0
    row: int = 0


HALF_OPEN = IntervalReading(0, 0)


@dataclass(frozen=True)
class LengthShare:
    """An interval of a class, or of an unnamed one, given in fractions of the frames of its video."""

    label: str | None
    first: float
    last: float


@dataclass(frozen=True)
class VideoTruth:
    """The anomalies of one video in a :class:`Truth`; without any, the video is normal.

    Args:
        segments: class name (``None`` where none is given), first frame, one past the last frame.
        frames: the video's number of frames, where the truth states it.
        where: file and place in it, for messages.
        shares: intervals that become segments once the number of frames is known; ``segments`` is empty then.
    """

    segments: tuple[tuple[str | None, int, int], ...] = ()
    frames: int | None = None
    where: str = ""
    shares: tuple[LengthShare, ...] = ()

    def at(self, frames: int | None, reading: IntervalReading) -> VideoTruth:
        """Return the truth with its shares as segments.

        Args:
            frames: of the video; ``None`` where they are not known.
            reading: what the numbers of the data set mean that shares were made from.

        Raises:
            DataError: the number of frames is unknown, or a share is not one of that number.
        """
        if not self.shares:
            return self
        total = self.frames or frames
        if total is None:
            raise DataError(
                f"{self.where}: intervals are fractions of the video's length, which is unknown; add frame"
                " counts, as the data set's files say (vadbench show dataset NAME)"
            )
        segments: list[tuple[str | None, int, int]] = []
        for i, share in enumerate(self.shares):
            first, last = (_frame(number, total, self.where) for number in (share.first, share.last))
            final = reading.final if i == len(self.shares) - 1 else 0
            start, end = max(first + reading.first, 0), last + reading.last + final
            if start >= end:
                raise DataError(
                    f"{self.where}: the span [{share.first:g}, {share.last:g}] of {total} frames is read as"
                    f" [{start}, {end}), which has no frame; correct it"
                )
            segments.append((share.label, start, end))
        return replace(self, segments=tuple(segments), frames=total, shares=())


def _frame(share: float, frames: int, where: str) -> int:
    """Return the frame that a share of a length stands for. Truncation would make one in thirty a frame too low."""
    number = share * frames
    if abs(number - round(number)) > _WHOLE:
        raise DataError(
            f"{where}: {share:g} of {frames} frames is frame {number:.3f}, which is no whole one; the fractions were"
            " made for another number of frames, which a list of frame counts can state"
        )
    return round(number)


@dataclass(frozen=True)
class TruthVariant:
    """A ground truth of a data set beside its own.

    Args:
        about: what it is, in one line, with the file that it needs.
        tail: the one rule of a protocol, of that name, under which it means something; empty for any.
    """

    about: str
    tail: Literal["", "hold", "zero", "rows", "rows-prolonged"] = ""


@dataclass(frozen=True)
class Truth:
    """A ground truth that takes the place of a data set's own.

    Args:
        name: of the variant, or of a file with a digest of its content; two names are never ranked together.
        videos: by name; videos that no data set has may be among them.
        notes: remarks for readers of the results.
    """

    name: str
    videos: Mapping[str, VideoTruth]
    notes: Sequence[str] = field(default=())


class Laid(NamedTuple):
    """Videos with another ground truth, remarks on it, and whether it gives the class of every segment."""

    videos: list[Video]
    notes: list[str]
    by_class: bool


def under(
    truth: Truth, videos: Sequence[Video], classes: ClassTable, reading: IntervalReading = HALF_OPEN, whole: bool = True
) -> Laid:
    """Return videos with another ground truth.

    A video is normal where the truth has no segment of it. A segment without a class is of the video's own one, if it
    has a single one; with several the segment counts as anomalous, whatever its class. So does a segment that was given
    in fractions: files of them name one class a video.

    Args:
        truth: the ground truth.
        videos: of one split.
        classes: the class table of the data set.
        reading: as in :meth:`VideoTruth.at`.
        whole: it must have all of them; otherwise those that it lacks are left out, but not all.

    Raises:
        DataError: the truth lacks a video, or one does not belong to its video.
    """
    lacking = [v.name for v in videos if v.name not in truth.videos]
    if lacking and (whole or len(lacking) == len(videos)):
        raise DataError(
            f"the ground truth {truth.name} lacks {len(lacking)} of {len(videos)} videos, the first is {lacking[0]!r};"
            " add them (a video without segments is normal), or go on without them with --allow-incomplete"
        )
    laid = Laid([], list(truth.notes), True)
    for video in (v for v in videos if v.name in truth.videos):
        own = truth.videos[video.name]
        placed = own.at(_frames(own, video), reading)
        if own.shares and len(classes.ids(video.labels)) > 1:
            placed = replace(placed, segments=tuple((None, start, end) for _, start, end in placed.segments))
        there, note = _under(placed, video, classes)
        laid.videos.append(there)
        laid.notes.extend([note] if note else [])
    # Every segment is in one of the runs, so the two differ only where segments had no class.
    return laid._replace(by_class=all(v.binary is None for v in laid.videos))


def _frames(own: VideoTruth, video: Video) -> int | None:
    """Return the number of frames of a video: that of the truth, which was made for it, else the data set's own."""
    if None not in (own.frames, video.frames) and abs((own.frames or 0) - (video.frames or 0)) > OVERRUN:
        raise DataError(
            f"{own.where}: {video.name!r} has {own.frames} frames there, {video.frames} by the data set; the two do not"
            " belong together"
        )
    return video.frames if own.frames is None else own.frames


def _under(own: VideoTruth, video: Video, classes: ClassTable) -> tuple[Video, str]:
    """Return a video with its ground truth, and a remark on a segment that is cut."""
    frames, note = _frames(own, video), ""
    if not own.segments:
        return replace(video, labels=(classes.names[classes.normal],), frames=frames, segments=(), binary=None), note
    last = max(end for _, _, end in own.segments)
    # Intervals read as 1-based in one place and as 0-based in another end one frame further.
    most = OVERRUN + 1
    if frames is not None and (max(start for _, start, _ in own.segments) >= frames or last > frames + most):
        raise DataError(
            f"{own.where}: a segment of {video.name!r} ends at frame {last}, past its {frames} frames; the ground truth"
            " and the video do not belong together"
        )
    if frames is not None and last > frames:
        note = f"{own.where}: a segment of {video.name!r} ends at frame {last}, past its {frames} frames; cut there"
    before = tuple(name for name in video.labels if classes.id(name) != classes.normal)
    segments, every = [], []
    for label, start, stated in own.segments:
        end = stated if frames is None else min(stated, frames)
        name = _class_name(label, classes, own.where) or (before[0] if len(before) == 1 else None)
        if name is None and not before:
            raise DataError(
                f"{own.where}: a segment of {video.name!r} has no class, and the video is normal by the data set; name"
                f" one of its classes: {listed([classes.names[i] for i in classes.abnormal], 5)}"
            )
        every.append(Segment(name or "", start, end))
        segments += every[-1:] if name is not None else []
    labels = tuple(dict.fromkeys(s.label for s in segments)) or before
    binary = None if merged(segments) == merged(every) else merged(every)
    return replace(video, labels=labels, frames=frames, segments=tuple(segments), binary=binary), note


def _class_name(label: str | None, classes: ClassTable, where: str) -> str | None:
    if label is None:
        return None
    spellings = {plain_spelling(n): i for i, c in enumerate(classes.classes) for n in (c.words, *c.aliases, c.name)}
    if (found := spellings.get(plain_spelling(label))) == classes.normal:
        raise DataError(f"{where}: a segment is of class {label!r}, that of videos without any; correct it")
    if found is not None:
        return classes.names[found]
    unknown = UnknownNameError("class", label, [classes.names[i] for i in classes.abnormal])
    raise DataError(f"{where}: {one_line(unknown)}")
