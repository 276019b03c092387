"""Files of scores in the forms that circulate: what is read from each."""

import csv
import json
import unicodedata
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vadbench.base.errors import DataError
from vadbench.scoring.score_files import files_of, read_scores
from written_scores import NAMES, SCORES, npy, same, write


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".json", ".csv", ".txt"])
@pytest.mark.parametrize("form", ["{}", "{}.mp4", "{}_pred", "{}_scores", "{}.mp4_pred", "a folder/{}", "b/c/{}.avi"])
def test_a_folder_has_one_file_a_video(tmp_path, suffix, form):
    for name, values in SCORES.items():
        write(tmp_path / f"{form.format(name)}{suffix}", values)
    same(read_scores([tmp_path], NAMES))


def test_forms_may_be_mixed_and_other_files_and_folders_count_nothing(tmp_path):
    for (name, values), suffix in zip(SCORES.items(), (".npy", ".NPZ", ".json", ".csv", ".txt"), strict=True):
        write(tmp_path / f"{name}{suffix.lower()}", values)
        (tmp_path / f"{name}{suffix.lower()}").rename(tmp_path / f"{name}{suffix}")
    (tmp_path / "README.md").write_text("what this is")
    (tmp_path / "figure.png").write_bytes(b"\x89PNG")
    (tmp_path / ".hidden.npy").write_bytes(b"no array")
    (tmp_path / "empty").mkdir()
    same(read_scores([tmp_path], NAMES))


def test_names_in_two_ways_of_writing_letters_are_one(tmp_path):
    np.save(tmp_path / f"{unicodedata.normalize('NFD', 'Café')}.npy", np.ones(3))
    assert list(read_scores([tmp_path], ["Café"])) == ["Café"]


def test_several_paths_are_read_together(tmp_path):
    for i, (name, values) in enumerate(SCORES.items()):
        write(tmp_path / str(i % 2) / f"{name}.npy", values)
    same(read_scores([tmp_path / "0", tmp_path / "1"], NAMES))
    same(read_scores(files_of(tmp_path), NAMES))


def test_crops_are_averaged(tmp_path):
    rng = np.random.default_rng(5)
    crops = {name: rng.random((10, 4)).astype(np.float32) for name in ("calm", "Straße")}
    for name, values in crops.items():
        for i, own in enumerate(values):
            write(tmp_path / f"{name}__{i}{'_pred' if name == 'calm' else ''}.npy", own)
    found = read_scores([tmp_path], NAMES)
    for name, values in crops.items():
        expected = [sum(float(values[i, j]) for i in range(10)) / 10 for j in range(4)]
        assert found[name].values == pytest.approx(expected, rel=1e-6)


def test_a_single_crop_is_the_video(tmp_path):
    write(tmp_path / "calm__0.npy", SCORES["calm"])
    same(read_scores([tmp_path], NAMES), {"calm": SCORES["calm"]})


@pytest.mark.parametrize(
    "pair",
    [
        ("calm.npy", "calm.json"),
        ("calm.npy", "calm_pred.npy"),
        ("a/calm.npy", "b/calm.npy"),
        ("calm.npy", "calm__0.npy"),
        ("a/calm__0.npy", "b/calm__0.npy"),
        ("calm__0.npy", "calm__0_pred.npy"),
    ],
)
def test_two_scores_of_one_video_are_refused(tmp_path, pair):
    for i, name in enumerate(pair):
        write(tmp_path / name, np.full(3, i / 2))
    with pytest.raises(DataError, match=r"^two scores of 'calm', in .*calm.* and .*calm.*; keep one"):
        read_scores([tmp_path], NAMES)


def test_crops_of_other_lengths_are_refused(tmp_path):
    write(tmp_path / "calm__0.npy", np.ones(3))
    write(tmp_path / "calm__1.npy", np.ones(4))
    with pytest.raises(DataError, match="have one length"):
        read_scores([tmp_path], NAMES)


def test_a_video_twice_in_one_file_is_refused(tmp_path, refused):
    (tmp_path / "all.json").write_text(json.dumps({"calm": [1.0], "calm.mp4": [2.0]}))
    assert "two scores of 'calm'" in refused(tmp_path / "all.json")


def test_unknown_names_stand_as_they_are(tmp_path):
    for name in ("calm", "stranger", "other"):
        for suffix in (".npy", ".npz", ".json", ".txt"):
            write(tmp_path / suffix[1:] / f"{name}{suffix}", np.ones(2))
    for suffix in ("npy", "npz", "json", "txt"):
        assert set(read_scores([tmp_path / suffix], NAMES)) == {"calm", "stranger", "other"}, suffix
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "stranger.json").write_text(json.dumps({"scores": [0.5]}))
    (tmp_path / "one" / "other.json").write_text(json.dumps({"0": 0.5, "16": 0.25}))
    assert set(read_scores([tmp_path / "one"], NAMES)) == {"stranger", "other"}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("form", ["{}", "{}.mp4", "{}_pred", "x/{}"])
