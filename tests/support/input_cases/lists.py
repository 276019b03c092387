"""Lists of videos and annotations of their anomalies, in a small copy of UCF-Crime without its videos."""

from vadbench_ucfcrime.dataset import UcfCrime

from input_cases.cases import Case, Section
from vadbench.harness.participants import participants
from vadbench.scoring.protocol import protocols

TRAIN, TEST = "Anomaly_Train.txt", "Anomaly_Test.txt"
TEMPORAL, COUNTS = "Temporal_Anomaly_Annotation_for_Testing_Videos.txt", "Test_Annotation.txt"
FILES = {
    TRAIN: "Abuse/Abuse001_x264.mp4\nTraining_Normal_Videos_Anomaly/Normal_Videos001_x264.mp4\n",
    TEST: "Abuse/Abuse028_x264.mp4\nTesting_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4\n",
    TEMPORAL: "Abuse028_x264.mp4  Abuse  97  160  -1  -1  \nNormal_Videos_003_x264.mp4  Normal  -1  -1  -1  -1  \n",
    COUNTS: "Abuse/Abuse028_x264.mp4 320 x\nNormal/Normal_Videos_003_x264.mp4 300 x\n",
}
FOUND = {
    "train": {"Abuse001_x264": (), "Normal_Videos001_x264": ()},
    "test": {"Abuse028_x264": ((96, 160),), "Normal_Videos_003_x264": ()},
}
"""The videos of the splits, and the abnormal frames of each, counted from 0 and without the last."""


def read(root):
    dataset = UcfCrime(root)
    dataset.prepare()
    found = participants(dataset, protocols()["native"].rules)
    return {
        split: {v.name: tuple((s.start, s.end) for s in v.segments) for v in videos}
        for split, videos in found.videos.items()
    }, "; ".join(found.problems)


