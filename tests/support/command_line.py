"""The command line in this process."""

import json
import subprocess
import sys
from typing import NamedTuple

import pytest

from vadbench.cli import main


class Printed(NamedTuple):
    """What a command printed."""

    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def status_of(*arguments):
    """Run ``vadbench`` with arguments and return its exit status."""
    with pytest.raises(SystemExit) as end:
        main([str(a) for a in arguments])
    return end.value.code or 0


def succeed(*arguments):
    """Run ``vadbench`` with arguments; fail the test where it fails."""
    assert status_of(*arguments) == 0


def heavy_imports(*arguments, cwd=None):
    """Run ``vadbench`` in a process of its own and return which of the packages that are slow to import it imported."""
    code = (
        "import sys\nfrom vadbench.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'mlflow', 'open_clip', 'numpy', 'pandas', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "print('', *heavy, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())
