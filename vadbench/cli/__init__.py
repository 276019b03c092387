"""The command line: one module a command, nothing heavy imported before a command needs it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

import vadbench
from vadbench.base.errors import VadbenchError, one_line
from vadbench.cli import (
    bench,
    check,
    compare,
    data,
    descriptions,
    doctor,
    extract,
    features,
    import_checkpoint,
    leaderboard,
    listing,
    log,
    new,
    options,
    plot,
    plugins,
    published,
    report,
    rescore,
    results,
    run,
    score,
    show,
    table,
    ui,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(vadbench.__version__, prog_name="vadbench")
def cli() -> None:
    """Compare CLIP-based video anomaly detection methods under one harness.

    \b
    A first run, offline, in about two minutes:
      vadbench run --method anomalyclip --dataset synthetic
    What there is:
      vadbench list methods      vadbench list datasets      vadbench show method anomalyclip
    Every command explains itself with --help; --debug shows where an error came from.
    """


cli.params.append(options.debug)
for module in (
    run,
    score,
    bench,
    listing,
    show,
    table,
    leaderboard,
    report,
    plot,
    compare,
    rescore,
    published,
    results,
    new,
    check,
    plugins,
    data,
    extract,
    features,
    descriptions,
    import_checkpoint,
    log,
    ui,
    doctor,
):
    for command in (module.command, *getattr(module.command, "commands", {}).values()):
        command.params.append(options.debug)
    cli.add_command(module.command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the ``vadbench`` script: one line and exit status 2 for anything a user can mend."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = cli.main(args=arguments, standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except VadbenchError as error:
        if "--debug" in arguments:
            raise
        click.echo(f"vadbench: {one_line(error)}", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("vadbench: stopped; the same command goes on from here", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe went away; nothing is left to tell it.
        sys.stderr.close()
        sys.exit(0)
