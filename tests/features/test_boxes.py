"""Files of boxes: what they say, and what is refused in one line."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from boxes import GOOD, LENGTHS, changed, table, write
from vadbench.base.errors import FeatureError
from vadbench.features.boxes import COLUMNS, Boxes
from vadbench.features.regions import cut


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"video": "b0"}, r"found 'b0'; did you mean 'b'\?"),
        ({"frame": -1}, "frame must be a whole number from 0 on, found frame -1"),
        ({"frame": 1.5}, "frame must be a whole number from 0 on, found frame 1.5"),
        ({"frame": 1e300}, "frame must be a whole number"),
        ({"x1": float("nan")}, "x1 must be a finite number"),
        ({"y2": float("inf")}, "y2 must be a finite number, found y2 inf"),
        ({"x1": 20.0}, "a box needs x1 < x2 and y1 < y2, found x1 20.0, y1 2, x2 20, y2 30"),
        ({"y2": 1.0}, "a box needs x1 < x2 and y1 < y2"),
        ({"x1": -9.0, "x2": 0.0}, "a box must not be wholly outside of its frame"),
        ({"y1": -9.0, "y2": -1.0}, "a box must not be wholly outside of its frame"),
        ({"confidence": 1.01}, "confidence must be from 0 to 1, found confidence 1.01"),
        ({"confidence": -0.1}, "confidence must be from 0 to 1"),
    ],
)
def test_a_box_that_cannot_be_right_is_named_with_file_and_row(tmp_path, suffix, bad, reason):
    path = write(tmp_path / f"boxes{suffix}", GOOD, GOOD, changed(**bad), GOOD)
    with pytest.raises(FeatureError, match=reason) as error:
        Boxes(path, list(LENGTHS))
    assert f"boxes{suffix}: {'line 4' if suffix == '.csv' else 'row 3'}: " in str(error.value)
    assert "\n" not in str(error.value)


HEAD = ",".join(COLUMNS)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "as a table of boxes"),
        (f"{HEAD}\n", "expected at least one box, found none"),
        (f"{HEAD}\n\n\n", "expected at least one box, found none"),
        ("a,0,1,2,20,30,0.5\n", "expected the columns video, frame, x1"),
        ("video,frame,x1,y1,x2,y2\na,0,1,2,20,30\n", "found no confidence among video, frame"),
        (f"{HEAD}\na,0,1,2,20,30,0.5\n\na,0,1,two,20,30,0.5\n", "line 4: y1 must be a finite number, found y1 two"),
        (f"{HEAD}\na,0,1,2,20\n", "line 2: y2 must be a finite number"),
        (f"{HEAD}\n,0,1,2,20,30,1\n", "line 2: expected the name of a video that is there, found ''"),
        (f"{HEAD}\na,0,1,2,20,30,0.5\na,0,1,2,20,30,0.5,9,9\n", "line 3"),
        ("\x00\x00\n", "boxes"),
    ],
)
def test_a_file_that_is_no_table_of_boxes_is_refused_in_one_line(tmp_path, text, reason):
    path = tmp_path / "boxes.csv"
    path.write_text(text)
    with pytest.raises(FeatureError, match=reason) as error:
        Boxes(path, list(LENGTHS))
    assert "boxes.csv" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["missing.csv", "missing.parquet", "folder.csv", "boxes.txt", "bytes.csv", "bytes.parquet"]
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, name):
    (tmp_path / "folder.csv").mkdir()
    for bad in ("boxes.txt", "bytes.csv", "bytes.parquet"):
        (tmp_path / bad).write_bytes(b"\xff\xfe\x80PAR1")
    with pytest.raises(FeatureError) as error:
        Boxes(tmp_path / name, list(LENGTHS))
    assert name in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("beyond", [1.0, 1.004])
def test_boxes_in_shares_of_the_frame_are_refused(tmp_path, suffix, beyond):
    pixels = [("a", frame, 10.5, 4, 38.2, 40, 0.9) for frame in range(3)]
    shares = [("b", 0, 0.5, 0.5, beyond, beyond, 0.9), *(("b", f, 0.1, 0.1, 0.5, 0.8, 0.9) for f in (1, 2))]
    path = write(tmp_path / f"boxes{suffix}", *pixels, *shares)
    with pytest.raises(FeatureError) as error:
        Boxes(path, list(LENGTHS))
    line = len(pixels) + (1 if beyond == 1 else 2) + (suffix == ".csv")
    assert f"{path}: {'line' if suffix == '.csv' else 'row'} {line}: expected edges in pixels" in str(error.value)
    assert "'b'" in str(error.value)
    Boxes(write(tmp_path / f"sound{suffix}", *pixels, ("a", 3, 0, 0, 1, 1, 0.2)), list(LENGTHS))


def test_an_index_of_a_parquet_file_is_a_column(tmp_path):
    path = tmp_path / "b.parquet"
    table(("007", 3, 1, 2, 20, 30, 0.5)).set_index(["video", "frame"]).to_parquet(path)
    [found] = Boxes(path, ["007"]).find("007", [3], torch.zeros(1, 3, 40, 40))
    np.testing.assert_array_equal(found, [[1, 2, 20, 30]])


def test_lines_are_those_of_the_file_and_other_columns_do_not_matter(tmp_path):
    path = tmp_path / "b.csv"
    path.write_bytes(
        b"\xef\xbb\xbfconfidence, label,video,frame,x1,y1,x2,y2\n\n"
        b"0.5,car,007,0,1,2,20,30\n1,man,007,0.0,1,2,2e1,30\n\n"
    )
    source = Boxes(path, ["007"])
    [found] = source.find("007", [0], torch.zeros(1, 3, 40, 40))
    np.testing.assert_array_equal(found, [[1, 2, 20, 30]] * 2)
    with pytest.raises(FeatureError, match="line 4: a box must not be wholly outside"):
        source.find("007", [0], torch.zeros(1, 3, 2, 40))


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.sampled_from([0.0, 0.25, 0.5, 1.0])),
        min_size=1,
        max_size=80,
    )
)
def test_the_boxes_that_count_are_the_most_confident_and_of_equals_the_first(tmp_path_factory, drawn):
    # The left edge says which row a box is.
    rows = [(name, frame, i / 10, 0, 30, 30, confidence) for i, (name, frame, confidence) in enumerate(drawn)]
    source = Boxes(write(tmp_path_factory.mktemp("t") / "b.parquet", *rows), ["a", "b"])
    for name in "ab":
        found = source.find(name, [0, 1, 2, 3], torch.zeros(4, 3, 40, 40))
        for frame in range(4):
            own = [r for r in rows if r[:2] == (name, frame)]
            ranked = [own[i] for i in sorted(range(len(own)), key=lambda i: (-own[i][6], i))][:20]
            assert found[frame][:, 0].tolist() == [r[2] for r in ranked]


def test_a_long_thin_region_is_cut_down_to_its_middle():
    frame = torch.arange(100 * 900).reshape(1, 1, 100, 900)
    assert torch.equal(cut(frame, np.array([-5.0, 10, 2000, 20])), frame[..., 10:20, 410:490])
    assert torch.equal(cut(frame, np.array([7.2, -1, 7.9, 200])), frame[..., 46:54, 7:8])
    assert torch.equal(cut(frame, np.array([10.0, 10, 90, 20])), frame[..., 10:20, 10:90])
