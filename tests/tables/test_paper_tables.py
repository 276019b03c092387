"""Published and reproduced numbers side by side: which run fills a place, and what is said of it."""

import shlex
import tomllib
from importlib.resources import files

import pytest

from intervals import widened
from vadbench.benchmarks.schema import Benchmark
from vadbench.metrics.definitions import definition
from vadbench.metrics.measurement import resampled
from vadbench.tables.evaluations import collect
from vadbench.tables.paper import paper_tables

PAPERS = ("anomalyclip", "vadclip", "icpram2024")
FINAL = "projection finetuned, CoOp (final)"
ARGUMENTS = {"method": "anomalyclip", "dataset": "ucfcrime", "protocol": "anomalyclip"}


def shipped(name):
    text = files("vadbench_benchmarks").joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return Benchmark.model_validate(tomllib.loads(text))


@pytest.fixture
def draw(make_run):
    """One table of a benchmark, filled with the runs made so far."""

    def draw(benchmark, table):
        known = shipped(benchmark) if isinstance(benchmark, str) else benchmark
        chosen = [t for t in known.tables if t.id == table]
        evaluations, problems = collect(make_run.out)
        assert all("has no scores.npz" in problem for problem in problems)
        (drawn,), lost = paper_tables(known, "anomalyclip", chosen, evaluations, make_run.out)
        assert not lost
        return drawn

    return draw


@pytest.fixture
def place(draw):
    """One place of AnomalyCLIP's table 7: the final row's AUC, by default."""

    def find(label=FINAL, column=0):
        table = draw("anomalyclip", "7")
        return next(row.cells[column] for row in table.rows if row.label == label)

    return find


@pytest.mark.parametrize("name", PAPERS)
def test_without_runs_every_published_number_is_there_and_it_says_how_to_fill_the_rest(tmp_path, name):
    from vadbench.records.published import published_numbers

    benchmark = shipped(name)
    tables, lost = paper_tables(benchmark, name, benchmark.tables, [], tmp_path)
    assert not lost
    shown = sum(cell.published is not None for t in tables for row in t.rows for cell in row.cells)
    ids = {f"Table {t.id}" for t in benchmark.tables}
    assert shown == sum(n.reported_in == benchmark.source and n.table in ids for n in published_numbers()) > 20
    assert not any(cell.reproduced or cell.verdict or cell.gap for t in tables for row in t.rows for cell in row.cells)
    for table, asked in zip(tables, benchmark.tables, strict=True):
        runnable = any(row.method for row in asked.rows)
        assert (f"vadbench bench {name} --only {asked.id}" in table.missing) == runnable
        said = [[note for note in row.notes if note.startswith("not run here: ")] for row in table.rows]
        assert said == [[f"not run here: {row.why}"] if row.why else [] for row in asked.rows]


def test_the_command_for_missing_runs_can_be_copied_whatever_the_folders_are_called(tmp_path):
    benchmark = shipped("quick")
    (table, *_), _ = paper_tables(benchmark, "my dir/$(mine).toml", benchmark.tables, [], tmp_path / "a b")
    command = shlex.split(table.missing.partition("this makes them: ")[2])
    asked = ["bench", "my dir/$(mine).toml", "--only", "synthetic", "--out", str(tmp_path / "a b")]
    assert command == ["vadbench", *asked]


@pytest.mark.parametrize(
    ("value", "low", "high", "verdict"),
    [
        (0.86, 0.84, 0.88, "within the interval"),
        (0.8636, 0.8636, 0.8636, "within the interval"),
        (0.80, 0.78, 0.82, "below"),
        (0.90, 0.88, 0.92, "above"),
    ],
)
def test_the_published_number_is_held_against_the_interval(make_run, place, value, low, high, verdict):
    make_run(**ARGUMENTS, figures={"AUC": {"value": value, "low": low, "high": high}})
    cell = place()
    assert cell.published.printed == "86.36" and cell.published.value == pytest.approx(0.8636)
    assert cell.gap == pytest.approx(value - 0.8636, abs=1e-6)
    assert cell.verdict == verdict


def test_without_an_interval_there_is_a_gap_and_no_verdict(make_run, place):
    make_run(**ARGUMENTS, figures={"AUC": {"value": 0.9, "reason": "no interval: there is only one video to resample"}})
    cell = place()
    assert cell.gap == pytest.approx(0.0364, abs=1e-6) and cell.verdict == ""
    assert "no interval: there is only one video to resample" in cell.reproduced.notes


