"""``vadbench bench`` looks at what has finished: which cells are done, and which are to do again."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from command_line import succeed
from grids import HEAD, ONE, SETTINGS
from places import PLUGIN

pytestmark = pytest.mark.usefixtures("tiny_at_hand", "quick_runs")


def runs_once(bench, file, *arguments):
    """Run a benchmark, and see that it then counts as done and nothing is run again."""
    planned, _ = bench(file, "--dry-run", *arguments)
    assert planned["counts"] == {"to do": len(planned["cells"])}
    found, _ = bench(file, *arguments)
    assert found["counts"] == {"done": len(planned["cells"])}
    written = {c["folder"]: (Path(c["folder"]) / "result.json").stat().st_mtime_ns for c in found["cells"]}
    looked, _ = bench(file, "--dry-run", *arguments)
    assert looked["counts"] == found["counts"]
    _, err = bench(file, *arguments)
    assert "[1/" not in err
    assert {f: (Path(f) / "result.json").stat().st_mtime_ns for f in written} == written
    return found


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("linear", "recipe.epochs = 0"),
        ("linear", "recipe.epochs = 1, width = 5, recipe.batch_size = 4"),
        ("linear", "recipe.epochs = 1.0, recipe.learning_rate = 1, recipe.betas = [0.5, 0]"),
        ("linear", 'recipe = { epochs = 2, schedule = "steps", milestones = [1.0], gamma = 1 }'),
        ("linear", 'recipe.epochs = 1, protocol.crop = "mean", protocol.subset = "all"'),
        ("linear", 'recipe.epochs = 1, protocol = { crop = "center", selection = "validation" }'),
        ("descriptions-frame", 'recipe.epochs = 1, recipe.batch_size = 8, descriptions = "general"'),
        ("descriptions-frame", 'recipe.epochs = 0, descriptions = "general"'),
        ("descriptions-video", 'recipe.epochs = 1, recipe.batch_size = 8, descriptions = "BANK"'),
    ],
)
def test_a_cell_is_done_however_its_settings_are_written(bench, write, method, settings):
    bank = write('normal = ["a street"]\n[classes]\nSquare = ["a bright square"]\n', "bank.toml")
    file = write(SETTINGS.replace("METHOD", method).replace("SET", settings.replace("BANK", str(bank))))
    runs_once(bench, file)
    if "BANK" in settings:
        bank.write_text(bank.read_text().replace("bright", "white"))
        looked, _ = bench(file, "--dry-run")
        assert looked["counts"] == {"to do": 1}, "other words are another run"


def test_a_cell_is_to_do_again_where_a_default_has_changed_since(bench, write, monkeypatch):
    file = write(SETTINGS.replace("METHOD", "zero-shot").replace("SET", ""))
    runs_once(bench, file)
    from vadbench_baselines.config import ZeroShotConfig

    monkeypatch.setattr(ZeroShotConfig, "dataset_defaults", {"tiny": {"rows": {"stride": 2}}})
    looked, _ = bench(file, "--dry-run")
    assert looked["counts"] == {"to do": 1}


def test_a_cell_is_to_do_again_where_its_data_have_changed_since(bench, write, tmp_path, monkeypatch):
    root = tmp_path / "root"
    root.mkdir()
    file = write(ONE)
    where = ("--data-root", f"tiny={root}")
    runs_once(bench, file, *where)
    # Another file of the same length takes the place of a test video.
    replaced, other = root / "test-1.mp4", root / "test-3.mp4"
    kept = replaced.read_bytes()
    replaced.write_bytes(other.read_bytes())
    looked, _ = bench(file, "--dry-run", *where)
    assert looked["counts"] == {"to do": 1}
    replaced.write_bytes(kept)
    looked, _ = bench(file, "--dry-run", *where)
    assert looked["counts"] == {"done": 1}
    # Another annotation.
    monkeypatch.setenv("TINY_END", "19")
    looked, _ = bench(file, "--dry-run", *where)
    assert looked["counts"] == {"to do": 1}
    monkeypatch.delenv("TINY_END")
    # Other features than those that the record was made from.
    given = tmp_path / "given"
    given.mkdir()
    for name in (f"{split}-{i}" for split, n in (("train", 8), ("test", 6)) for i in range(n)):
        np.save(given / f"{name}.npy", np.random.default_rng(0).normal(size=(30, 64)).astype(np.float32))
    options = ("--features", f"tiny={given}", "--features-layout", "tiny=anomalyclip")
    looked, _ = bench(file, "--dry-run", *where, *options)
    assert looked["counts"] == {"to do": 1}
    # What is not here cannot have changed: a table can be drawn on a machine without the data.
    for path in root.iterdir():
        path.unlink()
    looked, _ = bench(file, "--dry-run", *where)
    assert looked["counts"] == {"done": 1}


def test_a_cell_is_to_do_again_where_the_rules_of_its_protocol_have_changed_since(bench, write, monkeypatch):
    from vadbench.scoring import protocol as protocols

    file = write(ONE)
    runs_once(bench, file)
    changed = protocols.ProtocolPreset(protocols.Protocol(name="native", tail="rows"))
    monkeypatch.setattr(protocols, "NATIVE", changed)
    looked, _ = bench(file, "--dry-run")
    assert looked["counts"] == {"to do": 1}


@pytest.mark.parametrize(("method", "settings"), [("random", ""), ("linear", "recipe.epochs = 1")])
def test_a_cell_is_done_under_a_protocol_that_selects_and_says_more_of_a_data_set(bench, write, method, settings):
    file = write(SETTINGS.replace("METHOD", method).replace("SET", settings))
    file.write_text(f'protocol = "segments16"\n{file.read_text()}')
    (cell,) = runs_once(bench, file)["cells"]
    rules = json.loads((Path(cell["folder"]) / "result.json").read_text())["protocol"]
    assert rules["selection"] == ("last" if method == "random" else "best-on-test")
    assert (rules["name"], rules["tail"], rules["crop"]) == ("segments16", "rows-prolonged", "mean")


def test_finished_cells_of_other_files_are_done_with_a_note(bench, write):
    file = write(ONE)
    (cell,) = runs_once(bench, file)["cells"]
    assert "before its files changed" not in bench(file)[1]
    record = Path(cell["folder"]) / "result.json"
    content = json.loads(record.read_text())
    content["code"]["method"]["digest"] = "before"
    record.write_text(json.dumps(content))
    found, err = bench(file)
    assert found["counts"] == {"done": 1}
    assert "some finished cells of random were made before its files changed; vadbench run --again renews one" in err


def test_an_evaluation_of_a_training_that_is_to_do_again_is_so_too(bench, write, monkeypatch):
    columns = '{ dataset = "tiny", metric = "AUC" }'
    text = SETTINGS.replace("METHOD", "linear").replace("SET", "recipe.epochs = 1")
    file = write(text.replace(columns, '{ dataset = "other", train = "tiny", metric = "AUC" }'))
    found, _ = bench(file)
    assert found["counts"] == {"done": 2}
    (training,) = (c for c in found["cells"] if c["dataset"] == "tiny")
    record = Path(training["folder"]) / "result.json"
    content = json.loads(record.read_text())
    content["code"]["dataset"]["identity"] = "what it was before an edit"
    record.write_text(json.dumps(content))
    looked, _ = bench(file, "--dry-run")
    assert looked["counts"] == {"to do": 2}


def test_runs_of_an_earlier_edition_are_to_do_again(bench, write):
    file = write(ONE)
    (cell,) = runs_once(bench, file)["cells"]
    record = Path(cell["folder"]) / "result.json"
    content = json.loads(record.read_text())
    record.write_text(json.dumps({k: v for k, v in content.items() if k != "edition"}))
    looked, _ = bench(file, "--dry-run")
    assert looked["counts"] == {"to do": 1}


def test_cells_on_features_of_regions_are_done(bench, write, tmp_path):
    names = [f"{split}-{i}" for split, n in (("train", 8), ("test", 6)) for i in range(n)]
    boxes = ["video,frame,x1,y1,x2,y2,confidence", *(f"{n},{t},2,2,30,25,0.4" for n in names for t in (0, 9))]
    file, store = write("\n".join(boxes), "boxes.csv"), tmp_path / "store"
    clip = ["--clip", "small", "--clip-weights", "random:0"]
    extract = ["extract", "--plugin", PLUGIN, "-d", "tiny", *clip, "--stride", 1, "--regions", file, "--out", store]
    succeed(*extract)
    grid = write(SETTINGS.replace("METHOD", "linear").replace("SET", "recipe.epochs = 1"), "grid.toml")
    found = runs_once(bench, grid, "--features", f"tiny={store}")
    (cell,) = found["cells"]
    record = json.loads((Path(cell["folder"]) / "result.json").read_text())
    assert record["protocol"]["crop"] == "max" and record["changed"] == ["recipe.epochs"]


def test_cells_of_a_clip_in_a_file_are_done_until_the_file_is_replaced(bench, write, tmp_path):
    def save(seed):
        torch.manual_seed(seed)
        towers = {"layers": 1, "width": 64}
        images = towers | {"patch_size": 16, "image_size": 32}
        texts = towers | {"context_length": 77, "vocab_size": 49408, "heads": 1}
        save_file(open_clip.CLIP(8, images, texts, quick_gelu=True).state_dict(), tmp_path / "tiny.safetensors")

    save(0)
    head = f'title = "t"\nclip = ""\nclip_weights = "{tmp_path}/tiny.safetensors"\n'
    file = write(SETTINGS.replace(HEAD, head).replace("METHOD", "linear").replace("SET", "recipe.epochs = 1"))
    runs_once(bench, file)
    save(1)
    looked, _ = bench(file, "--dry-run")
    assert looked["counts"] == {"to do": 1}
