"""AnomalyCLIP as a vadbench plugin."""

from vadbench import hookimpl
from vadbench.plugins.hookspecs import MethodSpec, ProtocolSpec

_PAPER = "Zanella et al., Delving into CLIP latent space for Video Anomaly Recognition, CVIU 2024"


@hookimpl
def vadbench_methods() -> list[MethodSpec]:
    return [
        MethodSpec(
            "anomalyclip",
            "learned directions in CLIP's latent space, centred on normality, with an axial transformer over time",
            "vadbench_anomalyclip.method:AnomalyClip",
            paper=_PAPER,
            config="vadbench_anomalyclip.config:AnomalyClipConfig",
        )
    ]


@hookimpl
def vadbench_protocols() -> list[ProtocolSpec]:
    return [
        ProtocolSpec(
            "anomalyclip",
            "its authors' intervals and frame counts, on videos of at most one anomaly class",
            "vadbench_anomalyclip.protocol:ANOMALYCLIP",
            paper=_PAPER,
        )
    ]
