"""Settings of ``prompt-contrast``: every switch of its papers' tables is a field.

Sources: "NOVA" is Yin, Kao, Lin and Tseng, arXiv 2609.06360, 2026; "Flashback" is Lee, Kim, Kim and Choi, arXiv
2505.15205, as others describe it. Neither has public code. What they leave open is marked as our decision.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, SerializationInfo, model_validator

from vadbench.base.config import Settings
from vadbench.base.errors import ConfigError
from vadbench.base.fields import FromFile
from vadbench.base.method_config import MethodConfig, Rows
from vadbench.base.needs import Facts, Needs
from vadbench_descriptions.bank import Bank, bank_names, find_bank, written_bank

ANOMALOUS_PREFIX, NORMAL_PREFIX = "Anomalous scene: ", "Normal scene: "
"""What a sentence of each side begins with (NOVA)."""


def _found(value: Any) -> Bank | None:
    return None if value is None else find_bank(value)


def _written(bank: Bank | None, info: SerializationInfo) -> Any:
    return None if bank is None else written_bank(bank, info)


class Prefixes(Settings):
    """What a sentence of each side begins with."""

    anomalous: str = Field(
        ANOMALOUS_PREFIX, description="before a sentence of the anomalous side (NOVA); only with scoring=contrast"
    )
    normal: str = Field(
        NORMAL_PREFIX,
        description="before a sentence of the normal side (NOVA); only with scoring=contrast and sides=both",
    )


class OwnAnchor(Settings):
    """The video's own beginning as one more sentence of every class's normal side."""

    enabled: bool = Field(True, description="use it (NOVA: VNA); only with scoring=contrast and sides=both")
    rows: int = Field(32, ge=1, description="sampled rows at the beginning that it is the weighted mean of (NOVA)")
    temperature: float = Field(
        0.3, gt=0, description="divides the preliminary scores in the softmax that weighs these rows (NOVA)"
    )
    minimum: int = Field(
        1, ge=1, description="sampled rows below which a video has no anchor; 1: always one, as the text reads"
    )


class MotionGate(Settings):
    """Motion between neighbouring rows: rows are averaged, and the scores of still ones lowered."""

    enabled: bool | None = Field(
        None,
        description="use it (NOVA: MAS); by default with a row for every frame (rows.stride=1) alone, for which it was"
        " made",
    )
    window: int = Field(5, ge=1, description="rows whose mean takes the place of the one in their middle; odd (NOVA)")
    threshold: float = Field(0.02, description="motion at which the gate is half open (NOVA)")
    slope: float = Field(20.0, gt=0, description="steepness of the gate (NOVA)")

    @model_validator(mode="after")
    def _with_a_middle(self) -> MotionGate:
        if self.window % 2 == 0:
            raise ValueError("window must be odd, so that a row is in its middle")
        return self


class RetrievalScoring(Settings):
    """Scoring by the nearest sentences of both sides (Flashback); only with ``scoring=retrieval``."""

    nearest: int = Field(10, ge=1, description="sentences that count (Flashback, as others describe it)")
    alpha: float = Field(
        0.95, gt=0, description="factor of the anomalous sentences' features (Flashback; chosen on its test sets)"
    )
    temperature: float = Field(
        1.0, gt=0, description="divides the similarities in the softmax of those that count (our decision)"
    )
    template: str = Field(
        "{side} scene, {category}: {sentence}",
        description="words around a sentence: {side}, {category} (the class) and {sentence}; the paper's are not"
        " printed (our decision)",
    )

    @model_validator(mode="after")
    def _has_a_place_for_the_sentence(self) -> RetrievalScoring:
        if "{sentence}" not in self.template:
            raise ValueError("template must contain {sentence}")
        return self


class PromptContrastConfig(MethodConfig):
    """Settings of ``prompt-contrast``."""

    model_config = ConfigDict(validate_default=True)
    dataset_defaults = {
        name: {"descriptions": f"{name}_contrast"}
        for name in ("ucfcrime", "xdviolence", "shanghaitech", "ucsdped2", "synthetic")
    }

    rows: Rows = Rows(stride=16, pooling="first")
    descriptions: Annotated[Bank | None, FromFile(), BeforeValidator(_found), PlainSerializer(_written)] = Field(
        None,
        description="bank of sentences: its name or the path of a TOML file; its content is part of a run; a data set"
        " for which one comes with the method need not name it",
    )
    scoring: Literal["contrast", "retrieval"] = Field(
        "contrast",
        description="contrast: for each class the anomalous side against the normal one (NOVA); retrieval: the share of"
        " anomalous sentences among the nearest (Flashback)",
    )
    sides: Literal["both", "anomalous"] = Field(
        "both", description="anomalous: the anomalous side alone (NOVA's table 3; the formula is our decision)"
    )
    normals: Literal["class", "shared"] = Field(
        "class",
        description="normal side of a class: its own in the bank's table normals (NOVA: NA), or for every class the"
        " bank's list normal; only with sides=both",
    )
    sentences: int = Field(0, ge=0, description="sentences of each side that are used, the first ones; 0 for all")
    top_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="share of a side's cosines, the highest, whose mean speaks for it (NOVA); only with"
        " scoring=contrast",
    )
    alpha: float = Field(0.9, gt=0, description="factor of the anomalous side (NOVA); contrast with both sides only")
    tau: float = Field(0.03, gt=0, description="divides the difference of the sides (NOVA); as alpha")
    anchor: OwnAnchor = OwnAnchor()
    motion: MotionGate = MotionGate()
    sample: int = Field(
        16,
        ge=1,
        description="with a row for every frame: frames from one that is scored to the next, between which scores are"
        " interpolated (NOVA; which of 16 is our decision: the first)",
    )
    prefixes: Prefixes = Prefixes()
    retrieval: RetrievalScoring = RetrievalScoring()

    @model_validator(mode="after")
    def _two_sides_to_retrieve_from(self) -> PromptContrastConfig:
        if self.scoring == "retrieval" and self.sides != "both":
            raise ValueError("scoring=retrieval needs sides=both: without normal sentences every score would be 1")
        return self

    @property
    def open_vocabulary(self) -> bool:
        """True: nothing is learned."""
        return True

    @property
    def anchored(self) -> bool:
        """True if the video's own beginning counts as normal."""
        return self.anchor.enabled and self.scoring == "contrast" and self.sides == "both"

    @property
    def gated(self) -> bool:
        """True if motion counts."""
        return self.rows.stride == 1 if self.motion.enabled is None else self.motion.enabled

    @property
    def step(self) -> int:
        """Rows from one that is scored to the next."""
        return self.sample if self.rows.stride == 1 else 1

    def needs(self) -> Needs:
        """Return the needs: sentences are encoded."""
        return replace(super().needs(), text=True)

    def post(self) -> str:
        """Return the Gaussian that ends NOVA's scoring, of 50 frames."""
        return "gaussian(50f)"

    def unfit(self, facts: Facts) -> str:
        """Return what to do where no bank is named, or what is wrong where it names a class that the data set lacks."""
        if self.descriptions is None:
            return (
                "no bank of sentences comes for it; name one with --descriptions, a TOML file of your own or one of"
                f" {', '.join(bank_names())}"
            )
        try:
            self.descriptions.of_classes(facts.classes)
        except ConfigError as error:
            return str(error)
        return ""

    def named_classes(self) -> list[str]:
        """Return the classes that the bank has sentences for."""
        return [] if self.descriptions is None else [name for name, _ in self.descriptions.classes]
