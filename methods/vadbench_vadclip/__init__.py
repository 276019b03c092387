"""VadCLIP as a vadbench plugin."""

from vadbench import hookimpl
from vadbench.plugins.hookspecs import MethodSpec


@hookimpl
def vadbench_methods() -> list[MethodSpec]:
    return [
        MethodSpec(
            "vadclip",
            "a coarse classifier and a map of rows against learned class prompts, over local attention and two graphs",
            "vadbench_vadclip.method:VadClip",
            paper="Wu et al., VadCLIP: Adapting Vision-Language Models for Weakly Supervised Video Anomaly Detection,"
            " AAAI 2024",
        )
    ]
