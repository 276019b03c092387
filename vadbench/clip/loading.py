"""Loading a :class:`Clip` from a :class:`ClipSource`: architecture, activation check, weights."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError
from torch import Tensor, nn

from vadbench.base.errors import ClipError, UnknownNameError, first_line
from vadbench.clip.model import Clip
from vadbench.clip.origin import ASSETS, FILE_SUFFIXES, SMALL, ClipSource, is_file, model_names
from vadbench.clip.text_tower import TextTower
from vadbench.clip.weights import StateDict, hash_weights, infer_config, load_strictly, read_file

_QUICK = "-quickgelu"
_TAUGHT = 0.01
"""Training the small CLIP moved no entry of the embedding of a token outside its captions by more than 0.003, and some
entry of each token in them by 0.02 and more (measured)."""
_DEFAULT_IMAGES: dict[str, Any] = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}
_SQUASH = ("squash", "bilinear")
_DEFAULT_SOURCE = ClipSource()


def load_clip(source: ClipSource = _DEFAULT_SOURCE, device: str | torch.device = "cpu") -> Clip:
    """Load a CLIP, frozen, in evaluation mode and in float32.

    Raises:
        UnknownNameError: open_clip knows no model of that name.
        ClipError: the weights are absent, unsafe to read, made for another architecture or activation, or the model
            is not of CLIP's kind; says what to do.
    """
    images = dict(_DEFAULT_IMAGES)
    if source.model == SMALL:
        name, config, state, images = _small(source, images)
    elif not source.model:
        state, _ = read_file(source.weights)
        name, config = infer_config(state, source.weights)
    else:
        name, config = source.model, _named_config(source.model)
        state = None
        if is_file(source.weights):
            state, openai = read_file(source.weights)
            if openai and not config.get("quick_gelu", False):
                raise ClipError(
                    f"{source.weights} has the form of OpenAI's files, whose weights need another activation than"
                    f" '{name}' has; use the model name '{name}{_QUICK}'"
                )
        if state is None and not source.weights.startswith("random:"):
            images |= _pretrained(source)
        else:
            images |= _squashing(source.model)
    _check_kind(name, config, images)
    model = _build(config, source.weights)
    if state is not None:
        load_strictly(model, state, source.weights or SMALL)
    elif not source.weights.startswith("random:"):
        _load_tag(model, source)
    model = model.float().eval().requires_grad_(False)
    size = model.visual.image_size
    height, width = size if isinstance(size, tuple | list) else (size, size)
    if height != width:
        raise ClipError(f"CLIP '{name}' must take square images, found {height} x {width}; use another model")
    weights_sha256 = hash_weights(model.state_dict())
    # Convolutions are faster in this order of memory on a CPU.
    towers = (
        model.visual.to(device, memory_format=torch.channels_last),
        TextTower(getattr(model, "text", model)).to(device),
    )
    return Clip(
        source=source,
        name=name,
        weights_sha256=weights_sha256,
        activation="quickgelu" if config.get("quick_gelu", False) else "gelu",
        image_size=height,
        dim=config["embed_dim"],
        mean=tuple(images["mean"]),
        std=tuple(images["std"]),
        towers=lambda: towers,
        squashed=images["resize_mode"] == "squash",
    )


def cached_file(source: ClipSource) -> Path | None:
    """Return the file in the hub's cache that a tag's weights were loaded from, ``None`` where there is none."""
    import open_clip

    path = _cached(open_clip.get_pretrained_cfg(source.model, source.weights))
    return None if path is None else Path(path)


def is_cached(source: ClipSource) -> bool:
    """Return True if a tag's weights are in the hub's cache, so that loading needs no network; nothing is loaded.

    Raises:
        UnknownNameError, ClipError: as :func:`load_clip`, if names do not fit each other.
    """
    if source.model in ("", SMALL) or is_file(source.weights) or source.weights.startswith("random:"):
        return False
    import open_clip

    _check_kind(source.model, _named_config(source.model), _DEFAULT_IMAGES | _pretrained(source))
    return _cached(open_clip.get_pretrained_cfg(source.model, source.weights)) is not None


def loadable_clips() -> dict[str, list[str]]:
    """Return the tags of the weights of each model that can be loaded, by the model's name."""
    import open_clip

    found: dict[str, list[str]] = {}
    for name in open_clip.list_models():
        for tag in open_clip.list_pretrained_tags_by_model(name):
            with suppress(ClipError):
                _check_kind(name, _named_config(name), _DEFAULT_IMAGES | _pretrained(ClipSource(name, tag)))
                found.setdefault(name, []).append(tag)
    return found