@pytest.mark.parametrize(("count", "verdict"), [(8, "too few videos to tell"), (10, "above")])
def test_with_fewer_than_five_abnormal_videos_there_is_no_verdict_and_no_best(make_run, draw, place, count, verdict):
    make_run(**ARGUMENTS, figures={"AUC": {"value": 0.9, "low": 0.88, "high": 0.92}}, count=count)
    frozen = {"config": {"text_encoder": "frozen"}, "changed": ["text_encoder"]}
    make_run(**ARGUMENTS, figures={"AUC": {"value": 0.1}}, count=count, **frozen)
    assert place().verdict == verdict and place().gap == pytest.approx(0.0364, abs=1e-6)
    best = [cell.reproduced.best for row in draw("anomalyclip", "7").rows for cell in row.cells if cell.reproduced]
    assert any(best) == (count == 10)


def test_settings_decide_the_row(make_run, place):
    make_run(**ARGUMENTS, figures={"AUC": 0.9}, config={"text_encoder": "finetune"})
    make_run(
        **ARGUMENTS,
        figures={"AUC": 0.8},
        config={"text_encoder": "frozen"},
        changed=["text_encoder"],
        created="2027-01-01",
    )
    assert place().reproduced.mean == 0.9
    assert place("frozen, CoOp").reproduced.mean == 0.8
    assert place("frozen, engineered prompts").reproduced is None


def test_fewer_seeds_than_asked_are_said(make_run, place, draw):
    for seed in (0, 2, 7):
        make_run(**ARGUMENTS, seed=seed, figures={"AUC": 0.9, "mAUC": 0.9})
    assert place().reproduced.seeds == (0, 2)
    table = draw("anomalyclip", "7")
    assert "2 of 3 seeds" in table.notes
    assert table.missing.startswith("10 of 12 runs are missing")


def test_seeds_of_different_versions_are_never_averaged(make_run, place):
    for seed in (0, 1):
        make_run(**ARGUMENTS, seed=seed, figures={"AUC": 0.9})
    make_run(**ARGUMENTS, seed=2, figures={"AUC": 0.1}, method_version="2")
    assert place().reproduced.seeds == (0, 1)
    assert place().reproduced.mean == 0.9


def test_of_equal_groups_the_newest_counts(make_run, place):
    make_run(**ARGUMENTS, figures={"AUC": 0.9}, created="2026-02-02")
    make_run(**ARGUMENTS, figures={"AUC": 0.8}, created="2026-02-03", method_version="2")
    assert place().reproduced.mean == 0.8


def test_weights_trained_here_come_before_the_authors_own(make_run, place, draw):
    note = "weights imported from the authors' file ucf.ckpt, sha256 12"
    figures = {"AUC": {"value": 0.8, "low": 0.7, "high": 0.9}}
    make_run(**ARGUMENTS, figures=figures, notes=[note], created="2027-01-01")
    assert note in (*place().reproduced.notes, *draw("anomalyclip", "7").notes)
    assert place().verdict == "within the interval"
    make_run(**ARGUMENTS, figures={"AUC": 0.9})
    assert place().reproduced.mean == 0.9


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"protocol": "native"}, "rules (native, not anomalyclip)"),
        ({"rules": {"selection": "best-on-test"}}, "selection (best-on-test)"),
        ({"rules": {"crop": "left"}}, "crop (left)"),
        ({"rules": {"subset": "all"}}, "subset (all)"),
        ({"clip": {"model": "small", "weights": "", "sha256": "0"}}, "CLIP (small)"),
        ({"clip": {"model": "vit", "weights": "/home/me/w.pt", "sha256": "0"}}, "CLIP (vit w.pt)"),
        ({"fingerprint": {"regions": "boxes"}}, "regions (not whole frames)"),
    ],
    ids=str,
)  # fmt: skip
def test_runs_under_other_rules_are_shown_and_never_judged(make_run, place, draw, changes, words):
    make_run(**(ARGUMENTS | {"figures": {"AUC": {"value": 0.86, "low": 0.8, "high": 0.9}}} | changes))
    cell = place()
    assert cell.reproduced.mean == 0.86
    assert cell.verdict == f"protocol differs in {words}"
    assert cell.gap is None
    assert not cell.reproduced.best
    assert draw("anomalyclip", "7").missing.startswith("12 of 12 runs are missing")
    # A run under the rules asked for takes its place.
    make_run(**ARGUMENTS, figures={"AUC": {"value": 0.5, "low": 0.4, "high": 0.6}})
    assert (place().reproduced.mean, place().verdict) == (0.5, "below")


