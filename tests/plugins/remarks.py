"""A method that says more than a score a row: remarks in words, further values to look at, costs, and scores of the
whole video under two rules. It may cost only so many calls a run, and stops where these are used up; what it has paid
for is kept in its cache, so that it goes on from there."""

import hashlib
from dataclasses import replace

import torch
from pydantic import Field

from vadbench import MethodSpec, hookimpl
from vadbench.base.errors import StoppedError
from vadbench.base.needs import Needs
from vadbench.method import Method, MethodConfig, Remarks, Scores


class RemarksConfig(MethodConfig):
    every: int = Field(2, ge=1, description="rows that are looked at in one call")
    most_calls: int = Field(1_000_000, ge=0, description="calls of one run, after which it stops")

    def needs(self) -> Needs:
        return replace(super().needs(), network=True, writes=True)


class RemarksMethod(Method):
    Config = RemarksConfig
    known_failures = {"learns": "how long a row is says little: AUC 0.533 on synthetic, 0.502 at random"}

    paid = 0

    def estimate(self, videos):
        return {"calls": sum(self._calls(video) for video in videos)}

    def score(self, videos):
        return [self._score(video) for video in videos]

    def _score(self, video):
        rows = torch.as_tensor(video.rows, dtype=torch.float32)
        size = rows.norm(dim=-1)
        anomaly = torch.sigmoid(size - size.mean())
        self._pay(video)
        calls = self._calls(video)
        texts = ["nothing of note" if s < 0.5 else "a large row <b> & more" for s in anomaly.tolist()]
        classes = torch.full((len(self.task.classes),), 1 / len(self.task.classes))
        return Scores(
            anomaly,
            extras={"size": size},
            video={"one": classes, "many": classes.flip(0)},
            costs={"calls": calls, "tokens": 100.5 * calls},
            remarks=Remarks.of_rows(texts),
        )

    def _calls(self, video):
        return -(-video.row_count // self.config.every)

    def _pay(self, video):
        """Count the calls of a video, unless an earlier run has made them."""
        done = self.task.cache / hashlib.sha256(f"{self.config} {video.key}".encode()).hexdigest()
        if done.exists():
            return
        if self.paid + self._calls(video) > self.config.most_calls:
            raise StoppedError(f"most_calls={self.config.most_calls} are used up before {video.name}; run it again")
        self.paid += self._calls(video)
        done.touch()


@hookimpl
def vadbench_methods():
    return [MethodSpec("remarks", "says why in words", "remarks:RemarksMethod")]
