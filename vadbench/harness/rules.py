"""The rules of an evaluation and the data set under them, as a user asks for both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from vadbench.base.config import parse_assignment
from vadbench.base.errors import ConfigError, DataError, UnknownNameError, did_you_mean, first_complaint
from vadbench.base.files import make_folder
from vadbench.base.ground_truth import Truth
from vadbench.base.locations import cache_root, find_data_root
from vadbench.data.annotations.truth_files import read_truth
from vadbench.dataset import Dataset, Split
from vadbench.scoring.post_steps import canonical_post
from vadbench.scoring.protocol import Protocol, ProtocolPreset

PREFIX = "protocol."
"""Beginning of the names of a protocol's fields where settings are given."""


class Assignments(NamedTuple):
    """What ``--set`` changes: settings of the method as they are, and fields of the protocol with their values."""

    of_method: Sequence[str]
    of_protocol: Mapping[str, Any]


def divide_assignments(texts: Iterable[str]) -> Assignments:
    """Tell the settings of a method from fields of the protocol, ``protocol.FIELD=VALUE``.

    Raises:
        ConfigError: one has another form, or the protocol has no such field.
    """
    own, rules = [], {}
    for text in texts:
        if not text.startswith(PREFIX):
            own.append(text)
            continue
        for name, value in parse_assignment(text):
            field = name.removeprefix(PREFIX)
            if field not in Protocol.model_fields or field == "name":
                known = [f for f in Protocol.model_fields if f != "name"]
                raise ConfigError(f"the protocol has no field '{field}' to set{did_you_mean(field, known)}")
            rules[field] = value
    return Assignments(own, rules)


def changed_rules(
    preset: ProtocolPreset, dataset: str, assigned: Mapping[str, Any], trained: bool = True, **options: str | None
) -> Protocol:
    """Return a protocol on a data set with the changes of a user.

    Args:
        preset: the protocol.
        dataset: name of the data set.
        assigned: fields that ``--set`` changes.
        trained: as in :meth:`vadbench.scoring.protocol.ProtocolPreset.on`.
        options: fields that have an option of their own, as that gives them; ``None`` leaves one as it is.

    Raises:
        ConfigError: a field is given twice, takes no such value, or has no effect.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if both := [name for name in given if name in assigned]:
        raise ConfigError(f"an option and a setting both give {PREFIX}{both[0]}; leave one out")
    changes = {**assigned, **given}
    if isinstance(post := changes.get("post"), str):
        changes["post"] = canonical_post(post)
    try:
        rules = preset.on(dataset, trained, **changes)
    except ValidationError as error:
        raise ConfigError(f"protocol.{first_complaint(error)}") from error
    if assigned.get("judge") and not rules.judge:
        raise ConfigError(
            f"protocol.judge has no effect with selection {rules.selection}, which looks at no test frames; leave it"
            " out, or choose best-on-test"
        )
    return rules


def open_dataset(
    kind: type[Dataset], root: Path | None, partition: str = "", truth: str | Truth = "", partial: bool = False
) -> Dataset:
    """Return a data set at its root, divided as asked and with the ground truth that is asked for.

    Args:
        kind: its class.
        root: the folder that the user names, if any.
        partition: name of a division into splits; empty for its own.
        truth: name of a variant of its ground truth, path of a file, or what was read from one; empty for its own.
        partial: go on without the test videos that it lacks.

    Raises:
        UnknownNameError: it has no such partition, or no such ground truth.
        DataError: there is no root, or the ground truth cannot be read.
    """
    dataset = kind(root_of(kind, root, bool(truth)))
    dataset.divide(partition)
    dataset.partial_truth = partial
    if truth:
        dataset.adopt(find_truth(dataset, truth) if isinstance(truth, str) else truth)
    return dataset


def require_unseen(dataset: Dataset, partition: str) -> None:
    """Raise if a training in another division of a data set saw videos that are test videos in the present one.

    Args:
        dataset: divided as it is to be evaluated.
        partition: the division that the training was made in.

    Raises:
        ConfigError: it did; says how many.
        UnknownNameError: the data set has no such division any more.
        DataError: a list of either division cannot be read.
    """
    if partition == dataset.partition:
        return
    trained = type(dataset)(dataset.root)
    trained.divide(partition)
    seen = {v.name for split in trained.splits if split != "test" for v in trained.videos(split)}
    tested = [v.name for v in dataset.videos("test")]
    if both := [name for name in tested if name in seen]:
        made, here = (f"partition {name}" if name else "its own division" for name in (partition, dataset.partition))
        raise ConfigError(
            f"the training saw {len(both)} of the {len(tested)} test videos, the first is {both[0]!r}: it was made on"
            f" {dataset.name} in {made}, and is to be tested in {here}; train again in {here}"
        )


def root_of(kind: type[Dataset], given: Path | None, truth: bool) -> Path:
    """Return the folder of a data set; an empty one in the cache stands for it where the ground truth is enough.

    Args:
        kind: its class.
        given: the folder that the user names, if any.
        truth: whether there is another ground truth than its own.

    Raises:
        DataError: there is none; says where it is looked for.
    """
    try:
        return find_data_root(kind.name, kind.makes_itself, given)
    except DataError:
        if kind.root_needed or not truth:
            raise
        return make_folder(cache_root() / "datasets" / kind.name)


def find_truth(dataset: Dataset, asked: str) -> Truth:
    """Return a ground truth by the name of a variant or the path of a file.

    Raises:
        UnknownNameError: the data set has no such variant, and there is no such file.
        DataError: it cannot be read.
    """
    if asked in dataset.truths:
        return dataset.truth(asked)
    if Path(asked).exists():
        return read_truth(Path(asked))
    raise UnknownNameError(f"ground truth of {dataset.name}, or file,", asked, dataset.truths)


def under_truth(rules: Protocol, dataset: Dataset, wish: str | None = None) -> Protocol:
    """Return rules with the name of the ground truth that a data set has taken, and the rule that it demands.

    Args:
        rules: without them.
        dataset: the data set; where its ground truth demands another rule than the user's, it has a remark on that.
        wish: the user's rule for the last frames, if any.
    """
    if (truth := dataset.other_truth) is None:
        return rules
    named = _named(rules, type(dataset), truth.name)
    if wish not in (None, named.tail):
        said = f"protocol.tail={wish} has no effect: the ground truth {truth.name} means nothing but with {named.tail}"
        dataset.adopt(replace(truth, notes=(*truth.notes, said)))
    return named


def recorded_rules(rules: Protocol, kind: type[Dataset]) -> Protocol:
    """Return the rules that a run on a data set records where these are asked for; its root is not looked at.

    Raises:
        DataError: a file that is asked for as the ground truth cannot be read.
    """
    if rules.truth and rules.truth not in kind.truths:
        return _named(rules, kind, read_truth(Path(rules.truth)).name)
    return _named(rules, kind, rules.truth)


def _named(rules: Protocol, kind: type[Dataset], truth: str) -> Protocol:
    tail = kind.truths[truth].tail if truth in kind.truths else ""
    return rules.model_copy(update={"truth": truth, **({"tail": tail} if tail else {})})


def splits_of(kind: type[Dataset], partition: str) -> tuple[Split, ...]:
    """Return the splits that a data set has in a division; an empty name is its own.

    Raises:
        UnknownNameError: it has no such division.
    """
    if not partition:
        return tuple(kind.expected)
    if partition not in kind.partitions:
        raise UnknownNameError(f"partition of {kind.name}", partition, kind.partitions)
    return tuple(kind.partitions[partition].expected)
