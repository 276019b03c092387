import base64
import dataclasses
import json

import numpy as np
import pytest
import torch

from stores import append
from vadbench.base.errors import FeatureError
from vadbench.clip import ClipSource, load_clip
from vadbench.dataset import ClassTable, VideoClass
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.preflight import image_text_cosine, is_other_encoder, preflight, sampled_videos
from vadbench.features.store import FeatureStore, StoreWriter

CLASSES = ClassTable((VideoClass("Abuse"), VideoClass("Normal")), normal=1)


def make_store(folder, videos, stride=16):
    """A store of ``{name: (rows, dim)}``."""
    dim = next(iter(videos.values())).shape[1]
    made_by = Fingerprint("some-encoder", "unknown", "unknown", "unknown", stride, "mean", dim)
    with StoreWriter(folder, made_by) as writer:
        for name, rows in videos.items():
            append(writer, name, [rows], len(rows) * stride, "0")
    return FeatureStore(folder)


def real_rows(folder, name):
    """Blocks of a file of real features by video."""
    content = json.loads((folder / f"{name}.json").read_text())
    return {video: decoded(block) for video, block in content["features"].items()}


def decoded(block):
    values = np.frombuffer(base64.b64decode(block["b64"]), "<f2").reshape(block["shape"])
    return values.astype(np.float32)


def cosine_with(source, names, texts):
    samples = [source.sample(name) for name in sampled_videos(names)]
    return image_text_cosine(source.folder, samples, texts)


def cosine_by_hand(rows, texts):
    rows, texts = np.float64(rows), np.float64(texts)
    cosines = [row @ text / np.linalg.norm(row) / np.linalg.norm(text) for row in rows for text in texts]
    return sum(cosines) / len(cosines)


@pytest.fixture(scope="module")
def prompts(test_data):
    content = json.loads((test_data / "clip" / "pel4vad_prompt_features.json").read_text())
    return {dataset: torch.from_numpy(decoded(block)) for dataset, block in content.items()}


@pytest.mark.parametrize("dataset", ["ucf", "xd", "sh"])
@pytest.mark.parametrize("name", ["clip_vitb16_snippets16_5_train_videos", "clip_vitb16_perframe_3_train_videos"])
def test_real_rows_of_the_right_encoder_lie_in_its_range(test_data, tmp_path, prompts, dataset, name):
    source = make_store(tmp_path / "store", real_rows(test_data / "clip", name))
    cosine = cosine_with(source, source.names, prompts[dataset])
    assert 0.18 < cosine < 0.29 and not is_other_encoder(cosine)
    for video in source.names:
        assert not is_other_encoder(cosine_with(source, [video], prompts[dataset]))


@pytest.mark.parametrize("dataset", ["ucf", "xd", "sh"])
def test_real_rows_of_another_encoder_are_told(test_data, tmp_path, prompts, dataset):
    rows = real_rows(test_data / "clip", "clip_otherencoder_stride2_Abuse001")
    source = make_store(tmp_path / "store", rows)
    cosine = cosine_with(source, source.names, prompts[dataset])
    assert -0.07 < cosine < 0.07 and is_other_encoder(cosine)


def test_the_cosine_is_the_mean_over_all_pairs_whatever_their_lengths(tmp_path):
    rng = np.random.default_rng(0)
    videos = {f"v{i}": rng.normal(size=(16, 8)).astype(np.float32) for i in range(3)}
    texts = rng.normal(size=(5, 8)).astype(np.float32)
    expected = cosine_by_hand(np.concatenate(list(videos.values())), texts)
    source = make_store(tmp_path / "store", videos)
    assert cosine_with(source, source.names, torch.from_numpy(texts)) == pytest.approx(expected, abs=1e-9)
    scaled = make_store(tmp_path / "scaled", {name: 7 * rows for name, rows in videos.items()})
    assert cosine_with(scaled, scaled.names, torch.from_numpy(texts) / 3) == pytest.approx(expected, abs=1e-6)


