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
    return resolve(cls.Config, cls.dataset_defaults.get(dataset, {}), environment={}, assignments=assignments)


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
    assert len(expected) == {"anomalyclip2024": 381, "vadclip2024": 110, "clipavad2024": 82}[paper.source]
    assert placed == Counter(expected)


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
    """A verdict needs a number of the paper's own, but for the row of chance and two whose prompts are inferred."""
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
    places = {"anomalyclip2024": 172, "vadclip2024": 55, "clipavad2024": 50}[paper.source]
    assert sum(1 for _ in configs(registry, paper)) == places


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
    per_class = {}
    for table in (t for b in map(read, PAPERS) for t in b.tables):
        for column in table.columns:
            name = MetricKey.parse(column.metric).of_class
            if name is not None:
                per_class.setdefault(table.id, []).append(name)
                assert name in registry.dataset(column.dataset).classes.names
    assert {table: len(names) for table, names in per_class.items()} == {"4": 13, "5": 15, "6": 6}


# What a published variant says in words against the settings of the row that reproduces it.


def found(registry, name, table_id, pattern):
    """Rows of a table whose published variant matches: the match and the resolved settings."""
    benchmark = read(name)
    for table, row, _, settings in configs(registry, benchmark):
        if table.id == table_id and (match := re.fullmatch(pattern, row.published.variant)):
            yield match, settings


def test_anomalyclip_context_width_and_depth(registry):
    rows = list(found(registry, "anomalyclip", "8", r"(\d+) context vectors, (class-specific|shared).*"))
    assert len(rows) == 8
    assert all((s.n_ctx, s.shared_context) == (int(m[1]), m[2] == "shared") for m, s in rows)
    rows = list(found(registry, "anomalyclip", "11", r"emb (\d+), (\d) layers?.*"))
    assert len(rows) == 12
    assert all((s.emb_size, s.depth) == (int(m[1]), int(m[2])) for m, s in rows)


def test_anomalyclip_losses(registry):
    names = {"L_A+": "top_abnormal", "L_A-": "bottom_abnormal", "L_N+": "top_normal"}
    rows = list(found(registry, "anomalyclip", "13", r"without (.*)"))
    assert len(rows) == 6
    for match, settings in rows:
        assert {n: getattr(settings.loss, n) for n in names.values()} == {
            n: float(n != names[match[1]]) for n in names.values()
        }
    kept = {
        "no L_DIR_A, no L_DIR_N": (0, 0),
        "only L_DIR_N": (0, 1),
        "only L_DIR_A": (1, 0),
        "L_DIR_A + L_DIR_N (final)": (1, 1),
        "both (final)": (1, 1),
    }
    for table, count in (("12", 8), ("D.16", 8), ("D.17", 8)):
        rows = list(found(registry, "anomalyclip", table, ".*"))
        assert len(rows) == count
        for match, settings in rows:
            assert (settings.loss.direction_abnormal, settings.loss.direction_normal) == kept[match[0]]
            assert (settings.loss.direction_top_normal, settings.loss.direction_bottom_abnormal) == (0, 0)
    added = {
        "L_DIR_A + L_DIR_N + L_DIR_A- (bottom-K)": (1, 1, 0, 1),
        "L_DIR_A + L_DIR_N+ (top-K normal instead of all)": (1, 0, 1, 0),
        "L_DIR_A + L_DIR_N (final)": (1, 1, 0, 0),
    }
    for match, settings in found(registry, "anomalyclip", "14", ".*"):
        loss = settings.loss
        weights = (loss.direction_abnormal, loss.direction_normal)
        assert (*weights, loss.direction_top_normal, loss.direction_bottom_abnormal) == added[match[0]]