def test_one_archive_has_an_array_a_video(tmp_path, save, form):
    save(tmp_path / "all.npz", **{form.format(name): values for name, values in SCORES.items()})
    found = read_scores([tmp_path / "all.npz"], NAMES)
    same(found)
    assert [found[name].values.dtype for name in NAMES] == [SCORES[name].dtype for name in NAMES]


def test_an_archive_that_is_named_after_a_video_may_have_all(tmp_path):
    np.savez(tmp_path / "calm.npz", **SCORES)
    same(read_scores([tmp_path / "calm.npz"], NAMES))


def test_an_archive_of_one_video_has_its_scores_under_that_name(tmp_path, refused):
    np.savez(tmp_path / "calm.npz", scores=SCORES["calm"], gt=np.zeros(3), other=np.ones((2, 2)))
    same(read_scores([tmp_path / "calm.npz"], NAMES), {"calm": SCORES["calm"]})
    np.savez(tmp_path / "calm.npz", SCORES["calm"])
    same(read_scores([tmp_path / "calm.npz"], NAMES), {"calm": SCORES["calm"]})
    np.savez(tmp_path / "calm.npz", a=SCORES["calm"], b=SCORES["calm"])
    assert "expected an array 'scores', found 'a', 'b'" in refused(tmp_path / "calm.npz")


def of_json(form, values):
    rows = [float(v) for v in values]
    return {
        "list": rows,
        "scores": {"scores": rows},
        "by frame": {str(4 * i): v for i, v in enumerate(rows)},
        "scores by frame": {"scores": {str(4 * i): v for i, v in enumerate(rows)}},
        "segments": {"frames": 4 * len(rows), "segments": [[4 * i, 4 * i + 3, v] for i, v in enumerate(rows)]},
    }[form]


FORMS = ["list", "scores", "by frame", "scores by frame", "segments"]


@pytest.mark.parametrize("outer", [{}, {"what": "a method", "licence": None}, None])
@pytest.mark.parametrize("form", FORMS)
def test_one_json_file_has_an_entry_a_video(tmp_path, form, outer):
    entries = {f"{name}.mp4": of_json(form, values) for name, values in SCORES.items()}
    content = entries if outer is None else {**outer, "videos": entries}
    (tmp_path / "all.json").write_text(json.dumps(content), encoding="utf-8")
    found = read_scores([tmp_path / "all.json"], NAMES)
    times = 4 if form == "segments" else 1
    same(found, {name: values.repeat(times) for name, values in SCORES.items()})
    stride = {"list": None, "scores": None, "segments": 1}.get(form, 4)
    assert {own.stride for own in found.values()} == {stride}
    assert {name: own.frames for name, own in found.items()} == {
        name: 4 * len(values) if form == "segments" else None for name, values in SCORES.items()
    }


@pytest.mark.parametrize("form", FORMS)
def test_a_json_file_of_one_video(tmp_path, form):
    (tmp_path / "calm_pred.json").write_text(json.dumps(of_json(form, SCORES["calm"])))
    found = read_scores([tmp_path], NAMES)
    same(found, {"calm": SCORES["calm"].repeat(4 if form == "segments" else 1)})


def test_one_csv_file_has_the_rows_of_all_videos(tmp_path):
    rows = [(name, repr(float(v)), i % 2) for name, values in SCORES.items() for i, v in enumerate(values)]
    with (tmp_path / "all.csv").open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([("video_id", "score", "gt"), *rows])
    found = read_scores([tmp_path / "all.csv"], NAMES)
    same(found)
    assert all(own.labels.tolist() == [i % 2 == 1 for i in range(len(own.values))] for own in found.values())


def test_columns_of_a_csv_file_are_found_by_their_names(tmp_path):
    (tmp_path / "all.csv").write_text(" GT , Extra, Score,VIDEO\n1,x,0.5,calm\n0,y, .25 ,calm\n1.0,z,1e-3, Straße \n")
    found = read_scores([tmp_path], NAMES)
    assert found["calm"].values.tolist() == [0.5, 0.25] and found["calm"].labels.tolist() == [True, False]
    assert found["Straße"].values.tolist() == [0.001]


def test_rows_of_videos_may_alternate(tmp_path):
    (tmp_path / "all.csv").write_text("video_id,score\ncalm,1\nStraße,2\ncalm,3\n\nStraße,4\n")
    found = read_scores([tmp_path], NAMES)
    assert found["calm"].values.tolist() == [1, 3] and found["Straße"].values.tolist() == [2, 4]
    assert found["calm"].labels is None


def test_names_with_commas_and_line_breaks_are_quoted(tmp_path):
    (tmp_path / "all.csv").write_text('video_id,score\n"a, b",1\n"two\nlines",2\n', encoding="utf-8")
    assert set(read_scores([tmp_path], ["a, b", "two\nlines"])) == {"a, b", "two\nlines"}


