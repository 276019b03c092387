"""Settings of the two methods: every axis of the paper's tables 5 to 10 is a field.

Source: "paper" is Dong, "CLIP: Assisted Video Anomaly Detection", ICPRAM 2024. It has no code and leaves much open; our
choices are marked as our decision.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationInfo, field_validator

from vadbench.base.config import Settings
from vadbench.base.errors import ConfigError
from vadbench.base.method_config import MethodConfig, Recipe, Rows
from vadbench.base.needs import Facts, Needs
from vadbench_descriptions.bank import BankSetting

_SMALL_VIDEO: dict[str, Any] = {
    "rows": {"stride": 4},
    "length": 64,
    "recipe": {"epochs": 40, "batch_size": 16, "learning_rate": 1e-3, "schedule": "warmup-cosine", "warmup_epochs": 4},
}
_SMALL_FRAME: dict[str, Any] = {
    "rows": {"stride": 4},
    "recipe": {"epochs": 50, "batch_size": 16, "learning_rate": 1e-2},
}
"""Settings for ``synthetic``, chosen on another copy of it (our decision; seed 1000, three seeds of training). The
video method had an AUC of 0.921 and a mAP of 0.802 (0.910 and 0.788 with 20 epochs at a constant rate), the frame
method 0.948 and 0.812 (0.936 and 0.811 with half the rate, 0.872 and 0.642 untrained)."""


class DescriptionsRecipe(Recipe):
    """Training recipe of both methods."""

    epochs: int = Field(50, ge=0, description="passes over the training split (our decision; the paper does not say)")
    batch_size: int = Field(64, ge=1, description="videos in a batch (paper), half of them normal (our decision)")
    learning_rate: float = Field(1e-5, gt=0, description="Adam's learning rate (paper)")
    weight_decay: float = Field(0.0, ge=0, description="AdamW weight decay; 0 makes it Adam (paper)")


class FrameRecipe(DescriptionsRecipe):
    """Training recipe of ``descriptions-frame``."""

    epochs: int = Field(
        50,
        ge=0,
        description="passes over the training split (our decision; the paper does not say); 0 is zero-shot CLIP on the"
        " bank's phrases, without training",
    )


class Prompt(Settings):
    """Prompt of a class for CLIP's text tower (tables 6, 8 and 9)."""

    kind: Literal["template", "learned-category", "learned-description"] = Field(
        "learned-description",
        description="table 6: 'a photo of' and the data set's words for a class; learned vectors and those words; or"
        " learned vectors and the class's description, the first phrase that the bank has for it (the data set's words"
        " if it has none)",
    )
    position: Literal["middle", "end"] = Field(
        "end",
        description="table 9: position of the words: after the learned vectors, which are separate for each class"
        " (end), or in the middle of them, which all classes share (middle); only if learned",
    )
    length: int = Field(16, ge=1, le=60, description="learned vectors (table 8: 4, 8, 16, 20, 24, 32); only if learned")

    @field_validator("position")
    @classmethod
    def _vectors_to_place(cls, position: str, info: ValidationInfo) -> str:
        if info.data.get("kind") == "template" and position != cls.model_fields["position"].default:
            raise ValueError("has no effect with prompt.kind=template, which learns no vectors; leave it out")
        return position


class Temporal(Settings):
    """Temporal model of the rows (tables 5 and 10)."""

    local: bool = Field(
        True, description="tables 5 and 10: attention among the rows of each window; false and global=false: none"
    )
    layers: int = Field(1, ge=1, description="blocks of attention (table 8: 1, 2, 3)")
    window: int = Field(16, ge=1, description="rows in a window, a divisor of length (paper: 8 and 16); only if local")
    heads: int = Field(8, ge=1, description="attention heads, a divisor of the features' width (our decision)")
    residual: bool = Field(
        True,
        description="add a row to the graphs' output for it (our decision): without, their ReLU confines rows to one"
        " orthant, which does not contain the text features",
    )
    # "global" is a keyword of Python and cannot be the name of a field.
    graphs: bool = Field(
        True, alias="global", description="tables 5 and 10: graphs over all rows, by likeness and by time"
    )


class Mil(Settings):
    """Selection of the rows of an abnormal video that count as abnormal."""

    k_ratio: int = Field(
        16, ge=1, description="rows per row that counts: of T rows the floor(T / k_ratio) + 1 highest (our decision)"
    )


class DescriptionsConfig(MethodConfig):
    """Settings of both methods."""

    model_config = ConfigDict(validate_default=True)

    descriptions: BankSetting = Field(
        "general", description="bank of phrases: its name or the path of a TOML file; its content is part of a run"
    )

    def needs(self) -> Needs:
        """Return the needs: phrases are encoded."""
        return replace(super().needs(), text=True)

    def unfit(self, facts: Facts) -> str:
        """Return what is wrong where the bank names a class that the data set lacks."""
        try:
            self.descriptions.of_classes(facts.classes)
        except ConfigError as error:
            return str(error)
        return ""

    def named_classes(self) -> list[str]:
        """Return the classes that the bank has phrases for."""
        return [name for name, _ in self.descriptions.classes]


