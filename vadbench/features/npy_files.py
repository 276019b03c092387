"""Feature files of others found below a folder, and the video and crop that each name stands for.

Names are compared in Unicode's composed form, because file systems differ in it.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vadbench.base.errors import FeatureError
from vadbench.data.annotations.lists import FEATURE_KINDS, video_name, without_kind

Files = Mapping[str, Mapping[str, str]]
"""Paths by video and crop; a file of no crop in particular is crop "0"."""

_CROP = re.compile(r"(.+)__([0-9]{1,3})", re.DOTALL)
NO_ALIASES: Mapping[str, str] = {}
"""Videos have no other names than their own."""


@dataclass
class NpyFiles:
    """The .npy files below a folder.

    Args:
        files: by path.
        outside: links, to files and to folders, that lead out of the folder. None is followed.
    """

    files: list[str] = field(default_factory=list)
    outside: set[str] = field(default_factory=set)


def find_npy(folder: Path, without: Collection[str] = ()) -> NpyFiles:
    """List the .npy files of a folder and all folders below, hidden ones left out. No file is opened.

    Links are followed within the folder, each folder once; files behind links that lead out of it are listed as well.

    Args:
        folder: where to look.
        without: names of folders that are left out.

    Raises:
        FeatureError: it is no folder, or a folder cannot be read.
    """
    found, root, seen, folders = NpyFiles(), os.path.realpath(folder), set[str](), [str(folder)]
    while folders:
        here = folders.pop()
        real = os.path.realpath(here)
        if real in seen:
            continue
        seen.add(real)
        try:
            with os.scandir(here) as entries:
                listed = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
        except OSError as error:
            raise FeatureError(
                f"cannot list {here}: {error.strerror}; expected a folder of features that can be read"
            ) from error
        for entry in listed:
            is_folder = entry.is_dir()
            # A link to nowhere is listed, so that reading it says so; a pipe is not, since opening it would wait.
            is_npy = entry.name.lower().endswith(".npy") and (entry.is_file() or entry.is_symlink()) and not is_folder
            leads_out = (is_folder or is_npy) and entry.is_symlink() and not _is_within(entry.path, root)
            if leads_out:
                found.outside.add(entry.path)
            if is_npy:
                found.files.append(entry.path)
            elif is_folder and not leads_out and entry.name not in without:
                folders.append(entry.path)
    found.files.sort()
    return found


@dataclass(frozen=True)
class AssignedFiles:
    """Files by the video they belong to.

    Args:
        files: of the videos, crops in the order of their numbers.
        extra: of no video.
        numbered: one whose name tells a crop, "" where none does; then none of the others has one either.
    """

    files: Files
    extra: Sequence[str]
    numbered: str


def assign(
    folder: Path,
    found: NpyFiles,
    names: Collection[str] | None,
    kinds: Collection[str] = FEATURE_KINDS,
    aliases: Mapping[str, str] = NO_ALIASES,
) -> AssignedFiles:
    """Find out which video each file belongs to.

    Args:
        folder: where the files were found, for messages.
        found: the files.
        names: of the videos; ``None`` takes each file's own name.
        kinds: words for the kind of features that may end a name, as in ``<video>_i3d.npy``.
        aliases: videos by other names that their files may have.

    Raises:
        FeatureError: there is none of any video, two claim one crop of a video, or only some have a crop in the name.
    """
    wanted = None
    if names is not None:
        wanted = {_key(a): n for a, n in aliases.items()} | {_key(n): n for n in names}
    files: dict[str, dict[str, str]] = {}
    forms: dict[bool, str] = {}
    extra = []
    for path in found.files:
        match = _identify(os.path.basename(path)[: -len(".npy")], wanted, kinds)
        if match is None:
            extra.append(path)
            continue
        name, crop = match
        forms.setdefault(crop is not None, path)
        other = files.setdefault(name, {}).setdefault(crop or "0", path)
        if other != path and os.path.realpath(other) != os.path.realpath(path):
            raise FeatureError(
                f"expected one file of crop {crop or 0} of {name!r}, found {other} and {path}; remove one, or name the"
                " folder of one"
            )
    if len(forms) == 2:
        raise FeatureError(
            f"expected files of all videos named in one way, found {forms[False]} and, with a crop, {forms[True]}; name"
            " the folder of one kind"
        )
    if not files:
        raise FeatureError(_nothing(folder, names, found))
    in_order = {name: {crop: crops[crop] for crop in sorted(crops, key=int)} for name, crops in files.items()}
    return AssignedFiles(in_order, extra, forms.get(True, ""))


def require_inside(path: str, outside: Collection[str]) -> None:
    """Raise if a path is a link that leads out of the folder of features.

    Raises:
        FeatureError: the path is one of them.
    """
    if path in outside:
        raise FeatureError(
            f"{path} is a link to {os.path.realpath(path)}: expected a file in the folder of features, links out of it"
            " are not followed; put the file itself there"
        )


def _identify(stem: str, wanted: Mapping[str, str] | None, kinds: Collection[str]) -> tuple[str, str | None] | None:
    """Return the video and the crop of a file name without its suffix; the whole name may be a video's."""
    split = _CROP.fullmatch(stem)
    forms = [(stem, None), *([(split[1], str(int(split[2])))] if split else [])]
    if wanted is None:
        return _key(without_kind(forms[-1][0], kinds)), forms[-1][1]
    for text, crop in forms:
        for candidate in (text, video_name(text), without_kind(text, kinds)):
            if (name := wanted.get(_key(candidate))) is not None:
                return name, crop
    return None


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _nothing(folder: Path, names: Collection[str] | None, found: NpyFiles) -> str:
    one = min(names) if names else "<video>"
    whom = "" if names is None else f" of any of the {len(names)} videos"
    others = f"{len(found.files)} others, the first is {found.files[0]}" if found.files else "no .npy file"
    links = f"; {min(found.outside)} leads out of it and is not followed" if found.outside else ""
    return (
        f"{folder} holds no features{whom}: expected a feature store or files such as {one}.npy or {one}__0.npy, found"
        f" {others}{links}; check the folder"
    )


def _is_within(path: str, root: str) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(root)
