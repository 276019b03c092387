"""The settings of installed methods that are tried: the defaults, the other values of choices, those of benchmarks.

They are taken from the plugins themselves, so that a method or an ablation that is added is tried as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from vadbench.base.config import resolve
from vadbench.base.errors import VadbenchError
from vadbench.base.method_config import MethodConfig, Recipe, Rows
from vadbench.benchmarks.parser import assignments, open_benchmark
from vadbench.plugins.registry import installed

HOME = "synthetic"
_NOT_OURS = ("recipe", "rows", "protocol")


@cache
def variants(name: str) -> dict[str, MethodConfig]:
    """The configurations of a method on ``synthetic`` by what they change, the defaults first, without repetitions."""
    found: dict[str, MethodConfig] = {}
    seen: set[str] = set()
    kind = installed().method_config(name)
    for changed in [(), *_choices(kind), *_of_benchmarks(name)]:
        try:
            config = resolve(kind, kind.dataset_defaults.get(HOME, {}), environment={}, assignments=changed)
        # A choice may need another one beside it; benchmarks have those that are of use.
        except VadbenchError:
            continue
        text = json.dumps(config.model_dump(mode="json"), sort_keys=True)
        if text not in seen:
            seen.add(text)
            found[",".join(changed) or "defaults"] = config
    return found


def _choices(kind: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, ...]]:
    """Assignments of one other value each: of a flag, or of a setting with a few values by name."""
    for name, field in kind.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Recipe | Rows):
            continue
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _choices(annotation, f"{prefix}{name}.")
        elif annotation is bool:
            yield from ((f"{prefix}{name}={value}",) for value in ("true", "false"))
        elif get_origin(annotation) is Literal:
            yield from ((f"{prefix}{name}={_toml(value)}",) for value in get_args(annotation))


def _of_benchmarks(name: str) -> Iterator[tuple[str, ...]]:
    """Assignments of the rows of installed benchmarks, without those that say how long and on what is trained."""
    for benchmark in (open_benchmark(found, installed()) for found in installed().specs("benchmark")):
        for table in benchmark.tables:
            for row in (row for row in table.rows if row.method == name):
                own = {**table.set, **row.set}
                yield tuple(assignments((k, v) for k, v in own.items() if not (_is_size(v) or k.startswith(_NOT_OURS))))


def _is_size(value: Any) -> bool:
    """Whether a value makes a model larger or smaller; 0 leaves a part of it out."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value != 0


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else json.dumps(value)
