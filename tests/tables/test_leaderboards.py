"""What is ranked beside what, and what is not."""

import numpy as np
import pytest

from vadbench.base.errors import RunError, UnknownNameError
from vadbench.records.folders import read_record, write_record
from vadbench.records.record import SplitRecord
from vadbench.tables.layout import lay_out

SOUND = {"fingerprint": {"encoder": "vggish", "weights": "2" * 64}, "dim": 128, "spacing": "0.96s"}


def labels(table):
    return [row.label for row in table.rows]


def figure(table, label, metric="AUC"):
    place = [column.metric for column in table.columns].index(metric)
    return next(row.cells[place].reproduced for row in table.rows if row.label == label)


def notes(table, label, metric="AUC"):
    """What is said of a figure: at the figure, or at its row where it holds for all of it."""
    return (*figure(table, label, metric).notes, *next(row.notes for row in table.rows if row.label == label))


def test_seeds_are_combined_and_methods_ranked(make_run, boards):
    folders = [make_run("good", seed=seed, quality=4) for seed in (0, 1, 2)]
    make_run("bad", quality=0.5)
    (table,) = boards().tables
    assert labels(table) == ["good", "bad"]
    assert [row.rank for row in table.rows] == [1, 2]
    assert [row.seeds for row in table.rows] == [3, 1]
    values = [read_record(folder).metrics["AUC"].value for folder in folders]
    best = figure(table, "good")
    assert best.seeds == (0, 1, 2)
    assert best.mean == pytest.approx(np.mean(values), abs=1e-6)
    assert best.std == pytest.approx(np.std(values, ddof=1), abs=1e-6)
    assert best.low < best.mean < best.high
    assert best.best and not best.tied
    worst = figure(table, "bad")
    assert (worst.best, worst.second, worst.tied) == (False, True, False)
    assert worst.p < 0.05


def test_the_best_and_one_that_cannot_be_told_from_it_are_shown_as_such(make_run, boards):
    for seed in (0, 1):
        make_run("first", seed=seed, quality=3.1, noise="x")
        make_run("close", seed=seed, quality=3.0, noise="y")
        make_run("worse", seed=seed, quality=0)
    (table,) = boards().tables
    found = {row.label: row.cells[0].reproduced for row in table.rows}
    assert [name for name, f in found.items() if f.best] == [table.rows[0].label]
    assert {table.rows[0].label, table.rows[1].label} == {"first", "close"}
    assert found[table.rows[1].label].tied and found[table.rows[1].label].second
    assert not found["worse"].tied


def test_two_runs_with_the_same_scores_share_the_first_place(make_run, boards):
    make_run("one", quality=2, noise="same")
    make_run("two", quality=2, noise="same")
    (table,) = boards().tables
    assert [figure(table, name).best for name in ("one", "two")] == [True, True]


@pytest.mark.parametrize(
    "other",
    [
        {"rules": {"selection": "validation"}},
        {"rules": {"selection": "best-on-test"}},
        {"rules": {"subset": "single-anomaly"}},
        {"rules": {"crop": "left"}},
        {"rules": {"boundaries": "vadclip"}},
        {"rules": {"tail": "rows"}},
        {"protocol": "vadclip"},
        {"rules": {"localization": "vadclip"}},
        {"rules": {"drop_zeros": True}},
        {"fingerprint": {"weights": "1" * 64}},
        {"fingerprint": {"encoder": "vit-large"}},
        {"fingerprint": {"dtype": "float16"}},
        {"fingerprint": {"regions": "boxes of somebody 123"}},
        {"fingerprint": {"weights": "unknown-abc"}},
        {"trained_on": "elsewhere"},
        {"dataset": "another"},
        {"count": 20, "notes": ["incomplete: 20 of 24 test videos, the others lack a file under /home/me"]},
        {"notes": ["incomplete: 7 of 8 train videos"]},
        {"streams": {"audio": SOUND}},
        {"supervision": "oracle"},
        {"reads": "frames"},
        {"reads": "none"},
    ],
    ids=str,
)
def test_unlike_runs_are_never_ranked_beside_each_other(make_run, boards, other):
    make_run("usual", quality=1)
    make_run("usual-too", quality=1.5)
    make_run("odd", quality=3, **other)
    tables = boards().tables
    assert sorted(map(labels, tables)) == sorted([["odd"], ["usual-too", "usual"]])
    assert tables[0].note != tables[1].note or tables[0].title != tables[1].title