def unweighted_image_tower(architecture: str) -> nn.Module:
    """Return the image tower of an architecture on the device ``meta``: shapes without values, made in a moment.

    Raises:
        UnknownNameError: open_clip knows no model of that name.
    """
    config = _small_config(_small_asset()) if architecture == SMALL else _named_config(architecture)
    with torch.device("meta"):
        tower: nn.Module = _build(config, "").visual
    return tower.eval().requires_grad_(False)


def _small(source: ClipSource, images: dict[str, Any]) -> tuple[str, dict[str, Any], StateDict | None, dict[str, Any]]:
    asset = _small_asset()
    config = _small_config(asset)
    images = images | {"mean": asset["image_mean"], "std": asset["image_std"]}
    if source.weights.startswith("random:"):
        return SMALL, config, None, images
    if source.weights:
        if not is_file(source.weights):
            raise ClipError(f"CLIP '{SMALL}' has no pretrained tag '{source.weights}'; leave the weights out")
        return SMALL, config, read_file(source.weights)[0], images
    state, _ = read_file(str(ASSETS / "small_clip.safetensors"))
    # Most of the vocabulary was never trained: those rows are drawn again instead of shipped.
    ids, rows = state.pop("token_embedding.ids"), state.pop("token_embedding.rows").float()
    embedding = _untaught(asset["token_seed"], rows.shape[1])
    embedding[ids] = rows
    return SMALL, config, state | {"token_embedding.weight": embedding}, images


