"""Settings of AnomalyCLIP: the published recipe is the default, every ablation of the paper's tables 7 to 15 a field.

Sources: "paper" is arXiv 2310.02835; "code" is the authors' repository, whose values are the defaults where the two
differ.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from vadbench.base.config import Settings
from vadbench.base.method_config import MethodConfig, Recipe, Share
from vadbench.base.needs import Needs

HEADS = 8
"""Number of attention heads of every temporal model."""


_SMALL: dict[str, Any] = {
    "rows": {"stride": 2},
    "emb_size": 64,
    "segments": 16,
    "segment_length": 4,
    "segment_dropout": 0.3,
    "recipe": {"epochs": 20, "batch_size": 16, "learning_rate": 1e-3, "warmup_epochs": 2, "warmup_from_zero": False},
}
"""Small model that trains in seconds on two CPU cores (our decision). ``segment_dropout`` was chosen on another copy of
the synthetic data set (seed 1000), where 0.3 gave an AUC of 0.942 and the paper's 0.7 gave 0.919."""


class AnomalyClipRecipe(Recipe):
    """Training recipe of AnomalyCLIP on UCF-Crime; the other data sets differ in ``dataset_defaults``."""

    epochs: int = Field(50, ge=0, description="passes over the training split (paper and code; ShanghaiTech 100)")
    learning_rate: float = Field(1e-5, gt=0, description="AdamW learning rate at its peak (paper: tuned per data set)")
    betas: tuple[Share, Share] = Field((0.9, 0.999), description="AdamW moment decay rates (code); paper: 0.9, 0.98")
    weight_decay: float = Field(0.2, ge=0, description="AdamW weight decay, on every parameter (paper and code)")
    schedule: Literal["constant", "warmup-cosine", "steps"] = Field(
        "warmup-cosine", description="learning rate over epochs (paper and code)"
    )
    warmup_epochs: int = Field(5, ge=0, description="epochs of linear warm-up: 10 % of the epochs (paper and code)")


class LossWeights(Settings):
    """Weights of the loss terms; a term of weight 0 is left out. Tables 12, 13 and 14 switch them."""

    direction_abnormal: float = Field(
        1.0, ge=0, description="raise the video's own class on top-K segments of abnormal videos (L_DIR_A, table 12)"
    )
    direction_normal: float = Field(
        1.0, ge=0, description="lower the largest class similarity on all rows of normal videos (L_DIR_N, table 12)"
    )
    direction_top_normal: float = Field(
        0.0, ge=0, description="as direction_normal, on top-K segments only (L_DIR_N+, table 14; set the other to 0)"
    )
    direction_bottom_abnormal: float = Field(
        0.0,
        ge=0,
        description="lower the video's own class on bottom-K segments of abnormal videos (L_DIR_A-, table 14)",
    )
    top_abnormal: float = Field(
        1.0, ge=0, description="negative log-likelihood of the class on top-K segments of abnormal videos (L_A+)"
    )
    bottom_abnormal: float = Field(
        1.0, ge=0, description="negative log-likelihood of normal on bottom-K segments of abnormal videos (L_A-)"
    )
    top_normal: float = Field(
        1.0, ge=0, description="negative log-likelihood of normal on top-K segments of normal videos (L_N+)"
    )
    smooth: float = Field(8e-4, ge=0, description="squared steps of the abnormal videos' scores, summed (lambda 2)")
    sparse: float = Field(8e-3, ge=0, description="mean score of abnormal videos (lambda 1)")
    smooth_within: Literal["batch", "video", "segment"] = Field(
        "batch",
        description="which neighbours the smooth term joins: batch = all rows end to end, so also the last row of one"
        " video with the first of the next, which are unrelated (code); video or segment stop at that border; only with"
        " a smooth term",
    )

    @field_validator("smooth_within")
    @classmethod
    def _something_to_smooth(cls, within: str, info: ValidationInfo) -> str:
        if within != cls.model_fields["smooth_within"].default and info.data.get("smooth") == 0:
            raise ValueError("has no effect with loss.smooth=0; leave it out or give the term weight")
        return within


