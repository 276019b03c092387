"""Check submitted results: a folder of run folders, judged by its content alone."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vadbench.base.errors import (
    FeatureError,
    RunError,
    UnknownNameError,
    VadbenchError,
    cut,
    first_complaint,
    last_line,
)
from vadbench.base.hashing import digest
from vadbench.base.types import Progress, silent
from vadbench.dataset import Split
from vadbench.features.fingerprint import UNKNOWN, Fingerprint
from vadbench.harness.request import method_post
from vadbench.metrics.definitions import MetricValue, definition
from vadbench.metrics.measurement import measure
from vadbench.metrics.scenarios import by_scenario, of_scenarios
from vadbench.plugins.registry import Registry
from vadbench.records.costs import costs_of
from vadbench.records.folders import read_record, run_folders
from vadbench.records.keys import restored
from vadbench.records.record import INCOMPLETE, REMARKS, RESULT, SCORES, RunRecord
from vadbench.records.scores import load_split
from vadbench.scoring.protocol import Protocol, protocols
from vadbench.scoring.split import ScoredSplit

CLOSE = 1e-12
"""Tolerance between a recorded metric and the one computed from the scores, whose sums may be in another order."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_TRUTH_FILE = re.compile(r"[^/\\]+@[0-9a-f]+")
"""Name in a protocol of a ground truth from a file."""
_PRIVATE = {
    "an absolute path": re.compile(r"""(?<![\w.:/)-])(?:~?/\w|[A-Za-z]:\\|\\\\\w)[^\s'",;]*|file:/[^\s'",;]*"""),
    "an address": re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}"),
}


def check_submission(folder: Path, registry: Registry, progress: Progress = silent) -> Iterator[tuple[Path, str]]:
    """Yield everything that must be fixed before results can be accepted, each with the file it is about.

    Args:
        folder: has ``result.json`` files at any depth, each with its ``scores.npz`` in the same folder.
        registry: knows how many videos a complete copy of a data set has.

    Raises:
        RunError: the folder has no result.
    """
    folders = run_folders(folder)
    if not folders:
        raise RunError(f"no results under {folder}: expected a folder of run folders, each with a {RESULT}")
    seen: dict[str, Path] = {}
    for done, run in enumerate(folders):
        progress("checking results", done, len(folders))
        path = run / RESULT
        try:
            record = read_record(run)
        except RunError as error:
            yield path, str(error).removeprefix(f"{path} ")
            continue
        if record.status != "finished":
            reason = cut(last_line(record.error or "no reason given"), 200)
            what = "failed" if record.status == "failed" else "was stopped"
            yield path, f"the run {what}: {reason}; run it again"
            continue
        identity = _identity(record)
        if identity in seen:
            yield path, f"seed {record.seed} of {record.method} on {record.dataset} is in {seen[identity]} already"
        seen.setdefault(identity, path)
        for finding in (
            *_metric_problems(record.metrics),
            *_protocol_problems(record, registry),
            *_feature_problems(record),
            *_data_problems(record, registry),
            *_commit_problems(record),
            *_private_texts(record.model_dump(mode="json")),
            *_score_problems(run, record),
        ):
            yield path, finding
    progress("checking results", len(folders), len(folders))


def _identity(record: RunRecord) -> str:
    """Return what must be unique within a submission: everything that defines a run, and its seed."""
    names = ("method", "method_version", "dataset", "trained_on", "config", "protocol", "fingerprint", "seed")
    beside = [stream.identity for stream in record.streams.values()]
    return digest([{name: getattr(record, name) for name in names}, beside])


def _metric_problems(metrics: Mapping[str, MetricValue]) -> Iterator[str]:
    if not metrics:
        yield "no metrics"
    for name, found in metrics.items():
        try:
            meaning = definition(name)
        except UnknownNameError:
            yield f"metrics: {name} is not a metric of vadbench (vadbench list metrics)"
            continue
        numbers = {k: v for k, v in (("value", found.value), ("low", found.low), ("high", found.high)) if v is not None}
        for which, number in numbers.items():
            # Comparisons with NaN are false, so NaN is refused too.
            if not meaning.low <= number <= meaning.high:
                yield f"metrics: {name} has {which} {number}, expected {meaning.low:g} to {meaning.high:g}"
        if found.value is None and not found.reason:
            yield f"metrics: {name} is undefined and gives no reason"
        if found.low is not None and found.high is not None and found.low > found.high:
            yield f"metrics: the interval of {name} ends below its start, [{found.low}, {found.high}]"


