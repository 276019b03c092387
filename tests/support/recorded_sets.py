"""The recorded sets that parity tests compare with: where they lie, and how they are read."""

from __future__ import annotations

import importlib.util
import os
from functools import cached_property, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest


class Golden:
    """The recorded sets of a method: every folder with a ``recipe.json`` below its own is one; ``VADBENCH_GOLDEN``
    names another place."""

    def __init__(self, name: str) -> None:
        self.folder = Path(os.environ.get("VADBENCH_GOLDEN", Path(__file__).parents[1] / "golden")) / name
        self.sets = sorted(p.parent.name for p in self.folder.glob("*/recipe.json"))

    @cached_property
    def load(self) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"{self.folder.name}_golden", self.folder / "load.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    @property
    def cases(self) -> list[Any]:
        """Sets with each of their configurations as parameters of tests; none where there is no set."""
        return [pytest.param((s, c), id=f"{s}-{c}") for s in self.sets for c in self.load.CONFIGS]

    @property
    def variants(self) -> list[str]:
        """The variants of a training step; none where there is no set."""
        return list(self.load.VARIANTS) if self.sets else []

    @lru_cache  # noqa: B019 - one for each method, for the whole session
    def seed(self, name: str) -> int:
        return int(self.load.recipe(name)["seed"])

    @lru_cache  # noqa: B019
    def arrays(self, name: str, file: str) -> dict[str, np.ndarray]:
        with np.load(self.folder / name / f"{file}.npz", allow_pickle=False) as content:
            return {key: content[key] for key in content.files}
