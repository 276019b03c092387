"""Inputs as they are out there: each is read, noted or refused as docs/inputs.md says."""

import PIL
import pytest

from input_cases.cases import outcome_of, says
from input_cases.images import DAMAGED
from input_cases.page import PAGE, SECTIONS, page
from input_cases.videos import VIDEOS, seen
from vadbench.watch.reader import Reader
from vadbench.watch.sources import find_sources

CASES = [(section, case) for section in SECTIONS for case in section.cases]


@pytest.mark.parametrize(("section", "case"), CASES, ids=[f"{s.title}: {c.what}" for s, c in CASES])
def test_what_becomes_of_an_input(section, case, tmp_path):
    outcome, value, told = outcome_of(section, case, tmp_path)
    if case.what.endswith("with Pillow 13 or newer") and int(PIL.__version__.split(".")[0]) < 13:
        assert outcome == "refused" and says(told, DAMAGED)
        return
    assert outcome == case.outcome, told
    if outcome != "read":
        assert says(told, case.says) and "\n" not in told, told
    if outcome != "refused":
        expected = section.value if case.value is None else case.value
        assert expected(value) if callable(expected) else value == expected


@pytest.mark.parametrize("case", [c for c in VIDEOS.cases if c.outcome != "refused"], ids=lambda case: case.what)
def test_score_reads_the_frames_that_extract_reads(case, tmp_path):
    """And keeps the note on a file without a length."""
    path = case.make(tmp_path)
    (source,) = find_sources([str(path)])
    reader = Reader(source)
    frames = [seen(picture.read()) for picture in reader]
    read, note = VIDEOS.read(path)
    assert frames == read and (reader.unseen_end or "") in note
    assert (reader.unseen_end is None) == ("states no length" not in note)


def test_the_page_says_what_the_cases_say():
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: cd tests/support; python -m input_cases.page"