def test_what_is_looked_at_is_spread_over_videos_and_rows(tmp_path):
    # Row r of video v points along axis 0 where both lie in the second half, else along axis 1.
    videos = {}
    for v in range(200):
        rows = np.zeros((100, 2), np.float32)
        rows[:, 1] = 1
        if v >= 100:
            rows[50:] = [1, 0]
        videos[f"v{v:03d}"] = rows
    source = make_store(tmp_path / "store", videos)
    assert cosine_with(source, source.names, torch.tensor([[1.0, 0.0]])) == pytest.approx(0.25)
    short = make_store(tmp_path / "short", {"only": np.array([[3.0, 4.0]], np.float32)})
    assert cosine_with(short, ["only"], torch.tensor([[1.0, 0.0]])) == pytest.approx(0.6)


def test_rows_of_zeros_are_no_numbers_of_their_own(tmp_path):
    source = make_store(tmp_path / "store", {"v": np.array([[0, 0], [2, 0]], np.float32)})
    assert cosine_with(source, ["v"], torch.tensor([[1.0, 0.0]])) == pytest.approx(0.5)


def test_what_cannot_be_compared_is_refused(tmp_path):
    source = make_store(tmp_path / "store", {"v": np.ones((2, 4), np.float32)})
    with pytest.raises(FeatureError, match="are 4 wide, the CLIP's text features 3; name the CLIP"):
        cosine_with(source, ["v"], torch.ones(2, 3))
    with pytest.raises(FeatureError, match="expected rows to compare"):
        cosine_with(source, [], torch.ones(2, 4))


@pytest.mark.parametrize(("text", "verdict"), [([1.0, 3.0], "right encoder"), ([0.0, 1.0], "other encoder")])
def test_the_verdict_follows_the_cosine_with_the_class_names(tmp_path, text, verdict):
    source = make_store(tmp_path / "store", {"v": np.array([[1, 0]], np.float32)})
    asked = []

    def tower(words):
        asked.extend(words)
        return torch.tensor([text] * len(words))

    big = dataclasses.replace(
        load_clip(),
        name="ViT-B-16-quickgelu",
        source=ClipSource("ViT-B-16-quickgelu", "openai"),
        towers=lambda: (None, tower),
    )
    found = preflight(source.folder, [source.sample("v")], big, CLASSES)
    assert (found.clip, found.verdict) == ("ViT-B-16-quickgelu", verdict)
    assert found.cosine == pytest.approx(text[0] / np.hypot(*text)) and asked == ["Abuse", "Normal"]


@pytest.mark.parametrize("source", [ClipSource(), ClipSource("small", "random:1")])
def test_the_small_and_untrained_clips_do_not_tell(tmp_path, source):
    rows = np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32)
    store = make_store(tmp_path / "store", {"v": rows})
    clip = load_clip(source)
    found = preflight(store.folder, [store.sample("v")], clip, CLASSES)
    assert found.verdict == "untold"
    assert found.cosine == pytest.approx(cosine_by_hand(rows, clip.text(CLASSES.words).numpy()), abs=1e-6)


@pytest.mark.parametrize(
    ("cosine", "other"), [(-1, True), (0.09, True), (0.1, False), (0.3, False), (0.5, False), (0.51, True), (0.9, True)]
)
def test_a_cosine_that_no_image_has_is_another_encoders(cosine, other):
    assert is_other_encoder(cosine) == other
    assert is_other_encoder(float("nan"))


def test_class_names_in_place_of_rows_are_not_taken_for_images(tmp_path, prompts):
    rows = prompts["ucf"].numpy().astype(np.float32)
    source = make_store(tmp_path / "texts", {"v": rows})
    cosine = cosine_with(source, ["v"], prompts["ucf"])
    assert cosine == pytest.approx(cosine_by_hand(rows, prompts["ucf"].numpy()), abs=1e-5)
    assert is_other_encoder(cosine)
