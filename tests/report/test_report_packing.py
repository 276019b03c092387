"""Many numbers in few bytes: nothing is off by more than half a step, and unpacking is what the page's script does."""

import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vadbench.report.packing import LIMIT, joined, joined_rows, pack
from vadbench.report.page import embedded


def unpack(packed):
    """As curves.js reads it."""
    steps = np.frombuffer(base64.b64decode(packed.bytes), np.uint8)
    return packed.low + (packed.high - packed.low) * steps / 255


@given(arrays(np.float32, st.integers(1, 300), elements=st.floats(0, 1, width=32)))
def test_scores_between_0_and_1_are_off_by_half_a_step_at_most(values):
    assert np.abs(unpack(pack(values)) - values).max() <= 1 / 510 + 1e-9


@given(arrays(np.float32, st.tuples(st.integers(1, 20), st.integers(1, 5)), elements=st.floats(-1e6, 1e6, width=32)))
def test_scores_of_any_range_are_off_by_half_a_step_of_it(values):
    packed = pack(values)
    assert (packed.low, packed.high) == (values.min(), values.max())
    span = packed.high - packed.low
    assert np.abs(unpack(packed) - values.ravel()).max() <= span / 510 * (1 + 1e-9)


@given(arrays(np.uint8, st.integers(1, 300)))
def test_what_was_unpacked_is_packed_to_the_same_bytes(steps):
    once = pack(steps.astype(np.float64))
    assert pack(unpack(once)) == once


def test_nothing_packs_to_nothing():
    assert pack(np.empty(0)) == (0.0, 0.0, "")


def test_rows_are_joined_only_where_they_are_many_and_never_to_more_than_16_frames():
    assert joined_rows(LIMIT, 1) == 1
    assert [joined_rows(LIMIT + 1, stride) for stride in (1, 4, 5, 16, 32)] == [16, 4, 3, 1, 1]


@given(arrays(np.float64, st.tuples(st.integers(1, 50), st.just(2)), elements=st.floats(0, 1)), st.integers(1, 9))
def test_joined_rows_are_means(values, rows):
    parts = [values[i : i + rows].mean(0) for i in range(0, len(values), rows)]
    np.testing.assert_allclose(joined(values, rows), parts)
    np.testing.assert_allclose(joined(values[:, 0], rows), [p[0] for p in parts])


@pytest.mark.parametrize("text", ["</script><script>", "<!--", "&lt;", "\u2028\u2029", "\ud800", "א\u202eב", '"\\'])
def test_data_stays_inside_its_element(text):
    found = embedded({"name": text})
    assert found.isascii() and not set("<>&\n") & set(found)
    assert json.loads(found) == {"name": text}


def test_what_json_does_not_have_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        embedded(float("nan"))
