"""The kinds of methods that tests try: how each is run on ``tiny``, and what its results must say of it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from places import KINDS, PLUGIN

DATASETS = ("testing_only", "three_splits", "two_truths")
METHOD_FILES = sorted(
    file.stem for file in KINDS.glob("*.py") if not file.stem.startswith("test_") and file.stem not in DATASETS
)
PLUGINS = [x for file in (PLUGIN, *(KINDS / f"{n}.py" for n in (*METHOD_FILES, *DATASETS))) for x in ("--plugin", file)]
CLIP = ("--clip", "small", "--clip-weights", "random:0")


@dataclass(frozen=True)
class Kind:
    """A method as it is run here.

    Args:
        name: of the method.
        arguments: of ``vadbench run``, beside method and data set.
        supervision, reads, marks: as its record must say.
        trains: it can be killed in its training.
        scores: arguments with which ``vadbench score --run`` takes it; a text where it is refused, for that reason.
    """

    name: str
    arguments: tuple = ()
    supervision: str = "training-free"
    reads: str = "features"
    marks: str = ""
    trains: bool = False
    scores: tuple | str = ()


WEAK = {"supervision": "weak", "trains": True}
EVERY_KIND = [
    Kind("bag-of-crops", **WEAK),
    Kind("blind-rows", reads="none"),
    Kind("brightness", reads="frames", **WEAK),
    Kind("causal", marks=" (depends on 1 row ahead)", scores=("--threshold", "1")),
    Kind("four-lines", ("--set", "recipe.batch_size=4"), **WEAK),
    Kind("frames-only", reads="frames"),
    Kind("nearest", supervision="one-class"),
    Kind("open-vocabulary"),
    Kind("oracle", supervision="oracle", reads="none", marks=" (oracle)", scores="handed the ground truth"),
    Kind("own-optimisers", **WEAK),
    Kind("picky"),
    Kind("remarks"),
    Kind("stochastic"),
    Kind("transductive", marks=" (depends on the whole split)", scores=("--threshold", "1")),
    Kind("two-groups", **WEAK),
    Kind("two-stage", **WEAK),
    Kind("two-streams", ("--features", "audio=AUDIO"), scores="it reads the streams clip, audio", **WEAK),
    # The same kinds as they come with vadbench.
    Kind("mil", ("--set", "recipe.batch_size=4", "--set", "recipe.epochs=3"), **WEAK),
    Kind("motion-energy", reads="frames", marks=" (depends on no later row)"),
    Kind("zero-shot"),
]


def save_audio(folder: Path, rows: int = 10) -> Path:
    """Write a stream of sound for the videos of ``tiny``, which have 30 frames."""
    folder.mkdir()
    for name in (*(f"train-{i}" for i in range(8)), *(f"test-{i}" for i in range(6))):
        rng = np.random.default_rng(sum(name.encode()))
        np.save(folder / f"{name}.npy", rng.standard_normal((rows, 12)).astype(np.float32))
    return folder


def save_crops(folder: Path, crops: int = 2) -> Path:
    """Write features of crops of the videos of ``tiny``, a row for 16 frames, of no encoder that is known."""
    folder.mkdir()
    for name in (*(f"train-{i}" for i in range(8)), *(f"test-{i}" for i in range(6))):
        rng = np.random.default_rng(sum(name.encode()))
        for crop in range(crops):
            np.save(folder / f"{name}__{crop}.npy", rng.standard_normal((2, 16)).astype(np.float32))
    return folder
