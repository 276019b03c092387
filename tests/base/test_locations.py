import os
from pathlib import Path

import pytest

from vadbench.base.errors import ConfigError, DataError
from vadbench.base.locations import cache_root, find_data_root, user_config_file, without_folders


def test_the_option_comes_first_then_the_config_file_then_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("VADBENCH_DATA", str(tmp_path))
    assert find_data_root("ucf", False) == tmp_path / "ucf"
    user_config_file().parent.mkdir(parents=True)
    user_config_file().write_text('[data]\nucf = "/from/config"\n')
    assert find_data_root("ucf", False) == Path("/from/config")
    assert find_data_root("ucf", False, Path("/given")) == Path("/given")


def test_a_tilde_in_a_variable_is_the_home_folder(monkeypatch):
    home = Path(os.environ["HOME"])
    monkeypatch.setenv("VADBENCH_CACHE", "~/cache")
    monkeypatch.setenv("VADBENCH_DATA", "~/data")
    assert cache_root() == home / "cache"
    assert find_data_root("ucf", False) == home / "data" / "ucf"
    (home / "data" / "synthetic").mkdir(parents=True)
    assert find_data_root("synthetic", True) == home / "data" / "synthetic"


def test_a_tilde_within_a_path_is_a_name(monkeypatch, tmp_path):
    monkeypatch.setenv("VADBENCH_CACHE", f"{tmp_path}/~/cache~")
    assert cache_root() == tmp_path / "~" / "cache~"


def test_the_home_of_a_user_that_does_not_exist_is_asked_for(monkeypatch):
    monkeypatch.setenv("VADBENCH_CACHE", "~no-such-user/cache")
    with pytest.raises(ConfigError, match=r"VADBENCH_CACHE names ~no-such-user/cache, but .* write it out"):
        cache_root()


@pytest.mark.parametrize("way", ["option", "config", "variable"])
def test_a_mistyped_root_gets_no_data_set_that_makes_itself(tmp_path, monkeypatch, way):
    root, option = tmp_path / "nosuch", None
    if way == "option":
        option = root
    elif way == "config":
        user_config_file().parent.mkdir(parents=True)
        user_config_file().write_text(f'[data]\nsynthetic = "{root}"\n')
    else:
        monkeypatch.setenv("VADBENCH_DATA", str(root))
    with pytest.raises(DataError, match="nosuch, which is no folder; make the folder"):
        find_data_root("synthetic", True, option)
    assert not root.exists()
    root.mkdir()
    found = find_data_root("synthetic", True, option)
    assert found == (cache_root() / "datasets" / "synthetic" if way == "variable" else root)


def test_texts_for_records_name_no_folder(tmp_path, monkeypatch):
    root = tmp_path / "my data"
    root.mkdir()
    monkeypatch.chdir(tmp_path)

    def told(text):
        return without_folders(text, [root, Path("my data"), Path(".")])

    assert told(f"{root}/a/b.mp4: damaged") == "a/b.mp4: damaged"
    assert told(f"lack a file under {root}; add it") == "lack a file under my data; add it"
    assert told("my data/a.txt:3: no class") == "a.txt:3: no class"
    assert told("see '/home/somebody/x'") == "see 'x'"
    assert told("~/videos/a.mp4 is empty") == "a.mp4 is empty"
    assert told("file:///home/anna/x.mp4, /.snap/u/x and ~/.cache/x/y") == "x.mp4, x and y"
    assert told("cannot read '/mnt/Anna Smith/a.mp4': no") == "cannot read 'a.mp4': no"
    for harmless in ("30 frames/s", "AUC of 7/8 and/or AP", "https://example.org/a/b", "60 % / 40 %"):
        assert told(harmless) == harmless


def test_without_a_root_the_three_ways_to_give_one_are_named():
    with pytest.raises(DataError, match=r"--data-root.*VADBENCH_DATA.*config.toml"):
        find_data_root("ucf", False)


def test_a_data_set_that_makes_itself_lives_in_the_cache():
    assert find_data_root("synthetic", True) == cache_root() / "datasets" / "synthetic"


def test_a_config_file_may_begin_with_the_mark_of_an_editor(tmp_path):
    user_config_file().parent.mkdir(parents=True)
    user_config_file().write_bytes(b"\xef\xbb\xbf[data]\r\nucf = " + repr(str(tmp_path)).encode() + b"\r\n")
    assert find_data_root("ucf", False) == tmp_path


def test_a_broken_config_file_is_named():
    user_config_file().parent.mkdir(parents=True)
    user_config_file().write_text("[data]\nucf = 3\n")
    with pytest.raises(ConfigError, match="must map data set names to folders"):
        find_data_root("ucf", False)
