"""Numbers in the names of a folder's images: whether each image is one frame of one video, and none is missing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from vadbench.base.errors import MediaError

_Words = tuple[str, ...]
_Numbers = tuple[int, ...]


def require_numbering(folder: Path, images: Sequence[Path]) -> None:
    """Raise if images are not the frames of one video: one image a number, and none left out among them.

    Images whose names have no number are in the order of their names, which says nothing of gaps.

    Args:
        folder: where they are, for the message.
        images: in their order.

    Raises:
        MediaError: two images claim one number, a name is not like the others, or a number is missing; names them.
    """
    names = {image: _split(image.stem) for image in images}
    if not any(numbers for _, numbers in names.values()):
        _require_once(folder, {image: words for image, (words, _) in names.items()})
        return
    _require_once(folder, names)
    column = _column(folder, names)
    if column is not None and (missing := _missing(column)) is not None:
        number, count = missing
        lost = f"{number}" if count == 1 else f"{number} and {count - 1} others"
        after = next(image for image, own in zip(images, column, strict=True) if own > number)
        raise MediaError(
            f"{folder}: expected images numbered without a gap, found none of number {lost} (before {after.name}); copy"
            " the folder again, or number the images anew if no frame is missing"
        )


def numbering_note(images: Sequence[Path]) -> str | None:
    """Return what a video of images is, in words, if their numbers do not show whether frames are missing.

    Args:
        images: of a folder in their order, which :func:`require_numbering` has accepted.
    """
    names = {image: _split(image.stem) for image in images}
    if len(images) < 2 or not any(numbers for _, numbers in names.values()):
        return None
    column = _column(images[0].parent, names)
    if column is None or not _is_count(column):
        shown = ", ".join(image.name for image in images[:3])
        return (
            f"a folder whose images {shown} ... do not count by one and are taken for frame after frame: whether some"
            " are missing cannot be seen"
        )
    if column[0] > 1:
        return f"a folder whose images begin with {images[0].name}: whether some before it are missing cannot be seen"
    return None


def _split(stem: str) -> tuple[_Words, _Numbers]:
    """Return the words and the numbers of a name, in turns: the first word, which may be empty, is before a number."""
    parts = re.split(r"(\d+)", stem.lower())
    return tuple(parts[::2]), tuple(int(number) for number in parts[1::2])


def _require_once(folder: Path, names: Mapping[Path, object]) -> None:
    taken: dict[object, Path] = {}
    for image, name in names.items():
        if name in taken:
            raise MediaError(
                f"{folder}: expected one image a frame, found {taken[name].name} and {image.name} of one number;"
                " remove one of them"
            )
        taken[name] = image


def _column(folder: Path, names: Mapping[Path, tuple[_Words, _Numbers]]) -> list[int] | None:
    """Return the number of each image; ``None`` where several numbers change from name to name and none counts them.

    Raises:
        MediaError: names differ in more than their numbers.
    """
    kinds = Counter(words for words, _ in names.values())
    if len(kinds) > 1:
        # What follows a number may differ, such as a label or a hash.
        firsts = {words[0]: None for words, numbers in names.values() if numbers}
        first = [numbers[0] for _, numbers in names.values() if numbers]
        if len(firsts) > 1 or len(set(first)) < len(names):
            _refuse_others(folder, names, kinds)
        return first
    every = list(zip(*(numbers for _, numbers in names.values()), strict=True))
    changing = [list(column) for column in every if len(set(column)) > 1]
    if len(changing) > 1:
        changing = [column for column in changing if _is_count(column)][:1]
    if changing:
        return changing[0]
    return list(every[0]) if len(names) == 1 else None


def _refuse_others(folder: Path, names: Mapping[Path, tuple[_Words, _Numbers]], kinds: Counter[_Words]) -> None:
    usual = max(kinds, key=lambda words: (kinds[words], len(words)))
    like = next(image for image, (words, _) in names.items() if words == usual)
    other = next(image for image, (words, _) in names.items() if words != usual)
    rest = len(names) - kinds[usual]
    raise MediaError(
        f"{folder}: expected images whose names differ in one number, found {kinds[usual]} like {like.name} and"
        f" {rest} other{'s' if rest > 1 else ''}, such as {other.name}; move away what is no frame of this video"
    )


def _is_count(column: Sequence[int]) -> bool:
    return all(after - before == 1 for before, after in pairwise(column))


def _missing(column: Sequence[int]) -> tuple[int, int] | None:
    """Return the first number that is left out of a count and how many are; ``None`` if numbers do not count, as times
    do not, or nothing is left out."""
    steps = Counter(after - before for before, after in pairwise(column))
    step = min(steps, key=lambda s: (-steps[s], s), default=1)
    if any(s % step for s in steps):
        return None
    lost = (column[-1] - column[0]) // step + 1 - len(column)
    if not lost or (step > 1 and lost >= len(column)):
        return None
    return next(before + step for before, after in pairwise(column) if after - before > step), lost
