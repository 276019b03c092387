"""Streams beside the time line: files in every form, the spacing of their rows, and what belongs together in time."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npy_files import save, some_rows
from stores import append
from vadbench.base.errors import ConfigError, DataError, FeatureError
from vadbench.base.spacing import RowSpacing
from vadbench.data.media import write_video
from vadbench.dataset import ClassTable, Dataset, Video, VideoClass
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.store import StoreWriter
from vadbench.harness.given_features import GivenStream, choose_streams
from vadbench.harness.side_streams import require_crops
from vadbench.harness.streams import current_streams, lay_out, open_streams
from vadbench.inputs import StreamInput, VideoInput

FRAMES = {"train-a": 480, "train-b": 331, "test-a": 250, "test-b": 1000}
DIM = 7


class Four(Dataset):
    name = "four"
    classes = ClassTable((VideoClass("Normal"), VideoClass("Fire")), 0)
    expected = {"train": 2, "test": 2}
    files = "none"

    def videos(self, split, boundaries="native"):
        return [Video(n, ("Normal",), frames=f) for n, f in FRAMES.items() if n.startswith(split)]


def write(folder, spacing=24, rows=None, name="{}.npy", **changes):
    """A file of each video; ``changes`` are arrays of single ones."""
    for i, (video, frames) in enumerate(FRAMES.items()):
        made = some_rows(rows or max(round(frames / spacing), 1), DIM, seed=i)
        save(folder / name.format(video), changes.get(video.replace("-", "_"), made))
    return folder


def opened(folder, spacing=None, videos=None, leave_out=False, cache=None):
    """The stream ``audio`` in a folder, and all notes."""
    dataset = Four(folder)
    videos = videos or {s: dataset.videos(s) for s in ("train", "test")}
    place = GivenStream(folder, None if spacing is None else RowSpacing.parse(spacing))
    kept, streams, notes = open_streams(
        {"audio": place}, dataset, videos, cache or folder.parent, leave_out, lambda *_: None
    )
    every = [v for own in kept.values() for v in own]
    laid, more = lay_out(streams, every, {v.name: v.frames for v in every})
    return laid["audio"], [*notes, *more]


@given(
    st.integers(1, 60), st.integers(1, 40), st.integers(1, 40), st.integers(1, 5000), st.integers(1, 80),
    st.integers(0, 9), st.data(),
)  # fmt: skip
def test_a_row_is_aligned_with_the_one_whose_centre_is_nearest(rows, stride, tail, hundredths, count, first, data):
    spacing, tail = hundredths / 100, min(tail, stride)
    frames = (first + rows - 1) * stride + tail
    line = StreamInput(lambda: np.zeros((rows, 2)), rows, stride)
    other = StreamInput(lambda: np.arange(count)[:, None], count, spacing)
    video = VideoInput(
        name="v", row_count=rows, stride=stride, frame_count=frames, streams={"clip": line, "audio": other},
        first_row=first,
    )  # fmt: skip
    index = data.draw(st.lists(st.integers(0, rows - 1), min_size=1))
    expected = []
    for i in index:
        begin = (first + i) * stride
        centre = Fraction(begin + min(begin + stride, frames), 2)
        away = [abs((j + Fraction(1, 2)) * Fraction(hundredths, 100) - centre) for j in range(count)]
        expected.append(away.index(min(away)))
    assert video.nearest("audio", np.array(index)).tolist() == expected
    assert video.aligned("audio")[index, 0].tolist() == expected
    np.testing.assert_allclose(other.centres, [(j + 0.5) * spacing for j in range(count)])


@pytest.mark.parametrize(
    "name",
    ["{}.npy", "{}__vggish.npy", "{}_i3d.npy", "{}_audio.npy", "{}__audio.npy", "{}__0.npy", "some/where/{}.npy"],
)
def test_files_are_found_by_the_name_of_their_video(tmp_path, name):
    stream, notes = opened(write(tmp_path / "sound", name=name))
    for i, (video, frames) in enumerate(FRAMES.items()):
        found = stream.input(video, "center")
        expected = some_rows(round(frames / 24), DIM, seed=i)
        np.testing.assert_array_equal(found.rows, expected)
        assert (found.count, found.spacing) == (len(expected), 24)
    assert notes == [
        "stream 'audio': sound, of unknown origin, 7 wide, a row every 24 frames (inferred from the lengths of the"
        " videos)"
    ]
    assert (stream.record.dim, stream.record.spacing, stream.record.inferred) == (DIM, "24f", True)
    assert stream.record.fingerprint["weights"].startswith("unknown-") and "stride" not in stream.record.fingerprint


@pytest.mark.parametrize("form", ["crops-rows", "rows-crops", "files"])
def test_crops_go_with_those_of_the_same_name(tmp_path, form):
    folder, made = tmp_path / "sound", {}
    for i, (video, frames) in enumerate(FRAMES.items()):
        crops = made[video] = some_rows(3, round(frames / 24), DIM, seed=i)
        if form == "files":
            for crop in range(3):
                save(folder / f"{video}__{crop}.npy", crops[crop])
        else:
            save(folder / f"{video}.npy", crops if form == "crops-rows" else crops.swapaxes(0, 1))
    stream, _ = opened(folder)
    for video, crops in made.items():
        np.testing.assert_array_equal(stream.input(video, "2").rows, crops[2])
        np.testing.assert_array_equal(stream.input(video, "").rows, crops)  # of a bag
    require_crops({"audio": stream}, {"test-a": ["0", "2"]}, regions=False)
    with pytest.raises(FeatureError, match=r"'test-a' has crops 0, 1, 2 of stream 'audio' in .* with crop 'center'"):
        require_crops({"audio": stream}, {"test-a": ["0", "center"]}, regions=False)
    with pytest.raises(FeatureError, match="goes with region '0' of the first stream"):
        require_crops({"audio": stream}, {"test-a": ["0"]}, regions=True)


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_one_row_more_or_less_is_tolerated(tmp_path, off):
    stream, _ = opened(write(tmp_path / "sound", test_b=some_rows(round(1000 / 24) + off, DIM)), spacing="24f")
    assert stream.counts["test-b"] == 42 + off
    assert stream.spacings["test-b"] == 24


@pytest.mark.parametrize(("count", "spacing"), [(39, "24f"), (45, "24f"), (20, None)])
def test_a_video_of_another_length_is_named_with_what_was_expected(tmp_path, count, spacing):
    folder = write(tmp_path / "sound", test_b=some_rows(count, DIM))
    with pytest.raises(DataError) as error:
        opened(folder, spacing)
    inferred = "" if spacing else " (inferred)"
    assert str(error.value) == (
        f"test-b: expected 42 rows of stream 'audio', one every 24 frames{inferred} of its 1000 frames, found {count};"
        " fetch the files of these videos, or state another spacing, such as in stream.toml"
    )


def test_a_fraction_of_a_frame_is_kept(tmp_path):
    stream, _ = opened(write(tmp_path / "sound", spacing=23.04), spacing="23.04f")
    assert stream.spacings == dict.fromkeys(FRAMES, 23.04)
    assert stream.record.spacing == "23.04f"


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """The videos as files of 20 frames a second, one of them without a file."""
    folder = tmp_path_factory.mktemp("filmed")
    for video in list(FRAMES)[:3]:
        write_video(folder / f"{video}.mp4", (np.zeros((16, 16, 3), np.uint8) for _ in range(3)), fps=20)
    splits = {"train": ["train-a", "train-b"], "test": ["test-a", "test-b"]}
    return {
        split: [Video(n, ("Normal",), folder / f"{n}.mp4", FRAMES[n]) for n in names] for split, names in splits.items()
    }


def test_seconds_count_by_the_frame_rate_and_rows_are_spread_where_it_is_unknown(tmp_path, filmed):
    folder = write(tmp_path / "sound", spacing=0.96 * 20, test_b=some_rows(9, DIM))
    stream, notes = opened(folder, "0.96s", filmed)
    known = {video: pytest.approx(19.2) for video in list(FRAMES)[:3]}
    assert stream.spacings == {**known, "test-b": pytest.approx(1000 / 9)}
    assert stream.spacing == pytest.approx(19.2)
    assert stream.record.spacing == "0.96s"
    assert notes == [
        "stream 'audio': sound, of unknown origin, 7 wide, a row every 0.96 seconds",
        "stream 'audio': frame rate of 1 videos unknown, the first is 'test-b': its rows are spread evenly over their"
        " length",
    ]


def test_seconds_are_inferred_where_frame_rates_differ(tmp_path):
    folder, rates = tmp_path / "videos", {"train-a": 10, "train-b": 20, "test-a": 10, "test-b": 40}
    videos = {"train": [], "test": []}
    for name, rate in rates.items():
        path = folder / f"{name}.mp4"
        path.parent.mkdir(exist_ok=True)
        write_video(path, (np.zeros((16, 16, 3), np.uint8) for _ in range(3)), fps=rate)
        videos[name[:-2]].append(Video(name, ("Normal",), path, FRAMES[name]))
        save(tmp_path / "sound" / f"{name}.npy", some_rows(int(FRAMES[name] / rate / 0.5), DIM))
    stream, _ = opened(tmp_path / "sound", videos=videos)
    assert stream.record.spacing.endswith("s") and stream.record.inferred
    assert {n: s / rates[n] for n, s in stream.spacings.items()} == pytest.approx(dict.fromkeys(rates, 0.5), rel=0.02)


def test_a_folder_may_state_what_it_is(tmp_path):
    folder = write(tmp_path / "sound")
    (folder / "stream.toml").write_text('spacing = "24f"\nencoder = "vggish"\n')
    stream, (note,) = opened(folder)
    assert note == "stream 'audio': sound, of unknown origin, 7 wide, a row every 24 frames"
    assert stream.record.fingerprint["encoder"] == "vggish" and not stream.record.inferred
    assert opened(folder, "24f")[0].record == stream.record
    with pytest.raises(ConfigError, match=r"--spacing audio=25f contradicts .*24 frames apart; leave it out"):
        opened(folder, "25f")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("spacing = 24", "valid string"), ("space = '24f'", "space"), ("spacing = '24'", "such as 24f"), ("=", "TOML")],
)
def test_a_statement_that_says_nothing_is_refused(tmp_path, text, complaint):
    folder = write(tmp_path / "sound")
    (folder / "stream.toml").write_text(text)
    with pytest.raises(FeatureError, match=f"stream.toml: .*{complaint}"):
        opened(folder)


def test_a_store_says_its_spacing_and_its_origin(tmp_path):
    made_by = Fingerprint("wav2vec", "0" * 64, "gelu", "16 kHz", stride=10, pooling="mean", dim=DIM)
    with StoreWriter(tmp_path / "store", made_by) as writer:
        for video, frames in FRAMES.items():
            append(writer, video, [some_rows(-(-frames // 10), DIM)], frames, "id")
    stream, (note,) = opened(tmp_path / "store")
    assert stream.record.fingerprint == made_by.to_dict()
    assert (stream.record.spacing, stream.record.inferred, stream.stated) == ("10f", False, "10f")
    assert note == f"stream 'audio': store, fingerprint {made_by.digest}, 7 wide, a row every 10 frames"


def test_a_video_without_the_stream_stops_the_run_or_is_left_out(tmp_path):
    folder = write(tmp_path / "sound")
    (folder / "train-b.npy").unlink()
    with pytest.raises(DataError, match=r"1 of 4 videos lack features of stream 'audio' in .*, the first is 'train-b'"):
        opened(folder)
    stream, notes = opened(folder, leave_out=True)
    assert set(stream.counts) == set(FRAMES) - {"train-b"}
    assert notes[0].startswith("incomplete: 1 of 2 train videos, the others lack features of stream 'audio'")


def test_a_damaged_value_is_named(tmp_path):
    rows = some_rows(10, DIM)
    rows[4, 2] = np.nan
    with pytest.raises(FeatureError, match=r"video 'test-a', crop 0.*row 4"):
        opened(write(tmp_path / "sound", test_a=rows))


def test_values_of_unknown_origin_are_part_of_what_a_stream_is(tmp_path):
    first, _ = opened(write(tmp_path / "sound"), cache=tmp_path / "one")
    write(tmp_path / "sound", train_a=some_rows(20, DIM, seed=9))
    second, _ = opened(tmp_path / "sound", cache=tmp_path / "two")
    assert first.record.identity != second.record.identity
    assert first.digests["train-a"] != second.digests["train-a"]
    assert first.digests["test-a"] == second.digests["test-a"]
    now = current_streams({"audio": GivenStream(tmp_path / "sound")}, [Video("train-a", ())], tmp_path / "three")
    assert now == {"train-a": [["streams", {"audio": [second.digests["train-a"], ""]}]]}


@pytest.mark.parametrize(
    ("wanted", "features", "streams", "spacings", "complaint"),
    [
        (("clip", "audio"), "a", {"adio": "b"}, {}, r"reads no stream 'adio'.*did you mean 'audio'\?; leave out"),
        (("clip",), "a", {"audio": "b"}, {}, "reads no stream 'audio' .* leave out --features audio=..."),
        (("clip",), None, {}, {"audio": "1s"}, "reads no stream 'audio' .* leave out --spacing audio=..."),
        (("clip",), None, {}, {"clip": "1s"}, "--spacing clip=... is of the first stream"),
        (("clip",), "a", {"clip": "b"}, {}, "stream 'clip' is given twice, in a and, by its name, in b; leave one"),
        ((), None, {"clip": "a"}, {}, "reads no stream 'clip'"),
    ],
)
def test_what_is_given_of_no_stream_or_twice_is_refused_before_anything_is_read(
    wanted, features, streams, spacings, complaint
):
    spacings = {name: RowSpacing.parse(text) for name, text in spacings.items()}
    with pytest.raises(ConfigError, match=complaint):
        choose_streams("mine", wanted, features, streams, spacings)


def test_the_first_stream_may_be_given_with_its_name_or_without(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    beside = {"audio": tmp_path / "b"}
    expected = (tmp_path / "a", {"audio": GivenStream(tmp_path / "b", RowSpacing(1, "seconds"))})
    spacings = {"audio": RowSpacing(1, "seconds")}
    assert choose_streams("mine", ("clip", "audio"), tmp_path / "a", beside, spacings) == expected
    named = {"clip": tmp_path / "a", **beside}
    assert choose_streams("mine", ("clip", "audio"), None, named, spacings) == expected
    assert choose_streams("mine", ("clip", "audio"), None, beside, spacings) == (None, expected[1])
