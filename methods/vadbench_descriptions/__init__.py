"""Methods that compare rows with descriptions of what is normal and what is not, as a vadbench plugin."""

from vadbench import hookimpl
from vadbench.plugins.hookspecs import CommandSpec, MethodSpec

_PAPER = "Dong, CLIP: Assisted Video Anomaly Detection, ICPRAM 2024"


@hookimpl
def vadbench_methods() -> list[MethodSpec]:
    return [
        MethodSpec(
            "descriptions-video",
            "rows related in time, aligned with a learned prompt around a description of each class",
            "vadbench_descriptions.video:DescriptionsVideo",
            paper=_PAPER,
            config="vadbench_descriptions.config:VideoConfig",
        ),
        MethodSpec(
            "descriptions-frame",
            "each row against a bank of normal and abnormal phrases, with or without training",
            "vadbench_descriptions.frame:DescriptionsFrame",
            paper=_PAPER,
            config="vadbench_descriptions.config:FrameConfig",
        ),
        MethodSpec(
            "prompt-contrast",
            "anomalous against normal sentences of each class, and the video's own beginning, without training",
            "vadbench_descriptions.contrast:PromptContrast",
            paper="Yin et al., arXiv 2609.06360, 2026",
            config="vadbench_descriptions.contrast_config:PromptContrastConfig",
        ),
    ]


@hookimpl
def vadbench_commands() -> list[CommandSpec]:
    return [
        CommandSpec("descriptions", "Check descriptions of anomalous events.", "vadbench_descriptions.command:command")
    ]
