"""UBnormal as a vadbench data set."""

from vadbench import DatasetSpec, hookimpl


@hookimpl
def vadbench_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            "ubnormal",
            "UBnormal, 543 rendered videos of 29 scenes, anomalies of other types in test than in training (268 train,"
            " 64 validation, 211 test)",
            "vadbench_ubnormal.dataset:UbNormal",
            "Acsintoae et al., UBnormal: New Benchmark for Supervised Open-Set Video Anomaly Detection, CVPR 2022",
        )
    ]
