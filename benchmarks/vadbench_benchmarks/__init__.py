"""The benchmarks that come with vadbench, as a plugin."""

from vadbench import hookimpl
from vadbench.plugins.hookspecs import BenchmarkSpec


@hookimpl
def vadbench_benchmarks() -> list[BenchmarkSpec]:
    return [
        BenchmarkSpec(
            "quick",
            "every method on two small data sets with the embedded CLIP; less than an hour on a laptop",
            "vadbench_benchmarks:quick.toml",
        ),
        BenchmarkSpec(
            "anomalyclip",
            "tables 1 to 15 of AnomalyCLIP and the two of its appendix",
            "vadbench_benchmarks:anomalyclip.toml",
            paper="Zanella et al., Delving into CLIP latent space for Video Anomaly Recognition, CVIU 2024",
        ),
        BenchmarkSpec(
            "vadclip",
            "tables 1 to 7 of VadCLIP",
            "vadbench_benchmarks:vadclip.toml",
            paper="Wu et al., VadCLIP: Adapting Vision-Language Models for Weakly Supervised Video Anomaly Detection,"
            " AAAI 2024",
        ),
        BenchmarkSpec(
            "icpram2024",
            "tables 4 to 10 of CLIP: Assisted Video Anomaly Detection",
            "vadbench_benchmarks:icpram2024.toml",
            paper="Dong, CLIP: Assisted Video Anomaly Detection, ICPRAM 2024",
        ),
        BenchmarkSpec(
            "recorded",
            "published systems whose per-video scores are public, beside what their papers state",
            "vadbench_benchmarks:recorded.toml",
        ),
        BenchmarkSpec(
            "cross-dataset",
            "trained on one data set and tested on another",
            "vadbench_benchmarks:cross-dataset.toml",
        ),
        BenchmarkSpec(
            "lagovad",
            "table 2 of LaGoVAD: trained on UCF-Crime or XD-Violence and tested on up to six other data sets",
            "vadbench_benchmarks:lagovad.toml",
            paper="LaGoVAD and PreVAD, 2026",
        ),
        BenchmarkSpec(
            "more-datasets",
            "MSAD, by both of its protocols, and UBnormal: what is published beside every built-in method",
            "vadbench_benchmarks:more-datasets.toml",
        ),
    ]
