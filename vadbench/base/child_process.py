"""A process that works for this one: started afresh, never forked, and asked through a pipe.

It ends when its pipe is closed, so it does not outlive this process, however that ends. What goes through the pipes is
pickled: both ends are this program.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Any


class ChildProcess(subprocess.Popen[bytes]):
    """A running process.

    Args:
        serves: module whose ``serve()`` it calls, which begins with :func:`served`.
        files: descriptors that it gets as well.
        variables: of its environment, beside those of this process.
    """

    def __init__(self, serves: str, files: Sequence[int] = (), variables: Mapping[str, str] | None = None) -> None:
        code = f"import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); from {serves} import serve; serve()"
        super().__init__(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=files,
            env=os.environ | dict(variables or {}),
        )
        with suppress(EOFError):  # who asks it first is told
            self.tell(list(sys.path))

    def tell(self, what: Any) -> None:
        """Send an object, or what was pickled already.

        Raises:
            EOFError: the process has ended.
        """
        pipe = self.stdin
        assert pipe is not None
        try:
            pipe.write(what if isinstance(what, bytes) else pickle.dumps(what))
            pipe.flush()
        except OSError as error:
            raise EOFError from error

    def answer(self) -> Any:
        """Return the next object that it sends; waits for it.

        Raises:
            EOFError: the process has ended.
        """
        pipe = self.stdout
        assert pipe is not None
        try:
            return pickle.load(pipe)
        except pickle.UnpicklingError as error:
            raise EOFError from error

    def close(self) -> None:
        """End the process, and wait until it is gone."""
        self.kill()
        self.wait()
        for pipe in (self.stdin, self.stdout):
            assert pipe is not None
            with suppress(OSError):  # it was told something that it never read
                pipe.close()

    def end(self) -> str:
        """Return how a process ended that has ended by itself, in words."""
        code = self.wait()
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"


def served() -> tuple[IO[bytes], IO[bytes]]:
    """Return where a child process is asked and where it answers. What is printed from now on goes to standard error:
    it must not get between the answers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return asked, answers


def send(answers: IO[bytes], what: object) -> None:
    """Send an answer."""
    pickle.dump(what, answers, protocol=5)
    answers.flush()


def pickled(error: Exception) -> bytes | None:
    """Return an exception for another process, ``None`` where it cannot be made again there."""
    try:
        made = pickle.dumps(error)
        pickle.loads(made)
    except Exception:
        return None
    return made
