"""CLIP weights in local files: read as tensors and nothing else, and identified."""

from __future__ import annotations

import hashlib
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from vadbench.base.errors import ClipError, first_line, listed
from vadbench.base.files import mismatches
from vadbench.base.text import plain
from vadbench.clip.origin import require_file

_OPENAI_SIZES = {"input_resolution", "context_length", "vocab_size"}
_HEAD_WIDTH = 64
_SHOWN_BYTES = 16

StateDict = dict[str, Tensor]


def read_file(weights: str) -> tuple[StateDict, bool]:
    """Read the tensors of a safetensors file or PyTorch state dict, ``state_dict`` and ``module.`` wrappings removed.

    Returns:
        the tensors, and whether the file also had the sizes that OpenAI's own files have beside them.

    Raises:
        ClipError: the file is absent, damaged, or contains more than tensors.
    """
    path = require_file(weights)
    try:
        if path.suffix.lower() == ".safetensors":
            content: Any = load_file(path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about formats that are refused below anyway
                content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can make the unpickler stumble in any way
        if "TorchScript" in str(error):
            raise ClipError(
                f"{path} is a TorchScript archive, which contains code and is not loaded; use a model such as"
                " ViT-B-16-quickgelu with the tag 'openai', or save the weights alone as .safetensors"
            ) from error
        raise ClipError(
            f"cannot read CLIP weights {path} as tensors only: {why_unreadable(path, error)}; get the file again"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict):
        raise ClipError(f"{path} must hold a dictionary of tensors, found {type(content).__name__}; save a state dict")
    sizes = content.keys() & _OPENAI_SIZES
    state = {key: value for key, value in content.items() if key not in sizes}
    _require_tensors(state, weights)
    return {key.removeprefix("module."): value for key, value in state.items()}, bool(sizes)


def why_unreadable(path: Path, error: Exception) -> str:
    """Return why a file of weights could not be read as tensors, in words that do not advise to run its code.

    Args:
        path: the file.
        error: of the library that tried; PyTorch's tells how to load anything, in several lines and colours.
    """
    with path.open("rb") as file:
        start = file.read(_SHOWN_BYTES)
    # A zip archive or a pickle, by PyTorch, or JSON behind its length, by safetensors.
    if not (start.startswith((b"PK", b"\x80")) or start[8:9] == b"{"):
        return f"it is no file of weights, it begins with {start!r}" if start else "it is empty"
    if start.startswith(b"PK") and not zipfile.is_zipfile(path):
        return "it is damaged or cut off"
    if isinstance(error, pickle.UnpicklingError):
        return "it is damaged, or has more than tensors, which could run code"
    return plain(first_line(error))


def _require_tensors(state: Mapping[Any, Any], weights: str) -> None:
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ClipError(
                f"{weights} must map names to tensors, found {key!r}: {type(value).__name__}; save a state dict"
            )


def infer_config(state: StateDict, weights: str) -> tuple[str, dict[str, Any]]:
    """Infer the architecture of weights with OpenAI's key names: its name, and open_clip's arguments.

    OpenAI's rules hold: attention heads are 64 wide and the activation is QuickGELU.

    Raises:
        ClipError: the keys are not those of a ViT under OpenAI's names, or a tower cannot be split into heads.
    """
    _require_tensors(state, weights)
    try:
        patches = state["visual.conv1.weight"]
        width, patch = patches.shape[0], patches.shape[-1]
        grid = round((state["visual.positional_embedding"].shape[0] - 1) ** 0.5)
        vocabulary, text_width = state["token_embedding.weight"].shape
        layers = _count_layers(state, "visual.transformer.")
        config: dict[str, Any] = {
            "embed_dim": state["text_projection"].shape[1],
            "quick_gelu": True,
            "vision_cfg": {"image_size": patch * grid, "layers": layers, "width": width, "patch_size": patch},
            "text_cfg": {
                "context_length": state["positional_embedding"].shape[0],
                "vocab_size": vocabulary,
                "width": text_width,
                "heads": text_width // _HEAD_WIDTH,
                "layers": _count_layers(state, "transformer."),
            },
        }
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise ClipError(
            f"{weights} must be a ViT under OpenAI's key names for its architecture to be inferred, but {error} is"
            " missing or misshapen; name the model"
        ) from error
    for tower in (width, text_width):
        heads = tower // _HEAD_WIDTH
        if heads < 1 or tower % heads:
            raise ClipError(
                f"{weights} has a tower of width {tower}, which OpenAI's rule of {_HEAD_WIDTH} for each attention head"
                f" splits into {heads} heads; name the model"
            )
    import open_clip

    named = next((name for name in open_clip.list_models() if open_clip.get_model_config(name) == config), None)
    return named or f"openai-vit-w{width}-l{layers}-p{patch}-{patch * grid}", config


def _count_layers(state: StateDict, prefix: str) -> int:
    return sum(key.startswith(prefix) and key.endswith(".attn.in_proj_weight") for key in state)


def load_strictly(model: Any, state: StateDict, source: str) -> None:
    """Copy every weight into an open_clip model.

    Raises:
        ClipError: a weight is missing, unexpected or of another shape; lists the first of them.
    """
    import open_clip

    _require_tensors(state, source)
    if isinstance(model, open_clip.CustomTextCLIP):
        state = open_clip.model.convert_to_custom_text_state_dict(state)
    wanted = model.state_dict()
    if "logit_scale" in state and state["logit_scale"].numel() == 1:
        # Some writers store this scalar with one axis.
        state = state | {"logit_scale": state["logit_scale"].reshape(wanted["logit_scale"].shape)}
    if wrong := mismatches(state, {key: value.shape for key, value in wanted.items()}):
        raise ClipError(f"weights {source} do not fit the model: {listed(wrong, 6, '; ')}; name its model")
    model.load_state_dict(state)


def hash_weights(state: Mapping[str, Tensor]) -> str:
    """Return the sha256 of names and values as float32, whatever the file format or stored precision."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().float().contiguous().numpy().tobytes())
    return digest.hexdigest()
