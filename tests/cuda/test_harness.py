"""The commands on a GPU: runs, evaluations of their weights, selection, features, and a user's own videos."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from vadbench_descriptions.bank import read_bank
from vadbench_descriptions.wording import read_with

from boxes import write
from devices import REAL
from extraction import extract
from places import PLUGIN, ROOT
from scored import column
from vadbench.clip import CROPS, load_clip
from vadbench.data.media import write_video
from vadbench.dataset import ClassTable, Video, VideoClass
from vadbench.features.boxes import Boxes
from vadbench.features.extraction import extract_features
from vadbench.features.fingerprint import clip_fingerprint
from vadbench.features.preflight import preflight
from vadbench.features.region_encoder import RegionEncoder
from vadbench.features.store import FeatureStore
from vadbench.records.scores import load_split

BANKS = ROOT / "methods" / "vadbench_descriptions" / "banks"
SMALL = {
    "vadclip": ("recipe.epochs=2", "recipe.batch_size=4", "length=16", "score_branch=best"),
    "clip-linear": ("recipe.epochs=2", "recipe.batch_size=4"),
    "zero-shot": (),
}
"""Settings for the eight training videos of ``tiny``, which have 15 rows."""


@pytest.fixture
def run(vadbench, tmp_path, tiny_at_hand, quick_runs):
    """``vadbench run`` on ``tiny``: its record."""

    def call(device, *arguments, method="clip-linear", status=0):
        settings = [part for s in ("rows.stride=2", *SMALL[method]) for part in ("--set", s)]
        own = [] if "--from" in arguments else ["--method", method, *settings]
        printed = vadbench(
            "run", "--plugin", PLUGIN, "--dataset", "tiny", "--clip", "small", "--clip-weights", "random:0",
            "--device", device, "--out", tmp_path / device, "--json", *own, *arguments, status=status,
        )  # fmt: skip
        return printed.json[0] if not status else printed.err

    return call


def alike(one, other, tolerance=1e-3):
    """Scores are compared, as ranks of scores that are nearly equal may change with the last bit of one."""
    assert one["metrics"].keys() == other["metrics"].keys()
    first, second = (load_split(Path(record["folder"])).scores for record in (one, other))
    assert len(first) == 6
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a.anomaly, b.anomaly, atol=tolerance)
        np.testing.assert_allclose(a.classes, b.classes, atol=tolerance)


@pytest.mark.parametrize("method", sorted(SMALL))
def test_a_run_has_the_metrics_of_the_cpu_and_names_the_gpu(method, run, gpu):
    on_cpu, on_gpu = run("cpu", method=method), run("cuda", method=method)
    alike(on_gpu, on_cpu)
    assert on_gpu["key"] == on_cpu["key"]
    assert on_cpu["environment"]["device"] == "cpu"
    assert on_gpu["environment"]["device"] == torch.cuda.get_device_name()
    assert any(name.endswith("(GPU)") for name in on_gpu["peak_memory_mb"])
    assert not any(name.endswith("(GPU)") for name in on_cpu["peak_memory_mb"])


def test_the_weights_of_a_run_on_a_gpu_are_evaluated_there_and_on_the_cpu(run, gpu, tmp_path):
    trained = run("cuda")
    elsewhere = tmp_path / "cpu" / "tiny" / "clip-linear" / trained["key"]
    shutil.copytree(trained["folder"], elsewhere)
    found = [
        run(device, "--from", folder, "--post", "gaussian(2)")
        for device, folder in (("cuda", trained["folder"]), ("cpu", elsewhere))
    ]
    assert [own["environment"]["device"] for own in found] == [torch.cuda.get_device_name(), "cpu"]
    alike(*found)


@pytest.mark.parametrize("rule", ["validation", "best-on-test"])
def test_weights_are_chosen_on_a_gpu_as_on_the_cpu(rule, run, gpu):
    more = ("--selection", rule, "--set", "recipe.look_every=1")
    alike(*(run(device, *more) for device in ("cuda", "cpu")))


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder, noise = tmp_path_factory.mktemp("videos"), np.random.default_rng(0)
    for name, length in (("a", 37), ("b", 5)):
        write_video(folder / f"{name}.mp4", noise.integers(0, 255, (length, 48, 64, 3), np.uint8), fps=25)
    return [Video(name, ("x",), folder / f"{name}.mp4") for name in ("a", "b")]


@pytest.mark.parametrize(
    "how",
    [
        {"stride": 1, "pooling": "mean"},
        {"stride": 4, "pooling": "first"},
        {"stride": 4, "pooling": "middle", "crops": CROPS, "dtype": "float16"},
    ],
    ids=lambda how: "-".join(str(len(v) if isinstance(v, tuple) else v) for v in how.values()),
)
def test_features_are_those_of_the_cpu_and_frames_come_from_pinned_memory(how, videos, gpu, tmp_path):
    stores = {}
    for device in ("cpu", "cuda"):
        clip = load_clip(device=device)
        if gpu is not None:
            gpu.reset()
        extract(videos, clip, tmp_path / device, batch_size=7, **how)
        stores[device] = FeatureStore(tmp_path / device)
    for video in videos:
        for crop in stores["cpu"].crops(video.name):
            found, expected = (np.asarray(stores[d].crop_rows(video.name, crop), np.float32) for d in ("cuda", "cpu"))
            np.testing.assert_allclose(found, expected, atol=1e-3)
    if gpu is not None:
        # Of whole frames; crops are cut from them on the device.
        own = {event: n for event, n in gpu.events.items() if event[2].startswith("vadbench/features/")}
        assert any(kind == "h2d-pinned" for kind, _, _ in own), own
        assert not any(kind == "h2d-pageable" for kind, _, _ in own), own


def test_regions_are_encoded_as_on_the_cpu(videos, gpu, tmp_path):
    rows = [("a", f, 2, 3, 30, 40, 0.9) for f in range(0, 37, 2)] + [("a", 10, 5, 3, 50, 20, 0.5)]
    path = write(tmp_path / "boxes.csv", *rows)
    stores = []
    for device in ("cpu", "cuda"):
        clip, boxes = load_clip(device=device), Boxes(path, [v.name for v in videos])
        print_of = clip_fingerprint(clip, stride=10, pooling="first", regions=boxes.label)
        extract_features(videos, RegionEncoder(boxes, clip, print_of, 5, 2), tmp_path / device)
        stores.append(FeatureStore(tmp_path / device))
    one, other = stores
    assert one.crops("a") == other.crops("a") and len(one.crops("a")) > 1
    for crop in one.crops("a"):
        np.testing.assert_allclose(one.crop_rows("a", crop), other.crop_rows("a", crop), atol=1e-3)


def test_ones_own_video_is_scored_as_on_the_cpu(run, vadbench, gpu, tmp_path):
    folder = run("cuda", method="vadclip")["folder"]
    video, found = made_video(tmp_path / "one.mp4"), []
    for device in ("cpu", "cuda"):
        out = tmp_path / f"scored-{device}"
        (summary,) = vadbench(
            "score", "--plugin", PLUGIN, "--run", folder, video, "--device", device, "--out", out, "--json"
        ).json
        found.append(column(summary["folder"]))
    assert len(found[0]) == 15
    np.testing.assert_allclose(*found, atol=1e-3)


def made_video(path):
    write_video(path, np.random.default_rng(1).integers(0, 255, (30, 48, 64, 3), np.uint8), fps=10)
    return path


def test_banks_and_features_are_looked_at_on_a_gpu(gpu, tmp_path):
    clip, own = (load_clip(device=device) for device in ("cuda", "cpu"))
    bank = read_bank(BANKS / "general.toml")
    for found, expected in zip(read_with(bank, clip), read_with(bank, own), strict=True):
        assert found.phrase == expected.phrase
    rows, table = np.ones((20, clip.dim), np.float32), ClassTable((VideoClass("Normal"), VideoClass("Fight")), 0)
    cosines = [preflight(tmp_path, [rows], one, table).cosine for one in (clip, own)]
    assert cosines[0] == pytest.approx(cosines[1], abs=1e-5)


@pytest.mark.skipif(REAL, reason="a real GPU is there")
def test_a_gpu_that_was_pretended_is_gone_afterwards():
    assert not torch.cuda.is_available()
