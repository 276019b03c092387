"""Methods of multiple-instance learning by feature magnitude and memories, as a vadbench plugin."""

from vadbench import MethodSpec, hookimpl
from vadbench.plugins.hookspecs import ProtocolSpec


@hookimpl
def vadbench_methods() -> list[MethodSpec]:
    return []


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
