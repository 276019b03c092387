"""Directives that write tables from the code, so that the documentation cannot fall behind it.

{vadbench-settings} METHOD     every setting of a method, its default, choices and meaning
{vadbench-defaults} METHOD     what differs per data set
{vadbench-recipe}              every setting of a recipe, and whether a group of parameters has it too
{vadbench-metrics}             every metric's definition
{vadbench-record}              every field of result.json
{vadbench-protocols}           every field of a protocol, and what the presets say
{vadbench-benchmark} CLASS     every entry of a part of a benchmark file
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from docutils import nodes
from pydantic.fields import FieldInfo
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from vadbench.base.config import field_choices, field_descriptions, of_field, resolve
from vadbench.base.naming import flatten, written
from vadbench.base.recipe import GroupRecipe, Recipe
from vadbench.benchmarks import schema as benchmark_schema
from vadbench.metrics.definitions import DEFINITIONS
from vadbench.plugins.registry import installed
from vadbench.records.record import RunRecord
from vadbench.scoring.protocol import Protocol, ProtocolPreset
from vadbench.scoring.protocol import protocols as registered_protocols
from vadbench.testing import dataset_checks, method_checks


def settings(method: str) -> str:
    """A method's settings as a Markdown table."""
    config = installed().method_config(method)
    meanings, choices = field_descriptions(config), field_choices(config)
    return _table(
        ["setting", "default", "meaning"],
        [
            [f"`{name}`", _code(value), of_field(name, meanings) + _choices(choices.get(name, ""))]
            for name, value in flatten(resolve(config, {}, environment={}).model_dump(mode="json"))
        ],
    )


def defaults(method: str) -> str:
    """What a method's settings are on each data set that has its own, as a Markdown table."""
    rows = [
        [f"`{dataset}`", ", ".join(f"`{name}={written(value)}`" for name, value in flatten(changes))]
        for dataset, changes in installed().method_config(method).dataset_defaults.items()
    ]
    return _table(["data set", "settings of its own"], rows) if rows else "None of the data sets has its own."


def recipe() -> str:
    """Every setting of a recipe as a Markdown table."""
    meanings, choices = field_descriptions(Recipe), field_choices(Recipe)
    return _table(
        ["setting", "default", "of a group", "meaning"],
        [
            [
                f"`recipe.{name}`",
                _code(field.get_default()),
                "yes" if name in GroupRecipe.model_fields else "",
                meanings[name] + _choices(choices.get(name, "")),
            ]
            for name, field in Recipe.model_fields.items()
        ],
    )


def metrics() -> str:
    """Every metric's definition as a Markdown table."""
    return _table(
        ["key", "better", "definition"], [[f"`{d.key}`", d.better or "-", d.text] for d in DEFINITIONS.values()]
    )


def record() -> str:
    """Every field of a run's record as a Markdown table."""
    schema = RunRecord.model_json_schema()
    return _table(
        ["field", "type", "always there"],
        [
            [f"`{name}`", _type(field), "yes" if name in schema["required"] else "no"]
            for name, field in schema["properties"].items()
        ],
    )


def protocols() -> str:
    """Every field of a protocol as a Markdown table, with a column for each that is registered."""
    presets = registered_protocols()
    return _table(
        ["field", *(f"`{name}`" for name in presets), "meaning"],
        [
            [f"`{name}`", *(_rule(p, name) for p in presets.values()), field.description or ""]
            for name, field in Protocol.model_fields.items()
            if name != "name"
        ],
    )


def benchmark(part: str) -> str:
    """Every entry of a part of a benchmark file, by the name of its class, as a Markdown table."""
    fields: dict[str, FieldInfo] = getattr(benchmark_schema, part).model_fields
    return _table(
        ["entry", "default", "meaning"],
        [
            [f"`{name}`", "needed" if f.is_required() else _default(f), (f.description or "").replace("``", "`")]
            for name, f in fields.items()
        ],
    )


def _default(field: FieldInfo) -> str:
    return "" if field.default in (None, {}) else _code(field.default)


def _rule(preset: ProtocolPreset, name: str) -> str:
    """What a protocol says, and what it says otherwise on single data sets, of the crop of ten."""
    crops = preset.crops if name == "crop" else {}
    said = "".join(f"; of ten crops `{crop}` on `{dataset}`" for dataset, crop in crops.items())
    own = {dataset: fields[name] for dataset, fields in preset.changes.items() if name in fields}
    said += "".join(f"; `{value}` on `{dataset}`" for dataset, value in own.items())
    return _code(getattr(preset.rules, name)) + said


def checks(kind: str) -> str:
    """Every conformance check of a kind of plugin as a Markdown table."""
    found = method_checks("random") if kind == "method" else dataset_checks("synthetic")
    return _table(["check", "what it asks"], [[f"`{check}`", check.about] for check in found])


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in lines)


def _escaped(cell: str) -> str:
    """Text for a place of a Markdown table; what stands in backquotes is left as it is."""
    pieces = cell.replace("|", "\\|").replace("\n", " ").split("`")
    return "`".join(piece if i % 2 else piece.replace("<", "\\<").replace("*", "\\*") for i, piece in enumerate(pieces))


def _code(value: Any) -> str:
    return f"`{written(value)}`" if value != "" else ""


def _choices(text: str) -> str:
    return f" ({text})" if text else ""


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(option) for option in field["anyOf"])
    if "$ref" in field:
        return field["$ref"].rpartition("/")[2]
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    inner = field.get("items", field.get("additionalProperties"))
    return f"{field['type']} of {_type(inner)}" if isinstance(inner, dict) and inner else str(field.get("type", "any"))


class _Generated(SphinxDirective):
    optional_arguments = 1
    make: Callable[..., str]

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(type(self).make(*self.arguments))


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    for make in (settings, defaults, recipe, metrics, record, checks, protocols, benchmark):
        directive = type(f"_{make.__name__}", (_Generated,), {"make": staticmethod(make)})
        app.add_directive(f"vadbench-{make.__name__}", directive)
    return {"parallel_read_safe": True}
