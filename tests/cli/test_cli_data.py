import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image
from vadbench_ucsdped2.dataset import CLIPS

from places import PLUGIN
from stores import append
from vadbench.clip import load_clip
from vadbench.data.media import source_id
from vadbench.features.fingerprint import Fingerprint, clip_fingerprint
from vadbench.features.store import StoreWriter

FRAMES = 6


@pytest.fixture
def check(vadbench):
    def call(*arguments, status):
        found = vadbench("data", "check", *arguments, status=status)
        return found.err if status == 2 and not found.out else found.out

    return call


@pytest.fixture
def root(tmp_path):
    """All clips of UCSD Ped2 as tiny frames."""
    root = tmp_path / "ped two"
    for name in CLIPS:
        folder = root / name[:-3] / name
        folder.mkdir(parents=True)
        for t in range(FRAMES):
            Image.fromarray(np.full((4, 6), t, np.uint8)).save(folder / f"{t + 1:03d}.tif")
    intervals = [[[2], [4]]] * 12
    (root / "ped2_mat_gt.json").write_text(json.dumps(intervals))
    return root


def make_store(folder, made_by, names=CLIPS, frames=FRAMES, *, root):
    rng = np.random.default_rng(0)
    with StoreWriter(folder, made_by) as writer:
        for name in names:
            rows = -(-frames // made_by.stride)
            made_of = source_id(root / name[:-3] / name)
            append(writer, name, [rng.normal(size=(rows, made_by.dim)).astype(np.float32)], frames, made_of)
    return folder


def foreign(**changes):
    """A fingerprint that says nothing."""
    fields = {"encoder": "unknown", "weights": "unknown", "activation": "unknown", "preprocessing": "unknown"}
    return Fingerprint(**(fields | {"stride": 1, "pooling": "mean", "dim": 64} | changes))


def cells(output):
    """Rows of the first table by split and what is counted."""
    lines = output.split("\n\n")[0].splitlines()[2:]
    return {tuple(words[:-3]): words[-3:] for words in (line.split() for line in lines) if len(words) >= 5}


def test_a_complete_copy_exits_with_0(check, root):
    output = check("ucsdped2", "--data-root", root, status=0)
    assert cells(output)["train", "videos"] == ["10", "10", "10"]
    assert cells(output)["test", "Anomaly"] == ["6", "6", "6"]
    assert f"ucsdped2 in {root}: complete, 28 of 28 videos can be used" in output
    assert "anomalous frames" in output and "18" in output and "missing" in output
    values = json.loads(check("ucsdped2", "--data-root", root, "--json", status=0))
    assert (values["status"], values["source"], values["problems"]) == ("complete", "videos", [])


def test_lost_and_copied_frames_are_named(check, root):
    folder = root / "Test" / "Test003"
    (folder / "002.tif").unlink()
    shutil.copy(root / "Test" / "Test004" / "001.tif", root / "Test" / "Test004" / "001 (1).tif")
    (root / "Train" / "Train001" / "001.tif").rename(root / "Train" / "Train001" / "001.TIF")
    values = json.loads(check("ucsdped2", "--data-root", root, "--json", status=1))
    said = {p["name"]: p["text"] for p in values["problems"]}
    assert set(said) == {"Test003", "Test004"}
    assert str(folder) in said["Test003"] and "none of number 2 (before 003.tif)" in said["Test003"]
    assert "such as 001 (1).tif" in said["Test004"]


def test_an_incomplete_copy_exits_with_1_and_long_lists_are_cut(check, root):
    gone = [n for n in CLIPS if n.startswith("Train0") and int(n[-2:]) < 8]
    for name in gone:
        shutil.rmtree(root / "Train" / name)
    output = check("ucsdped2", "--data-root", root, status=1)
    lines = [line for line in output.splitlines() if line.startswith("missing:")]
    assert len(lines) == 6 and lines[-1] == "missing: and 2 more (--json lists all)"
    assert all("--allow-incomplete" in line and str(root) in line for line in lines[:-1])
    assert cells(output)["test", "videos"] == ["18", "12", "12"]
    assert "incomplete, 21 of 28 videos can be used" in output
    values = json.loads(check("ucsdped2", "--data-root", root, "--json", status=1))
    assert sorted(p["name"] for p in values["problems"] if p["kind"] == "missing") == sorted(gone)
    assert (values["counts"]["missing"], values["status"]) == (7, "incomplete")


def test_an_unusable_copy_exits_with_2(check, root):
    (root / "ped2_mat_gt.json").unlink()
    output = check("ucsdped2", "--data-root", root, status=2)
    assert "list: no abnormal frames of ucsdped2" in output and "unusable" in output
    values = json.loads(check("ucsdped2", "--data-root", root, "--json", status=2))
    assert values["status"] == "unusable" and list(values["splits"]) == ["train"]
    values = json.loads(check("ucsdped2", "--data-root", root / "nowhere", "--json", status=2))
    assert values["splits"] == {} and "data root of ucsdped2 not found" in values["problems"][0]["text"]


def test_what_cannot_be_asked_is_one_line(check, root):
    assert "unknown dataset 'ucsdped3'; did you mean 'ucsdped2'?" in check("ucsdped3", status=2)
    assert "no data root for ucsdped2: give --data-root DIR" in check("ucsdped2", status=2)
    error = check("ucsdped2", "--data-root", root, "--features-layout", "vadclip", status=2)
    assert error == "vadbench: --features-layout is the layout of the files in --features; give both\n"
    assert "CLIP 'small' has no pretrained tag" in check(
        "ucsdped2", "--data-root", root, "--clip-weights", "x", "--clip", "small", status=2
    )


def test_a_data_set_that_makes_itself_is_made_and_checked(check, tmp_path):
    error = check("tiny", "--plugin", PLUGIN, "--data-root", tmp_path / "tiny", status=2)
    assert "--data-root names" in error and len(error.splitlines()) == 1
    assert not (tmp_path / "tiny").exists()
    (tmp_path / "tiny").mkdir()
    output = check("tiny", "--plugin", PLUGIN, "--data-root", tmp_path / "tiny", status=0)
    assert "complete, 14 of 14 videos can be used" in output
    assert len(list((tmp_path / "tiny").glob("*.mp4"))) == 14


def test_features_are_checked_in_place_of_videos(check, root, tmp_path):
    made_by = clip_fingerprint(load_clip(), stride=1, pooling="mean")
    store = make_store(tmp_path / "store", made_by, CLIPS[1:], root=root)
    output = check("ucsdped2", "--data-root", root, "--features", store, status=1)
    assert f"features in {store}: layout store, 64 wide, float32, a row every frame, crops center;" in output
    assert "encoder small" in output and "under CLIP small: untold" in output
    assert f"missing: 'Test001' has no features in {store}" in output
    values = json.loads(check("ucsdped2", "--data-root", root, "--features", store, "--json", status=1))
    assert values["features"]["fingerprint"] == made_by.digest
    assert values["features"]["made_by"] == made_by.to_dict()
    assert (values["source"], values["counts"]["origin"]) == ("features", 0)


def test_features_of_unknown_origin_say_how_to_compare_them(check, root, tmp_path):
    store = make_store(tmp_path / "store", foreign(), root=root)
    output = check("ucsdped2", "--data-root", root, "--features", store, status=0)
    assert "fingerprint unknown" in output and "under CLIP small: untold" in output
    assert (
        "origin: the origin of the features" in output and "--clip ViT-B-16-quickgelu --clip-weights openai" in output
    )


def test_features_of_another_clip_exit_with_2(check, root, tmp_path):
    own = make_store(tmp_path / "own", clip_fingerprint(load_clip(), stride=1, pooling="mean"), root=root)
    assert "complete" in check("ucsdped2", "--data-root", root, "--features", own, "--clip", "small", status=0)
    other = make_store(tmp_path / "other", foreign(weights="12ab", encoder="some-encoder"), root=root)
    for store, clip in ((own, ["small", "--clip-weights", "random:0"]), (other, ["small"])):
        output = check("ucsdped2", "--data-root", root, "--features", store, "--clip", *clip, status=2)
        assert f"encoder: features in {store} are not those of CLIP small" in output and "name the right one" in output
    wide = make_store(tmp_path / "wide", foreign(dim=63), root=root)
    output = check("ucsdped2", "--data-root", root, "--features", wide, "--clip", "small", status=2)
    assert "encoder: features in" in output and "are 63 wide, those of CLIP small 64" in output


@pytest.mark.parametrize("layout", ["store", "rows-crops"])
def test_check_and_run_say_the_same_of_features_of_another_width(check, root, tmp_path, vadbench, layout):
    features = tmp_path / "i3d"
    if layout == "store":
        make_store(features, foreign(dim=2048, encoder="i3d", weights="12ab"), root=root)
    else:
        features.mkdir()
        for name in CLIPS:
            np.save(features / f"{name}_i3d.npy", np.ones((1, 10, 2048), np.float32))
    where = ["--data-root", root, "--features", features, "--features-layout", layout]
    output = check("ucsdped2", *where, status=2)
    (said,) = [line.removeprefix("encoder: ") for line in output.splitlines() if line.startswith("encoder: ")]
    assert "2048 wide" in said and "unusable" in output and "complete" not in output.splitlines()[-1]
    refused = vadbench(
        "run", "-m", "zero-shot", "-d", "ucsdped2", *where, "--crop", "mean", "--out", tmp_path, status=2
    )
    assert refused.err.splitlines()[-1] == f"vadbench: {said}"


def test_a_folder_without_features_exits_with_2(check, root, tmp_path):
    (tmp_path / "empty").mkdir()
    output = check("ucsdped2", "--data-root", root, "--features", tmp_path / "empty", status=2)
    assert (
        "features: " in output and "unusable, 0 of 28 videos are sound" in output and str(tmp_path / "empty") in output
    )


def test_there_is_a_bar_on_a_terminal(check, root, monkeypatch):
    shown = []
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    import rich.progress

    add = rich.progress.Progress.add_task
    monkeypatch.setattr(
        rich.progress.Progress, "add_task", lambda self, text, **more: shown.append(text) or add(self, text, **more)
    )
    check("ucsdped2", "--data-root", root, status=0)
    assert shown == ["checking videos"]


def test_the_help_explains_the_status_and_the_report(vadbench):
    text = " ".join(vadbench("data", "check", "--help").out.split())
    assert "exit status is 0" in text and "--allow-incomplete" in text and "--debug" in text
    for name in ("status", "counts", "source", "splits", "features", "preflight", "problems", "positive_frames"):
        assert name in text