def test_of_runs_under_other_rules_the_closest_is_shown(make_run, place):
    make_run(**ARGUMENTS, rules={"selection": "validation", "crop": "left"}, figures={"AUC": 0.1})
    make_run(**ARGUMENTS, rules={"selection": "validation"}, figures={"AUC": 0.2})
    assert place().reproduced.mean == 0.2


def test_other_settings_and_failed_runs_fill_nothing(make_run, place):
    make_run(**ARGUMENTS, figures={"AUC": 0.5}, config={"emb": 3}, changed=["emb"])
    make_run(**ARGUMENTS, status="failed", error="a bug", method_version="3")
    assert place().reproduced is None


def test_incomplete_data_and_unknown_features_are_marked_and_incomplete_data_is_not_judged(make_run, place, draw):
    figures = {"AUC": {"value": 0.86, "low": 0.8, "high": 0.9}}
    make_run(**ARGUMENTS, figures=figures, fingerprint={"weights": "unknown-1"})
    assert place().verdict == "within the interval"
    assert "features of unknown origin" in draw("anomalyclip", "7").notes + place().reproduced.notes
    make_run(**ARGUMENTS, figures=figures, notes=["incomplete: 3 of 290 test videos, the others lack a file under /x"],
             created="2028-01-01")  # fmt: skip
    assert place().verdict == "" and place().gap is not None
    said = draw("anomalyclip", "7").notes + place().reproduced.notes
    assert "incomplete: 3 of 290 test videos" in said and not any("/x" in text for text in said)


def test_a_mean_without_all_annotated_classes_is_not_compared(make_run, draw):
    benchmark = Benchmark.model_validate(
        {
            "title": "classes",
            "source": "anomalyclip2024",
            "protocol": "anomalyclip",
            "clip": "ViT-B-16-quickgelu",
            "clip_weights": "openai",
            "tables": [
                {
                    "id": "2",
                    "title": "t",
                    "columns": [{"dataset": "ucfcrime", "metric": m} for m in ("mAUC", "AUC")],
                    "rows": [{"label": "a", "published": {"key": "anomalyclip2024"}, "method": "anomalyclip"}],
                }
            ],
        }
    )
    lacking = {"value": None, "low": None, "high": None, "reason": "the split has no frame of class Fire"}
    for day, figures, words in (
        (1, {}, ""),
        (2, {"AUC[Fire]": lacking}, "over all classes, ours without Fire, of which"),
    ):
        make_run(**ARGUMENTS, quality=1, figures=figures, created=f"2028-01-0{day}")
        mean, auc = draw(benchmark, "2").rows[0].cells
        assert auc.verdict and auc.gap is not None
        if words:
            assert (mean.verdict, mean.gap) == ("", None) and any(words in note for note in mean.published.notes)
        else:
            assert mean.verdict and mean.gap is not None


def test_numbers_that_a_paper_did_not_measure_are_marked_and_never_judged(make_run, draw):
    benchmark = Benchmark.model_validate(
        {
            "title": "quoted",
            "source": "anomalyclip2024",
            "protocol": "anomalyclip",
            "clip": "ViT-B-16-quickgelu",
            "clip_weights": "openai",
            "tables": [
                {
                    "id": "2",
                    "title": "t",
                    "columns": [{"dataset": "ucfcrime", "metric": "AUC"}],
                    "rows": [
                        {"label": label, "published": {"key": key, "backbone": backbone}, "method": "anomalyclip"}
                        for label, key, backbone in (
                            ("own", "anomalyclip2024", None),
                            ("quoted", "msl2022", "I3D-RGB"),
                        )
                    ],
                }
            ],
        }
    )
    make_run(**ARGUMENTS, figures={"AUC": {"value": 0.86, "low": 0.8, "high": 0.9}})
    table = draw(benchmark, "2")
    own, quoted = (row.cells[0] for row in table.rows)
    assert own.verdict == "within the interval" and not own.published.notes
    assert quoted.verdict == "" and quoted.gap is not None and "quoted" in quoted.published.notes[0]


