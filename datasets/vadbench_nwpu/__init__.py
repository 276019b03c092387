"""NWPU Campus as a vadbench data set."""

from vadbench import DatasetSpec, hookimpl


@hookimpl
def vadbench_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            "nwpu",
            "NWPU Campus, 547 videos of 43 scenes: 305 normal ones for training, 242 for testing, or TDSD's division",
            "vadbench_nwpu.dataset:NwpuCampus",
            "Cao et al., A New Comprehensive Benchmark for Semi-supervised Video Anomaly Detection, CVPR 2023",
        )
    ]
