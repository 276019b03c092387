"""Videos of every kind, whole and damaged: every frame is read in order, or the damage is named with frame and time."""

import re

import pytest

from vadbench.base.errors import MediaError
from vadbench.data.media import shown_frames
from vadbench.data.soundness import length_note, require_sound
from video_kinds import COUNT, KINDS, RATE, bars, number_of, touched, with_hole, write

NAMED = (
    r"a\.\w+: (damaged at frame \d+(, \d+\.\d\d s)? \(.+\); copy it again|not a readable video"
    r"|expected a video stream, found none|expected at least one frame, decoded none)"
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Files of the kinds, each made when it is first asked for."""
    made = {}

    def path(name):
        if name not in made:
            kind = KINDS[name]
            made[name] = write(tmp_path_factory.mktemp(name) / f"a{kind.suffix}", kind, bars(COUNT))
        return made[name]

    return path


def read(path):
    """The numbers and times of the frames that are read, and the error that ends them."""
    numbers, times = [], []
    try:
        for seconds, frame in shown_frames(path):
            numbers.append(number_of(frame()))
            times.append(seconds)
    except MediaError as error:
        return numbers, times, str(error)
    return numbers, times, None


def in_time(times):
    return times == pytest.approx([i / RATE for i in range(len(times))], abs=2e-3)


@pytest.mark.parametrize("name", KINDS)
def test_of_a_whole_file_every_frame_is_read_in_order(whole, name):
    path, kind = whole(name), KINDS[name]
    numbers, times, error = read(path)
    assert error is None and numbers == list(range(COUNT))
    assert times == [None] * COUNT if name.startswith("raw") else in_time(times)
    require_sound(path)
    note = length_note(path)
    if kind.seen:
        assert note is None
    else:
        assert "states no length: an early end cannot" in note or "an early end and lost frames cannot" in note


def require_named_or_read(path, name, allowed, cut):
    """Check what is read of a damaged file, and return what becomes of it."""
    numbers, times, error = read(path)
    if error is not None:
        assert re.search(NAMED, error) and "\n" not in error
        return "refused"
    if name.startswith("raw") or (cut and not KINDS[name].seen):
        assert length_note(path) is not None
        if cut and name != "raw-hevc":  # its last picture may be one that refers to lost bytes
            assert numbers == list(range(len(numbers)))
        return "noted"
    # Cut off within an index behind the last frame, a file still has them all.
    assert len(numbers) == COUNT and in_time(times)
    assert {i for i, number in enumerate(numbers) if number != i} <= allowed
    return "read"


@pytest.mark.parametrize("name", KINDS)
def test_a_file_that_is_cut_off_is_named(whole, tmp_path, name):
    path = tmp_path / f"a{KINDS[name].suffix}"
    content = whole(name).read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    assert require_named_or_read(path, name, set(), cut=True) == KINDS[name].outcomes[1]


@pytest.mark.parametrize("name", KINDS)
def test_a_part_that_never_arrived_is_named_or_costs_no_frame(whole, tmp_path, name):
    path = tmp_path / f"a{KINDS[name].suffix}"
    path.write_bytes(with_hole(whole(name).read_bytes()))
    allowed = touched(whole(name)) if not name.startswith("raw") else set()
    assert require_named_or_read(path, name, allowed, cut=False) == KINDS[name].outcomes[2]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.seen])
def test_damage_at_any_place_is_named(whole, tmp_path, name):
    path = tmp_path / f"a{KINDS[name].suffix}"
    content = whole(name).read_bytes()
    for step in range(2, 38):
        share = step / 40
        path.write_bytes(content[: int(len(content) * share)])
        require_named_or_read(path, name, set(), cut=True)
        path.write_bytes(with_hole(content, share))
        require_named_or_read(path, name, touched(whole(name), share), cut=False)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("webm-vp9", r"damaged at frame (\d+), (\d+\.\d\d) s \(no frames between .* structure is broken at byte"),
        ("mkv-ffv1", r"damaged at frame (\d+), (\d+\.\d\d) s \(no frames between .* structure is broken at byte"),
        ("flv", r"damaged at frame (\d+), (\d+\.\d\d) s \(no frames between .* structure is broken at byte"),
        ("mpg-mpeg1", r"damaged at frame (\d+), (\d+\.\d\d) s \(no frames between .* structure is broken at byte"),
        ("wmv", r"damaged at frame (\d+), (\d+\.\d\d) s \(it ends here, and its structure is broken at byte"),
    ],
)
def test_the_first_lost_frame_and_its_time_are_named(whole, tmp_path, name, place):
    path = tmp_path / f"a{KINDS[name].suffix}"
    path.write_bytes(with_hole(whole(name).read_bytes()))
    numbers, _, error = read(path)
    frame, seconds = re.search(place, error).groups()
    assert int(frame) == len(numbers) and float(seconds) == pytest.approx(int(frame) / RATE, abs=6e-3)
    assert {i for i, number in enumerate(numbers) if number != i} <= touched(whole(name))
    with pytest.raises(MediaError, match=rf"damaged at frame {frame}, "):
        require_sound(path)