@pytest.mark.parametrize("verified", ["derived", "recalled", "second-hand"])
def test_doubtful_numbers_are_never_judged_by(make_run, draw, monkeypatch, verified):
    import dataclasses

    from vadbench.tables import paper

    def doubtful(*arguments):
        number = original(*arguments)
        return None if number is None else dataclasses.replace(number, verified=verified)

    original = paper.published_for
    monkeypatch.setattr(paper, "published_for", doubtful)
    make_run(**ARGUMENTS, figures={"AUC": {"value": 0.86, "low": 0.8, "high": 0.9}})
    table = draw("anomalyclip", "7")
    assert all(cell.verdict == "" for row in table.rows for cell in row.cells)
    assert any(verified.split("-")[0] in note for note in table.notes)


def own_benchmark(rows, columns=({"dataset": "d", "metric": "AUC"},), **fields):
    return Benchmark.model_validate(
        {
            "title": "own",
            "clip": "ViT-B-16-quickgelu",
            "clip_weights": "openai",
            "tables": [{"id": "1", "title": "t", "columns": list(columns), "rows": rows}],
        }
        | fields
    )


def test_rows_are_ranked_among_reproduced_numbers_of_one_kind(make_run, draw):
    for method, quality in (("a", 3), ("b", 2), ("c", 5)):
        make_run(method, quality=quality, fingerprint={"weights": "9" * 64} if method == "c" else None)
    table = draw(own_benchmark([{"label": m, "method": m} for m in "abc"], seeds=[0]), "1")
    a, b, c = (row.cells[0].reproduced for row in table.rows)
    assert (a.best, b.second, c.best, c.second) == (True, True, False, False)
    assert table.rows[2].notes == () and "not ranked with the others: differs in features" in c.notes


def test_a_row_chosen_on_the_test_set_is_not_ranked_beside_the_others(make_run, draw):
    rows = [{"label": m, "method": m} for m in "ab"]
    rows.append({"label": "c", "method": "c", "set": {"protocol": {"selection": "best-on-test"}}})
    for method, quality in (("a", 3), ("b", 2), ("c", 5)):
        make_run(method, quality=quality, rules={"selection": "best-on-test"} if method == "c" else None)
    table = draw(own_benchmark(rows, seeds=[0]), "1")
    c = table.rows[2].cells[0].reproduced
    assert table.rows[0].cells[0].reproduced.best and not c.best and c.p is None
    assert "weights selected on the test set (best-on-test)" in c.notes
    assert any("differs in selection" in note for note in c.notes)


def test_the_interval_of_several_seeds_is_that_of_their_mean(make_run, draw):
    import numpy as np

    from vadbench.metrics.bootstrap import draw_videos
    from vadbench.records.scores import load_split

    folders = [make_run("a", seed=seed, quality=1) for seed in (0, 1, 2)]
    table = draw(own_benchmark([{"label": "a", "method": "a"}]), "1")
    found = table.rows[0].cells[0].reproduced
    draws = draw_videos(24)
    samples = np.mean([resampled(load_split(f), ["AUC"], draws)["AUC"] for f in folders], axis=0)
    low, high = np.percentile(samples, widened(12))
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))


def test_trained_elsewhere_is_another_column(make_run, draw):
    make_run("a", dataset="d", figures={"AUC": 0.6})
    make_run("a", dataset="d", trained_on="e", figures={"AUC": 0.4})
    columns = [{"dataset": "d", "metric": "AUC"}, {"dataset": "d", "metric": "AUC", "train": "e", "title": "from e"}]
    table = draw(own_benchmark([{"label": "a", "method": "a"}], columns, seeds=[0]), "1")
    assert [cell.reproduced.mean for cell in table.rows[0].cells] == [0.6, 0.4]
    assert [column.title for column in table.columns] == ["d AUC", "from e"]
    assert table.missing == ""


def test_made_names_the_day_the_machine_and_the_versions(make_run, draw):
    make_run("a", figures={"AUC": 0.6})
    make_run("a", seed=1, figures={"AUC": 0.6}, created="2026-01-05T00:00:00+00:00")
    table = draw(own_benchmark([{"label": "a", "method": "a"}], seeds=[0, 1]), "1")
    assert table.made == "2 runs, made 2026-01-02 to 2026-01-05 on a machine, no GPU; torch 2, commit abcdef0"


