"""The spacing of a stream's rows: as text, against the length of a video, and inferred from several."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vadbench.base.errors import ConfigError
from vadbench.base.spacing import RowSpacing, inferred_spacing, rows_of, spacing_fits

SPACINGS = st.integers(50, 6400).map(lambda hundredths: hundredths / 100)


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [("24f", 24, "frames"), ("23.04f", 23.04, "frames"), ("0.96s", 0.96, "seconds"), (" 1s", 1, "seconds")],
)
def test_a_spacing_is_frames_or_seconds_and_may_be_a_fraction(text, value, unit):
    found = RowSpacing.parse(text)
    assert (found.value, found.unit) == (value, unit)
    assert RowSpacing.parse(str(found)) == found


@pytest.mark.parametrize("text", ["24", "f", "0s", "-1f", "1/2s", "1e3f", "nan s", "0.0f", "24 f", "9999999f"])
def test_anything_else_is_refused(text):
    with pytest.raises(ConfigError, match=r"such as 24f or 0\.96s, found"):
        RowSpacing.parse(text)


def test_seconds_become_frames_where_the_frame_rate_is_known():
    assert RowSpacing.parse("0.96s").frames(25) == pytest.approx(24)
    assert RowSpacing.parse("0.96s").frames(None) is None
    assert RowSpacing.parse("7f").frames(None) == 7


@given(st.integers(1, 20_000), SPACINGS)
@example(2400, 0.96 * 25)  # a product that is not exact
def test_rows_rounded_down_or_up_fit_and_one_more_or_less(frames, spacing):
    hundredths = round(100 * spacing)
    down, up = 100 * frames // hundredths, -(-100 * frames // hundredths)
    assert rows_of(frames, spacing) == max(up, 1)
    for count in range(down - 4, up + 5):
        assert spacing_fits(count, frames, spacing) == (down - 1 <= count <= up + 1), count


@given(
    SPACINGS,
    st.lists(st.integers(200, 9000), min_size=1, max_size=40),
    st.sampled_from([math.floor, math.ceil, round]),
)
def test_an_inferred_spacing_explains_every_video(spacing, lengths, rounded):
    rows = [max(rounded(length / spacing), 1) for length in lengths]
    found, explained = inferred_spacing(rows, lengths)
    assert explained == len(lengths)
    assert all(spacing_fits(count, length, found) for count, length in zip(rows, lengths, strict=True))


@pytest.mark.parametrize("spacing", [1, 8, 16, 24])
def test_whole_frames_are_found_from_some_videos(spacing):
    lengths = range(400, 4000, 97)
    assert inferred_spacing([length // spacing for length in lengths], lengths)[0] == spacing


def test_a_video_of_another_length_does_not_count():
    lengths = [1000 + 37 * i for i in range(20)]
    rows = [length // 10 for length in lengths]
    rows[7] = 5
    assert inferred_spacing(rows, lengths) == (10, 19)


def test_seconds_are_found_as_they_were_made():
    seconds = [20 + 3.7 * i for i in range(60)]
    assert inferred_spacing([int(s / 0.96) for s in seconds], seconds) == (0.96, 60)
