"""The command line: one module a command, nothing heavy imported before a command needs it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

import vadbench
from vadbench.base.errors import UnknownNameError, VadbenchError, one_line
from vadbench.cli import (
    bench,
    check,
    compare,
    data,
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

if TYPE_CHECKING:
    from vadbench.plugins.hookspecs import Spec


class _Commands(click.Group):
    """vadbench's own commands, and after them those of installed plugins, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.commands, *_specs()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.commands:
            return self.commands[cmd_name]
        from vadbench.plugins.registry import installed, load_object

        try:
            spec = installed().spec("command", cmd_name)
        except UnknownNameError:
            return None
        return _with_debug(load_object(spec, click.Command))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # Those of plugins by what their specs say: listing them must import none.
        lines = {name: spec.summary for name, spec in _specs().items()}
        lines |= {name: command.get_short_help_str() for name, command in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(lines.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:  # which offers vadbench's own alone
            raise click.NoSuchCommand(error.command_name, possibilities=self.list_commands(ctx), ctx=ctx) from None


def _specs() -> dict[str, Spec]:
    from vadbench.plugins.registry import installed

    return installed().specs("command")


def _with_debug(command: click.Command) -> click.Command:
    """The command, it and those below it with ``--debug``."""
    for each in (command, *getattr(command, "commands", {}).values()):
        if options.debug not in each.params:
            each.params.append(options.debug)
    return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
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
    import_checkpoint,
    log,
    ui,
    doctor,
):
    cli.add_command(_with_debug(module.command))


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
