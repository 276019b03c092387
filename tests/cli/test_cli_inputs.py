"""Files that a run reads, damaged, missing or replaced: a result is of what is there, and of nothing that was."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from places import INPUTS, PLUGIN
from vadbench.data.media import write_video

pytestmark = pytest.mark.usefixtures("quick_runs")
TRAIN = {"n0.mp4": (0, 0), "a0.mp4": (10, 20), "n1": (0, 0), "a1": (10, 20)}
TEST = {"n2.mp4": (0, 0), "a2.mp4": (10, 20), "n3": (0, 0), "a3": (10, 20), "a4.mp4": (5, 25)}
CLIP = ("--clip", "small", "--clip-weights", "random:0")


def frames(name, square, seed=0):
    rng = np.random.default_rng([sum(name.encode()), seed])
    for t in range(30):
        frame = rng.integers(60, 90, (48, 64, 3), dtype=np.uint8)
        if square[0] <= t < square[1]:
            frame[10:40, 10:50] = 255
        yield frame


def make(path, square, seed=0):
    """A video file, or a folder of frames where the name has no suffix."""
    if path.suffix:
        write_video(path, frames(path.name, square, seed), fps=10)
        return
    path.mkdir(parents=True, exist_ok=True)
    for t, frame in enumerate(frames(path.name, square, seed)):
        Image.fromarray(frame).save(path / f"{t:03d}.bmp")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    root = tmp_path_factory.mktemp("original") / "my yard"
    for name, square in (TRAIN | TEST).items():
        make(root / "clips" / name, square)
    (root / "truth.json").write_text(json.dumps({"train": TRAIN, "test": TEST}))
    return root


@pytest.fixture(scope="module")
def filled(original, prepare, tmp_path_factory):
    """The cache after a run on the original."""
    cache = tmp_path_factory.mktemp("cache") / "cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vadbench.records.plots.Figure.savefig", lambda self, path, **_: Path(path).touch())
        prepare(*command(original), "--out", tmp_path_factory.mktemp("first"), VADBENCH_CACHE=cache)
    return cache


def command(root, *arguments):
    plugins = ["--plugin", INPUTS, "--plugin", PLUGIN]
    chosen = () if "-m" in arguments or "--from" in arguments else ("-m", "zero-shot")
    clip = () if "--from" in arguments or {"--clip", "--clip-weights"} & set(arguments) else CLIP
    return ["run", *plugins, "-d", "yard", "--data-root", root, *clip, *chosen, "--device", "cpu", "--json", *arguments]


@pytest.fixture
def root(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "copy of it"))


@pytest.fixture
def run(root, filled, tmp_path, vadbench, monkeypatch):
    """A run with the cache of the original, or with an empty one."""
    monkeypatch.setenv("VADBENCH_CACHE", str(shutil.copytree(filled, tmp_path / "cache")))
    calls = []

    def call(*arguments, cache=None, status=0, where=root):
        calls.append(arguments)
        with monkeypatch.context() as patch:
            if cache is not None:
                patch.setenv("VADBENCH_CACHE", str(cache))
            found = vadbench(*command(where, "--out", tmp_path / f"runs{len(calls)}", *arguments), status=status)
        return found.json[0] if not status else found.err

    return call


def of_result(record):
    """What must not depend on this machine's past."""
    names = ("key", "evaluation", "data", "notes", "protocol", "fingerprint")
    return {name: record[name] for name in names} | {"metrics": record["metrics"]}


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def of_nothing(path):
    path.write_text("<html>quota exceeded</html>")


