"""Everything vadbench raises on purpose.

    VadbenchError
    +-- UnknownNameError     a name that is not registered (says which were close)
    +-- ConfigError          a setting that does not exist or has the wrong type or value
    |   +-- MisfitError      a method that cannot run on a data set with these settings
    +-- PluginError          a plugin that cannot be loaded or does not keep its contract
    +-- DataError            files of a data set: missing, misplaced, contradictory
    |   +-- MediaError       a video that cannot be decoded
    |   +-- FeatureError     features that are absent, damaged or made by another encoder
    |       +-- NotExtractedError  features that are not made yet, where nothing may be made
    +-- ClipError            CLIP weights that are absent, unsafe or of another architecture
    +-- CheckpointError      a checkpoint that does not fit
    +-- DeviceError          a device that was asked for and is not there
    |   +-- DeviceFailedError  a GPU that failed under this process, which can compute nothing more on it
    +-- DecodingError        a process that decodes videos and ended
    +-- MemoryShortageError  too little memory, of a GPU or of the machine
    +-- TrainingError        a training that cannot go on (a loss that is not finite)
    +-- StoppedError         a run that its method stopped, and that can go on later
    +-- RunError             a run folder that is missing, locked, damaged or of another version
    +-- StorageError         the disk is full or may not be written
    +-- TrackingError        MLflow cannot be reached; the run itself is complete

Every message says what was expected, what was found and what to do. The command line prints it on one line and exits
with status 2; ``--debug`` shows the traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails


NAMES_SHOWN = 30
"""A message lists all names that there are up to so many, and otherwise the first few."""


class VadbenchError(Exception):
    """Base of all errors that a user can cause and fix."""


class UnknownNameError(VadbenchError):
    """A name that is not registered.

    Args:
        kind: what the name stands for, such as ``"method"``.
        name: the name as given.
        known: the names that exist; close ones are offered.
        command: what lists them all.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], command: str = "") -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        super().__init__(f"unknown {kind} '{name}'{did_you_mean(name, self.known, command)}")


class ConfigError(VadbenchError):
    """A setting that does not exist, or whose value cannot be used."""


class MisfitError(ConfigError):
    """A method that cannot run on a data set with its settings, whatever the machine: a grid calls that impossible."""


class PluginError(VadbenchError):
    """A plugin that cannot be loaded or breaks its contract."""


class DataError(VadbenchError):
    """A data set whose files are missing, misplaced or contradict each other."""


class MediaError(DataError):
    """A video that cannot be decoded; names the file and, where known, the frame."""


class FeatureError(DataError):
    """Features that are absent, damaged, of the wrong width or of another fingerprint."""


class NotExtractedError(FeatureError):
    """Features that are not in the cache yet, where nothing is to be made, as in a dry run."""


class ClipError(VadbenchError):
    """CLIP weights that are absent, unsafe to read or of another architecture."""


class CheckpointError(VadbenchError):
    """A checkpoint that is damaged or does not fit the method, classes or features."""


class DeviceError(VadbenchError):
    """A device that was asked for and is not available."""


class DeviceFailedError(DeviceError):
    """A GPU that failed in such a way that this process can compute nothing more on it; another one may.

    So it is after a device-side assert, an illegal address or an uncorrectable error of the GPU's memory.
    """


class DecodingError(VadbenchError):
    """A process that decoded videos and ended before it was asked to."""


class MemoryShortageError(VadbenchError):
    """Too little memory, of a GPU or of the machine; says what was free and which setting takes less."""


class TrainingError(VadbenchError):
    """A training that cannot go on."""


class StoppedError(VadbenchError):
    """A run that its method stopped, such as at a limit of what it may cost, and that goes on when it is run again.

    For methods to raise; the run is recorded as stopped, not as failed.
    """


class RunError(VadbenchError):
    """A run folder that is missing, in use, damaged or written by another version."""


class StorageError(VadbenchError):
    """A file that cannot be written: disk full, or no permission."""


class TrackingError(VadbenchError):
    """MLflow cannot be reached or refused what it was sent; the run itself is complete."""


def did_you_mean(name: str, known: Iterable[str], command: str = "") -> str:
    """Return the tail of a message about an unknown name: close names, or else those that there are.

    >>> did_you_mean("anomalyclop", ["anomalyclip", "random"])
    "; did you mean 'anomalyclip'?"
    >>> did_you_mean("AnomalyCLIP", ["anomalyclip", "random"])
    "; did you mean 'anomalyclip'?"
    >>> did_you_mean("x", ["anomalyclip", "random"])
    '; known: anomalyclip, random'
    >>> did_you_mean("x", map(str, range(100)), "vadbench list numbers")
    '; known: 0, 1, 10, 11, 12 and 95 more (vadbench list numbers)'
    """
    names = sorted(known)
    listing = f" ({command})" if command else ""
    spelt = {n.casefold(): n for n in names}
    close = difflib.get_close_matches(name.casefold(), spelt, n=3)
    if close:
        return "; did you mean " + " or ".join(f"'{spelt[c]}'" for c in close) + f"?{listing}"
    shown = listed(names, len(names) if len(names) <= NAMES_SHOWN else 5) if names else "none"
    return f"; known: {shown}{listing}"


def complaint(found: ErrorDetails) -> str:
    """Return what pydantic or a validator says is wrong with a value."""
    return found["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")


def first_complaint(error: ValidationError) -> str:
    """Describe the first thing wrong with a record or a file: where, what was expected and what was found."""
    found = error.errors()[0]
    where = ".".join(str(part) for part in found["loc"])
    # Where a value is missing, or the whole is wrong, what was found would be all that is there.
    there = "" if found["type"] == "missing" or not where else f", found {shortened(found['input'])}"
    return f"{where}: {complaint(found)}{there}" if where else complaint(found)


def one_line(error: object) -> str:
    """Return the message of an exception without line breaks, or the name of its type where it has none.

    >>> one_line(ValueError("two\\nlines")), one_line(KeyboardInterrupt())
    ('two lines', 'KeyboardInterrupt')
    """
    return " ".join(str(error).split()) or type(error).__name__


def first_line(error: object) -> str:
    """Return the first line of a library's error, cut where it is long: the rest is seldom for users."""
    return cut((str(error).strip().splitlines() or [type(error).__name__])[0], 200)


def last_line(text: str) -> str:
    """Return the last line of a text, in a traceback the error itself; empty where the text is."""
    return (text.strip().splitlines() or [""])[-1]


def shortened(value: Any, longest: int = 100) -> str:
    """Return a value as Python writes it, cut where it is long.

    >>> shortened("a" * 50, longest=10)
    "'aaaaaa..."
    """
    return cut(repr(value), longest)


def cut(text: str, longest: int) -> str:
    """Return a text shortened to a number of characters, with dots where something is left out."""
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def listed(items: Sequence[object], most: int, between: str = ", ") -> str:
    """List the first of several things, and how many are left out.

    >>> listed(["a", "b", "c"], 2), listed(["a"], 2)
    ('a, b and 1 more', 'a')
    """
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return between.join(map(str, items[:most])) + more
