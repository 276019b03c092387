"""Folders of .npy files."""

import numpy as np

DIM = 6


def some_rows(rows, *shape, seed=0, dtype=np.float32):
    return np.random.default_rng([seed, rows]).standard_normal((rows, *(shape or (DIM,)))).astype(dtype)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.save(file, array)
    return array
