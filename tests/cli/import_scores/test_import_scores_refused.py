"""``vadbench import-scores``: what does not fit."""

import json

import numpy as np
import pytest

from filmed_plugin import FRAMES, HALF, TEST, by_frame, drawn
from imported_scores import carrying, notes, value, without
from literal_metrics import of_frames


def test_a_missing_video_is_named_and_may_be_left_out(refused, load, save, out):
    path = save(without("calm", "01_0014"))
    line = refused(path)
    assert "2 of 12 test videos of filmed have no scores: 01_0014, calm;" in line and "--allow-incomplete" in line
    record = load(path, "--allow-incomplete")
    assert "incomplete: 10 of 12 test videos, the others lack scores" in record["notes"]
    assert (record["data"]["test"]["videos"], record["data"]["test"]["expected"]) == (10, 12)
    assert value(record, "AUC") == pytest.approx(of_frames(by_frame(without("calm", "01_0014")))["AUC"], abs=1e-12)
    path = carrying(out.parent / "few.json", without("calm"))
    assert "1 of 12 test videos of filmed have no scores: calm" in refused(path, "--truth", path)
    carried = load(path, "--truth", path, "--allow-incomplete", name="few")
    assert carried["data"]["test"]["videos"] == 11


def test_unknown_videos_are_refused(refused, save):
    line = refused(save({**drawn(), "Riot002_x264": np.ones(3), "stranger": np.ones(3)}))
    assert "2 of 14 scored names are no test videos of filmed, the first is 'Riot002_x264'" in line
    assert "did you mean 'Riot001_x264'" in line
    assert "are no test videos" in refused(save({**drawn(), "Riot002_x264": np.ones(3)}), "--allow-incomplete")


def test_scores_of_another_data_set_are_refused(refused, save, tmp_path):
    line = refused(save({f"other-{i}": np.ones(9) for i in range(12)}))
    assert "none of the 12 scored names is a test video of filmed" in line and "'other-0'" in line
    for i in range(3):
        (tmp_path / "each").mkdir(exist_ok=True)
        np.save(tmp_path / "each" / f"other-{i}.npy", np.ones(9))
    assert "none of the 3 scored names is a test video of filmed" in refused(tmp_path / "each")
    line = refused(save({name: np.ones(5 + i) for i, name in enumerate(TEST)}))
    assert "the distance of rows cannot be found out" in line and "another data set" in line


def test_names_of_training_videos_are_no_test_videos(refused, save):
    assert "'train-0'" in refused(save({**drawn(), "train-0": np.ones(6)}))


def test_another_division_has_other_videos(load, save, refused):
    assert "6 of 12 scored names are no test videos" in refused(save(), "--partition", "half")
    record = load(save({name: drawn()[name] for name in HALF}), "--partition", "half")
    assert record["protocol"]["partition"] == "half" and record["data"]["test"]["expected"] == 6
    assert value(record, "AUC") == pytest.approx(of_frames(by_frame({n: drawn()[n] for n in HALF}))["AUC"], abs=1e-12)


def test_the_subset_is_taken_from_the_scores_of_all_videos(load, save):
    record = load(save(), "--set", "protocol.subset=single-anomaly")
    kept = without("Bad.Boys.1995__#00-10-00_label_B2-0-0")
    assert record["data"]["test"]["videos"] == 11
    assert value(record, "AUC") == pytest.approx(of_frames(by_frame(kept))["AUC"], abs=1e-12)
    assert load(save())["key"] == record["key"]


