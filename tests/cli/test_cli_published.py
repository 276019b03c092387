"""``vadbench published``: what papers state, with how each number is known."""

from functools import partial

import pytest

from command_line import heavy_imports


@pytest.fixture
def published(vadbench):
    return partial(vadbench, "published")


def cells(line):
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_the_numbers_of_a_data_set_and_metric_are_listed_and_marked(published):
    said = published("--dataset", "ucfcrime", "--metric", "AUC", "--source", "vadclip2024")
    header, _, *lines = said.out.splitlines()
    assert cells(header) == [
        *("method", "variant", "backbone", "supervision", "value", "selection", "table", "reported in", "verified"),
    ]
    rows = [cells(line) for line in lines]
    assert ["VadCLIP", "CLIP ViT-B/16", "weak", "88.02", "best-on-test", "Table 2", "vadclip2024", "read"] in rows
    refit = ["DeepMIL (Sultani)", "refit", "CLIP ViT-B/16", "weak", "84.14", "Table 2", "vadclip2024", "read *"]
    assert refit in rows
    assert len(rows) == 12
    assert said.err == "* 11 of 12 not from the paper that measured it; no reproduction is judged by them\n"


def test_data_set_and_metric_have_columns_where_they_differ(published):
    lines = published("--source", "anomalyclip2024", "--table", "D.17").out.splitlines()
    assert "metric" in cells(lines[0]) and "data set" not in cells(lines[0])
    lines = published("--method", "VadCLIP").out.splitlines()
    assert {"metric", "data set"} <= set(cells(lines[0]))


def test_rules_behind_a_number_have_columns_where_they_are_known(published):
    header, _, *lines = published("--source", "pel4vad2024", "--dataset", "xdviolence").out.splitlines()
    assert {"AP rule", "post"} <= set(cells(header)) and not {"selection", "tested"} & set(cells(header))
    assert [cells(line)[4:8] for line in lines if "  AP  " in line] == [["AP", "85.59", "trapezoid", "other"]]
    assert published("--source", "pel4vad2024", "--metric", "AP/trapezoid").out.count("trapezoid") == 3
    header = published("--source", "anomalyclip2024", "--table", "3").out.splitlines()[0]
    assert {"AP rule", "selection", "tested"} <= set(cells(header))


def test_the_two_test_splits_of_msad_and_what_is_counted_otherwise_are_told_apart(published):
    header, _, *lines = published("--dataset", "msad", "--method", "Probe-VAD").out.splitlines()
    assert [cells(line)[2:5:2] for line in lines] == [["94.36", "weakly-supervised"], ["87.55", "one-class"]]
    assert not {"counted", "truth"} & set(cells(header))
    header, _, *lines = published("--dataset", "ubnormal", "--metric", "AUC").out.splitlines()
    assert {"tested", "counted", "truth"} <= set(cells(header))
    rows = [cells(line) for line in lines]
    assert sum("rows" in row for row in rows) == sum("cross-dataset" in row for row in rows) == 5
    assert [row[0] for row in rows if "other" in row] == ["URF-HVAA"]


def test_numbers_are_found_by_what_was_known_in_training(published):
    found = published("--supervision", "training-free", "--source", "nova2026", "--json").json
    assert found and {n["supervision"] for n in found} == {"training-free"}
    glance = published("--supervision", "glance", "--json").json
    assert glance and {n["supervision"] for n in glance} == {"glance"}
    line = published("--supervision", "glanse", status=2).err
    assert "unknown published supervision 'glanse'; did you mean 'glance'?" in line


def test_where_all_are_first_hand_nothing_is_marked(published):
    said = published("--source", "anomalyclip2024", "--table", "10")
    assert "*" not in said.out and said.err == ""


def test_json_has_every_field_and_the_fraction(published):
    numbers = published("--method", "vadclip2024", "--source", "vadclip2024", "--table", "1", "--json").json
    assert numbers == [
        {
            "key": "vadclip2024",
            "year": "2024",
            "method": "VadCLIP",
            "variant": "",
            "backbone": "CLIP ViT-B/16",
            "supervision": "weak",
            "dataset": "xdviolence",
            "protocol_note": "XD-Violence 3954 train / 800 test; all compared methods refit on the same CLIP features",
            "metric": "AP",
            "printed": "84.51",
            "table": "Table 1",
            "reported_in": "vadclip2024",
            "verified": "read",
            "ap_rule": "step",
            "post": "",
            "test_protocol": "official",
            "selection": "best-on-test",
            "counted": "",
            "truth": "",
            "value": 0.8451,
            "unit": "fraction",
            "first_hand": True,
        }
    ]
    assert len(published("--json").json) == 1280


def test_nothing_found_is_said_and_is_an_empty_list_in_json(published):
    wish = ("--dataset", "msad", "--metric", "mAUC")
    said = published(*wish)
    assert said.out == "" and "no number has them all" in said.err
    assert published(*wish, "--json").json == []


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        (("--dataset", "ucfcrim"), "unknown published data set 'ucfcrim'; did you mean 'ucfcrime'?"),
        (("--metric", "mAUCC"), "did you mean 'mAUC'"),
        (("--method", "vadclop"), "did you mean"),
        (("--source", "vadclip2023"), "'vadclip2024'"),
        (("--table", "D.18"), "'D.17'"),
    ],
)
def test_unknown_names_are_one_line_with_close_ones(published, wish, message):
    said = published(*wish, status=2)
    assert said.out == ""
    assert message in said.err and said.err.count("\n") == 1


def test_listing_imports_nothing_heavy():
    assert not heavy_imports("published", "--metric", "AUC")
