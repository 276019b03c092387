"""Process that ends MLflow's server if the command that started it was killed and could not do so itself.

It is run as a script with the server's process group and the seconds of grace. Its standard input is a pipe that only
that command holds open: it ends with the command, however that ends.
"""

from __future__ import annotations

import os
import signal
import sys
import time


def end_with_parent(group: int, grace: float) -> None:
    """Wait for the end of standard input, then terminate the processes of a group, and kill those that remain."""
    sys.stdin.read()
    end = time.monotonic() + grace
    try:
        os.killpg(group, signal.SIGTERM)
        while time.monotonic() < end:
            time.sleep(0.1)
            os.killpg(group, 0)
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # all have ended


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]), float(sys.argv[2]))