def test_rows_beyond_the_tolerance_are_refused_or_named(refused, load, save):
    scores = drawn() | {"calm": np.full(26, 0.5, np.float32), "01_0014": np.full(3, 0.25, np.float32)}
    line = refused(save(scores))
    assert "the scores of 2 of 12 videos do not fit their lengths, the first:" in line
    assert "'01_0014' has 3 scores of 16 frames each for 145 frames" in line and "--tolerance 97" in line
    assert "--tolerance 97" in refused(save(scores), "--tolerance", 50)
    record = load(save(scores), "--tolerance", 97)
    (note,) = notes(record, "further off than usual")
    assert "2 videos: 01_0014 (3 rows for 145 frames), calm (26 rows for 320 frames)" in note
    assert notes(record, "rows past the end of their video count no frame, 1 videos: calm")
    assert value(record, "AUC") == pytest.approx(of_frames(by_frame(scores))["AUC"], abs=1e-12)
    assert record["data"]["test"]["frames"] == FRAMES


def test_a_smaller_tolerance_is_smaller(refused, load, save):
    scores = drawn() | {"01_0014": np.full(8, 0.5, np.float32)}  # of 9, with 17 frames behind the last
    assert load(save(scores))
    assert "1 of 12 videos do not fit" in refused(save(scores), "--tolerance", 0)


def test_the_tolerance_of_the_protocol_counts(refused, load, save):
    scores = drawn() | {"calm": np.full(23, 0.5, np.float32)}
    assert "1 of 12 videos do not fit" in refused(save(scores))
    assert notes(load(save(scores), "--set", "protocol.tolerance=48"), "further off than usual")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(refused, save, value):
    scores = drawn()
    scores["calm"][3] = value
    assert f"'calm': score 3 is {value}" in refused(save(scores))


def test_pickled_arrays_are_refused(refused, tmp_path):
    array = np.empty(1, object)
    array[0] = {"calm": [1, 2]}
    np.save(tmp_path / "x.npy", array, allow_pickle=True)
    assert "pickled Python objects" in refused(tmp_path / "x.npy")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "recipe.epochs=3"), "scores have no settings but those of the protocol"),
        (("--set", "protocol.tale=zero"), "did you mean 'tail'"),
        (("--set", "protocol.tail=wag"), "'hold', 'zero', 'rows' or 'rows-prolonged'"),
        (("--set", "protocol.post=round(1)", "--post", "round(2)"), "both give protocol.post"),
        (("--post", "gausian(10)"), "did you mean"),
        (("--protocol", "vadclop"), "did you mean 'vadclip'"),
        (("--partition", "halv"), "did you mean 'half'"),
        (("--stride", "8"), "do not fit their lengths"),
        (("--stride", "0"), "--stride"),
        (("--tolerance", "-1"), "--tolerance"),
        (("--trained-on", "../x"), "--trained-on must be letters"),
        (("--supervision", "strong"), "--supervision"),
        (("--data-root", "/nowhere"), "/nowhere"),
    ],
)
def test_options_that_are_wrong_are_refused(refused, save, arguments, said):
    assert said in refused(save(), *arguments)


@pytest.mark.parametrize("name", ["../mine", "a/b", "", ".hidden", "a b", "ä", "x\n", "/tmp/x"])
def test_a_name_must_be_one_of_a_folder(refused, save, name):
    assert "--name must be letters" in refused(save(), name=name)


def test_an_unknown_data_set_is_refused(refused, save):
    assert "did you mean 'filmed'" in refused(save(), dataset="filmd")


def test_a_stride_that_contradicts_the_file_is_refused(refused, load, tmp_path):
    by = {n: {str(16 * i): float(x) for i, x in enumerate(v)} for n, v in drawn().items()}
    (tmp_path / "all.json").write_text(json.dumps(by))
    assert "have a score every 16 frames, --stride says 8" in refused(tmp_path / "all.json", "--stride", 8)
    assert load(tmp_path / "all.json", "--stride", 16)
    by["calm"] = {str(8 * i): 0.5 for i in range(40)}
    (tmp_path / "all.json").write_text(json.dumps(by))
    assert "scores must have one distance of rows, found 8, 16" in refused(tmp_path / "all.json")


def test_a_disk_that_cannot_be_written_is_said(save, load, out):
    out.write_text("a file")
    assert "a file stands where a folder is needed" in load(save(), status=2)
