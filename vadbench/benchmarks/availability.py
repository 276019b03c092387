"""What is here of what a cell needs, its data and its CLIP, and what to do about the rest in the words of ``bench``."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from vadbench.base.errors import VadbenchError
from vadbench.base.files import file_stamp
from vadbench.base.needs import Facts
from vadbench.benchmarks.schema import Cell
from vadbench.clip import SMALL
from vadbench.clip.memory import is_remembered
from vadbench.harness.clips import clip_source, open_clip
from vadbench.harness.fitness import have_files, video_counts
from vadbench.harness.rules import open_dataset, splits_of
from vadbench.plugins.registry import Registry

if TYPE_CHECKING:
    import torch

_IN_FILE = re.compile(
    r"(?<![\w-])--(clip-weights|clip|crop|subset|selection|partition|truth|set)(?![\w-])"
    r"(?: (?!(?:out|or|and)\b)([\w=.:/-]*[\w/]))?"
)
"""Options of ``vadbench run``, with their values, that are entries in a benchmark's file."""


def in_words_of_bench(reason: str, dataset: str = "NAME") -> str:
    """Return advice on options of ``vadbench run`` reworded for ``vadbench bench``.

    >>> in_words_of_bench("give features of audio (--features audio=DIR)", "tiny")
    'give features of audio (--features tiny.audio=DIR)'

    >>> in_words_of_bench("name it with --features-layout anomalyclip or vadclip", "tiny")
    'name it with --features-layout tiny=anomalyclip or vadclip'
    >>> in_words_of_bench("no crop 'center'; name one with --crop, or --crop mean", "tiny")
    "no crop 'center'; name one with protocol.crop, or protocol.crop = mean (in the benchmark's file)"
    """
    said = reason.replace("--data-root DIR", f"--data-root {dataset}=DIR")
    said = re.sub(r"--features ([\w-]+)=DIR", rf"--features {dataset}.\1=DIR", said)
    said = re.sub(r"--features-layout (?=[a-z])", f"--features-layout {dataset}=", said)
    said = re.sub(r"--features-layout(?! [\w-]+=)", f"--features-layout {dataset}=LAYOUT", said)

    def entry(found: re.Match[str]) -> str:
        option, value = found.groups()
        if option == "set":
            return value or "set"
        name = option.replace("-", "_") if option.startswith("clip") else f"protocol.{option}"
        return f"{name} = {value}" if value else name

    said, count = _IN_FILE.subn(entry, said)
    return f"{said} (in the benchmark's file)" if count else said


def weights_digest(cell: Cell) -> str:
    """Return the digest of the CLIP's weights if they are in a local file, which its name does not identify."""
    path = Path(cell.clip_weights)
    return _digest_of(cell.clip, cell.clip_weights, file_stamp(path.stat())) if path.is_file() else ""


@lru_cache(maxsize=8)
def _digest_of(model: str, weights: str, stamp: str) -> str:
    try:
        return open_clip(clip_source(model or None, weights), _cpu).weights_sha256
    except VadbenchError as error:
        return f"cannot be read: {error}"


@dataclass(frozen=True)
class DataHere:
    """A data set on this machine: what is known of it, and what must be done to have it here, empty if it is."""

    facts: Facts | None = None
    absent: str = ""


def data_here(
    name: str, registry: Registry, root: Path | None, partition: str = "", truth: str = "", incomplete: bool = False
) -> DataHere:
    """Return what is known of a data set, divided and annotated as a cell asks, or ``incomplete`` if need be."""
    facts = None
    try:
        kind = registry.dataset(name)
        facts = Facts(name, kind.classes, splits=splits_of(kind, partition))
        dataset = open_dataset(kind, root, partition, truth, incomplete)
        if dataset.makes_itself:
            return DataHere(facts)
        dataset.prepare()
        videos = {split: dataset.read_split(split) for split in dataset.splits}
        files = have_files(videos)
        for split, listed in videos.items():
            if not listed:
                return DataHere(facts, f"{name} has no {split} videos under {dataset.root}; expected: {dataset.files}")
    except VadbenchError as error:
        return DataHere(facts, in_words_of_bench(str(error), name))
    return DataHere(replace(facts, videos=video_counts(dataset, videos), files=files))


def clip_absence(model: str, weights: str) -> str:
    try:
        source = clip_source(model or None, weights or None)
        if (source.model == SMALL and not source.weights) or is_remembered(source):
            return ""
        from vadbench.clip.loading import is_cached

        if not is_cached(source):
            open_clip(source, _cpu)
    except VadbenchError as error:
        return in_words_of_bench(str(error))
    return ""


def _cpu() -> torch.device:
    import torch

    return torch.device("cpu")
