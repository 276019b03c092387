"""UR-DMU as a vadbench plugin."""

from vadbench import MethodSpec, hookimpl


@hookimpl
def vadbench_methods() -> list[MethodSpec]:
    return [
        MethodSpec(
            "urdmu",
            "two memories of normal and abnormal rows behind global and local attention, and a noisy normal latent",
            "vadbench_urdmu.method:UrDmu",
            paper="Zhou, Yu and Yang, Dual Memory Units with Uncertainty Regulation for Weakly Supervised Video Anomaly"
            " Detection, AAAI 2023",
            config="vadbench_urdmu.config:UrDmuConfig",
        )
    ]