def _small_asset() -> dict[str, Any]:
    try:
        asset: dict[str, Any] = json.loads((ASSETS / "small_clip.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise ClipError(f"this installation lacks the small CLIP ({error}); install vadbench again") from error
    return asset


def _small_config(asset: Mapping[str, Any]) -> dict[str, Any]:
    return {key: asset[key] for key in ("embed_dim", "vision_cfg", "text_cfg", "quick_gelu")}


def _untaught(seed: int, width: int) -> Tensor:
    """Return the small CLIP's embedding of every token before training."""
    return 0.02 * torch.randn((49408, width), generator=torch.Generator().manual_seed(seed))


def taught_tokens(clip: Clip) -> Tensor | None:
    """Return the tokens of the captions that a CLIP was trained on, bool ``(vocabulary,)``; ``None`` if unknown.

    It is known for the small CLIP, whose other tokens still have the embedding they were drawn with, and of untrained
    ones.
    """
    embedding = clip.text.token_embedding.weight.cpu()
    if clip.source.weights.startswith("random:"):
        return torch.zeros(len(embedding), dtype=torch.bool)
    if clip.source.model != SMALL or clip.source.weights:
        return None
    asset = json.loads((ASSETS / "small_clip.json").read_text(encoding="utf-8"))
    moved = (embedding - _untaught(asset["token_seed"], embedding.shape[1])).abs().amax(1)
    return moved > _TAUGHT


def _named_config(model: str) -> dict[str, Any]:
    import open_clip

    # It would follow local-dir: and hf-hub: to configurations that others wrote.
    config: dict[str, Any] | None = None if ":" in model else open_clip.get_model_config(model)
    if config is None:
        raise UnknownNameError("CLIP model", model, model_names(), "vadbench list clips")
    return config


def _pretrained(source: ClipSource) -> dict[str, Any]:
    """Return open_clip's entry for a tag after checking its activation."""
    import open_clip

    model, tag = source.model, source.weights
    twin = model.removesuffix(_QUICK) if model.endswith(_QUICK) else model + _QUICK
    entry: dict[str, Any] = open_clip.get_pretrained_cfg(model, tag) if tag else {}
    if not entry and tag and open_clip.get_pretrained_cfg(twin, tag):
        raise ClipError(f"weights '{tag}' need another activation than '{model}' has; use the model name '{twin}'")
    if not entry:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(model)) or "none"
        raise ClipError(
            f"CLIP '{model}' has no weights '{tag}': give a file ({', '.join(sorted(FILE_SUFFIXES))}), random:SEED"
            f" or one of the tags: {tags}"
        )
    if bool(entry.get("quick_gelu", False)) != bool(_named_config(model).get("quick_gelu", False)):
        raise ClipError(f"weights '{tag}' need another activation than '{model}' has; use the model name '{twin}'")
    return {key: entry[key] for key in _DEFAULT_IMAGES if key in entry}


def _squashing(model: str) -> dict[str, Any]:
    """Return how a model's images are prepared where all of its published weights take them squashed, as PE-Core's do;
    empty for others. A file of weights does not say it."""
    import open_clip

    entries = [open_clip.get_pretrained_cfg(model, tag) for tag in open_clip.list_pretrained_tags_by_model(model)]
    if not entries or {(e.get("resize_mode"), e.get("interpolation")) for e in entries} != {_SQUASH}:
        return {}
    return {key: entries[0][key] for key in _DEFAULT_IMAGES}


def _check_kind(name: str, config: Mapping[str, Any], images: Mapping[str, Any]) -> None:
    text = config["text_cfg"]
    foreign = ("hf_model_name", "hf_tokenizer_name", "tokenizer_kwargs", "embed_cls", "no_causal_mask", "proj_bias")
    causal = text.get("pool_type", "argmax") in ("argmax", "eos") and text.get("proj_type", "linear") == "linear"
    if "multimodal_cfg" in config or any(text.get(key) for key in foreign) or not causal:
        raise ClipError(f"CLIP '{name}' must have CLIP's own tokenizer and causal text tower; use another model")
    if (images["resize_mode"], images["interpolation"]) not in (("shortest", "bicubic"), _SQUASH):
        raise ClipError(
            f"the weights of '{name}' expect {images['interpolation']} resizing of the {images['resize_mode']} kind;"
            " only bicubic resizing of the short side and bilinear squashing are built in; use other weights"
        )


def _build(config: Mapping[str, Any], weights: str) -> Any:
    seed = "0"
    if weights.startswith("random:"):
        seed = weights.removeprefix("random:")
        if not re.fullmatch("[0-9]{1,18}", seed):
            raise ClipError(
                f"random CLIP weights need a whole number of at most 18 digits, as in random:0, found '{weights}'"
            )
    import open_clip

    arguments = dict(config)
    kind = open_clip.CustomTextCLIP if arguments.pop("custom_text", False) else open_clip.CLIP
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(seed))
        return kind(**arguments)


def _load_tag(model: Any, source: ClipSource) -> None:
    import open_clip

    try:
        entry = open_clip.get_pretrained_cfg(source.model, source.weights)
        path = _cached(entry)
        if path is None:
            _require_hub(entry)
            path = open_clip.download_pretrained(entry)
        open_clip.load_checkpoint(model, path)
    except Exception as error:  # open_clip, the hub and urllib each have their own
        raise ClipError(
            f"no weights '{source.weights}' for CLIP '{source.model}' in the cache and none could be downloaded"
            f" ({first_line(error)}); connect once, or give a local file"
        ) from error


def _require_hub(entry: Mapping[str, Any]) -> None:
    """Raise what the network says if the hub cannot be reached: a download would try again for a minute."""
    if repository := entry.get("hf_hub", "").rpartition("/")[0]:
        with suppress(HfHubHTTPError):  # an answer, though not that file
            get_hf_file_metadata(hf_hub_url(repository, "config.json"))


def _cached(entry: Mapping[str, Any]) -> str | None:
    """Return the file in the hub's cache; the hub itself would first wait half a minute for an absent network."""
    repository, _, filename = entry.get("hf_hub", "").rpartition("/")
    for name in [filename] if filename else ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"]:
        path = try_to_load_from_cache(repository, name) if repository else None
        if isinstance(path, str):
            return path
    return None
