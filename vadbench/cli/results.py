"""``vadbench results``: check results before they are submitted."""

from __future__ import annotations

from pathlib import Path

import click

from vadbench.base.errors import cut
from vadbench.base.progress_bar import shown_progress
from vadbench.cli import options
from vadbench.cli.output import print_json

LONGEST = 300
"""Maximum number of printed characters of a finding; --json has all."""


@click.group("results", short_help="Check results before they are submitted.")
def command() -> None:
    """Check results before they are submitted."""


@command.command("check", short_help="Check a folder of results as a submission.")
@click.argument("folder", type=click.Path(path_type=Path))
@options.plugin
@options.as_json
def check(folder: Path, plugin_files: tuple[Path, ...], as_json: bool) -> None:
    """Check a folder of results as a submission: one line for each problem, exit status 1 if there is any.

    \b
      vadbench results check results/runs/ucfcrime/two-stage

    FOLDER has run folders at any depth; result.json, scores.npz and remarks.jsonl of each are read. The metrics are
    computed again from the scores and must agree; they must be finite and in range, the seeds of a method distinct,
    the protocol one of vadbench's with every change of it named, the features' fingerprint known or marked as
    unknown, the videos complete or marked as incomplete, the commit recorded, and no text may name a folder or a
    person.

    With --json the report is a list of objects with: file and finding. CONTRIBUTING.md says how results are submitted.
    """
    from vadbench.base.text import plain
    from vadbench.plugins.registry import Registry
    from vadbench.records.folders import run_folders
    from vadbench.results.submission import check_submission

    with shown_progress() as progress:
        findings = list(check_submission(folder, Registry(files=plugin_files), progress))
    if as_json:
        print_json([{"file": str(path), "finding": finding} for path, finding in findings])
    else:
        for path, finding in findings:
            # Records are untrusted: print one line for each problem, without control characters.
            click.echo(plain(f"{path}: {cut(finding, LONGEST)}"))
        results = len(run_folders(folder))
        click.echo(f"{results} results checked, {len(findings) or 'nothing'} to fix")
    click.get_current_context().exit(1 if findings else 0)
