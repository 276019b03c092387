"""AnomalyCLIP as a vadbench plugin."""

from vadbench import hookimpl
from vadbench.plugins.hookspecs import MethodSpec


@hookimpl
def vadbench_methods() -> list[MethodSpec]:
    return [
        MethodSpec(
            "anomalyclip",
            "learned directions in CLIP's latent space, centred on normality, with an axial transformer over time",
            "vadbench_anomalyclip.method:AnomalyClip",
            paper="Zanella et al., Delving into CLIP latent space for Video Anomaly Recognition, CVIU 2024",
        )
    ]
