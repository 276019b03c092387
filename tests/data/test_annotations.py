import itertools
import os
import re
import unicodedata
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vadbench.base.errors import DataError
from vadbench.data.annotations.count_files import read_counts
from vadbench.data.annotations.lists import (
    listed_path,
    pairs,
    read_csv_list,
    read_json,
    read_lines,
    read_list,
    video_name,
)
from vadbench.data.annotations.temporal_files import names_classes, read_temporal
from vadbench.data.annotations.truth_files import read_truth
from vadbench.data.annotations.video_files import VideoFiles, find_files
from vadbench.dataset import Segment, merged

ODD_NAMES = [
    "two  words",
    "a#1=b",
    'it\'s "quoted"',
    "Jiří Ölçü 北京",
    "v=x__#00-01_label_B1-0-0",
    "ends.in.2001",
    "@home",
    "One, Two, and Three",
]


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(call, *words):
    with pytest.raises(DataError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    return message


def test_lines_keep_their_numbers_and_blank_ones_are_left_out(tmp_path):
    path = write(tmp_path / "list.txt", b"\xef\xbb\xbffirst\r\n\r\n  third  \nfourth\x0b\xc2\x85end")
    assert read_lines(path) == [
        (f"{path}, line 1", "first"),
        (f"{path}, line 3", "third"),
        (f"{path}, line 4", "fourth\x0b\x85end"),
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["the list is empty"]),
        (b" \n\t\n", ["the list is empty"]),
        (b"good\nbad \xff\n", ["line 2", "expected UTF-8", "0xff"]),
        (b"good\n\0\0", ["line 2", "binary"]),
    ],
)
def test_a_file_that_is_no_list_is_refused(tmp_path, content, words):
    path = write(tmp_path / "list.txt", content)
    refused(lambda: read_lines(path), str(path), *words)


def test_a_missing_file_or_damaged_json_is_refused(tmp_path):
    refused(lambda: read_lines(tmp_path / "none.txt"), "none.txt", "No such file")
    path = write(tmp_path / "spans.json", "{")
    refused(lambda: read_json(path), str(path), "expected JSON")


@pytest.mark.parametrize("read", [read_json, read_lines, read_counts, read_temporal, read_truth])
def test_a_file_of_any_kind_that_is_too_large_or_no_file_is_refused_unread(tmp_path, read):
    path = tmp_path / "list.json"
    with path.open("wb") as file:
        file.truncate((256 << 20) + 1)
    refused(lambda: read(path), str(path), "at most 256 MiB, found 256")
    path.unlink()
    os.mkfifo(path)
    refused(lambda: read(path), str(path), "expected a regular file, found a pipe")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[Infinity]", "a whole number of at most nine digits, found 'Infinity'"),
        ("[1e400]", "found '1e400'"),
        ("[10000000000000]", "found '10000000000000'"),
        ("[" + "7" * 5000 + "]", "found '777"),
        ("[" * 200_000, "expected JSON"),
        (b'"\xff"', "expected JSON"),
    ],
)
def test_json_that_would_break_a_reader_is_refused(tmp_path, content, words):
    path = write(tmp_path / "spans.json", content)
    assert len(refused(lambda: read_json(path), str(path), words)) < len(str(path)) + 300


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("suffix", ["", ".mp4", ".AVI", ".npy"])
def test_odd_names_survive_every_form_of_list(tmp_path, name, suffix):
    plain = write(tmp_path / "plain.txt", f"Folder/{name}{suffix}\n")
    (entry,) = read_list(plain, tmp_path)
    assert (entry.name, entry.folder, entry.first, entry.ids) == (name, "Folder", 0, ())
    ranged = write(tmp_path / "ranged.txt", f"Folder/{name}{suffix} 1 300 4 2\n")
    (entry,) = read_list(ranged, tmp_path)
    assert (entry.name, entry.folder, entry.first, entry.ids) == (name, "Folder", 1, (4, 2))
    quoted = name.replace('"', '""')
    table = write(tmp_path / "table.csv", f'path,label\n"/far/away/{quoted}__0.npy",X\n"C:\\far\\{quoted}__1.npy",X\n')
    (entry,) = read_csv_list(table)
    assert (entry.name, entry.label, entry.where) == (name, "X", f"{table}, line 2")
    temporal = write(tmp_path / "temporal.txt", f"{name}{suffix or '.mp4'}  Riot  3  4  -1  -1\n")
    assert [(i.label, i.first, i.last) for i in read_temporal(temporal)[name]] == [("Riot", 3, 4)]
    counts = write(tmp_path / "counts.txt", f"{name}{suffix}@17\n")
    assert read_counts(counts) == {name: 17}
    counts = write(tmp_path / "counts.txt", f"Folder/{name}{suffix or '.mp4'} 17\n")
    assert read_counts(counts) == {name: 17}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("../Abuse/a.mp4", ["must not contain '..'"]),
        ("Abuse/../../a.mp4", ["must not contain '..'"]),
        ("Abuse\\..\\a.mp4", ["must not contain '..'"]),
        ("/etc/a.mp4", ["outside the data root"]),
        ("C:\\videos\\a.mp4", ["outside the data root"]),
        ("Abuse/", ["expected the path of a video"]),
    ],
)
def test_a_list_cannot_lead_out_of_the_root(tmp_path, path, words):
    lines = write(tmp_path / "list.txt", f"Abuse/good.mp4\n{path}\n")
    refused(lambda: read_list(lines, tmp_path), f"{lines}, line 2", *words)


