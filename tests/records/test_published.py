"""The published numbers: none lost, none altered, and none judged by that cannot bear it."""

import csv
import dataclasses
import io
import math
import subprocess
import sys
from collections import Counter
from importlib.resources import files
from typing import get_args

import pytest

from vadbench.base.errors import DataError, UnknownNameError
from vadbench.base.metric_keys import MetricKey
from vadbench.benchmarks.schema import ColumnSpec, PublishedSpec
from vadbench.metrics.definitions import definition
from vadbench.plugins.registry import Registry
from vadbench.records import published
from vadbench.records.published import PublishedNumber, TestProtocol, published_numbers, search
from vadbench.scoring.post_steps import canonical_post
from vadbench.tables.paper import published_for

COUNTS = {
    ("anomalyclip2024", "Table 1"): 26,
    ("anomalyclip2024", "Table 2"): 32,
    ("anomalyclip2024", "Table 3"): 18,
    ("anomalyclip2024", "Table 4"): 84,
    ("anomalyclip2024", "Table 5"): 96,
    ("anomalyclip2024", "Table 6"): 35,
    ("anomalyclip2024", "Table 7"): 8,
    ("anomalyclip2024", "Table 8"): 8,
    ("anomalyclip2024", "Table 9"): 6,
    ("anomalyclip2024", "Table 10"): 10,
    ("anomalyclip2024", "Table 11"): 12,
    ("anomalyclip2024", "Table 12"): 8,
    ("anomalyclip2024", "Table 13"): 8,
    ("anomalyclip2024", "Table 14"): 6,
    ("anomalyclip2024", "Table 15"): 8,
    ("anomalyclip2024", "Table D.16"): 8,
    ("anomalyclip2024", "Table D.17"): 8,
    ("vadclip2024", "Table 1"): 11,
    ("vadclip2024", "Table 2"): 23,
    ("vadclip2024", "Table 3"): 24,
    ("vadclip2024", "Table 4"): 24,
    ("vadclip2024", "Table 5"): 14,
    ("vadclip2024", "Table 6"): 6,
    ("vadclip2024", "Table 7"): 8,
    ("vadclip_issue34", "issue #34"): 14,
    ("clipavad2024", "Table 4"): 18,
    ("clipavad2024", "Table 5"): 12,
    ("clipavad2024", "Table 6"): 6,
    ("clipavad2024", "Table 7"): 12,
    ("clipavad2024", "Table 8"): 24,
    ("clipavad2024", "Table 9"): 4,
    ("clipavad2024", "Table 10"): 6,
    ("tpwng2024", "Table 1"): 24,
    ("tpwng2024", "Table 2"): 6,
    ("tpwng2024", "Table 3"): 2,
    ("tpwng2024", "Table 4"): 8,
    ("tpwng2024", "Table 5"): 10,
    ("tpwng2024", "Table 6"): 8,
    ("tpwng2024", "Table 7"): 8,
    ("ovvad2024", "Table 1"): 15,
    ("ovvad2024", "Table 2"): 15,
    ("ovvad2024", "Table 4"): 15,
    ("ovvad2024", "Table 5"): 15,
    ("ovvad2024", "Table 7"): 6,
    ("ovvad2024", "Table 8"): 4,
    ("anomize2025", "Table 1"): 6,
    ("lavad2024", "Table 1"): 21,
    ("lavad2024", "Table 2"): 16,
    ("lavad2024", "Table 3"): 3,
    ("vera2025", "Table 2"): 7,
    ("vera2025", "Table 3"): 2,
    ("holmesvau2025", "Table 1"): 24,
    ("holmesvad2024", "Table 1"): 23,
    ("holmesvad2024", "Table 3"): 8,
    ("exvad2025", "Table 1"): 42,
    ("exvad2025", "Table 2"): 42,
    ("exvad2025", "Table 3"): 22,
    ("lap2024", "Table I"): 16,
    ("lap2024", "Table II"): 4,
    ("avadclip2025", "Table I (tables unlabelled in conversion)"): 5,
    ("avadclip2025", "fine-grained table (label lost)"): 12,
    ("anomalyruler2024", "Table 3"): 4,
    ("tevad2023", "Table 2"): 2,
    ("tevad2023", "Tables 3-4"): 6,
    ("pel4vad2024", "README results"): 9,
    ("papernotes_dsanet", "main results"): 6,
    ("papernotes_dsanet", "fine-grained XD"): 12,
    ("papernotes_dsanet", "fine-grained UCF"): 4,
    ("papernotes_dsanet", "ablation"): 8,
    ("notes_lecvad", "main results"): 5,
    ("papernotes_lasvad", "fine-grained"): 12,
    ("papernotes_lasvad", "main results"): 5,
    ("papernotes_vadtree", "main results"): 2,
    ("uws4vad", "Methods table"): 45,
    ("awesome_fjchange", "UCF-Crime table"): 7,
    ("awesome_fjchange", "ShanghaiTech table"): 13,
    ("awesome_fjchange", "XD-Violence table"): 3,
    ("papers_wsvad", "ShanghaiTech table"): 4,
    ("papers_wsvad", "UCF table"): 4,
    ("s3r2022", "README results"): 2,
    ("survey10y", "Table 2"): 4,
    ("memory", ""): 3,
    ("sst_wsvadl", "comparison table (label unread)"): 4,
    ("plovad_text", "text of Sec. IV"): 1,
    ("plovad_issue2", "issue #2"): 1,
    ("nova2026", "text"): 30,
    ("probevad2026", "README and docs"): 5,
    ("urfhvaa2025", "stored metrics"): 6,
    ("vadtree2025", "stored scores"): 2,
    ("awesome_video_anomaly_tasks", "data/results"): 40,
    ("lagovad2026", "Table 2"): 35,
    ("msad2024", "README results"): 1,
    ("msad2024", "training logs"): 2,
    ("msad_third_party", "record"): 2,
    ("ubnormal2022", "README results"): 3,
    ("ovvad2024", "Table 3"): 3,
    ("ubnormal_list", ""): 1,
    ("mulde2024", ""): 1,
    ("tdsd2024", ""): 2,
    ("urdmu2023", "records"): 4,
    ("notes_rtfm", "Table 4"): 1,
}


