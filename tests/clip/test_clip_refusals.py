"""Models and weights that cannot be loaded: why, in one line."""

import json
import pickle
import warnings
from pathlib import Path
from types import SimpleNamespace

import open_clip
import pytest
import torch
from huggingface_hub.errors import HfHubHTTPError
from safetensors.torch import save_file

from tiny_clip import TINY, tiny_model
from vadbench.base.errors import CheckpointError, ClipError, UnknownNameError
from vadbench.clip import SMALL, ClipSource, load_clip, loading, weights
from vadbench.clip.origin import model_names, require_named
from vadbench.features.detector import Detector
from vadbench.harness.import_checkpoint import read_reference


@pytest.mark.parametrize(
    ("model", "tag", "right"),
    [("ViT-B-16", "openai", "ViT-B-16-quickgelu"), ("ViT-B-16-quickgelu", "laion400m_e32", "'ViT-B-16'")],
)
def test_an_activation_mismatch_names_the_right_model(model, tag, right):
    with pytest.raises(ClipError, match=f"another activation.*{right}"):
        load_clip(ClipSource(model, tag))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (ClipSource("ViT-B-16", "bogus"), "one of the tags: openai"),
        (ClipSource("ViT-B-16", ""), "random:SEED"),
        (ClipSource("ViT-B-16", "random:x"), "whole number"),
        (ClipSource("ViT-B-16", "random:"), "whole number"),
        (ClipSource("ViT-B-16", "random:" + "9" * 30), "at most 18 digits"),
        (ClipSource("ViT-B-16", "random:-1"), "whole number"),
        (ClipSource(SMALL, "openai"), "no pretrained tag"),
        (ClipSource("", "gone.safetensors"), "found no file"),
        (ClipSource("ViT-B-16-SigLIP", "webli"), "causal text tower"),
        (ClipSource("coca_ViT-B-32", "random:0"), "causal text tower"),
        (ClipSource("MobileCLIP-B", "datacompdr"), "resizing"),
    ],
)
def test_what_cannot_be_loaded_says_why_in_one_line(source, reason):
    with pytest.raises(ClipError, match=reason) as caught:
        load_clip(source)
    assert "\n" not in str(caught.value)


def test_an_unknown_model_offers_close_names():
    with pytest.raises(UnknownNameError, match="did you mean 'ViT-B-16'"):
        load_clip(ClipSource("ViT-B16", "openai"))


@pytest.mark.parametrize("scheme", ["local-dir", "hf-hub"])
@pytest.mark.parametrize("tag", ["", "openai", "random:0", "weights.pt"])
def test_a_scheme_of_open_clip_is_no_model_name_and_is_not_followed(monkeypatch, tmp_path, scheme, tag):
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY}))
    monkeypatch.setattr(open_clip.factory, "download_pretrained_from_hf", lambda *_, **__: pytest.fail("downloads"))
    for place in (str(tmp_path), ""):
        with pytest.raises(UnknownNameError, match=f"unknown CLIP model '{scheme}:") as caught:
            load_clip(ClipSource(f"{scheme}:{place}", tag))
        assert "\n" not in str(caught.value)


def test_a_failed_download_is_one_line(monkeypatch):
    def fails(entry):
        raise RuntimeError("no route\nto host")

    monkeypatch.setattr(open_clip, "get_model_config", lambda name: dict(TINY))
    monkeypatch.setattr(open_clip, "download_pretrained", fails)
    monkeypatch.setattr(loading, "get_hf_file_metadata", lambda url: None)
    with pytest.raises(ClipError, match=r"none could be downloaded \(no route\).*local file"):
        load_clip(ClipSource("ViT-B-16-quickgelu", "openai"))


def test_without_a_network_nothing_is_tried_again(monkeypatch):
    """The hub's own download would wait for a minute."""
    asked = []

    def fails(url):
        asked.append(url)
        raise OSError("no network")

    monkeypatch.setattr(open_clip, "get_model_config", lambda name: dict(TINY))
    monkeypatch.setattr(open_clip, "download_pretrained", lambda entry: pytest.fail("downloads"))
    monkeypatch.setattr(loading, "get_hf_file_metadata", fails)
    with pytest.raises(ClipError, match=r"none could be downloaded \(no network\); connect once"):
        load_clip(ClipSource("ViT-B-16-quickgelu", "openai"))
    assert len(asked) == 1 and asked[0].startswith("https://")


def test_a_hub_that_answers_is_downloaded_from(monkeypatch):
    def answers(url):
        raise HfHubHTTPError("404", response=SimpleNamespace(headers={}, request=None))

    def fails(entry):
        raise RuntimeError("asked all the same")

    monkeypatch.setattr(open_clip, "get_model_config", lambda name: dict(TINY))
    monkeypatch.setattr(open_clip, "download_pretrained", fails)
    monkeypatch.setattr(loading, "get_hf_file_metadata", answers)
    with pytest.raises(ClipError, match="asked all the same"):
        load_clip(ClipSource("ViT-B-16-quickgelu", "openai"))


def test_names_are_those_of_open_clip_and_a_few_of_many_are_shown():
    assert model_names() == [SMALL, *sorted(open_clip.list_models())]
    with pytest.raises(UnknownNameError) as caught:
        require_named(ClipSource("none"))
    assert str(caught.value).endswith(" more (vadbench list clips)") and len(str(caught.value)) < 200
    with pytest.raises(UnknownNameError, match=r"did you mean 'ViT-B-16'.*\(vadbench list clips\)"):
        require_named(ClipSource("vit-b16"))
    with pytest.raises(ClipError, match=r"found no file 'gone\.pt'"):
        require_named(ClipSource("ViT-B-16", "gone.pt"))


