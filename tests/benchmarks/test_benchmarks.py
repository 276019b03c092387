"""Benchmark files: what they say, where they are wrong, and how it stands with their cells."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from places import PLUGIN, ROOT
from vadbench.base.config import resolve
from vadbench.base.errors import ConfigError, PluginError, StorageError, UnknownNameError
from vadbench.base.method_config import MethodConfig, Recipe
from vadbench.base.naming import changed_names
from vadbench.base.types import silent
from vadbench.benchmarks.engines import LostTask
from vadbench.benchmarks.engines.local import LocalEngine
from vadbench.benchmarks.grid import CellOutcome, CellTask, run_cells
from vadbench.benchmarks.parser import assignments, open_benchmark, protocol_changes
from vadbench.benchmarks.schema import Benchmark, Cell
from vadbench.benchmarks.staleness import Today
from vadbench.benchmarks.state import CellState, Site, finished, in_words_of_bench, look, usable, with_trainings
from vadbench.benchmarks.toml_lines import TomlLines
from vadbench.plugins.hookspecs import BenchmarkSpec, MethodSpec
from vadbench.plugins.registry import Plugin, Registry
from vadbench.records.folders import read_record, read_records, write_record
from vadbench.records.keys import EDITION
from vadbench.records.record import RunRecord

FILE = '''title = "t"  # not [[a]] table {
paper = """
[[tables]]
"""

[[tables]]
id = "1"
title = "One, [two] {"
columns = [
  { dataset = "tiny", metric = "AUC" },  # a comment, with a comma
  { dataset = 'tiny', metric = "AP" },
]
rows = [
  { label = "a \\"quoted\\" ] }", method = "linear", set = { recipe.epochs = 2, "rows.stride" = 4 } },
  # between two rows
  { label = "b", method = "zero-shot" },
]

[[tables]]
id = "2"
title = "Two"
columns = [{ dataset = "other", metric = "AUC", train = "tiny" }]
[[tables.rows]]
label = "c"
method = "linear"
[tables.rows.set]
width = 3
[[tables.rows]]
label = "d"
method = "random"
'''


@pytest.fixture(scope="module")
def registry():
    return Registry(files=[PLUGIN])


@pytest.fixture
def write(tmp_path):
    def call(text):
        (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
        return str(tmp_path / "mine.toml")

    return call


def test_every_entry_knows_its_line():
    lines = TomlLines(FILE)
    for place, line in {
        ("title",): 1,
        ("paper",): 2,
        ("tables", 0): 6,
        ("tables", 0, "columns", 1, "metric"): 11,
        ("tables", 0, "rows", 0): 14,
        ("tables", 0, "rows", 0, "set", "recipe", "epochs"): 14,
        ("tables", 0, "rows", 0, "set", "rows.stride"): 14,
        ("tables", 0, "rows", 1, "label"): 16,
        ("tables", 0, "rows", 1, "method"): 16,
        ("tables", 0, "rows", 1, "set"): 16,
        ("tables", 1, "columns", 0, "train"): 22,
        ("tables", 1, "rows", 0, "set", "width"): 27,
        ("tables", 1, "rows", 1): 28,
        ("tables", 1, "rows", 1, "method"): 30,
        ("tables", 1, "note"): 19,
        ("nothing",): 1,
    }.items():
        assert lines.line(place) == line, place


TEXTS = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=6)


@st.composite
def documents(draw):
    """A TOML document of one array of tables, with the line on which each value stands."""
    text, expected = "", {}
    for i in range(draw(st.integers(1, 4))):
        text += draw(st.sampled_from(["", "\n", "# [[a]]\n", "  \n\n"])) + "[[a]]\n"
        text += f"k = {draw(st.sampled_from(['1', '2.5', 'true', '1979-05-27', '[1, 2]', '{ x = 1 }']))}\n"
        expected["a", i, "k"] = text.count("\n")
        quoted = draw(TEXTS).replace("\\", "\\\\").replace('"', '\\"')
        text += f'"q.x" = "{quoted}"{draw(st.sampled_from(["", " # c", "  # ] }"]))}\n'
        expected["a", i, "q.x"] = text.count("\n")
        plain = draw(TEXTS).replace("'", "")
        text += f'l = [\n  \'{plain}\',\n  {{ m = """{quoted}\n""" }},\n]\n'
        expected["a", i, "l", 0], expected["a", i, "l", 1, "m"] = text.count("\n") - 3, text.count("\n") - 2
        text += "[a.sub]\nz = ''\n"
        expected["a", i, "sub", "z"] = text.count("\n")
    return text, expected


@given(documents())
def test_lines_are_right_whatever_the_values_look_like(document):
    text, expected = document
    lines = TomlLines(text)
    for place, line in expected.items():
        value = tomllib.loads(text)
        for part in place:
            value = value[part]  # the place is one that tomllib knows
        assert lines.line(place) == line, (text, place)


def test_a_file_of_the_users_own_is_read(registry, write):
    benchmark = open_benchmark(write(FILE), registry, check_settings=True)
    assert benchmark.seeds == [0, 1, 2]
    assert benchmark.tables[0].rows[0].set == {"recipe.epochs": 2, "rows.stride": 4}
    assert [c.label for c in benchmark.cells() if c.seed == 1] == [
        "linear recipe.epochs=2 rows.stride=4 on tiny, seed 1",
        "zero-shot on tiny, seed 1",
        "linear width=3 trained on tiny on other, seed 1",
        "random trained on tiny on other, seed 1",
    ]


@pytest.mark.parametrize("name", ["quick", "cross-dataset"])
def test_the_files_that_come_along_hold(name):
    benchmark = open_benchmark(name, Registry(), check_settings=True)
    cells = benchmark.cells()
    assert len(set(cells)) == len(cells) == {"quick": 9 * 2 * 3, "cross-dataset": 3 * 8 * 2 * 3}[name]


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ('method = "random"', 'method = "randum"', 30, "unknown method 'randum'; did you mean 'random'?"),
        ('metric = "AP"', 'metric = "AUK"', 11, "unknown metric 'AUK'; did you mean 'AUC'?"),
        ("dataset = 'tiny'", "dataset = 'ucfcrim'", 11, "unknown data set 'ucfcrim'; did you mean 'ucfcrime'?"),
        ('train = "tiny"', 'train = "synthetik"', 22, "unknown data set 'synthetik'; did you mean 'synthetic'?"),
        ('train = "tiny"', 'protocol = "vadclop"', 22, "unknown protocol 'vadclop'; did you mean 'vadclip'?"),
        ("width = 3", "widht = 3", 27, "'linear' has no setting 'widht'; did you mean 'width'?"),
        ("width = 3", 'width = "three"', 26, "'linear' on tiny: setting 'width'"),
        (
            'method = "random"',
            'method = "descriptions-frame"\nset = { descriptions = "ucfcrime" }',
            31,
            "'descriptions-frame' on tiny: bank 'ucfcrime': rename the class 'Abuse', which the data set lacks",
        ),
        ("width = 3", 'width = "3"', 27, "setting 'width' must be as runs record it, 3, found '3'"),
        ("width = 3", "protocol.subset = 'some'", 26, "protocol.subset: Input should be 'all' or 'single-anomaly'"),
        ("width = 3", "width = 2020-01-01", 26, "setting 'width' must be a number, a text"),
        ('label = "c"', 'lable = "c"', 24, "nothing is called 'lable' here; did you mean 'label'?"),
        ('label = "c"\n', "", 23, "tables.2.rows.1: 'label' is missing"),
        ('method = "random"', "", 28, "row 'd' needs a method or a published key"),
        ('id = "2"', 'id = "1"', 20, "table '1' is there twice"),
        ('id = "2"', 'id = "1/2"', 20, "tables.2.id: String should match pattern"),
        ('id = "2"', "id = 2 2", 20, "not TOML: "),
        ('method = "random"', 'method = """', 31, "not TOML: "),
    ],
)
def test_what_is_wrong_is_said_with_its_line(registry, write, old, new, line, message):
    assert_refused(registry, write, FILE, old, new, line, message)