@pytest.fixture(scope="module")
def one():
    """The only number that agrees with all that is given."""

    def find(source, table, key, metric, dataset, **more):
        found = [
            n
            for n in published_numbers()
            if (n.reported_in, n.table, n.key, n.metric, n.dataset) == (source, table, key, metric, dataset)
            and all(getattr(n, name) == value for name, value in more.items())
        ]
        assert len(found) == 1
        return found[0]

    return find


def test_no_number_is_lost():
    assert Counter((n.reported_in, n.table) for n in published_numbers()) == COUNTS
    assert sum(COUNTS.values()) == 1280


def test_the_file_has_our_columns():
    text = (files("vadbench_results") / "published.csv").read_text(encoding="utf-8")
    assert next(csv.reader(io.StringIO(text))) == [
        *("key", "year", "method", "variant", "backbone", "supervision", "dataset", "protocol_note"),
        *("metric", "value", "table", "reported_in", "verified"),
        *("ap_rule", "post", "test_protocol", "selection", "counted", "truth"),
    ]
    assert all(len(row) == 19 for row in csv.reader(io.StringIO(text)))


UCF, XD, SHT = "ucfcrime", "xdviolence", "shanghaitech"
NOT_MEASURED_HERE = {"msad", "ubnormal", "dota", "tad", "lad", "nwpu", "ucsdped2"}
"""Data sets of which only metrics that do not name a class are published."""


