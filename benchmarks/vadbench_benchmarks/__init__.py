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
            "rtfm",
            "tables 1 to 5 of RTFM, on CLIP features",
            "vadbench_benchmarks:rtfm.toml",
            paper="Tian et al., Weakly-supervised Video Anomaly Detection with Robust Temporal Feature Magnitude"
            " Learning, ICCV 2021",
        ),
        BenchmarkSpec(
            "urdmu",
            "UR-DMU's figures and its tables 3 to 6, on CLIP features",
            "vadbench_benchmarks:urdmu.toml",
            paper="Zhou, Yu and Yang, Dual Memory Units with Uncertainty Regulation for Weakly Supervised Video Anomaly"
            " Detection, AAAI 2023",
        ),
        BenchmarkSpec(
            "cliptsa",
            "tables 2 and 3 of CLIP-TSA, its figure on ShanghaiTech and its ablation",
            "vadbench_benchmarks:cliptsa.toml",
            paper="Joo et al., CLIP-TSA: CLIP-Assisted Temporal Self-Attention for Weakly-Supervised Video Anomaly"
            " Detection, ICIP 2023",
        ),
        BenchmarkSpec(
            "training-free",
            "scorers without training and of one class, by encoder, beside what the family publishes",
            "vadbench_benchmarks:training-free.toml",
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
