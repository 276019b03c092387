"""How often a file of features is opened: once in each pass over the videos."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from places import PLUGIN
from vadbench.base.errors import FeatureError
from vadbench.harness.experiment import open_experiment
from vadbench.harness.request import Request
from vadbench.harness.run import run
from vadbench.plugins.registry import Registry

FRAMES, DIM, CROPS = 30, 64, 3
NAMES = [*(f"train-{i}" for i in range(8)), *(f"test-{i}" for i in range(6))]
LAYOUTS = ("anomalyclip", "vadclip", "rows-crops", "crops-rows")
pytestmark = pytest.mark.usefixtures("quick_runs", "tiny_at_hand")


class Opens:
    """Counts the .npy files that this process opens, by pass; the hook stays, as hooks do, and counts for one test."""

    current = None

    def __init__(self):
        self.passes = {}
        self.begin("layout")

    def begin(self, name):
        self.counted = self.passes.setdefault(name, Counter())

    def progress(self, stage, done, total, detail=""):
        self.begin(f"{stage} {done}" if stage == "training" else stage)


def hook(event, arguments):
    if event == "open" and Opens.current is not None and str(arguments[0]).endswith(".npy"):
        Opens.current.counted[Path(arguments[0]).name] += 1


sys.addaudithook(hook)


@pytest.fixture
def opens(monkeypatch):
    def count():
        monkeypatch.setattr(Opens, "current", Opens())
        return Opens.current

    return count


def write(folder, layout):
    folder.mkdir()
    for name in NAMES:
        crops = np.random.default_rng(sum(name.encode())).standard_normal((CROPS, FRAMES, DIM), dtype=np.float32)
        if layout == "anomalyclip":
            np.save(folder / f"{name}.npy", crops[0])
        elif layout == "vadclip":
            for i in range(CROPS):
                np.save(folder / f"{name}__{i}.npy", crops[i, ::16])
        else:
            short = crops[:, ::16]
            np.save(folder / f"{name}.npy", short if layout == "crops-rows" else short.swapaxes(0, 1))
    return folder


def run_counted(counted, tmp_path, features, layout, *settings, method="linear", **options):
    request = Request(
        method, "tiny", ("recipe.epochs=2", *settings), features=features, features_layout=layout, clip_model="small",
        clip_weights="random:0", device="cpu", out=tmp_path / "runs", **options,
    )  # fmt: skip
    experiment = open_experiment(request, Registry(files=[PLUGIN]), counted.progress)
    counted.begin("preparing")
    run(experiment, 0, counted.progress, again=True)
    return counted.passes


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("crop", ["one", "mean"])
def test_each_file_is_opened_once_a_pass(tmp_path, monkeypatch, opens, layout, crop):
    monkeypatch.setattr("vadbench.base.files.SETTLED_NS", 0)
    features = write(tmp_path / "features", layout)
    stride = "rows.stride=1" if layout == "anomalyclip" else "rows.stride=16"
    wanted = {"anomalyclip": "center"}.get(layout, "1") if crop == "one" else crop
    for number in range(2):
        found = run_counted(opens(), tmp_path, features, layout, stride, crop=wanted)
        for name in ("training 0", "training 1", "scoring normal videos", "scoring"):
            assert found[name], name
        if number == 0:
            assert len(found["checking features"]) == len(list(features.iterdir()))
        for name, counted in found.items():
            assert set(counted.values()) <= {1}, (number, name)


@pytest.mark.parametrize("pooling", ["first", "middle", "mean"])
def test_pooled_rows_are_made_of_what_one_opening_gives(tmp_path, opens, pooling):
    features = write(tmp_path / "features", "anomalyclip")
    found = run_counted(opens(), tmp_path, features, None, "rows.stride=7", f"rows.pooling={pooling}")
    assert found["scoring"]
    for name, counted in found.items():
        assert set(counted.values()) <= {1}, name


@pytest.mark.parametrize(("method", "sampled"), [("linear", 0), ("texts", 3)])
def test_what_was_looked_at_before_is_not_opened_for_its_length_again(tmp_path, monkeypatch, opens, method, sampled):
    monkeypatch.setattr("vadbench.base.files.SETTLED_NS", 0)
    monkeypatch.setattr("vadbench.features.preflight._VIDEOS", 3)
    features = write(tmp_path / "features", "vadclip")
    first, second = (
        run_counted(opens(), tmp_path, features, "vadclip", "rows.stride=16", method=method, crop="1") for _ in range(2)
    )
    assert len(first["checking features"]) == len(NAMES) * CROPS
    # Only what is compared with texts is looked at again.
    assert len(second["checking features"]) == sampled


@pytest.mark.parametrize(
    ("layout", "settings", "words"),
    [
        ("vadclip", ["rows.stride=16"], "no crop 'center' of 'test-0'"),
        ("crops-rows", ["rows.stride=16"], "no crop 'center' of 'test-0'"),
        ("vadclip", [], "wants a row every frame "),
    ],
)
def test_crops_and_rows_that_do_not_suit_are_refused_before_a_value_is_read(tmp_path, opens, layout, settings, words):
    features, counted = write(tmp_path / "features", layout), opens()
    with pytest.raises(FeatureError, match=words):
        run_counted(counted, tmp_path, features, layout, *settings)
    assert set(counted.passes) == {"layout"}
    assert sum(counted.passes["layout"].values()) <= len(NAMES)  # the header of one file a video