def _protocol_problems(record: RunRecord, registry: Registry) -> Iterator[str]:
    try:
        rules = restored(Protocol, record.protocol)
    except ValidationError as error:
        yield f"protocol: {first_complaint(error)}"
        return
    known = protocols(registry)
    if rules.name not in known:
        yield f"protocol: expected one of {', '.join(known)}, found '{rules.name}'"
        return
    usual = known[rules.name].on(record.dataset, record.selects).model_dump()
    # The crop that is scored depends on the features as well, and the method may propose post-processing.
    usual["post"] = usual["post"] or record.method_post
    differing = [k for k, v in rules.model_dump().items() if v != usual[k] and k != "crop"]
    for name in differing:
        if f"protocol.{name}" not in record.changed:
            yield f"protocol: {name} is not that of '{rules.name}', and 'changed' does not say so"
    proposed = _proposed_post(record, registry)
    if proposed is not None and proposed != record.method_post:
        yield f"method_post: '{record.method}' proposes '{proposed}', the record says '{record.method_post}'"


def _proposed_post(record: RunRecord, registry: Registry) -> str | None:
    """Return the post-processing that a method proposes, ``None`` if its plugin is not installed as it was then."""
    try:
        if registry.version(record.method) != record.method_version:
            return None
        return method_post(record.method, restored(registry.method_config(record.method), record.config))
    except (VadbenchError, ValidationError):
        return None


def _feature_problems(record: RunRecord) -> Iterator[str]:
    if record.reads != "features":
        for name in ("fingerprint", "clip"):
            if getattr(record, name):
                yield f"{name}: expected none of a method that reads no features, found one"
        return
    try:
        fingerprint = Fingerprint.from_dict(record.fingerprint)
    except FeatureError as error:
        yield f"fingerprint: {error}"
        return
    if not fingerprint.known and not any(UNKNOWN in note for note in record.notes):
        yield "fingerprint: the origin of the features is unknown, and no note says so"


def _data_problems(record: RunRecord, registry: Registry) -> Iterator[str]:
    places: dict[Split, str] = {"train": record.trained_on, "validation": record.trained_on, "test": record.dataset}
    yield from _truth_problems(record, registry)
    for split, name in places.items():
        # Weights may be trained in one division, and tested in another.
        partition = str(record.protocol.get("partition", "")) if split == "test" else None
        found, sizes = record.data.get(split), _sizes(registry, name, partition)
        if found is None:
            # A data set for testing alone has no training videos, and only some rules of selection use validation's. So
            # have methods that read no features and learn nothing, and recorded scores, which others trained.
            blind = record.reads != "features" and record.supervision in ("training-free", "oracle")
            blind = blind or record.recorded is not None
            if all(split in s for s in sizes) and split != "validation" and not (blind and split == "train"):
                yield f"data: the record does not describe the {split} split"
            continue
        whole = sorted({s[split] for s in sizes if split in s})
        # 0 is for a data set of any size.
        if sizes and 0 not in whole and found.expected not in whole:
            has = f"has {' or '.join(map(str, whole))} videos" if whole else "does not exist"
            yield f"data: a complete {split} split of {name} {has}, the record says {found.expected}"
        partial = record.protocol.get("subset", "all") != "all"
        marked = any(note.startswith(INCOMPLETE) and f" {split} videos" in note for note in record.notes)
        if not marked and (found.videos > found.expected or (found.videos < found.expected and not partial)):
            yield (f"data: {found.videos} of {found.expected} {split} videos, and no note begins with '{INCOMPLETE}'")


def _sizes(registry: Registry, name: str, partition: str | None) -> list[Mapping[Split, int]]:
    """Return the number of videos of each complete split in a division of a data set, or in every one; nothing where
    its plugin is not installed, or it has no such division."""
    try:
        kind = registry.dataset(name)
    except VadbenchError:
        return []
    divisions = {"": kind.expected} | {part: division.expected for part, division in kind.partitions.items()}
    return [sizes for part, sizes in divisions.items() if partition in (None, part)]


