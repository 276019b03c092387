from pathlib import Path

import pytest

from vadbench.errors import ConfigError, DataError
from vadbench.locations import cache_root, find_data_root, user_config_file


def test_the_option_comes_first_then_the_config_file_then_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv("VADBENCH_DATA", str(tmp_path))
    assert find_data_root("ucf", False) == tmp_path / "ucf"
    user_config_file().parent.mkdir(parents=True)
    user_config_file().write_text('[data]\nucf = "/from/config"\n')
    assert find_data_root("ucf", False) == Path("/from/config")
    assert find_data_root("ucf", False, Path("/given")) == Path("/given")


def test_without_a_root_the_three_ways_to_give_one_are_named():
    with pytest.raises(DataError, match=r"--data-root.*VADBENCH_DATA.*config.toml"):
        find_data_root("ucf", False)


def test_a_data_set_that_makes_itself_lives_in_the_cache():
    assert find_data_root("synthetic", True) == cache_root() / "datasets" / "synthetic"


def test_a_broken_config_file_is_named():
    user_config_file().parent.mkdir(parents=True)
    user_config_file().write_text("[data]\nucf = 3\n")
    with pytest.raises(ConfigError, match="must map data set names to folders"):
        find_data_root("ucf", False)
