"""Shared pieces of the tests of commands."""

import pytest


@pytest.fixture
def refused(vadbench):
    """Run a command that must be refused and return its one line."""

    def call(*arguments):
        printed, told = vadbench(*arguments, status=2)
        lines = [s for s in told.splitlines() if s and not s.startswith(("note:", "seed "))]
        assert len(lines) == 1 and not printed, told
        return lines[0]

    return call
