"""CLIP: the same numbers as open_clip, weights told apart by value, and nothing loaded that could run code."""

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tiny_clip import TINY
from vadbench.base.errors import ClipError, ConfigError
from vadbench.clip import SMALL, ClipSource, TextTower, load_clip, loading, weights
from vadbench.features.fingerprint import clip_fingerprint
from vadbench.harness.extraction_request import ExtractionRequest, open_extraction
from vadbench.plugins.registry import Registry


@pytest.fixture(scope="module")
def tiny_file(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_file(tiny.state_dict(), path)
    return str(path)


# --- the text tower ------------------------------------------------------------------------------------------------


def test_text_features_are_those_of_open_clip(tiny, tiny_file):
    tower = load_clip(ClipSource("", tiny_file)).text
    texts = ["a fight", "a very long description of a person who climbs over a fence at night", ""]
    with torch.no_grad():
        expected = tiny.encode_text(open_clip.tokenize(texts))
    torch.testing.assert_close(tower(texts), expected, rtol=1e-5, atol=1e-6)
    assert (tower.context_length, tower.width, tower.dim) == (77, 64, 24)


def test_text_gradients_are_those_of_open_clip(tiny):
    tower = TextTower(tiny)
    tokens = tower.tokenize(["a fight", "a car that burns"])
    found = []
    for ours in (True, False):
        embeddings = tower.embed(tokens).requires_grad_()
        if ours:
            rows = tower.encode(embeddings, tokens.argmax(-1))
        else:
            causal = torch.full((77, 77), -torch.inf).triu(1)
            x = tower.transformer(embeddings + tower.positional_embedding, attn_mask=causal)
            rows = tower.ln_final(x[torch.arange(2), tokens.argmax(-1)])
        found.append(torch.autograd.grad((rows * torch.linspace(0, 1, 64)).sum(), embeddings)[0])
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)


def test_text_tower_takes_models_with_a_text_part(tiny):
    custom = open_clip.CustomTextCLIP(**TINY).eval()
    custom.load_state_dict(open_clip.model.convert_to_custom_text_state_dict(tiny.state_dict()))
    texts = ["a fight", "a car"]
    torch.testing.assert_close(TextTower(custom.text)(texts), TextTower(tiny)(texts))


def test_what_lies_behind_the_last_end_is_not_computed_and_does_not_matter(tiny):
    tower = TextTower(tiny)
    tokens = tower.tokenize(["one", "one two three"])
    ends = tokens.argmax(-1)
    embeddings = tower.embed(tokens)
    rows = tower.encode(embeddings, ends)
    assert rows.shape == (2, 64)
    embeddings[:, int(ends.max()) + 1 :] = float("nan")
    torch.testing.assert_close(tower.encode(embeddings, ends), rows, rtol=0, atol=0)
    # Positions were added inside: the same embeddings one place later give something else.
    assert not torch.allclose(tower.encode(embeddings.roll(1, dims=1), ends + 1), rows)


def test_text_tower_is_frozen_and_passes_gradients(tiny):
    tower = TextTower(tiny)
    assert not tower.training
    assert not any(parameter.requires_grad for parameter in tower.parameters())
    tokens = tower.tokenize(["a fight", "a"])
    embeddings = tower.embed(tokens).requires_grad_()
    tower.encode(embeddings, tokens.argmax(-1))[:, 0].sum().backward()
    used = embeddings.grad.abs().sum(-1) > 0
    # Each text reaches back from its own end and no further.
    assert used.sum(-1).tolist() == [4, 3]


# --- the image side ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(48, 64), (90, 50), (32, 32), (20, 31)])
def test_preprocessing_is_within_two_steps_of_open_clips(tiny_file, size):
    clip = load_clip(ClipSource("", tiny_file))
    image = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    mine = clip.preprocess(torch.from_numpy(image).permute(2, 0, 1)[None])
    assert mine.dtype == torch.uint8
    assert mine.shape == (1, 3, 32, 32)
    transform = open_clip.image_transform(32, is_train=False, mean=(0, 0, 0), std=(1, 1, 1))
    theirs = transform(Image.fromarray(image)) * 255
    assert (mine[0].float() - theirs).abs().max() <= 2


