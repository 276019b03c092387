"""The page that says what becomes of inputs: docs/inputs.md.

Run ``python -m input_cases.page`` in tests/support to write it anew.
"""

from input_cases.box_files import BOXES
from input_cases.cases import table
from input_cases.features import FEATURES
from input_cases.folders import FOLDERS
from input_cases.images import DATA_SET_FRAMES, FRAMES, IMAGES, OWN_PHOTOS
from input_cases.lists import LISTS
from input_cases.names import NAMES
from input_cases.text_files import SETTINGS, TRUTHS
from input_cases.videos import VIDEOS
from input_cases.weight_files import WEIGHTS
from places import ROOT
from video_kinds import KINDS

PAGE = ROOT / "docs" / "inputs.md"
SECTIONS = (
    *(VIDEOS, FOLDERS, FRAMES, IMAGES, OWN_PHOTOS, DATA_SET_FRAMES),
    *(LISTS, FEATURES, BOXES, WEIGHTS, SETTINGS, TRUTHS, NAMES),
)
INTRO = """# What is read, refused and noted

What becomes of files as they are out there. Each line is a test of vadbench: it makes the input, reads it, and looks at
what comes out; this page is written from these tests.

- **read**: it is taken as it is, and the last column says what is read of it.
- **noted**: it is read, and a line that begins with `note:` says what cannot be known or was done; a result keeps the
  note.
- **refused**: it is not used. One line says what was expected, what was found and what to do, and the exit status is 2.

The last column shows the words of the note or the refusal; `...` stands for what differs, such as the name of the file.
"""
KINDS_INTRO = """## Kinds of video files

Films of 150 numbered frames, whole and damaged. *Read* means that every frame came, in order and at its time. A damaged
file is refused with its name, the frame and the time: `clip.webm: damaged at frame 73, 2.92 s (no frames between 2.88
and 4.00 s, and its structure is broken at byte 31,276); copy it again`. Where a kind of file states no length, a note
says that an early end cannot be seen: `of a kind (mpegts) that states no length`.
"""


def kinds_table():
    """Write the table of the kinds of files, whole and damaged, in Markdown."""
    lines = ["| kind of file | whole | last 40 % missing | 2 KiB of zeros in the middle |", "| --- | --- | --- | --- |"]
    return "\n".join(lines + [f"| {name.replace('-', ', ')} | {' | '.join(k.outcomes)} |" for name, k in KINDS.items()])


def page():
    """Return the text of the page."""
    parts = [INTRO, KINDS_INTRO, kinds_table() + "\n", *(table(section) + "\n" for section in SECTIONS)]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