def test_supervision_and_what_a_score_depends_on_are_columns(make_run, boards):
    make_run("usual", quality=2, supervision="weak")
    make_run("odd", quality=1, supervision="training-free", company="split", lookahead=3)
    (table,) = boards().tables
    found = {row.label: (row.supervision, row.depends) for row in table.rows}
    assert found == {"usual": ("weak", ""), "odd": ("training-free", "on the whole split and on 3 rows ahead")}
    assert lay_out(table).lead == ("#", "method", "supervision", "depends", "seeds")
    assert "a score depends on the whole split and on 3 rows ahead" in notes(table, "odd")


KINDS = {"weak": 3, "one-class": 2, "training-free": 1, "oracle": 4}


@pytest.fixture
def of_every_kind(make_run):
    """A run of each supervision, of the quality there."""
    for kind, quality in KINDS.items():
        make_run(kind, quality=quality, supervision=kind)


def test_all_but_oracles_are_ranked_together_whatever_they_learn_from(of_every_kind, boards):
    ranked, oracles = boards().tables
    assert [(row.label, row.rank) for row in ranked.rows] == [("weak", 1), ("one-class", 2), ("training-free", 3)]
    assert [(row.label, row.rank) for row in oracles.rows] == [("oracle", None)]


@pytest.mark.parametrize(
    "asked",
    [["weak"], ["training-free", "one-class"], ["oracle"], ["weak", "oracle"], list(KINDS)],
    ids=str,
)
def test_methods_are_shown_by_what_they_learn_from(of_every_kind, boards, asked):
    tables = boards(supervision=asked).tables
    shown = [row for table in tables for row in table.rows]
    assert sorted(row.label for row in shown) == sorted(asked)
    ranks = [row.rank for row in shown if row.rank is not None]
    assert ranks == list(range(1, len(set(asked) - {"oracle"}) + 1)), "ranks are among what is shown"
    assert all(table.note.endswith(f"Only supervision {' or '.join(asked)}.") for table in tables)
    assert not any("Only supervision" in table.note for table in boards().tables)


def test_a_supervision_that_is_none_or_that_no_run_has_is_said(make_run, boards):
    make_run("usual", quality=1, supervision="weak")
    make_run("free", quality=1, supervision="training-free")
    with pytest.raises(UnknownNameError, match="unknown supervision 'week'; did you mean 'weak'"):
        boards(supervision=["one-class", "week"])
    with pytest.raises(
        RunError, match="no finished run has supervision one-class or oracle, found training-free, weak"
    ):
        boards(supervision=["one-class", "oracle"])


def test_oracles_are_shown_apart_and_never_ranked(make_run, boards):
    for name, quality in (("usual", 2), ("worse", 1)):
        make_run(name, quality=quality)
    for name in ("truth", "truth-too", "truth-three"):
        make_run(name, quality=4, noise=name, supervision="oracle")
    tables = boards().tables
    assert labels(tables[0]) == ["usual", "worse"]
    oracles = tables[1]
    assert "oracles: not comparable with other tables" in oracles.title
    assert oracles.note.startswith("Never ranked.")
    assert all("an oracle: it is handed the ground truth" in " ".join(oracles.notes) for row in oracles.rows)
    assert {row.rank for row in oracles.rows} == {None}
    for row in oracles.rows:
        found = row.cells[0].reproduced
        assert found.mean is not None
        assert not (found.best or found.second or found.tied or found.p)


