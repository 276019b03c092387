"""Train the small CLIP that ships with vadbench: ``python -m vadbench_synthetic.train_clip --out FOLDER``.

An ``open_clip.CLIP`` of tiny size learns from rendered frames and templated captions; the scripts' seeds are disjoint
from those of every synthetic data set. Each frame is scored on each attribute of its caption separately, and big
objects come first (a curriculum in three stages), because plain InfoNCE on whole captions learns nothing small.

So that features keep what captions leave out, two wordless terms look at the images alone; their heads are thrown
away. One pulls two frames 0.2 s apart together and pushes all others away, those of the same street included. The
other tells which kinds of event and which look-alikes are on stage, those without a caption included.

The same seed and number of threads give the same weights.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from safetensors.torch import save as serialise
from torch import Tensor, nn
from torch.nn import functional as F

from vadbench.data.media import read_frames, write_video
from vadbench_synthetic.captions import ELSEWHERE, PHRASES, TEMPLATES, attributes
from vadbench_synthetic.dataset import SEEDS, Synthetic
from vadbench_synthetic.events import DISTRACTORS, EVENTS
from vadbench_synthetic.render import CRF, FPS, PRESET, paint
from vadbench_synthetic.scene import Camera
from vadbench_synthetic.script import NORMAL, write

SEED = SEEDS
"""Default seed; with it come the seeds of all training scripts."""
WIDTH = 64
ARCHITECTURE: dict[str, Any] = {
    "embed_dim": WIDTH,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 12},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": WIDTH, "heads": 1, "layers": 2},
    "quick_gelu": False,
}
MEAN, STD = (0.481, 0.458, 0.408), (0.269, 0.261, 0.276)
TOKEN_SEED = 0
EXTRA_WORDS = ("fighting", "cyclist on the walkway")
"""Class words that no caption uses; their tokens are stored too, as untrained as any other word's."""

THINGS = [*EVENTS, *(builder.__name__ for builders in DISTRACTORS.values() for builder in builders)]
"""Things that the wordless head tells apart."""
MOMENTS = 8
"""Moments of each training scene; a moment is two frames, 0.2 s apart."""
TOGETHER = 4
"""Moments of one scene in a batch."""


@dataclass(frozen=True)
class Stage:
    """A step of the curriculum: how much bigger than in the data set everything is, and how much distracts."""

    zoom: float
    max_distractors: int
    days_only: bool
    share: float


STAGES = (Stage(1.7, 0, True, 0.2), Stage(1.3, 1, False, 0.25), Stage(1.0, 2, False, 0.55))


@dataclass
class Pool:
    """Rendered moments: frames ``(moments, 2, 64, 64, 3)`` uint8, one value id per attribute or -1 for none, and
    which :data:`THINGS` are on stage ``(moments, things)``. The moments of a scene are neighbours."""

    frames: NDArray[np.uint8]
    values: dict[str, NDArray[np.int64]]
    things: NDArray[np.float32]


def render_pool(stage: Stage, scenes: int, seed: int) -> Pool:
    """Render short scenes of every kind, as compressed as the data set's videos are."""
    frames, things = [], []
    values: dict[str, list[int]] = {name: [] for name in PHRASES}
    kinds = [NORMAL, NORMAL, *EVENTS]
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        for i in range(scenes):
            rng = np.random.default_rng((seed, i))
            camera = replace(Camera.draw_from(rng), zoom=stage.zoom * float(rng.uniform(0.9, 1.15)))
            script = write(kinds[i % len(kinds)], (seed, i, 1), [camera], (120, 200), stage.max_distractors)
            if stage.days_only:
                script = replace(script, camera=script.camera.at("day"))
            moments = rng.choice(script.frames - 2, MOMENTS, replace=False)
            for event in script.events[:1]:
                inside = rng.choice(np.arange(event.start + 8, event.end - 10), MOMENTS - 2, replace=False)
                moments = np.concatenate([moments[:2], inside])
            times = np.unique(np.concatenate([moments, moments + 2]))
            write_video(clip, iter(paint(script, times)), FPS, CRF, PRESET)
            seen = dict(zip(times.tolist(), read_frames(clip), strict=True))
            for moment in moments.tolist():
                frames.append(np.stack([seen[moment], seen[moment + 2]]))
                kind, distractors = script.seen(moment)
                things.append([thing == kind or thing in distractors for thing in THINGS])
                for name, value in attributes(script, moment).items():
                    values[name].append(-1 if value is None else list(PHRASES[name]).index(value))
    arrays = {name: np.array(ids) for name, ids in values.items()}
    return Pool(np.stack(frames), arrays, np.array(things, np.float32))


