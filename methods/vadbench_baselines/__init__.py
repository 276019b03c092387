"""Baselines as a vadbench plugin."""

from vadbench import MethodSpec, hookimpl


@hookimpl
def vadbench_methods() -> list[MethodSpec]:
    return [
        MethodSpec(
            "random",
            "uniform random scores: the floor of every table",
            "vadbench_baselines.chance:Random",
            config="vadbench_baselines.config:RandomConfig",
        ),
        MethodSpec(
            "zero-shot",
            "CLIP's own softmax over the class prompts, no training",
            "vadbench_baselines.zero_shot:ZeroShot",
            "Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021",
            "vadbench_baselines.config:ZeroShotConfig",
        ),
        MethodSpec(
            "clip-linear",
            "a linear classifier of CLIP's rows, trained on the highest rows of each class",
            "vadbench_baselines.linear:ClipLinear",
            "Dong, CLIP: Assisted Video Anomaly Detection, ICPRAM 2024, table 4: CLIP+Classifier",
            "vadbench_baselines.config:LinearConfig",
        ),
        MethodSpec(
            "clip-temporal-linear",
            "the same behind attention within windows and two graphs over time",
            "vadbench_baselines.linear:ClipTemporalLinear",
            "Dong, CLIP: Assisted Video Anomaly Detection, ICPRAM 2024, table 4: CLIP+Local+Global+Classifier",
            "vadbench_baselines.config:TemporalLinearConfig",
        ),
        MethodSpec(
            "mil",
            "ranks the highest segment of an abnormal video above the highest of a normal one",
            "vadbench_baselines.mil:Mil",
            "Sultani, Chen and Shah, Real-world Anomaly Detection in Surveillance Videos, CVPR 2018",
            "vadbench_baselines.config:MilConfig",
        ),
        MethodSpec(
            "knn",
            "learns from normal videos alone: distance to the nearest normal rows",
            "vadbench_baselines.one_class:Knn",
            "Rashidi, Benchmark AUC Is Not Deployable Reliability, arXiv 2606.29506: CLIP with nearest neighbours",
            "vadbench_baselines.one_class_config:KnnConfig",
        ),
        MethodSpec(
            "density",
            "learns from normal videos alone: distance from a Gaussian of the normal rows",
            "vadbench_baselines.one_class:Density",
            "Rashidi, Benchmark AUC Is Not Deployable Reliability, arXiv 2606.29506: CLIP with a Mahalanobis distance",
            "vadbench_baselines.one_class_config:DensityConfig",
        ),
        MethodSpec(
            "motion-energy",
            "how much the picture changes from frame to frame, without features",
            "vadbench_baselines.motion:MotionEnergy",
            config="vadbench_baselines.config:MotionConfig",
        ),
        MethodSpec(
            "blind-length",
            "looks at no frame: a shorter video is more anomalous",
            "vadbench_baselines.blind:BlindLength",
            config="vadbench_baselines.config:BlindLengthConfig",
        ),
        MethodSpec(
            "blind-centre",
            "looks at no frame: the middle of a video is the most anomalous",
            "vadbench_baselines.blind:BlindCentre",
            config="vadbench_baselines.config:BlindConfig",
        ),
        MethodSpec(
            "blind-oracle-label",
            "looks at no frame: the true label of the video, the same for all of its frames",
            "vadbench_baselines.blind:BlindOracleLabel",
            config="vadbench_baselines.config:BlindOracleConfig",
        ),
        MethodSpec(
            "blind-oracle-centre",
            "looks at no frame: the middle of a video that is abnormal by its true label",
            "vadbench_baselines.blind:BlindOracleCentre",
            config="vadbench_baselines.config:BlindOracleConfig",
        ),
    ]