@pytest.mark.parametrize("given", ["tag", "file"])
@pytest.mark.parametrize("size", [(48, 64), (90, 50), (32, 32), (20, 31)])
def test_frames_are_squashed_where_a_models_weights_take_them_so(tiny, tiny_file, squashing, monkeypatch, size, given):
    monkeypatch.setattr(loading, "_load_tag", lambda model, source: model.load_state_dict(tiny.state_dict()))
    clip = load_clip(ClipSource(squashing, "meta" if given == "tag" else tiny_file))
    assert clip.squashed and clip.mean == clip.std == (0.5, 0.5, 0.5)
    image = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    mine = clip.preprocess(torch.from_numpy(image).permute(2, 0, 1)[None])
    transform = open_clip.image_transform(
        32, is_train=False, mean=(0, 0, 0), std=(1, 1, 1), resize_mode="squash", interpolation="bilinear"
    )
    assert (mine[0].float() - transform(Image.fromarray(image)) * 255).abs().max() <= 2
    made = clip_fingerprint(clip, stride=16, pooling="mean")
    assert made.preprocessing.startswith("squashed to 32, bilinear, antialias, uint8, whole frame; mean 0.5 0.5 0.5")
    assert not load_clip(ClipSource("", tiny_file)).squashed


@pytest.fixture
def squashing(monkeypatch):
    """The name of a small model whose published weights take squashed frames, as PE-Core's do."""
    name, entry = "PE-Core-L-14-336", open_clip.get_pretrained_cfg("PE-Core-L-14-336", "meta")
    assert (entry["resize_mode"], entry["interpolation"]) == ("squash", "bilinear")
    own = open_clip.get_model_config
    monkeypatch.setattr(
        open_clip, "get_model_config", lambda model: dict(TINY, quick_gelu=False) if model == name else own(model)
    )
    return name


def test_squashed_frames_have_no_second_crop(squashing, tmp_path, monkeypatch):
    monkeypatch.setattr("vadbench.harness.extraction_request._dataset_videos", lambda *_: [])
    asked = {"dataset": "synthetic", "device": "cpu", "clip_model": squashing, "clip_weights": "random:0"}
    with pytest.raises(ConfigError, match="takes whole frames squashed to a square, which have one crop"):
        open_extraction(ExtractionRequest(tmp_path, **asked, crops="5"), Registry())
    made = open_extraction(ExtractionRequest(tmp_path, **asked), Registry()).encoder.fingerprint
    assert "squashed to 32" in made.preprocessing and made.crops == ("center",)