class AnomalyClipConfig(MethodConfig):
    """Settings of AnomalyCLIP."""

    model_config = ConfigDict(validate_default=True)

    dataset_defaults = {
        "ucfcrime": {"prompt_words": "name"},
        "xdviolence": {"emb_size": 128, "recipe": {"learning_rate": 5e-6}},
        "shanghaitech": {
            "depth": 2,
            "temporal_features": "both",
            "recipe": {"learning_rate": 5e-4, "epochs": 100, "warmup_epochs": 10},
        },
        "synthetic": _SMALL,
        # Four normal training videos: half batches of four, and one step an epoch.
        "ucsdped2": {**_SMALL, "recipe": {**_SMALL["recipe"], "batch_size": 8, "epochs": 60, "warmup_epochs": 6}},
    }
    """Hyper-parameters per data set: the paper's appendices A and B, as the code has them; the small ones are ours."""

    recipe: AnomalyClipRecipe = AnomalyClipRecipe()
    loss: LossWeights = LossWeights()
    text_encoder: Literal["none", "frozen", "finetune_projection"] = Field(
        "finetune_projection",
        description="table 7: no text, CLIP's as it is, or CLIP's with its last projection trained (code; the paper"
        " calls the encoder frozen in its text and trains the projection in its final model)",
    )
    directions: Literal["free", "prompt", "coop"] = Field(
        "coop",
        description="table 7: class directions optimised without text, from the prompt 'a video from a CCTV camera of"
        " a {class}', or from learned context vectors before the class name (final)",
    )
    prompt_words: Literal["words", "name"] = Field(
        "words",
        description="words for a class in a prompt: those of the data set, or its official name with"
        " spaces for underscores (code: 'RoadAccidents' is one word); only with directions=prompt or coop",
    )
    n_ctx: int = Field(
        8, ge=1, le=60, description="learned context vectors in a prompt (table 8: 4, 8, 16); only with directions=coop"
    )
    shared_context: bool = Field(
        False, description="one set of context vectors for all classes (table 8); only with directions=coop"
    )
    likelihood: Literal["cosine", "selector"] = Field(
        "selector",
        description="table 9: class likelihood from CLIP's cosine similarity at its temperature of 100, or from the"
        " batch-normalised projection on the class directions (final)",
    )
    centre_features: bool = Field(True, description="table 9: subtract the mean row of normal training videos")
    mil_selection: Literal["cosine", "magnitude", "selector"] = Field(
        "selector",
        description="table 9: what ranks the segments of a video: cosine similarity with the class direction, length"
        " of the feature vector, or the selector's similarity (final)",
    )
    segments: int = Field(32, ge=1, description="segments a video is seen as, S of the paper")
    segment_length: int = Field(16, ge=1, description="rows in a segment, F of the paper (rows are frames there)")
    top_k: int = Field(3, ge=1, description="most abnormal segments chosen of a video")
    bottom_k: int = Field(3, ge=1, description="least abnormal segments chosen of an abnormal video")
    segment_dropout: float = Field(0.7, ge=0, lt=1, description="share of segments hidden from the choice in training")
    separate_masks: bool = Field(
        False,
        description="hide other segments from the bottom-K choice than from the top-K one; the code draws two masks"
        " and uses the second for both, which ties the two choices together; only with segment_dropout",
    )
    refill_masks: bool = Field(
        False,
        description="always leave as many segments as are chosen; in the code a video with fewer than K left (one in"
        " 800) gets hidden segments in arbitrary order; only with segment_dropout",
    )
    temporal: Literal["mlp", "short", "long", "mtn", "axial"] = Field(
        "axial",
        description="table 10: no time (3-layer MLP), transformer inside each segment, transformer over segment means,"
        " RTFM's multi-scale network over segment means, or axial transformer over both (final)",
    )
    temporal_features: Literal["features", "selector", "both"] = Field(
        "features", description="table 15: what the temporal model reads; both on ShanghaiTech (paper and code)"
    )
    emb_size: int = Field(256, ge=8, multiple_of=HEADS, description="width of the temporal model (table 11)")
    depth: int = Field(
        1,
        ge=1,
        description="layers of the temporal model's transformer (table 11); only with temporal=short, long or axial",
    )

    def needs(self) -> Needs:
        """Return the needs: CLIP's text tower, unless class directions are free, and normal rows for the centroid."""
        needs = replace(super().needs(), text=self.directions != "free")
        return needs if self.trains or not self.centre_features else replace(needs, supervision="one-class")

    @field_validator("recipe")
    @classmethod
    def _balanced(cls, recipe: AnomalyClipRecipe) -> AnomalyClipRecipe:
        if recipe.sampler != "balanced":
            raise ValueError("recipe.sampler must be 'balanced': the losses compare an abnormal half with a normal one")
        return recipe

    @field_validator("directions")
    @classmethod
    def _text_for_prompts(cls, directions: str, info: ValidationInfo) -> str:
        encoder = info.data.get("text_encoder")
        if (directions == "free") != (encoder == "none"):
            raise ValueError(f"directions 'free' and text_encoder 'none' go together, text_encoder is '{encoder}'")
        return directions

    @field_validator("shared_context")
    @classmethod
    def _context_to_share(cls, shared: bool, info: ValidationInfo) -> bool:
        directions = info.data.get("directions", "coop")
        if shared and directions != "coop":
            raise ValueError(f"has no effect with directions={directions}, it needs coop; leave it out")
        return shared

    @field_validator("separate_masks", "refill_masks")
    @classmethod
    def _segments_to_hide(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("segment_dropout") == 0:
            raise ValueError("has no effect with segment_dropout=0, which hides no segment; leave it out")
        return value

    @field_validator("mil_selection")
    @classmethod
    def _selector_to_select(cls, selection: str, info: ValidationInfo) -> str:
        if selection == "selector" and info.data.get("likelihood") == "cosine":
            raise ValueError("likelihood 'cosine' has no selector; set mil_selection to 'cosine' or 'magnitude'")
        return selection

    @field_validator("segment_length")
    @classmethod
    def _room_to_draw(cls, length: int, info: ValidationInfo) -> int:
        segments = info.data.get("segments", length)
        if length > segments + 1:
            raise ValueError(f"segment_length must be at most segments + 1 = {segments + 1} to draw a training sample")
        return length

    @field_validator("top_k", "bottom_k")
    @classmethod
    def _enough_segments(cls, k: int, info: ValidationInfo) -> int:
        segments = info.data.get("segments", k)
        if k > segments:
            raise ValueError(f"must be at most segments = {segments}")
        return k