@pytest.mark.parametrize(
    ("place", "more", "printed", "value"),
    [
        (("anomalyclip2024", "Table 2", "anomalyclip2024", "AUC", UCF), {}, "86.36", 0.8636),
        (("anomalyclip2024", "Table 2", "anomalyclip2024", "mAUC", UCF), {}, "90.66", 0.9066),
        (("anomalyclip2024", "Table 1", "anomalyclip2024", "AUC", SHT), {}, "98.07", 0.9807),
        (("anomalyclip2024", "Table 3", "anomalyclip2024", "AP", XD), {}, "78.51", 0.7851),
        (("anomalyclip2024", "Table 3", "clip2021", "AP", XD), {}, "27.21", 0.2721),
        (("anomalyclip2024", "Table 2", "sultani2018", "AUC", UCF), {"backbone": "C3D-RGB"}, "75.41", 0.7541),
        (("vadclip2024", "Table 2", "vadclip2024", "AUC", UCF), {}, "88.02", 0.8802),
        (("vadclip2024", "Table 1", "vadclip2024", "AP", XD), {}, "84.51", 0.8451),
        (("vadclip2024", "Table 4", "vadclip2024", "mAP@IoU", UCF), {}, "6.68", 0.0668),
        (("vadclip2024", "Table 3", "vadclip2024", "mAP@0.4", XD), {}, "17.9", 0.179),
        (("vadclip2024", "Table 2", "rtfm2021", "AnoAUC", UCF), {}, "63.86", 0.6386),
        (("clipavad2024", "Table 4", "clipavad2024", "AUC", UCF), {"variant": "Ours-Frame"}, "86.62", 0.8662),
        (
            ("clipavad2024", "Table 5", "clipavad2024", "AUC", SHT),
            {"variant": "Ours-Video (Local+Global)"},
            "98.43",
            0.9843,
        ),
        (
            ("clipavad2024", "Table 7", "clipavad2024", "time_ms/total", SHT),
            {"variant": "frame-based"},
            "4.98",
            4.98,
        ),
        (("exvad2025", "Table 2", "vadclip2024", "mAP@0.4", XD), {}, "17.09", 0.1709),
        (("pel4vad2024", "README results", "pel4vad2024", "FAR", UCF), {}, "0.47", 0.0047),
        (
            ("probevad2026", "README and docs", "probevad2026", "AUC", "msad"),
            {"test_protocol": "weakly-supervised"},
            "94.36",
            0.9436,
        ),
        (
            ("probevad2026", "README and docs", "probevad2026", "AUC", "msad"),
            {"test_protocol": "one-class"},
            "87.55",
            0.8755,
        ),
        (("lagovad2026", "Table 2", "lagovad2026", "AUC", "dota"), {}, "62.6", 0.626),
        (
            ("lagovad2026", "Table 2", "pel4vad2024", "AUC", "lad"),
            {"variant": "trained on XD-Violence"},
            "30.82",
            0.3082,
        ),
        (("msad2024", "training logs", "rtfm2021", "AUC", "msad"), {"backbone": "VideoSwin"}, "85.67", 0.8567),
        (("ovvad2024", "Table 3", "ovvad2024", "AUC", "ubnormal"), {}, "62.94", 0.6294),
        (("tdsd2024", "", "tdsd2024", "AUC", "tad"), {}, "93.90", 0.939),
        (("urdmu2023", "records", "urdmu2023", "AP", UCF), {}, "35.59", 0.3559),
        (("urdmu2023", "records", "urdmu2023", "AUC", XD), {}, "94.02", 0.9402),
        (("notes_rtfm", "Table 4", "rtfm2021", "AUC", "ucsdped2"), {}, "98.6", 0.986),
        (("nova2026", "text", "nova2026", "AP", XD), {"variant": "VNA+MAS"}, "82.40", 0.824),
    ],
)
def test_values_by_hand(one, place, more, printed, value):
    number = one(*place, **more)
    assert (number.printed, number.value) == (printed, value)


def test_values_are_fractions_or_milliseconds():
    for n in published_numbers():
        high = math.inf if n.unit == "ms" else 1
        assert 0 <= n.value <= high, n
        assert n.year == "" or 1999 <= int(n.year) <= 2026
        assert all((n.key, n.method, n.dataset, n.metric, n.reported_in))


def test_no_two_numbers_stand_in_one_place():
    places = Counter(
        (n.reported_in, n.table, n.key, n.variant, n.backbone, n.dataset, n.metric, n.test_protocol)
        for n in published_numbers()
    )
    assert [p for p, count in places.items() if count > 1] == []


def _class(metric):
    return MetricKey.parse(metric).of_class


