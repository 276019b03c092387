"""Thumbnails: the right frames, from files and folders, and damage that stops nothing."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from vadbench.base.errors import MediaError
from vadbench.data.media import write_video
from vadbench.dataset import ClassTable, Dataset, Video, VideoClass
from vadbench.report.thumbnails import make_strip, make_strips


def numbered(count):
    """Frames whose brightness is their number, 64 by 48."""
    return [np.full((48, 64, 3), 20 + 3 * i, np.uint8) for i in range(count)]


def brightness(strip):
    """Of the middle of each picture, as the number of its frame."""
    image = Image.open(io.BytesIO(base64.b64decode(strip.source.partition(",")[2])))
    assert image.size == (strip.width * len(strip.frames), 54)
    middles = [image.getpixel((i * strip.width + strip.width // 2, 27))[0] for i in range(len(strip.frames))]
    return [round((m - 20) / 3) for m in middles]


@pytest.mark.parametrize("count", [1, 2, 5, 6, 60])
def test_pictures_are_the_middles_of_equal_parts(tmp_path, count):
    write_video(tmp_path / "v.mp4", numbered(count), fps=25, crf=1)
    strip = make_strip(tmp_path / "v.mp4", count)
    parts = min(6, count)
    assert strip.frames == [int((i + 0.5) * count / parts) for i in range(parts)]
    assert brightness(strip) == strip.frames
    assert len(strip.source) < 6000


def test_a_folder_of_images_is_read_in_natural_order(tmp_path):
    for i, frame in enumerate(numbered(12)):
        Image.fromarray(frame).save(tmp_path / f"{i}.png")
    strip = make_strip(tmp_path, 12)
    assert brightness(strip) == strip.frames == [1, 3, 5, 7, 9, 11]


def test_a_video_that_is_shorter_than_its_scores_is_refused(tmp_path):
    write_video(tmp_path / "v.mp4", numbered(10), fps=25)
    with pytest.raises(MediaError, match="expected 100 frames, found fewer"):
        make_strip(tmp_path / "v.mp4", 100)


def test_damage_is_noted_and_the_others_have_theirs(tmp_path):
    class Some(Dataset):
        name = "some"
        classes = ClassTable((VideoClass("Normal"),), 0)
        expected = {"train": 0, "test": 3}
        files = ""

        def videos(self, split, boundaries="native"):
            return [Video(name, ("Normal",), self.root / f"{name}.mp4") for name in ("good", "text", "absent", "other")]

    for name in ("good", "other"):
        write_video(tmp_path / f"{name}.mp4", numbered(10), fps=25)
    (tmp_path / "text.mp4").write_text("no video")
    strips, notes = make_strips(Some(tmp_path), {"good": 10, "text": 10, "absent": 10})
    assert list(strips) == ["good"]
    assert len(notes) == 1 and notes[0].startswith("no thumbnails of text: ")