def test_an_absolute_path_within_the_root_is_fine(tmp_path):
    assert listed_path(str(tmp_path / "Abuse" / "a.mp4"), "here", tmp_path) == ("Abuse", "a")


def test_a_list_names_a_video_once(tmp_path):
    path = write(tmp_path / "list.txt", "Abuse/a.mp4\nArson/b.mp4\nAbuse/a.mp4\n")
    refused(lambda: read_list(path, tmp_path), "line 3", "'a' is listed already", "line 1")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("/x/a__0.npy,Abuse\n", ["line 1", "expected the header 'path,label'"]),
        ("path,label\n", ["the list is empty"]),
        ("path,label\n/x/a__0.npy\n", ["line 2", "expected a path and a label"]),
        ("path,label\n/x/a__0.npy,\n", ["line 2", "expected a path and a label"]),
        ("path,label\n/x/../a__0.npy,Abuse\n", ["line 2", "'..'"]),
        ("path,label\n/x/a__0.npy,Abuse\n/x/a__1.npy,Arson\n", ["line 3", "'Arson' here and 'Abuse'", "line 2"]),
        ('path,label\n"/x/a"b,Abuse\n', ["line 2", "not a row of a csv file"]),
    ],
)
def test_a_csv_list_is_checked(tmp_path, content, words):
    path = write(tmp_path / "list.csv", content)
    refused(lambda: read_csv_list(path), str(path), *words)


@pytest.mark.parametrize(
    "content", ["a@0", "a@", "a@x", "a", "a b", "a.mp4 -3", "@3", "7", "a@1234567890", "a " + "7" * 5000]
)
def test_frame_counts_must_be_positive(tmp_path, content):
    path = write(tmp_path / "counts.txt", f"good@1\n{content}\n")
    refused(lambda: read_counts(path), "line 2", " number of ")


def test_frame_counts_are_read_from_lines_with_more_behind(tmp_path):
    path = write(tmp_path / "counts.txt", "Arson/Arson022_x264.mp4 8640 Arson 3500 4000 -1 -1\nb.mp4 5\n")
    assert read_counts(path) == {"Arson022_x264": 8640, "b": 5}


def test_a_video_has_one_number_of_frames_and_may_have_it_twice(tmp_path):
    assert read_counts(write(tmp_path / "counts.txt", "a.mp4 5\nx/a.mp4 5\n")) == {"a": 5}
    path = write(tmp_path / "counts.txt", "a.mp4 5\nb@3\nx/a.mp4 6\n")
    refused(lambda: read_counts(path), "line 3", "'a' has 5 frames before, 6 here; keep one of the two")


@pytest.mark.parametrize("form", ['{"a": 5, "x/b.mp4": 17}', '{"what": "w", "frames": {"a": 5, "x/b.mp4": 17}}'])
def test_frame_counts_are_read_from_json(tmp_path, form):
    assert read_counts(write(tmp_path / "frames.json", form)) == {"a": 5, "b": 17}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[5]", ["expected an object {name: frames}"]),
        ("{}", ["expected an object {name: frames}"]),
        ('{"a": -3}', ["'a'", "expected a number of frames", "found -3"]),
        ('{"a": [3]}', ["'a'", "expected a whole number"]),
        ('{"a": 2.5}', ["expected a whole number"]),
        ('{"a": 2, "a": 2}', ["'a' has an entry already"]),
        ('{"x/a.mp4": 2, "a": 3}', ["'a' has 2 frames before, 3 here"]),
    ],
)
def test_frame_counts_in_json_of_another_form_are_refused(tmp_path, text, words):
    path = write(tmp_path / "frames.json", text)
    refused(lambda: read_counts(path), str(path), *words)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        (["1"], "expected pairs"),
        (["1", "2", "3"], "expected pairs"),
        (["1", "two"], "at most nine digits, found 'two'"),
        (["1", "1234567890"], "at most nine digits"),
        (["5", "4"], "found 5 4"),
        (["-1", "4"], "found -1 4"),
        (["4", "-1"], "found 4 -1"),
        (["-2", "-2"], "found -2 -2"),
    ],
)
def test_intervals_out_of_order_are_refused(numbers, words):
    refused(lambda: pairs(numbers, "Riot", "file, line 7"), "file, line 7", words)


