"""Baselines every comparison needs."""

from vadbench import MethodSpec, hookimpl


@hookimpl
def vadbench_methods() -> list[MethodSpec]:
    return [
        MethodSpec("random", "uniform random scores: the floor of every table", "vadbench_baselines.chance:Random"),
        MethodSpec(
            "zero-shot",
            "CLIP's own softmax over the class prompts, no training",
            "vadbench_baselines.zero_shot:ZeroShot",
            "Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021",
        ),
    ]
