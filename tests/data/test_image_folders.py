"""Folders of images: what is refused with the name of the file, and how an image is turned and read."""

import os

import numpy as np
import pytest
from PIL import Image

from vadbench.base.errors import MediaError
from vadbench.data.image_folders import list_images, read_image
from vadbench.data.media import declared_frames, read_frames, source_id

CORNER = np.zeros((8, 12, 3), np.uint8)
CORNER[:2, :3] = 255
"""A picture with a white upper left corner."""


def write(folder, *names):
    for t, name in enumerate(names):
        Image.fromarray(np.full((8, 12, 3), 10 * t, np.uint8)).save(folder / name)


@pytest.mark.parametrize("names", [("0.png", "2.png"), ("0.png", "1.png", "1 (1).png")])
def test_no_reading_of_a_folder_passes_over_a_gap_or_a_copy(tmp_path, names):
    write(tmp_path, "3.png", "4.png", *names)
    for use in (list_images, declared_frames, source_id, lambda folder: list(read_frames(folder))):
        with pytest.raises(MediaError, match=str(tmp_path)):
            use(tmp_path)


def test_a_video_among_frames_is_named(tmp_path):
    write(tmp_path, "0.png", "1.png")
    (tmp_path / "._a.mp4").touch()
    (tmp_path / ".hidden.png").touch()
    assert [p.name for p in list_images(tmp_path)] == ["0.png", "1.png"]
    (tmp_path / "a.MP4").touch()
    with pytest.raises(MediaError, match=r"found a\.MP4 beside 0\.png"):
        list_images(tmp_path)


@pytest.mark.parametrize("name", ["0.tif", "0.png"])
def test_an_image_of_several_pictures_is_refused(tmp_path, name):
    pages = [Image.fromarray(np.full((8, 12, 3), v, np.uint8)) for v in (10, 20, 30)]
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    with pytest.raises(MediaError, match=rf"{name}: frame 4 must be one picture, found 3"):
        read_image(tmp_path / name, 4)


def test_a_preview_in_a_photo_is_no_further_picture(tmp_path):
    photo, preview = Image.fromarray(CORNER), Image.fromarray(CORNER[::2, ::2])
    photo.save(tmp_path / "0.jpg", format="MPO", save_all=True, append_images=[preview], quality=100, subsampling=0)
    with Image.open(tmp_path / "0.jpg") as image:
        assert image.n_frames == 2
    assert read_image(tmp_path / "0.jpg", 0).shape == (8, 12, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_upright_where_asked(tmp_path, orientation, suffix):
    # Where the first row and the first column of the stored picture are when it is upright, from the standard.
    places = {
        1: ("top", "left"), 2: ("top", "right"), 3: ("bottom", "right"), 4: ("bottom", "left"),
        5: ("left", "top"), 6: ("right", "top"), 7: ("right", "bottom"), 8: ("left", "bottom"),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"0{suffix}"
    Image.fromarray(CORNER).save(path, exif=exif, **({"quality": 100, "subsampling": 0} if suffix == ".jpg" else {}))
    upright = read_image(path, 0, upright=True)
    assert upright.shape == ((8, 12, 3) if orientation < 5 else (12, 8, 3))
    white = upright[..., 0] > 128
    rows, columns = (2, 3) if orientation < 5 else (3, 2)
    expected = np.zeros_like(white)
    expected[
        slice(rows) if "top" in places[orientation] else slice(-rows, None),
        slice(columns) if "left" in places[orientation] else slice(-columns, None),
    ] = True
    np.testing.assert_array_equal(white, expected)
    if suffix == ".jpg":
        assert read_image(path, 0).shape == (8, 12, 3), "data sets are read as others read them"


def test_names_that_are_no_utf8_are_read(tmp_path):
    folder = os.fsencode(tmp_path)
    for t in (1, 2):
        with open(folder + b"/T\xfcr_%d.png" % t, "wb") as file:
            Image.fromarray(np.full((8, 12, 3), t, np.uint8)).save(file, "png")
    assert [int(frame[0, 0, 0]) for frame in read_frames(tmp_path)] == [1, 2]
    before = source_id(tmp_path)
    os.rename(folder + b"/T\xfcr_2.png", folder + b"/T\xfcr_3.png")
    os.rename(folder + b"/T\xfcr_1.png", folder + b"/T\xfcr_2.png")
    assert source_id(tmp_path) not in ("", before)