def test_temporal_lines_are_checked(tmp_path):
    path = write(tmp_path / "temporal.txt", "a.mp4 Riot 1 2\nb.mp4 Riot\n")
    refused(lambda: read_temporal(path), "line 2", "expected 'video class first last")
    path = write(tmp_path / "temporal.txt", "a.mp4 Riot 1 2\na.avi Riot 1 2\n")
    refused(lambda: read_temporal(path), "line 2", "'a' has a line already")


LONG = 600_000
SLOW_TO_MATCH = {
    "numbers": "a " + "1 " * (LONG // 2) + "x",
    "spaces": "a" + " " * LONG + "x",
    "tabs and words": "a b\t" * (LONG // 4) + ".",
    "marks": "_label_" * (LONG // 7) + " @",
    "digits": "a " + "1" * LONG + " x",
}


@pytest.mark.parametrize("number", ["97.0", "9.7e1", "+97", "NaN", "-inf", "1."])
@pytest.mark.parametrize("form", ["b.mp4  Abuse  {}  160", "b Abuse 90 {} -1 -1", "b.mp4  Road Accidents  1  {}"])
def test_numbers_that_are_not_whole_are_named_with_their_line(tmp_path, form, number):
    path = write(tmp_path / "t.txt", "a Riot 1 2\n" + form.format(number))
    refused(lambda: read_temporal(path), "line 2", "expected a whole number", repr(number))


def test_a_list_says_so_as_well(tmp_path):
    path = write(tmp_path / "l.txt", "Abuse/a.mp4 0 99 0\nAbuse/b 0 99.0 0\n")
    refused(lambda: read_list(path, tmp_path), "line 2", "'99.0'")


def test_names_and_classes_of_a_temporal_annotation_may_have_spaces(tmp_path):
    lines = "My clip 2.mp4  Road Accidents  3  4\nb.MP4 Riot -1 -1\nc Riot 5 6"
    found = read_temporal(write(tmp_path / "t.txt", lines))
    assert {n: [(i.label, i.first, i.last) for i in own] for n, own in found.items()} == {
        "My clip 2": [("Road Accidents", 3, 4)],
        "b": [],
        "c": [("Riot", 5, 6)],
    }


def test_intervals_are_told_from_frame_counts_by_their_lines(tmp_path):
    intervals = write(tmp_path / "a.txt", "a.mp4 Abuse 1 2 -1 -1\nb.mp4  Normal  -1  -1\nbroken\n")
    assert names_classes(intervals)
    for counts in ("X/a.mp4 60 x\nb c.mp4 70\n", "a@60\nb@70\n", "Abuse/Abuse001 2729 1 2\n", "a.mp4 5\nb.mp4 x\n"):
        assert not names_classes(write(tmp_path / "c.txt", counts))


@pytest.mark.parametrize("read", [read_temporal, read_counts])
@pytest.mark.parametrize("text", SLOW_TO_MATCH.values(), ids=SLOW_TO_MATCH)
def test_a_long_line_costs_no_more_than_its_length(tmp_path, read, text):
    """Reading that tries every split of such a line would not end before the time limit of the tests."""
    path = write(tmp_path / "lines.txt", text)
    if read is read_counts and "1 " in text[:4]:
        assert read(path) == {"a": 1}
    else:
        refused(lambda: read(path), f"{path}, line 1")


@pytest.mark.parametrize("text", SLOW_TO_MATCH.values(), ids=SLOW_TO_MATCH)
def test_a_long_line_of_a_list_is_a_name(tmp_path, text):
    (entry,) = read_list(write(tmp_path / "lines.txt", text), tmp_path)
    assert entry.name == text


def test_a_long_name_before_many_numbers_is_kept(tmp_path):
    name = "two  words " * (LONG // 11) + "end"
    path = write(tmp_path / "temporal.txt", f"{name}.mp4 Riot {'3 4 ' * 5000}")
    assert {n: len(found) for n, found in read_temporal(path).items()} == {name: 5000}
    path = write(tmp_path / "ranged.txt", f"{name}.mp4 1 300{' 4' * 5000}")
    (entry,) = read_list(path, tmp_path)
    assert (entry.name, entry.first, entry.ids) == (name, 1, (4,) * 5000)


@pytest.mark.parametrize("numbers", ["1234567890 3 4", "1 3 1234567890", "1 3 -4", "-1 3 4", "1 3 " + "7" * 5000])
def test_numbers_of_a_list_are_checked(tmp_path, numbers):
    path = write(tmp_path / "list.txt", f"Abuse/good.mp4\nAbuse/a.mp4 {numbers}\n")
    refused(lambda: read_list(path, tmp_path), f"{path}, line 2")


PIECES = st.one_of(
    st.sampled_from(
        ["7" * 5000, "9" * 9, "1" * 10, " 1 2", " -1 -1", "a.mp4", "@", "_label_B1", "/", ",", "[", "]", '"']
    ),
    st.text(max_size=6),
)
CONTENT = st.one_of(st.lists(PIECES, max_size=8).map("".join), st.lists(PIECES, max_size=8).map("\n".join))


@given(CONTENT, st.sampled_from(["", "path,label\n"]))
def test_any_file_is_read_or_refused_in_one_line(tmp_path_factory, content, header):
    path = write(tmp_path_factory.getbasetemp() / "any.txt", header + content)
    for read in (partial(read_list, root=path.parent), read_csv_list, read_counts, read_temporal, read_json):
        try:
            read(path)
        except DataError as error:
            assert str(path) in str(error) and len(str(error).splitlines()) == 1


def test_only_known_suffixes_are_taken_off():
    names = ["a.b.c", "a.MP4", "a.npy", "a.mp4.mp4", ".mp4"]
    assert [video_name(n) for n in names] == ["a.b.c", "a", "a", "a.mp4", ".mp4"]


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.mark.parametrize("name", ODD_NAMES)
def test_videos_and_frame_folders_are_found_by_name(tmp_path, name):
    video = touch(tmp_path / "deep" / "down" / f"{name}.mp4")
    frames = touch(tmp_path / "frames" / f"{name} frames" / "000.jpg").parent
    files = VideoFiles(tmp_path, [name, f"{name} frames", "absent"])
    assert files.candidates(name) == [video]
    assert files.candidates(f"{name} frames") == [frames]
    assert files.candidates("absent") == []
    assert files.unlisted() == []


def test_names_match_whatever_unicode_form_the_file_system_keeps(tmp_path):
    video = touch(tmp_path / (unicodedata.normalize("NFD", "Jiří") + ".mp4"))
    assert VideoFiles(tmp_path).candidates(unicodedata.normalize("NFC", "Jiří")) == [video]


def test_of_several_candidates_the_listed_folder_and_then_a_file_comes_first(tmp_path):
    event = touch(tmp_path / "Normal_Videos_event" / "n.mp4")
    normal = touch(tmp_path / "Training" / "n.mp4")
    frames = touch(tmp_path / "A_frames" / "n" / "1.png").parent
    files = VideoFiles(tmp_path, ["n"])
    assert files.candidates("n", "Training") == [normal, event, frames]
    assert files.candidates("n") == [event, normal, frames]


def test_hidden_files_and_unlisted_videos(tmp_path):
    touch(tmp_path / "Abuse" / "._a.mp4")
    extra = touch(tmp_path / "Abuse" / "extra.mp4")
    touch(tmp_path / "Abuse" / "a.mp4")
    touch(tmp_path / "Abuse" / "thumbnail.jpg")
    files = VideoFiles(tmp_path, ["a"])
    assert files.unlisted() == [extra]
    assert [p.name for p in files.videos] == ["a.mp4", "extra.mp4"]


def test_a_loop_of_links_ends(tmp_path):
    touch(tmp_path / "Abuse" / "a.mp4")
    (tmp_path / "Abuse" / "again").symlink_to(tmp_path, target_is_directory=True)
    assert len(VideoFiles(tmp_path).videos) == 1


def test_a_folder_that_cannot_be_read_is_named(tmp_path):
    refused(lambda: VideoFiles(tmp_path / "gone"), "cannot read", "gone")


def test_a_file_of_the_root_comes_before_one_below(tmp_path):
    for place in ("Annotations/list.txt", "list.txt", "A/B/list.txt"):
        touch(tmp_path / place)
    assert [str(p.relative_to(tmp_path)) for p in find_files(tmp_path, "list.txt")] == [
        "list.txt",
        "Annotations/list.txt",
    ]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 10)), max_size=8))
def test_merged_covers_the_same_frames_and_keeps_gaps(drawn):
    segments = [Segment("Riot", start, start + length) for start, length in drawn]
    union = merged(segments)
    covered = {f for s in segments for f in range(s.start, s.end)}
    assert [f for start, end in union for f in range(start, end)] == sorted(covered)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(union))


@given(st.text(max_size=40))
def test_any_text_of_a_list_is_read_or_refused_in_one_line(text):
    try:
        folder, name = listed_path(text, "list, line 1", Path("/data"))
    except DataError as error:
        assert re.match("list, line 1: ", str(error)) and "\n" not in str(error)
    else:
        assert name and ".." not in (folder, name) and "/" not in name