def changed(change, *names):
    """A copy in which the content of some files, or of all, is changed."""

    def make(root):
        for name, text in FILES.items():
            content = change(text) if not names or name in names else text
            (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return root

    return make


def replaced(name, old, new):
    """A copy in whose file of a name some text is replaced."""
    assert old in FILES[name]
    return changed(lambda text: text.replace(old, new, 1), name)


def extra(name, line):
    """A copy with a further line at the end of a file."""
    return changed(lambda text: text + line + "\n", name)


def called(other, beside=False):
    """A copy whose annotation has another name, or stands there under both."""

    def make(root):
        changed(lambda text: text)(root)
        (root / other).write_text(FILES[TEMPORAL])
        if not beside:
            (root / TEMPORAL).unlink()
        return root

    return make


def without(name):
    def make(root):
        changed(lambda text: text)(root)
        (root / name).unlink()
        return root

    return make


OTHER_NAME = "Temporal_Anomaly_Annotation.txt"
LISTS = Section(
    "Lists and annotations",
    "Here those of UCF-Crime; the other data sets share the readers. A message names the file and the line.",
    read,
    FOUND,
    "the videos and their abnormal frames",
    (
        Case("as published", changed(lambda text: text)),
        Case("lines that end as on Windows (CRLF)", changed(lambda text: text.replace("\n", "\r\n"))),
        Case("lines that end as on old Macs (CR)", changed(lambda text: text.replace("\n", "\r"))),
        Case("no end of the last line", changed(str.rstrip)),
        Case("byte order mark", changed(lambda text: b"\xef\xbb\xbf" + text.encode())),
        Case("blank lines", changed(lambda text: text.replace("\n", "\n\n  \n"))),
        Case("tabs between columns", changed(lambda text: text.replace("  ", "\t"))),
        Case("no-break spaces between columns", changed(lambda text: text.replace("  ", "\xa0"))),
        Case("blanks around lines", changed(lambda text: " " + text.replace("\n", " \n "))),
        Case("backslashes in paths", changed(lambda text: text.replace("/", "\\"))),
        Case("`.MP4` in capitals", changed(lambda text: text.replace(".mp4", ".MP4"))),
        Case("`.avi` in the lists alone", changed(lambda text: text.replace(".mp4", ".avi"), TRAIN, TEST)),
        Case("no suffixes in the lists", changed(lambda text: text.replace(".mp4", ""), TRAIN, TEST)),
        Case(f"the annotation as `{OTHER_NAME}`", called(OTHER_NAME), "noted", f"{OTHER_NAME} is read as {TEMPORAL}"),
        Case(f"the annotation also as `{OTHER_NAME}`", called(OTHER_NAME, beside=True)),
        Case("no frame counts", without(COUNTS)),
        Case(
            "an interval a frame past the end",
            replaced(TEMPORAL, "97  160", "97  321"),
            "noted",
            "line 1: interval 97 321 of 'Abuse028_x264' ends past its 320 frames; cut there",
            {**FOUND, "test": {**FOUND["test"], "Abuse028_x264": ((96, 320),)}},
        ),
        Case(
            "an interval far past the end",
            replaced(TEMPORAL, "97  160", "97  360"),
            "refused",
            "line 1: interval 97 360 of 'Abuse028_x264' ends more than 2 frames past its 320 frames",
        ),
        Case(
            "UTF-16", changed(lambda text: text.encode("utf-16")), "refused", "line 1: expected UTF-8 text, found ..."
        ),
        Case(
            "a comment, `# my list`",
            extra(TEST, "# my list"),
            "refused",
            "line 3: expected 'class folder/video', found '# my list' alone",
        ),
        Case(
            "last before first frame",
            replaced(TEMPORAL, "97  160", "160  97"),
            "refused",
            "line 1: expected 0 <= first <= last frame, found 160 97",
        ),
        Case(
            "numbers with decimals, `97.0`",
            replaced(TEMPORAL, "97  160", "97.0  160.0"),
            "refused",
            "line 1: expected a whole number of at most nine digits, found '97.0'",
        ),
        Case(
            "a single number",
            replaced(TEMPORAL, "97  160  -1  -1", "97"),
            "refused",
            "line 1: expected pairs of first and last frame, found 1 numbers",
        ),
        Case(
            "a video twice in a list",
            extra(TEST, "Abuse/Abuse028_x264.mp4"),
            "refused",
            "line 3: 'Abuse028_x264' is listed already in ..., line 1; keep one of them",
        ),
        Case(
            "a video twice in the annotation",
            extra(TEMPORAL, "Abuse028_x264.mp4  Abuse  1  9  -1  -1"),
            "refused",
            "line 3: 'Abuse028_x264' has a line already; keep one of the two",
        ),
        Case(
            "a training video in the test list",
            extra(TEST, "Training_Normal_Videos_Anomaly/Normal_Videos001_x264.mp4"),
            "refused",
            "each video must appear once in one split, found Normal_Videos001_x264 more than once; keep one",
        ),
        Case(
            "an unknown class",
            extra(TRAIN, "Dancing/Dancing001_x264.mp4"),
            "refused",
            "line 3: unknown class 'Dancing'; known: ...",
        ),
        Case(
            "an abnormal test video without annotation",
            replaced(TEMPORAL, "Abuse028_x264", "Abuse029_x264"),
            "refused",
            "expected a line for 'Abuse028_x264', abnormal by ..., line 1, found none; fetch it again",
        ),
        Case(
            "a path out of the folder",
            extra(TRAIN, "../Abuse/Abuse002_x264.mp4"),
            "refused",
            "line 3: path '../Abuse/Abuse002_x264.mp4' must not contain '..'",
        ),
        Case("an empty list", changed(lambda text: "", TEST), "refused", f"{TEST}: the list is empty; fetch it again"),
        Case("no test list", without(TEST), "refused", "no test list in ... or one folder below; expected there: ..."),
        Case("no annotation", without(TEMPORAL), "refused", f"{TEMPORAL} not found in ... or one folder below"),
        Case(
            "two lengths of a video",
            extra(COUNTS, "Abuse/Abuse028_x264.mp4 321 x"),
            "refused",
            "line 3: 'Abuse028_x264' has 320 frames before, 321 here; keep one of the two",
        ),
        Case(
            "a length of 0",
            replaced(COUNTS, " 320 ", " 0 "),
            "refused",
            "line 1: expected a video and its number of frames",
        ),
    ),
)
