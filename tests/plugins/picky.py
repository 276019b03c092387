"""A method that does not fit every data set: it says so in its settings, and is asked before anything starts."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from pydantic import Field

from vadbench import MethodSpec, hookimpl
from vadbench.base.needs import Facts, Needs
from vadbench.method import Method, MethodConfig, Scores, VideoInput


class PickyConfig(MethodConfig):
    most_classes: int = Field(1, ge=1, description="abnormal classes that it can tell apart")
    reads_frames: bool = Field(False, description="whether it decodes the videos")
    reads_audio: bool = Field(False, description="whether it reads a second stream")

    def needs(self) -> Needs:
        streams = ("clip", "audio") if self.reads_audio else ("clip",)
        return replace(super().needs(), streams=streams, frames=self.reads_frames)

    def unfit(self, facts: Facts) -> str:
        found = len(facts.classes.abnormal)
        if found > self.most_classes:
            return f"it tells {self.most_classes} abnormal classes apart, found {found}; raise most_classes"
        if facts.videos is not None and facts.videos.get(("test", "normal"), 0) > 4:
            return "it wants at most 4 normal test videos; choose another data set"
        return ""


class Picky(Method):
    Config = PickyConfig

    def score(self, videos: Sequence[VideoInput]) -> list[Scores]:
        return [Scores(torch.linspace(0, 1, video.row_count)) for video in videos]


@hookimpl
def vadbench_methods() -> list[MethodSpec]:
    return [MethodSpec("picky", "fits few data sets", "picky:Picky")]
