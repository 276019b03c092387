"""Files of boxes for two videos of frames of 80 x 48 pixels."""

import torch

from boxes import table
from input_cases.cases import Case, Section
from vadbench.features.boxes import COLUMNS, Boxes

HEAD = ",".join(COLUMNS)
SOUND = "door,0,10,4,38,40,0.9\ndoor,2,20.5,4,60,40,0.97\n"
FOUND = [[[10, 4, 38, 40]], [], [[20.5, 4, 60, 40]]]
"""The corners of the boxes of frames 0 to 2."""
ONE = [[[10, 4, 38, 40]], [], []]
REORDERED = "confidence,video,frame,x1,y1,x2,y2"
GERMAN = str.maketrans(",.", ";,")
COLUMNS_MISSING = "expected the columns video, frame, x1, y1, x2, y2, confidence, found no ...; rename or add them"


def read(path):
    boxes = Boxes(path, ["door"])
    found = boxes.find("door", [0, 1, 2], torch.zeros(3, 3, 48, 80, dtype=torch.uint8))
    boxes.end("door", 3)
    return [corners.tolist() for corners in found], "; ".join(boxes.notes)


def lines(*boxes, head=HEAD):
    """A file with a line for each box, of a video that has no other."""
    return text("\n".join((head, *boxes)) + "\n")


def text(content, name="boxes.csv"):
    def make(folder):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder / name

    return make


def parquet(folder):
    rows = [line.split(",") for line in SOUND.split()]
    frame = table(*((v, int(f), *map(float, rest)) for v, f, *rest in rows))
    frame.to_parquet(folder / "boxes.parquet")
    return folder / "boxes.parquet"


BOXES = Section(
    "Boxes",
    "A `.csv` or `.parquet` file for `extract --regions`, with the columns "
    + ", ".join(f"`{name}`" for name in COLUMNS)
    + ". Frames are counted from 0, edges are pixels of the frame.",
    read,
    FOUND,
    "every box",
    (
        Case("as described", text(f"{HEAD}\n{SOUND}")),
        Case("parquet", parquet),
        Case("byte order mark", text(b"\xef\xbb\xbf" + f"{HEAD}\n{SOUND}".encode())),
        Case("lines that end as on Windows (CRLF)", text(f"{HEAD}\n{SOUND}".replace("\n", "\r\n"))),
        Case("blanks behind commas", text(f"{HEAD}\n{SOUND}".replace(",", ", "))),
        Case("blank lines", text(f"{HEAD}\n\n{SOUND}\n\n")),
        Case("columns in another order", lines("0.9,door,0,10,4,38,40", head=REORDERED), value=ONE),
        Case("further columns", lines("door,0,10,4,38,40,0.9,person", head=f"{HEAD},label"), value=ONE),
        Case("frames as `0.0`", lines("door,0.0,10,4,38,40,0.9"), value=ONE),
        Case("a box partly outside", lines("door,0,-5,4,38,90,0.9"), value=[[[-5, 4, 38, 90]], [], []]),
        Case("semicolons", text(f"{HEAD}\n{SOUND}".replace(",", ";")), "refused", COLUMNS_MISSING),
        Case("tabs", text(f"{HEAD}\n{SOUND}".replace(",", "\t")), "refused", COLUMNS_MISSING),
        Case(
            "semicolons and decimal commas",
            text(f"{HEAD}\n{SOUND}".translate(GERMAN)),
            "refused",
            "as a table of boxes: ...; expected columns video, frame, x1, y1, x2, y2, confidence",
        ),
        Case(
            "names of columns in capitals",
            lines("door,0,10,4,38,40,0.9", head=HEAD.upper()),
            "refused",
            COLUMNS_MISSING,
        ),
        Case(
            "frames counted from 1",
            lines("door,1,10,4,38,40,0.9", "door,3,10,4,38,40,0.9"),
            "refused",
            "line 3: frames of 'door' go from 0 to 2, found 3; count frames from 0",
        ),
        Case(
            "a confidence of `97%`",
            lines("door,0,10,4,38,40,97%"),
            "refused",
            "line 2: confidence must be a finite number, found confidence 97%",
        ),
        Case(
            "a confidence of `97`",
            lines("door,0,10,4,38,40,97"),
            "refused",
            "line 2: confidence must be from 0 to 1, found confidence 97",
        ),
        Case(
            "left and right edge swapped",
            lines("door,0,38,4,10,40,0.9"),
            "refused",
            "line 2: a box needs x1 < x2 and y1 < y2, found x1 38, y1 4, x2 10, y2 40",
        ),
        Case(
            "edges in shares of the frame",
            lines("door,0,0.1,0.1,0.5,0.8,0.9"),
            "refused",
            "line 2: expected edges in pixels, most of 'door' lie between 0 and 1",
        ),
        Case("an empty cell", lines("door,0,,4,38,40,0.9"), "refused", "line 2: x1 must be a finite number"),
        Case(
            "a box outside of the frame",
            lines("door,0,90,4,99,40,0.9"),
            "refused",
            "line 2: a box must not be wholly outside of its frame, those of 'door' are 80 x 48 pixels",
        ),
        Case(
            "a video that is not there",
            lines("dor,0,10,4,38,40,0.9"),
            "refused",
            "line 2: expected the name of a video that is there, found 'dor'; did you mean 'door'?",
        ),
        Case(
            "the name with `.mp4`",
            lines("door.mp4,0,10,4,38,40,0.9"),
            "refused",
            "found 'door.mp4'; did you mean 'door'?",
        ),
        Case(
            "UTF-16",
            text(f"{HEAD}\n{SOUND}".encode("utf-16")),
            "refused",
            "as a table of boxes: 'utf-8' codec can't decode byte ...",
        ),
        Case(
            "a header alone",
            text(f"{HEAD}\n"),
            "refused",
            "expected at least one box, found none; leave it out for whole frames",
        ),
        Case(
            "a `.txt` file",
            text(f"{HEAD}\n{SOUND}", "boxes.txt"),
            "refused",
            "expected boxes in a .csv or .parquet file, found '.txt'",
        ),
    ),
)
