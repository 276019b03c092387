"""pytest in processes of their own, which share the imports of large libraries: those take longer than most tests."""

import multiprocessing
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

PRELOADED = ["pytest", "hypothesis", "torch", "open_clip", "mlflow", "sklearn.metrics", "pandas", "pydantic", "av"]
"""None of vadbench: it is imported from where each process looks first."""


def forked_pytest(words, paths, folder):
    """Return the exit status of ``pytest words`` and what it printed.

    Args:
        words: its arguments.
        paths: folders that are searched for modules before all others.
        folder: where it runs.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with TemporaryDirectory() as place:
        printed = Path(place, "printed.txt")
        process = context.Process(target=_run, args=(words, paths, folder, printed))
        process.start()
        process.join()
        return process.exitcode, printed.read_text(encoding="utf-8")


def _run(words, paths, folder, printed):
    with printed.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(folder)
    sys.path[:0] = paths
    sys.dont_write_bytecode = True
    for name in [n for n in os.environ if n.startswith("PYTEST_")]:
        del os.environ[name]
    # Modules that are there already cannot be rewritten for longer messages.
    sys.exit(int(pytest.main(["--assert=plain", *words])))
