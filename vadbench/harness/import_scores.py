"""Recorded scores: what somebody else computed, measured here and made a run folder like any other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from vadbench.base.errors import ConfigError, shortened
from vadbench.base.files import locked, make_folder
from vadbench.base.hashing import digest, file_digest
from vadbench.base.locations import without_folders
from vadbench.base.needs import Supervision
from vadbench.base.text import spaced
from vadbench.base.types import Progress, silent
from vadbench.data.timed_frames import stated_rates
from vadbench.harness import environment
from vadbench.harness.carried_truth import is_carried, under_carried
from vadbench.harness.evaluate import cut_segments
from vadbench.harness.provision import manifest_entry
from vadbench.harness.recorded_rows import aliases, find_stride, lay, matched, truth_agreement
from vadbench.harness.rules import changed_rules, divide_assignments, open_dataset, under_truth
from vadbench.metrics.definitions import coarse_remark
from vadbench.metrics.event_counts import event_threshold
from vadbench.metrics.measurement import measure
from vadbench.metrics.scenarios import by_scenario
from vadbench.plugins.hookspecs import NAME
from vadbench.plugins.registry import Registry
from vadbench.records.costs import video_hours
from vadbench.records.folders import Outcome, RunFolder, write_record
from vadbench.records.keys import EDITION, evaluation_key
from vadbench.records.plots import save_pictures
from vadbench.records.record import COMPUTED_BY_OTHERS, SCORES, RecordedSource, RunRecord, SplitRecord, recorded_words
from vadbench.records.scores import save_split
from vadbench.scoring.given_scores import GivenScores
from vadbench.scoring.protocol import protocol
from vadbench.scoring.score_files import files_of, read_scores
from vadbench.scoring.split import ScoredSplit

RECORDED = "recorded"
"""Version of a method whose scores were imported."""


@dataclass(frozen=True)
class ScoresRequest:
    """The request of a user; the fields are the options of ``vadbench import-scores``.

    ``post`` is the post-processing that the authors of the method apply. ``tolerance`` is in frames. Without
    ``supervision`` it is weak, without ``trained_on`` the data set that was scored.
    """

    name: str
    dataset: str
    paths: Sequence[Path]
    data_root: Path | None = None
    protocol_name: str = "native"
    assignments: Sequence[str] = ()
    partition: str | None = None
    truth: str | None = None
    post: str | None = None
    stride: int | None = None
    tolerance: int | None = None
    allow_incomplete: bool = False
    supervision: Supervision | None = None
    trained_on: str | None = None
    source: RecordedSource = field(default_factory=RecordedSource)
    out: Path = Path("results/runs")


def import_scores(request: ScoresRequest, registry: Registry, progress: Progress = silent) -> Outcome:
    """Read scores, measure them, and leave a run folder; nothing is written unless all of it can be read.

    Raises:
        VadbenchError: an option or a file cannot be used.
    """
    _require_names(request)
    kind = registry.dataset(request.dataset)
    preset = protocol(request.protocol_name, registry)
    own, assigned = divide_assignments(request.assignments)
    if own:
        raise ConfigError(f"scores have no settings but those of the protocol, found --set {own[0]}")
    rules = changed_rules(
        preset, request.dataset, assigned, post=request.post, partition=request.partition, truth=request.truth
    )
    named = preset.on(request.dataset, post=rules.post)
    carried = is_carried(rules.truth, request.paths)
    progress("reading scores", 0, 1)
    if carried:
        dataset = under_carried(request.paths, kind, request.data_root, rules, request.stride)
    else:
        dataset = open_dataset(kind, request.data_root, rules.partition, rules.truth, request.allow_incomplete)
    rules = under_truth(rules, dataset, assigned.get("tail"))
    every = dataset.read_split("test", rules.boundaries)
    given = read_scores(request.paths, [v.name for v in every], aliases(every))
    content = {name: _digest(own) for name, own in sorted(given.items())}
    progress("reading scores", 1, 1)
    wanted = [v for v in every if rules.subset == "all" or dataset.is_single(v)]
    left_out = {v.name for v in every} - {v.name for v in wanted}
    given = {name: own for name, own in given.items() if name not in left_out}
    videos, notes = matched(given, wanted, request.dataset, request.allow_incomplete)
    stride, how = find_stride(given, videos, request.stride)
    laid = lay(given, videos, dataset.classes, stride, rules, request.tolerance)
    rates = stated_rates(videos)
    split = ScoredSplit(
        [replace(s, rate=rates.get(s.name, dataset.frame_rate)) for s in laid.scores],
        videos,
        stride,
        dataset.classes,
        rules,
        request.dataset in preset.normal_segments,
        all(s.anomaly.min() >= 0 and s.anomaly.max() <= 1 for s in laid.scores),
        by_class=dataset.by_class,
    )
    test = SplitRecord(
        videos=len(videos),
        expected=dataset.sizes["test"],
        abnormal=sum(not dataset.is_normal(v) for v in videos),
        manifest=digest([manifest_entry(v) for v in videos]),
        frames=split.rows.total,
        positives=int(split.rows.positives.sum()),
    )
    key = digest({"method": request.name, "recorded": content, "stride": stride, "dataset": request.dataset})
    code = registry.provenance("dataset", request.dataset)
    evaluation = evaluation_key(
        protocol=rules,
        dataset=request.dataset,
        classes=[[c.name, c.words] for c in dataset.classes.classes],
        manifest=test.manifest,
        dataset_code=code.identity,
    )
    folder = RunFolder(request.out / request.dataset / request.name / key)
    found = folder.finished(evaluation)
    stated = _stated(request, found)
    if found is not None and all(getattr(found, name) == value for name, value in stated.items()):
        return Outcome(folder.evaluation(evaluation), found, reused=True)
    progress("measuring", 0, 1)
    metrics, scenarios = measure(split), by_scenario(split)
    progress("measuring", 1, 1)
    changed = [f"protocol.{n}" for n in type(rules).model_fields if getattr(rules, n) != getattr(named, n)]
    record = RunRecord(
        status="finished",
        method=request.name,
        method_version=RECORDED,
        dataset=request.dataset,
        seed=0,
        edition=EDITION,
        key=key,
        group=key,
        evaluation=evaluation,
        protocol=rules.model_dump(mode="json"),
        metrics=metrics,
        scenarios=scenarios,
        config={},
        changed=changed,
        method_post=rules.post,
        fingerprint={},
        clip={},
        data={"test": test},
        notes=[
            *_source_notes(stated["recorded"]),
            f"a score {spaced(stride)}, {how}",
            *notes,
            *laid.notes,
            *([] if carried else truth_agreement(given, videos, stride)),
            *(without_folders(p, [dataset.root, Path.cwd(), Path.home()]) for p in dataset.problems),
            *cut_segments(split),
            *filter(None, [event_threshold(split).remark, coarse_remark(metrics)]),
        ],
        code={"dataset": code},
        unit_scores=split.unit_scores,
        reads="recorded",
        environment=environment.describe(torch.device("cpu")),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        **stated,
    )
    hours = video_hours(split.scores)
    record = record.model_copy(update={"compute": record.compute.model_copy(update={"video_hours": hours})})
    with locked(folder.path, f"run {key}"):
        place = folder.evaluation(evaluation)
        make_folder(place)
        save_split(split, place / SCORES)
        after = f", {rules.post}" if rules.post else ""
        save_pictures(split, metrics, place, f"{request.name} on {request.dataset}{after}")
        write_record(place, record)
    return Outcome(place, record, reused=False)


def _require_names(request: ScoresRequest) -> None:
    """Raise if a name cannot be one of a folder.

    Raises:
        ConfigError: says which.
    """
    for option, name in (("--name", request.name), ("--trained-on", request.trained_on)):
        if name is not None and not re.fullmatch(NAME, name):
            raise ConfigError(
                f"{option} must be letters, digits, '.', '_' and '-', the first a letter or a digit, found"
                f" {shortened(name)}"
            )


def _digest(own: GivenScores) -> str:
    """Return a digest of all that is measured of the scores of a video."""
    classes = {} if own.classes is None else {name: values.tolist() for name, values in own.classes.items()}
    return digest([own.values.tolist(), own.values.dtype.name, own.stride, *([classes] if classes else [])])


def _stated(request: ScoresRequest, found: RunRecord | None) -> dict[str, Any]:
    """Return what the user says of the scores, as fields of the record; what is not said stays as an earlier import of
    the same scores has it."""
    before = found.recorded if found is not None and found.recorded is not None else None
    said = {name: text for name, text in request.source.model_dump(exclude={"files"}).items() if text}
    origin = before or RecordedSource(files=_checksums(request.paths))
    return {
        "recorded": origin.model_copy(update=said),
        "supervision": request.supervision or (found.supervision if found else "weak"),
        "trained_on": request.trained_on or (found.trained_on if found else request.dataset),
    }


def _checksums(paths: Sequence[Path]) -> dict[str, str]:
    """Return the SHA-256 of each file by its name, of a folder a digest of those of the files of scores in it."""
    found: dict[str, str] = {}
    for path in paths:
        below = [[p.relative_to(path).as_posix(), file_digest(p)] for p in files_of(path)] if path.is_dir() else []
        name = path.resolve().name
        found[name if name not in found else f"{name} ({len(found)})"] = digest(below) if below else file_digest(path)
    return found


def _source_notes(source: RecordedSource) -> list[str]:
    saw = f"its models had seen: {source.saw}" if source.saw else "what its models had seen before is not stated"
    return [f"{COMPUTED_BY_OTHERS}: {recorded_words(source)}", saw]
