"""What the first command prints, as docs/start.md shows it.

    python benchmarks/first_output.py

It runs the last command of ``make demo`` in an empty folder, and writes its output into the page.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from marked import between, divided

from vadbench.base.files import write_text

PAGE = Path(__file__).resolve().parents[1] / "docs" / "start.md"
COMMAND = ("run", "--method", "anomalyclip", "--dataset", "synthetic")
MARKS = "<!-- first output: written by benchmarks/first_output.py -->", "<!-- end of first output -->"


def first_output(folder: Path) -> str:
    """Return what the command prints on standard output.

    Args:
        folder: where it runs; an empty one, or one in which the run is made already.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "VADBENCH_M"))}
    command = [sys.executable, "-m", "vadbench", *COMMAND]
    return subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def shown() -> str:
    """Return the output that the page shows.

    Raises:
        ValueError: the page lacks the marks.
    """
    _, block, _ = divided(PAGE, MARKS)
    return block.strip().strip("`").strip() + "\n"


if __name__ == "__main__":
    with TemporaryDirectory() as place:
        output = first_output(Path(place))
    write_text(PAGE, between(PAGE, f"```\n{output.strip()}\n```\n", MARKS))
