"""``vadbench show``: show one method, data set or run in full."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from vadbench.base.errors import DataError
from vadbench.cli import options
from vadbench.cli.output import note, print_json, print_results, print_table, printable


@click.command("show", short_help="Show one method, data set or run in full.")
@click.argument("what", type=click.Choice(["method", "dataset", "run"]))
@click.argument("name")
@click.option("--dataset", help="With 'method': show the settings it uses on this data set.")
@options.out
@options.plugin
@options.as_json
def command(
    what: str, name: str, dataset: str | None, out: Path, plugin_files: tuple[Path, ...], as_json: bool
) -> None:
    """Show one method with its settings, one data set with its classes and files, or one run with its figures.

    \b
      vadbench show method anomalyclip --dataset ucfcrime
      vadbench show dataset ucsdped2
      vadbench show run 1f0c
    """
    if what == "run":
        _show_run(name, out, as_json)
        return
    from vadbench.plugins.registry import Registry

    registry = Registry(files=plugin_files)
    spec = registry.spec("method" if what == "method" else "dataset", name)
    facts: dict[str, Any] = {"name": spec.name, "summary": spec.summary, "paper": spec.paper}
    if what == "method":
        if dataset is not None:
            registry.spec("dataset", dataset)
        config = registry.method_config(name)
        settings = _settings(config, dataset)
        facts["post"] = _proposed_post(name, config, dataset)
        table = (["setting", "value", "choices", "meaning"], [list(s.values()) for s in settings])
        facts["settings"] = settings
    else:
        more, classes = _dataset(registry.dataset(name))
        facts |= more | {"classes": classes}
        table = (["id", "class", "prompt words"], [list(c.values()) for c in classes])
    if as_json:
        print_json(facts)
        return
    for key, value in facts.items():
        if value and key not in ("settings", "classes", "by_class", "partitions", "truths", "remarks"):
            click.echo(f"{key}: {value}")
    for line in _listed(facts):
        click.echo(printable(line))
    click.echo()
    print_table(table[1], table[0])


def _listed(facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield the divisions of a data set, its ground truths and the remarks on it, a line each."""
    for entry in facts.get("partitions", []):
        sizes = ", ".join(f"{count} {split}" for split, count in entry["videos"].items())
        yield f"partition {entry['name']}: {entry['about']} ({sizes})"
    for entry in facts.get("truths", []):
        yield f"truth {entry['name']}: {entry['about']}" + (f" (tail {entry['tail']})" if entry["tail"] else "")
    yield from (f"remark: {remark}" for remark in facts.get("remarks", []))
    if not facts.get("by_class", True):
        yield "classes of anomalies are not annotated: metrics of classes are undefined"


def _settings(config: Any, dataset: str | None) -> list[dict[str, str]]:
    from vadbench.base.config import field_choices, field_descriptions, of_field, resolve
    from vadbench.base.naming import flatten, written

    values = resolve(config, config.dataset_defaults.get(dataset, {}), environment={})
    meanings, choices = field_descriptions(config), field_choices(config)
    return [
        {"name": key, "value": written(value), "choices": choices.get(key, ""), "meaning": of_field(key, meanings)}
        for key, value in flatten(values.model_dump())
    ]


def _proposed_post(name: str, config: Any, dataset: str | None) -> str:
    from vadbench.base.config import resolve
    from vadbench.harness.request import method_post

    return method_post(name, resolve(config, config.dataset_defaults.get(dataset, {}), environment={}))


def _dataset(dataset: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    from vadbench.base.locations import find_data_root
    from vadbench.dataset import SPLITS

    try:
        root = str(find_data_root(dataset.name, dataset.makes_itself))
    except DataError as error:
        root = f"not set; {error}"
    facts = {
        **{f"{split} videos": dataset.expected[split] or "any" for split in SPLITS if split in dataset.expected},
        "root": root,
        "files": dataset.files,
        "homepage": dataset.homepage,
        "licence": dataset.licence,
        "citation": dataset.citation,
        "by_class": dataset.by_class,
        "partitions": [
            {"name": name, "about": division.about, "videos": dict(division.expected)}
            for name, division in dataset.partitions.items()
        ],
        "truths": [{"name": name, "about": truth.about, "tail": truth.tail} for name, truth in dataset.truths.items()],
        "remarks": list(dataset.remarks),
    }
    table = dataset.classes
    classes = [
        {"id": i, "name": c.name + (" (normal)" if i == table.normal else ""), "words": c.words}
        for i, c in enumerate(table.classes)
    ]
    return facts, classes


def _show_run(name: str, out: Path, as_json: bool) -> None:
    from vadbench.records.cost_figures import cost_words, known_costs
    from vadbench.records.folders import read_record
    from vadbench.records.record import REMARKS, costs_words, features_words
    from vadbench.records.run_names import find_run

    folder = find_run(name, out)
    record = read_record(folder)
    remarks = (folder / REMARKS).is_file()
    if as_json:
        files = {"folder": str(folder)} | ({"remarks": str(folder / REMARKS)} if remarks else {})
        print_json({**files, **record.model_dump(mode="json"), "cost_figures": known_costs(record)})
        return
    click.echo(f"{record.method} on {record.dataset}{record.marks}, seed {record.seed}: {record.status}")
    if record.title != record.method:
        click.echo(printable(f"settings: {record.title.removeprefix(record.method).strip()}"))
    # A record from another machine may lack its environment.
    device, commit = (record.environment.get(k, "unknown") for k in ("device", "commit"))
    for name, told in (("label", record.label), ("settings", record.settings)):
        if told:
            click.echo(printable(f"{name}: {told}"))
    click.echo(f"folder: {folder}\nmade: {record.created} on {device}")
    click.echo(f"commit: {commit}\nfeatures: {features_words(record)}")
    if record.post:
        whose = ", as the method proposes" if record.post == record.method_post else ""
        click.echo(printable(f"post-processing: {record.post}{whose}"))
    if record.costs:
        click.echo(printable(f"costs: {costs_words(record)}"))
    for phrase in cost_words(record):
        click.echo(printable(f"took: {phrase}"))
    if remarks:
        click.echo(f"remarks: {folder / REMARKS}")
    for text in record.notes:
        note(f"note: {text}")
    click.echo()
    if record.status == "finished":
        print_results([record])
    else:
        click.echo(record.error)
