"""MSAD as a vadbench data set."""

from vadbench import DatasetSpec, hookimpl


@hookimpl
def vadbench_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            "msad",
            "MSAD, 720 surveillance videos of 14 scenarios and 11 kinds of anomaly (480 train, 240 test)",
            "vadbench_msad.dataset:Msad",
            "Zhu et al., Advancing Video Anomaly Detection: A Concise Review and a New Dataset, NeurIPS 2024",
        )
    ]
