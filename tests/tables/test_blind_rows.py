"""Rows that look at no frame, below every table whose ground truth is at hand."""

import csv
import io
import json
import re

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from vadbench.base.errors import RunError
from vadbench.benchmarks.schema import Benchmark
from vadbench.metrics.blind import BLIND
from vadbench.tables import standing
from vadbench.tables.evaluations import collect
from vadbench.tables.formats import FORMATS, render
from vadbench.tables.layout import lay_out
from vadbench.tables.paper import paper_tables
from vadbench.tables.table import tables_from_json, to_json

FRAMES = 160
GROUP = "without looking at a frame"


def literal(name, count):
    """Frame scores and truth of the made-up split: every second video abnormal, its second half anomalous."""
    place = (np.arange(FRAMES) - (FRAMES - 1) / 2) / (FRAMES / 2)
    bell = np.exp(-(place**2) / 2)
    abnormal = np.arange(count) % 2 == 0
    scores = {
        "blind-length": np.full((count, FRAMES), -FRAMES),
        "blind-centre": np.tile(bell, (count, 1)),
        "blind-oracle-label": np.tile(abnormal[:, None], FRAMES),
        "blind-oracle-centre": abnormal[:, None] * bell,
    }[name].astype(float)
    return scores, abnormal[:, None] & (np.arange(FRAMES) >= FRAMES // 2)


def means(table, name):
    (row,) = (row for row in table.blind if row.label == name)
    return {c.metric: p.reproduced and p.reproduced.mean for c, p in zip(table.columns, row.cells, strict=True)}


@pytest.mark.parametrize("name", BLIND)
def test_their_figures_are_those_of_every_frame_of_the_ground_truth(make_run, boards, name):
    make_run("m", quality=1, count=10)
    (table,) = boards().tables
    found = means(table, name)
    scores, truth = literal(name, 10)
    odd = truth.any(1)
    assert found["AUC"] == pytest.approx(roc_auc_score(truth.ravel(), scores.ravel()), abs=1e-6)
    assert found["AP"] == pytest.approx(average_precision_score(truth.ravel(), scores.ravel()), abs=1e-6)
    assert found["AnoAUC"] == pytest.approx(roc_auc_score(truth[odd].ravel(), scores[odd].ravel()), abs=1e-6)
    assert found["AUC/within"] == pytest.approx(np.mean([roc_auc_score(truth[i], scores[i]) for i in odd.nonzero()[0]]))
    flat = np.repeat(scores.mean(1).round(9), FRAMES)
    assert found["AUC/flattened"] == pytest.approx(roc_auc_score(truth.ravel(), flat), abs=1e-6)
    assert [found[m] for m in ("mAUC", "mAP", "mAP@IoU")] == [None] * 3, "no blind score tells classes apart"
    assert found["FAR"] == (None if name == "blind-length" else np.mean(scores[~odd] > 0.5))


def test_they_are_never_ranked_and_take_no_place_from_others(make_run, boards):
    for label, quality in (("a", 3), ("b", 1)):
        make_run(label, quality=quality)
    (table,) = boards().tables
    assert [row.label for row in table.rows] == ["a", "b"]
    assert [row.label for row in table.blind] == list(BLIND) and {row.group for row in table.blind} == {GROUP}
    assert {row.rank for row in table.blind} == {row.seeds for row in table.blind} == {None}
    assert [row.supervision for row in table.blind] == ["training-free", "training-free", "oracle", "oracle"]
    for found in (cell.reproduced for row in table.blind for cell in row.cells if cell.reproduced):
        assert not (found.best or found.second or found.tied or found.p or found.low)
    # Two rows are compared: Holm's adjustment over more would make the smallest p-value larger.
    assert table.rows[1].cells[0].reproduced.p < 0.005


def test_they_are_computed_once_for_each_ground_truth(make_run, boards, monkeypatch):
    asked = []
    monkeypatch.setattr(standing, "blind_metrics", lambda split, keys: asked.append(split) or {})
    for seed in (0, 1):
        make_run("m", quality=1, seed=seed)
    make_run("other-features", quality=1, fingerprint={"weights": "1" * 64})
    make_run("other-videos", quality=1, count=20)
    make_run("other-length", quality=1, rules={"tail": "rows"})  # as long: 10 rows of 16 frames
    assert len(boards().tables) == 4
    assert [len(split.videos) for split in asked] == [24, 20] or [len(split.videos) for split in asked] == [20, 24]


def test_a_group_has_those_of_its_own_ground_truth(make_run, boards):
    make_run("m", quality=1)
    make_run("n", quality=1, count=9)
    small, large = sorted(boards().tables, key=lambda table: table.rows[0].label, reverse=True)
    assert means(large, "blind-oracle-label")["AUC"] == pytest.approx((1 + 12 / 18) / 2, abs=1e-6)
    assert means(small, "blind-oracle-label")["AUC"] == pytest.approx((1 + 4 / 6.5) / 2, abs=1e-6)


def test_a_row_of_another_ground_truth_is_not_judged_by_them(make_run, boards):
    folder = make_run("a", quality=0)
    for name in ("b", "c"):
        make_run(name, quality=3)
    with np.load(folder / "scores.npz") as file:
        arrays = dict(file)
    arrays["segments"][0, 2] -= 16
    arrays["runs"][0, 1] -= 16
    np.savez(folder / "scores.npz", **arrays)
    (table,) = boards().tables
    assert [row.label for row in table.rows] == ["c", "b", "a"] or [row.label for row in table.rows] == ["b", "c", "a"]
    assert not any("no better than" in note for note in table.notes)


def test_without_any_scores_there_are_none(make_run, boards):
    make_run("m", figures={"AUC": 0.9})
    (table,) = boards().tables
    assert table.blind == () and not any("no better than" in note for note in table.notes)


def test_methods_that_do_not_beat_them_are_named(make_run, boards):
    for seed in (0, 1):
        make_run("good", quality=6, seed=seed)
        make_run("poor", quality=0.3, seed=seed)
        make_run("worst", quality=-1, seed=seed)
    (table,) = boards().tables
    # The middle of a video is as anomalous as its end here, so its bell is at chance within.
    assert means(table, "blind-centre")["AUC/within"] == 0.5
    said = [note for note in table.notes if note.startswith("no better than")]
    assert said == [
        "no better than blind-centre, which looks at no frame, in AUC/within: worst",
        "no better than blind-oracle-label, which knows the label of each video and nothing else, in AUC: poor, worst",
    ]
    assert all(f"N{text[1:]}." in render(table, "md") for text in said)


def test_as_good_is_not_better(make_run, boards):
    """A run that is as good as a row to the last printed digit does not beat it."""
    make_run("usual", quality=3)
    (table,) = boards().tables
    bound = means(table, "blind-oracle-label")["AUC"]
    make_run("equal", figures={"AUC": bound})
    make_run("above", figures={"AUC": bound + 1e-5})
    (table,) = boards().tables
    (said,) = (note for note in table.notes if "blind-oracle-label" in note)
    assert said.endswith(": equal")


def test_runs_of_blind_methods_are_left_out_with_a_note(make_run, boards):
    make_run("m", quality=1)
    make_run("blind-centre", quality=1, reads="none", clip={})
    make_run("blind-oracle-label", quality=1, reads="none", clip={}, supervision="oracle")
    found = boards()
    assert [[row.label for row in table.rows] for table in found.tables] == [["m"]]
    assert found.notes == [
        "runs of blind-centre, blind-oracle-label are left out: every table has these rows from its ground truth"
    ]


def test_where_there_are_no_other_runs_it_says_so(make_run, boards):
    make_run("blind-centre", quality=1, reads="none", clip={})
    with pytest.raises(RunError, match=r"only runs of blind-centre, .*; run another method, such as random"):
        boards()


def test_a_curve_that_adds_nothing_is_marked(make_run, boards):
    make_run("curve", figures={"AUC": 0.8, "AUC/flattened": 0.7})
    make_run("flat", figures={"AUC": 0.8, "AUC/flattened": 0.8})
    make_run("worse", figures={"AUC": 0.8, "AUC/flattened": 0.9})
    (table,) = boards().tables
    place = [column.metric for column in table.columns].index("AUC/flattened")
    words = "not below AUC: the curve within videos adds nothing"
    marked = {row.label: words in row.cells[place].reproduced.notes for row in table.rows}
    assert marked == {"curve": False, "flat": True, "worse": True}
    assert all(words not in note for row in table.rows for note in row.cells[0].reproduced.notes)


@pytest.mark.parametrize(("count", "said"), [(12, True), (99, True), (100, False)])
def test_few_distinct_scores_are_remarked_on(make_run, boards, count, said):
    make_run("m", figures={"AUC": 0.8, "distinct": count})
    make_run("n", figures={"AUC": 0.8, "distinct": 5000})
    (table,) = boards().tables
    words = f"only {count} distinct scores: operating points are coarse"
    about = {row.label: words in (*row.notes, *row.cells[0].reproduced.notes) for row in table.rows}
    assert about == {"m": said, "n": False} and words not in table.notes


def test_what_no_run_has_measured_is_said_once_and_takes_no_column(make_run, boards):
    make_run("m", figures={"AUC": 0.8, "AP": 0.7})
    (table,) = boards().tables
    assert [column.metric for column in table.columns] == ["AUC", "AP"]
    (said,) = (note for note in table.notes if "not measured" in note)
    assert "AUC/within, AUC/flattened" in said and said.endswith("vadbench rescore adds what is missing")
    make_run("n", figures={"AUC": 0.9, "AP": 0.7, "AUC/within": 0.6})
    (table,) = boards().tables
    assert [column.metric for column in table.columns] == ["AUC", "AUC/within", "AP"]
    text = render(table, "text")
    assert text.count("undefined: not measured in these runs; vadbench rescore adds it") == 1


def test_post_processing_is_a_column_with_the_figure_without_it_beside(make_run, boards):
    rules = {"post": "gaussian(10)"}
    make_run("m", figures={"AUC": 0.8436, "AUC/unprocessed": 0.7449, "AP": 0.5}, rules=rules)
    make_run("m", figures={"AUC": 0.8636, "AUC/unprocessed": 0.7651, "AP": 0.5}, rules=rules, seed=1)
    (table,) = boards().tables
    (row,) = table.rows
    assert row.post.startswith("gaussian(10)") and lay_out(table).lead[-2:] == ("post", "seeds")
    assert row.cells[0].reproduced.unprocessed == 0.755
    printed = render(table, "md")
    assert "| 85.36 ± 1.41 (75.50 without)" in printed and "in parentheses the mean without post-processing" in printed
    (line,) = (r for r in csv.DictReader(io.StringIO(render(table, "csv"))) if r["metric"] == "AUC")
    assert (line["post"].startswith("gaussian(10)"), line["unprocessed"]) == (True, "0.755")


def test_without_post_processing_there_is_no_such_column(make_run, boards):
    make_run("m", quality=1)
    (table,) = boards().tables
    assert "post" not in lay_out(table).lead and "without post-processing" not in render(table, "md")


def test_any_metric_with_a_direction_ranks(make_run, boards):
    make_run("a", figures={"AUC": 0.9, "AUC/within": 0.5, "FPR@95TPR": 0.2, "event-F1@0.3": 0.1})
    make_run("b", figures={"AUC": 0.8, "AUC/within": 0.7, "FPR@95TPR": 0.4, "event-F1@0.3": 0.3})
    ranked = {m: [row.label for row in boards(m).tables[0].rows] for m in ("AUC/within", "FPR@95TPR", "event-F1@0.3")}
    assert ranked == {"AUC/within": ["b", "a"], "FPR@95TPR": ["a", "b"], "event-F1@0.3": ["b", "a"]}
    assert boards("event-F1@0.3").tables[0].columns[0].metric == "event-F1@0.3"
    for metric in ("FAR", "pair-share", "distinct", "delay", "false-alarms-per-hour"):
        with pytest.raises(RunError, match=f"runs cannot be ranked by {metric}: "):
            boards(metric)


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_shows_them_below_the_others(make_run, boards, format):
    make_run("some-method", quality=6)
    (table,) = boards().tables
    text = render(table, format, width=80)
    assert text.index("some-method") < min(text.index(name) for name in BLIND)
    assert GROUP in text
    assert tables_from_json(to_json([table])) == [table]


def test_text_is_no_wider_than_asked_and_leaves_out_empty_rows(make_run, boards):
    for seed in (0, 1):
        make_run("a-method-with-a-name", quality=1, seed=seed)
        make_run("another", quality=2, seed=seed)
    (table,) = boards().tables
    for width in (80, 120):
        lines = render(table, "text", width=width).splitlines()
        assert max(map(len, lines)) <= width
        for piece in "\n".join(lines).split("\n\n")[1:-1]:
            shown = set(re.split(r"  +", piece.splitlines()[0])[4:])
            assert (GROUP in piece) == bool(shown - {"mAUC", "mAP", "mAP@IoU"})


def test_csv_tells_them_from_the_rows_that_are_ranked(make_run, boards):
    make_run("m", quality=1)
    make_run("n", quality=1, fingerprint={"weights": "1" * 64})
    tables = boards().tables
    rows = list(csv.DictReader(io.StringIO(render(tables, "csv"))))
    blind = [r for r in rows if r["row"] in BLIND]
    assert {r["group"] for r in blind} == {f"{table.group} {GROUP}" for table in tables}
    assert not any(r["rank"] or r["seeds"] or r["best"] == "1" for r in blind)
    assert {r["group"] for r in rows if r["rank"]} == {table.group for table in tables}


def benchmark(*columns):
    return Benchmark.model_validate(
        {
            "title": "t",
            "protocol": "native",
            "clip": "ViT-B-16-quickgelu",
            "seeds": [0],
            "tables": [
                {
                    "id": "1",
                    "title": "T",
                    "columns": [{"dataset": d, "metric": m} for d, m in columns],
                    "rows": [{"label": "ours", "method": "random"}],
                }
            ],
        }
    )


def test_a_papers_table_has_those_of_each_columns_data_set(make_run):
    make_run("random", dataset="synthetic", quality=1)
    make_run("random", dataset="ucsdped2", quality=1, count=9)
    asked = benchmark(("synthetic", "AUC"), ("ucsdped2", "AUC"), ("xdviolence", "AUC"), ("synthetic", "mAP"))
    evaluations, _ = collect(make_run.out)
    (table,), _ = paper_tables(asked, "mine", asked.tables, evaluations, make_run.out)
    (label,) = (row for row in table.blind if row.label == "blind-oracle-label")
    found = [cell.reproduced and cell.reproduced.mean for cell in label.cells]
    assert found == [pytest.approx((1 + 12 / 18) / 2, abs=1e-6), pytest.approx((1 + 4 / 6.5) / 2, abs=1e-6), None, None]
    said = [note for note in table.notes if "no better than" in note]
    assert all(" in AUC on synthetic: ours" in note or " in AUC on ucsdped2: ours" in note for note in said) and said


def test_a_papers_table_without_runs_has_none(make_run):
    asked = benchmark(("synthetic", "AUC"))
    (table,), _ = paper_tables(asked, "mine", asked.tables, [], make_run.out)
    assert table.blind == ()
    assert "blind" not in json.loads(to_json([table]))["tables"][0]
