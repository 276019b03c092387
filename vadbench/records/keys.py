"""Keys that name trainings and evaluations: the values that change their results, hashed.

A key must not change when vadbench learns something new, and must change when a result would. So a field that was added
to settings after they were first released declares the value it was introduced with (:class:`Introduced`), and is left
out of keys while it has it; every other value is hashed, default or not. Adding a field changes no key, changing a
default does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from vadbench.base.fields import Introduced, members_of, named_fields
from vadbench.base.hashing import digest
from vadbench.base.naming import same

M = TypeVar("M", bound=BaseModel)

EDITION = 2
"""Raised when a change of the core changes the results of every training or evaluation; part of every key. The second
gave each random draw a generator of its own."""


def key_values(settings: BaseModel) -> dict[str, Any]:
    """Return settings as part of a key: plain values, without fields at the value they were introduced with."""
    # As they are, not as they are declared: what a subclass of a declared type adds counts as well.
    pruned = _pruned(settings, settings.model_dump(mode="json", serialize_as_any=True))
    assert isinstance(pruned, dict)
    return pruned


def restored(model: type[M], values: Mapping[str, Any]) -> M:
    """Return settings from a record or a checkpoint, which may be older than some of their fields.

    A field that is missing has the value it was introduced with, whatever its default is by now.

    Raises:
        pydantic.ValidationError: a field is unknown, or missing without such a value, or has a wrong value.
    """
    return model.model_validate(_filled(model, values))


def training_key(
    *,
    method: str,
    version: str,
    config: BaseModel,
    classes: Sequence[Any],
    manifest: str,
    fingerprint: str,
    clip: str,
    subset: str,
    selection: str,
    seed: int | None,
    dataset_code: str = "",
    streams: Mapping[str, Any] | None = None,
) -> str:
    """Return the key of a training: everything that changes its weights, nothing about where it ran.

    Args:
        method, version: the method's name, and its version with the identity of third-party code.
        config: its settings.
        classes: the class table, of whose words prompts are made.
        manifest: digest of the training videos and their labels; empty without training videos.
        fingerprint: digest of what made the features.
        clip: SHA-256 of CLIP's weights.
        subset, selection: of the protocol, those fields that shape the training.
        seed: of the run; ``None`` gives the key that all seeds of an experiment share.
        dataset_code: identity of the data set's code where it is a third party's.
        streams: what is recorded of the streams beside the first, by name.
    """
    parts = {
        "edition": EDITION,
        "method": method,
        "version": version,
        "config": key_values(config),
        "classes": classes,
        "manifest": manifest,
        "fingerprint": fingerprint,
        "clip": clip,
        "subset": subset,
        "selection": selection,
        "seed": seed,
    }
    added = {"dataset_code": dataset_code, "streams": streams}
    return digest(parts | {name: value for name, value in added.items() if value})


def evaluation_key(
    *,
    protocol: BaseModel,
    dataset: str,
    classes: Sequence[Any],
    manifest: str,
    dataset_code: str = "",
    retargeted: bool = False,
) -> str:
    """Return the key of an evaluation of a training: the rules and the test videos with their ground truth.

    Args:
        protocol: the rules.
        dataset: name of the data set that is tested on.
        classes: its class table.
        manifest: digest of the test videos and their annotation.
        dataset_code: as in :func:`training_key`.
        retargeted: the training was made for other classes, and its method scored those of this data set.
    """
    parts = {
        "edition": EDITION,
        "protocol": key_values(protocol),
        "dataset": dataset,
        "classes": classes,
        "manifest": manifest,
    }
    later = {"dataset_code": dataset_code, "retargeted": retargeted}
    return digest(parts | {name: value for name, value in later.items() if value})


def _marker(info: FieldInfo) -> Introduced | None:
    return next((mark for mark in info.metadata if isinstance(mark, Introduced)), None)


def _pruned(value: Any, dumped: Any) -> Any:
    """Return ``dumped`` without fields at the value of their introduction, in all settings inside ``value``."""
    if isinstance(value, BaseModel) and isinstance(dumped, dict):
        kept = {}
        for attribute, info in type(value).model_fields.items():
            mark, own, name = _marker(info), getattr(value, attribute), info.alias or attribute
            if name in dumped and not (mark is not None and same(own, mark.value)):
                kept[name] = _pruned(own, dumped[name])
        return kept
    if isinstance(value, Mapping) and isinstance(dumped, dict):
        return {name: _pruned(own, dumped[str(name)]) if str(name) in dumped else own for name, own in value.items()}
    if isinstance(value, list | tuple) and isinstance(dumped, list) and len(value) == len(dumped):
        return [_pruned(own, plain) for own, plain in zip(value, dumped, strict=True)]
    return dumped


def _filled(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    filled = dict(values)
    for name, info in named_fields(model).items():
        mark = _marker(info)
        if name in filled:
            filled[name] = _filled_as(info.annotation, filled[name])
        elif mark is not None:
            filled[name] = mark.value
    return filled


def _filled_as(annotation: Any, value: Any) -> Any:
    """Return a plain value of a field with the settings in it filled, wherever the annotation has them."""
    for member in members_of(annotation):
        kind, arguments = get_origin(member) or member, get_args(member)
        if not isinstance(kind, type):
            continue
        if issubclass(kind, BaseModel) and isinstance(value, Mapping):
            # Of several kinds of settings it is the first that has all these fields.
            if value.keys() <= named_fields(kind).keys():
                return _filled(kind, value)
        elif issubclass(kind, Mapping) and isinstance(value, Mapping) and arguments:
            return {name: _filled_as(arguments[1], own) for name, own in value.items()}
        elif issubclass(kind, list | tuple) and isinstance(value, list | tuple) and arguments:
            each = (
                arguments if len(arguments) == len(value) and arguments[-1] is not ... else arguments[:1] * len(value)
            )
            return [_filled_as(one, own) for one, own in zip(each, value, strict=True)]
    return value