def test_metrics_and_classes_are_spelt_as_vadbench_spells_them():
    others = {"AUC_base", "AUC_novel", "AP_base", "AP_novel", "ACC_base", "ACC_novel", "Top1-ACC"}
    known = {n.metric for n in published_numbers()} - others
    assert len(known) == len({n.metric for n in published_numbers()}) - len(others)
    assert all(definition(metric) for metric in known)
    registry = Registry()
    datasets = {n.dataset for n in published_numbers()} - NOT_MEASURED_HERE
    assert not any(_class(n.metric) for n in published_numbers() if n.dataset in NOT_MEASURED_HERE)
    assert datasets == {"ucfcrime", "xdviolence", "shanghaitech"}
    classes = {
        d: {name for n in published_numbers() if n.dataset == d and (name := _class(n.metric))} for d in datasets
    }
    assert {d: len(names) for d, names in classes.items()} == {"ucfcrime": 13, "xdviolence": 6, "shanghaitech": 15}
    assert all(names <= set(registry.dataset(d).classes.names) for d, names in classes.items())


def test_milliseconds_have_a_definition():
    time = definition("time_ms/CLIP-feature")
    assert (time.title, time.unit, time.better) == ("CLIP feature", "ms", "lower")
    for key in ("time_ms", "time_ms/", "time_ms[a]", "time_ms/a b", "Time_ms/a"):
        with pytest.raises(UnknownNameError):
            definition(key)


# What may be judged by.


@pytest.mark.parametrize(
    ("place", "more", "verified", "first_hand"),
    [
        (("anomalyclip2024", "Table 2", "anomalyclip2024", "AUC", UCF), {}, "read", True),
        (("anomalyclip2024", "Table 2", "clip2021", "AUC", UCF), {}, "read", True),
        (("anomalyclip2024", "Table 6", "actionclip2021", "mAP", XD), {}, "read", True),
        (("anomalyclip2024", "Table 2", "ssrl2022", "AUC", UCF), {}, "read", False),
        (("anomalyclip2024", "Table 1", "ssrl2022", "AUC", SHT), {}, "derived", False),
        (("anomalyclip2024", "Table 2", "gcl2022", "AUC", UCF), {"supervision": "unsupervised"}, "recalled", False),
        (("vadclip2024", "Table 2", "sultani2018", "AUC", UCF), {}, "read", False),
        (("vadclip2024", "Table 6", "vadclip2024", "AP", XD), {"printed": "78.27"}, "derived", False),
        (("vadclip_issue34", "issue #34", "vadclip2024", "AUC", UCF), {}, "second-hand", False),
        (("uws4vad", "Methods table", "anomalyclip2024", "AUC", UCF), {}, "second-hand", False),
        (("avadclip2025", "Table I (tables unlabelled in conversion)", "vadclip2024", "AP", XD), {}, "read", False),
        (("s3r2022", "README results", "s3r2022", "AUC", SHT), {}, "read", True),
        (("urfhvaa2025", "stored metrics", "urfhvaa2025", "AP", XD), {}, "read", True),
        (("urfhvaa2025", "stored metrics", "urfhvaa2025", "AP", "ubnormal"), {}, "derived", False),
        (("awesome_video_anomaly_tasks", "data/results", "lasvad2026", "AUC", UCF), {}, "second-hand", False),
        (("msad2024", "README results", "mgfn2023", "AUC", "msad"), {}, "read", False),
        (("urdmu2023", "records", "urdmu2023", "AP", XD), {}, "read", True),
        (("tpwng2024", "Table 1", "urdmu2023", "AP", XD), {}, "read", False),
    ],
)
def test_what_a_reproduction_may_be_judged_by(one, place, more, verified, first_hand):
    number = one(*place, **more)
    assert (number.verified, number.first_hand) == (verified, first_hand)


def test_first_hand_numbers_were_read_in_a_paper_about_its_own_method_or_run():
    kinds = Counter((n.verified, n.reported_in == n.key) for n in published_numbers() if n.first_hand)
    assert set(kinds) == {("read", True), ("read", False)}
    runs = {(n.reported_in, n.key) for n in published_numbers() if n.first_hand and n.reported_in != n.key}
    assert runs == {("anomalyclip2024", "clip2021"), ("anomalyclip2024", "actionclip2021")}
    assert Counter(n.verified for n in published_numbers()) == {
        "read": 1076,
        "derived": 10,
        "recalled": 5,
        "second-hand": 189,
    }


