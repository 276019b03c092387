"""Read a benchmark file; every mistake in it is reported in one line, with the file and the line number."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from vadbench.base.config import SHOWN_BY, field_names, resolve
from vadbench.base.errors import ConfigError, PluginError, UnknownNameError, did_you_mean, listed
from vadbench.base.fields import is_known, known_settings
from vadbench.base.files import regular
from vadbench.base.naming import split_name
from vadbench.benchmarks.published_rows import row_candidates, row_numbers
from vadbench.benchmarks.recorded_settings import same_value, value_at
from vadbench.benchmarks.schema import (
    PROTOCOL,
    Benchmark,
    ColumnSpec,
    PublishedSpec,
    RowSpec,
    TableSpec,
)
from vadbench.benchmarks.toml_lines import TomlLines, TomlPath
from vadbench.plugins.registry import PluginKind, Registry
from vadbench.records.published import published_numbers
from vadbench.scoring.protocol import NATIVE

_ENTRIES: dict[Any, type[BaseModel]] = {
    "tables": TableSpec,
    "columns": ColumnSpec,
    "rows": RowSpec,
    "published": PublishedSpec,
}


def is_file(name: str) -> bool:
    """Return whether a benchmark is given by its file rather than by the name it is registered under."""
    return name.endswith(".toml") or "/" in name


def open_benchmark(name: str, registry: Registry, check_settings: bool = False) -> Benchmark:
    """Open a benchmark by the name it is registered under, or a user's own by the path of its ``.toml`` file.

    Args:
        name: the registered name or the path.
        registry: the methods and data sets that rows and columns may name.
        check_settings: import the methods and reject settings that they do not have. This imports torch, so it is off
            for making tables.

    Raises:
        UnknownNameError: no benchmark has this name.
        ConfigError: the file is missing, not TOML or has an invalid entry; the message has the file and the line.
        PluginError: the file of a registered benchmark is missing.
    """
    label, text = (name, _read(Path(name))) if is_file(name) else _registered(name, registry)
    try:
        content = tomllib.loads(text)
        lines = TomlLines(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _error(label, _line(error, text), f"not TOML: {_bare(error)}") from error
    try:
        benchmark = Benchmark.model_validate(content)
    except ValidationError as error:
        # A misspelt name explains the missing one, so it is reported first.
        found = sorted(error.errors(), key=lambda e: e["type"] == "missing")
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise _error(label, lines.line(found[0]["loc"]), _said(found[0]) + more) from error
    for place, complaint in _complaints(benchmark, registry, check_settings):
        raise _error(label, lines.line(place), complaint)
    return benchmark


def assignments(settings: Iterable[tuple[str, Any]]) -> list[str]:
    """Return a cell's settings as ``--set`` takes them, without those of the protocol."""
    return [f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in settings if not k.startswith(PROTOCOL)]


