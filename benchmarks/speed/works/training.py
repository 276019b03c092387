"""Training: a step at the published batch, samples from their files, an epoch of a split that a laptop bears."""

from __future__ import annotations

import copy
import itertools
import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import bandwidth
from works import methods
from works.scoring import built, literal_of
from works.work import Options, Work, floor_of

from vadbench.base.arithmetic import arithmetic
from vadbench.base.locations import TRAINING_LOG
from vadbench.base.method_config import Recipe
from vadbench.base.seeds import MAIN_STAGE, Purpose, generator, torch_seed
from vadbench.inputs import StreamInput, TrainingVideo, VideoInput
from vadbench.method import Batch, Method
from vadbench.training.batches import batches
from vadbench.training.optimisers import build_optimiser, learning_rate
from vadbench.training.stages import TrainingLoop

VIDEOS = 1610
"""UCF-Crime's training split, 800 of them normal."""
FRAMES = 7300
"""Of a training video, about their mean."""
FILES = 32
"""Videos of an epoch that have a file of their own; the others share them."""


def step(name: str, options: Options, folder: Path) -> Work:
    """A step at the published batch; losses and gradients are compared at a small one."""
    method = built(name, options)
    losses, _ = literal_of(method)
    videos = methods.SMALL_BATCH[name] if options.quick else method.config.recipe.batch_size
    ours = methods.own_step(method, videos, options.precision)

    def difference() -> float:
        few = methods.batch_of(method.train(), methods.SMALL_BATCH[name])
        found = []
        for loss in (lambda: torch.stack(list(method.loss(few).values())), lambda: losses(few)):
            torch.manual_seed(1)
            method.zero_grad()
            with arithmetic("fp32", method.task.device):
                terms = loss()
                terms.sum().backward()
            found.append((terms.detach(), [p.grad for p in method.parameters()]))
        (a, ours), (b, literal) = found
        # Gradients that are zero but for rounding, such as that of a bias of keys, have no relative difference.
        pairs = [(g, h) for g, h in zip(ours, literal, strict=True) if h is not None and h.norm() > 1e-4]
        gradients = max(float((g - h).norm() / h.norm()) for g, h in pairs)
        return max(float(((a - b) / b).abs().max() / 1e-5), gradients / 1e-3)

    batch = methods.batch_of(method, videos)
    literal = methods.step(method, lambda: losses(batch).sum(), fused=None)
    return Work(ours, literal, partial(floor_of, ours, options), difference)


def assembling(name: str, options: Options, folder: Path) -> Work:
    """Samples of 16 videos of 7,300 rows from their files; literally, whole files are read."""
    method = built(name, options)
    paths = _written(folder, 16, FRAMES, method.task.dim)

    def views(mode: str | None) -> list[Any]:
        rng = np.random.default_rng(0)
        return [method.view(VideoInput.of_rows(np.load(path, mmap_mode=mode)), rng)["features"] for path in paths]

    rows = FRAMES if name == "vadclip" else method.config.segments * method.config.segment_length
    return Work(
        partial(views, "r"),
        partial(views, None),
        lambda: len(paths) * rows * method.task.dim * 4 / bandwidth(),
        lambda: 0.0 if np.array_equal(views("r"), views(None)) else np.inf,
    )


def epoch(name: str, options: Options, folder: Path) -> Work:
    """One pass by the training loop over a tenth of UCF-Crime's training split, one crop a video, from mapped files.

    Literally: whole files read, the literal loss. Mean losses of an epoch of a few small batches are compared.
    """
    method = built(name, options)
    losses, _ = literal_of(method)
    recipe = method.config.recipe.model_copy(update={"epochs": 1, "precision": options.precision})
    small = recipe.model_copy(update={"batch_size": methods.SMALL_BATCH[name], "precision": "fp32"})
    videos = VIDEOS if options.full else VIDEOS // 10
    if options.quick:
        recipe, videos = small.model_copy(update={"precision": options.precision}), small.batch_size
    files = _written(folder, min(FILES, videos), -(-FRAMES // method.config.rows.stride), method.task.dim)

    def samples(count: int, mode: str | None) -> list[TrainingVideo]:
        labels = methods.labels_of(method, count).numpy()
        return [_training_video(partial(np.load, files[i % len(files)], mode), labels[i]) for i in range(count)]

    def trained(recipe: Recipe, videos: int) -> float:
        with tempfile.TemporaryDirectory(dir=folder) as out:
            TrainingLoop(0, Path(out)).run(method, samples(videos, "r"), recipe)
            return float(json.loads((Path(out) / TRAINING_LOG).read_text())["loss"]["total"])

    def difference() -> float:
        before = copy.deepcopy(method.state_dict())
        ours = trained(small, 2 * small.batch_size)
        method.load_state_dict(before)
        expected = literal_epoch(method, losses, samples(2 * small.batch_size, None), small)
        return abs(ours - expected) / abs(expected) / 1e-5

    ours = partial(trained, recipe, videos)
    return Work(
        ours,
        lambda: literal_epoch(method, losses, samples(videos, None), recipe),
        partial(floor_of, ours, options),
        difference,
        facts=lambda: {"videos": videos, "batch_size": recipe.batch_size},
    )


def _training_video(read: Callable[[], Any], labels: Any) -> TrainingVideo:
    own = replace(VideoInput.of_rows(read()), streams={"clip": StreamInput(read, len(read()), 1)})
    return TrainingVideo(**vars(own), labels=labels, first_class=int(labels.argmax()))


def literal_epoch(
    method: Method, losses: Callable[[Batch], torch.Tensor], samples: list[TrainingVideo], recipe: Recipe
) -> float:
    """Mean loss of the first epoch under seed 0, with the batches and random numbers of the training loop."""
    # The training loop's seeds of epoch 0.
    torch.manual_seed(torch_seed([0, 0]))
    places = itertools.count()
    parameters = [p for group in method.train().groups().values() for p in group]
    begun = recipe.model_copy(update={"learning_rate": learning_rate(recipe, 0)})
    optimiser = build_optimiser(parameters, begun, fused=None)
    labels, device, found = np.stack([s.labels for s in samples]), method.task.device, []
    for indices in batches(samples, method.task.classes.normal, recipe, 0, 0):
        draws = [generator(Purpose.VIEW, 0, MAIN_STAGE, 0, next(places)) for _ in indices]
        views = [method.view(samples[i], rng) for i, rng in zip(indices, draws, strict=True)]
        stacked = {key: torch.from_numpy(np.stack([v[key] for v in views])).to(device) for key in views[0]}
        with arithmetic("fp32", device):
            loss = losses(Batch(stacked, torch.from_numpy(labels[indices]).to(device))).sum()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
        optimiser.step()
        found.append(float(loss.detach()))
    return float(np.mean(found))


def _written(folder: Path, files: int, rows: int, dim: int) -> list[Path]:
    """Files of drawn features; what has just been written is in memory still."""
    paths = [folder / f"{i}.npy" for i in range(files)]
    for i, path in enumerate(paths):
        np.save(path, np.random.default_rng(i).random((rows, dim), np.float32))
    return paths
