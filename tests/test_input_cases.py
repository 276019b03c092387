"""Inputs as they are out there: each is read, noted or refused as docs/inputs.md says."""

import pytest

from input_cases.cases import outcome_of, says
from input_cases.page import SECTIONS

CASES = [(section, case) for section in SECTIONS for case in section.cases]


@pytest.mark.parametrize(("section", "case"), CASES, ids=[f"{s.title}: {c.what}" for s, c in CASES])
def test_what_becomes_of_an_input(section, case, tmp_path):
    outcome, value, told = outcome_of(section, case, tmp_path)
    assert outcome == case.outcome, told
    if outcome != "read":
        assert says(told, case.says) and "\n" not in told, told
    if outcome != "refused":
        expected = section.value if case.value is None else case.value
        assert expected(value) if callable(expected) else value == expected
