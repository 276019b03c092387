"""Processes as the system shows them, each of which may go at any moment."""

from contextlib import suppress
from pathlib import Path


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
