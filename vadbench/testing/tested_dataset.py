"""Data set under test, and checks of its class attributes, which need none of its files."""

from __future__ import annotations

import math
import re
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from functools import cached_property
from pathlib import Path
from typing import Any, get_args
from unittest import SkipTest

from vadbench.base.errors import DataError
from vadbench.base.ground_truth import IntervalReading, TruthVariant
from vadbench.base.text import counted, spaced
from vadbench.base.types import Progress, silent
from vadbench.dataset import SPLITS, ClassTable, Dataset, Partition, Split, Video
from vadbench.harness.rules import open_dataset, root_of
from vadbench.plugins.hookspecs import NAME
from vadbench.plugins.registry import Registry
from vadbench.scoring.protocol import Protocol
from vadbench.testing.conformance import Failure, require

CHEAP = 0.5
"""Maximum time to make a data set, in seconds."""
SHOWN = 70
"""Maximum length of that text in a result."""
WORDS = 3
"""Minimum number of words that can say which files are expected where."""


class TestedDataset:
    """Class of a data set and, if it has a root, the data set.

    Args:
        kind: the class.
        data_root: the root to use instead of the one found.
        progress: called with the progress of generating files.
        registry: protocols whose readings of the intervals it must accept; the installed ones by default.
        truth: name of a variant of its ground truth, or path of a file; empty for its own.
    """

    def __init__(
        self,
        kind: type[Dataset],
        data_root: Path | None = None,
        progress: Progress = silent,
        registry: Registry | None = None,
        truth: str = "",
    ) -> None:
        self.kind, self._given, self._progress, self.registry = kind, data_root, progress, registry
        self._truth = truth

    @cached_property
    def opened(self) -> Dataset:
        """Data set at its root, with its files ready.

        Raises:
            SkipTest: there is no data.
            DataError: the data are not as expected.
        """
        try:
            root = root_of(self.kind, self._given, bool(self._truth))
        except DataError as error:
            raise SkipTest(f"no data: {error}") from error
        if not root.is_dir() and not self.kind.makes_itself:
            raise SkipTest(f"no data at {root}; expected there: {self.kind.files}")
        dataset = open_dataset(self.kind, self._given, truth=self._truth)
        dataset.prepare(self._progress)
        return dataset

    def again(self, partition: str = "") -> Dataset:
        """Return the same data set as a new object, in another division where one is named."""
        return open_dataset(self.kind, self.opened.root, partition, self._truth)

    def videos(self, split: Split, boundaries: str = "native") -> Sequence[Video]:
        return self.opened.read_split(split, boundaries)

    @property
    def classes(self) -> ClassTable:
        """Class table that its videos are labelled by, which its files may have decided."""
        if self.every_video and self.opened.classes is not self.kind.classes:
            require_sound(self.opened.classes)
        return self.opened.classes

    @cached_property
    def every_video(self) -> list[tuple[Split, Video]]:
        """Videos of all splits, each with its split."""
        return [(split, video) for split in self.opened.splits for video in self.videos(split)]


def classes(source: TestedDataset) -> str:
    """Check the class table."""
    table = _stated(source.kind, "classes")
    require_sound(table)
    return f"{len(table)} classes, normal is {table.normal} ('{table.names[table.normal]}')"


def require_sound(table: object) -> None:
    """Raise if a class table is none, has names of several classes, or no normal class.

    Raises:
        Failure: it is.
    """
    if not (isinstance(table, ClassTable) and len(table) > 1):
        raise Failure(
            f"classes is {table!r:.80}", "make it a ClassTable of the normal class and at least one abnormal one"
        )
    require(
        isinstance(table.normal, int) and 0 <= table.normal < len(table),
        f"the normal class is number {table.normal} of {len(table)}",
        "normal is the position of the normal class, from 0",
    )
    for what, spellings in {
        "names": table.names,
        "words": table.words,
        "names and aliases": [n for c in table.classes for n in {c.name, *c.aliases}],
    }.items():
        double = [repr(n) for n, count in Counter(spellings).items() if count > 1]
        require(not double, f"{what} of several classes are {', '.join(double)}", "every class needs its own")
    blank = [repr(n) for n in (*table.names, *table.words) if not n.strip()]
    require(not blank, f"a class is called {', '.join(blank)}", "give it a name; words are what a prompt says")


def expected(source: TestedDataset) -> str:
    """Check the counts of a complete copy."""
    counts = _stated(source.kind, "expected")
    # One of any size says in its property sizes how many videos there are.
    _require_sizes("expected", counts, least=int(source.kind.sizes is Dataset.sizes))
    said = {split: f"{counts[split]:,}" if counts[split] else "any number of" for split in SPLITS if split in counts}
    return ", ".join(f"{count} {split} videos" for split, count in said.items())


def _require_sizes(what: str, counts: Mapping[Split, int], least: int = 1) -> None:
    require(
        {"test"} <= set(counts) <= set(SPLITS) and all(isinstance(n, int) and n >= least for n in counts.values()),
        f"{what} is {dict(counts)!r}",
        "state the number of videos of a complete copy as {'train': N, 'test': M}, with 'validation': K where there are"
        " such videos, without 'train' for a data set for testing alone; results say how many are missing",
    )