def test_lists_notes_and_issues_are_second_hand():
    assert {n.reported_in for n in published_numbers() if n.verified == "second-hand"} == {
        *("uws4vad", "awesome_fjchange", "papers_wsvad"),
        *("papernotes_dsanet", "papernotes_lasvad", "papernotes_vadtree", "notes_lecvad"),
        *("vadclip_issue34", "plovad_issue2"),
        *("awesome_video_anomaly_tasks", "msad_third_party", "ubnormal_list", "notes_rtfm"),
    }


# The two average precisions, and the rules behind a number.

TRAPEZOID = {
    *("rtfm2021", "cliptsa2023", "urdmu2023", "mgfn2023", "bnwvad2024", "pel4vad2024", "plovad2025", "lavad2024"),
    *("vera2025", "vadtree2025", "msad2024", "urfhvaa2025", "probevad2026"),
}
STEP = {
    *("vadclip2024", "dsanet2026", "avadclip2025", "corevad", "headhunt2026", "lavida2026", "anomalyclip2024"),
    "lagovad2026",
}
"""Methods whose own code is known to publish the area by the trapezoid rule, or the step sum, as AP. Those without a
number of their own paper are listed as well: one that is added must say its rule."""


def test_every_ap_of_a_methods_own_paper_has_the_rule_of_its_code_and_all_others_are_unknown():
    numbers = [n for n in published_numbers() if n.metric in ("AP", "AP_base", "AP_novel")]
    assert len(numbers) == 247
    for n in numbers:
        own = n.key if n.reported_in == n.key else ""
        assert n.ap_rule == ("trapezoid" if own in TRAPEZOID else "step" if own in STEP else "unknown"), n
    assert Counter((n.key, n.ap_rule) for n in numbers if n.ap_rule != "unknown") == {
        ("vadclip2024", "step"): 18,
        ("anomalyclip2024", "step"): 5,
        ("avadclip2025", "step"): 2,
        ("pel4vad2024", "trapezoid"): 3,
        ("urdmu2023", "trapezoid"): 2,
        ("lavad2024", "trapezoid"): 1,
        ("urfhvaa2025", "trapezoid"): 3,
        ("vadtree2025", "trapezoid"): 1,
        ("probevad2026", "trapezoid"): 1,
        ("lagovad2026", "step"): 1,
    }


def test_only_an_ap_of_the_anomaly_score_has_a_rule():
    metrics = {n.metric for n in published_numbers() if n.ap_rule}
    assert metrics == {"AP", "AP_base", "AP_novel"}
    assert not any(n.ap_rule for n in published_numbers() if n.metric.startswith(("mAP", "AP[", "AUC")))


def test_a_number_names_the_key_that_measures_the_same_thing(one):
    lavad = one("lavad2024", "Table 2", "lavad2024", "AP", XD)
    vadclip = one("vadclip2024", "Table 1", "vadclip2024", "AP", XD)
    quoted = one("vadclip2024", "Table 1", "cliptsa2023", "AP", XD)
    assert [n.measured for n in (lavad, vadclip, quoted)] == ["AP/trapezoid", "AP", "AP"]
    assert {n.metric for n in published_numbers() if n.measured != n.metric} == {"AP"}


