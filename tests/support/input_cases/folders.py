"""Folders with several videos, as ``extract FOLDER`` looks through them."""

import os

from input_cases.cases import Case, Section
from vadbench.harness.extraction_request import find_videos

FOUND = ["a", "b"]


def read(paths):
    paths = paths if isinstance(paths, list) else [paths]
    return sorted(video.name for video in find_videos(paths)), ""


def holding(*names):
    """A folder with files of these names, whose content does not matter here."""

    def make(folder):
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return folder

    return make


def given(*names):
    """The paths of some of the files of a folder."""

    def make(folder):
        holding(*names)(folder)
        return [folder / name for name in names]

    return make


def linked_round(folder):
    holding("a.mp4", "b.mp4")(folder)
    (folder / "again").symlink_to(folder)
    return folder


def not_utf8(folder):
    for name in (b"/T\xfcr.mp4", b"/b.mp4"):
        with open(os.fsencode(folder) + name, "wb"):
            pass
    return folder


BESIDE = "expected videos or folders of frames, found ... beside videos such as ...; move the pictures away"
FOLDERS = Section(
    "Folders of videos",
    "What `extract FOLDER` finds in a folder and below it; `score FOLDER` looks into the folder alone. A video is named"
    " by its path below the folder.",
    read,
    FOUND,
    "both videos",
    (
        Case("`a.mp4`, `b.mp4`", holding("a.mp4", "b.mp4")),
        Case("`a.MP4`, `b.Mkv`", holding("a.MP4", "b.Mkv")),
        Case("`x/a.mp4`, `y/b.mp4`", holding("x/a.mp4", "y/b.mp4"), value=["x/a", "y/b"]),
        Case("a video and a folder of frames", holding("a.mp4", "b/0.png", "b/1.png")),
        Case(
            "one folder of frames",
            holding("0.png", "1.png"),
            says="the folder, as a video",
            value=lambda n: len(n) == 1,
        ),
        Case("companions of macOS, `._a.mp4`", holding("a.mp4", "b.mp4", "._a.mp4", "__MACOSX/._a.mp4")),
        Case("hidden folders, `.Trash/c.mp4`", holding("a.mp4", "b.mp4", ".Trash/c.mp4", ".thumbs/0.jpg")),
        Case("other files, `Thumbs.db`, `list.txt`", holding("a.mp4", "b.mp4", "Thumbs.db", "list.txt")),
        Case("a link that leads round", linked_round),
        Case("names that are not UTF-8", not_utf8, value=["T\udcfcr", "b"]),
        Case("a poster beside the videos", holding("a.mp4", "b.mp4", "poster.jpg"), "refused", BESIDE),
        Case("a poster in a folder of its own", holding("a.mp4", "b.mp4", "art/poster.jpg"), "refused", BESIDE),
        Case(
            "two videos of one name, `a.mp4`, `a.avi`",
            given("a.mp4", "a.avi"),
            "refused",
            "two videos would be called 'a': ... and ...; rename one",
        ),
        Case("no video", holding("list.txt"), "refused", "no video under ...: expected files ending in ..."),
        Case("no folder", lambda folder: folder / "none", "refused", "no such file or folder: ..."),
    ),
)
