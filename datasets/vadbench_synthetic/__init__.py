"""The synthetic data set: a procedural street, rendered to real video files on first use."""

from vadbench import DatasetSpec, hookimpl


@hookimpl
def vadbench_datasets() -> list[DatasetSpec]:
    """Return the one data set of this plugin."""
    return [
        DatasetSpec(
            "synthetic",
            "Procedural street videos with six kinds of anomaly; made on first use, no download",
            "vadbench_synthetic.dataset:Synthetic",
        )
    ]