def test_supervision_is_that_of_the_runs_or_of_the_paper(make_run, draw):
    table = draw("anomalyclip", "7")
    assert {row.supervision for row in table.rows} == {"weak"}
    make_run(**ARGUMENTS, quality=1, supervision="one-class", company="split")
    found = next(row for row in draw("anomalyclip", "7").rows if row.label == FINAL)
    assert (found.supervision, found.depends) == ("one-class", "on the whole split")


# Like with like: the two average precisions, the selection of weights, post-processing.

STEP, TRAPEZOID = {"value": 0.5, "low": 0.4, "high": 0.6}, {"value": 0.62, "low": 0.61, "high": 0.63}
BY_BOTH = {"AP": STEP, "AP/trapezoid": TRAPEZOID}
UNKNOWN_RULE = "published number: an AP by an unknown rule, the step sum or the trapezoid rule; no verdict"


def paper_table(source, number, *rows, metric="AP", **column):
    """A table of a paper with one column on XD-Violence; a row is its key, and the method that runs it."""
    return Benchmark.model_validate(
        {
            "title": "of a paper",
            "source": source,
            "seeds": [0],
            "clip": "ViT-B-16-quickgelu",
            "clip_weights": "openai",
            "tables": [
                {
                    "id": number,
                    "title": "t",
                    "columns": [{"dataset": "xdviolence", "metric": metric} | column],
                    "rows": [{"label": m, "published": {"key": key}, "method": m} for key, m in rows],
                }
            ],
        }
    )


ON_TEST = {"selection": "best-on-test"}


def asking(benchmark, rules):
    """The benchmark with its table's runs under changed rules."""
    (table,) = benchmark.tables
    changed = table.model_copy(update={"set": {f"protocol.{field}": value for field, value in rules.items()}})
    return benchmark.model_copy(update={"tables": [changed]})


@pytest.mark.parametrize("metric", ["AP", "AP/trapezoid"])
def test_a_paper_that_means_the_trapezoid_by_ap_is_compared_with_ours_by_the_trapezoid(make_run, draw, metric):
    """LAVAD publishes 62.01, within the interval of our AP/trapezoid and above that of our AP."""
    make_run("lavad", dataset="xdviolence", figures=BY_BOTH)
    table = draw(paper_table("lavad2024", "2", ("lavad2024", "lavad"), metric=metric), "2")
    (column,), cell = table.columns, table.rows[0].cells[0]
    assert (column.title, column.metric) == ("AP (trapezoid)", "AP/trapezoid")
    assert (cell.published.printed, cell.reproduced.mean) == ("62.01", 0.62)
    assert (cell.verdict, cell.gap) == ("within the interval", pytest.approx(-0.0001))
    assert not cell.published.notes and not table.notes


def test_a_paper_that_means_the_step_sum_is_compared_with_ours_by_the_step_sum(make_run, draw):
    """AVadCLIP publishes 85.53 and 86.04, AnomalyCLIP 78.51."""
    figures = {"AP": {"value": 0.78, "low": 0.77, "high": 0.79}, "AP/trapezoid": TRAPEZOID}
    make_run("anomalyclip", dataset="xdviolence", figures=figures)
    table = draw(paper_table("anomalyclip2024", "3", ("anomalyclip2024", "anomalyclip")), "3")
    (column,), cell = table.columns, table.rows[0].cells[0]
    assert (column.title, column.metric, cell.reproduced.mean) == ("AP (step)", "AP", 0.78)
    assert (cell.verdict, cell.gap) == ("within the interval", pytest.approx(-0.0051))


def test_all_our_figures_of_a_column_are_one_metric_and_numbers_of_unknown_rule_are_marked(make_run, draw):
    for method in ("lavad", "zero-shot", "other"):
        make_run(method, dataset="xdviolence", figures=BY_BOTH)
    rows = (("lavad2024", "lavad"), ("clip2021", "zero-shot"), ("llava-1.5", "other"))
    table = draw(paper_table("lavad2024", "2", *rows), "2")
    own, quoted, _ = (row.cells[0] for row in table.rows)
    assert {row.cells[0].reproduced.mean for row in table.rows} == {0.62}
    assert own.verdict and not own.published.notes
    assert quoted.verdict == "" and quoted.published.printed == "17.83" and UNKNOWN_RULE in quoted.published.notes