@pytest.mark.parametrize(
    ("place", "more", "rules"),
    [
        # Maxima over the test set, by the code of the method.
        (("vadclip2024", "Table 2", "vadclip2024", "AUC", UCF), {}, ("best-on-test", "", "official")),
        (("tpwng2024", "Table 1", "urdmu2023", "AP", XD), {}, ("best-on-test", "", "official")),
        # The paper says so of methods that it trained itself.
        (("anomalyclip2024", "Table 3", "s3r2022", "mAP", XD), {}, ("best-on-test", "", "single-anomaly")),
        # Refitted by another paper, in ways it does not state.
        (("vadclip2024", "Table 1", "rtfm2021", "AP", XD), {}, ("unknown", "", "official")),
        (("anomalyclip2024", "Table 3", "anomalyclip2024", "AP", XD), {}, ("last", "", "single-anomaly")),
        # Beside numbers on fewer videos, one that was taken from a paper on all of them.
        (
            ("anomalyclip2024", "Table 3", "hlnet2020", "AP", XD),
            {"backbone": "I3D-RGB"},
            ("unknown", "", "official"),
        ),
        (("anomalyclip2024", "Table 1", "mnad2020", "AUC", SHT), {}, ("unknown", "", "one-class")),
        (("anomalyclip2024", "Table 1", "anomalyclip2024", "AUC", SHT), {}, ("last", "", "weakly-supervised")),
        (
            ("clipavad2024", "Table 5", "clipavad2024", "AUC", SHT),
            {"variant": "Ours-Frame"},
            ("unknown", "", "unknown"),
        ),
        (("vadclip2024", "Table 4", "vadclip2024", "mAP@0.1", UCF), {}, ("unknown", "", "abnormal-videos")),
        (("anomize2025", "Table 1", "anomize2025", "AP_novel", XD), {}, ("unknown", "", "open-vocabulary")),
        (("pel4vad2024", "README results", "pel4vad2024", "AP", XD), {}, ("unknown", "other", "official")),
        (("anomalyclip2024", "Table 3", "rtfm2021", "AP", XD), {}, ("best-on-test", "", "official")),
        (("vera2025", "Table 2", "vera2025", "AUC", UCF), {}, ("unknown", "other", "official")),
        (("urfhvaa2025", "stored metrics", "urfhvaa2025", "AUC", "msad"), {}, ("unknown", "gaussian(10)", "one-class")),
        (("papernotes_vadtree", "main results", "pivad2025", "AUC", "msad"), {}, ("unknown", "", "weakly-supervised")),
        (
            ("msad2024", "training logs", "rtfm2021", "AUC", "msad"),
            {"backbone": "I3D"},
            ("best-on-test", "", "weakly-supervised"),
        ),
        (
            ("nova2026", "text", "nova2026", "AUC", UCF),
            {"variant": "NA+VNA+MAS"},
            ("unknown", "gaussian(50f)", "official"),
        ),
    ],
)  # fmt: skip
def test_rules_by_hand(one, place, more, rules):
    number = one(*place, **more)
    assert (number.selection, number.post, number.test_protocol) == rules


def test_rules_are_of_the_words_that_are_documented():
    numbers = published_numbers()
    assert {n.selection for n in numbers} == {"last", "best-on-test", "unknown"}
    assert {n.test_protocol for n in numbers} == set(get_args(TestProtocol))
    posts = {n.post for n in numbers}
    assert posts == {"", "other", "gaussian(10)", "gaussian(50f)"}
    assert all(canonical_post(post) == post for post in posts - {"other"})
    assert {n.counted for n in numbers} == {"", "rows"}
    assert {n.truth for n in numbers} == {"", "other"}


def test_lagovads_table_is_all_that_is_counted_in_rows_and_across_data_sets():
    table = [n for n in published_numbers() if n.reported_in == "lagovad2026"]
    assert {(n.counted, n.test_protocol) for n in table} == {("rows", "cross-dataset")}
    assert [n for n in published_numbers() if n.counted] == table
    assert Counter(n.dataset for n in table) == {
        **dict.fromkeys(("dota", "tad", "lad"), 6),
        **dict.fromkeys(("msad", "ubnormal"), 5),
        **{UCF: 3, XD: 4},
    }


def test_numbers_under_other_ground_truths_say_what_these_are():
    other = [n for n in published_numbers() if n.truth]
    assert {(n.key, n.dataset) for n in other} == {
        *(("urfhvaa2025", name) for name in (UCF, "msad", "ubnormal")),
        ("vadtree2025", "msad"),
    }
    assert all("spans of the authors' own file" in n.protocol_note for n in other)


@pytest.mark.parametrize(
    ("tested", "own", "one_class"),
    [
        *(("official", True, False), ("weakly-supervised", True, False), ("unknown", True, False)),
        *(("one-class", False, True), ("other-split", False, False), ("open-vocabulary", False, False)),
    ],
)
def test_a_number_is_of_the_division_that_its_test_protocol_names(tested, own, one_class):
    number = dataclasses.replace(published_numbers()[0], test_protocol=tested)
    assert (number.is_of_division(""), number.is_of_division("one-class")) == (own, one_class)


