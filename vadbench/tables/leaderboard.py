"""Leaderboards: rank every finished run, but only among those that were measured in the same way."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from statistics import fmean
from typing import get_args

from vadbench.base.errors import RunError, UnknownNameError
from vadbench.base.hashing import digest
from vadbench.base.needs import Supervision
from vadbench.base.types import Progress, silent
from vadbench.metrics.blind import BLIND
from vadbench.metrics.definitions import COMPARED, canonical, definition
from vadbench.records.record import seed_values
from vadbench.records.titles import content_digest
from vadbench.scoring.protocol import NATIVE, Protocol, protocols
from vadbench.tables import table as model
from vadbench.tables.blind_rows import with_blind_rows
from vadbench.tables.cost_columns import with_costs
from vadbench.tables.evaluations import RECORDED, Evaluation, RankingGroup, by_seed, made, settings_note, titled
from vadbench.tables.paper import clip_words
from vadbench.tables.standing import Resamples, TablePlace, column, resample

SeedRuns = Sequence[Evaluation]
"""Runs that differ only in their seed."""


@dataclass(frozen=True)
class Group:
    """Experiments that may be ranked together, the best first."""

    kind: RankingGroup
    rows: Sequence[SeedRuns]
    metric: str


def leaderboards(
    evaluations: Sequence[Evaluation],
    headline: Callable[[str], str],
    metric: str | None = None,
    progress: Progress = silent,
    costs: bool = False,
    with_recorded: bool = False,
    shown: Sequence[str] = COMPARED,
    supervision: Sequence[str] = (),
) -> tuple[list[model.Table], list[str]]:
    """Return a table for each group of runs that may be ranked together, and notes on what is not in them.

    Groups of a data set follow each other, the largest first; those whose weights were selected on the test set or
    whose data are incomplete come last. Below the rows that may be ranked, every table has those that look at no frame,
    from its ground truth; runs of the methods of their names are left out.

    Args:
        evaluations: from :func:`vadbench.tables.evaluations.collect`, at least one.
        headline: the metric that a data set is ranked by.
        metric: rank by this one instead; the first edition's spelling is accepted too.
        progress: called with the number of resampled runs.
        costs: add columns of what the runs cost.
        with_recorded: rank recorded scores beside the runs that share everything but the features with them; otherwise
            they have tables of their own.
        shown: the metrics of the columns.
        supervision: rank only methods that learn from one of these; from anything by default. What is learnt from
            divides no ranking otherwise, but that oracles have tables of their own.

    Raises:
        UnknownNameError: there is no such metric or supervision, or none of the runs has the metric.
        RunError: runs cannot be ranked by it, or there are only runs of methods that look at no frame, or of other
            supervision.
    """
    evaluations, notes = _without_blind(_supervised(evaluations, supervision))
    metric = None if metric is None else canonical(metric)
    if metric is not None and definition(metric).better is None:
        why = definition(metric).unranked
        raise RunError(f"runs cannot be ranked by {metric}: {why}; expected a metric such as AUC or AP")
    if metric is not None and not any(metric in run.record.metrics for run in evaluations):
        raise UnknownNameError("metric of these runs", metric, {m for run in evaluations for m in run.record.metrics})
    groups: dict[RankingGroup, list[SeedRuns]] = {}
    for seeds in by_seed(evaluations):
        groups.setdefault(seeds[0].kind, []).append(seeds)
    groups = _joined(groups) if with_recorded else groups
    ordered = sorted(groups.items(), key=lambda g: (g[0].apart, g[0].dataset, g[0].trained_on, -len(g[1]), str(g[0])))
    ranked = [_ranked(kind, rows, metric or headline(kind.dataset)) for kind, rows in ordered]
    shown = shown if metric is None or metric in shown else (metric, *shown)
    wanted = {run: shown for group in ranked for seeds in group.rows for run in seeds}
    resamples = resample(wanted, max(len(group.rows) for group in ranked), progress)
    tables = [_table(group, shown, resamples, costs) for group in ranked]
    if supervision:
        only = f"Only supervision {' or '.join(supervision)}."
        tables = [table.model_copy(update={"note": f"{table.note} {only}"}) for table in tables]
    return tables, [*notes, *resamples.notes]


def _joined(groups: Mapping[RankingGroup, Sequence[SeedRuns]]) -> dict[RankingGroup, list[SeedRuns]]:
    """Return the groups with recorded scores in each of those that differ from theirs in the features alone."""
    joined = {kind: list(rows) for kind, rows in groups.items()}
    for kind, rows in groups.items():
        hosts = [k for k in groups if k != kind and replace(k, family=kind.family, values=kind.values) == kind]
        if kind.family == RECORDED and hosts:
            del joined[kind]
            for host in hosts:
                joined[host] += rows
    return joined


def _supervised(evaluations: Sequence[Evaluation], wanted: Sequence[str]) -> Sequence[Evaluation]:
    """Return the evaluations of methods that learn from one of these, or all where none is named."""
    for name in wanted:
        if name not in get_args(Supervision):
            raise UnknownNameError("supervision", name, get_args(Supervision))
    kept = [run for run in evaluations if run.record.supervision in wanted] if wanted else evaluations
    if not kept:
        found = sorted({run.record.supervision for run in evaluations})
        raise RunError(f"no finished run has supervision {' or '.join(wanted)}, found {', '.join(found)}; name these")
    return kept


def _without_blind(evaluations: Sequence[Evaluation]) -> tuple[Sequence[Evaluation], list[str]]:
    """Return the evaluations of methods that look at something, and a note on the others."""
    kept = [run for run in evaluations if run.record.method not in BLIND]
    left_out = sorted({run.record.method for run in evaluations} & BLIND.keys())
    if not kept:
        raise RunError(
            f"only runs of {', '.join(left_out)}, which every leaderboard shows below its ranked rows without a run;"
            " run another method, such as random"
        )
    said = f"runs of {', '.join(left_out)} are left out: every table has these rows from its ground truth"
    return kept, [said] if left_out else []


def _ranked(kind: RankingGroup, rows: Sequence[SeedRuns], metric: str) -> Group:
    sign = -1 if definition(metric).better == "higher" else 1

    def place(seeds: SeedRuns) -> tuple[bool, float, str]:
        value = _mean(seeds, metric)
        return value is None, sign * (value or 0.0), _label(seeds)

    return Group(kind, sorted(rows, key=place), metric)


def _mean(seeds: SeedRuns, metric: str) -> float | None:
    values = seed_values((run.record for run in seeds), metric)
    return fmean(values) if values else None


def _table(group: Group, asked: Sequence[str], resamples: Resamples, costs: bool) -> model.Table:
    known = {metric for seeds in group.rows for run in seeds for metric in run.record.metrics}
    metrics = [metric for metric in asked if metric in known or metric == group.metric]
    absent = [metric for metric in asked if metric not in metrics]
    same_videos = resamples.same_videos(group.rows)
    # Rows of another ground truth come last and have no rank.
    ordered = [*compress(group.rows, same_videos), *compress(group.rows, (not same for same in same_videos))]
    places = {i: TablePlace(seeds) for i, seeds in enumerate(ordered)}
    columns = [column(places, metric, definition(metric).better, resamples) for metric in metrics]
    labels, ranked = _distinct(ordered), 0 if group.kind.oracle else sum(same_videos)
    rows = tuple(
        model.TableRow(
            label=labels[i],
            supervision=seeds[0].record.supervision,
            depends=seeds[0].record.depends,
            post=seeds[0].post,
            rank=i + 1 if i < ranked and _mean(seeds, group.metric) is not None else None,
            seeds=len(seeds),
            cells=tuple(model.TableCell(reproduced=found[i]) for found in columns),
            notes=settings_note(seeds),
        )
        for i, seeds in enumerate(ordered)
    )
    drawn = model.Table(
        title=_title(group.kind),
        note=_words(group),
        columns=tuple(_column(metric, group.kind.dataset) for metric in metrics),
        rows=rows,
        notes=(f"not measured in these runs: {', '.join(absent)}; vadbench rescore adds what is missing",)
        if absent
        else (),
        made=made(run for seeds in group.rows for run in seeds),
        group=_word(group.kind),
        protocol=group.kind.rules.name,
        backbone=_backbone(_measured_here(group)),
    )
    drawn = model.with_shared_notes(drawn)
    drawn = with_costs(drawn, ordered) if costs else drawn
    return with_blind_rows(drawn, [[seeds] * len(metrics) for seeds in ordered], resamples)


def _measured_here(group: Group) -> Evaluation:
    """Return a run of the group, one with features of its own if any has them."""
    return next((seeds[0] for seeds in group.rows if seeds[0].kind.family != RECORDED), group.rows[0][0])


def _column(metric: str, dataset: str) -> model.TableColumn:
    means = definition(metric)
    return model.TableColumn(title=means.title, dataset=dataset, metric=metric, definition=means.text, unit=means.unit)


def _title(kind: RankingGroup) -> str:
    apart = ["incomplete data"] if kind.incomplete else []
    apart += ["weights selected on the test set"] if kind.rules.selection == "best-on-test" else []
    apart += ["oracles"] if kind.oracle else []
    trained = "" if kind.trained_on == kind.dataset else f", trained on {kind.trained_on}"
    under = [f", {name} {value}" for name in ("truth", "partition") if (value := getattr(kind.rules, name))]
    return f"{kind.dataset}{trained}{''.join(under)}" + (
        f" ({', '.join(apart)}: not comparable with other tables)" if apart else ""
    )


def _word(kind: RankingGroup) -> str:
    """Return a word for a group that depends only on its conditions: protocol, selection and a digest of the rest."""
    rules = kind.rules.model_dump(mode="json", exclude_defaults=True)
    facts = [kind.dataset, kind.trained_on, kind.family, kind.videos, kind.abnormal, list(kind.incomplete)]
    selection = "" if kind.rules.selection == "last" else f"-{kind.rules.selection}"
    facts += ["oracle"] if kind.oracle else []
    facts += [kind.values] if kind.values else []
    return f"{kind.rules.name}{selection}-{digest([rules, *facts])[:8]}"


def _words(group: Group) -> str:
    """Return what the rows of a group have in common, in words."""
    kind = group.kind
    ranked = "Never ranked" if kind.oracle else f"Ranked by {group.metric}"
    return (
        f"{ranked}. {kind.videos} test videos, {kind.abnormal} of them abnormal. {_rules(kind.rules)}"
        f" Features {_features(_measured_here(group))}."
    )


def _features(run: Evaluation) -> str:
    made_of, kind = run.fingerprint, run.kind
    if kind.family == RECORDED:
        return "not known: recorded scores of others"
    if made_of is None:
        return f"none (family {kind.family})"
    clip = clip_words(run.record.clip.get("model", made_of.encoder), run.record.clip.get("weights", ""))
    origin = f"of CLIP {clip}" if made_of.known else "of unknown origin"
    shown = made_of.regions or f"{'crop' if len(made_of.crops) == 1 else 'crops'} {', '.join(made_of.crops)}"
    beside = "".join(f", stream {name} {s.dim} wide" for name, s in run.record.streams.items())
    values = f", values of the test videos {kind.values}" if kind.values else ""
    return f"{origin}, {shown}, {made_of.dtype}{beside} (family {kind.family}{values})"


def _backbone(run: Evaluation) -> str:
    """Return the encoder as papers call it.

    Papers mean OpenAI's weights if they do not say which.
    """
    if run.fingerprint is None:
        return "none"
    if not run.fingerprint.known:
        return "unknown"
    model = run.record.clip.get("model", run.fingerprint.encoder)
    weights = run.record.clip.get("weights", "")
    vit = re.match(r"ViT-([A-Za-z]+)-(\d+)", model)
    name = f"CLIP ViT-{vit[1]}/{vit[2]}" if vit else f"CLIP {model}"
    return name if weights in ("", "openai") else f"{name} {Path(weights).name}"


def _rules(rules: Protocol) -> str:
    """Return a protocol in words: its name, and the fields in which it differs from the registered one."""
    named = protocols().get(rules.name, NATIVE).rules
    fields = [f for f in Protocol.model_fields if f != "name"]
    changed = [f"{f.replace('_', ' ')} {getattr(rules, f)}" for f in fields if getattr(rules, f) != getattr(named, f)]
    return f"Protocol {rules.name}{' with ' if changed else ''}{', '.join(changed)}."


def _label(seeds: SeedRuns) -> str:
    """Return a method with its label or its changed settings; the rules are those of the group and not repeated."""
    title, recorded = titled(seeds), seeds[0].record.recorded is not None
    return f"{title}{' (imported weights)' if seeds[0].imported else ''}{' (recorded)' if recorded else ''}"


def _distinct(rows: Sequence[SeedRuns]) -> list[str]:
    """Return distinct labels, with the facts that distinguish rows whose settings are the same."""
    labels = [_label(seeds) for seeds in rows]
    facts = [_facts(seeds[0]) for seeds in rows]
    out = []
    for label, own in zip(labels, facts, strict=True):
        others = [other for name, other in zip(labels, facts, strict=True) if name == label]
        telling = [f"{name} {value}" for name, value in own.items() if len({o[name] for o in others}) > 1]
        out.append(f"{label} ({', '.join(telling)})" if telling else label)
    return out


def _facts(run: Evaluation) -> dict[str, str]:
    train, validation = (run.record.data.get(split) for split in ("train", "validation"))
    return {
        "version": run.record.method_version,
        "edition": str(run.record.edition),
        "settings": content_digest(run.record.config),
        "features": run.fingerprint.digest if run.fingerprint else run.record.reads,
        "training videos": train.manifest if train else "",
        "validation videos": validation.manifest if validation else "",
        "evaluation": run.record.evaluation,
        "scores": run.record.key[:8] if run.record.recorded is not None else "",
    }
