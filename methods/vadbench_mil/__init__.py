"""Methods of multiple-instance learning by feature magnitude, as a vadbench plugin."""

from vadbench import MethodSpec, hookimpl


@hookimpl
def vadbench_methods() -> list[MethodSpec]:
    return [
        MethodSpec(
            "rtfm",
            "the longest rows of a network over several time scales speak for a video, and are trained to be long",
            "vadbench_mil.rtfm:Rtfm",
            "Tian et al., Weakly-supervised Video Anomaly Detection with Robust Temporal Feature Magnitude Learning,"
            " ICCV 2021",
            "vadbench_mil.config:RtfmConfig",
        ),
        MethodSpec(
            "clip-tsa",
            "the same network behind a selection of rows, which is trained by draws of noise",
            "vadbench_mil.cliptsa:ClipTsa",
            "Joo et al., CLIP-TSA: CLIP-Assisted Temporal Self-Attention for Weakly-Supervised Video Anomaly Detection,"
            " ICIP 2023",
            "vadbench_mil.config:ClipTsaConfig",
        ),
    ]
