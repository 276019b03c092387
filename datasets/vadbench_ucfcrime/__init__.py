"""UCF-Crime as a vadbench data set."""

from vadbench import DatasetSpec, hookimpl


@hookimpl
def vadbench_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            "ucfcrime",
            "UCF-Crime, 1,900 surveillance videos of 13 kinds of anomaly (1,610 train, 290 test)",
            "vadbench_ucfcrime.dataset:UcfCrime",
            "Sultani et al., Real-World Anomaly Detection in Surveillance Videos, CVPR 2018",
        )
    ]