def test_one_number_has_one_selection_wherever_it_is_quoted():
    """VadCLIP's and AnomalyCLIP's headline numbers, in every table that prints them."""
    for key, metric, dataset, printed, selection in (
        ("vadclip2024", "AUC", UCF, "88.02", "best-on-test"),
        ("vadclip2024", "AP", XD, "84.51", "best-on-test"),
        ("anomalyclip2024", "AP", XD, "78.51", "last"),
    ):
        found = [n for n in published_numbers() if (n.key, n.metric, n.dataset) == (key, metric, dataset)]
        same = [n.selection for n in found if n.printed == printed]
        assert len(same) > 2 and set(same) == {selection}


def test_a_file_without_these_columns_is_read_and_its_rules_are_unknown():
    fields = [f.name for f in dataclasses.fields(PublishedNumber)]
    old = dict.fromkeys(fields[: fields.index("ap_rule")], "x")
    old["value"] = old.pop("printed")
    for metric, rule in (("AP", "unknown"), ("AUC", ""), ("AP[Abuse]", ""), ("mAP", "")):
        number = published._number(old | {"metric": metric})
        assert (number.ap_rule, number.post, number.test_protocol, number.selection) == (rule, "", "unknown", "unknown")
        assert (number.counted, number.truth) == ("", "")


# The place in a table.


def test_a_place_of_a_table_has_its_number_none_or_an_error():
    auc, mauc = ColumnSpec(dataset=UCF, metric="AUC"), ColumnSpec(dataset=UCF, metric="mAUC")
    number = published_for(
        "anomalyclip2024", "7", PublishedSpec(key="anomalyclip2024", variant="text encoder frozen; CoOp"), auc
    )
    assert (number.printed, number.table) == ("85.88", "Table 7")
    mist = PublishedSpec(key="mist2021")
    assert published_for("anomalyclip2024", "2", mist, auc).printed == "82.3"
    assert published_for("anomalyclip2024", "2", mist, mauc) is None
    assert published_for("vadclip2024", "2", mist, auc) is None
    with pytest.raises(DataError, match=r"2 numbers of 'sultani2018'.*'C3D-RGB' and 'I3D-RGB'"):
        published_for("anomalyclip2024", "2", PublishedSpec(key="sultani2018"), auc)
    i3d = PublishedSpec(key="sultani2018", backbone="I3D-RGB")
    assert published_for("anomalyclip2024", "2", i3d, auc).printed == "77.92"


def test_a_row_may_name_a_source_of_its_own_and_what_was_tested():
    auc = ColumnSpec(dataset="msad", metric="AUC")
    probe = PublishedSpec(key="probevad2026", source="probevad2026")
    with pytest.raises(DataError, match=r"2 numbers.*test protocols 'weakly-supervised' and 'one-class'"):
        published_for("anomalyclip2024", "2", probe, auc)
    one_class = probe.model_copy(update={"test_protocol": "one-class"})
    assert published_for("", "msad", one_class, auc).printed == "87.55"
    own = PublishedSpec(key="vadclip2024", source="vadclip2024")
    assert published_for("anomalyclip2024", "9", own, ColumnSpec(dataset=UCF, metric="AnoAUC")).table == "Table 2"


# Searching.


def test_searching_takes_names_in_any_case_and_tables_without_the_word():
    numbers = search(dataset="UCFCrime", metric="auc", method="vadclip", source="vadclip2024", table="2")
    assert [n.printed for n in numbers] == ["88.02"]
    assert search(method="vadclip2024") == search(method="VadCLIP")
    assert search(table="d.16") == search(table="Table D.16") != []
    assert search() == list(published_numbers())


def test_what_agrees_with_each_wish_but_not_with_all_is_an_empty_list():
    assert search(dataset="msad", metric="mAUC") == []


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"dataset": "ucf-crime"}, "unknown published data set 'ucf-crime'; did you mean 'ucfcrime'?"),
        ({"metric": "mAP@avg"}, "unknown published metric 'mAP@avg'; did you mean"),
        ({"method": "anomalyclop"}, "did you mean"),
        ({"method": "nosuch"}, " more (vadbench published)"),
        ({"source": "vadclip"}, "'vadclip2024'"),
        ({"table": "99"}, "unknown published table '99'"),
        ({"metric": ""}, "unknown published metric ''"),
    ],
)
def test_an_unknown_name_offers_close_ones(wish, message):
    with pytest.raises(UnknownNameError) as error:
        search(**wish)
    assert message in str(error.value) and len(str(error.value)) < 200


