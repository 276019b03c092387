"""Settings of VadCLIP: the authors' recipe is the default, every ablation of the paper's tables 5 to 7 a field.

Sources: "paper" is arXiv 2308.11681; "code" is the authors' repository, whose values are the defaults where the two
differ.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from vadbench.base.method_config import MethodConfig, Recipe, Rows
from vadbench.base.needs import Needs

_SMALL: dict[str, Any] = {
    "rows": {"stride": 4},
    "length": 64,
    "distance_weights": "softmax",
    "score_branch": "align",
    "recipe": {"epochs": 20, "batch_size": 16, "learning_rate": 1e-3, "milestones": (10, 15)},
}
"""Small model that trains in seconds on two CPU cores (our decision), chosen on another copy of the synthetic data set
(seed 1000, two seeds of training): the rows of the small CLIP have a length of about 50, and the graph whose weights
sum to 5.5 makes them so much longer that the coarse branch had an AUC of 0.681; with weights that sum to one it had
0.884, and the align branch 0.925."""


class VadClipRecipe(Recipe):
    """Training recipe of VadCLIP on UCF-Crime; the other data sets differ in ``dataset_defaults``."""

    epochs: int = Field(10, ge=0, description="passes over the training split (code)")
    batch_size: int = Field(
        128, ge=1, description="videos in a batch (code: 64 normal and 64 abnormal; XD-Violence 96)"
    )
    sampler: Literal["balanced", "paired", "mixed"] = Field(
        "paired",
        description="paired: half abnormal, half normal, an epoch ends with the shorter list (code, UCF-Crime); mixed:"
        " all videos shuffled (code, XD-Violence); balanced: as paired, the shorter list starting again",
    )
    learning_rate: float = Field(2e-5, gt=0, description="AdamW learning rate at first (code; XD-Violence 1e-5)")
    schedule: Literal["constant", "warmup-cosine", "steps"] = Field(
        "steps", description="learning rate over epochs (code)"
    )
    milestones: tuple[int, ...] = Field((4, 8), description="epochs at which the rate is multiplied by gamma (code)")
    look_every: int = Field(
        10,
        ge=0,
        description="under a selection rule: training steps between two evaluations of the model, counted from the"
        " start of each epoch (code; XD-Violence 0: at its end)",
    )
    rollback: bool = Field(
        True,
        description="under a selection rule: every epoch begins from the best weights so far, with the optimiser's"
        " state unchanged (code)",
    )


class VadClipConfig(MethodConfig):
    """Settings of VadCLIP."""

    model_config = ConfigDict(validate_default=True)

    reference_selection = "best-on-test"
    dataset_defaults = {
        "ucfcrime": {"prompt_words": "name"},
        "xdviolence": {
            "prompt_words": "name",
            "layers": 1,
            "window": 64,
            "divergence_weight": 1e-4,
            "score_branch": "align",
            "recipe": {
                "batch_size": 96,
                "sampler": "mixed",
                "learning_rate": 1e-5,
                "milestones": (3, 6, 10),
                "look_every": 0,
            },
        },
        # Unmeasured. 63 abnormal training videos of 10 to 90 rows.
        "shanghaitech": {
            "length": 64,
            "recipe": {"epochs": 50, "batch_size": 32, "learning_rate": 1e-4, "milestones": (30, 40)},
        },
        "synthetic": _SMALL,
        # Four normal training videos: half batches of four, and one step an epoch.
        "ucsdped2": {**_SMALL, "recipe": {**_SMALL["recipe"], "batch_size": 8, "epochs": 60, "milestones": (30, 45)}},
    }
    """Hyper-parameters per data set: the authors' code for UCF-Crime and XD-Violence; the others are ours."""

    rows: Rows = Rows(stride=16, crops="all")
    recipe: VadClipRecipe = VadClipRecipe()
    length: int = Field(
        256,
        ge=1,
        description="rows of a training sample and of a chunk in scoring: longer videos are averaged down to it for"
        " training and cut into chunks for scoring, shorter ones filled up with zeros (code)",
    )
    temporal: Literal["none", "global", "local", "graph", "local+global", "global+graph", "local+graph"] = Field(
        "local+graph",
        description="table 5: temporal model: attention among all rows or within windows, then graph convolutions"
        " (final: local+graph)",
    )
    layers: int = Field(
        2, ge=1, description="blocks of each kind of attention (code; XD-Violence 1); only if temporal has attention"
    )
    heads: int = Field(1, ge=1, description="attention heads (code); only where temporal has attention")
    window: int = Field(
        8,
        ge=1,
        description="rows in a window of local attention, a divisor of length (code; XD-Violence 64); only where"
        " temporal has local attention",
    )
    branches: Literal["coarse", "align", "both"] = Field(
        "both",
        description="table 6: a classifier of abnormal rows, the map of rows against class prompts, or both (final)",
    )
    text_prompt: Literal["handcrafted", "learned"] = Field(
        "learned",
        description="table 7: 'a video of' and the class, or learned vectors before and behind the class (final); read"
        " by the align branch",
    )
    prefix: int = Field(
        10, ge=0, description="learned vectors before the class in a prompt (paper and code); only if learned"
    )
    postfix: int = Field(
        10, ge=0, description="learned vectors behind the class in a prompt (paper and code); only if learned"
    )
    prompt_words: Literal["words", "name"] = Field(
        "words",
        description="words for a class in a prompt: those of the data set, or its official name with"
        " spaces for underscores (code: 'roadAccidents' is one word); read by the align branch",
    )
    visual_prompt: Literal["none", "average", "focus"] = Field(
        "focus",
        description="table 7: visual prompt added to the text features: none, the mean of the video's rows, or their"
        " sum weighted by the coarse branch (final); read by the align branch",
    )
    score_branch: Literal["coarse", "align", "best"] = Field(
        "coarse",
        description="which branch gives the anomaly score (the code reports coarse on UCF-Crime, align on XD-Violence;"
        " every result has both); best: the one that separated abnormal from normal videos better in the last training"
        " batches, coarse before any",
    )
    divergence_weight: float = Field(
        0.1,
        ge=0,
        description="weight of the mean absolute cosine similarity of the normal class's text feature with those of"
        " the abnormal classes (code; XD-Violence 1e-4); 0 leaves it out; only where the align branch learns prompts",
    )
    mask_padding: bool = Field(
        False,
        description="exclude the padding of a short video from attention, graphs and visual prompt; in the code it"
        " takes part, so that a score depends on the amount of padding",
    )
    distance_weights: Literal["kernel", "softmax"] = Field(
        "kernel",
        description="weights of the graph of rows near in time: exp(-distance / e) as it is, which sums to 5.5 in the"
        " middle of a video and to 3.2 at its ends (code), or divided by that sum (paper: softmax); only where temporal"
        " has the graph",
    )
    focus_weights: Literal["logits", "confidence"] = Field(
        "logits",
        description="weights of rows in the visual prompt 'focus': the coarse branch's logits, so that rows sure to be"
        " normal are subtracted (code), or its probabilities (paper); only with visual_prompt=focus",
    )

    def needs(self) -> Needs:
        """Return the needs: CLIP's text tower, unless only the coarse branch is there."""
        return replace(super().needs(), text=self.branches != "coarse")

    @field_validator("window")
    @classmethod
    def _whole_windows(cls, window: int, info: ValidationInfo) -> int:
        length = info.data.get("length", window)
        if length % window:
            raise ValueError(f"must divide length = {length}, or the rows left over would attend to nothing")
        return window

    @field_validator("postfix")
    @classmethod
    def _something_to_learn(cls, postfix: int, info: ValidationInfo) -> int:
        if not postfix and not info.data.get("prefix", 1) and info.data.get("text_prompt") == "learned":
            raise ValueError(
                "prefix and postfix are both 0, which leaves nothing to learn; set text_prompt=handcrafted"
            )
        return postfix

    @field_validator("visual_prompt")
    @classmethod
    def _coarse_to_focus(cls, prompt: str, info: ValidationInfo) -> str:
        if prompt == "focus" and info.data.get("branches") == "align":
            raise ValueError("'focus' is weighted by the coarse branch; set branches=both, or 'average' or 'none' here")
        return prompt

    @field_validator("focus_weights")
    @classmethod
    def _focus_to_weigh(cls, weights: str, info: ValidationInfo) -> str:
        branches, prompt = info.data.get("branches", "both"), info.data.get("visual_prompt", "focus")
        if weights != cls.model_fields["focus_weights"].default and (prompt != "focus" or branches != "both"):
            raise ValueError(
                f"has no effect with visual_prompt={prompt} and branches={branches}, it needs focus and both; leave it"
                " out"
            )
        return weights

    @field_validator("score_branch")
    @classmethod
    def _branch_to_score(cls, branch: str, info: ValidationInfo) -> str:
        branches = info.data.get("branches", "both")
        if branches not in ("both", branch):
            raise ValueError(f"the only branch is '{branches}'; set score_branch={branches}")
        return branch
