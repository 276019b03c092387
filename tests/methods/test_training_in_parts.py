"""Methods give the same losses, gradients and statistics whether a batch is taken whole or in parts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from vadbench_anomalyclip import method as anomalyclip
from vadbench_synthetic.dataset import Synthetic
from vadbench_urdmu import method as urdmu
from vadbench_vadclip import method as vadclip

from vadbench.base.config import resolve
from vadbench.clip import ClipSource, load_clip
from vadbench.inputs import VideoInput
from vadbench.method import Batch, Task
from vadbench.testing.pretend import pretend

METHODS = {
    "anomalyclip": (anomalyclip.AnomalyClip, anomalyclip, "WINDOW_ROWS"),
    "vadclip": (vadclip.VadClip, vadclip, "ROWS_IN_PART"),
    "urdmu": (urdmu.UrDmu, urdmu, "ROWS_IN_PART"),
}


def step(name, settings, device="cpu"):
    """Terms, gradients by name and buffers of one step over six videos, half of them abnormal, of various lengths."""
    torch.manual_seed(0)
    kind, *_ = METHODS[name]
    device = torch.device(device)
    text = load_clip(ClipSource("small"), device).text
    config = resolve(kind.Config, kind.Config.dataset_defaults["synthetic"] | settings, environment={})
    classes = Synthetic.classes
    method = kind(config, Task(classes, text.dim, device, lambda: text)).to(device).train()
    rng = np.random.default_rng(0)
    views = [
        method.view(VideoInput.of_rows(rng.standard_normal((n, text.dim), np.float32)), rng)
        for n in (5, 64, 90, 30, 200, 1)
    ]
    labels = torch.zeros(6, len(classes))
    labels[:3, classes.abnormal[0]] = 1
    labels[0, classes.abnormal[1]] = 1
    labels[3:, classes.normal] = 1
    stacked = {k: torch.from_numpy(np.stack([v[k] for v in views])).to(device) for k in views[0]}
    terms = method.loss(Batch(stacked, labels.to(device)))
    torch.stack(list(terms.values())).sum().backward()
    gradients = {key: p.grad.cpu() for key, p in method.named_parameters() if p.grad is not None}
    return {k: v.detach().cpu() for k, v in terms.items()}, gradients, {k: b.cpu() for k, b in method.named_buffers()}


@pytest.mark.parametrize(
    "name, settings",
    [
        ("anomalyclip", {}),
        ("vadclip", {}),
        ("vadclip", {"score_branch": "best"}),
        ("vadclip", {"text_prompt": "handcrafted"}),
        ("vadclip", {"branches": "coarse", "score_branch": "coarse", "visual_prompt": "none"}),
        ("vadclip", {"branches": "align", "visual_prompt": "average"}),
        ("urdmu", {}),
        ("urdmu", {"memory": "none", "dropout": 0.0}),
    ],
    ids=["anomalyclip", "vadclip", "best", "handcrafted", "coarse", "align", "urdmu", "urdmu without memories"],
)
@pytest.mark.parametrize("rows", [1, 128], ids=["a video each", "a few"])
def test_parts_change_nothing(monkeypatch, name, settings, rows):
    whole = step(name, settings)
    monkeypatch.setattr(METHODS[name][1], METHODS[name][2], rows)
    parts = step(name, settings)
    for a, b in zip(whole, parts, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            torch.testing.assert_close(a[key], b[key], rtol=1e-4, atol=1e-5, msg=lambda m, key=key: f"{key}: {m}")


@pytest.mark.parametrize("name", ["vadclip", "urdmu"])
def test_a_batch_that_does_not_fit_on_a_gpu_is_taken_in_parts(monkeypatch, name):
    settings = {"dropout": 0.0, "uncertainty": False} if name == "urdmu" else {}
    whole, module = step(name, settings), METHODS[name][1]
    real, sizes = module.sum_of_parts, []

    def counted(terms, parts, *others):
        sizes.append(len(parts))
        return real(terms, parts, *others)

    monkeypatch.setattr(module, "sum_of_parts", counted)
    for free in (1 << 40, 3 << 20):
        with pretend(), monkeypatch.context() as patch:
            patch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 1 << 40))
            patch.setattr(torch.cuda, "memory_reserved", lambda device: 0)
            patch.setattr(torch.cuda, "memory_allocated", lambda device: 0)
            parts = step(name, settings, "cuda")
        for a, b in zip(whole, parts, strict=True):
            assert a.keys() == b.keys()
            for key in a:
                torch.testing.assert_close(a[key], b[key], rtol=1e-3, atol=1e-4)
    assert sizes[0] == 1 and sizes[1] > 1