def test_reading_numbers_imports_nothing_heavy():
    code = (
        "import sys; from vadbench.records.published import published_numbers; assert published_numbers();"
        "print(sorted({'numpy', 'pandas', 'torch', 'mlflow', 'open_clip'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Against the collection the numbers were taken from, where it is there.

METRICS = {"Ano-AUC": "AnoAUC", "mAP@avg": "mAP@IoU"}
CLASSES = {"ThrowingObject": "throwing object", "CarAccident": "Car_accident"}


def collection(test_data, name):
    path = test_data.parent / "published" / name
    if not path.is_file():
        pytest.skip(f"no collection of published numbers at {path}")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


FIRST = 1142
"""Numbers of the first collection; those of the second and of a specification follow."""


def test_every_number_is_that_of_the_collection(test_data):
    rows = collection(test_data, "published.csv")
    numbers = published_numbers()[:FIRST]

    def metric(row):
        name = row["metric"]
        if name.startswith("time_ms["):
            return f"time_ms/{name[8:-1].replace(' ', '-')}"
        if "[" not in name:
            return METRICS.get(name, name)
        kind, label = name.removesuffix("]").split("[")
        label = CLASSES.get(label, label.lower() if row["dataset"] == SHT else label)
        return f"{kind}[{label}]"

    names = ("paper_key", "year", "method", "backbone", "supervision", "dataset", "value", "table_label", "reported_in")
    expected = Counter((*(row[name] for name in names), metric(row)) for row in rows)
    ours = ("key", "year", "method", "backbone", "supervision", "dataset", "printed", "table", "reported_in", "metric")
    assert Counter(tuple(getattr(n, name) for name in ours) for n in numbers) == expected
    # Variants too, but for one that tells two methods of a paper apart.
    variants = Counter((r["paper_key"], "BODS" if r["method"] == "BODS" else r["variant"], r["value"]) for r in rows)
    assert Counter((n.key, n.variant, n.printed) for n in numbers) == variants
    notes = Counter((r["paper_key"], r["value"], r["split_or_protocol_note"]) for r in rows)
    # One note points to another file of the collection; ours names the paper.
    known = {key for key in notes if "seed 004" not in key[2]}
    assert len(known) == len(notes) - 1
    kept = {(n.key, n.printed, n.protocol_note.removesuffix(f"; own run of {n.reported_in}")) for n in numbers}
    assert known <= kept


RENAMED = {"urfhvaa": "urfhvaa2025", "vadtree": "vadtree2025"}
"""Sources that are the authors' own, so that they go by the key of the method."""
OF_OTHERS = {"VadCLIP": "vadclip2024", "PEL4VAD": "pel4vad2024"}
"""Methods in LaGoVAD's table that have papers of their own."""


def test_every_number_of_2024_to_2026_is_that_of_the_second_collection(test_data):
    rows = collection(test_data, "more.csv")
    numbers = published_numbers()[FIRST : FIRST + len(rows)]
    assert len(rows) == 97
    for row, n in zip(rows, numbers, strict=True):
        key = OF_OTHERS.get(row["method"], row["paper_key"]) if row["paper_key"] == "lagovad2026" else row["paper_key"]
        source = RENAMED.get(row["reported_in"], row["reported_in"])
        assert (n.key, n.reported_in) == (key, source)
        names = ("method", "variant", "backbone", "supervision", "dataset", "metric", "post")
        assert [getattr(n, name) for name in names] == [row[name] for name in names]
        assert n.printed == row["value"] and n.verified == {"yes": "read"}.get(row["verified"], row["verified"])
        assert row["split_or_protocol_note"] in n.protocol_note
        assert row["ap_rule"] in ("", n.ap_rule)
        assert (n.test_protocol == "one-class") == (row["split_or_protocol_note"] == "360 videos")
        assert (n.counted == "rows") == ("metrics over rows" in row["split_or_protocol_note"])
