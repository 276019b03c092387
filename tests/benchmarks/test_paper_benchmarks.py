"""The papers' benchmark files: every published number has its place, and every row that can be run says what to run."""

import re
import tomllib
from collections import Counter
from importlib.resources import files

import pytest

from vadbench.base.config import resolve
from vadbench.base.metric_keys import MetricKey
from vadbench.benchmarks.schema import Benchmark
from vadbench.plugins.registry import Registry
from vadbench.records.published import published_numbers
from vadbench.tables.paper import published_for

PAPERS = ("anomalyclip", "vadclip", "icpram2024")


@pytest.fixture(scope="module")
def registry():
    return Registry()


@pytest.fixture(scope="module", params=PAPERS)
def paper(request):
    return read(request.param)


def read(name):
    text = (files("vadbench_benchmarks") / f"{name}.toml").read_text(encoding="utf-8")
    return Benchmark.model_validate(tomllib.loads(text))


def numbers(benchmark, table, row):
    """The published numbers of a row, one a column, ``None`` where there is none."""
    if row.published is None:
        return [None for _ in table.columns]
    return [published_for(benchmark.source, table.id, row.published, column) for column in table.columns]


def configs(registry, benchmark):
    """Every row that is run, resolved for every column: table, row, column and settings."""
    for table in benchmark.tables:
        for row in table.rows:
            if row.method is not None:
                for column in table.columns:
                    yield table, row, column, config(registry, row.method, column.dataset, table.set | row.set)


def config(registry, method, dataset, settings):
    assignments = [f"{name}={toml(value)}" for name, value in settings.items()]
    cls = registry.method(method)
    return resolve(cls.Config, cls.Config.dataset_defaults.get(dataset, {}), environment={}, assignments=assignments)


def toml(value):
    return str(value).lower() if isinstance(value, bool) else repr(value)


def test_the_tables_are_those_of_the_papers():
    assert [t.id for t in read("anomalyclip").tables] == [*map(str, range(1, 16)), "D.16", "D.17"]
    assert [t.id for t in read("vadclip").tables] == [*map(str, range(1, 8))]
    assert [t.id for t in read("icpram2024").tables] == [*map(str, range(4, 11))]


def test_protocol_and_clip_are_those_of_the_papers():
    assert {(b.source, b.protocol, b.clip, b.clip_weights) for b in map(read, PAPERS)} == {
        ("anomalyclip2024", "anomalyclip", "ViT-B-16-quickgelu", "openai"),
        ("vadclip2024", "vadclip", "ViT-B-16-quickgelu", "openai"),
        ("clipavad2024", "native", "ViT-B-32-quickgelu", "openai"),
    }
    for benchmark in map(read, PAPERS):
        assert benchmark.seeds == [0, 1, 2]
        assert all(c.protocol is None and c.train is None for t in benchmark.tables for c in t.columns)


def test_every_published_number_of_a_paper_has_exactly_one_place(paper):
    placed = Counter(n for t in paper.tables for r in t.rows for n in numbers(paper, t, r) if n is not None)
    expected = [n for n in published_numbers() if n.reported_in == paper.source]
    assert expected and placed == Counter(expected)


def test_rows_stand_in_the_order_of_the_paper(paper):
    order = {n: i for i, n in enumerate(published_numbers())}
    for table in paper.tables:
        first = [min(order[n] for n in found if n) for r in table.rows if any(found := numbers(paper, table, r))]
        assert first == sorted(first), table.id


def test_only_three_rows_have_neither_a_number_nor_a_method():
    empty = [
        (t.id, r.label, r.why)
        for b in map(read, PAPERS)
        for t in b.tables
        for r in t.rows
        if r.method is None and not any(numbers(b, t, r))
    ]
    why = "left blank in the paper; not built here"
    assert empty == [("1", "Wu et al. (I3D)", why), ("1", "MGFN (I3D)", why), ("1", "MGFN (VideoSwin)", why)]


def test_rows_of_a_group_stand_together(paper):
    for table in paper.tables:
        groups = [r.group for r in table.rows]
        runs = [g for g, previous in zip(groups, [None, *groups], strict=False) if g != previous]
        assert len(runs) == len(set(runs)), table.id
        assert len({(r.group, r.label) for r in table.rows}) == len(table.rows), table.id


