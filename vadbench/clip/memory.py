"""The facts of CLIPs that were loaded before: names, widths and hashes, so that a key needs no weights and no torch.

They hold for a file as long as its size and its times stay the same, under one version of open_clip and of torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vadbench.base.errors import ClipError, StorageError
from vadbench.base.files import Remembered, file_stamp
from vadbench.base.locations import cache_root
from vadbench.clip.model import Clip
from vadbench.clip.origin import ASSETS, ClipSource, is_file

if TYPE_CHECKING:
    from torch import nn

    from vadbench.clip.text_tower import TextTower

_FILE = "clips.jsonl"
_FACTS = ("name", "weights_sha256", "activation", "image_size", "dim", "mean", "std", "squashed")


def remembered_clip(source: ClipSource, load: Callable[[], Clip]) -> Clip:
    """Return a CLIP that was loaded before without loading it, until one of its towers is used; else load it now.

    Args:
        source: its names.
        load: loads it.

    Raises:
        ClipError: as ``load`` does.
    """
    memory = Remembered(cache_root() / _FILE)
    known = _recall(memory, source)
    if known is None:
        # Taken before, as the file may change while it is read.
        before = _stamp(_file(memory, source))
        clip = load()
        _remember(memory, clip, before)
        return clip

    def towers() -> tuple[nn.Module, TextTower]:
        clip = load()
        if clip.weights_sha256 != known["weights_sha256"]:
            raise ClipError(f"the weights of CLIP {source.model} {source.weights} changed since; start again")
        return clip.visual, clip.text

    return Clip(source=source, towers=towers, **known)


def is_remembered(source: ClipSource) -> bool:
    """Return True if a CLIP was loaded before, from a file that is still there."""
    return _recall(Remembered(cache_root() / _FILE), source) is not None


def _recall(memory: Remembered, source: ClipSource) -> dict[str, Any] | None:
    stamp = _stamp(_file(memory, source))
    found = None if stamp is None else memory.find(_key(source), stamp)
    if found is None:
        return None
    values = json.loads(found)
    if len(values) != len(_FACTS):  # remembered by an older vadbench
        return None
    facts = dict(zip(_FACTS, values, strict=True))
    return facts | {"mean": tuple(facts["mean"]), "std": tuple(facts["std"])}


def _remember(memory: Remembered, clip: Clip, before: str | None) -> None:
    source, stamp = clip.source, before
    if _is_tag(source):
        from vadbench.clip.loading import cached_file

        path = cached_file(source)
        if path is None:
            return  # not from the hub, or not kept
        stamp = _stamp(path)
        facts = json.dumps([str(path)])
        if stamp is not None:
            _add(memory, ("file", *_key(source)), "", facts)
    if stamp is not None:
        _add(memory, _key(source), stamp, json.dumps([getattr(clip, name) for name in _FACTS]))


def _add(memory: Remembered, key: tuple[str, ...], stamp: str, content: str) -> None:
    with suppress(StorageError):  # loading it again takes a moment longer
        memory.add(key, stamp, content)


def _key(source: ClipSource) -> tuple[str, ...]:
    weights = str(Path(source.weights).resolve()) if is_file(source.weights) else source.weights
    return (source.model, weights, version("open_clip_torch"), version("torch"))


def _is_tag(source: ClipSource) -> bool:
    return bool(source.weights) and not is_file(source.weights) and not source.weights.startswith("random:")


def _file(memory: Remembered, source: ClipSource) -> Path | None:
    """Return the file that the weights come from; ``None`` where none is known or needed."""
    if is_file(source.weights):
        return Path(source.weights)
    if _is_tag(source):
        found = memory.find(("file", *_key(source)), "")
        return None if found is None else Path(json.loads(found)[0])
    # Also for weights that are drawn, which depend on their seed alone.
    return ASSETS / "small_clip.safetensors"


def _stamp(path: Path | None) -> str | None:
    """Return the stamp of a file, ``None`` where it is not there."""
    try:
        return None if path is None else file_stamp(path.stat())
    except OSError:
        return None