def test_an_ap_of_unknown_rule_is_shown_and_never_judged_even_if_the_paper_measured_it(make_run, draw):
    """TPWNG's own AP; its code is not known."""
    make_run("tpwng", dataset="xdviolence", figures={"AP": {"value": 0.83, "low": 0.8, "high": 0.86}})
    table = draw(paper_table("tpwng2024", "1", ("tpwng2024", "tpwng")), "1")
    cell = table.rows[0].cells[0]
    assert (cell.published.printed, cell.verdict) == ("83.68", "") and UNKNOWN_RULE in table.notes
    assert (table.columns[0].title, table.columns[0].metric) == ("AP (step)", "AP")


@pytest.mark.parametrize(
    ("source", "table", "other", "ours", "words"),
    [
        ("lavad2024", "2", "step", 0.62, "AP by the step sum, ours by the trapezoid rule"),
        ("anomalyclip2024", "3", "trapezoid", 0.5, "AP by the trapezoid rule, ours by the step sum"),
    ],
)
def test_a_number_of_the_other_rule_has_neither_gap_nor_verdict(
    make_run, draw, monkeypatch, source, table, other, ours, words
):
    """The paper's own numbers decide which AP is ours; one that it took from elsewhere is shown and marked."""
    import dataclasses

    from vadbench.tables import paper

    def with_rules(source, table, published, column):
        number = original(source, table, published, column)
        return dataclasses.replace(number, ap_rule=other) if published.key == "clip2021" else number

    original = paper.published_for
    monkeypatch.setattr(paper, "published_for", with_rules)
    for method in ("own", "zero-shot"):
        make_run(method, dataset="xdviolence", figures=BY_BOTH)
    drawn = draw(paper_table(source, table, (source, "own"), ("clip2021", "zero-shot")), table)
    cell = drawn.rows[1].cells[0]
    assert (cell.gap, cell.verdict, cell.reproduced.mean) == (None, "", ours)
    assert f"published number: {words}; no verdict" in cell.published.notes
    assert drawn.rows[0].cells[0].gap is not None and drawn.rows[0].cells[0].reproduced.mean == ours


def test_a_run_that_is_older_than_the_metric_says_how_to_add_it(make_run, draw):
    make_run("lavad", dataset="xdviolence", figures={"AP": STEP})
    table = draw(paper_table("lavad2024", "2", ("lavad2024", "lavad")), "2")
    cell = table.rows[0].cells[0]
    assert cell.reproduced.mean is None and (cell.gap, cell.verdict) == (None, "")
    assert "undefined: not measured in these runs; vadbench rescore adds it" in (*table.notes, *cell.reproduced.notes)


def test_a_column_without_a_paper_is_called_by_its_metric(make_run, draw):
    make_run("a", figures=BY_BOTH)
    columns = [{"dataset": "d", "metric": metric} for metric in ("AP", "AP/trapezoid")]
    table = draw(own_benchmark([{"label": "a", "method": "a"}], columns, seeds=[0]), "1")
    assert [column.metric for column in table.columns] == ["AP", "AP/trapezoid"]
    assert [cell.reproduced.mean for cell in table.rows[0].cells] == [0.5, 0.62]
    assert [column.title for column in table.columns] == [definition(m).title for m in ("AP", "AP/trapezoid")]


def test_titles_of_the_file_keep_their_words_and_get_the_rule_once(draw):
    for title, heading in (("AP trained here", "AP trained here (step)"), ("AP (step)", "AP (step)")):
        table = draw(paper_table("anomalyclip2024", "3", ("anomalyclip2024", "m"), title=title), "3")
        assert table.columns[0].title == heading


def test_weights_selected_on_the_test_set_are_compared_with_weights_selected_alike(make_run, draw):
    """VadCLIP's 84.51 is the best of its looks at the test set."""
    figures = {"AP": {"value": 0.84, "low": 0.83, "high": 0.85}}
    benchmark = paper_table("vadclip2024", "1", ("vadclip2024", "vadclip"))
    assert "published number: weights selected on the test set (best-on-test)" in draw(benchmark, "1").notes
    make_run("vadclip", dataset="xdviolence", figures=figures)
    table = draw(benchmark, "1")
    cell = table.rows[0].cells[0]
    assert (cell.verdict, cell.gap, cell.reproduced.mean) == ("", None, 0.84)
    assert "published number: selection best-on-test, ours last; no verdict" in table.notes

    make_run("vadclip", dataset="xdviolence", figures=figures, rules=ON_TEST)
    table = draw(asking(benchmark, ON_TEST), "1")
    cell = table.rows[0].cells[0]
    assert (cell.verdict, cell.gap) == ("within the interval", pytest.approx(-0.0051))
    assert not any(note.startswith("published number") for note in (*table.notes, *cell.published.notes))


