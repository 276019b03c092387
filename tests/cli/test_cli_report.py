"""``vadbench report`` and ``vadbench plot`` on real runs: what they write, and what they refuse in one line."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from places import PLUGIN
from splits import keep, split


@pytest.fixture(scope="module")
def runs(tmp_path_factory, prepare):
    """Folder with one finished run of two seeds, its features and its videos."""
    root = tmp_path_factory.mktemp("runs")
    command = ["run", "-m", "linear", "-d", "tiny", "--seeds", "0-1", "--plugin", PLUGIN]
    command += ["--clip", "small", "--clip-weights", "random:0", "--out", root / "runs"]
    prepare(*command, "--set", "recipe.epochs=1", VADBENCH_CACHE=root / "cache")
    return root


def data(path):
    """What a page carries."""
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])


def test_a_page_has_thumbnails_where_videos_are_at_hand(runs, vadbench, tmp_path):
    page = tmp_path / "a" / "page.html"
    arguments = ("report", "tiny/linear", "--out", runs / "runs", "--output", page, "--plugin", PLUGIN)
    said = vadbench(*arguments, "--data-root", runs / "cache" / "datasets" / "tiny").err
    assert said.splitlines()[-1].startswith(f"wrote {page} (")
    found = data(page)
    assert [run["label"] for run in found["runs"]] == [f"linear recipe.epochs=1, seed {seed}" for seed in (0, 1)]
    strips = [video["strip"] for video in found["videos"]]
    assert all(strip["source"].startswith("data:image/jpeg;base64,") for strip in strips)
    assert strips[0]["frames"] == [2, 7, 12, 17, 22, 27]
    vadbench(*arguments, "--no-thumbnails")
    assert all(video["strip"] is None for video in data(page)["videos"])


def test_a_page_needs_no_data_set(runs, vadbench, tmp_path):
    vadbench("report", "tiny/linear", "--out", runs / "runs", "--output", tmp_path / "page.html")
    assert all(video["strip"] is None for video in data(tmp_path / "page.html")["videos"])


def test_a_data_root_that_was_named_must_be_right(runs, vadbench, tmp_path):
    said = vadbench("report", "tiny/linear", "--out", runs / "runs", "--data-root", tmp_path, status=2).err
    assert said.startswith("vadbench: unknown dataset 'tiny'") and len(said.splitlines()) == 1


def test_a_data_root_without_the_videos_is_said(runs, vadbench, tmp_path):
    arguments = (
        "report",
        "tiny/linear",
        "--out",
        runs / "runs",
        "--output",
        tmp_path / "page.html",
        "--plugin",
        PLUGIN,
    )
    said = vadbench(*arguments, "--data-root", tmp_path).err
    assert said.splitlines()[1] == f"note: none of the test videos is under {tmp_path}: no thumbnails"


def test_a_note_on_a_run_that_is_named_twice_is_said_once(runs, vadbench, tmp_path):
    arguments = ("report", "tiny/linear", "tiny/linear", "--out", runs / "runs", "--output", tmp_path / "page.html")
    said = vadbench(*arguments).err.splitlines()
    assert len([line for line in said if "stands for runs of" in line]) == 1


@pytest.mark.parametrize("command", ["report", "plot"])
def test_what_is_not_there_is_refused_in_one_line(runs, vadbench, command, tmp_path):
    said = vadbench(command, "nothing", "--out", runs / "runs", "--output", tmp_path / "x", status=2).err
    assert said.startswith("vadbench: no single run called 'nothing'") and len(said.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_runs_on_two_data_sets_are_not_shown_beside_each_other(runs, vadbench, tmp_path):
    (folder, *_) = (runs / "runs" / "tiny" / "linear").iterdir()
    other = tmp_path / "other"
    other.mkdir()
    (other / "result.json").write_text((folder / "result.json").read_text().replace('"tiny"', '"elsewhere"'))
    (other / "scores.npz").write_bytes((folder / "scores.npz").read_bytes())
    said = vadbench("report", folder, other, status=2).err
    assert said == "vadbench: expected runs on one data set, found tiny and elsewhere; show them separately\n"


@pytest.mark.parametrize(("format_", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_every_kind_of_picture_is_drawn_to_size_and_twice_the_same(runs, vadbench, tmp_path, format_, start):
    for folder in ("a", "b"):
        said = vadbench(
            "plot", "tiny/linear", "--out", runs / "runs", "--output", tmp_path / folder, "--format", format_
        )
        paths = [Path(line) for line in said.out.splitlines()]
    names = [path.stem for path in paths]
    videos = [name for name in names if name.startswith("video-")]
    assert set(names) - set(videos) == {"roc", "pr", "place", "operating", "per-class", "reliability"}
    assert len(names) == 9 and all(re.fullmatch(r"video-test-[024]", name) for name in videos)
    for path in paths:
        content = path.read_bytes()
        assert content.startswith(start)
        assert content == (tmp_path / "a" / path.name).read_bytes()
        if format_ == "png":
            with Image.open(path) as image:
                assert image.width == round(3.3 * 300)


def test_kinds_and_videos_can_be_chosen(runs, vadbench, tmp_path):
    arguments = ("plot", "tiny/linear", "--out", runs / "runs", "--output", tmp_path, "--format", "png")
    assert len(vadbench(*arguments, "--kind", "pr", "--kind", "roc").out.splitlines()) == 2
    found = vadbench(*arguments, "--kind", "video", "--video", "test-1", "--video", "test-1").out
    assert found == f"{tmp_path / 'video-test-1.png'}\n"
    said = vadbench(*arguments, "--video", "test-9", status=2).err
    assert "vadbench: unknown test video 'test-9'; did you mean" in said


def test_an_unknown_video_of_a_large_split_names_a_few_of_those_there_are(vadbench, tmp_path):
    folder = keep(split(0, videos=290), tmp_path / "run")
    said = vadbench("plot", folder, "--video", "nosuch", "--output", tmp_path / "plots", status=2).err
    assert said.startswith("vadbench: unknown test video 'nosuch'; known: ") and said.endswith(" and 285 more\n")
    assert len(said) < 200 and not (tmp_path / "plots").exists()


def test_pages_and_pictures_need_no_torch():
    code = """
import sys
import vadbench.cli, vadbench.report.content, vadbench.report.page, vadbench.report.board, vadbench.report.thumbnails
import vadbench.records.plots
assert not {"torch", "open_clip", "mlflow"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
