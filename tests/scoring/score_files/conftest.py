"""Shared pieces of the tests of files of scores."""

import pytest

from vadbench.base.errors import DataError
from vadbench.scoring.score_files import read_scores
from written_scores import NAMES


@pytest.fixture
def refused():
    """Read what must be refused; the one line, which names the file."""

    def call(*paths, names=NAMES):
        with pytest.raises(DataError) as error:
            read_scores(paths, names)
        (line,) = str(error.value).splitlines()
        assert len(line) < 700 and any(str(path) in line for path in paths), line
        return line

    return call
