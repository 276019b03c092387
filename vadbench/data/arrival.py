"""Frames that never arrived: gaps in the times of a video's frames and early ends, where they are damage.

A gap alone is none: cameras that record at events, and encoders that drop frames, leave gaps of any length. It is one
where the structure of the file is broken as well, which is looked at only then.
"""

from __future__ import annotations

from pathlib import Path

from av.container import InputContainer
from av.video.stream import VideoStream

from vadbench.data.containers import MP4, TS, decoded_count, open_video, stated_end
from vadbench.data.structure import mp4_states_length, structural_break

_WITHOUT_SIZE = frozenset({"flv"})
"""Kinds of containers that state how long they last and not how large they are."""
_EARLY_SECONDS = 1.0
"""What a file without a stated size may lack of its stated length: others round, or count a sound track's rest."""


class Arrival:
    """Watch over the frames of a video, which are shown to it in the order of presentation.

    Args:
        path: the video file.
        container: the same, open.
        stream: its video.
    """

    def __init__(self, path: Path, container: InputContainer, stream: VideoStream) -> None:
        self._path, self._kind = path, container.format.name
        self._base, rate = float(stream.time_base or 0), float(stream.average_rate or 0)
        self._step = 1 / (rate * self._base) if rate and self._base else 0.0
        self._stated, self._declared = stated_end(container, stream), decoded_count(stream)
        self._first: int | None = None
        self._last, self._next = 0, 0.0
        self.count = 0
        """Frames seen so far."""
        self._broken: str | None = None
        self._looked = False

    @property
    def place(self) -> str:
        """The frame that comes next and when it is due, in words."""
        if self._first is None or not self._base:
            return f"frame {self.count}"
        return f"frame {self.count}, {(self._next - self._first) * self._base:.2f} s"

    def lost_before(self, stamp: int | None, duration: int | None) -> str | None:
        """Return why frames are lost between a frame and the one shown before it, in words; ``None`` if none is.

        Args:
            stamp: time at which it is shown, in units of the stream, where that is known.
            duration: for how long, likewise.
        """
        if stamp is None:
            self.count += 1
            return None
        step = duration or self._step
        if self._first is None:
            self._first = stamp
        elif stamp - self._next > step / 2 and (broken := self._break()) is not None:
            return f"no frames between {self._seconds(self._last)} and {self._seconds(stamp)} s, and {broken}"
        self._last, self._next = stamp, stamp + step
        self.count += 1
        return None

    def lost_at_end(self) -> str | None:
        """Return why frames are lost behind the last one that was shown, in words; ``None`` if none is."""
        end = self._next * self._base
        early = self._stated is not None and self._stated - end > self._step * self._base / 2
        # Of a fragmented file, FFmpeg adds up the fragments that it finds; some kinds state no length, or not if cut.
        # Junk between the packets of a broadcast costs no frame by itself.
        untold = self._kind != TS and (self._stated is None or (self._kind == MP4 and self._declared is None))
        fewer = (self._declared or 0) > self.count
        if not (early or untold or fewer):
            return None
        if (broken := self._break()) is not None:
            came = f"{self.count} of {self._declared} stated frames came" if fewer else "it ends here"
            return f"{came}, and {broken}"
        if self._stated is not None and self._kind in _WITHOUT_SIZE and self._stated - end > _EARLY_SECONDS:
            reached = _last_end(self._path)
            if self._stated - reached > _EARLY_SECONDS:
                return f"it ends at {reached:.2f} s on its clock and states {self._stated:.2f} s"
        return None

    def _break(self) -> str | None:
        if not self._looked:
            self._broken, self._looked = structural_break(self._path, self._kind), True
        return self._broken

    def _seconds(self, stamp: float) -> str:
        return f"{(stamp - (self._first or 0)) * self._base:.2f}"


def note_on_length(path: Path, container: InputContainer, stream: VideoStream) -> str | None:
    """Return a note on a file that states no length, in words; ``None`` if it states one."""
    kind, stated = container.format.name, stated_end(container, stream)
    if kind == MP4 and not stream.frames and not mp4_states_length(path):
        return "a fragmented mp4 file that states no length: an early end cannot be seen"
    if stated is not None:
        return None
    if container.duration is None and stream.start_time is None:
        return f"of a kind ({kind}) without times and a stated length: an early end and lost frames cannot be seen"
    return f"of a kind ({kind}) that states no length: an early end cannot be seen"


def _last_end(path: Path) -> float:
    """Return the second at which the last packet of any stream ends."""
    with open_video(path) as container:
        return max(
            (float((p.pts + (p.duration or 0)) * p.time_base) for p in container.demux() if p.pts is not None),
            default=0.0,
        )