class Words:
    """The tokens ever used, renumbered, so that only their embeddings are trained and stored."""

    def __init__(self) -> None:
        self.tokenizer = open_clip.SimpleTokenizer()
        phrases = [p for values in PHRASES.values() for ways in values.values() for p in ways]
        phrases += [*ELSEWHERE, *EXTRA_WORDS, *Synthetic.classes.words]
        texts = [template.format(phrase) for phrase in phrases for template in TEMPLATES]
        tokens = self.tokenizer(texts)
        self.ids = torch.unique(tokens)
        self.length = int(tokens.argmax(1).max()) + 1

    def __call__(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Return renumbered tokens ``(n, length)`` and the position of the end of each text."""
        tokens = self.tokenizer(texts)
        return torch.searchsorted(self.ids, tokens[:, : self.length].contiguous()), tokens.argmax(1)


def token_table() -> Tensor:
    """Return the embedding of every token before training."""
    return 0.02 * torch.randn((49408, WIDTH), generator=torch.Generator().manual_seed(TOKEN_SEED))


class Student(nn.Module):
    """The CLIP in training, with the small token table and the heads of the wordless terms."""

    def __init__(self, words: Words) -> None:
        super().__init__()
        self.clip = open_clip.CLIP(**ARCHITECTURE)
        self.rows = nn.Parameter(token_table()[words.ids].clone())
        self.moment_head = nn.Sequential(nn.Linear(WIDTH, 128), nn.ReLU(), nn.Linear(128, 64))
        self.thing_head = nn.Linear(WIDTH, len(THINGS))
        del self.clip.token_embedding

    def texts(self, tokens: Tensor, ends: Tensor) -> Tensor:
        """Return unit text features ``(n, dim)``."""
        length = tokens.shape[1]
        x = self.rows[tokens] + self.clip.positional_embedding[:length]
        x = self.clip.ln_final(self.clip.transformer(x, attn_mask=self.clip.attn_mask[:length, :length]))
        return F.normalize(x[torch.arange(len(x)), ends] @ self.clip.text_projection, dim=-1)


def augment(frames: NDArray[np.uint8], rng: np.random.Generator) -> Tensor:
    """Shift, mirror and change the exposure of frames ``(n, 64, 64, 3)``; normalised ``(n, 3, 64, 64)``."""
    n, size = len(frames), frames.shape[1]
    x = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    x = F.pad(x, (4, 4, 4, 4), mode="replicate")
    dx, dy = int(rng.integers(0, 9)), int(rng.integers(0, 9))
    x = x[:, :, dy : dy + size, dx : dx + size]
    if rng.integers(2):
        x = x.flip(3)
    gain = torch.from_numpy(rng.uniform(0.8, 1.2, (n, 1, 1, 1))).float()
    tint = torch.from_numpy(rng.uniform(0.94, 1.06, (n, 3, 1, 1))).float()
    x = (x * gain * tint).clamp(0, 1)
    return (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


def caption_loss(student: Student, words: Words, images: Tensor, values: dict[str, Tensor], scale: float,
                 rng: np.random.Generator) -> Tensor:  # fmt: skip
    """Return the cross-entropy over the values of each attribute, each value said in one random way."""
    texts: list[str] = []
    spans: dict[str, slice] = {}
    for name, ways in PHRASES.items():
        said = [str(rng.choice(phrases)) for phrases in ways.values()]
        if name == "event":
            said += [str(p) for p in rng.choice(ELSEWHERE, 8, replace=False)]
        spans[name] = slice(len(texts), len(texts) + len(said))
        texts += [str(rng.choice(TEMPLATES)).format(phrase) for phrase in said]
    logits = scale * F.normalize(images, dim=-1) @ student.texts(*words(texts)).T
    weights = {"event": 1.0, "light": 0.2, "layout": 0.2}
    terms = [w * F.cross_entropy(logits[:, spans[n]], values[n], ignore_index=-1) for n, w in weights.items()]
    return torch.stack(terms).sum()


def moment_loss(student: Student, images: Tensor) -> Tensor:
    """Return the InfoNCE loss between the two frames of each moment against all other moments of the batch."""
    a, b = (F.normalize(student.moment_head(x), dim=-1) for x in images.chunk(2))
    logits, target = a @ b.T / 0.1, torch.arange(len(a))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def thing_loss(student: Student, images: Tensor, things: Tensor) -> Tensor:
    """Return the binary cross-entropy of a linear head on the features, summed over :data:`THINGS`."""
    logits = student.thing_head(10 * F.normalize(images, dim=-1))
    return F.binary_cross_entropy_with_logits(logits, things, reduction="none").sum(1).mean()


def train(steps: int = 2000, scenes: int = 4500, batch: int = 128, seed: int = SEED, log: bool = True) -> Student:
    """Train the small CLIP.

    Args:
        steps: optimiser steps in all, shared between the stages.
        scenes: rendered scenes in all.
        batch: moments in a batch; twice as many frames.
        seed: of scenes, initial weights and order; not below :data:`SEEDS`.
    """
    if seed < SEEDS:
        raise ValueError(f"seed must be {SEEDS} or more, so that no data set shares a scene; found {seed}")
    torch.manual_seed(seed)
    rng, words = np.random.default_rng(seed), Words()
    student = Student(words)
    groups = [{"params": [p for p in student.parameters() if p.ndim > 1], "weight_decay": 0.02},
              {"params": [p for p in student.parameters() if p.ndim <= 1], "weight_decay": 0.0}]  # fmt: skip
    optimiser = torch.optim.AdamW(groups, lr=2e-3)
    step, began = 0, time.monotonic()
    for number, stage in enumerate(STAGES):
        pool = render_pool(stage, math.ceil(scenes * stage.share), seed + number)
        if log:
            print(f"stage {number}: {len(pool.frames)} moments after {time.monotonic() - began:.0f} s", flush=True)
        last = steps if stage is STAGES[-1] else step + round(steps * stage.share)
        while step < last:
            scene = rng.integers(0, len(pool.frames) // MOMENTS, batch // TOGETHER)
            part = rng.permuted(np.tile(np.arange(MOMENTS), (len(scene), 1)), axis=1)[:, :TOGETHER]
            chosen = (scene[:, None] * MOMENTS + part).ravel()
            views = [augment(pool.frames[chosen, k], rng) for k in range(2)]
            images = student.clip.visual(torch.cat(views).contiguous(memory_format=torch.channels_last))
            values = {n: torch.from_numpy(v[chosen]).repeat(2) for n, v in pool.values.items()}
            scale = min(100.0, 14.0 * (100 / 14) ** (2 * step / steps))
            caption = caption_loss(student, words, images, values, scale, rng)
            moment = moment_loss(student, images)
            thing = thing_loss(student, images, torch.from_numpy(pool.things[chosen]).repeat(2, 1))
            for group in optimiser.param_groups:
                group["lr"] = 2e-3 * min(1, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * step / steps))
            optimiser.zero_grad()
            (caption + 0.2 * moment + 0.4 * thing).backward()
            nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimiser.step()
            step += 1
            if log and step % 100 == 0:
                print(f"step {step}: captions {caption.item():.3f}, moments {moment.item():.3f},"
                      f" things {thing.item():.3f}, {time.monotonic() - began:.0f} s", flush=True)  # fmt: skip
    return student.eval()


def save(student: Student, folder: Path, seed: int) -> None:
    """Write ``small_clip.json`` and ``small_clip.safetensors`` as :func:`vadbench.clip.load_clip` reads them."""
    state = {key: value.half() if value.is_floating_point() else value
             for key, value in student.clip.state_dict().items()}  # fmt: skip
    state["token_embedding.ids"] = Words().ids
    state["token_embedding.rows"] = student.rows.detach().half()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "small_clip.safetensors").write_bytes(serialise({k: v.contiguous() for k, v in state.items()}))
    description = {**ARCHITECTURE, "image_mean": MEAN, "image_std": STD, "token_seed": TOKEN_SEED,
                   "note": f"trained by vadbench_synthetic.train_clip, seed {seed}"}  # fmt: skip
    (folder / "small_clip.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Read the arguments, train and save."""
    parser = argparse.ArgumentParser(description="Train the small CLIP of vadbench.")
    parser.add_argument("--out", type=Path, required=True, help="folder that gets small_clip.json and .safetensors")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--scenes", type=int, default=4500)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    save(train(arguments.steps, arguments.scenes, seed=arguments.seed), arguments.out, arguments.seed)


if __name__ == "__main__":
    main()
