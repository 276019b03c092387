"""Numbers in the names of images: what is one video without a gap, what is not, and what cannot be told."""

import random
from pathlib import Path

import pytest

from vadbench.base.errors import MediaError
from vadbench.data.frame_numbers import numbering_note, require_numbering
from vadbench.data.image_folders import natural

FOLDER = Path("clip")


def in_order(names):
    return sorted(map(Path, names), key=lambda p: (natural(p.name), p.name))


def refusal(*names):
    with pytest.raises(MediaError) as error:
        require_numbering(FOLDER, in_order(names))
    return str(error.value)


@pytest.mark.parametrize(
    "names",
    [
        ["000.png", "001.png", "002.png"],
        ["1.tif", "2.tif", "10.tif", *(f"{i}.tif" for i in range(3, 10))],
        ["IMG_1.JPG", "img_2.jpeg", "Img_3.png"],
        ["01_0014_000.jpg", "01_0014_001.jpg"],
        ["frame_1_t40.png", "frame_2_t77.png", "frame_3_t120.png"],
        ["a_0_Normal.png", "a_1_ab34.png", "a_2_Fighting.png"],
        ["7.png"],
        ["poster.png"],
        ["left.png", "right.png"],
    ],
)
def test_frames_of_one_video_pass_without_a_note(names):
    require_numbering(FOLDER, in_order(names))
    assert numbering_note(in_order(names)) is None


def test_each_left_out_number_is_named():
    drawn = random.Random(0)
    for _ in range(200):
        first, count, step = drawn.choice([0, 1, 250]), drawn.randint(4, 40), drawn.choice([1, 1, 5])
        numbers = [first + step * i for i in range(count)]
        lost = drawn.choice(numbers[1:-1])
        names = [f"f{n:0{drawn.choice([1, 6])}d}.png" for n in numbers]
        require_numbering(FOLDER, in_order(names))
        kept = [name for n, name in zip(numbers, names, strict=True) if n != lost]
        following = names[numbers.index(lost) + 1]
        assert f"clip: expected images numbered without a gap, found none of number {lost} (before {following})" in (
            refusal(*kept)
        )


def test_many_left_out_numbers_are_counted():
    names = [f"{i}.png" for i in range(100) if i not in (20, 21, 50)]
    assert "found none of number 20 and 2 others (before 22.png)" in refusal(*names)
    assert "found none of number 3 and 8999999999996 others" in refusal("1.png", "2.png", "9000000000000.png")
    assert "found none of number 10 and 988 others" in refusal(*(f"{i}.png" for i in [*range(10), *range(999, 1010)]))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["000.png", "000.jpg", "001.png", "001.jpg"], "found 000.jpg and 000.png of one number"),
        (["1.png", "01.png", "2.png"], "found 01.png and 1.png of one number"),
        (["poster.jpg", "poster.png"], "found poster.jpg and poster.png of one number"),
        (["000.png", "001.png", "001 (1).png"], "found 2 like 000.png and 1 other, such as 001 (1).png"),
        (["0.png", "1.png", "mask.png"], "found 2 like 0.png and 1 other, such as mask.png"),
        (["0.png", "1.png", "folder.jpg"], "found 2 like 0.png and 1 other, such as folder.jpg"),
        (["a_0.png", "a_1.png", "a_2.png", "b_0.png", "b_1.png"], "found 3 like a_0.png and 2 others, such as b_0.png"),
    ],
)
def test_what_is_no_frame_of_its_own_is_named(names, words):
    assert words in refusal(*names)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["0.png", "16.png", "32.png"], "0.png, 16.png, 32.png ... do not count by one"),
        ([f"1700000000{ms}.jpg" for ms in (123, 156, 190, 223)], "1700000000123.jpg"),
        (["10-15-58.jpg", "10-15-59.jpg", "10-16-00.jpg"], "10-16-00.jpg"),
        (["cam1_1.jpg", "cam1_2.jpg", "cam2_1.jpg", "cam2_2.jpg"], "cam1_1.jpg, cam1_2.jpg, cam2_1.jpg ..."),
        (["2.png", "3.png", "4.png"], "begin with 2.png"),
    ],
)
def test_a_note_says_where_a_gap_cannot_be_seen(names, words):
    require_numbering(FOLDER, in_order(names))
    note = numbering_note(in_order(names))
    assert note is not None and note.startswith("a folder whose images ") and words in note and "cannot be seen" in note
