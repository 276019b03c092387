"""Remarks as columns: each operation against a list with the texts of every row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vadbench.base.remarks import LONGEST_REMARK, Remarks

TEXTS = st.lists(st.sampled_from(["", "a", "b", "a fire"]), max_size=30)


@st.composite
def remarks(draw):
    """Overlapping remarks on a number of rows, and that number."""
    count = draw(st.integers(1, 30))
    spans = []
    for _ in range(draw(st.integers(0, 8))):
        first = draw(st.integers(0, count - 1))
        spans.append((first, draw(st.integers(first + 1, count)), draw(st.integers(0, 2))))
    columns = np.array(spans, np.int64).reshape(-1, 3).T
    return Remarks(*columns, ["a", "b", "a"]), count


def on_rows(found, rows):
    """The texts on each row, in the order of the remarks: what the columns mean."""
    return [
        [found.texts[w] for f, e, w in zip(found.first, found.end, found.which, strict=True) if f <= row < e]
        for row in range(rows)
    ]


@given(remarks())
def test_the_texts_on_each_row_are_those_of_the_remarks_on_it(made):
    found, rows = made
    assert found.on_each(rows) == on_rows(found, rows)


@given(TEXTS)
def test_equal_texts_of_neighbouring_rows_become_one_remark(texts):
    found = Remarks.of_rows(texts)
    assert on_rows(found, len(texts)) == [[text] if text else [] for text in texts]
    assert len(set(found.texts)) == len(found.texts) and "" not in found.texts
    # None ends where the next one begins with the same text.
    ends = {(end, found.texts[w]) for end, w in zip(found.end, found.which, strict=True)}
    assert not ends & {(first, found.texts[w]) for first, w in zip(found.first, found.which, strict=True)}


@given(remarks(), st.data())
def test_a_part_has_the_remarks_of_its_rows(made, data):
    found, rows = made
    start = data.draw(st.integers(0, rows - 1))
    stop = data.draw(st.integers(start + 1, rows))
    part = found.part(start, stop)
    assert on_rows(part, stop - start) == on_rows(found, rows)[start:stop]
    assert (part.first >= 0).all() and (part.first < part.end).all() and (part.end <= stop - start).all()


@given(st.lists(remarks(), min_size=1, max_size=4))
def test_parts_joined_have_the_remarks_of_each(parts):
    joined = Remarks.joined([found for found, _ in parts], [rows for _, rows in parts])
    expected = [texts for found, rows in parts for texts in on_rows(found, rows)]
    assert on_rows(joined, sum(rows for _, rows in parts)) == expected
    assert len(joined) == sum(len(found) for found, _ in parts)


@given(remarks(), st.data())
def test_a_cut_and_a_join_change_nothing_on_any_row(made, data):
    found, rows = made
    at = data.draw(st.integers(0, rows))
    pieces = [(start, stop) for start, stop in ((0, at), (at, rows)) if stop > start]
    joined = Remarks.joined([found.part(*piece) for piece in pieces], [stop - start for start, stop in pieces])
    assert on_rows(joined, rows) == on_rows(found, rows)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a" * LONGEST_REMARK, "a" * LONGEST_REMARK),
        ("a" * (LONGEST_REMARK + 1), "a" * (LONGEST_REMARK - 3) + "..."),
        ("half a \ud83d pair", "half a ? pair"),
        (7, "7"),
    ],
)
def test_a_legible_text_can_be_written_and_is_cut_where_it_is_long(text, kept):
    found = Remarks(np.array([0]), np.array([1]), np.array([0]), [text]).legible()
    assert found.texts == [kept]