def test_anomalyclip_text_likelihood_and_temporal_model(registry):
    def built(table, *names):
        return {m[0]: tuple(getattr(s, n) for n in names) for m, s in found(registry, "anomalyclip", table, ".*")}

    assert built("7", "text_encoder", "directions") == {
        "text encoder none; directions by direct optimisation": ("none", "free"),
        "text encoder frozen; engineered prompts": ("frozen", "prompt"),
        "text encoder frozen; CoOp": ("frozen", "coop"),
        "last projection finetuned; CoOp (final)": ("finetune_projection", "coop"),
    }
    assert built("9", "likelihood", "centre_features", "mil_selection") == {
        "likelihood cosine sim; features CLIP; MIL cosine sim": ("cosine", False, "cosine"),
        "likelihood S; features CLIP-m; MIL feature magnitude": ("selector", True, "magnitude"),
        "likelihood S; features CLIP-m; MIL S (final)": ("selector", True, "selector"),
    }
    assert built("10", "temporal") == {
        "temporal MLP (3 layers)": ("mlp",),
        "temporal Transformer, short-term": ("short",),
        "temporal Transformer, long-term": ("long",),
        "temporal MTN, long-term": ("mtn",),
        "Axial Transformer, short+long (final)": ("axial",),
    }
    assert built("15", "temporal_features") == {
        "selector ViT-B/16; temporal input S(x) only": ("selector",),
        "selector ViT-B/16; temporal ViT-B/16 (final)": ("features",),
    }


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


def test_vadclip_adapter(registry):
    parts = {"Local TF-Encoder": "local", "Global TF-Encoder": "global", "GCN": "graph", "Only GCN": "graph"}
    rows = list(found(registry, "vadclip", "5", r"(.*?)(?: \(LGT-Adapter, final\))?"))
    assert len(rows) == 14
    for match, settings in rows:
        words = "none" if match[1] == "w/o temporal modeling" else "+".join(parts[p] for p in match[1].split(" + "))
        assert settings.temporal == words
        assert settings.score_branch == "align"


def test_vadclip_prompts(registry):
    built = {m[0]: (s.text_prompt, s.visual_prompt, s.branches) for m, s in found(registry, "vadclip", "7", ".*")}
    assert built == {
        "Hand-crafted prompt": ("handcrafted", "focus", "both"),
        "Learnable-Prompt (final)": ("learned", "focus", "both"),
        "Average-Frame visual prompt": ("learned", "average", "both"),
        "Anomaly-Focus visual prompt (final)": ("learned", "focus", "both"),
    }


def test_vadclip_branches_and_prompts(registry):
    built = [
        (s.branches, s.text_prompt == "learned", s.visual_prompt == "focus", s.score_branch)
        for _, s in found(registry, "vadclip", "6", ".*")
    ]
    # Of the branch that reads no prompt the prompts' settings mean nothing.
    assert built[0][::3] == ("coarse", "coarse")
    assert built[1:] == [
        ("align", False, False, "align"),
        ("both", False, False, "align"),
        ("both", True, False, "align"),
        ("both", False, True, "align"),
        ("both", True, True, "align"),
    ]


def test_icpram_context_depth_and_window(registry):
    rows = list(found(registry, "icpram2024", "8", r"context (\d+), depth (\d), window (\d+)"))
    assert len(rows) == 24
    for match, settings in rows:
        assert (settings.prompt.length, settings.temporal.layers, settings.temporal.window) == tuple(
            map(int, match.groups())
        )


def test_icpram_prompts_position_and_temporal_module(registry):
    def built(table):
        return {
            m[0]: (s.prompt.kind, s.prompt.length, s.prompt.position, s.temporal.local, s.temporal.graphs)
            for m, s in found(registry, "icpram2024", table, ".*")
        }

    assert built("6") == {
        "a photo of [Category]": ("template", 8, "end", True, False),
        "Learnable Prompt+[Category]": ("learned-category", 8, "end", True, False),
        "Learnable Prompt+[Description]": ("learned-description", 8, "end", True, False),
    }
    assert built("9") == {
        "learnable context Middle": ("learned-description", 16, "middle", True, True),
        "learnable context End": ("learned-description", 16, "end", True, True),
    }
    assert built("10") == {
        "w/o Temporal Module": ("learned-description", 16, "end", False, False),
        "w/o GCN (local transformer only)": ("learned-description", 16, "end", True, False),
        "w Temporal Module (local+GCN)": ("learned-description", 16, "end", True, True),
    }


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