def test_last_weights_are_not_compared_with_weights_selected_on_the_test_set(make_run, draw):
    benchmark = paper_table("anomalyclip2024", "3", ("anomalyclip2024", "anomalyclip"))
    figures = {"AP": {"value": 0.78, "low": 0.7, "high": 0.8}}
    make_run("anomalyclip", dataset="xdviolence", figures=figures, rules=ON_TEST)
    table = draw(asking(benchmark, ON_TEST), "3")
    assert (table.rows[0].cells[0].verdict, table.rows[0].cells[0].gap) == ("", None)
    assert "published number: selection last, ours best-on-test; no verdict" in table.notes


@pytest.mark.parametrize(
    ("published", "ours", "verdict"),
    [
        ("", "", "within the interval"),
        ("gaussian(10)", "gaussian(10)", "within the interval"),
        ("gaussian(10)", "", ""),
        ("gaussian(10)", "gaussian(2)", ""),
        ("other", "", ""),
        ("other", "gaussian(10)", ""),
    ],
)
def test_smoothed_scores_are_compared_with_scores_smoothed_alike(make_run, draw, monkeypatch, published, ours, verdict):
    import dataclasses

    from vadbench.tables import paper

    original = paper.published_for
    monkeypatch.setattr(paper, "published_for", lambda *a: dataclasses.replace(original(*a), post=published))
    benchmark = paper_table("lavad2024", "2", ("lavad2024", "lavad"))
    unrun = draw(benchmark, "2").notes
    assert (f"published number: scores post-processed ({published})" in unrun) == (published != "")
    # The method proposes its own steps, so that they are no change of the rules.
    folder = make_run("lavad", dataset="xdviolence", figures=BY_BOTH, rules={"post": ours}, changed=[])
    record = folder / "result.json"
    record.write_text(record.read_text().replace('"protocol.post"', ""))
    table = draw(benchmark, "2")
    cell = table.rows[0].cells[0]
    assert cell.verdict == verdict and (cell.gap is None) == (verdict == "")
    said = f"published number: post-processing {published}, ours {ours or 'none'}; no verdict"
    assert (said in table.notes) == (verdict == "")


OWN = "the data set's own"


@pytest.mark.parametrize(
    ("number", "ours", "words"),
    [
        ({}, {}, ""),
        # Of metrics over rows there is no verdict under any rules.
        ({"counted": "rows"}, {}, "a metric over rows of features, ours over frames"),
        # Two divisions of one data set, as MSAD's 240 and 360 test videos.
        ({"test_protocol": "weakly-supervised"}, {}, ""),
        ({"test_protocol": "one-class"}, {"partition": "one-class"}, ""),
        ({"test_protocol": "one-class"}, {}, f"test videos one-class, ours {OWN}"),
        ({"test_protocol": "official"}, {"partition": "one-class"}, "test videos official, ours one-class"),
        ({"test_protocol": "unknown"}, {"partition": "one-class"}, "test videos unknown, ours one-class"),
        ({"test_protocol": "unknown"}, {}, ""),
        ({"test_protocol": "other-split"}, {}, f"test videos other-split, ours {OWN}"),
        ({"truth": "other"}, {}, f"ground truth other, ours {OWN}"),
        ({}, {"truth": "again"}, f"ground truth {OWN}, ours again"),
        ({"truth": "again"}, {"truth": "again"}, ""),
        ({"test_protocol": "cross-dataset"}, {}, "trained on another data set, ours on xdviolence"),
    ],
)
def test_a_number_of_other_videos_another_truth_or_over_rows_has_neither_gap_nor_verdict(
    make_run, draw, monkeypatch, number, ours, words
):
    import dataclasses

    from vadbench.tables import paper

    original = paper.published_for
    monkeypatch.setattr(paper, "published_for", lambda *a: dataclasses.replace(original(*a), **number))
    make_run("lavad", dataset="xdviolence", figures=BY_BOTH, rules=ours)
    table = draw(asking(paper_table("lavad2024", "2", ("lavad2024", "lavad")), ours), "2")
    cell = table.rows[0].cells[0]
    assert (cell.published.printed, cell.reproduced.mean) == ("62.01", 0.62)
    assert (cell.verdict == "", cell.gap is None) == (words != "", words != "")
    assert [note for note in table.notes if note.startswith("published")] == (
        [f"published number: {words}; no verdict"] if words else []
    )


