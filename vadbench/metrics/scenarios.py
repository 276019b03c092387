"""Metrics by scenario: how well a method finds the anomalies that were filmed in one kind of place.

The abnormal videos of a scenario are ranked against all normal videos, whatever their own scenario: data sets name the
scenario of few normal videos, and a false alarm is one anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from pydantic import BaseModel, ConfigDict

from vadbench.metrics.bootstrap import with_intervals
from vadbench.metrics.definitions import MetricValue
from vadbench.metrics.evaluation import evaluate
from vadbench.scoring.split import ScoredSplit

SCENARIO_METRICS = ("AUC", "AUC/within")
"""The metrics of each scenario. AP is none of them: its chance level differs with the number of abnormal videos."""


class ScenarioResult(BaseModel):
    """The abnormal videos of a scenario against all normal ones.

    Args:
        abnormal: number of these abnormal videos.
        metrics: :data:`SCENARIO_METRICS`, with intervals where enough videos carry them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    abnormal: int
    metrics: dict[str, MetricValue]


def by_scenario(split: ScoredSplit) -> dict[str, ScenarioResult]:
    """Return the results of every scenario with abnormal videos, those with the most first; none without scenarios."""
    rows, scenario = split.rows, np.array([v.scenario for v in split.videos])
    counts = Counter(name for name in scenario[rows.abnormal].tolist() if name)
    found = {}
    for name, abnormal in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
        own = rows.of_videos(rows.normal_videos | (rows.abnormal & (scenario == name)))
        values = {key: value for key, value in evaluate(own).items() if key in SCENARIO_METRICS}
        metrics = with_intervals(own, {key: values[key] for key in SCENARIO_METRICS})
        found[name] = ScenarioResult(abnormal=abnormal, metrics=metrics)
    return found


def of_scenarios(results: Mapping[str, ScenarioResult]) -> dict[str, MetricValue]:
    """Return the metrics of all scenarios, each under a name of its own: ``AUC in parkinglot``."""
    return {f"{key} in {name}": value for name, result in results.items() for key, value in result.metrics.items()}