def test_what_is_run_is_what_the_paper_measured_itself():
    """A verdict needs a number of the paper's own, but for the row of chance, two whose prompts are inferred, and other
    papers' methods, which VadCLIP's authors refitted in settings that are not known, or quote."""
    others = Counter(
        (b.source, t.id, r.label)
        for b in map(read, PAPERS)
        for t in b.tables
        for r in t.rows
        if r.method is not None and not all(n is not None and n.first_hand for n in numbers(b, t, r))
    )
    assert set(others) == {
        ("vadclip2024", "3", "Random baseline"),
        ("vadclip2024", "4", "Random baseline"),
        *(("vadclip2024", table, label) for table in "12" for label in ("RTFM", "DMU", "CLIP-TSA")),
        ("vadclip2024", "6", "both and L-Prompt"),
        ("vadclip2024", "6", "both and V-Prompt"),
    }


def test_what_a_paper_measured_itself_is_run_unless_the_row_says_what_is_missing():
    missing = {
        (t.id, r.label)
        for b in map(read, PAPERS)
        for t in b.tables
        for r in t.rows
        if r.method is None and any(n is not None and n.first_hand for n in numbers(b, t, r))
    }
    assert missing == {
        *((table, "ActionCLIP") for table in "123456"),
        ("15", "I3D, I3D"),
        ("15", "ViT-B/16, I3D"),
        ("7", "Ours"),
    }


def test_settings_of_every_row_resolve(registry, paper):
    resolved = {(table.id, row.group, row.label) for table, row, _, _ in configs(registry, paper)}
    assert resolved == {(t.id, r.group, r.label) for t in paper.tables for r in t.rows if r.method is not None}


def test_no_two_rows_of_a_table_mean_the_same_run_but_the_final_one(registry, paper):
    seen = {}
    for table, row, column, settings in configs(registry, paper):
        seen.setdefault((table.id, column.dataset, column.metric, row.method, settings.model_dump_json()), []).append(
            row
        )
    twice = {(key[0], tuple(r.label for r in rows)) for key, rows in seen.items() if len(rows) > 1}
    prompts = ("7", ("learnable prompt (final)", "anomaly focus (final)"))
    assert twice == ({prompts} if paper.source == "vadclip2024" else set())


def test_final_rows_are_the_method_as_it_comes(registry, paper):
    finals = [(t, r, c, s) for t, r, c, s in configs(registry, paper) if r.label.endswith("(final)")]
    for table, row, column, settings in finals:
        assert row.set == {}
        if (paper.source, table.id, column.dataset) != ("clipavad2024", "8", "shanghaitech"):
            assert settings == config(registry, row.method, column.dataset, {}), (table.id, row.label)
    assert {t.id for t, *_ in finals} == {
        "anomalyclip2024": {*map(str, range(7, 16)), "D.16", "D.17"},
        "vadclip2024": {"5", "6", "7"},
        "clipavad2024": {"8", "9", "10"},
    }[paper.source]


def test_columns_of_classes_name_the_classes_of_the_data_set(registry):
    found = {}
    for table in (t for b in map(read, PAPERS) for t in b.tables):
        for column in table.columns:
            name = MetricKey.parse(column.metric).of_class
            if name is not None:
                found.setdefault(column.dataset, []).append(name)
    for dataset, names in found.items():
        classes = registry.dataset(dataset).classes
        abnormal = {name for i, name in enumerate(classes.names) if i != classes.normal}
        # Two classes of ShanghaiTech have no training video, and no number in the paper.
        assert len(names) == len(set(names)) == len(abnormal) - 2 * (dataset == "shanghaitech")
        assert set(names) <= abnormal
    assert set(found) == {"ucfcrime", "shanghaitech", "xdviolence"}


# What a published variant says in words against the settings of the row that reproduces it.