def test_methods_without_features_are_a_family_of_their_own_and_say_so(make_run, boards):
    for name in ("motion", "motion-too"):
        make_run(name, quality=1, reads="frames", fingerprint=None, clip={})
    make_run("blind", quality=1, reads="none", clip={})
    tables = {labels(t)[0]: t for t in boards().tables}
    assert len(tables) == 2
    assert "Features none (family none)." in tables["blind"].note
    (frames,) = (t for name, t in tables.items() if name != "blind")
    assert "Features none (family frames)." in frames.note
    assert {t.backbone for t in tables.values()} == {"none"}


def test_other_streams_are_another_family_and_are_named(make_run, boards):
    make_run("a", quality=1, streams={"audio": SOUND})
    make_run("b", quality=1, streams={"audio": {**SOUND, "inferred": True}})
    make_run("c", quality=1, streams={"audio": {**SOUND, "spacing": "24f"}})
    make_run("d", quality=1, streams={"audio": {**SOUND, "fingerprint": {"encoder": "x", "weights": "unknown-1"}}})
    tables = boards().tables
    assert sorted(sorted(labels(t)) for t in tables) == [["a", "b"], ["c"], ["d"]]
    assert all(", stream audio 128 wide (family" in t.note for t in tables)
    (unknown,) = (t for t in tables if labels(t) == ["d"])
    assert "stream audio of unknown origin" in str(unknown)


def test_stride_and_pooling_are_a_methods_own_choice(make_run, boards):
    make_run("coarse", quality=2)
    make_run("fine", quality=1, fingerprint={"stride": 1, "pooling": "mean"})
    (table,) = boards().tables
    assert labels(table) == ["coarse", "fine"]


def test_weights_chosen_on_the_test_set_and_incomplete_data_come_last_and_say_so(make_run, boards):
    make_run("a", dataset="a", quality=1, rules={"selection": "best-on-test"})
    make_run(
        "b", dataset="b", quality=1, notes=["incomplete: 7 of 8 train videos, the others lack a file under /home/me"]
    )
    make_run("c", dataset="c", quality=1)
    tables = boards().tables
    assert [labels(t)[0] for t in tables] == ["c", "a", "b"]
    assert "weights selected on the test set" in tables[1].title
    assert "incomplete data" in tables[2].title
    assert "weights selected on the test set (best-on-test)" in tables[1].notes
    assert "incomplete: 7 of 8 train videos" in tables[2].notes


def test_weights_that_another_metric_judged_say_which_and_are_no_others(make_run, boards):
    make_run("usual", quality=1, rules={"selection": "best-on-test"})
    make_run("judged", quality=2, rules={"selection": "best-on-test", "judge": "AP/trapezoid"})
    found = {labels(table)[0]: table for table in boards().tables}
    assert len(found) == 2
    assert "weights selected on the test set by its AP/trapezoid (best-on-test)" in found["judged"].notes
    assert "judge AP/trapezoid" in found["judged"].note and "judge" not in found["usual"].note


def test_unknown_features_are_a_family_of_their_own_and_marked(make_run, boards):
    make_run("a", quality=1, fingerprint={"weights": "unknown-1"})
    make_run("b", quality=1, fingerprint={"weights": "unknown-2"})
    tables = boards().tables
    assert len(tables) == 2
    assert all("features of unknown origin" in t.notes and "of unknown origin" in t.note for t in tables)


@pytest.mark.parametrize("unknown", ["features", "stream"])
def test_unknown_features_of_other_test_videos_are_another_family(make_run, boards, unknown):
    """Features of one encoder or not: nothing but their values says so, those of the test videos included."""

    def run(name, inputs, **made_by):
        test = SplitRecord(videos=24, expected=24, abnormal=12, manifest="t", inputs=inputs)
        make_run(name, quality=1, data={"test": test}, **made_by)

    stream = {**SOUND, "fingerprint": {"encoder": "x", "weights": "unknown-1"}}
    same_training = {"fingerprint": {"weights": "unknown-1"}} if unknown == "features" else {"streams": {"s": stream}}
    run("a", "1", **same_training)
    run("b", "1", **same_training)
    run("c", "2", **same_training)
    run("d", "1")
    run("e", "2")
    tables = boards().tables
    assert sorted(sorted(labels(t)) for t in tables) == [["a", "b"], ["c"], ["d", "e"]]
    assert len({t.group for t in tables}) == len({t.note for t in tables}) == 3