def take_away(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def within(path):
    """Damage in the middle that leaves the size and the times of the file."""
    status, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


DAMAGED = [
    *((name, damage) for name in ("a0.mp4", "a2.mp4") for damage in (truncate, empty, of_nothing, take_away, within)),
    *((name, damage) for name in ("a1/007.bmp", "a3/007.bmp") for damage in (truncate, empty, of_nothing)),
    *((name, take_away) for name in ("a1", "a3")),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGED)
def test_a_damaged_file_is_left_out_and_the_result_marked_whatever_the_cache_holds(run, root, tmp_path, name, damage):
    whole = run("--allow-incomplete")
    damage(root / "clips" / name)
    found = run("--allow-incomplete")
    split = "train" if name[1] in "01" else "test"
    complete = {"train": len(TRAIN), "test": len(TEST)}
    assert found["data"][split]["videos"] == complete[split] - 1
    assert any(note.startswith("incomplete: ") and f"{split} videos" in note for note in found["notes"])
    assert found["key" if split == "train" else "evaluation"] != whole["key" if split == "train" else "evaluation"]
    fresh = run("--allow-incomplete", cache=tmp_path / "empty cache")
    assert of_result(fresh) == of_result(found)
    again = run("--allow-incomplete", cache=tmp_path / "empty cache")
    assert of_result(again) == of_result(found)
    stopped = run(status=2)
    assert len([line for line in stopped.splitlines() if line.startswith("vadbench: ")]) == 1


def test_a_damaged_copy_in_another_root_is_not_scored_from_the_cache(run, root, tmp_path):
    other = Path(shutil.copytree(root, tmp_path / "other"))
    truncate(other / "clips" / "a2.mp4")
    found = run("--allow-incomplete", where=other)
    assert found["data"]["test"]["videos"] == len(TEST) - 1
    assert of_result(run("--allow-incomplete", where=other, cache=tmp_path / "empty")) == of_result(found)
    assert run("--allow-incomplete")["data"]["test"]["videos"] == len(TEST)


def test_pooled_rows_of_a_damaged_video_are_not_scored_either(run, root, tmp_path):
    settings = ("--allow-incomplete", "--set", "rows.stride=32")
    run(*settings)
    truncate(root / "clips" / "a2.mp4")
    found = run(*settings)
    assert found["data"]["test"]["videos"] == len(TEST) - 1
    assert of_result(run(*settings, cache=tmp_path / "empty")) == of_result(found)


def test_a_store_keeps_no_video_that_was_damaged_since(run, root, tmp_path, vadbench):
    store = tmp_path / "store"
    plugins = ["--plugin", INPUTS]
    extract = ["extract", *plugins, "-d", "yard", "--data-root", root, *CLIP, "--stride", 1, "--out", store]
    for status in (0, 1):
        found = vadbench(*extract, "--keep-going", status=status)
        truncate(root / "clips" / "a2.mp4")
    assert "left out: a2.mp4: " in found.err
    assert "were not made from" in run("--features", store, status=2)
    found = run("--features", store, "--allow-incomplete")
    assert found["data"]["test"]["videos"] == len(TEST) - 1
    assert any(note.startswith("incomplete: 4 of 5 test videos") for note in found["notes"])


@pytest.fixture
def features(tmp_path):
    """Rows of all frames of all videos, in a folder of .npy files."""
    folder = tmp_path / "given features"
    folder.mkdir()
    for name, (first, end) in (TRAIN | TEST).items():
        rows = np.random.default_rng(sum(name.encode())).standard_normal((30, 64)).astype(np.float32)
        rows[first:end] += 1
        np.save(folder / f"{name}.npy", rows)
    return folder


def test_given_features_that_are_damaged_are_left_out_whatever_was_verified_before(run, features, tmp_path):
    options = ("--features", features, "--allow-incomplete")
    whole = run(*options)
    path = features / "a2.mp4.npy"
    rows = np.load(path)
    rows[3] = np.nan
    status = path.stat()
    np.save(path, rows)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    found = run(*options)
    assert found["data"]["test"]["videos"] == len(TEST) - 1 and found["evaluation"] != whole["evaluation"]
    assert any(note.startswith("incomplete: ") for note in found["notes"])
    assert of_result(run(*options, cache=tmp_path / "empty")) == of_result(found)


# --- replaced ------------------------------------------------------------------------------------------------------


def in_place_of(path, write):
    """Replace a file by another one of the same size and time."""
    status = path.stat()
    write(path)
    size = path.stat().st_size
    if path.suffix == ".mp4":
        # A box that players skip.
        assert status.st_size - size >= 8, "the original must be the larger one"
        with path.open("ab") as file:
            file.write((status.st_size - size).to_bytes(4, "big") + b"free" + bytes(status.st_size - size - 8))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (status.st_size, status.st_mtime_ns)


def darker_video(path):
    write_video(path, (frame // 2 for frame in frames(path.name, (0, 30))), fps=10)


def other_image(path):
    Image.fromarray(np.full((48, 64, 3), 200, np.uint8)).save(path)


@pytest.mark.parametrize(
    ("name", "write", "changed"),
    [
        ("n0.mp4", darker_video, "key"),
        ("n2.mp4", darker_video, "evaluation"),
        ("n1/013.bmp", other_image, "key"),
        ("n3/013.bmp", other_image, "evaluation"),
    ],
)
def test_a_replaced_video_of_the_same_size_and_time_gives_another_key(run, root, name, write, changed):
    before = run()
    in_place_of(root / "clips" / name, write)
    after = run()
    assert after[changed] != before[changed]
    assert run()[changed] == after[changed]
    if changed == "evaluation":
        assert after["key"] == before["key"]


def test_a_replaced_annotation_gives_another_key(run, root):
    before = run()
    test = TEST | {"a2.mp4": (10, 21)}
    (root / "truth.json").write_text(json.dumps({"train": TRAIN, "test": test}))
    after = run()
    assert after["key"] == before["key"] and after["evaluation"] != before["evaluation"]
    assert after["data"]["test"]["positives"] == before["data"]["test"]["positives"] + 1
    train = TRAIN | {"n0.mp4": (1, 2)}
    (root / "truth.json").write_text(json.dumps({"train": train, "test": test}))
    assert run()["key"] != after["key"]


@pytest.mark.parametrize(("name", "changed"), [("n0.mp4.npy", "key"), ("n2.mp4.npy", "evaluation")])
def test_a_replaced_feature_file_of_the_same_size_and_time_gives_another_key(run, features, name, changed):
    before = run("--features", features)
    in_place_of(features / name, lambda path: np.save(path, np.load(path)[::-1].copy()))
    assert run("--features", features)[changed] != before[changed]


@pytest.fixture
def weights(tmp_path):
    """A tiny CLIP's weights in a file, and a function that puts others in their place."""

    def write(seed):
        torch.manual_seed(seed)
        towers = {"layers": 1, "width": 64}
        model = open_clip.CLIP(
            embed_dim=8,
            vision_cfg=towers | {"patch_size": 16, "image_size": 32},
            text_cfg=towers | {"context_length": 77, "vocab_size": 49408, "heads": 1},
            quick_gelu=True,
        )
        save_file(model.state_dict(), path)

    path = tmp_path / "some weights.safetensors"
    write(0)
    return path, lambda: in_place_of(path, lambda _: write(1))


def test_replaced_clip_weights_give_another_key_or_a_refusal(run, weights):
    path, change = weights
    clip = ("--clip-weights", path)
    settings = ("-m", "linear", "--set", "recipe.epochs=1")
    before = run(*settings, *clip)
    change()
    after = run(*settings, *clip)
    assert after["key"] != before["key"] and after["clip"]["sha256"] != before["clip"]["sha256"]
    refused = run("--from", before["folder"], *clip, status=2)
    assert before["clip"]["sha256"][:12] in refused and after["clip"]["sha256"][:12] in refused


def first_edition_id(path):
    """What the first edition called a video: by the size and the ends of a file, or some images of a folder."""
    if path.is_dir():
        images = sorted(path.iterdir())
        parts = [f"{i.name}\0{i.stat().st_size}\0".encode() for i in images]
        parts += [i.read_bytes() for i in images[:: max(1, len(images) // 16)]]
    else:
        content = path.read_bytes()
        parts = [f"{len(content)}\0".encode(), content[: 64 * 1024], content[max(len(content) - 64 * 1024, 0) :]]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def test_rows_of_the_first_edition_are_used_and_make_the_same_key(run, root):
    now = run()
    (index,) = Path(os.environ["VADBENCH_CACHE"]).glob("features/yard/*/index-0-of-1.jsonl")
    lines = [json.loads(line) for line in index.read_text().splitlines()]
    old = [line | {"source": first_edition_id(root / "clips" / line["name"])} for line in lines]
    index.write_text("".join(json.dumps(line) + "\n" for line in old))
    assert of_result(run()) == of_result(now)
    assert len(index.read_text().splitlines()) == len(lines), "nothing was extracted again"


# --- what a result says of where its features come from ---------------------------------------------------------------


def test_features_of_unknown_origin_are_not_called_those_of_the_clip(run, features, tmp_path, vadbench):
    """Whichever CLIP is named or not; that the method reads texts of the small one is another matter."""
    for clip in (("--clip", "small"), CLIP):
        for method in ("zero-shot", "linear"):
            found = run("-m", method, "--features", features, *clip)
            assert not any("features come from" in note for note in found["notes"])
            assert any("of unknown origin" in note for note in found["notes"])
            said = [note for note in found["notes"] if note.startswith("text of ")]
            assert len(said) == (method == "zero-shot"), found["notes"]
    table = vadbench("leaderboard", "--format", "md", "--out", tmp_path / "runs1").out
    assert "of unknown origin" in table and "come from the small" not in table.lower()
    assert "text of the small clip" in table.lower()


def test_features_of_the_small_clip_are_called_that_and_so_are_controls(run, weights):
    assert any("features come from the small CLIP embedded" in n for n in run("--clip", "small")["notes"])
    assert any("features come from an untrained CLIP" in n for n in run()["notes"])
    own = run("-m", "linear", "--set", "recipe.epochs=1", "--clip-weights", weights[0])
    assert not any("small CLIP" in note or "untrained" in note for note in own["notes"])


# --- what a record says of this machine ------------------------------------------------------------------------------


def private(record, tmp_path):
    folder = Path(record["folder"])
    texts = [p.read_text() for p in folder.rglob("*.json*") if p.is_file()]
    found = [word for word in (str(tmp_path), str(tmp_path.parent), os.environ["HOME"]) for t in texts if word in t]
    return found


def check_results(record, vadbench):
    found = vadbench("results", "check", record["folder"], "--plugin", INPUTS, status=None)
    # The commit of a changed tree is not the matter here.
    return [line for line in found.out.splitlines() if "result.json: " in line and "environment: " not in line]


def test_a_record_names_the_features_and_no_folder(run, features, tmp_path, vadbench):
    found = run("--features", features)
    assert any(note.startswith("features given: given features, of unknown origin") for note in found["notes"])
    assert private(found, tmp_path) == [] and check_results(found, vadbench) == []


def test_a_record_names_the_weights_file_and_no_folder_and_is_found_again_by_hash(run, weights, tmp_path, vadbench):
    path, _ = weights
    clip = ("--clip-weights", path)
    found = run("-m", "linear", "--set", "recipe.epochs=1", *clip)
    assert found["clip"]["weights"] == "some weights.safetensors"
    assert private(found, tmp_path) == [] and check_results(found, vadbench) == []
    refused = run("--from", found["folder"], "--protocol", "vadclip", status=2)
    assert "some weights.safetensors" in refused and "name it with --clip-weights" in refused
    again = run("--from", found["folder"], "--protocol", "vadclip", "--clip-weights", path)
    assert again["key"] == found["key"] and again["clip"] == found["clip"]
    moved = path.rename(path.with_name("moved.safetensors"))
    again = run("--from", found["folder"], "--protocol", "vadclip", "--clip-weights", moved)
    assert again["key"] == found["key"]


def test_notes_of_damage_and_records_of_failure_name_no_folder(run, root, tmp_path, vadbench):
    truncate(root / "clips" / "a2.mp4")
    found = run("--allow-incomplete")
    assert any(note.startswith("clips/a2.mp4: ") for note in found["notes"])
    assert any("the others lack a file without damage" in note for note in found["notes"])
    assert private(found, tmp_path) == [] and check_results(found, vadbench) == []
    run("-m", "wrong-shape", "--set", "recipe.epochs=0", "--allow-incomplete", status=2)
    (failed,) = tmp_path.glob("runs2/*/wrong-shape/*/result.json")
    assert json.loads(failed.read_text())["status"] == "failed"
    assert private({"folder": failed.parent}, tmp_path) == []
