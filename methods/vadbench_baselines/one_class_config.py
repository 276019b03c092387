"""Settings of the one-class methods, which learn from normal training videos alone.

Source: "Rashidi" is "Benchmark AUC Is Not Deployable Reliability", arXiv 2606.29506. It states the k of its nearest
neighbours and rows of unit length, no more; the rest is our decision.
"""

from __future__ import annotations

from pydantic import Field

from vadbench.base.config import Settings
from vadbench.base.method_config import MethodConfig, Rows
from vadbench.base.needs import Needs


class KeptRowsConfig(Settings):
    """The training rows that are kept, a uniform sample of them all."""

    capacity: int = Field(
        16384, ge=1, le=2**20, description="most rows that are kept, a uniform sample (our decision); 34 MB at 512"
    )
    seed: int | None = Field(
        None,
        ge=0,
        description="of the sample, and so of the rows that the scores are calibrated on; by default that of the run:"
        " several seeds show what the choice of rows changes where there are more than the capacity, and in the"
        " false-alarm rate where there are more than are calibrated on (our decision)",
    )


class MemoryConfig(KeptRowsConfig):
    """The training rows that a row is compared with."""

    coreset: int = Field(
        0,
        ge=0,
        description="rows of the sample that are chosen, again and again the one that is furthest from those chosen;"
        " 0 for all (our decision)",
    )


class OneClassConfig(MethodConfig):
    """Settings that the one-class methods share."""

    dataset_defaults = {"synthetic": {"rows": {"stride": 4}}, "ucsdped2": {"rows": {"stride": 1}}}
    """Per data set: both have short videos (our decision, not measured)."""

    rows: Rows = Rows(stride=16)
    normalise: bool = Field(True, description="bring rows to unit length (Rashidi)")
    quantile: float = Field(
        0.95,
        gt=0,
        le=1,
        description="share of the rows of unseen normal videos whose score is at most 0.5 (our decision)",
    )
    calibration: int = Field(
        2048, ge=1, description="rows of the sample that this is measured on, at most (our decision)"
    )

    @property
    def open_vocabulary(self) -> bool:
        """True: no score depends on the classes."""
        return True

    def needs(self) -> Needs:
        return Needs(supervision="one-class")


class KnnConfig(OneClassConfig):
    """Settings of ``knn``."""

    k: int = Field(5, ge=1, description="nearest rows whose mean distance counts (Rashidi)")
    memory: MemoryConfig = MemoryConfig()


class DensityConfig(OneClassConfig):
    """Settings of ``density``."""

    shrinkage: float = Field(
        0.1,
        gt=0,
        le=1,
        description="weight of the mean variance against the covariance; Rashidi shrinks it, by what is not said (our"
        " decision)",
    )
    memory: KeptRowsConfig = KeptRowsConfig()
