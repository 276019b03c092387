"""Methods of multiple-instance learning by feature magnitude, as a vadbench plugin."""

from vadbench import MethodSpec, hookimpl
from vadbench.plugins.hookspecs import ProtocolSpec


@hookimpl
def vadbench_methods() -> list[MethodSpec]:
    return [
        MethodSpec(
            "rtfm",
            "a network over several time scales; the rows of largest feature magnitude represent a video",
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


@hookimpl
def vadbench_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            "segments16",
            "RTFM's, UR-DMU's and CLIP-TSA's: 16 frames a row, the mean of crops, weights chosen on the test split",
            "vadbench_mil.protocol:SEGMENTS16",
            paper="Tian et al., Weakly-supervised Video Anomaly Detection with Robust Temporal Feature Magnitude"
            " Learning, ICCV 2021",
        )
    ]
