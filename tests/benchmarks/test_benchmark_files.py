"""Benchmark files: every mistake is said with its line."""

import json
import re
import subprocess
import sys
import time
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cells import FILE, TEXTS
from places import PLUGIN, ROOT
from vadbench.base.errors import ConfigError, PluginError, UnknownNameError
from vadbench.benchmarks.parser import open_benchmark
from vadbench.benchmarks.schema import Benchmark, ColumnSpec, PublishedSpec, RowSpec, TableSpec
from vadbench.benchmarks.state import with_trainings
from vadbench.benchmarks.toml_lines import TomlLines
from vadbench.plugins.hookspecs import BenchmarkSpec
from vadbench.plugins.registry import Plugin, Registry


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


def test_twice_as_many_entries_take_about_twice_as_long(no_collections):
    def seconds(entries):
        text = "".join(f'key{i} = {{ a = "x", b = [1, 2] }}\n' for i in range(entries))
        start = time.process_time()
        assert TomlLines(text).line((f"key{entries - 1}", "b", 1)) == entries
        return time.process_time() - start

    seconds(1_000)
    small, large = (min(seconds(entries) for _ in range(3)) for entries in (8_000, 64_000))
    assert large < 20 * small  # 64 times as long if each counted its lines


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


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("quick", 15 * 2 * 3),
        ("cross-dataset", 3 * 8 * 2 * 3),
        # Seven methods trained on either of two data sets and tested on six others, and two without training on seven.
        ("lagovad", (2 * 7 * 6 + 2 * 7) * 3),
        # Fourteen methods on either data set, and four of them on MSAD's other test split.
        ("more-datasets", (14 * 2 + 4) * 3),
    ],
)
def test_the_files_that_come_along_hold(name, count):
    benchmark = open_benchmark(name, Registry(), check_settings=True)
    cells = benchmark.cells()
    assert len(set(cells)) == len(cells) == count


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
        ("width = 3", 'width = "3"', 27, "setting 'width' must be as runs record it, 3, found '3'"),
        ("width = 3", "protocol.subset = 'some'", 26, "protocol.subset: Input should be 'all' or 'single-anomaly'"),
        ("width = 3", "width = 2020-01-01", 26, "setting 'width' must be a number, a string"),
        ('label = "c"', 'lable = "c"', 24, "unknown entry 'lable'; did you mean 'label'?"),
        ('label = "c"\n', "", 23, "tables.2.rows.1: 'label' is missing"),
        ('method = "random"', "", 28, "row 'd' needs a method, recorded scores or a published key"),
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


def test_a_name_that_two_plugins_claim_is_not_called_unknown(tmp_path):
    file = tmp_path / "second_native.py"
    file.write_text(
        "from vadbench import hookimpl\n"
        "from vadbench.plugins.hookspecs import ProtocolSpec\n"
        "@hookimpl\n"
        "def vadbench_protocols():\n"
        "    return [ProtocolSpec('native', 's', 'second_native:RULES')]\n"
    )
    with pytest.raises(ConfigError, match=r"quick\.toml, line \d+: protocol 'native' is registered by .* and "):
        open_benchmark("quick", Registry(files=[file]), check_settings=False)


SEEDED = 'title = "t"\nseeds = [0, 1]\n' + FILE.partition('"""\n\n')[2]


@pytest.mark.parametrize(
    ("seeds", "line", "message"),
    [
        ("[0, -1]", 2, "seeds.2: Input should be greater than or equal to 0"),
        ("[1000000]", 2, "seeds.1: Input should be less than or equal to 999999"),
        ("[0,\ntrue]", 3, "seeds.2: Input should be a valid integer"),
        ("[1, 0, 1]", 2, "seeds: a seed is given twice"),
    ],
)
def test_seeds_are_those_that_a_run_takes(registry, write, seeds, line, message):
    assert_refused(registry, write, SEEDED, "[0, 1]", seeds, line, message)