DIRECTIONS = {
    "loss.direction_abnormal": {"no L_DIR_A|only L_DIR_N": 0, "only L_DIR_A|^L_DIR_A|both": 1},
    "loss.direction_normal": {"no L_DIR_N|only L_DIR_A": 0, r"only L_DIR_N|\+ L_DIR_N|both": 1},
}
KINDS = {
    r"photo of \[Category\]": "template",
    r"Prompt\+\[Category\]": "learned-category",
    r"\[Description\]": "learned-description",
}
# What tables change: of each setting the value by words of the published variant, a number where the words have one.
WORDS = {
    ("anomalyclip", "7"): {
        "text_encoder": {"encoder none": "none", "encoder frozen": "frozen", "finetuned": "finetune_projection"},
        "directions": {"direct optimisation": "free", "engineered prompts": "prompt", "CoOp": "coop"},
    },
    ("anomalyclip", "8"): {
        "n_ctx": {r"(\d+) context vectors": int},
        "shared_context": {"class-specific": False, "shared": True},
    },
    ("anomalyclip", "9"): {
        "likelihood": {"likelihood cosine": "cosine", "likelihood S": "selector"},
        "centre_features": {"features CLIP;": False, "features CLIP-m;": True},
        "mil_selection": {"MIL cosine": "cosine", "MIL feature magnitude": "magnitude", "MIL S": "selector"},
    },
    ("anomalyclip", "10"): {
        "temporal": {"MLP": "mlp", ", short-term": "short", "er, long-term": "long", "MTN": "mtn", "Axial": "axial"},
    },
    ("anomalyclip", "11"): {"emb_size": {r"emb (\d+)": int}, "depth": {r"(\d) layer": int}},
    ("anomalyclip", "12"): DIRECTIONS,
    ("anomalyclip", "13"): {
        "loss.top_abnormal": {r"without L_A\+": 0, r"^(?!without L_A\+)": 1},
        "loss.bottom_abnormal": {"without L_A-": 0, "^(?!without L_A-)": 1},
        "loss.top_normal": {r"without L_N\+": 0, r"^(?!without L_N\+)": 1},
    },
    ("anomalyclip", "14"): {
        "loss.direction_normal": {r"L_DIR_N\+": 0, r"L_DIR_N(?!\+)": 1},
        "loss.direction_top_normal": {r"L_DIR_N(?!\+)": 0, r"L_DIR_N\+": 1},
        "loss.direction_bottom_abnormal": {"^(?!.*L_DIR_A-)": 0, "L_DIR_A-": 1},
    },
    ("anomalyclip", "15"): {"temporal_features": {r"S\(x\) only": "selector", "temporal ViT-B/16": "features"}},
    ("anomalyclip", "D.16"): DIRECTIONS,
    ("anomalyclip", "D.17"): DIRECTIONS,
    ("vadclip", "5"): {
        "temporal": {
            "w/o": "none",
            "^Global TF-Encoder$": "global",
            "^Local TF-Encoder$": "local",
            "Only GCN": "graph",
            r"Local TF-Encoder \+ Global TF-Encoder": "local+global",
            r"Global TF-Encoder \+ GCN": "global+graph",
            r"Local TF-Encoder \+ GCN": "local+graph",
        },
    },
    ("vadclip", "6"): {
        "branches": {"C-Branch": "coarse", "A-Branch": "align", r"C\+A": "both"},
        "score_branch": {"C-Branch": "coarse", r"A-Branch|C\+A": "align"},
        # Of the branch that reads no prompt the prompts' settings mean nothing, and stay as they come.
        "text_prompt": {r"A-Branch|C\+A$|second": "handcrafted", r"C-Branch|first|\+L-Prompt": "learned"},
        "visual_prompt": {r"A-Branch|C\+A$|first": "none", r"C-Branch|second|\+V-Prompt": "focus"},
    },
    ("vadclip", "7"): {
        "text_prompt": {"Hand-crafted": "handcrafted", "^(?!Hand-crafted)": "learned"},
        "visual_prompt": {"Average-Frame": "average", "^(?!Average-Frame)": "focus"},
    },
    ("icpram2024", "6"): {"prompt.kind": KINDS},
    ("icpram2024", "8"): {
        "prompt.length": {r"context (\d+)": int},
        "temporal.layers": {r"depth (\d+)": int},
        "temporal.window": {r"window (\d+)": int},
    },
    ("icpram2024", "9"): {"prompt.position": {"Middle": "middle", "End": "end"}},
    ("icpram2024", "10"): {
        "temporal.local": {"w/o Temporal Module": False, "w/o GCN|^w Temporal": True},
        "temporal.global": {"w/o Temporal Module|w/o GCN": False, "^w Temporal": True},
    },
}


