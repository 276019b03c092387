"""The benchmark files of methods that are run on CLIP features beside published figures on others, and of encoders."""

import re
from functools import cache

import pytest

from vadbench.base.config import resolve
from vadbench.benchmarks.parser import assignments, open_benchmark
from vadbench.plugins.registry import Registry
from vadbench.tables.paper import published_for

METHODS = {"rtfm": "rtfm", "urdmu": "urdmu", "cliptsa": "clip-tsa"}
"""The method that each file runs."""


@pytest.fixture(scope="module")
def registry():
    return Registry()


@pytest.fixture(scope="module")
def read(registry):
    """A benchmark that comes along, its settings checked."""
    return cache(lambda name: open_benchmark(name, registry, check_settings=True))


def numbers(benchmark, table, row):
    found = (row.published and published_for(benchmark.source, table.id, row.published, c) for c in table.columns)
    return [number for number in found if number]


def rows(benchmark):
    return [(table, row) for table in benchmark.tables for row in table.rows]


def printed(benchmark, table_id):
    """The published figures of a table by row and column."""
    return {
        row.label: [n.printed for n in numbers(benchmark, table, row)]
        for table, row in rows(benchmark)
        if table.id == table_id and row.published
    }


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_run_under_their_authors_protocol_on_clip_features(read, name):
    benchmark = read(name)
    assert (benchmark.protocol, benchmark.clip, benchmark.clip_weights, benchmark.seeds) == (
        "segments16",
        "ViT-B-16-quickgelu",
        "openai",
        [0, 1, 2],
    )
    assert {row.method for _, row in rows(benchmark)} - {None} == {METHODS[name]}
    columns = [c for t in benchmark.tables for c in t.columns if c.dataset == "xdviolence" and c.metric != "FAR"]
    assert columns and all(c.metric == "AP/trapezoid" or c.metric == "AUC" for c in columns)


@pytest.mark.parametrize("name", METHODS)
def test_only_figures_on_clip_features_are_beside_a_run_on_them(read, name):
    for table, row in rows(read(name)):
        for number in numbers(read(name), table, row):
            # CLIP-TSA's own rows are named by its encoder's kind, and are those of CLIP ViT-B/16.
            on_clip = number.backbone.startswith("CLIP") or number.backbone == "ViT"
            assert on_clip == (row.method is not None), row.label
            assert not (row.method and number.first_hand), "a verdict needs a figure under known settings"
        if row.method is None:
            assert re.match(r"reads (C3D|I3D) features", row.why) and numbers(read(name), table, row)


@pytest.mark.parametrize("name", METHODS)
def test_every_main_row_has_one_without_looks_and_ablations_end_with_the_method_as_it_comes(read, name):
    for table in read(name).tables:
        run = [row for row in table.rows if row.method]
        if any(row.label.endswith("(final)") for row in run):
            assert [row.label for row in run if not row.set] == [r.label for r in run if r.label.endswith("(final)")]
        else:
            main, last = run
            assert not main.set and last.set == {"protocol.selection": "last"}
            assert last.label == f"{main.label}, last weights"


def test_figures_are_those_that_are_known(read):
    assert printed(read("rtfm"), "1") == {"RTFM (C3D)": ["91.51"], "RTFM (I3D)": ["97.21"]}
    assert printed(read("rtfm"), "2") == {
        "RTFM (C3D)": ["83.28"],
        "RTFM (I3D)": ["84.3"],
        "RTFM (CLIP ViT-B/16)": ["85.66", "63.86"],
    }
    assert printed(read("rtfm"), "3") == {
        "RTFM (C3D)": ["75.89"],
        "RTFM (I3D)": ["77.81"],
        "RTFM (CLIP ViT-B/16)": ["78.27"],
    }
    assert printed(read("rtfm"), "4") == {"RTFM (I3D)": ["98.6"]}
    records, refit = "UR-DMU (I3D), records of the repository", "UR-DMU (CLIP ViT-B/16)"
    assert printed(read("urdmu"), "ucfcrime") == {records: ["86.97", "35.59"], refit: ["86.75", "68.62"]}
    assert printed(read("urdmu"), "xdviolence") == {records: ["81.66", "94.02"], refit: ["82.41"]}
    assert printed(read("urdmu"), "3") == {"UR-DMU (I3D), as a list quotes it": ["1.05", "0.65"]}
    assert [printed(read("cliptsa"), t) for t in ("2", "3", "shanghaitech")] == [
        {"CLIP-TSA": [value]} for value in ("87.58", "82.19", "98.32")
    ]


@pytest.mark.parametrize(("name", "tables"), [("rtfm", "5"), ("urdmu", "456"), ("cliptsa", ["ablation"])])
def test_a_table_of_unknown_figures_says_so_and_shows_none(read, name, tables):
    for table in read(name).tables:
        shown = [number for row in table.rows for number in numbers(read(name), table, row)]
        assert bool(shown) == (table.id not in tables)
        assert shown or "could not be read" in table.note


@pytest.mark.parametrize("name", [*METHODS, "training-free"])
def test_no_two_rows_of_a_table_mean_the_same_run(read, registry, name):
    for table in read(name).tables:
        seen = set()
        for row in (row for row in table.rows if row.method):
            model = registry.method_config(row.method)
            for dataset in {column.dataset for column in table.columns}:
                usual = model.dataset_defaults.get(dataset, {})
                settings = resolve(model, usual, environment={}, assignments=assignments(row.set.items()))
                rules = sorted((k, v) for k, v in row.set.items() if k.startswith("protocol."))
                place = (dataset, row.method, settings.model_dump_json(), str(rules))
                assert place not in seen, row.label
                seen.add(place)


ENCODERS = {
    "small": ("small", ""),
    "vit-b-16": ("ViT-B-16-quickgelu", "openai"),
    "vit-l-14": ("ViT-L-14-quickgelu", "openai"),
    "pe-core-l-14-336": ("PE-Core-L-14-336", "meta"),
}


def test_each_encoder_has_the_same_rows_and_its_own_features(read):
    benchmark = read("training-free")
    first, *others = benchmark.tables
    assert not any(row.method for row in first.rows)
    assert {table.id: benchmark.clip_of(table) for table in others} == ENCODERS
    found = [[(row.group, row.label, row.method, row.set) for row in table.rows] for table in others]
    assert all(own == found[0] for own in found)
    cells = benchmark.cells()
    assert {(cell.clip, cell.clip_weights) for cell in cells} == set(ENCODERS.values())
    assert len({cell.id for cell in cells}) == len(cells) == 4 * len(found[0]) * 3 * 3


def test_novas_figures_are_beside_the_switches_that_they_are_of_on_its_own_encoder_alone(read):
    benchmark = read("training-free")
    for table, row in rows(benchmark):
        assert not (row.published and row.method) or table.id == "pe-core-l-14-336"
        assert all(n.supervision == "training-free" for n in numbers(benchmark, table, row))
    switched = {
        row.published.variant: row.set
        for table, row in rows(benchmark)
        if table.id == "pe-core-l-14-336" and row.published
    }
    parts = {name for name in switched if not name.startswith("LLM")}
    assert len(parts) == 8
    for variant in parts:
        on = set() if variant == "none" else set(variant.split("+"))
        expected = {} if "NA" in on else {"normals": "shared"}
        expected |= {} if "VNA" in on else {"anchor.enabled": False}
        expected |= {"rows.stride": 1} if "MAS" in on else {}
        assert switched[variant] == expected, variant
    assert switched["LLM sentences, anomalous side only"] == {"sides": "anomalous"}
