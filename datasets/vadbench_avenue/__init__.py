"""CUHK Avenue as a vadbench data set."""

from vadbench import DatasetSpec, hookimpl


@hookimpl
def vadbench_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            "avenue",
            "CUHK Avenue, 37 videos of one walkway: 16 normal ones for training, 21 for testing",
            "vadbench_avenue.dataset:Avenue",
            "Lu, Shi and Jia, Abnormal Event Detection at 150 FPS in MATLAB, ICCV 2013",
        )
    ]
