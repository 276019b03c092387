"""``vadbench descriptions``: check a bank of phrases, and how CLIP reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vadbench.base.errors import ConfigError
from vadbench.cli import options
from vadbench.cli.output import print_json, print_table

if TYPE_CHECKING:
    from vadbench.clip import Clip
    from vadbench.dataset import ClassTable
    from vadbench_descriptions.bank import Bank
    from vadbench_descriptions.wording import Reading


@click.group("descriptions", short_help="Check descriptions of anomalous events.")
def command() -> None:
    """Check descriptions of anomalous events."""


@command.command("check", short_help="Check a bank of phrases, and how CLIP reads it.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dataset", "-d", help="Data set whose classes the bank's are compared with.")
@options.clip_model
@options.clip_weights
@options.device
@options.plugin
@options.as_json
def check(
    file: Path,
    dataset: str | None,
    clip_model: str | None,
    clip_weights: str | None,
    device: str,
    plugin_files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Check a bank of phrases, and show phrases that CLIP can hardly distinguish.

    \b
      vadbench descriptions check my_site.toml
      vadbench descriptions check my_site.toml --dataset ucfcrime --clip ViT-B-16-quickgelu --clip-weights openai

    A bank is a TOML file:

    \b
      title = "my site"
      normal = ["people walking across a yard", "a parked lorry"]
      abnormal = ["a person climbing over a fence"]
    \b
      [classes]
      Fire = ["flames coming out of a building", "thick black smoke"]

    Phrases of a class are abnormal, and the first describes the class as a whole. Each phrase is shown with its length
    in CLIP's tokens and the phrase of the other side that is most similar to CLIP, the most similar first: a cosine
    near 1 means that CLIP cannot distinguish the two.

    The exit status is 0 if the bank can be used and 2 if not. With --json the report is an object with: file,
    clip, problems (a line each), notes (words that the CLIP was never taught, classes without a phrase) and phrases
    (phrase, abnormal, tokens, nearest, cosine, unseen).
    """
    from vadbench.clip import load_clip
    from vadbench.harness.clips import clip_source
    from vadbench.harness.environment import choose_device
    from vadbench.plugins.registry import Registry
    from vadbench_descriptions.bank import read_bank
    from vadbench_descriptions.wording import long_phrases, read_with

    bank = read_bank(file)
    table = None if dataset is None else Registry(files=plugin_files).dataset(dataset).classes
    clip = load_clip(clip_source(clip_model, clip_weights), choose_device(device))
    problems = [*bank.problems(), *long_phrases(bank, clip.text.context_length)]
    readings = read_with(bank, clip)
    notes = _unseen(readings, clip)
    if table is not None:
        try:
            notes += _class_notes(bank, table)
        except ConfigError as error:
            problems.append(str(error))
    if as_json:
        print_json(
            {
                "file": str(file),
                "clip": asdict(clip.source),
                "problems": problems,
                "notes": notes,
                "phrases": [asdict(r) for r in readings],
            }
        )
    else:
        _print(readings, problems, notes)
        verdict = f"cannot be used, {len(problems)} to fix" if problems else "can be used"
        click.echo(f"{file}: {len(bank.normal)} normal and {len(bank.anomalies)} abnormal phrases; {verdict}")
    click.get_current_context().exit(2 if problems else 0)


def _print(readings: Sequence[Reading], problems: Sequence[str], notes: Sequence[str]) -> None:
    rows = [
        [
            "abnormal" if r.abnormal else "normal",
            r.phrase,
            r.tokens,
            r.nearest or "-",
            "-" if r.cosine is None else f"{r.cosine:.3f}",
        ]
        for r in readings
    ]
    print_table(rows, ["side", "phrase", "tokens", "nearest of the other side", "cosine"])
    click.echo()
    for kind, lines in (("note", notes), ("problem", problems)):
        for line in lines:
            click.echo(f"{kind}: {line}")


def _unseen(readings: Sequence[Reading], clip: Clip) -> list[str]:
    words = list(dict.fromkeys(word for reading in readings for word in reading.unseen))
    if not words:
        return []
    return [f"CLIP '{clip.source.model}' was never taught: {', '.join(words)}; these words have no meaning for it"]


def _class_notes(bank: Bank, table: ClassTable) -> list[str]:
    described = bank.of_classes(table)
    missing = [table.names[i] for i in table.abnormal if i not in described]
    return [f"classes without a phrase, whose probability will be 0: {', '.join(missing)}"] if missing else []
