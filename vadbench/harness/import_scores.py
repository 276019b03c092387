"""Recorded scores: what somebody else computed, measured here and made a run folder like any other."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from vadbench.base.errors import ConfigError
from vadbench.base.files import locked
from vadbench.base.ground_truth import Truth, VideoTruth
from vadbench.base.hashing import digest, file_digest
from vadbench.base.needs import Supervision
from vadbench.base.types import Progress, silent
from vadbench.data.annotations.truth_files import truth_digest
from vadbench.data.timed_frames import stated_rates
from vadbench.dataset import Dataset, Video
from vadbench.harness import environment
from vadbench.harness.provision import manifest_entry
from vadbench.harness.recorded_rows import find_stride, lay, matched, truth_agreement
from vadbench.harness.rules import changed_rules, divide_assignments, find_truth, open_dataset, under_truth
from vadbench.metrics.definitions import coarse_remark
from vadbench.metrics.event_counts import event_threshold
from vadbench.metrics.measurement import measure
from vadbench.metrics.scenarios import by_scenario
from vadbench.plugins.registry import Registry
from vadbench.records.costs import video_hours
from vadbench.records.folders import Outcome, RunFolder, write_record
from vadbench.records.keys import EDITION, evaluation_key
from vadbench.records.plots import save_pictures
from vadbench.records.record import COMPUTED_BY_OTHERS, SCORES, RecordedSource, RunRecord, SplitRecord, recorded_words
from vadbench.records.scores import save_split
from vadbench.scoring.given_scores import GivenScores, runs_of
from vadbench.scoring.protocol import protocol
from vadbench.scoring.score_files import read_scores
from vadbench.scoring.split import ScoredSplit

RECORDED = "recorded"
"""Version of a method whose scores were imported."""


@dataclass(frozen=True)
class ScoresRequest:
    """The request of a user; the fields are the options of ``vadbench import-scores``.

    ``post`` is the post-processing that the authors of the method apply. ``tolerance`` is in frames.
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
    supervision: Supervision = "weak"
    trained_on: str | None = None
    source: RecordedSource = field(default_factory=RecordedSource)
    out: Path = Path("results/runs")


def import_scores(request: ScoresRequest, registry: Registry, progress: Progress = silent) -> Outcome:
    """Read scores, measure them, and leave a run folder; nothing is written unless all of it can be read.

    Raises:
        VadbenchError: an option or a file cannot be used.
    """
    kind = registry.dataset(request.dataset)
    preset = protocol(request.protocol_name, registry)
    own, assigned = divide_assignments(request.assignments)
    if own:
        raise ConfigError(f"scores have no settings but those of the protocol, found --set {own[0]}")
    rules = changed_rules(
        preset, request.dataset, assigned, post=request.post, partition=request.partition, truth=request.truth
    )
    named = preset.on(request.dataset, post=rules.post)
    carried = bool(rules.truth) and any(_same_file(rules.truth, path) for path in request.paths)
    dataset = open_dataset(kind, request.data_root, rules.partition)
    if rules.truth and not carried:
        dataset.adopt(find_truth(dataset, rules.truth))
    progress("reading scores", 0, 1)
    if carried:
        given = read_scores(request.paths, [])
        dataset.adopt(_truth_of(given, Path(rules.truth), request.stride))
    videos = _videos(dataset, rules.boundaries, rules.subset)
    given = read_scores(request.paths, [v.name for v in videos])
    progress("reading scores", 1, 1)
    rules = under_truth(rules, dataset)
    videos, notes = matched(given, videos, request.dataset, request.allow_incomplete)
    tolerance = request.tolerance
    stride, how = find_stride(given, videos, request.stride, rules.tolerance if tolerance is None else tolerance)
    laid = lay(given, videos, dataset.classes, stride, rules.tail, tolerance)
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
    content = {name: digest([s.values.tolist(), s.stride]) for name, s in sorted(given.items())}
    key = digest({"recorded": content, "stride": stride, "dataset": request.dataset})
    evaluation = evaluation_key(
        protocol=rules,
        dataset=request.dataset,
        classes=[[c.name, c.words] for c in dataset.classes.classes],
        manifest=test.manifest,
        dataset_code=registry.provenance("dataset", request.dataset).identity,
    )
    folder = RunFolder(request.out / request.dataset / request.name / key)
    if (found := folder.finished(evaluation)) is not None:
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
        trained_on=request.trained_on or request.dataset,
        seed=0,
        edition=EDITION,
        key=key,
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
            *(_source_notes(request.source)),
            f"a score every {stride} frames, {how}",
            *notes,
            *laid.notes,
            *([] if carried else truth_agreement(given, videos, stride)),
            *filter(None, [event_threshold(split).remark, coarse_remark(metrics)]),
        ],
        supervision=request.supervision,
        unit_scores=split.unit_scores,
        reads="recorded",
        recorded=request.source.model_copy(update={"files": _checksums(request.paths)}),
        environment=environment.describe(torch.device("cpu")),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    hours = video_hours(split.scores)
    record = record.model_copy(update={"compute": record.compute.model_copy(update={"video_hours": hours})})
    with locked(folder.path, f"run {key}"):
        place = folder.evaluation(evaluation)
        place.mkdir(parents=True, exist_ok=True)
        save_split(split, place / SCORES)
        save_pictures(split, metrics, place, f"{request.name} on {request.dataset}")
        write_record(place, record)
    return Outcome(place, record, reused=False)


def _videos(dataset: Dataset, boundaries: str, subset: str) -> Sequence[Video]:
    """Return the test videos; the lists of other splits need not be there."""
    listed = dataset.read_split("test", boundaries)
    return [v for v in listed if subset == "all" or dataset.is_single(v)]


def _same_file(truth: str, path: Path) -> bool:
    return os.path.exists(truth) and os.path.realpath(truth) == os.path.realpath(path)


def _truth_of(given: Mapping[str, GivenScores], path: Path, stride: int | None) -> Truth:
    """Return the ground truth that files of scores carry.

    Raises:
        ConfigError: they carry none.
    """
    videos = {}
    for name, own in given.items():
        if own.truth is None and own.labels is None:
            raise ConfigError(f"{own.where} carries no ground truth; name another file with --truth, or leave it out")
        if own.truth is not None:
            videos[name] = own.truth
        elif own.labels is not None:
            segments = runs_of(own.labels.repeat(own.stride or stride or 1))
            videos[name] = VideoTruth(segments, own.frames, own.where)
    return Truth(f"{path.name}@{truth_digest(videos)}", videos)


def _checksums(paths: Sequence[Path]) -> dict[str, str]:
    """Return the SHA-256 of each file by its name, of a folder that of the digests of all files in it."""
    found = {}
    for path in paths:
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.is_file())
            found[path.name] = digest([[p.relative_to(path).as_posix(), file_digest(p)] for p in files])
        else:
            found[path.name] = file_digest(path)
    return found


def _source_notes(source: RecordedSource) -> list[str]:
    saw = f"its models had seen: {source.saw}" if source.saw else "what its models had seen before is not stated"
    return [f"{COMPUTED_BY_OTHERS}: {recorded_words(source)}", saw]
