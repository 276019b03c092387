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
    from vadbench_descriptions.wording import Ambiguity, Reading


ALIKE = 0.99
"""Cosine from which on two phrases are as good as the same."""


@click.group("descriptions", short_help="Check descriptions of anomalous events.")
def command() -> None:
    """Check descriptions of anomalous events."""


@command.command("check", short_help="Check a bank of phrases, and how CLIP reads it.")
@click.argument("file")
@click.option("--dataset", "-d", help="Data set whose classes the bank's are compared with.")
@click.option(
    "--ambiguity",
    type=click.FloatRange(-1, 1),
    default=0.7,
    show_default=True,
    help="Cosine with the mean of a class's phrases above which a phrase of its normal side is to be reworded.",
)
@options.clip_model
@options.clip_weights
@options.device
@options.plugin
@options.as_json
def check(
    file: str,
    dataset: str | None,
    ambiguity: float,
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

    A bank is named as in --descriptions: by its name, where it comes with the methods, or by a TOML file:

    \b
      title = "my site"
      normal = ["people walking across a yard", "a parked lorry"]
      abnormal = ["a person climbing over a fence"]
    \b
      [classes]
      Fire = ["flames coming out of a building", "thick black smoke"]
    \b
      [normals]
      Fire = ["a chimney in the evening", "a welder at work"]
    \b
      [avoid]
      Fire = ["flames", "burning"]

    Phrases of a class are abnormal, and the first describes the class as a whole; normals and avoid may be left out,
    and say what is ordinary beside a class and which words it may not have. Each phrase is shown with its length
    in CLIP's tokens and the phrase of the other side that is most similar to CLIP, the most similar first: a cosine
    near 1 means that CLIP cannot distinguish the two. Where a class has normals, a second table has how ambiguous they
    are: the cosine with the mean of the class's own phrases, the highest first, each as prompt-contrast reads it. What
    is high depends on the CLIP; the order says more than the value.

    The exit status is 0 if the bank can be used and 2 if not. With --json the report is an object with: file,
    clip, problems (a line each), notes (words that the CLIP was never taught, phrases that it can hardly tell apart,
    classes without a phrase, ambiguous phrases), phrases (phrase, abnormal, tokens, nearest, cosine, unseen) and
    ambiguities (name, phrase, value).
    """
    from vadbench.clip import load_clip
    from vadbench.harness.clips import clip_source
    from vadbench.harness.environment import choose_device
    from vadbench.plugins.registry import Registry
    from vadbench_descriptions.bank import named_bank
    from vadbench_descriptions.wording import ambiguous_phrases, long_phrases, long_sentences, read_with

    bank = named_bank(file)
    table = None if dataset is None else Registry(files=plugin_files).dataset(dataset).classes
    clip = load_clip(clip_source(clip_model, clip_weights), choose_device(device))
    longest = clip.text.context_length
    problems = [*bank.problems(), *long_phrases(bank, longest), *long_sentences(bank, longest)]
    readings = read_with(bank, clip)
    notes = [*_unseen(readings, clip), *_alike(readings)]
    if table is not None:
        try:
            notes += _class_notes(bank, table)
        except ConfigError as error:
            problems.append(str(error))
    ambiguous = ambiguous_phrases(bank, clip)
    notes += [
        f"normal phrase '{a.phrase}' is {a.value:.3f} like the anomalies of class '{a.name}', above {ambiguity:g};"
        " reword it"
        for a in ambiguous
        if a.value > ambiguity
    ]
    if as_json:
        print_json(
            {
                "file": file,
                "clip": asdict(clip.source),
                "problems": problems,
                "notes": notes,
                "phrases": [asdict(r) for r in readings],
                "ambiguities": [asdict(a) for a in ambiguous],
            }
        )
    else:
        _print(readings, ambiguous, problems, notes)
        verdict = f"cannot be used, {len(problems)} to fix" if problems else "can be used"
        click.echo(f"{file}: {len(bank.normalities)} normal and {len(bank.anomalies)} abnormal phrases; {verdict}")
    click.get_current_context().exit(2 if problems else 0)


def _print(
    readings: Sequence[Reading], ambiguous: Sequence[Ambiguity], problems: Sequence[str], notes: Sequence[str]
) -> None:
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
    if ambiguous:
        print_table([[a.name, a.phrase, f"{a.value:.3f}"] for a in ambiguous], ["class", "normal phrase", "ambiguity"])
        click.echo()
    for kind, lines in (("note", notes), ("problem", problems)):
        for line in lines:
            click.echo(f"{kind}: {line}")


def _unseen(readings: Sequence[Reading], clip: Clip) -> list[str]:
    words = list(dict.fromkeys(word for reading in readings for word in reading.unseen))
    if not words:
        return []
    return [f"CLIP '{clip.source.model}' was never taught: {', '.join(words)}; these words have no meaning for it"]


def _alike(readings: Sequence[Reading]) -> list[str]:
    """Return a note on every abnormal phrase that is, to CLIP, as good as the same as a normal one."""
    return [
        f"CLIP can hardly tell the abnormal '{r.phrase}' from the normal '{r.nearest}' (cosine {r.cosine:.3f}); reword"
        " one"
        for r in readings
        if r.abnormal and r.cosine is not None and r.cosine >= ALIKE
    ]


def _class_notes(bank: Bank, table: ClassTable) -> list[str]:
    described = bank.of_classes(table)
    missing = [table.names[i] for i in table.abnormal if i not in described]
    return [f"classes without a phrase, whose probability will be 0: {', '.join(missing)}"] if missing else []
