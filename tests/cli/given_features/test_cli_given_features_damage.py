"""Features that a user brings, damaged, missing or hostile: left out, or refused in one line."""

from pathlib import Path

import numpy as np
import pytest

from ucf_features import DIM, SNIPPETS, values, write

pytestmark = pytest.mark.usefixtures("quick_runs")


def test_rows_of_another_video_are_refused(run, root):
    folder = write(root, "vadclip")
    (path,) = folder.rglob("Abuse007_x264__0.npy")
    for crop in range(10):
        np.save(path.with_name(f"Abuse007_x264__{crop}.npy"), values("x", 20))
    line = run("--features", folder, *SNIPPETS, "--crop", "0", status=2)
    assert "Abuse007_x264: 20 feature rows of 16 frames each do not fit a video of 200 frames" in line


def test_missing_features_stop_the_run_unless_allowed(run, root, tmp_path):
    folder = write(root, "anomalyclip")
    (path,) = folder.rglob("Abuse007_x264.npy")
    path.unlink()
    line = run("--features", folder, status=2)
    assert "1 of 20 videos lack features in" in line and "'Abuse007_x264'" in line and "--allow-incomplete" in line
    assert not list((tmp_path / "runs").rglob("*.json"))
    found = run("--features", folder, "--allow-incomplete")
    assert any(n.startswith("incomplete: 7 of 290 test videos, the others lack features") for n in found["notes"])
    assert found["data"]["test"]["videos"] == 7


def test_damaged_features_stop_the_run_unless_allowed(run, root):
    folder = write(root, "anomalyclip")
    (path,) = folder.rglob("Abuse007_x264.npy")
    array = np.load(path)
    array[150, 3] = np.nan
    np.save(path, array)
    assert "row 150" in run("--features", folder, status=2)
    found = run("--features", folder, "--allow-incomplete")
    assert any("row 150" in n for n in found["notes"])
    assert found["data"]["test"]["videos"] == 7


def test_values_are_looked_at_once_and_again_when_a_file_changes(run, root, monkeypatch):
    from vadbench.features.layouts import NpyFeatures

    monkeypatch.setattr("vadbench.base.files.SETTLED_NS", 0)
    folder = write(root, "anomalyclip")
    looked = []
    check = NpyFeatures.check
    monkeypatch.setattr(NpyFeatures, "check", lambda self, name, rows: looked.append(name) or check(self, name, rows))
    run("--features", folder)
    assert len(looked) == 20
    run("--features", folder)
    assert len(looked) == 20
    (path,) = folder.rglob("Abuse007_x264.npy")
    np.save(path, values("other", 200))
    run("--features", folder)
    assert looked[20:] == ["Abuse007_x264"]


def test_a_crop_of_another_length_is_refused(run, root):
    folder = write(root, "vadclip")
    (path,) = folder.rglob("Abuse007_x264__7.npy")
    np.save(path, values("x", 5))
    line = run("--features", folder, *SNIPPETS, "--crop", "0", status=2)
    assert "'Abuse007_x264' must have as many rows in each crop" in line and "5 in crop 7" in line


def test_a_damaged_video_beside_features_does_no_harm(run, root):
    folder = write(root, "vadclip")
    (root / "Test_Annotation.txt").unlink()
    (root / "Abuse007_x264.mp4").write_bytes(b"no video")
    assert run("--features", folder, *SNIPPETS, "--crop", "0")["status"] == "finished"


class Attack:
    def __reduce__(self):
        return (Path.touch, (Path("attacked"),))


def one(root):
    """The features of a test video."""
    (path,) = (root / "some features").rglob("Abuse007_x264.npy")
    return path


def empty_list(root):
    (root / "Anomaly_Test.txt").write_text("")


def climbing_list(root):
    with (root / "Anomaly_Train.txt").open("a") as file:
        file.write("\n../outside/Abuse999_x264.mp4\n")


def absolute_list(root):
    with (root / "Anomaly_Train.txt").open("a") as file:
        file.write("\n/etc/Abuse999_x264.mp4\n")


def headless_csv(root):
    (root / "Anomaly_Test.txt").rename(root / "was_a_list.bak")
    (root / "ucf_test.csv").write_text("/home/them/Abuse007_x264__5.npy,Abuse\n")


SPOILT = {
    "pickled object": (lambda r: np.save(one(r), np.array([Attack()]), allow_pickle=True), "pickled Python objects"),
    "text renamed": (lambda r: one(r).write_text("0.1 0.2 0.3"), "is no .npy file"),
    "web page renamed": (lambda r: one(r).write_text("<!DOCTYPE html><title>Quota</title>"), "is no .npy file"),
    "nothing": (lambda r: one(r).write_bytes(b""), "is empty"),
    "no rows": (lambda r: np.save(one(r), np.empty((0, DIM), np.float32)), "holds no rows"),
    "truncated": (lambda r: one(r).write_bytes(one(r).read_bytes()[:-9]), "truncated"),
    "three axes": (lambda r: np.save(one(r), np.zeros((200, 2, DIM), np.float32)), "(200, 2, 64)"),
    "one axis": (lambda r: np.save(one(r), np.zeros(200, np.float32)), "(200,)"),
    "another width": (lambda r: np.save(one(r), np.zeros((200, 32), np.float32)), "(200, 32)"),
    "whole numbers": (lambda r: np.save(one(r), np.zeros((200, DIM), np.int64)), "float16 or float32"),
    "infinity": (lambda r: np.save(one(r), np.full((200, DIM), np.inf, np.float32)), "row 0"),
    "a link outside": (lambda r: (one(r).rename(r.parent / "x.npy"), one_link(r)), "is a link to"),
    "empty list": (empty_list, "the list is empty"),
    "a list that climbs": (climbing_list, "must not contain '..'"),
    "a list of outside paths": (absolute_list, "is outside the data root"),
    "a csv without its header": (headless_csv, "expected the header 'path,label'"),
}


def one_link(root):
    (root / "some features" / "Abuse" / "Abuse007_x264.npy").symlink_to(root.parent / "x.npy")


@pytest.mark.parametrize("what", SPOILT)
def test_what_is_spoilt_is_refused_in_one_line_and_nothing_is_written(run, root, tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    folder = write(root, "anomalyclip")
    spoil, words = SPOILT[what]
    spoil(root)
    error = run("--features", folder, status=2)
    lines = [line for line in error.splitlines() if not line.startswith("note:")]
    assert len(lines) == 1 and words in lines[0]
    named = ("Abuse007_x264", "Anomaly_T", "ucf_test.csv")
    assert any(name in lines[0] for name in named)
    assert not (tmp_path / "attacked").exists()
    assert not [p for p in (tmp_path / "runs").rglob("*") if p.is_file()]
