"""XD-Violence as a vadbench data set."""

from vadbench import DatasetSpec, hookimpl


@hookimpl
def vadbench_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            "xdviolence",
            "XD-Violence, 4,754 films and web videos of 6 kinds of violence, several a video (3,954 train, 800 test)",
            "vadbench_xdviolence.dataset:XdViolence",
            "Wu et al., Not only Look, but also Listen, ECCV 2020",
        )
    ]