def flat(settings):
    """Settings by their full name."""
    found = {}
    for name, value in settings.items():
        found |= {f"{name}.{k}": v for k, v in flat(value).items()} if isinstance(value, dict) else {name: value}
    return found


@pytest.mark.parametrize(("name", "table_id"), WORDS)
def test_a_row_changes_what_its_words_say_and_nothing_else(registry, name, table_id):
    unchanged = {}
    for table, row, column, settings in configs(registry, read(name)):
        if table.id != table_id:
            continue
        values = flat(settings.model_dump())
        for setting, meanings in WORDS[name, table_id].items():
            said = [(m, value) for words, value in meanings.items() if (m := re.search(words, row.published.variant))]
            assert len(said) == 1, (row.published.variant, setting)
            [(match, value)] = said
            assert values.pop(setting) == (int(match[1]) if value is int else value), (row.label, setting)
        assert unchanged.setdefault(column.dataset, values) == values, row.label
    assert unchanged


def test_anomalyclip_differs_from_data_set_to_data_set_as_the_paper_says(registry):
    widths = {
        dataset: config(registry, "anomalyclip", dataset, {}) for dataset in ("ucfcrime", "xdviolence", "shanghaitech")
    }
    assert {d: (c.emb_size, c.depth, c.recipe.learning_rate, c.recipe.epochs) for d, c in widths.items()} == {
        "ucfcrime": (256, 1, 1e-5, 50),
        "xdviolence": (128, 1, 5e-6, 50),
        "shanghaitech": (256, 2, 5e-4, 100),
    }


def test_the_zero_shot_prompt_is_the_published_one(registry):
    rows = [
        (row.published.variant, settings)
        for table, row, _, settings in configs(registry, read("anomalyclip"))
        if row.method == "zero-shot" and table.id in "12"
    ]
    assert len(rows) == 4
    assert all(variant == f'prompt "{settings.template}"' for variant, settings in rows)


@pytest.mark.parametrize(
    ("table_id", "settings"),
    [
        ("6", {"prompt.length": 8, "prompt.position": "end", "temporal.local": True, "temporal.global": False}),
        ("9", {"prompt.kind": "learned-description", "prompt.length": 16, "temporal.global": True}),
        ("10", {"prompt.kind": "learned-description", "prompt.length": 16, "prompt.position": "end"}),
    ],
)
def test_icpram_tables_stand_on_the_model_that_their_text_names(registry, table_id, settings):
    for table, _, _, found in configs(registry, read("icpram2024")):
        if table.id == table_id:
            assert flat(found.model_dump()).items() >= settings.items()


def test_icpram_own_rows_are_five_methods(registry):
    for table_id in ("4", "5"):
        own = [
            (row.label, row.method, settings)
            for table, row, _, settings in configs(registry, read("icpram2024"))
            if table.id == table_id
        ]
        assert [(label, method) for label, method, _ in own] == [
            ("CLIP+Classifier", "clip-linear"),
            ("CLIP+Local+Global+Classifier", "clip-temporal-linear"),
            ("Ours-Video (Local)", "descriptions-video"),
            ("Ours-Video (Local+Global)", "descriptions-video"),
            ("Ours-Frame", "descriptions-frame"),
        ]
        local, both, frame = (settings for *_, settings in own[2:])
        assert (local.temporal.local, local.temporal.graphs) == (True, False)
        assert (both.temporal.local, both.temporal.graphs) == (True, True)
        assert (both.prompt.length, both.prompt.position, both.prompt.kind) == (16, "end", "learned-description")
        assert (frame.vote, frame.vote_window) == ("majority", 16)
