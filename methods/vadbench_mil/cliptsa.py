"""CLIP-TSA: Joo et al., "CLIP-TSA: CLIP-Assisted Temporal Self-Attention for Weakly-Supervised Video Anomaly
Detection", ICIP 2023. RTFM's network and losses behind a selection of rows."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from vadbench.method import Scores, Task, VideoInput
from vadbench.nn.linear import Linear
from vadbench.nn.parts import crops_in_parts
from vadbench_mil.checkpoint import FRONT_UNITS, cliptsa_names, to_ours, unread_shapes
from vadbench_mil.config import ClipTsaConfig
from vadbench_mil.magnitude import MagnitudeMethod
from vadbench_mil.selection import TemporalSelection

NARROW = 512
"""Width to which wider rows are narrowed, and the widest that are not."""
RTFM_WIDTH = 2048
"""Width of RTFM's rows: all of the network is as many times smaller as rows are (section 2.2)."""


class ClipTsa(MagnitudeMethod):
    """CLIP-TSA; see :class:`ClipTsaConfig` for its options. It has no classes.

    Scores are random unless ``selection.noise`` is "none": their noise is that of the run's seed and the video.
    """

    Config = ClipTsaConfig

    def __init__(self, config: ClipTsaConfig, task: Task) -> None:
        width = task.dim if fits(task.dim) else NARROW
        super().__init__(config, task, width, scaled_units(width))
        self.selection = TemporalSelection(width, config.selection) if config.selection.enabled else None
        # Made last and drawn as torch does, as in the authors' code.
        self.front = None if fits(task.dim) else _front(task.dim)

    def related(self, rows: Tensor) -> Tensor:
        """Return the network's rows ``(S, T, width)`` of sequences of training samples ``(S, T, dim)``."""
        narrowed = self.narrowed(rows)
        if self.selection is None:
            return super().related(narrowed)
        with _exactly(rows):
            selected = narrowed.float() * self.selection(narrowed)[..., None]
        return super().related(selected)

    def narrowed(self, rows: Tensor) -> Tensor:
        """Return rows ``(S, T, width)`` of rows ``(S, T, dim)``: the same, unless they are too wide (section 2.0)."""
        return rows if self.front is None else self.front(rows)

    def score_bag(self, video: VideoInput, bag: Tensor) -> Scores:
        """Return the scores of a video whose rows are ``(crops, T, dim)``, and over several scorings their spread."""
        parts = [self.narrowed(part) for part in crops_in_parts(bag)]
        if self.selection is None:
            return Scores(torch.cat([self.in_time(part) for part in parts]).mean(0))
        rng, scores = video.rng(), []
        with _exactly(bag):
            rates = torch.cat([self.selection.rates(part) for part in parts])
        for _ in range(self.config.selection.repeats):
            with _exactly(bag):
                shares = self.selection.scoring_shares(rates, rng)[..., None].split([len(part) for part in parts])
            scores.append(torch.cat(list(map(self.in_time, parts, shares))).mean(0))
        found = torch.stack(scores)
        return Scores(found.mean(0), extras={"spread": found.std(0)} if len(scores) > 1 else {})

    def import_reference(self, state: Mapping[str, Tensor]) -> None:
        """Load the authors' weights.

        Raises:
            CheckpointError: keys or shapes differ.
        """
        names = cliptsa_names(self.config, front=self.front is not None)
        width = self.task.dim if self.front is None else NARROW
        unread = unread_shapes(names, self.task.dim, width, NARROW)
        self.load_state_dict(to_ours(state, self.state_dict(), names, unread))


def fits(dim: int) -> bool:
    """Return True if the network takes rows of a width as they are: up to 512 wide, and four branches together as wide
    as a row (section 2.2)."""
    if not 16 <= dim <= NARROW:
        return False
    return 4 * scaled_units(dim)[0] == dim


def scaled_units(width: int) -> tuple[int, int]:
    """Return the units of the hidden layers of the scoring network: 512 and 128, divided as the width is.

    >>> scaled_units(512), scaled_units(64)
    ((128, 32), (16, 4))
    """
    divisor = RTFM_WIDTH // width
    return 512 // divisor, 128 // divisor


def _exactly(rows: Tensor) -> torch.autocast:
    """Return a context without autocast: a choice must not depend on the few bits of a bfloat16."""
    return torch.autocast(rows.device.type, enabled=False)


def _front(dim: int) -> nn.Module:
    return nn.Sequential(Linear(dim, FRONT_UNITS), nn.ReLU(), Linear(FRONT_UNITS, NARROW), nn.Sigmoid())