def files(source: TestedDataset) -> str:
    """Check the name, and the text that helps users who have just downloaded the data."""
    name: str = _stated(source.kind, "name")
    text: str = _stated(source.kind, "files")
    require(
        bool(re.fullmatch(NAME, name)), f"name is {name!r}", "use letters, digits, '.', '_' and '-': it names folders"
    )
    require(
        len(text.split()) >= (1 if source.kind.makes_itself else WORDS) and "\n" not in text,
        f"files is {text!r}",
        "say in one line which files are expected where under the root; error messages end with it",
    )
    return textwrap.shorten(text, SHOWN, placeholder=" ...")


def attributes(source: TestedDataset) -> str:
    """Check the attributes that have a default, which the harness uses as they are."""
    kind = source.kind
    require(
        kind.headline in ("AUC", "AP"),
        f"headline is {kind.headline!r}",
        "make it 'AUC' or 'AP', the one that papers report first: weights can be selected by it",
    )
    stride = kind.extraction_stride
    require(
        type(stride) is int and stride > 0,
        f"extraction_stride is {stride!r}",
        "make it a number of frames, from 1: a row of extracted features stands for that many",
    )
    rate = kind.frame_rate
    require(
        rate is None or (type(rate) in (int, float) and 0 < rate < math.inf),
        f"frame_rate is {rate!r}",
        "make it the frames a second that all videos have, or leave it out: false alarms are counted per hour by it",
    )
    folders = kind.truth_folders
    require(
        isinstance(folders, Set) and all(isinstance(name, str) and name and "/" not in name for name in folders),
        f"truth_folders is {folders!r}",
        "make it a frozenset of names of folders, such as frozenset({'masks'}): their .npy files are no features",
    )
    require(
        type(kind.by_class) is bool,
        f"by_class is {kind.by_class!r}",
        "make it False if nobody annotated the classes of anomalies, else True: metrics of classes depend on it",
    )
    require(
        isinstance(kind.share_reading, IntervalReading),
        f"share_reading is {kind.share_reading!r}",
        "make it an IntervalReading: two numbers to add to an interval to make it half-open and 0-based",
    )
    require(
        not isinstance(kind.remarks, str) and all(_is_line(r) for r in kind.remarks),
        f"remarks is {kind.remarks!r:.80}",
        "make it a sequence of texts of one line each: results repeat them",
    )
    _require_variants(kind)
    return (
        f"headline {kind.headline}, a row {spaced(stride)}, {counted(len(folders), 'folder')} of ground truth,"
        f" {counted(len(kind.partitions), 'other division')}, {counted(len(kind.truths), 'other ground truth')}"
    )


def _require_variants(kind: type[Dataset]) -> None:
    """Raise if another division or ground truth is not described as it must be."""
    for name, partition in kind.partitions.items():
        require(
            _is_name(name) and isinstance(partition, Partition) and _is_line(partition.about),
            f"partitions has {name!r}: {partition!r:.80}",
            "map names of letters, digits, '.', '_' and '-' to a Partition that says in one line which files it needs",
        )
        _require_sizes(f"expected of partition {name}", partition.expected)
    for name, variant in kind.truths.items():
        require(
            _is_name(name) and isinstance(variant, TruthVariant) and _is_line(variant.about),
            f"truths has {name!r}: {variant!r:.80}",
            "map names of letters, digits, '.', '_' and '-' to a TruthVariant that says in one line what it needs",
        )
        require(
            variant.tail in ("", *get_args(Protocol.model_fields["tail"].annotation)),
            f"tail of the ground truth {name} is {variant.tail!r}",
            "make it 'hold', 'zero', 'rows' or 'rows-prolonged', or leave it out where any protocol will do",
        )


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(re.fullmatch(NAME, name))


def _is_line(text: object) -> bool:
    return isinstance(text, str) and bool(text.strip()) and "\n" not in text


def says_one_line(error: Exception) -> bool:
    """Return True if the message of an error is one line."""
    return _is_line(str(error))


def constructor(source: TestedDataset) -> str:
    """Check that the data set can be made for a root that does not exist."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "absent"
        seconds = float("inf")
        # The faster of two, as a busy machine may slow one down.
        for _ in range(2):
            start = time.perf_counter()
            try:
                dataset = source.kind(root)
            except DataError as error:
                raise Failure(
                    f"making it without its files raises: {error}", "look at files in prepare() and videos()"
                ) from error
            seconds = min(seconds, time.perf_counter() - start)
        require(
            seconds < CHEAP,
            f"making it takes {seconds:.1f} s",
            "read files in prepare() or videos(): it is made just to be listed and shown",
        )
        require(not root.exists(), f"making it creates {root.name}/", "create files in prepare() only")
        require(
            dataset.root == root and dataset.problems == [],
            "root or problems are not as given",
            "call super().__init__(root)",
        )
    return f"{seconds * 1000:.0f} ms, no file needed"


def missing_root(source: TestedDataset) -> str:
    """Check ``prepare`` for a root that does not exist."""
    if source.kind.makes_itself:
        raise SkipTest("it makes its own files")
    fix = "leave prepare() to Dataset, or call super().prepare(progress) first"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "absent"
        try:
            source.kind(root).prepare()
        except DataError as error:
            require(str(root) in str(error), f"the error does not name the root: {error}", fix)
            require("\n" not in str(error), "the error has several lines", "say it in one")
            return "a DataError names it"
        except Exception as error:
            raise Failure(f"prepare() raises {type(error).__name__}: {error}", f"raise a DataError: {fix}") from error
    raise Failure("prepare() accepts a root that does not exist", fix)


def _stated(kind: type[Dataset], attribute: str) -> Any:
    value = getattr(kind, attribute, None)
    require(value is not None, f"{kind.__name__} has no {attribute}", "set the class attribute")
    return value
