"""Run folders with a record and nothing else."""

from vadbench.metrics.definitions import MetricValue
from vadbench.records.folders import write_record
from vadbench.records.record import RunRecord


def keep_run(out, key, method="mil", dataset="d", place=None, **changes):
    """Write ``<out>/<dataset>/<method>/<key>/result.json``, or one in the folder ``place``; the folder."""
    folder = place or out / dataset / method / key
    values = dict(
        status="finished", method=method, method_version="1", dataset=dataset, trained_on=dataset, seed=0,
        key=key, evaluation="e", protocol={"name": "native"}, config={"width": 4, "recipe": {"epochs": 9}},
        changed=[], fingerprint={}, clip={"model": "small"}, data={}, environment={}, supervision="weak",
        metrics={"AUC": MetricValue(value=0.75)}, created="2026-01-02T03:04:05+00:00",
    )  # fmt: skip
    changed = {f"recipe.{name}": value for name, value in changes.pop("recipe", {}).items()}
    if changed:
        recipe = {"epochs": 9} | {name.removeprefix("recipe."): value for name, value in changed.items()}
        values |= {"config": {"width": 4, "recipe": recipe}, "changed": list(changed)}
    write_record(folder, RunRecord(**(values | changes)))
    return folder
