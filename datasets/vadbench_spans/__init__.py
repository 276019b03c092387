"""Data sets for testing alone, each from one JSON file of spans."""

from vadbench import DatasetSpec, hookimpl


@hookimpl
def vadbench_datasets() -> list[DatasetSpec]:
    return [
        DatasetSpec(
            "dota",
            "DoTA's 1,402 clips of dash cameras for validation, each with one traffic anomaly (test only)",
            "vadbench_spans.dataset:Dota",
            "Yao et al., DoTA: Unsupervised Detection of Traffic Anomaly in Driving Videos, TPAMI 2022",
        ),
        DatasetSpec(
            "lad",
            "LAD, 560 videos of 14 kinds of anomaly, half of them normal (test only)",
            "vadbench_spans.dataset:Lad",
            "Wan et al., Anomaly Detection in Video Sequences: A Benchmark and Computational Model, 2021",
        ),
        DatasetSpec(
            "spans",
            "any videos with a ground truth in one file, --truth FILE (test only)",
            "vadbench_spans.generic:Spans",
        ),
        DatasetSpec(
            "tad",
            "TAD, 100 surveillance videos of traffic, 60 with an accident or another anomaly (test only)",
            "vadbench_spans.dataset:Tad",
            "Lv et al., Localizing Anomalies from Weakly-Labeled Videos, TIP 2021",
        ),
    ]