def test_events_above_a_threshold_that_was_chosen_on_test_videos_say_so(make_run, boards):
    said = "events are counted above a threshold chosen on the normal test videos"
    make_run("chosen", quality=3, notes=[f"{said}: at most 1 % of their frames reach 0.5; the run has none of its own"])
    make_run("own", quality=3)
    (table,) = boards("event-F1@0.3").tables
    assert said in notes(table, "chosen", "event-F1@0.3") and said not in notes(table, "own", "event-F1@0.3")
    assert said not in notes(table, "chosen", "AUC")


def test_changed_settings_make_another_row_and_are_named(make_run, boards):
    make_run("m", quality=1)
    make_run("m", quality=2, config={"width": 3, "recipe": {"epochs": 5}}, changed=["recipe.epochs"])
    (table,) = boards().tables
    assert labels(table) == ["m recipe.epochs=5", "m"]


def test_a_label_stands_for_the_settings_which_are_a_note(make_run, boards):
    for seed in (0, 1):
        make_run("mil", seed=seed, config={"width": 4}, changed=["width"], group="g", label="narrow")
    make_run("mil", config={"width": 9}, changed=["width"], group="h", label="narrow")
    make_run("mil", seed=1, config={"width": 9}, changed=["width"], group="h")
    rows = {row.label: row.notes for row in boards().tables[0].rows}
    assert rows == {"mil [narrow]": ("settings: width=4",), "mil width=9": ()}


def test_rows_that_only_something_else_tells_apart_say_what(make_run, boards):
    make_run("m", quality=1)
    make_run("m", quality=2, method_version="2")
    make_run("m", quality=3, notes=["weights imported from the authors' file w.pt, sha256 0"])
    (table,) = boards().tables
    assert labels(table) == ["m (imported weights)", "m (version 2)", "m (version 1)"]
    assert table.rows[0].notes == ("weights imported from the authors' file w.pt, sha256 0",)


def test_another_metric_ranks(make_run, boards):
    make_run("a", quality=None, figures={"AUC": 0.9, "FAR": 0.2, "AUC[Fire]": 0.1})
    make_run("b", quality=None, figures={"AUC": 0.8, "FAR": 0.1, "AUC[Fire]": 0.2})
    assert labels(boards().tables[0]) == ["a", "b"]
    assert boards("AUC[Fire]").tables[0].columns[0].metric == "AUC[Fire]"
    assert labels(boards("AUC[Fire]").tables[0]) == ["b", "a"]
    assert boards("AUC/Fire").tables == boards("AUC[Fire]").tables


def test_nothing_is_ranked_by_false_alarms(make_run, boards):
    """A method that never raises an alarm has none: no figure of that column is best, second or tied."""
    for seed in (0, 1):
        make_run("a", seed=seed, quality=3)
        make_run("b", seed=seed, quality=1)
    (table,) = boards().tables
    for label in ("a", "b"):
        far = figure(table, label, "FAR")
        assert far.mean is not None and far.low is not None
        assert (far.best, far.second, far.tied, far.p) == (False, False, False, None)
    assert figure(table, "a", "AP").best
    with pytest.raises(RunError, match=r"runs cannot be ranked by FAR: a method that never .* such as AUC or AP"):
        boards("FAR")


@pytest.mark.parametrize(("count", "told"), [(8, False), (9, True), (24, True)])
def test_fewer_than_five_videos_with_anomalies_tell_nothing_apart(make_run, boards, count, told):
    """Every second video is anomalous (the first one too). The better number still comes first."""
    for seed in (0, 1):
        make_run("a", seed=seed, quality=6, count=count)
        make_run("b", seed=seed, quality=0.1, count=count)
    (table,) = boards().tables
    assert labels(table) == ["a", "b"] and [row.rank for row in table.rows] == [1, 2]
    for metric in ("AUC", "AP", "AnoAUC", "mAUC", "mAP@IoU"):
        found = [figure(table, label, metric) for label in ("a", "b")]
        assert any(f.best for f in found) == any(f.p is not None for f in found) == told
        assert told or not any(f.second or f.tied for f in found)
        for label, f in zip(("a", "b"), found, strict=True):
            said = [*table.notes, *notes(table, label, metric)]
            assert ("too few videos to tell methods apart" in said) != told
            assert ("no interval: 4 abnormal videos, fewer than 5" in said) == (f.low is None) != told