def test_the_clips_that_are_listed_are_those_that_can_be_loaded():
    found = loading.loadable_clips()
    assert "openai" in found["ViT-B-16-quickgelu"] and "openai" not in found["ViT-B-16"]
    assert found.keys() < set(open_clip.list_models()) and not any("SigLIP" in name for name in found)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: s.pop("ln_final.bias"), "missing ln_final.bias"),
        (lambda s: s.update({"extra.weight": torch.ones(1)}), "unexpected extra.weight"),
        (lambda s: s.update({"visual.proj": torch.ones(3, 24)}), r"visual.proj is \(3, 24\), expected \(64, 24\)"),
    ],
)
def test_weights_must_fit_exactly(tiny, tmp_path, change, reason):
    state = dict(tiny.state_dict())
    change(state)
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(ClipError, match=reason):
        load_clip(ClipSource("", str(tmp_path / "a.safetensors")))


@pytest.mark.parametrize(
    "wrong", [{5: torch.ones(1)}, {None: torch.ones(1)}, {"visual.conv1.weight": 3}, {"ln_final.bias": 1.5}]
)
def test_a_state_dict_must_map_names_to_tensors(monkeypatch, tiny, tmp_path, small_assets, wrong):
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: dict(TINY))
    state = {**tiny.state_dict(), **wrong}
    path = str(tmp_path / "a.pt")
    torch.save(state, path)
    key = repr(next(iter(wrong)))
    for model in ("", "some-model", SMALL):
        with pytest.raises(ClipError, match=f"must map names to tensors, found {key}: "):
            load_clip(ClipSource(model, path))
    with pytest.raises(ClipError, match="names to tensors"):
        weights.infer_config(state, path)
    with pytest.raises(ClipError, match="names to tensors"):
        weights.load_strictly(tiny_model(), state, path)


@pytest.mark.parametrize(
    ("key", "shape", "reason"),
    [
        ("visual.conv1.weight", (32, 3, 16, 16), "width 32.*0 heads"),
        ("visual.conv1.weight", (193, 3, 16, 16), "width 193.*3 heads"),
        ("token_embedding.weight", (100, 63), "width 63.*0 heads"),
        ("visual.positional_embedding", (0, 64), "missing or misshapen"),
        ("text_projection", (64,), "missing or misshapen"),
    ],
)
def test_an_architecture_that_cannot_be_is_not_inferred(tiny, key, shape, reason):
    with pytest.raises(ClipError, match=reason):
        weights.infer_config({**tiny.state_dict(), key: torch.zeros(shape)}, "a.safetensors")


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


def test_nothing_in_a_file_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Bomb()}, "bomb.pt")
    Path("raw.bin").write_bytes(pickle.dumps({"weight": Bomb()}))
    for name in ("bomb.pt", "raw.bin"):
        with pytest.raises(ClipError, match="as tensors only"):
            load_clip(ClipSource("", name))
    assert not Path("exploded").exists()


def pickled_module(path):
    torch.save(torch.nn.Linear(2, 2), path)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: path.write_text("<!DOCTYPE html><title>Log in</title>"), "begins with b'<!DOCTYPE html><'"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1"), "begins with b'version https://'"),
        (lambda path: path.write_bytes(b""), "it is empty"),
        (pickled_module, "more than tensors, which could run code"),
        (lambda path: path.write_bytes(b"\x80\x02garbage"), "it is damaged"),
    ],
)
@pytest.mark.parametrize("suffix", [".pt", ".PTH"])
def test_what_is_no_file_of_weights_is_shown_without_advice_to_run_it(tmp_path, write, words, suffix):
    path = tmp_path / f"w{suffix}"
    write(path)
    readers = [
        (ClipError, lambda: load_clip(ClipSource("ViT-B-16-quickgelu", str(path)))),
        (CheckpointError, lambda: Detector("ssdlite320_mobilenet_v3_large", str(path), 0.5, torch.device("cpu"))),
    ]
    if write is not pickled_module:  # such objects are left out of a released checkpoint
        readers.append((CheckpointError, lambda: read_reference(path)))
    for kind, read in readers:
        with pytest.raises(kind) as error:
            read()
        said = str(error.value)
        assert str(path) in said and words in said
        assert "weights_only" not in said and "\n" not in said and said.isprintable()


def test_a_torchscript_archive_is_refused_with_a_way_out(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates its own writer
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "jit.pt"))
    with pytest.raises(ClipError, match="TorchScript archive"):
        load_clip(ClipSource("", str(tmp_path / "jit.pt")))


def test_a_page_named_like_safetensors_is_shown(tmp_path):
    (tmp_path / "w.SafeTensors").write_text("<html>Log in</html>")
    with pytest.raises(ClipError, match=r"it is no file of weights, it begins with b'<html>Log in</ht'"):
        load_clip(ClipSource("", str(tmp_path / "w.SafeTensors")))


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt"])
def test_a_damaged_file_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x07" * 100)
    with pytest.raises(ClipError, match="cannot read CLIP weights"):
        load_clip(ClipSource("", str(tmp_path / name)))


def test_a_file_of_something_else_is_refused(tmp_path):
    torch.save([torch.ones(2)], tmp_path / "list.pt")
    with pytest.raises(ClipError, match="dictionary of tensors"):
        load_clip(ClipSource("", str(tmp_path / "list.pt")))
    save_file({"weight": torch.ones(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ClipError, match="OpenAI's key names"):
        load_clip(ClipSource("", str(tmp_path / "other.safetensors")))