def test_a_table_may_have_a_clip_of_its_own(registry, write):
    own = 'id = "2"\nclip = "ViT-L-14-quickgelu"\nclip_weights = "openai"'
    benchmark = open_benchmark(write(FILE.replace('id = "2"', own)), registry, check_settings=True)
    first, second = (benchmark.clip_of(table) for table in benchmark.tables)
    assert (first, second) == ((benchmark.clip, benchmark.clip_weights), ("ViT-L-14-quickgelu", "openai"))
    clips = [{cell.clip for r in t.rows for c in t.columns for cell in benchmark.of(t, r, c)} for t in benchmark.tables]
    assert clips == [{benchmark.clip}, {"ViT-L-14-quickgelu"}]
    bare = open_benchmark(write(FILE.replace('id = "2"', 'id = "2"\nclip = "RN50"')), registry, check_settings=True)
    assert bare.clip_of(bare.tables[1]) == ("RN50", ""), "the weights of the benchmark are those of its own CLIP"
    lone = 'id = "2"\nclip_weights = "openai"'
    assert_refused(registry, write, FILE, 'id = "2"', lone, 19, "table '2' has clip_weights and no clip")


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
        ('source = "anomaly', 'source = "anomly', 2, "from 'anomlyclip2024'; did you mean 'anomalyclip2024'"),
        (
            'key = "anomaly',
            'key = "anomly',
            8,
            "unknown published key 'anomlyclip2024'; did you mean 'anomalyclip2024'",
        ),
        ('2024" } }', '2024", variant = "x" } }', 8, "variant 'x' and backbone 'any'; there: variant '' with backbone"),
        ('2024" } }', '2024", backbone = "I3D" } }', 8, "backbone 'I3D'; there: variant ''"),
        ('id = "2"', 'id = "99"', 8, "table 99 of anomalyclip2024 has no number of 'anomalyclip2024'"),
        ('2024" } }', '2024", source = "vadclop2024" } }', 8, "from 'vadclop2024'; did you mean 'vadclip2024'"),
        ('2024" } }', '2024", source = "vadclip2024" } }', 8, "vadclip2024 has no number of 'anomalyclip2024'"),
        (
            '2024" } }',
            '2024", test_protocol = "all" } }',
            8,
            "tested 'all'; there: variant '' with backbone 'CLIP ViT-B/16'",
        ),
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


def test_the_mark_that_editors_put_before_text_is_no_content(registry, write):
    usual = open_benchmark(write(FILE), registry)
    assert open_benchmark(write("\ufeff" + FILE), registry) == usual


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


def test_the_file_that_the_documentation_shows_is_one(registry, write):
    (shown,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "benchmarks.md").read_text(), re.DOTALL)
    found = open_benchmark(write(shown), registry, check_settings=True)
    assert [cell.name for cell in found.cells()] == [""] * 3 + ["short"] * 3


def test_every_entry_says_what_it_means():
    for part in (Benchmark, TableSpec, ColumnSpec, RowSpec, PublishedSpec):
        assert [name for name, field in part.model_fields.items() if not field.description] == []


def test_a_name_is_no_part_of_what_a_run_is(registry, write):
    text = """
title = "t"
seeds = [0]
[[tables]]
id = "1"
title = "One"
columns = [{ dataset = "tiny", metric = "AUC" }, { dataset = "other", metric = "AUC", train = "tiny" }]
rows = [{ label = "a", method = "linear" }, { label = "b", method = "linear", name = "ours" }]
"""
    named, bare = (open_benchmark(write(t), registry).cells() for t in (text, text.replace(', name = "ours"', "")))
    assert named == bare and [c.id for c in named] == [c.id for c in bare] and {c.name for c in named} == {"ours"}
    # The training keeps its name where it is asked for itself.
    assert [c.name for c in with_trainings(named)] == ["ours", "ours"]
    assert [c.name for c in with_trainings(named[1:])] == ["", "ours"]
    with pytest.raises(ConfigError, match=r"line 8.*a label must have none of"):
        open_benchmark(write(text.replace('"ours"', '"a/b"')), registry)
    with pytest.raises(ConfigError, match="has no method, and no runs to name"):
        published = 'why = "not here", published = { key = "rtfm" }, name = "x"'
        open_benchmark(write(text.replace('method = "linear" }', f"{published} }}", 1)), registry)
