"""``vadbench score`` with methods that read frames or nothing: the harness's scores, and no CLIP."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import succeed
from places import KINDS
from scored import TINY, column, table
from vadbench.base.text import spaced
from vadbench.records.scores import load_split
from vadbench.watch.thresholds import own_threshold
from watch_media import encode, noise

KIND_FILES = [x for name in ("oracle", "blind_rows", "brightness") for x in ("--plugin", KINDS / f"{name}.py")]


@pytest.fixture(scope="module")
def runs(home):
    """Finished runs of these methods on ``tiny``, by name."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VADBENCH_CACHE", str(home / "cache"))
        for method in ("motion-energy", "brightness", "blind-rows", "oracle"):
            succeed("run", *TINY, *KIND_FILES, "-m", method, "-d", "tiny", "--out", home / "frames" / method)
            (result,) = (home / "frames" / method).glob("*/*/*/result.json")
            found[method] = result.parent
    return found


@pytest.fixture
def shown(score):
    return lambda *arguments, **more: score(*KIND_FILES, *arguments, **more)


@pytest.mark.parametrize("method", ["motion-energy", "brightness", "blind-rows"])
def test_scores_are_those_of_the_harness(runs, shown, home, method):
    split = load_split(runs[method])
    found, _ = shown(
        *(home / "cache" / "datasets" / "tiny" / f"{s.name}.mp4" for s in split.scores), "--run", runs[method]
    )
    for summary, expected in zip(found, split.scores, strict=True):
        assert (summary["frames"], summary["error"]) == (30, None)
        assert column(summary["folder"]) == pytest.approx(expected.anomaly, abs=1e-6)
        frames = [int(row["frame"]) for row in table(summary["folder"])]
        assert frames == [i * split.stride for i in range(len(frames))]
    page = (Path(found[0]["folder"]) / "index.html").read_text()
    assert f"none, a row {spaced(split.stride)}" in page


def test_a_method_alone_scores_files_and_folders_of_frames(shown, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for i, frame in enumerate(noise(12)):
        Image.fromarray(frame).save(folder / f"{i}.png")
    path = encode(tmp_path / "a.mkv", noise(12), "ffv1")
    (one, two), err = shown(path, folder, "-m", "motion-energy", "--set", "rows.stride=4")
    assert "CLIP" not in err
    # Noise changes by about 85 of 255 grey levels from frame to frame, through 4:2:0 by less.
    assert (column(two["folder"]) > 0.9).all() and len(column(one["folder"])) == 3
    assert two["events"] == [] and two["threshold"] > column(two["folder"]).max(), "all of it is alike"


def test_rows_before_damage_are_scored(shown, tmp_path):
    path = encode(tmp_path / "a.mp4", noise(60))
    (whole,), _ = shown(path, "-m", "motion-energy", "--set", "rows.stride=4", out=tmp_path / "whole")
    before = column(whole["folder"])
    content = path.read_bytes()
    third = len(content) // 3
    path.write_bytes(content[: 2 * third] + bytes(third // 2) + content[2 * third + third // 2 :])
    found, _ = shown(path, "-m", "motion-energy", "--set", "rows.stride=4", status=1)
    part = column(found[0]["folder"])
    assert 0 < len(part) == -(-found[0]["frames"] // 4) < len(before)
    assert part[:-1] == pytest.approx(before[: len(part) - 1], abs=1e-6)
    assert "damaged at frame" in found[0]["error"]


def test_a_video_can_be_annotated_with_such_scores(shown, tmp_path):
    path = encode(tmp_path / "a.mp4", noise(20))
    shown(path, "-m", "blind-rows", "--set", "rows.stride=4", "--annotate", tmp_path / "shown.mp4")
    assert (tmp_path / "shown.mp4").stat().st_size > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{video}", "--run", "{oracle}"], "it is an oracle, which is handed the ground truth, and there is none"),
        (["{video}", "-m", "oracle", "-d", "tiny"], "it is an oracle"),
        (["http://127.0.0.1:9/a", "-m", "motion-energy"], "found a stream; record it first"),
        (["{video}", "-m", "motion-energy", "--follow"], "found --follow; record it first"),
        (["{video}", "-m", "brightness"], "'brightness' must be trained first"),
    ],
)
def test_what_cannot_be_scored_is_one_line(runs, shown, tmp_path, arguments, said):
    video = encode(tmp_path / "a.mp4", noise(4))
    _, err = shown(*(a.format(video=video, oracle=runs["oracle"]) for a in arguments), status=2)
    assert said in err and len(err.splitlines()) == 1


def test_scores_that_are_not_between_0_and_1_say_a_threshold_too(runs, shown, tmp_path):
    info = (runs["brightness"] / "checkpoint.json").read_text()
    (tmp_path / "copy").mkdir()
    for name in ("checkpoint.safetensors", "result.json"):
        (tmp_path / "copy" / name).write_bytes((runs["brightness"] / name).read_bytes())
    measured = info.split('"threshold": ')[1].split("\n")[0].strip(",")
    assert np.isfinite(float(measured))
    (tmp_path / "copy" / "checkpoint.json").write_text(info.replace(f'"threshold": {measured}', '"threshold": null'))
    video = encode(tmp_path / "a.mp4", noise(4))
    (found,), _ = shown(video, "--run", tmp_path / "copy")
    assert found["threshold"] == pytest.approx(own_threshold(column(found["folder"]), False).value, abs=1e-6)
    (found,), _ = shown(video, "--run", tmp_path / "copy", "--threshold", "-3.5")
    assert found["threshold"] == -3.5
