"""A method that says more than a score a row: remarks in words, further values to look at, costs, and scores of the
whole video under two rules. It asks a budget before each video and stops where that is used up."""

import torch
from pydantic import Field

from vadbench import MethodSpec, hookimpl
from vadbench.method import Method, MethodConfig, Remarks, Scores


class RemarksConfig(MethodConfig):
    every: int = Field(2, ge=1, description="rows that are looked at in one call")


class RemarksMethod(Method):
    Config = RemarksConfig

    def score(self, videos):
        return [self._score(video) for video in videos]

    def _score(self, video):
        rows = torch.as_tensor(video.rows, dtype=torch.float32)
        size = rows.norm(dim=-1)
        anomaly = torch.sigmoid(size - size.mean())
        calls = -(-video.row_count // self.config.every)
        texts = ["nothing of note" if s < 0.5 else "a large row <b> & more" for s in anomaly.tolist()]
        classes = torch.full((len(self.task.classes),), 1 / len(self.task.classes))
        return Scores(
            anomaly,
            extras={"size": size},
            video={"one": classes, "many": classes.flip(0)},
            costs={"calls": calls, "tokens": 100.5 * calls},
            remarks=Remarks.of_rows(texts),
        )


@hookimpl
def vadbench_methods():
    return [MethodSpec("remarks", "says why in words", "remarks:RemarksMethod", config="remarks:RemarksConfig")]