def test_a_class_that_fewer_than_five_videos_carry_is_not_judged(make_run, boards):
    """Of 18 videos five show a fire, four a fight."""
    make_run("a", quality=6, count=18)
    make_run("b", quality=0.1, count=18)
    assert figure(boards("AUC[Fire]").tables[0], "a", "AUC[Fire]").best
    (table,) = boards("AUC[Fight]").tables
    assert not any(figure(table, label, "AUC[Fight]").best for label in ("a", "b"))
    said = notes(table, "a", "AUC[Fight]")
    assert "too few videos to tell methods apart" in said
    assert "no interval: 4 videos of class Fight, fewer than 5" in said
    assert figure(table, "a").best


def test_where_scores_are_lost_the_record_says_how_many_videos_are_abnormal(make_run, boards):
    """Four of eight videos; an interval that an older run recorded is not shown."""
    known = {"AUC": {"value": 0.9, "low": 0.85, "high": 0.95}, "FAR": {"value": 0.2, "low": 0.1, "high": 0.3}}
    make_run("a", figures=known, count=8)
    make_run("b", figures={"AUC": 0.8, "FAR": 0.3}, count=8)
    (table,) = boards().tables
    for metric, few in (("AUC", "4 abnormal videos"), ("FAR", "4 normal videos")):
        assert not figure(table, "a", metric).best and figure(table, "a", metric).low is None
        said = [*table.notes, *notes(table, "a", metric)]
        assert "too few videos to tell methods apart" in said and f"no interval: {few}, fewer than 5" in said


def test_a_group_has_a_word_that_stays_and_that_no_other_group_shares(make_run, boards):
    make_run("a", quality=1)
    make_run("a", quality=2, rules={"selection": "validation"})
    make_run("a", quality=2, rules={"crop": "left"})
    make_run("a", quality=2, fingerprint={"weights": "1" * 64})
    make_run("a", quality=2, dataset="another")
    words = [table.group for table in boards().tables]
    assert len(set(words)) == 5 and all(len(word.split()) == 1 and len(word) < 40 for word in words)
    assert sum(word.startswith("native-validation-") for word in words) == 1
    make_run("b", quality=1)
    assert {table.group for table in boards().tables} == set(words)


def test_a_data_set_is_ranked_by_its_own_headline(make_run, boards):
    make_run("a", figures={"AUC": 0.9, "AP": 0.1})
    make_run("b", figures={"AUC": 0.8, "AP": 0.2})
    (table,) = boards(headline=lambda _: "AP").tables
    assert labels(table) == ["b", "a"]
    assert table.note.startswith("Ranked by AP.")


def test_a_metric_that_is_undefined_has_no_rank_and_no_place(make_run, boards):
    make_run("a", figures={"AUC": {"value": None, "reason": "there is one kind of frame"}})
    make_run("b", figures={"AUC": 0.5})
    (table,) = boards().tables
    assert [row.rank for row in table.rows] == [1, None]
    assert figure(table, "a").mean is None
    assert "undefined: there is one kind of frame" in figure(table, "a").notes


@pytest.mark.parametrize(("metric", "error"), [("prevalence", RunError), ("AUCC", UnknownNameError)])
def test_what_cannot_rank_is_refused(make_run, boards, metric, error):
    make_run("a", figures={"AUC": 0.9})
    with pytest.raises(error):
        boards(metric)


