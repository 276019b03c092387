"""Folders of frames, and the images in them."""

import os
from functools import partial

import numpy as np
from PIL import Image

from input_cases.cases import Case, Section
from vadbench.data.media import read_frames
from vadbench.data.soundness import length_note
from vadbench.watch.reader import Reader
from vadbench.watch.sources import find_sources

PIXEL = 10
"""How much brighter a frame is than the one before."""


def value_of(frame):
    """The number that a plain frame carries by its colour."""
    return round(frame[..., 0].mean() / PIXEL)


def read(folder):
    return [value_of(frame) for frame in read_frames(folder)], length_note(folder) or ""


def save(folder, name, number, **how):
    Image.fromarray(np.full((16, 24, 3), PIXEL * number, np.uint8)).save(folder / name, **how)


def named(*names):
    """A folder of images, each a frame further than the one before."""

    def make(folder):
        for number, name in enumerate(names):
            save(folder, name, number)
        return folder

    return make


def beside(name, data=b"no picture", frames=("0.png", "1.png", "2.png")):
    """A folder of three frames with a file among them."""

    def make(folder):
        named(*frames)(folder)
        (folder / name).write_bytes(data)
        return folder

    return make


def not_utf8(folder):
    for number in range(3):
        save(folder, "x.png", number)
        os.rename(folder / "x.png", os.fsencode(folder) + b"/bild_\xfc_%d.png" % number)
    return folder


def linked_round(folder):
    named("0.png", "1.png", "2.png")(folder)
    (folder / "again").symlink_to(folder)
    return folder


SOUND = [0, 1, 2]
TIMES = ("10-15-58.jpg", "10-15-59.jpg", "10-16-00.jpg")
UNSEEN = "a folder whose images ... missing cannot be seen"

FRAMES = Section(
    "Folders of frames",
    "A folder of images is one video. Suffixes are `.jpg`, `.jpeg`, `.png`, `.tif`, `.tiff` and `.bmp`, in small or"
    " capital letters. Since one lost or doubled image would shift the labels of all frames behind it, their numbers"
    " must count.",
    read,
    SOUND,
    "every image, in the order of the numbers",
    (
        Case("`000.png`, `001.png`, `002.png`", named("000.png", "001.png", "002.png")),
        Case("`9.png`, `10.png`, `11.png`", named("9.png", "10.png", "11.png"), "noted", UNSEEN),
        Case("`1.tif`, `2.tif`, `3.tif`", named("1.tif", "2.tif", "3.tif")),
        Case("`IMG_1.JPG`, `img_2.jpeg`, `Img_3.png`", named("IMG_1.JPG", "img_2.jpeg", "Img_3.png")),
        Case("`0.png`, `16.png`, `32.png`", named("0.png", "16.png", "32.png"), "noted", UNSEEN),
        Case(
            "times for names, `10-15-58.jpg` and on",
            named("10-15-58.jpg", "10-15-59.jpg", "10-16-00.jpg"),
            "noted",
            UNSEEN,
        ),
        Case("a single image, `poster.png`", named("poster.png"), says="a video of one frame", value=[0]),
        Case("`left.png`, `right.png`", named("left.png", "right.png"), says="in the order of names", value=[0, 1]),
        Case("names that are not UTF-8", not_utf8),
        Case("a companion file of macOS, `._0.png`", beside("._0.png")),
        Case("`Thumbs.db`", beside("Thumbs.db")),
        Case("`desktop.ini`", beside("desktop.ini")),
        Case("`.DS_Store`", beside(".DS_Store")),
        Case("`readme.txt`", beside("readme.txt")),
        Case("a link in it that leads back to it", linked_round),
        Case(
            "a missing number: `1.png`, `2.png`, `4.png`",
            named("1.png", "2.png", "4.png"),
            "refused",
            "expected images numbered without a gap, found none of number 3 (before 4.png); copy the folder again",
        ),
        Case(
            "a copy: `0.png`, `1.png`, `1 (1).png`",
            named("0.png", "1.png", "1 (1).png"),
            "refused",
            "expected images whose names differ in one number, found 2 like 0.png and 1 other, such as 1 (1).png",
        ),
        Case(
            "two kinds of one image: `0.jpg`, `0.png`",
            named("0.jpg", "0.png", "1.png"),
            "refused",
            "expected one image a frame, found 0.jpg and 0.png of one number; remove one of them",
        ),
        Case(
            "two series: `a_0.png`, `a_1.png`, `b_0.png`",
            named("a_0.png", "a_1.png", "b_0.png"),
            "refused",
            "found 2 like a_0.png and 1 other, such as b_0.png; move away what is no frame of this video",
        ),
        Case(
            "a foreign picture: `0.png`, `1.png`, `mask.png`",
            named("0.png", "1.png", "mask.png"),
            "refused",
            "found 2 like 0.png and 1 other, such as mask.png",
        ),
        Case(
            "a video among the images",
            beside("clip.mp4"),
            "refused",
            "expected a folder of frames, found clip.mp4 beside 0.png; move one kind away",
        ),
        Case("no image", lambda folder: folder, "refused", "expected images (...), found none"),
    ),
)


