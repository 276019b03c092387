"""What ``vadbench score`` wrote."""

import csv
from pathlib import Path

import numpy as np

from places import PLUGIN

TINY = ["--plugin", str(PLUGIN), "--device", "cpu"]


def table(folder):
    with open(Path(folder) / "scores.csv", newline="") as file:
        return list(csv.DictReader(file))


def column(folder, name="score"):
    return np.array([float(row[name]) for row in table(folder)])


def tiny_video(home, name):
    return home / "cache" / "datasets" / "tiny" / f"{name}.mp4"
