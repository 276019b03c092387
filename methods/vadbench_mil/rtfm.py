"""RTFM: Tian et al., "Weakly-supervised Video Anomaly Detection with Robust Temporal Feature Magnitude Learning",
ICCV 2021."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from vadbench.method import Task
from vadbench_mil.checkpoint import rtfm_names, to_ours
from vadbench_mil.config import RtfmConfig
from vadbench_mil.magnitude import MagnitudeMethod


class Rtfm(MagnitudeMethod):
    """RTFM; see :class:`RtfmConfig` for its options. It has no classes."""

    Config = RtfmConfig

    def __init__(self, config: RtfmConfig, task: Task) -> None:
        super().__init__(config, task, task.dim, config.hidden)

    def import_reference(self, state: Mapping[str, Tensor]) -> None:
        """Load the authors' weights.

        Raises:
            CheckpointError: keys or shapes differ.
        """
        self.load_state_dict(to_ours(state, self.state_dict(), rtfm_names(self.config)))