def of_mode(mode, suffix=".tif", array=None):
    """A folder of one image of a mode, whose pictures all show the same shade of grey."""

    def make(folder):
        grey = Image.fromarray(np.full((16, 24, 3), 3 * PIXEL, np.uint8))
        picture = grey.convert(mode) if array is None else Image.fromarray(array)
        picture.save(folder / f"0{suffix}")
        return folder

    return make


def lab(folder):
    """A grey of 30: its L* is 11 of 100 (CIE 1976), 28 of 255, and its other two numbers are in the middle."""
    Image.merge("LAB", [Image.new("L", (24, 16), v) for v in (28, 128, 128)]).save(folder / "0.tif")
    return folder


def deep_colours(folder):
    """A PNG of 16 bits a channel, which holds the same grey times 257."""
    import zlib

    def chunk(name, data):
        return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    row = b"\0" + bytes((3 * PIXEL, 3 * PIXEL)) * 3 * 24
    head = (24).to_bytes(4, "big") + (16).to_bytes(4, "big") + bytes((16, 2, 0, 0, 0))
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(row * 16)), chunk(b"IEND", b""))
    (folder / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return folder


def cut_short(suffix):
    def make(folder):
        noise = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"0{suffix}")
        path = folder / f"0{suffix}"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return folder

    return make


def several(suffix):
    def make(folder):
        pages = [Image.new("RGB", (24, 16), (PIXEL * i,) * 3) for i in range(2)]
        pages[0].save(folder / f"0{suffix}", save_all=True, append_images=pages[1:])
        return folder

    return make


def pipe(folder):
    os.mkfifo(folder / "0.png")
    return folder


DEEP, PAGES = "must have 8 bits a channel, found mode ...", "frame 0 must be one picture, found 2 in the file"
DAMAGED = "damaged image (frame 0): ...; copy it again"
IMAGES = Section(
    "Images",
    "An image of a folder of frames, and a frame of one's own photos.",
    read,
    [3],
    "its colours, 8 bits a channel",
    (
        *(
            Case(what, of_mode(mode, suffix))
            for what, mode, suffix in (
                ("RGB", "RGB", ".png"),
                ("grey, 8 bits", "L", ".jpg"),
                ("CMYK in JPEG", "CMYK", ".jpg"),
                ("CMYK in TIFF", "CMYK", ".tif"),
                ("YCbCr in TIFF, with Pillow 13 or newer", "YCbCr", ".tif"),
                ("palette", "P", ".png"),
                ("transparency", "RGBA", ".png"),
                ("grey with transparency", "LA", ".png"),
            )
        ),
        Case("black and white, 1 bit", of_mode("1", ".png"), value=lambda found: 0 <= found[0] <= 25),
        Case("CIELAB in TIFF", lab),
        Case("RGB, 16 bits a channel, in PNG", deep_colours, says="the upper 8 bits"),
        *(
            Case(
                what,
                of_mode("", suffix, np.full((16, 24), 3, kind)),
                "refused",
                "must have 8 bits a channel, found ...",
            )
            for what, suffix, kind in (
                ("grey, 16 bits, in PNG", ".png", np.uint16),
                ("grey, 16 bits, in TIFF", ".tif", np.uint16),
                ("grey, 32-bit numbers", ".tif", np.int32),
                ("grey, floating point", ".tif", np.float32),
            )
        ),
        Case("several pictures in a TIFF", several(".tif"), "refused", PAGES),
        Case("an animated PNG", several(".png"), "refused", PAGES),
        *(
            Case(f"{what} that is cut off", cut_short(suffix), "refused", DAMAGED)
            for what, suffix in (("JPEG", ".jpg"), ("PNG", ".png"), ("TIFF", ".tif"), ("BMP", ".bmp"))
        ),
        Case("a web page saved as .jpg", beside("0.jpg", b"<html>log in</html>", ()), "refused", DAMAGED),
        Case("an empty file", beside("0.jpg", b"", ()), "refused", DAMAGED),
        Case("a pipe", pipe, "refused", "expected a regular file, found a pipe"),
    ),
)


def shown(folder):
    """The size of the first frame of one's own photos, as score reads them."""
    (source,) = find_sources([str(folder)])
    reader = Reader(source)
    first = next(iter(reader)).read()
    return first.shape[:2], reader.unseen_end or ""


def stored(folder):
    """The size of the first frame of a data set."""
    return next(read_frames(folder)).shape[:2], length_note(folder) or ""


def photo(folder, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(folder, "0.jpg", 3, exif=exif)
    return folder


def held(*sizes):
    ways = (("not turned", 1), ("upside down", 3), ("upright", 6))
    return tuple(
        Case(f"held {what} (EXIF orientation {number})", partial(photo, orientation=number), value=size)
        for (what, number), size in zip(ways, sizes, strict=True)
    )


LYING, STANDING = (16, 24), (24, 16)
OWN_PHOTOS = Section(
    "Photos of your own",
    "A camera notes in a photo how it was held. `score` and `extract PATHS` show a photo as it was meant.",
    shown,
    LYING,
    "turned upright",
    held(LYING, LYING, STANDING),
)
DATA_SET_FRAMES = Section(
    "Frames of a data set that say how the camera was held",
    "Data sets are read as others read them: as the frames are stored.",
    stored,
    LYING,
    "as it is stored",
    held(LYING, LYING, LYING),
)
