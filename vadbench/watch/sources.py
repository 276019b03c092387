"""Videos to score: files, folders of frames, folders of videos and network streams, each with a safe name."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from vadbench.base.errors import ConfigError
from vadbench.base.files import regular
from vadbench.data.image_folders import IMAGE_SUFFIXES, VIDEO_SUFFIXES, natural

SCHEMES = ("http", "https", "rtsp", "rtsps")
"""Schemes of the addresses that are read from a network."""

_LONGEST_NAME = 80


@dataclass(frozen=True)
class VideoSource:
    """Video to score.

    Args:
        place: a path, or the address of a stream including its password; never shown.
        shown: its name in messages and pages: printable, without a password.
        name: name of its folder: a single safe path component; two sources may share it.
    """

    place: Path | str
    shown: str
    name: str

    @property
    def live(self) -> bool:
        """True if it comes over a network."""
        return isinstance(self.place, str)


def find_sources(arguments: Sequence[str]) -> list[VideoSource]:
    """Find the videos that arguments name; a folder of videos means all of them.

    Raises:
        ConfigError: there is no such file, a folder has neither videos nor frames or has both, or an address is bad.
    """
    return [source for argument in arguments for source in _sources(argument)]


def name_folders(out: Path, sources: Sequence[VideoSource]) -> list[Path]:
    """Return a folder under ``out`` for each source, distinct on any file system."""
    taken: set[str] = set()
    folders = []
    for source in sources:
        name, number = source.name, 1
        # Some file systems do not distinguish upper and lower case, or two encodings of an umlaut.
        while (key := unicodedata.normalize("NFC", name).casefold()) in taken:
            number += 1
            name = f"{source.name}-{number}"
        taken.add(key)
        folder = out / name
        if folder.is_symlink():
            raise ConfigError(f"{folder} is a link, so results would be written elsewhere; choose another --out")
        folders.append(folder)
    return folders


def printable(text: str) -> str:
    """Return text for a terminal, a page or a file; unprintable characters and invalid Unicode become question marks.

    >>> printable("a\\x1b[31mb\\udcff")
    'a?[31mb?'
    """
    return "".join(c if c.isprintable() else "?" for c in text)


def _sources(argument: str) -> Iterable[VideoSource]:
    if not argument.strip():
        raise ConfigError("expected the name of a video, found an empty one; give a file, a folder or an address")
    try:
        address = urlsplit(argument) if "://" in argument else None
    except ValueError as error:
        raise ConfigError(f"expected an address such as rtsp://camera/stream, found another ({error})") from error
    if address is not None and address.scheme.lower() in SCHEMES:
        return [_stream(argument)]
    if address is not None and not os.path.exists(argument):
        raise ConfigError(
            f"expected a file, a folder or an address that begins with {', '.join(s + '://' for s in SCHEMES)}, found"
            f" {printable(argument)}"
        )
    path = Path(argument)
    if not path.exists():
        raise ConfigError(f"no such video: {printable(argument)}; give a file, a folder of frames or of videos")
    try:
        regular(path)
    except OSError as error:
        raise ConfigError(f"cannot read {printable(argument)}: {error.strerror}; give a file of a video") from error
    if not path.is_dir():
        return [_on_disk(path)]
    entries = sorted((p for p in path.iterdir() if not p.name.startswith(".")), key=lambda p: natural(p.name))
    videos = [p for p in entries if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file()]
    images = any(p.suffix.lower() in IMAGE_SUFFIXES for p in entries)
    if bool(videos) == images:
        found = "both" if images else "neither"
        raise ConfigError(
            f"expected a folder of videos ({', '.join(sorted(VIDEO_SUFFIXES))}) or of frames"
            f" ({', '.join(sorted(IMAGE_SUFFIXES))}), found {found} in {printable(argument)}; name the files"
        )
    return [_on_disk(p) for p in videos] if videos else [_on_disk(path)]


def _on_disk(path: Path) -> VideoSource:
    own = path.resolve().name if path.name in ("", "..") else path.name
    stem = own if path.is_dir() else Path(own).stem
    return VideoSource(path, printable(os.fspath(path)), _component(stem))


def _stream(argument: str) -> VideoSource:
    # A later error would show the whole address.
    if any(c.isspace() or not c.isprintable() for c in argument):
        raise ConfigError("expected an address without blanks and control characters; write a blank in it as %20")
    parts = urlsplit(argument)
    host = parts.netloc.rpartition("@")[2]
    # Cameras accept passwords and tokens in the query too.
    shown = urlunsplit((parts.scheme, host, parts.path, "..." if parts.query else "", ""))
    stem = Path(parts.path).stem or re.sub(r"\W", "-", host)
    return VideoSource(argument, printable(shown), _component(stem))


def _component(stem: str) -> str:
    """Make a path component of any name, without separators, a leading dot or characters that file systems refuse."""
    kept = re.sub(r"[^\w.#=+@-]+", "_", printable(stem)).strip("._")
    while len(kept.encode()) > _LONGEST_NAME:
        kept = kept[:-1]
    return kept or "video"
