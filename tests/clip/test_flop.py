"""The floating-point operations of an image tower against a literal count of its products."""

import pytest
import torch

from tiny_clip import TINY, tiny_model
from vadbench.clip import ClipSource, flop, load_clip
from vadbench.clip.flop import counted_flop, image_flop


def literal(embed_dim, layers, width, patch, size):
    """Two for each multiplication of a ViT: patches, attention, two layers of four times the width, projection."""
    patches = (size // patch) ** 2
    tokens = patches + 1
    multiplications = patches * width * 3 * patch**2
    for _ in range(layers):
        multiplications += tokens * width * 3 * width  # queries, keys and values
        multiplications += 2 * tokens * tokens * width  # their products, over all heads
        multiplications += tokens * width * width
        multiplications += 2 * tokens * width * 4 * width
    return 2 * (multiplications + width * embed_dim)


@pytest.mark.parametrize(
    ("layers", "width", "patch", "size"), [(1, 64, 16, 32), (2, 64, 8, 32), (1, 128, 16, 64), (3, 64, 16, 16)]
)
def test_an_image_takes_what_its_products_take(layers, width, patch, size):
    vision = {"layers": layers, "width": width, "patch_size": patch, "image_size": size}
    model = tiny_model(vision_cfg=vision)
    expected = literal(TINY["embed_dim"], layers, width, patch, size)
    assert counted_flop(model.visual, size) == expected
    assert counted_flop(model.visual.to("meta"), size) == expected


def test_a_tower_is_counted_without_its_weights_where_its_name_is_known():
    clip = load_clip(ClipSource("small", "random:0"))
    expected = counted_flop(clip.visual, clip.image_size)
    clip.towers = lambda: pytest.fail("weights are not needed")
    del clip._loaded
    assert image_flop(clip) == expected > 0


def test_an_architecture_without_a_name_is_counted_on_its_tower(tmp_path):
    torch.save(tiny_model().state_dict(), tmp_path / "tiny.pt")
    clip = load_clip(ClipSource("", str(tmp_path / "tiny.pt")))
    assert clip.name.startswith("openai-vit-")
    assert image_flop(clip) == literal(24, 1, 64, 16, 32)


def test_what_was_counted_is_remembered_until_torch_changes(monkeypatch):
    clip = load_clip(ClipSource("small", "random:0"))
    expected = image_flop(clip)
    monkeypatch.setattr(flop, "counted_flop", lambda *_: 7)
    assert image_flop(clip) == expected
    monkeypatch.setattr(flop, "version", lambda name: "another")
    assert image_flop(clip) == 7


def test_the_vit_of_the_papers_takes_what_is_published():
    """CLIP's ViT-B/16 at 224 pixels: 17.5 GMAC of one image are widely stated."""
    from vadbench.clip.loading import unweighted_image_tower

    found = counted_flop(unweighted_image_tower("ViT-B-16-quickgelu"), 224)
    assert found == literal(512, 12, 768, 16, 224)
    assert found / 2e9 == pytest.approx(17.5, abs=0.1)
