"""UCSD Ped2 as a vadbench data set."""

from vadbench import DatasetSpec, hookimpl


@hookimpl
def vadbench_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            "ucsdped2",
            "UCSD Ped2, 28 clips of one walkway, in the weakly supervised re-split (10 train, 18 test)",
            "vadbench_ucsdped2.dataset:UcsdPed2",
            "Mahadevan et al., Anomaly Detection in Crowded Scenes, CVPR 2010",
        )
    ]