@pytest.mark.parametrize(("tested", "judged"), [("cross-dataset", True), ("official", False), ("unknown", True)])
def test_a_run_trained_elsewhere_is_compared_with_a_number_made_alike(make_run, draw, monkeypatch, tested, judged):
    import dataclasses

    from vadbench.tables import paper

    original = paper.published_for
    monkeypatch.setattr(paper, "published_for", lambda *a: dataclasses.replace(original(*a), test_protocol=tested))
    make_run("lavad", dataset="xdviolence", trained_on="ucfcrime", figures=BY_BOTH)
    table = draw(paper_table("lavad2024", "2", ("lavad2024", "lavad"), train="ucfcrime"), "2")
    assert (table.rows[0].cells[0].verdict != "") == judged
    said = "published number: trained on the data set, ours on ucfcrime; no verdict"
    assert (said in table.notes) != judged


def test_what_a_number_is_of_is_said_without_runs(draw, monkeypatch):
    import dataclasses

    from vadbench.tables import paper

    original = paper.published_for
    changes = {"counted": "rows", "truth": "other"}
    monkeypatch.setattr(paper, "published_for", lambda *a: dataclasses.replace(original(*a), **changes))
    assert set(draw(paper_table("lavad2024", "2", ("lavad2024", "lavad")), "2").notes) >= {
        "published number: a metric over rows of features, ours over frames; no verdict",
        "published number: another ground truth of the test videos (other)",
    }


def test_headings_of_shipped_tables_say_which_ap_they_hold(draw):
    assert [c.title for c in draw("anomalyclip", "3").columns] == ["AP (step)", "mAP"]
    assert [c.title for c in draw("vadclip", "5").columns] == ["AP (step)", "average mAP"]
    assert [c.title for c in draw("anomalyclip", "6").columns][:2] == ["Abuse", "Car accident"]
    assert [c.title for c in draw("anomalyclip", "2").columns] == ["AUC", "mAUC"]


@pytest.mark.parametrize("format", ["text", "md", "latex", "html", "csv", "json"])
@pytest.mark.parametrize("source", ["lavad2024", "anomalyclip2024"])
def test_every_format_prints_the_rule(make_run, draw, format, source):
    from vadbench.tables.formats import render

    make_run("m", dataset="xdviolence", figures=BY_BOTH)
    number = "2" if source == "lavad2024" else "3"
    text = render(draw(paper_table(source, number, (source, "m")), number), format)
    assert ("AP (trapezoid)" in text) == (source == "lavad2024")
    assert ("AP (step)" in text) == (source == "anomalyclip2024")


@pytest.mark.parametrize("rules", [{"partition": "one-class"}, {"truth": "again"}])
def test_runs_on_other_videos_or_under_another_ground_truth_give_no_figure(make_run, draw, rules):
    make_run("lavad", dataset="xdviolence", figures={"AP/trapezoid": 0.9}, quality=1.0, rules=rules)
    asked = paper_table("lavad2024", "2", ("lavad2024", "lavad"))
    table = draw(asked, "2")
    (field, value), cell = *rules.items(), table.rows[0].cells[0]
    assert (cell.published.printed, cell.reproduced, cell.gap) == ("62.01", None, None)
    assert cell.verdict == f"protocol differs in {field} ({value})"
    assert not table.blind
    # One run that was tested as asked is shown, however else it differs.
    make_run("lavad", dataset="xdviolence", figures={"AP/trapezoid": 0.5}, rules={"selection": "best-on-test"})
    cell = draw(asked, "2").rows[0].cells[0]
    assert (cell.reproduced.mean, cell.verdict.startswith("protocol differs in selection")) == (0.5, True)
    # Where it is asked for, the first one is.
    cell = draw(asking(asked, rules), "2").rows[0].cells[0]
    assert (cell.reproduced.mean, cell.verdict.startswith("protocol differs")) == (0.9, False)