def protocol_changes(settings: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return the changes that a cell's settings make to the protocol."""
    return {k.removeprefix(PROTOCOL): v for k, v in settings if k.startswith(PROTOCOL)}


def _read(path: Path) -> str:
    try:
        return regular(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the benchmark file {path}: {error}") from error


def _registered(name: str, registry: Registry) -> tuple[str, str]:
    spec = registry.spec("benchmark", name)
    package, _, file = spec.target.partition(":")
    try:
        return file, files(package).joinpath(file).read_text(encoding="utf-8")
    except (OSError, ImportError, UnicodeDecodeError) as error:
        raise PluginError(f"benchmark '{name}' names {spec.target}, which cannot be read: {error}") from error


def _complaints(benchmark: Benchmark, registry: Registry, check_settings: bool) -> Iterator[tuple[TomlPath, str]]:
    sources = {number.reported_in for number in published_numbers()}
    if benchmark.source and benchmark.source not in sources:
        yield ("source",), f"no published numbers from '{benchmark.source}'{did_you_mean(benchmark.source, sources)}"
    if complaint := _name_complaint(registry, "protocol", benchmark.protocol):
        yield ("protocol",), complaint
    places: dict[str, int] = {}
    for t, table in enumerate(benchmark.tables):
        if (first := places.setdefault(table.id, t)) != t:
            yield ("tables", t, "id"), f"table '{table.id}' is there twice, as number {first + 1} too; ids must differ"
        for c, column in enumerate(table.columns):
            for field in ("dataset", "train"):
                if complaint := _name_complaint(registry, "dataset", getattr(column, field)):
                    yield ("tables", t, "columns", c, field), complaint
            if complaint := _name_complaint(registry, "protocol", column.protocol):
                yield ("tables", t, "columns", c, "protocol"), complaint
        for r, row in enumerate(table.rows):
            if row.published is not None and (
                complaint := _published_complaint(benchmark, table, row.published, row.why)
            ):
                yield ("tables", t, "rows", r, "published"), complaint
            if complaint := _name_complaint(registry, "method", row.method):
                yield ("tables", t, "rows", r, "method"), complaint
            elif row.method is not None and check_settings:
                yield from _settings_complaints(benchmark, registry, t, r)
            elif row.recorded is not None:
                try:
                    NATIVE.on("", **protocol_changes((table.set | row.set).items()))
                except ValidationError as error:
                    yield ("tables", t, "rows", r, "set"), f"'{row.recorded}': protocol.{_said(error.errors()[0])}"


def _name_complaint(registry: Registry, kind: PluginKind, name: str | None) -> str:
    """Return why a name stands for no plugin's method, data set or protocol; empty if it does, or is not given."""
    if name is None:
        return ""
    try:
        registry.spec(kind, name)
    except UnknownNameError:
        return f"unknown {kind.replace('dataset', 'data set')} '{name}'{did_you_mean(name, registry.specs(kind))}"
    except PluginError as error:
        return str(error)
    return ""


def _published_complaint(benchmark: Benchmark, table: TableSpec, published: PublishedSpec, why: str) -> str:
    """Return what is wrong with a row's published numbers: a misspelt key would leave a blank in the table."""
    if not (benchmark.source or published.source):
        return "a row with published numbers needs the file to name their 'source', or a 'source' of its own"
    keys = {number.key for number in published_numbers()}
    if published.key not in keys:
        return f"unknown published key '{published.key}'{did_you_mean(published.key, keys)}"
    sources = {number.reported_in for number in published_numbers()}
    if published.source and published.source not in sources:
        return f"no published numbers from '{published.source}'{did_you_mean(published.source, sources)}"
    # Papers have blank rows, so a row that is not run only needs its reason.
    if (why and not published.source) or row_numbers(published, benchmark.source, table.id):
        return ""
    there = row_candidates(published, benchmark.source, table.id)
    which = sorted({f"variant '{n.variant}' with backbone '{n.backbone}'" for n in there})
    where = published.source or f"table {table.id} of {benchmark.source}"
    tested = f", tested '{published.test_protocol}'" if published.test_protocol else ""
    return (
        f"{where} has no number of '{published.key}' with variant '{published.variant}'"
        f" and backbone '{published.backbone or 'any'}'{tested}; there: {listed(which, 3) or 'none of this key'}"
    )


def _settings_complaints(benchmark: Benchmark, registry: Registry, t: int, r: int) -> Iterator[tuple[TomlPath, str]]:
    table: TableSpec = benchmark.tables[t]
    row: RowSpec = table.rows[r]
    assert row.method is not None
    from vadbench.harness.request import require_use_of_recipe

    try:
        model = registry.method_config(row.method)
    except PluginError:
        return  # reported by the state of its cells
    rules = [PROTOCOL + name for name in ("crop", "subset", "selection", "post", "partition", "truth")]
    known = known_settings(model)
    unknown = False
    for place, settings in ((("tables", t), table.set), (("tables", t, "rows", r), row.set)):
        for name in [n for n in settings if n not in rules and not is_known(split_name(n), known)]:
            unknown = True
            close = did_you_mean(name, [*field_names(model), *rules], SHOWN_BY)
            yield (*place, "set", name), f"'{row.method}' has no setting '{name}'{close}"
    if unknown:
        return
    settings = table.set | row.set
    for dataset in dict.fromkeys(c.train or c.dataset for c in table.columns):
        try:
            # The user's environment must not change a benchmark.
            own = model.dataset_defaults.get(dataset, {})
            config = resolve(model, own, environment={}, assignments=assignments(settings.items()))
            require_use_of_recipe(row.method, registry, config, resolve(model, own, environment={}))
            recorded = config.model_dump(mode="json")
            NATIVE.on(dataset, **protocol_changes(settings.items()))
        except ConfigError as error:
            yield ("tables", t, "rows", r, "set"), f"'{row.method}' on {dataset}: {error}"
        except ValidationError as error:
            yield ("tables", t, "rows", r, "set"), f"'{row.method}': protocol.{_said(error.errors()[0])}"
        else:
            for name, value in settings.items():
                # Runs are found by the values in their records.
                where = ("rows", r, "set", name) if name in row.set else ("set", name)
                found = value_at(recorded, name)
                if not name.startswith(PROTOCOL) and not same_value(value, found):
                    yield (
                        ("tables", t, *where),
                        f"setting '{name}' must be as runs record it, {found!r}, found {value!r}",
                    )


def _error(label: str, line: int, what: str) -> ConfigError:
    return ConfigError(f"{label}, line {line}: {what}")


def _said(found: Any) -> str:
    """Return one of pydantic's errors as a line."""
    *above, name = found["loc"] or [""]
    where = [*above, name]
    message = str(found["msg"]).removeprefix("Value error, ")
    if found["type"] == "extra_forbidden":
        entry = next((_ENTRIES[part] for part in reversed(above) if part in _ENTRIES), Benchmark)
        where, message = above, f"unknown entry '{name}'{did_you_mean(str(name), entry.model_fields)}"
    elif found["type"] == "missing":
        where, message = above, f"'{name}' is missing"
    path = ".".join(str(part + 1 if isinstance(part, int) else part) for part in where)
    return f"{path}: {message}" if path else message


def _line(error: Exception, text: str) -> int:
    match = re.search(r"at line (\d+)", str(error))
    return int(match[1]) if match else text.count("\n") + 1


def _bare(error: Exception) -> str:
    return re.sub(r" \(at [^)]*\)", "", str(error))
