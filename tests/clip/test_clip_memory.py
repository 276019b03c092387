"""What is known of a CLIP that was loaded before, and when it is loaded again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tiny_clip import tiny_model
from vadbench.base import files
from vadbench.base.errors import ClipError
from vadbench.clip import Clip, ClipSource, load_clip
from vadbench.clip.memory import is_remembered, remembered_clip

FACTS = ("source", "name", "weights_sha256", "activation", "image_size", "dim", "mean", "std", "squashed")


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """Files count as settled at once: those that changed a moment ago are never remembered."""
    monkeypatch.setattr(files, "SETTLED_NS", 0)


@pytest.fixture
def weights(tmp_path):
    def write(seed):
        path = tmp_path / "weights.safetensors"
        save_file({k: v.contiguous() for k, v in tiny_model(seed).state_dict().items()}, path)
        return ClipSource("", str(path))

    return write


@pytest.fixture
def loads():
    """A loader that counts."""
    made = []

    def of(source):
        def load():
            made.append(source)
            return load_clip(source)

        return load

    of.made = made
    return of


def test_what_an_older_vadbench_remembered_is_loaded_again(weights, loads, monkeypatch):
    source = weights(0)
    with monkeypatch.context() as older:
        older.setattr("vadbench.clip.memory._FACTS", FACTS[1:-1])
        remembered_clip(source, loads(source))
    assert not is_remembered(source)
    assert facts(remembered_clip(source, loads(source))) == facts(load_clip(source))
    assert loads.made == [source, source] and is_remembered(source)


def facts(clip):
    return {name: getattr(clip, name) for name in FACTS}


def test_a_clip_is_loaded_once_until_its_towers_are_used(weights, loads):
    for source in (weights(0), ClipSource("small", ""), ClipSource("small", "random:3")):
        assert not is_remembered(source)
        first = remembered_clip(source, loads(source))
        assert is_remembered(source) and loads.made.pop() == source
        again = remembered_clip(source, loads(source))
        assert isinstance(again, Clip) and facts(again) == facts(first) == facts(load_clip(source))
        assert not loads.made
        assert torch.equal(again.text(["a fire"]), first.text(["a fire"]))
        frames = torch.zeros(1, 3, again.image_size, again.image_size, dtype=torch.uint8)
        assert torch.equal(again.encode_images(frames), first.encode_images(frames))
        assert loads.made == [source], "both towers at once"
        loads.made.clear()


def test_another_file_in_its_place_is_another_clip(weights, loads):
    source = weights(0)
    before = remembered_clip(source, loads(source))
    known = remembered_clip(source, loads(source))
    after = remembered_clip(weights(1), loads(source))
    assert len(loads.made) == 2 and after.weights_sha256 != before.weights_sha256
    # One that was opened before that must not go on with other weights.
    with pytest.raises(ClipError, match="changed since; start again"):
        known.text(["a fire"])


def test_a_clip_that_cannot_be_loaded_is_not_remembered(tmp_path, loads):
    source = ClipSource("", str(tmp_path / "absent.safetensors"))
    for _ in range(2):
        with pytest.raises(ClipError, match="found no file"):
            remembered_clip(source, loads(source))
    assert len(loads.made) == 2


def test_another_version_of_open_clip_may_build_another_model(weights, loads, monkeypatch):
    source = weights(0)
    remembered_clip(source, loads(source))
    monkeypatch.setattr("vadbench.clip.memory.version", lambda name: "99")
    remembered_clip(source, loads(source))
    assert len(loads.made) == 2


def test_a_cache_that_cannot_be_written_only_costs_time(weights, loads, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VADBENCH_CACHE", str(tmp_path / "file" / "cache"))
    source = weights(0)
    for _ in range(2):
        assert remembered_clip(source, loads(source)).dim == 24
    assert len(loads.made) == 2


def test_a_tag_is_known_by_the_file_that_it_was_loaded_from(weights, loads, monkeypatch):
    from vadbench.clip import loading

    source = weights(0)
    path, tag = Path(source.weights), ClipSource("ViT-B-16-quickgelu", "openai")
    monkeypatch.setattr(loading, "cached_file", lambda _: path)

    def load():
        loads.made.append(tag)
        clip = load_clip(source)
        clip.source = tag
        return clip

    first = remembered_clip(tag, load)
    assert facts(remembered_clip(tag, load)) == facts(first) and is_remembered(tag)
    os.remove(path)
    assert not is_remembered(tag)
    weights(1)
    remembered_clip(tag, load)
    assert len(loads.made) == 2


def test_importing_clip_takes_no_torch():
    code = "import sys; from vadbench.clip import Clip, CROPS; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
