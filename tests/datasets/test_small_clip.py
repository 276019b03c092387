"""The CLIP that ships with vadbench: small, loadable, and its words mean something."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from vadbench_synthetic import train_clip
from vadbench_synthetic.canvas import SIZE
from vadbench_synthetic.dataset import SEEDS, Synthetic
from vadbench_synthetic.render import paint
from vadbench_synthetic.script import NORMAL, cameras, write

from vadbench.clip import Clip, load_clip

TAUGHT = ("Explosion", "Fallen person", "Fire", "Vehicle on walkway", NORMAL)
SEED = 424242
"""A data set seed that nothing was tuned on."""


@pytest.fixture(scope="module")
def clip() -> Clip:
    return load_clip()


def test_assets_are_under_two_megabytes_and_built_as_documented(clip: Clip) -> None:
    folder = files("vadbench") / "assets"
    assert len((folder / "small_clip.safetensors").read_bytes()) < 2_000_000
    assert (clip.image_size, clip.dim, clip.text.width, clip.text.dim) == (SIZE, 64, 64, 64)


def test_pictures_find_their_words(clip: Clip) -> None:
    """Top-1 retrieval among five classes, chance 0.2, on places and scenes the CLIP has never seen."""
    places, pictures, truth = cameras(SEED), [], []
    for label, kind in enumerate(TAUGHT):
        for i in range(24):
            script = write(kind, (SEED, label, i), places, (120, 200), max_distractors=0)
            first, last = (script.events[0].start, script.events[0].end) if script.events else (0, script.frames)
            pictures.append(paint(script, np.array([(first + last) // 2])))
            truth.append(label)
    frames = clip.preprocess(torch.from_numpy(np.concatenate(pictures)).permute(0, 3, 1, 2))
    words = [Synthetic.classes.words[Synthetic.classes.id(name)] for name in TAUGHT]
    texts = clip.text([f"a video from a CCTV camera of a {word}" for word in words])
    found = (F.normalize(clip.encode_images(frames), dim=-1) @ F.normalize(texts, dim=-1).T).argmax(1)
    hits = found == torch.tensor(truth)
    assert hits.float().mean() > 0.6
    assert all(hits[i * 24 : (i + 1) * 24].float().mean() > 0.3 for i in range(len(TAUGHT)))


def test_words_of_prompts_are_stored_and_others_rebuilt(clip: Clip) -> None:
    table = train_clip.token_table()
    known, unknown = clip.text.tokenize(["fire", "xylophone"])
    assert not torch.allclose(clip.text.embed(known[None])[0, 1], table[known[1]], atol=1e-3)
    torch.testing.assert_close(clip.text.embed(unknown[None])[0, 1], table[unknown[1]])


def test_training_is_reproducible_and_its_seeds_are_no_data_sets() -> None:
    first, second = (train_clip.train(steps=3, scenes=12, batch=8, log=False).state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    with pytest.raises(ValueError, match=str(SEEDS)):
        train_clip.train(steps=1, scenes=8, seed=SEEDS - 1)


def test_what_is_saved_is_what_was_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    student = train_clip.train(steps=2, scenes=12, batch=8, log=False)
    train_clip.save(student, tmp_path, SEEDS)
    monkeypatch.setattr("vadbench.clip.loading.ASSETS", tmp_path)
    loaded = load_clip()
    frames = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 3, SIZE, SIZE), dtype=np.uint8))
    normal = (frames / 255 - torch.tensor(train_clip.MEAN).view(3, 1, 1)) / torch.tensor(train_clip.STD).view(3, 1, 1)
    prompts = ["fire", "a video of a fallen person"]
    with torch.no_grad():
        images, texts = student.clip.visual(normal), student.texts(*train_clip.Words()(prompts))
    # Half precision keeps three digits.
    assert F.cosine_similarity(loaded.encode_images(frames), images).min() > 0.999
    assert F.cosine_similarity(loaded.text(prompts), texts).min() > 0.999
