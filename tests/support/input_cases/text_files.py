"""Files of settings in TOML and of ground truths in JSON."""

import json
import os

from input_cases.cases import Case, Section
from vadbench.base.config import resolve
from vadbench.base.method_config import MethodConfig
from vadbench.data.annotations.truth_files import read_truth

TOML = '[rows]\nstride = 4\npooling = "middle"\n'


def settings(path):
    rows = resolve(MethodConfig, {}, path, environment={}).rows
    return (rows.stride, rows.pooling), ""


def file(name, content):
    def make(folder):
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return folder / name

    return make


def pipe(name):
    def make(folder):
        os.mkfifo(folder / name)
        return folder / name

    return make


SETTINGS = Section(
    "Settings in TOML",
    "A file for `--config`; benchmarks, banks of descriptions and `config.toml` are read alike.",
    settings,
    (4, "middle"),
    "the settings",
    (
        Case("TOML", file("s.toml", TOML)),
        Case("byte order mark", file("s.toml", b"\xef\xbb\xbf" + TOML.encode())),
        Case("lines that end as on Windows (CRLF)", file("s.toml", TOML.replace("\n", "\r\n"))),
        Case("comments", file("s.toml", f"# mine\n{TOML}")),
        Case("not TOML", file("s.toml", "rows = [\n"), "refused", "cannot read ... as TOML: ..."),
        Case("UTF-16", file("s.toml", TOML.encode("utf-16")), "refused", "'utf-8' codec can't decode byte ..."),
        Case("a name twice", file("s.toml", f"{TOML}stride = 5\n"), "refused", "as TOML: Cannot overwrite a value ..."),
        Case(
            "an unknown setting",
            file("s.toml", "[rows]\nstrid = 4\n"),
            "refused",
            "unknown setting 'rows.strid' in ...s.toml; did you mean 'rows.stride'",
        ),
        Case(
            "a value of another type",
            file("s.toml", '[rows]\nstride = "four"\n'),
            "refused",
            "setting 'rows.stride' from ...s.toml: Input should be a valid integer, ...",
        ),
        Case("true for a number", file("s.toml", "[rows]\nstride = true\n"), "refused", "must not be true or false"),
        Case("a pipe", pipe("s.toml"), "refused", "expected a regular file, found a pipe"),
        Case("no file", lambda folder: folder / "s.toml", "refused", "as TOML: [Errno 2] No such file or directory"),
    ),
)

ENTRY = {"frames": 320, "segments": [["Abuse", 96, 160]]}


def truths(path):
    return {name: (v.frames, v.segments) for name, v in read_truth(path).videos.items()}, ""


def truth(**changes):
    return file("truth.json", json.dumps({"videos": {"a": ENTRY | changes}}))


TRUTHS = Section(
    "Ground truths in JSON",
    "A file for `--truth`, as `vadbench data export` writes it; other JSON of data sets is read alike.",
    truths,
    {"a": (320, (("Abuse", 96, 160),))},
    "the videos, their lengths and segments",
    (
        Case("JSON", truth()),
        Case("byte order mark", file("t.json", b"\xef\xbb\xbf" + json.dumps({"videos": {"a": ENTRY}}).encode())),
        Case("no length", truth(frames=None), value={"a": (None, (("Abuse", 96, 160),))}),
        Case("a normal video", truth(segments=[]), value={"a": (320, ())}),
        Case("no class", truth(segments=[[None, 96, 160]]), value={"a": (320, ((None, 96, 160),))}),
        Case(
            "a segment that ends before it begins",
            truth(segments=[["Abuse", 160, 96]]),
            "refused",
            "segment must have 0 <= first < end, found [160, 96)",
        ),
        Case(
            "numbers with decimals",
            truth(segments=[["Abuse", 96.5, 160]]),
            "refused",
            "expected a whole number of at most nine digits, found 96.5",
        ),
        Case("a length of 0", truth(frames=0), "refused", "expected a number of frames from 1 to 10000000, found 0"),
        Case(
            "infinity",
            truth(frames=float("inf")),
            "refused",
            "expected a whole number of at most nine digits, found 'Infinity'",
        ),
        Case(
            "a video twice",
            file("t.json", '{"videos": {"a": {"segments": []}, "a": {"segments": []}}}'),
            "refused",
            "'a' has an entry already; keep one of the two",
        ),
        Case("cut off", file("t.json", '{"videos": {"a": {'), "refused", "expected JSON: ...; fetch it again"),
        Case("nested without end", file("t.json", "[" * 100_000), "refused", "expected JSON: ...; fetch it again"),
        Case("another form", file("t.json", '{"a": [96, 160]}'), "refused", "expected ... with at least one video"),
        Case("a pipe", pipe("t.json"), "refused", "cannot read ...: expected a regular file, found a pipe"),
        Case("no file", lambda folder: folder / "t.json", "refused", "cannot read ...: No such file or directory"),
    ),
)
