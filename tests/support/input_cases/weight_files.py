"""Files of CLIP weights, of a CLIP of some thousand weights."""

import os

import torch
from safetensors.torch import save_file

from input_cases.cases import Case, Section
from tiny_clip import tiny_model
from vadbench.clip import ClipSource, load_clip


def read(path):
    """Whether the weights are those that were saved, but for the rounding of short numbers."""
    clip = load_clip(ClipSource("", str(path)))
    wanted, found = tiny_model().state_dict(), {f"visual.{k}": v for k, v in clip.visual.state_dict().items()}
    return all(torch.allclose(found[name], wanted[name], rtol=1e-2, atol=1e-3) for name in found), ""


def state(dtype=torch.float32):
    return {name: value.to(dtype).clone() for name, value in tiny_model().state_dict().items()}


def saved(name, change=lambda tensors: tensors, dtype=torch.float32):
    """A file of changed weights, as safetensors or as PyTorch saves them."""

    def make(folder):
        content = change(state(dtype))
        save = save_file if name.endswith(".safetensors") else torch.save
        save(content, folder / name)
        return folder / name

    return make


def content(name, data):
    def make(folder):
        (folder / name).write_bytes(data)
        return folder / name

    return make


def module(folder):
    torch.save(torch.nn.Linear(2, 2), folder / "w.pt")
    return folder / "w.pt"


def cut_off(folder):
    path = saved("w.pt")(folder)
    path.write_bytes(path.read_bytes()[:5000])
    return path


def pipe(folder):
    os.mkfifo(folder / "w.pt")
    return folder / "w.pt"


def without_last(tensors):
    del tensors["ln_final.bias"]
    return tensors


NO_WEIGHTS = "it is no file of weights, it begins with b'...'; get the file again"
WEIGHTS = Section(
    "Weights",
    "A file for `--clip-weights`, `.safetensors`, `.pt`, `.pth` or `.bin`. Nothing in it is ever run.",
    read,
    True,
    "the weights",
    (
        Case("safetensors, float32", saved("w.safetensors")),
        Case("safetensors, float16", saved("w.safetensors", dtype=torch.float16)),
        Case("safetensors, bfloat16", saved("w.safetensors", dtype=torch.bfloat16)),
        Case("PyTorch, float16", saved("w.pt", dtype=torch.float16)),
        Case("under `state_dict`", saved("w.pth", lambda tensors: {"state_dict": tensors, "epoch": 3})),
        Case("names that begin with `module.`", saved("w.bin", lambda t: {f"module.{k}": v for k, v in t.items()})),
        Case("a weight is missing", saved("w.safetensors", without_last), "refused", "missing ln_final.bias"),
        Case(
            "a weight too many",
            saved("w.safetensors", lambda tensors: tensors | {"extra": torch.ones(1)}),
            "refused",
            "unexpected extra",
        ),
        Case("a pickled module", module, "refused", "it is damaged, or has more than tensors, which could run code"),
        Case("a log-in page saved as weights", content("w.pt", b"<html>please log in</html>"), "refused", NO_WEIGHTS),
        Case("a page saved as safetensors", content("w.safetensors", b"<html>log in</html>"), "refused", NO_WEIGHTS),
        Case("a pointer of Git LFS", content("w.pt", b"version https://git-lfs.github.com"), "refused", NO_WEIGHTS),
        Case("cut off", cut_off, "refused", "it is damaged or cut off; get the file again"),
        Case("empty", content("w.pt", b""), "refused", "it is empty; get the file again"),
        Case("a pipe", pipe, "refused", "expected a CLIP weights file (...), found no file"),
        Case("no file", lambda folder: folder / "w.pt", "refused", "expected a CLIP weights file (...), found no file"),
    ),
)