def _truth_problems(record: RunRecord, registry: Registry) -> Iterator[str]:
    """Yield what is wrong with the names of the ground truth and the division. A file has a digest in its name."""
    try:
        kind = registry.dataset(record.dataset)
    except VadbenchError:
        return
    named = {"partition": ("partition", kind.partitions), "truth": ("ground truth", kind.truths)}
    for field, (what, known) in named.items():
        name = str(record.protocol.get(field, ""))
        if name and name not in known and not (field == "truth" and _TRUTH_FILE.fullmatch(name)):
            yield f"protocol: {UnknownNameError(f'{what} of {record.dataset}', name, known)}"


def _commit_problems(record: RunRecord) -> Iterator[str]:
    commit = str(record.environment.get("commit", ""))
    if not _COMMIT.fullmatch(commit):
        yield (
            f"environment: expected the git commit of an unchanged vadbench, found '{commit}'; run from a checkout,"
            " with your own code in a package of its own"
        )


def _private_texts(content: Any, where: str = "") -> Iterator[str]:
    """Yield texts that identify a person or a machine; ``where`` is the dotted name of ``content`` in the record."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            place = f"{where}.{key}" if where else str(key)
            # The names of classes are given by the data set and may be any text.
            if where.partition(".")[0] not in ("metrics", "diagnostics"):
                yield from _private_texts(str(key), f"a key of {where or 'the record'}")
            yield from _private_texts(value, place)
    elif isinstance(content, list):
        for value in content:
            yield from _private_texts(value, where)
    elif isinstance(content, str):
        for what, pattern in _PRIVATE.items():
            if found := pattern.search(content):
                yield f"{where}: {what}, '{found[0]}'; replace it with a word that says what it is"


def _score_problems(folder: Path, record: RunRecord) -> Iterator[str]:
    if not (folder / SCORES).is_file():
        yield f"no {SCORES} in its folder, which is needed to check the metrics"
        return
    try:
        split = load_split(folder, remarks=True)
        again = measure(split) | of_scenarios(by_scenario(split))
        yield from _split_problems(split, record)
    # The arrays are not trusted: they may have another length, shape or type, or be empty.
    except (VadbenchError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        yield f"{SCORES}: {error}"
        return
    yield from _cost_problems(split, record)
    said = {text: s.name for s in split.scores if s.remarks is not None for text in s.remarks.texts}
    for text, name in said.items():
        yield from (f"{REMARKS}: {finding}" for finding in _private_texts(text, f"a remark on {name}"))
    recorded = record.metrics | of_scenarios(record.scenarios)
    for name in sorted(again.keys() | recorded.keys()):
        if name not in recorded or name not in again:
            has, lacks = ("the scores", "the record") if name in again else ("the record", "the scores")
            yield f"metrics: {has} give {name}, {lacks} do not"
            continue
        for which, number in again[name]:
            stated = getattr(recorded[name], which)
            if isinstance(number, float | None) and not _close(stated, number):
                yield f"metrics: {name} has {which} {stated}, its scores give {number}"


def _split_problems(split: ScoredSplit, record: RunRecord) -> Iterator[str]:
    """Yield the differences between the scores and the test split that the record describes."""
    stated = record.data.get("test")
    if stated is None:
        return
    found = {"videos": len(split.scores), "frames": split.rows.total, "positives": int(split.rows.positives.sum())}
    for name, number in found.items():
        if getattr(stated, name) != number:
            yield f"data: {getattr(stated, name)} test {name}, the scores are of {number}"
    yield from _name_problems(v.name for v in split.videos)


def _cost_problems(split: ScoredSplit, record: RunRecord) -> Iterator[str]:
    found = costs_of(split.scores)
    for name in sorted(found.keys() | record.costs.keys()):
        if found.get(name) != record.costs.get(name):
            yield f"costs: the record states {record.costs.get(name)}, its scores give {found.get(name)} of '{name}'"


def _name_problems(names: Iterable[str]) -> Iterator[str]:
    yield from (f"{SCORES}: {finding}" for name in names for finding in _private_texts(name, "name of a video"))


def _close(stated: float | None, number: float | None) -> bool:
    if stated is None or number is None:
        return stated is number
    return math.isclose(stated, number, rel_tol=0, abs_tol=CLOSE)