def test_image_features_follow_the_models_normalisation(tiny, tiny_file):
    clip = load_clip(ClipSource("", tiny_file))
    images = torch.randint(0, 255, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean = np.array([0.48145466, 0.4578275, 0.40821073]).reshape(3, 1, 1)  # OpenAI's published values
    std = np.array([0.26862954, 0.26130258, 0.27577711]).reshape(3, 1, 1)
    normalised = torch.from_numpy((images.numpy() / 255 - mean) / std).float()
    with torch.no_grad():
        expected = tiny.encode_image(normalised)
    found = clip.encode_images(images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert found.dtype == torch.float32
    assert not found.requires_grad


@pytest.mark.parametrize("left", ["high", "highest", "newer interface"])
def test_image_features_are_never_tf32_whatever_somebody_left_set(tiny_file, left):
    clip = load_clip(ClipSource("", tiny_file))
    backends = torch.backends
    found = []

    def look(*_):
        found.append((backends.cuda.matmul.fp32_precision, backends.cudnn.conv.fp32_precision))

    clip.visual.register_forward_pre_hook(look)
    if left == "newer interface":
        backends.cuda.matmul.fp32_precision = "tf32"
    else:
        torch.set_float32_matmul_precision(left)
    before = backends.cuda.matmul.fp32_precision, backends.cudnn.conv.fp32_precision
    try:
        clip.encode_images(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
        with pytest.raises(RuntimeError, match="input size"):
            clip.encode_images(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
        assert before == (backends.cuda.matmul.fp32_precision, backends.cudnn.conv.fp32_precision)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert found == [("ieee", "ieee")] * 2


# --- weights -------------------------------------------------------------------------------------------------------


def test_weights_are_told_apart_by_value_not_by_file(tiny, tmp_path):
    half = {key: value.half() for key, value in tiny.state_dict().items()}
    save_file(half, tmp_path / "half.safetensors")
    save_file({key: value.float() for key, value in half.items()}, tmp_path / "full.safetensors")
    torch.save({"state_dict": {f"module.{key}": value for key, value in half.items()}}, tmp_path / "wrapped.pt")
    other = half | {"ln_final.bias": half["ln_final.bias"] + 1}
    save_file(other, tmp_path / "other.safetensors")
    loaded = [load_clip(ClipSource("", str(p))) for p in sorted(tmp_path.iterdir())]
    full, halved, changed, wrapped = (clip.weights_sha256 for clip in loaded)
    assert full == halved == wrapped != changed
    assert {clip.name for clip in loaded} == {"openai-vit-w64-l1-p16-32"}
    for clip in loaded:
        assert {p.dtype for p in [*clip.visual.parameters(), *clip.text.parameters()]} == {torch.float32}


OPENAI_SIZES = {"input_resolution": 32, "context_length": 77, "vocab_size": 49408}


@pytest.mark.parametrize("kind", [int, torch.tensor])
def test_openais_sizes_beside_the_weights_are_no_weights(tiny, tiny_file, tmp_path, kind):
    sizes = {key: kind(value) for key, value in OPENAI_SIZES.items()}
    torch.save(tiny.state_dict() | sizes, tmp_path / "openai.pt")
    state, openai = weights.read_file(str(tmp_path / "openai.pt"))
    assert openai
    assert state.keys() == tiny.state_dict().keys()
    assert not weights.read_file(tiny_file)[1]
    clip = load_clip(ClipSource("", str(tmp_path / "openai.pt")))
    assert clip.weights_sha256 == load_clip(ClipSource("", tiny_file)).weights_sha256


def test_an_openai_file_under_a_model_of_another_activation_is_refused(monkeypatch, tiny, tiny_file, tmp_path):
    torch.save(tiny.state_dict() | OPENAI_SIZES, tmp_path / "openai.pt")
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: TINY | {"quick_gelu": "quick" in name})
    with pytest.raises(ClipError, match=r"another activation than 'some-model' has; use .*'some-model-quickgelu'"):
        load_clip(ClipSource("some-model", str(tmp_path / "openai.pt")))
    clip = load_clip(ClipSource("some-model-quickgelu", str(tmp_path / "openai.pt")))
    assert clip.activation == "quickgelu"
    assert load_clip(ClipSource("some-model", tiny_file)).activation == "gelu"


def test_an_inferred_architecture_gets_open_clips_name():
    config = open_clip.get_model_config("ViT-B-32-quickgelu")
    with torch.device("meta"):
        state = open_clip.CLIP(**config).state_dict()
    assert loading.infer_config(state, "file") == ("ViT-B-32-quickgelu", config)


def test_random_weights_follow_their_seed(small_assets):
    one, again, two = (load_clip(ClipSource(SMALL, f"random:{seed}")) for seed in (1, 1, 2))
    assert one.weights_sha256 == again.weights_sha256 != two.weights_sha256
    state = torch.get_rng_state()
    load_clip(ClipSource(SMALL, "random:1"))
    assert torch.equal(state, torch.get_rng_state()), "loading must leave the global random state alone"


def test_the_small_clip_is_put_together_again(small_assets):
    clip = load_clip()
    assert (clip.name, clip.activation, clip.dim, clip.mean) == ("small", "gelu", 64, (0.1, 0.2, 0.3))
    drawn = 0.02 * torch.randn((49408, 64), generator=torch.Generator().manual_seed(11))
    drawn[[5, 49407]] = small_assets.float()
    torch.testing.assert_close(clip.text.token_embedding.weight, drawn, rtol=0, atol=0)


def test_a_named_model_loads_a_local_file(monkeypatch, tiny, tiny_file):
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: dict(TINY))
    clip = load_clip(ClipSource("some-model", tiny_file))
    assert (clip.name, clip.activation) == ("some-model", "quickgelu")
    assert clip.weights_sha256 == load_clip(ClipSource("", tiny_file)).weights_sha256


def test_a_tag_is_loaded_from_what_open_clip_downloads(monkeypatch, tiny, tiny_file):
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: dict(TINY))
    monkeypatch.setattr(loading, "get_hf_file_metadata", lambda url: None)
    monkeypatch.setattr(open_clip, "download_pretrained", lambda entry: tiny_file)
    clip = load_clip(ClipSource("ViT-B-16-quickgelu", "openai"))
    torch.testing.assert_close(clip.visual.conv1.weight, tiny.visual.conv1.weight)


def test_a_tag_is_known_to_be_in_the_cache_without_being_loaded(monkeypatch, tiny_file):
    monkeypatch.setattr(open_clip, "load_checkpoint", lambda *_: pytest.fail("loads"))
    sources = [
        ClipSource("ViT-B-16-quickgelu", "openai"),
        ClipSource("ViT-B-16", "random:0"),
        ClipSource("", tiny_file),
    ]
    for file, cached in (("/hub/model.safetensors", [True, False, False]), (None, [False] * 3)):
        monkeypatch.setattr(loading, "try_to_load_from_cache", lambda *_, file=file: file)
        assert [loading.is_cached(source) for source in sources] == cached
    with pytest.raises(ClipError, match="another activation"):
        loading.is_cached(ClipSource("ViT-B-16", "openai"))


def test_images_are_normalised_as_openai_does():
    assert loading._DEFAULT_IMAGES["mean"] == open_clip.OPENAI_DATASET_MEAN
    assert loading._DEFAULT_IMAGES["std"] == open_clip.OPENAI_DATASET_STD
