"""ShanghaiTech Campus as a vadbench data set."""

from vadbench import DatasetSpec, hookimpl


@hookimpl
def vadbench_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            "shanghaitech",
            "ShanghaiTech Campus, 437 videos of 13 scenes, in the weakly supervised split (238 train, 199 test)",
            "vadbench_shanghaitech.dataset:ShanghaiTech",
            "Zhong et al., Graph Convolutional Label Noise Cleaner, CVPR 2019",
        )
    ]
