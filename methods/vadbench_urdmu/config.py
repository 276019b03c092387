"""Settings of UR-DMU: the authors' recipe is the default, every ablation of the paper's tables 3 to 6 a field.

Sources: "code" is the authors' repository, whose values are the defaults; "paper" is Zhou, Yu and Yang, AAAI 2023.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from vadbench.base.method_config import MethodConfig, Recipe, Rows
from vadbench.base.naming import written

_SMALL: dict[str, Any] = {
    "rows": {"stride": 4},
    "segments": 64,
    "width": 64,
    "head_width": 16,
    "feed_forward": 64,
    "recipe": {"batch_size": 16, "steps": 150, "learning_rate": 1e-3},
}
"""Small model that trains in seconds on two CPU cores (our decision): as wide as the rows of the small CLIP, with the
rows, the batch and the rate of the other methods on these data sets, and steps until the loss of the training videos
has come to rest. Nothing was chosen by scores of test videos."""


class UrDmuRecipe(Recipe):
    """Training recipe of UR-DMU, the same on UCF-Crime and XD-Violence."""

    sampler: Literal["balanced", "paired", "mixed", "cycled"] = Field(
        "cycled",
        description="cycled: half abnormal, half normal, each list starting again in a new order when it is used up"
        " (code); balanced, paired: the same halves, both lists starting again at each epoch",
    )
    batch_size: int = Field(128, ge=2, description="samples in a batch: 64 normal and 64 abnormal (code)")
    steps: int = Field(3000, ge=0, description="training steps in all (code); 0: as many epochs as epochs says")
    optimiser: Literal["adamw", "adam-l2", "stable-adamw"] = Field(
        "adam-l2", description="Adam with weight decay added to the gradient (code)"
    )
    learning_rate: float = Field(1e-4, gt=0, description="learning rate of all steps (code)")
    weight_decay: float = Field(5e-5, ge=0, description="weight decay, on every parameter (code)")
    look_every: int = Field(
        10, ge=0, description="under a selection rule: training steps between two evaluations of the model (code)"
    )
    look_count: Literal["epoch", "run"] = Field(
        "run", description="run: the steps between evaluations are counted over the whole training (code)"
    )
    look_from: int = Field(20, ge=0, description="training steps before the first evaluation (code)")

    @field_validator("sampler")
    @classmethod
    def _both_kinds(cls, sampler: str) -> str:
        if sampler == "mixed":
            raise ValueError("must be 'cycled', 'balanced' or 'paired': the loss pairs normal with abnormal samples")
        return sampler


_MEMORY: dict[str, tuple[Any, ...]] = {"memory": ("dual", "single")}
_NOISE = {**_MEMORY, "uncertainty": (True,)}
_LENGTHS = {"memory": ("dual",), "uncertainty": (True,)}
_NEEDED: dict[str, dict[str, tuple[Any, ...]]] = {
    "local_rows": {"local": (True,)},
    "abnormal_slots": {"memory": ("dual",)},
    "normal_slots": _MEMORY,
    "uncertainty": _MEMORY,
    "memory_weight": _MEMORY,
    "triplet_weight": _MEMORY,
    "kl_weight": _NOISE,
    "kl_axis": _NOISE,
    "distance_weight": _LENGTHS,
    "anchor": _LENGTHS,
}
"""The values of other settings that a setting needs to have an effect."""
_TERM = {"kl_axis": "kl_weight", "anchor": "distance_weight"}
"""The weight of the term that a setting changes."""


class UrDmuConfig(MethodConfig):
    """Settings of UR-DMU."""

    model_config = ConfigDict(validate_default=True)

    reference_selection = "best-on-test"
    dataset_defaults = {
        # Unmeasured. 63 abnormal training videos of 10 to 90 rows.
        "shanghaitech": {"segments": 64, "recipe": {"batch_size": 64, "steps": 1000}},
        "synthetic": _SMALL,
        # Four normal training videos: half batches of four.
        "ucsdped2": {**_SMALL, "recipe": {**_SMALL["recipe"], "batch_size": 8}},
    }
    """Ours; UCF-Crime and XD-Violence have the defaults, which are the authors' for both."""

    rows: Rows = Rows(stride=16, crops="all")
    recipe: UrDmuRecipe = UrDmuRecipe()
    segments: int = Field(
        200, ge=1, description="rows of a training sample, each the mean of a part of a video (code); scoring reads all"
    )
    edges: Literal["rounded", "exact"] = Field(
        "rounded",
        description="where these parts begin: at multiples of rows / segments rounded to a float64, which is a row too"
        " early for some numbers of rows (code), or exactly",
    )
    width: int = Field(512, ge=1, description="width of a row behind the first layer (code)")
    layers: int = Field(2, ge=1, description="layers of attention (code)")
    heads: int = Field(4, ge=1, description="attention heads (code)")
    head_width: int = Field(128, ge=1, description="units of a head (code)")
    feed_forward: int = Field(512, ge=1, description="hidden units of the layer behind attention (code)")
    dropout: float = Field(
        0.5, ge=0, lt=1, description="share of units left out behind attention and in the layer behind it (code)"
    )
    local: bool = Field(
        True,
        description="table 6: beside global attention, means of rows weighted by their distance in time (final); false:"
        " a plain transformer",
    )
    local_rows: Literal["column", "row"] = Field(
        "column",
        description="the sum by which a weight of the local means is divided: of its column, so that those of a row do"
        " not sum to one (code), or of its row (paper); only with local",
    )
    memory: Literal["dual", "single", "none"] = Field(
        "dual",
        description="tables 3 and 6: a memory for abnormal and one for normal rows (final), only the normal one, or"
        " none; what is left without one is our decision",
    )
    abnormal_slots: int = Field(
        60, ge=1, description="table 4: slots of the abnormal memory (final: 60); only with memory=dual"
    )
    normal_slots: int = Field(
        60, ge=1, description="table 4: slots of the normal memory (final: 60); not with memory=none"
    )
    uncertainty: bool = Field(
        True,
        description="table 6: in training, noise of a learned variance on what normal rows read from the normal memory"
        " (final); not with memory=none",
    )
    memory_weight: float = Field(
        0.1,
        ge=0,
        description="table 5: weight of each term of the memories' slot scores (code); 0 leaves them out; not with"
        " memory=none",
    )
    triplet_weight: float = Field(
        0.1, ge=0, description="table 5: weight of the triplet term (code); 0 leaves it out; not with memory=none"
    )
    kl_weight: float = Field(
        0.001,
        ge=0,
        description="table 5: weight of the divergence of the latent from a standard normal one (code); 0 leaves it"
        " out; only with uncertainty",
    )
    kl_axis: Literal["rows", "units"] = Field(
        "rows",
        description="what the divergence is a sum over, its mean being taken over the others: rows, so that it grows"
        " with their number (code), or units, as of a Gaussian latent; only with uncertainty and kl_weight",
    )
    distance_weight: float = Field(
        1e-4,
        ge=0,
        description="table 5: weight of the distance of the lengths of normal and abnormal latents (code); 0 leaves it"
        " out; only with uncertainty and memory=dual",
    )
    anchor: Literal["now", "published"] = Field(
        "now",
        description="rows of a normal sample whose latents are compared in length: its own highest in the normal memory"
        " (code since March 2023), or those of the same numbers as its abnormal partner's highest in the abnormal one"
        " (code of the published weights and figures); only with uncertainty, memory=dual and distance_weight",
    )

    @property
    def takes_bags(self) -> bool:
        """True: crops of a video may be one sample, as the authors' model allows and their scripts do not use."""
        return True

    @field_validator(*_NEEDED)
    @classmethod
    def _has_an_effect(cls, value: Any, info: ValidationInfo) -> Any:
        name = str(info.field_name)
        usual = cls.model_fields[name].default
        for other, needed in _NEEDED[name].items() if value != usual else ():
            found = info.data.get(other, needed[0])
            if found not in needed:
                raise ValueError(
                    f"has no effect with {other}={written(found)}; leave it at {written(usual)}, or set"
                    f" {other}={written(needed[0])}"
                )
        return value

    @field_validator(*_TERM)
    @classmethod
    def _has_a_term(cls, value: Any, info: ValidationInfo) -> Any:
        name = str(info.field_name)
        usual = cls.model_fields[name].default
        if value != usual and info.data.get(_TERM[name]) == 0:
            raise ValueError(f"has no effect with {_TERM[name]}=0; leave it at {written(usual)}")
        return value