class VideoConfig(DescriptionsConfig):
    """Settings of ``descriptions-video``."""

    dataset_defaults = {
        "ucfcrime": {"descriptions": "ucfcrime"},
        "xdviolence": {"descriptions": "xdviolence"},
        # Unmeasured. 63 abnormal training videos of 10 to 90 rows.
        "shanghaitech": {"descriptions": "shanghaitech", "length": 64, "recipe": {"batch_size": 32}},
        "synthetic": {**_SMALL_VIDEO, "descriptions": "synthetic"},
        # Four normal training videos: half batches of four, and one step an epoch.
        "ucsdped2": {
            **_SMALL_VIDEO,
            "descriptions": "ucsdped2",
            "recipe": {**_SMALL_VIDEO["recipe"], "batch_size": 8, "epochs": 60, "warmup_epochs": 6},
        },
    }
    """Settings per data set of ``descriptions-video``; the paper gives one for all."""

    rows: Rows = Rows(stride=16)
    recipe: DescriptionsRecipe = DescriptionsRecipe()
    prompt: Prompt = Prompt()
    length: int = Field(
        256,
        ge=1,
        description="rows of a training sample and of a chunk in scoring: for training, a longer video is divided into"
        " as many equal parts and one row is drawn from each; for scoring it is cut into chunks; a shorter one is"
        " padded (our decision)",
    )
    temporal: Temporal = Temporal()
    mil: Mil = Mil()
    temperature: float = Field(0.07, gt=0, description="divides cosine similarities before the softmax, tau (paper)")
    contrast_weight: float = Field(
        0.1,
        ge=0,
        description="weight of the contrast between normal and abnormal text features, lambda (paper); only if the"
        " prompt is learned",
    )

    @property
    def open_vocabulary(self) -> bool:
        """True unless vectors were learned for each class."""
        return self.prompt.kind == "template" or self.prompt.position == "middle"

    @field_validator("temporal")
    @classmethod
    def _whole_windows(cls, temporal: Temporal, info: ValidationInfo) -> Temporal:
        length = info.data.get("length", temporal.window)
        if temporal.local and length % temporal.window:
            raise ValueError(f"window must divide length = {length}, or the rows left over would attend to nothing")
        return temporal

    @field_validator("temporal")
    @classmethod
    def _something_to_train(cls, temporal: Temporal, info: ValidationInfo) -> Temporal:
        prompt = info.data.get("prompt")
        if not parts_of(temporal) and prompt is not None and prompt.kind == "template":
            raise ValueError(
                "local and global are false and prompt.kind is 'template', which leaves nothing to train; use"
                " descriptions-frame with recipe.epochs=0 for CLIP without training"
            )
        return temporal


def parts_of(temporal: Temporal) -> tuple[str, ...]:
    """Return the parts of the temporal model that are switched on."""
    return ("local",) * temporal.local + ("global",) * temporal.graphs


class FrameConfig(DescriptionsConfig):
    """Settings of ``descriptions-frame``."""

    needs_training = False
    dataset_defaults = {
        "ucfcrime": {"descriptions": "ucfcrime"},
        "xdviolence": {"descriptions": "xdviolence"},
        "shanghaitech": {"descriptions": "shanghaitech", "recipe": {"batch_size": 32}},
        "synthetic": {**_SMALL_FRAME, "descriptions": "synthetic"},
        "ucsdped2": {
            **_SMALL_FRAME,
            "descriptions": "ucsdped2",
            "recipe": {**_SMALL_FRAME["recipe"], "batch_size": 8, "epochs": 60},
        },
    }
    """Settings per data set of ``descriptions-frame``; the paper gives one for all."""

    # Runs without an epoch recorded None in the first edition.
    recipe: FrameRecipe | None = FrameRecipe()
    temperature: float = Field(0.01, gt=0, description="divides the similarities before the softmax, m (paper)")
    length: int = Field(
        256,
        ge=1,
        description="rows of a training sample: a longer video is divided into as many equal parts and one row is drawn"
        " from each (our decision)",
    )
    mil: Mil = Mil()
    vote: Literal["mean", "majority", "none"] = Field(
        "mean",
        description="a row's score: the mean of its neighbours' (our decision), the share of them whose own exceeds 0.5"
        " (paper; ties most rows), or its own",
    )
    vote_window: int = Field(
        16,
        ge=1,
        description="frames that vote: half of them before the row, the others from the row on (paper: 16); only with a"
        " vote",
    )

    @property
    def open_vocabulary(self) -> bool:
        """True: what is learned belongs to phrases, whatever the classes."""
        return True
