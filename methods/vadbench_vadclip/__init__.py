"""VadCLIP as a vadbench plugin."""

from vadbench import hookimpl
from vadbench.plugins.hookspecs import MethodSpec, ProtocolSpec

_PAPER = "Wu et al., VadCLIP: Adapting Vision-Language Models for Weakly Supervised Video Anomaly Detection, AAAI 2024"


@hookimpl
def vadbench_methods() -> list[MethodSpec]:
    return [
        MethodSpec(
            "vadclip",
            "a coarse classifier and a map of rows against learned class prompts, over local attention and two graphs",
            "vadbench_vadclip.method:VadClip",
            paper=_PAPER,
            config="vadbench_vadclip.config:VadClipConfig",
        )
    ]


@hookimpl
def vadbench_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            "vadclip",
            "its authors' intervals, frame counts, crops and average precision of segments",
            "vadbench_vadclip.protocol:VADCLIP",
            paper=_PAPER,
            localization="vadbench_vadclip.localization:VadClipLocalisation",
        )
    ]