def test_a_csv_file_of_one_video_may_have_no_header(tmp_path):
    (tmp_path / "calm.csv").write_text("0.5\n0.25\n")
    assert read_scores([tmp_path], NAMES)["calm"].values.tolist() == [0.5, 0.25]
    (tmp_path / "calm.csv").write_text("score,gt\n0.5,0\n0.25,1\n")
    assert read_scores([tmp_path], NAMES)["calm"].labels.tolist() == [False, True]


@pytest.fixture
def joined(tmp_path):
    """One array of all videos, which are not in the order of their names."""
    order = [NAMES[i] for i in (3, 0, 4, 2, 1)]
    np.save(tmp_path / "predictions.npy", np.concatenate([SCORES[name].astype(np.float64) for name in order]))
    return tmp_path, {name: len(SCORES[name]) for name in order}


@pytest.mark.parametrize("form", ["txt", "at", "json", "json frames"])
def test_one_array_is_cut_by_a_list_of_names_and_lengths(joined, form):
    folder, lengths = joined
    text = {
        "txt": "\n".join(f"some/folder/{name}.mp4 {n}" for name, n in lengths.items()),
        "at": "\n".join(f"{name}@{n}" for name, n in lengths.items()),
        "json": json.dumps(lengths),
        "json frames": json.dumps({"frames": lengths, "what": "x"}),
    }[form]
    path = folder / f"lengths.{'json' if 'json' in form else 'txt'}"
    path.write_text(text, encoding="utf-8")
    same(read_scores([folder], NAMES))
    same(read_scores([path, folder / "predictions.npy"], NAMES))


@pytest.mark.parametrize("form", ["npy", "npz", "txt", "csv", "json"])
def test_a_bare_array_is_refused_with_the_reason(tmp_path, refused, form):
    write(tmp_path / f"predictions.{form}", np.ones(30))
    line = refused(tmp_path / f"predictions.{form}")
    # A csv file has a column for the names.
    reason = "expected a column 'video_id'" if form == "csv" else "one array does not say where a video begins"
    assert reason in line
    np.savez(tmp_path / "bare.npz", np.ones(30))
    assert "one array does not say where a video begins" in refused(tmp_path / "bare.npz")


def test_a_list_of_other_lengths_is_refused(joined, refused):
    folder, lengths = joined
    (folder / "lengths.txt").write_text("\n".join(f"{name} {n + 1}" for name, n in lengths.items()), encoding="utf-8")
    total = sum(lengths.values())
    assert f"has {total} scores, the 5 lengths in {folder}/lengths.txt make {total + 5}" in refused(folder)


@pytest.mark.parametrize("text", ["", "calm", "calm x", "calm 0", "calm -3", "calm 99999999999", "{}", "\0"])
def test_a_damaged_list_is_refused(joined, refused, text):
    folder, _ = joined
    (folder / "lengths.txt").write_text(text)
    assert "lengths.txt" in refused(folder)


def test_scores_of_two_videos_are_no_array_and_its_list(tmp_path):
    write(tmp_path / "calm.npy", np.ones(3))
    write(tmp_path / "Straße.txt", np.zeros(3))
    assert set(read_scores([tmp_path], NAMES)) == {"calm", "Straße"}


values = st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=8)
names = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S"), exclude_characters="/\\\0"), min_size=1, max_size=12
).filter(lambda n: not n.startswith(".") and not n.lower().endswith((".mp4", ".npy", ".avi", ".mkv")))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(content=st.dictionaries(names.map(lambda n: unicodedata.normalize("NFC", n)), values, min_size=1, max_size=4))
def test_scores_in_any_form_read_back_equal(content, tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms")
    arrays = {name: np.array(rows, np.float32) for name, rows in content.items()}
    rows = [(name, repr(v)) for name, own in content.items() for v in own]
    with (folder / "all.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("video_id", "score"), *rows])
    (folder / "list.json").write_text(json.dumps(content), encoding="utf-8")
    by_frame = {name: {str(16 * i): v for i, v in enumerate(own)} for name, own in content.items()}
    (folder / "frames.json").write_text(json.dumps({"videos": by_frame}), encoding="utf-8")
    segments = {name: {"segments": [[i, i, v] for i, v in enumerate(own)]} for name, own in content.items()}
    (folder / "segments.json").write_text(json.dumps(segments), encoding="utf-8")
    with zipfile.ZipFile(folder / "all.npz", "w") as archive:
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", npy(array))
    np.save(folder / "joined.npy", np.concatenate(list(arrays.values())))
    (folder / "lengths.json").write_text(json.dumps({name: len(own) for name, own in content.items()}))
    for i, (name, array) in enumerate(arrays.items()):
        write(folder / "each" / f"{name}{('.npy', '.txt', '.json', '.csv')[i]}", array)
    for paths in (
        ["all.csv"],
        ["list.json"],
        ["frames.json"],
        ["segments.json"],
        ["all.npz"],
        ["joined.npy", "lengths.json"],
        ["each"],
    ):
        found = read_scores([folder / path for path in paths], list(content))
        assert {name: own.values.tolist() for name, own in found.items()} == content, paths