def test_lost_scores_leave_the_figures_and_take_the_test(make_run, boards):
    make_run("a", quality=3)
    make_run("b", quality=2.9)
    folder = make_run("c", quality=2.8)
    (folder / "scores.npz").unlink()
    found = boards()
    (table,) = found.tables
    assert labels(table) == ["a", "b", "c"]
    assert figure(table, "c").mean is not None and figure(table, "c").p is None and not figure(table, "c").tied
    assert any(note.startswith("not tested against the best") for note in notes(table, "c"))
    assert figure(table, "b").p is not None and not any("not tested" in note for note in notes(table, "b"))
    assert len(found.notes) == 1 and str(folder) in found.notes[0]


def test_where_the_best_ones_scores_are_lost_the_others_say_that_nothing_was_tested(make_run, boards):
    folder = make_run("a", quality=3)
    make_run("b", quality=2.9)
    make_run("c", quality=2.8)
    (folder / "scores.npz").unlink()
    (table,) = boards().tables
    assert figure(table, "a").best and not any("not tested" in note for note in notes(table, "a"))
    for label in ("b", "c"):
        assert figure(table, label).p is None and not figure(table, label).tied
        assert any("not tested against the best" in note for note in notes(table, label))


def test_a_single_test_video_tells_nothing_apart(make_run, boards):
    for seed in (0, 1):
        make_run("a", seed=seed, quality=4, count=1)
        make_run("b", seed=seed, quality=0.1, count=1)
    (table,) = boards().tables
    assert labels(table) == ["a", "b"]
    assert figure(table, "b").p is None and figure(table, "b").low is None
    assert "no interval: 1 abnormal video, fewer than 5" in (*table.notes, *notes(table, "b"))


def test_figures_do_not_depend_on_what_else_is_in_the_folder(make_run, boards):
    for seed in (0, 1):
        make_run("a", seed=seed, quality=2)
        make_run("b", seed=seed, quality=1.6)
    (alone,) = boards().tables
    for i in range(20):
        make_run(f"n{i}", quality=1, dataset="e")
    assert next(t for t in boards().tables if t.title == alone.title) == alone


def test_damaged_scores_are_named(make_run, boards):
    make_run("a", quality=3)
    folder = make_run("b", quality=2)
    (folder / "scores.npz").write_bytes(b"PK nothing")
    found = boards()
    assert labels(found.tables[0]) == ["a", "b"]
    assert len(found.notes) == 1 and str(folder / "scores.npz") in found.notes[0]


def test_a_run_whose_rule_no_installed_plugin_brings_leaves_the_others_ranked(make_run, boards):
    make_run("a", quality=3)
    make_run("b", quality=2)
    folder = make_run("c", quality=2.5)
    record = read_record(folder)
    write_record(folder, record.model_copy(update={"protocol": record.protocol | {"localization": "gone"}}))
    found = boards()
    assert labels(found.tables[0]) == ["a", "b"] and labels(found.tables[1]) == ["c"]
    assert figure(found.tables[0], "b").p is not None
    assert len(found.notes) == 1 and str(folder) in found.notes[0] and "'gone'" in found.notes[0]


@pytest.mark.parametrize("change", ["videos", "annotation"])
def test_scores_of_other_videos_or_another_annotation_have_no_rank(make_run, boards, change):
    folder = make_run("a", quality=3)
    make_run("b", quality=2.5)
    make_run("c", quality=2)
    with np.load(folder / "scores.npz") as file:
        arrays = dict(file)
    if change == "videos":
        arrays["names"] = np.array([f"w{i}" for i in range(24)])
    else:
        arrays["segments"][0, 2] -= 16
        arrays["runs"][0, 1] -= 16
    np.savez(folder / "scores.npz", **arrays)
    (table,) = boards().tables
    assert labels(table) == ["b", "c", "a"]
    assert [row.rank for row in table.rows] == [1, 2, None]
    assert figure(table, "b").best and figure(table, "c").p is not None
    assert not figure(table, "a").best and figure(table, "a").p is None
    assert "not ranked with the others: differs in test videos or their ground truth" in notes(table, "a")


def test_drawing_twice_gives_the_same(make_run, boards):
    for seed in (0, 1):
        make_run("a", seed=seed, quality=2)
        make_run("b", seed=seed, quality=2.1)
    assert boards().tables == boards().tables