def assert_refused(registry, write, text, old, new, line, message):
    assert text.count(old) == 1
    name = write(text.replace(old, new))
    with pytest.raises(ConfigError) as found:
        open_benchmark(name, registry, check_settings=True)
    assert str(found.value).startswith(f"{name}, line {line}: "), found.value
    assert message in str(found.value)
    assert "\n" not in str(found.value)


SEEDED = 'title = "t"\nseeds = [0, 1]\n' + FILE.partition('"""\n\n')[2]


@pytest.mark.parametrize(
    ("seeds", "line", "message"),
    [
        ("[0, -1]", 2, "seeds.2: Input should be greater than or equal to 0"),
        ("[1000000]", 2, "seeds.1: Input should be less than or equal to 999999"),
        ("[0,\ntrue]", 3, "seeds.2: Input should be a valid integer"),
        ("[1, 0, 1]", 2, "seeds: a seed is there twice"),
    ],
)
def test_seeds_are_those_that_a_run_takes(registry, write, seeds, line, message):
    assert_refused(registry, write, SEEDED, "[0, 1]", seeds, line, message)


PAPER = """title = "t"
source = "anomalyclip2024"
[[tables]]
id = "2"
title = "One"
columns = [{ dataset = "ucfcrime", metric = "AUC" }]
rows = [
  { label = "a", method = "random", published = { key = "anomalyclip2024" } },
]
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ('source = "anomalyclip2024"', "", 8, "needs the file to name their 'source'"),
        ('source = "anomaly', 'source = "anomly', 2, "in 'anomlyclip2024'; did you mean 'anomalyclip2024'"),
        (
            'key = "anomaly',
            'key = "anomly',
            8,
            "unknown published key 'anomlyclip2024'; did you mean 'anomalyclip2024'",
        ),
        ('2024" } }', '2024", variant = "x" } }', 8, "variant 'x' and backbone 'any'; there: variant '' with backbone"),
        ('2024" } }', '2024", backbone = "I3D" } }', 8, "backbone 'I3D'; there: variant ''"),
        ('id = "2"', 'id = "99"', 8, "table 99 of anomalyclip2024 has no number of 'anomalyclip2024'"),
    ],
)
def test_published_numbers_that_do_not_exist_are_refused(registry, write, old, new, line, message):
    open_benchmark(write(PAPER), registry)
    assert_refused(registry, write, PAPER, old, new, line, message)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("AUC/Abuse", "AUC[Abuse]"),
        ("AP/Car (parked)", "AP[Car (parked)]"),
        ("time_ms[CLIP feature]", "time_ms/CLIP-feature"),
    ],
)
def test_metrics_of_the_first_edition_are_read_in_todays_spelling(registry, write, old, new):
    asked, known = (open_benchmark(write(FILE.replace('"AUC"', json.dumps(key))), registry) for key in (old, new))
    assert asked == known and {c.metric for t in asked.tables for c in t.columns} >= {new}


def test_a_row_that_a_paper_leaves_blank_says_why(registry, write):
    blank = PAPER.replace('method = "random"', 'why = "left blank"').replace('2024" }', '2024", variant = "x" }')
    assert open_benchmark(write(blank), registry).tables[0].rows[0].published.variant == "x"


@pytest.mark.parametrize("text", ["", "[" * 100_000, "tables = 3", "title = 't'\n[tables]\nid = '1'\n"])
def test_hostile_files_are_refused_in_a_line(registry, write, text):
    with pytest.raises(ConfigError, match=r"mine\.toml, line \d+: "):
        open_benchmark(write(text), registry)


def test_files_that_are_not_there_are_named(registry, monkeypatch):
    with pytest.raises(UnknownNameError, match="did you mean 'quick'"):
        open_benchmark("quikc", registry)
    with pytest.raises(ConfigError, match=r"cannot read the benchmark file a/b\.toml"):
        open_benchmark("a/b.toml", registry)
    lacking = Registry([])
    lacking.plugins.append(
        Plugin("p", "p", "p", specs={"benchmark": [BenchmarkSpec("gone", "", "vadbench_benchmarks:gone.toml")]})
    )
    with pytest.raises(PluginError, match=r"names vadbench_benchmarks:gone\.toml, which cannot be read"):
        open_benchmark("gone", lacking)


def test_opening_for_a_table_needs_no_torch():
    code = (
        "import sys\nfrom vadbench.benchmarks.parser import open_benchmark\n"
        "from vadbench.plugins.registry import Registry\n"
        "open_benchmark('quick', Registry())\n"
        "assert not {'torch', 'mlflow', 'open_clip'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@given(st.dictionaries(st.sampled_from(["a", "b.c"]), st.integers() | st.floats(-9, 9) | TEXTS))
def test_settings_arrive_as_they_stand_in_the_file(settings):
    class Inner(MethodConfig):
        c: object = None

    class Config(MethodConfig):
        a: object = None
        b: Inner = Inner()

    found = resolve(Config, {}, environment={}, assignments=assignments(settings.items()))
    assert (found.a, found.b.c) == (settings.get("a"), settings.get("b.c"))
    assert type(found.a) is type(settings.get("a"))


def test_the_protocols_settings_go_to_the_protocol():
    settings = [("protocol.crop", "mean"), ("width", 3), ("protocol.subset", "all")]
    assert protocol_changes(settings) == {"crop": "mean", "subset": "all"}
    assert assignments(settings) == ["width=3"]


def cell(**changes):
    base = {"method": "linear", "dataset": "tiny", "trained_on": "tiny", "protocol": "native", "settings": ()}
    return Cell(**{**base, "clip": "small", "clip_weights": "random:0", "seed": 0, **changes})


def test_trainings_come_first_and_once():
    here, there = cell(), cell(dataset="other")
    assert with_trainings([there, here]) == [here, there]
    assert with_trainings([here]) == [here]


@pytest.fixture
def record(tmp_path):
    def make(name, **changes):
        content = RunRecord(
            status=changes.pop("status", "finished"),
            method="linear",
            method_version=changes.pop("version", "1"),
            dataset="tiny",
            trained_on="tiny",
            seed=changes.pop("seed", 0),
            key=name,
            evaluation="e",
            protocol={"name": "native"},
            config={"width": changes.pop("width", 5)},
            changed=changes.pop("changed", []),
            fingerprint={},
            clip={"model": "small", "weights": "random:0"},
            data={},
            environment={},
            created=changes.pop("created", "2026-01-01T00:00:00+00:00"),
            edition=changes.pop("edition", EDITION),
            **changes,
        )
        folder = tmp_path / "runs" / "tiny" / "linear" / name
        write_record(folder, content)
        (folder / "scores.npz").touch()
        return folder

    return make


def test_the_newest_finished_run_of_the_same_version_counts(record, tmp_path):
    record("old")
    newest = record("new", created="2026-02-01T00:00:00+00:00")
    record("failed", status="failed", created="2026-03-01T00:00:00+00:00")
    record("version", version="2", created="2026-03-01T00:00:00+00:00")
    record("other", changed=["width"], width=6, created="2026-03-01T00:00:00+00:00")
    record("authors", notes=["weights imported from the authors' file x.pth"], created="2026-03-01T00:00:00+00:00")
    runs, problems = read_records(tmp_path / "runs")
    assert len(runs) == 6 and not problems
    assert finished(cell(), Today("1"), runs).folder == newest
    assert finished(cell(settings=(("width", 6),)), Today("1"), runs).folder.name == "other"
    assert finished(cell(), Today("3"), runs) is None
    assert finished(cell(seed=1), Today("1"), runs) is None


@pytest.mark.parametrize(
    ("asked", "config", "changed", "expected"),
    [
        # An untrained row, as the recipe of a method records it.
        ({"recipe.epochs": 0}, {"recipe": {"epochs": 0, "batch_size": 64}}, ["recipe.epochs"], True),
        ({"recipe.epochs": 0}, {"recipe": None}, ["recipe"], False),
        ({"a": [1, 2]}, {"a": [1.0, 2.0]}, ["a"], True),
        ({"a": 1}, {"a": True}, ["a"], False),
        ({"a": 1}, {"a": 1}, ["a", "b"], False),
        ({"bank": "site"}, {"bank": {"title": "site", "normal": ["a"]}}, ["bank.title", "bank.normal"], True),
        ({"bank": "site"}, {"bank": {"title": "other", "normal": ["a"]}}, ["bank.title", "bank.normal"], False),
        ({}, {"bank": {"title": "other", "normal": ["a"]}}, ["bank.title"], False),
    ],
)
def test_a_record_is_that_of_a_cell_that_asks_for_what_it_changed(record, asked, config, changed, expected):
    folder = record("a", changed=changed)
    content = read_record(folder).model_copy(update={"config": config})
    assert cell(settings=tuple(asked.items())).matches(content) == expected


def test_regions_in_records_of_the_first_edition_match_what_asked_for_no_crop(record):
    made = read_record(record("a", changed=["protocol.crop"]))
    assert not cell().matches(made)
    assert cell().matches(made.model_copy(update={"fingerprint": {"regions": "boxes 0123"}}))


def test_states_tell_done_failed_before_and_impossible(record, tmp_path, registry):
    version = registry.version("linear")
    record("done", version=version)
    record("failed", version=version, seed=1, status="failed", error="it was late")
    runs, _ = read_records(tmp_path / "runs")
    cells = [
        cell(),
        cell(seed=1),
        cell(seed=2),
        cell(dataset="ucfcrime", trained_on="ucfcrime"),
        cell(dataset="tiny", trained_on="ucfcrime"),
        cell(clip="ViT-B-16", clip_weights="openai"),
    ]
    found = look(cells, Site(tmp_path / "runs"), registry, runs)
    assert [(s.cell, s.state) for s in found] == list(
        zip(cells, ["done", "to do", "to do", "impossible", "impossible", "impossible"], strict=True)
    )
    assert [s.reason for s in found[:3]] == ["", "it was late", ""]
    assert "--data-root ucfcrime=DIR" in found[3].reason and found[4].reason == found[3].reason
    assert "use the model name 'ViT-B-16-quickgelu'" in found[5].reason


def test_what_a_finished_training_was_trained_on_is_no_longer_needed(record, tmp_path, registry):
    gone = cell(dataset="tiny", trained_on="ucfcrime")
    folder = record("trained", version=registry.version("linear"))
    content = json.loads((folder / "result.json").read_text()) | {"dataset": "ucfcrime", "trained_on": "ucfcrime"}
    config = registry.method("linear").Config().model_dump(mode="json")
    (folder / "result.json").write_text(json.dumps(content | {"config": config}))
    folder.parent.parent.rename(tmp_path / "runs" / "ucfcrime")
    runs, _ = read_records(tmp_path / "runs")
    found = look(with_trainings([gone]), Site(tmp_path / "runs"), registry, runs)
    assert [s.state for s in found] == ["done", "to do"]


def test_a_clip_is_not_looked_for_where_the_data_are_absent(tmp_path, registry, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("a CLIP was loaded")

    monkeypatch.setattr("vadbench.clip.load_clip", refuse)
    absent = cell(dataset="ucfcrime", trained_on="ucfcrime", clip="ViT-B-16-quickgelu", clip_weights="openai")
    assert look([absent], Site(tmp_path), registry, [])[0].state == "impossible"
    empty = tmp_path / "ped2"
    empty.mkdir()
    ped2 = cell(dataset="ucsdped2", trained_on="ucsdped2", clip="ViT-B-16-quickgelu", clip_weights="openai")
    (state,) = look([ped2], Site(tmp_path, data_roots=(("ucsdped2", empty),)), registry, [])
    assert state.state == "impossible" and str(empty) in state.reason


def test_a_method_whose_code_cannot_be_imported_is_impossible_here(tmp_path, write):
    registry = Registry(files=[PLUGIN])
    registry.plugins.append(Plugin("p", "p", "p", specs={"method": [MethodSpec("torn", "", "no_such_module:Torn")]}))
    benchmark = open_benchmark(write(FILE.replace('"random"', '"torn"')), registry, check_settings=True)
    torn = [c for c in benchmark.cells() if c.method == "torn"]
    assert torn
    for state in look(torn, Site(tmp_path), registry, []):
        assert state.state == "impossible" and "no_such_module" in state.reason


class Script:
    """An engine that answers as it is told to, in turn."""

    def __init__(self, *answers):
        self.answers, self.tasks = list(answers), []

    def run_all(self, groups, work, started, ended):
        for task in (t for group in groups for t in group):
            self.tasks.append(task)
            ended(task, self.answers.pop(0))


class Watch:
    def __init__(self):
        self.states = []

    def started(self, cell):
        pass

    def ended(self, state):
        self.states.append(state)


def test_seeds_of_one_experiment_are_one_group_and_finished_cells_are_left_alone():
    groups = []

    class Engine:
        def run_all(self, given, work, started, ended):
            groups.extend(given)
            for task in (t for group in given for t in group):
                ended(task, CellOutcome("failed", reason="no"))

    cells = [cell(), cell(method="zero-shot"), cell(seed=1), cell(seed=2)]
    states = [*(CellState(c, "to do") for c in cells), CellState(cell(seed=3), "impossible", "why")]
    after = run_cells(states, Site(Path("x")), Engine(), Watch(), silent)
    assert groups == [
        [CellTask(cell()), CellTask(cell(seed=1)), CellTask(cell(seed=2))],
        [CellTask(cell(method="zero-shot"))],
    ]
    assert [s.state for s in after] == ["failed"] * 4 + ["impossible"]
    assert [s.cell for s in after] == [s.cell for s in states]


def test_a_busy_cell_is_tried_again_at_the_end_and_waited_for(record):
    engine, watch = (
        Script(CellOutcome("busy"), LostTask("dead"), CellOutcome("done", record("a"), reused=True)),
        Watch(),
    )
    after = run_cells(
        [CellState(cell(), "to do"), CellState(cell(seed=1), "to do")], Site(Path("x")), engine, watch, silent
    )
    assert engine.tasks == [CellTask(cell()), CellTask(cell(seed=1)), CellTask(cell(), wait=True)]
    assert [(s.state, s.reason) for s in after] == [("done", ""), ("failed", "dead")]
    assert [s.cell.seed for s in watch.states] == [1, 0]


def test_a_full_disk_ends_everything():
    engine = Script(CellOutcome("storage", reason="cannot write x: the disk is full"))
    with pytest.raises(StorageError, match="the disk is full"):
        run_cells(
            [CellState(cell(), "to do"), CellState(cell(seed=1), "to do")], Site(Path("x")), engine, Watch(), silent
        )
    assert len(engine.tasks) == 1


def test_consecutive_seeds_share_an_opened_experiment(tmp_path, monkeypatch):
    import vadbench.harness.experiment

    opened = []
    original = vadbench.harness.experiment.open_experiment
    monkeypatch.setattr(
        vadbench.harness.experiment, "open_experiment", lambda *a, **k: opened.append(a[0]) or original(*a, **k)
    )
    small = (("recipe.epochs", 1),)
    cells = [cell(settings=small, seed=s) for s in (0, 1, 2)]
    site = Site(tmp_path / "runs", "cpu", plugins=(PLUGIN,))
    after = run_cells([CellState(c, "to do") for c in cells], site, LocalEngine(1), Watch(), silent)
    assert [s.state for s in after] == ["done"] * 3, after
    assert len(opened) == 1


def test_a_cell_matches_however_its_settings_are_grouped():
    table = {"id": "1", "title": "t", "columns": [{"dataset": "tiny", "metric": "AUC"}]}
    rows = [{"label": "a", "method": "linear", "set": s} for s in ({"recipe": {"epochs": 2}}, {"recipe.epochs": 2})]
    benchmark = Benchmark.model_validate({"title": "t", "seeds": [0], "tables": [table | {"rows": rows}]})
    assert len(benchmark.cells()) == 1
    assert benchmark.cells()[0].settings == (("recipe.epochs", 2),)


class Various(MethodConfig):
    width: int = 5
    flag: bool | None = None
    either: int | bool = 0
    weights: dict[str, float] = {"fire": 1.0, "Riot": 2.0}
    recipe: Recipe | None = None


@pytest.mark.parametrize(
    "asked",
    [
        {"flag": False},
        {"either": False},
        {"weights": {"fire": 3}},
        {"weights.fire": 3},
        {"weights": {}},
        {"weights": {"a.b": 3}},
        {"recipe": {"epochs": 3}},
        {"recipe.epochs": Recipe().epochs},
    ],
)
def test_a_cell_finds_the_run_of_its_settings_whatever_their_type(record, tmp_path, asked):
    table = {"id": "1", "title": "t", "columns": [{"dataset": "tiny", "metric": "AUC"}]}
    rows = [{"label": "a", "method": "linear", "set": asked}]
    content = {"title": "t", "seeds": [0], "clip_weights": "random:0", "tables": [table | {"rows": rows}]}
    (wanted,) = Benchmark.model_validate(content).cells()
    usual = Various()
    config = resolve(Various, {}, environment={}, assignments=assignments(wanted.settings))
    changed = changed_names(config, usual)
    assert changed
    record("usual").joinpath("result.json").unlink()
    for name, each in (("usual", usual), ("asked", config)):
        folder = record(name, changed=changed_names(each, usual))
        content = json.loads((folder / "result.json").read_text())
        (folder / "result.json").write_text(json.dumps(content | {"config": each.model_dump(mode="json")}))
    runs, _ = read_records(tmp_path / "runs")
    assert finished(wanted, Today("1"), runs).folder.name == "asked"
    assert finished(cell(), Today("1"), runs).folder.name == "usual"


OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
UNREACHED = {
    "vadbench/harness/experiment.py": {
        "run needs --method and --dataset",  # a cell has both
        "reads no descriptions; leave --descriptions",  # a setting, in a benchmark
        "--from names a run of",  # an evaluation names no method
        "--from evaluates a finished training",  # nor any of these
        "--features-layout says how",  # bench says so itself
    },
    "vadbench/features/detector.py": {"name a file of your own with --detector-weights"},  # vadbench extract makes
    "vadbench/features/encoders.py": {"choose one with --pooling"},  # features of regions
    "vadbench/plugins/registry.py": {"--plugin"},  # which bench has
    "vadbench/harness/run.py": {"--again runs it anew"},  # vadbench run alone says so
    "vadbench/plugins/provenance.py": {"--porcelain", "--plugin"},  # an option of git, and a name
    "vadbench/base/locations.py": {"--data-root"},  # what named a folder that bench looks for first
}


def advice():
    """Every text with an option in the modules that a run goes through, with the module's path."""
    commands_own = (
        "cli",
        "watch",
        "tables",
        "report",
        "scaffold",
        "engines",
        "inspect",
        "testing",
        "benchmarks",
        "tracking",
        "results",
    )
    others = ("environment.py", "extraction_request.py")
    for path in sorted((ROOT / "vadbench").rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        if path.parts[-2] in commands_own or path.name in others:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        # What an expression statement says is a docstring.
        said = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        parts = {id(v) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for v in n.values}
        for node in ast.walk(tree):
            text = ""
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(v.value) if isinstance(v, ast.Constant) else "X" for v in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said | parts:
                text = node.value
            known = UNREACHED.get(place, set())
            if OPTION.search(text) and text not in known and not any(part in text for part in known if " " in part):
                yield place, text


@pytest.mark.parametrize(("place", "text"), sorted(set(advice())))
@pytest.mark.parametrize("name", ["bench", "import-checkpoint"])
def test_advice_names_options_that_the_command_has(name, place, text):
    from vadbench.cli import cli

    there = {option for parameter in cli.commands[name].params for option in parameter.opts}
    said = in_words_of_bench(text, "tiny") if name == "bench" else text
    if name == "import-checkpoint":
        there.add("--selection")  # it asks for none, so that nobody has to leave it out
    assert set(OPTION.findall(said)) <= there, said
    if name == "bench":
        for option in ("--data-root", "--features", "--features-layout"):
            assert all(said[m.end() :].startswith(" tiny=") for m in re.finditer(rf"{option}(?![\w-])", said)), said


def test_a_run_without_some_videos_is_done_only_where_that_is_allowed(record, tmp_path):
    record(
        "part", notes=["incomplete: 3 of 6 test videos, the others lack a file"], created="2026-02-01T00:00:00+00:00"
    )
    runs, _ = read_records(tmp_path / "runs")
    assert finished(cell(), Today("1"), usable(Site(tmp_path), runs)) is None
    assert finished(cell(), Today("1"), usable(Site(tmp_path, allow_incomplete=True), runs)).folder.name == "part"


WEIGHTED = """
from vadbench import MethodSpec, hookimpl
from vadbench.base.method_config import MethodConfig
from vadbench.method import Method


class Config(MethodConfig):
    weights: dict[str, float] = {}
    flag: bool | None = None


class Weighted(Method):
    Config = Config


@hookimpl
def vadbench_methods():
    return [MethodSpec("weighted", "w", "weighted_plugin:Weighted")]
"""


def test_a_benchmark_may_set_entries_of_a_table_and_no_recipe_of_a_method_without_loss(write, tmp_path):
    (tmp_path / "weighted_plugin.py").write_text(WEIGHTED)
    registry = Registry(files=[PLUGIN, tmp_path / "weighted_plugin.py"])
    start = 'title = "t"\n[[tables]]\nid = "1"\ntitle = "T"\ncolumns = [{ dataset = "tiny", metric = "AUC" }]\nrows = ['
    for settings, complaint in (
        ("weights.fire = 2, flag = true", ""),
        ("weight.fire = 2", "'weighted' has no setting 'weight.fire'"),
        ("weights.fire = 'x'", "setting 'weights.fire' from --set"),
        ("recipe.epochs = 2", "'weighted' is not trained"),
    ):
        file = write(f"{start}{{ label = 'a', method = 'weighted', set = {{ {settings} }} }}]\n")
        if complaint:
            with pytest.raises(ConfigError, match=complaint):
                open_benchmark(str(file), registry, check_settings=True)
        else:
            open_benchmark(str(file), registry, check_settings=True)
