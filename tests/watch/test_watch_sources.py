"""What a command line names: every video once, under a name that stays where it belongs."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vadbench.base.errors import ConfigError
from vadbench.watch.sources import VideoSource, find_sources, name_folders, printable


def test_a_folder_of_videos_stands_for_its_videos_in_natural_order(tmp_path):
    for name in ("2.mp4", "10.mp4", ".hidden.mp4", "notes.txt"):
        (tmp_path / name).touch()
    assert [s.name for s in find_sources([str(tmp_path)])] == ["2", "10"]


def test_a_folder_of_frames_is_one_video_named_after_itself(tmp_path):
    folder = tmp_path / "door.cam"
    folder.mkdir()
    (folder / "1.png").touch()
    (source,) = find_sources([str(folder)])
    assert (source.name, source.place, source.live) == ("door.cam", folder, False)


@pytest.mark.parametrize(("names", "found"), [([], "neither"), (["a.mp4", "1.png"], "both"), (["a.txt"], "neither")])
def test_a_folder_of_something_else_is_refused(tmp_path, names, found):
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(ConfigError, match=f"found {found} in"):
        find_sources([str(tmp_path)])


@pytest.mark.parametrize("argument", ["gone.mp4", "ftp://host/a.mp4", "concat:a|b", ""])
def test_what_is_not_there_is_refused(tmp_path, monkeypatch, argument):
    monkeypatch.chdir(tmp_path)
    if not argument:
        assert [s.name for s in find_sources([])] == []
        return
    with pytest.raises(ConfigError, match=r"no such video|expected a file"):
        find_sources([argument])


@pytest.mark.parametrize(
    "argument", ["http://me:word@[::1/a", "rtsp://cam/a b?token=word", "http://cam/a\n?token=word"]
)
def test_what_is_no_address_is_refused_and_not_shown(argument):
    with pytest.raises(ConfigError, match="expected an address") as error:
        find_sources([argument])
    assert "word" not in str(error.value) and "\n" not in str(error.value)


def test_the_password_of_a_stream_is_never_shown():
    sources = find_sources(["rtsp://admin:secret@10.0.0.7:554/live/ch1?token=secret", "HTTP://user:secret@host/a.mkv"])
    assert [s.live for s in sources] == [True, True]
    assert [s.shown for s in sources] == ["rtsp://10.0.0.7:554/live/ch1?...", "http://host/a.mkv"]
    assert [s.name for s in sources] == ["ch1", "a"]
    assert "secret" not in "".join(s.shown + s.name for s in sources)


HOSTILE = ["..", ".", "a\nb", "-rf", "<script>alert(1)", "\u202egpj.exe", "a" * 240, "ü" * 120, "con:x", "a\\b"]


@pytest.mark.parametrize("stem", HOSTILE)
def test_a_hostile_name_becomes_one_harmless_component(tmp_path, stem):
    path = tmp_path / f"{stem}.mp4"
    path.touch()
    (source,) = find_sources([str(path)])
    (folder,) = name_folders(tmp_path / "out", [source])
    assert folder.parent == tmp_path / "out"
    assert folder.resolve().parent == (tmp_path / "out").resolve()
    assert folder.name == source.name and folder.name.isprintable()
    assert not set(folder.name) & set('/\\<>:"|?* \n') and len(os.fsencode(folder.name)) <= 80


def test_names_that_are_no_unicode_can_be_shown_and_written(tmp_path):
    raw = os.fsencode(tmp_path) + b"/caf\xe9.mp4"
    with open(raw, "wb"):
        pass
    (source,) = find_sources([os.fsdecode(raw)])
    (source.shown + source.name).encode("utf-8")
    assert source.place.is_file()


@given(st.lists(st.text(max_size=20), min_size=1, max_size=8))
def test_every_video_has_a_folder_of_its_own(stems):
    from vadbench.watch.sources import _component

    sources = [VideoSource(Path("x"), printable(stem), _component(stem)) for stem in stems]
    folders = name_folders(Path("out"), sources)
    assert len({os.fspath(f).casefold() for f in folders}) == len(stems)
    assert all(f.parent == Path("out") and f.name not in ("", ".", "..") for f in folders)


def test_equal_stems_get_distinct_folders(tmp_path):
    paths = [tmp_path / "a" / "x.mp4", tmp_path / "b" / "X.avi", tmp_path / "c" / "x-2.mp4"]
    for path in paths:
        path.parent.mkdir()
        path.touch()
    names = [f.name for f in name_folders(tmp_path, find_sources([str(p) for p in paths]))]
    assert names == ["x", "X-2", "x-2-2"]


def test_a_link_where_a_folder_goes_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "x").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="is a link"):
        name_folders(tmp_path, [VideoSource(tmp_path / "x.mp4", "x.mp4", "x")])
