"""Processes as the system shows them, each of which may go at any moment; and commands that Ctrl-C reaches."""

import sys
from contextlib import suppress
from pathlib import Path

_INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from vadbench.cli import main
main(sys.argv[1:])
"""


def interruptible(*arguments):
    """A ``vadbench`` command that SIGINT ends, and SIGABRT with the stacks of all threads.

    Tests that run in the background of a shell have SIGINT ignored, and hand that on to what they start.
    """
    return [sys.executable, "-X", "faulthandler", "-c", _INTERRUPTIBLE, *map(str, arguments)]


def is_alive(number):
    """A process is there and works; one that has ended may stay as a zombie where nobody waits for it."""
    try:
        return "State:\tZ" not in Path(f"/proc/{number}/status").read_text()
    except OSError:
        return False


def children(process):
    """Numbers of the processes that a process has started, in any of its threads, and that are there."""
    found = set()
    for task in Path(f"/proc/{process}/task").iterdir():
        with suppress(OSError):  # the thread has ended
            found |= {int(number) for number in task.joinpath("children").read_text().split()}
    return found
