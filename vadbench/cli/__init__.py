"""Command line: one module per command, with heavy imports only when a command needs them."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from click.exceptions import NoArgsIsHelpError

import vadbench
from vadbench.base.device_failures import device_errors
from vadbench.base.errors import UnknownNameError, VadbenchError, one_line
from vadbench.base.locations import expanded
from vadbench.cli import (
    bench,
    cache,
    check,
    compare,
    data,
    doctor,
    evaluate,
    extract,
    features,
    import_checkpoint,
    import_scores,
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
    runs,
    score,
    show,
    table,
    ui,
)

if TYPE_CHECKING:
    from vadbench.plugins.hookspecs import Spec

_HOME = re.compile(r"(?:^|(?<==))~(?:[\w.-]*(?=/)|$)")
"""A home folder at the beginning of a path, which may stand behind the name of an option or of a data set."""


class _Commands(click.Group):
    """Group of vadbench's commands, followed by those of installed plugins, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.commands, *_specs()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.commands:
            return self.commands[cmd_name]
        from vadbench.plugins.registry import installed
        from vadbench.plugins.targets import load_object

        try:
            spec = installed().spec("command", cmd_name)
        except UnknownNameError:
            return None
        return _with_debug(load_object(spec, click.Command))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # Commands of plugins are listed from their specs, without importing them.
        lines = {name: spec.summary for name, spec in _specs().items()}
        lines |= {name: command.get_short_help_str() for name, command in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(lines.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:  # its suggestions are only vadbench's commands
            raise click.NoSuchCommand(error.command_name, possibilities=self.list_commands(ctx), ctx=ctx) from None


def _specs() -> dict[str, Spec]:
    from vadbench.plugins.registry import installed

    return installed().specs("command")


def _with_debug(command: click.Command) -> click.Command:
    """Add ``--debug`` to a command and the commands below it, and return it."""
    for each in (command, *getattr(command, "commands", {}).values()):
        if options.debug not in each.params:
            each.params.append(options.debug)
    return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(vadbench.__version__, prog_name="vadbench")
def cli() -> None:
    """Compare CLIP-based video anomaly detection methods under one harness.

    \b
    A first run, offline, in about a minute:
      vadbench run --method anomalyclip --dataset synthetic
    Methods and data sets:
      vadbench list methods      vadbench list datasets      vadbench show method anomalyclip
    Every command has --help; --debug shows the traceback of an error.
    """


cli.params.append(options.debug)
for module in (
    run,
    runs,
    cache,
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
    import_scores,
    log,
    ui,
    doctor,
    evaluate,
):
    cli.add_command(_with_debug(module.command))


def with_home(argument: str) -> str:
    """Return an argument in which ``~`` is the home folder, as in variables: shells leave it within quotes and behind
    a ``=``. Addresses stay as they are."""
    if "://" in argument:
        return argument
    return _HOME.sub(lambda found: str(expanded(found[0], f"the argument {argument}")), argument)


def require_single(command: click.Command, context: click.Context, arguments: Sequence[str]) -> None:
    """Raise if an option that takes one value is given several; click would silently take the last.

    Args:
        command: that the arguments are of, or a group of commands that is named first.
        context: of the command.
        arguments: all that follow its name.

    Raises:
        click.UsageError: names the option; or the arguments cannot be read.
    """
    _, rest, given = command.make_parser(context).parse_args(list(arguments))
    for option, count in Counter(given).items():
        if isinstance(option, click.Option) and not (option.multiple or option.is_flag or option.count) and count > 1:
            raise click.UsageError(f"{option.opts[0]} takes one value, found {count}; give it once", context)
    if isinstance(command, click.Group) and rest and (below := command.get_command(context, rest[0])):
        inner = click.Context(below, context, info_name=rest[0], **below.context_settings)
        require_single(below, inner, rest[1:])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the ``vadbench`` script: errors that a user can fix give one line and exit status 2."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with device_errors("run fewer jobs at a time, or end what else uses the memory"):
            given = [with_home(text) for text in arguments]
            require_single(cli, click.Context(cli, info_name="vadbench", **cli.context_settings), given)
            status = cli.main(given, "vadbench", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        help_of = "" if context is None else f"; see {context.command_path} --help"
        click.echo(f"vadbench: {one_line(error.format_message()).rstrip('.')}{help_of}", err=True)
        sys.exit(2)
    except VadbenchError as error:
        if "--debug" in arguments:
            raise
        click.echo(f"vadbench: {one_line(error)}", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("vadbench: stopped; the same command continues from here", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe has closed it, so no message can be shown.
        sys.stderr.close()
        sys.exit(0)
