"""Two methods from their run folders: which runs a name stands for, what may be paired, and what comes out."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from vadbench.base.errors import RunError, UnknownNameError
from vadbench.dataset import ClassTable, Segment, Video, VideoClass
from vadbench.metrics.bootstrap import draw_videos
from vadbench.metrics.comparison import Difference
from vadbench.metrics.definitions import COMPARED
from vadbench.metrics.measurement import measure
from vadbench.records.folders import write_record
from vadbench.records.record import RunRecord, SplitRecord
from vadbench.records.scores import save_split
from vadbench.results import compare as comparing
from vadbench.results.compare import compare, contrasts, load_runs, verdict
from vadbench.scoring.alignment import VideoScores
from vadbench.scoring.protocol import NATIVE, protocol
from vadbench.scoring.split import ScoredSplit

TABLE = ClassTable((VideoClass("Normal"), VideoClass("Riot"), VideoClass("Fire")), normal=0)
VIDEOS, FRAMES = 30, 64


def scored(seed, strength, stride=8, rules=NATIVE.rules, table=TABLE, videos=VIDEOS):
    """Half of the videos anomalous from frame 16 to 40; the stronger, the better the scores."""
    rng = np.random.default_rng(seed)
    truth, scores = [], []
    for i in range(videos):
        label = ("Normal", "Riot", "Normal", "Fire")[i % 4]
        segments = () if label == "Normal" else (Segment(label, 16, 40),)
        truth.append(Video(f"v{i}", (label,), segments=segments))
        middle = (np.arange(FRAMES // stride) + 0.5) * stride
        inside = (middle > 16) & (middle < 40) & (label != "Normal")
        logits = rng.normal(size=(len(middle), len(table)))
        logits[:, 0] += strength * np.where(inside, -1, 1)
        if label != "Normal":
            logits[inside, ("Normal", "Riot", "Fire").index(label)] += strength
        classes = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)
        scores.append(VideoScores(f"v{i}", FRAMES, 1 - classes[:, 0], classes))
    return ScoredSplit(scores, truth, stride, table, rules)


@pytest.fixture
def keep(tmp_path):
    """Write a run folder as the harness does; its path."""

    def call(split, method="good", seed=0, key=None, **changes):
        folder = tmp_path / "runs" / "d" / method / (key or f"{method}{seed}")
        values = dict(
            status="finished", method=method, method_version="1", dataset="d", trained_on="d", seed=seed,
            key=folder.name, evaluation="e", protocol=split.rules.model_dump(mode="json"), config={"width": 4},
            changed=[], fingerprint={"encoder": "small", "stride": 8}, clip={"model": "small"},
            data={s: SplitRecord(videos=9, expected=9, abnormal=3, manifest=s) for s in ("train", "test")},
            metrics=measure(split), environment={}, created="2026-01-01",
        )  # fmt: skip
        write_record(folder, RunRecord(**(values | changes)))
        save_split(split, folder / "scores.npz")
        return folder

    return call


@pytest.fixture
def out(tmp_path):
    return tmp_path / "runs"


# Which runs a name stands for.


def test_a_name_is_a_folder_a_key_or_a_folder_of_seeds(keep, out):
    for seed in (2, 0, 1):
        keep(scored(seed, 1), seed=seed)
    assert [r.seed for r, _ in load_runs(str(out / "d" / "good"), out).found] == [0, 1, 2]
    assert load_runs("d/good", out) == load_runs(str(out / "d" / "good"), out)
    assert [f.name for _, f in load_runs("good1", out).found] == ["good1"]
    assert [f.name for _, f in load_runs("d/good/good1", out).found] == ["good1"]
    assert [f.name for _, f in load_runs(str(out / "d" / "good" / "good2"), out).found] == ["good2"]
    assert [f.name for _, f in load_runs("good2, good0,good2", out).found] == ["good0", "good2"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"config": {"width": 5}}, "differ in width (4, 5)"),
        ({"config": {"width": 4, "recipe": {"epochs": 3}}}, "differ in recipe.epochs (absent, 3)"),
        ({"method_version": "2"}, "differ in version (1, 2)"),
        ({"fingerprint": {"encoder": "large", "stride": 8}}, "differ in features.encoder (small, large)"),
        ({"clip": {"model": "large"}}, "differ in clip.model"),
        ({"protocol": protocol("vadclip").rules.model_dump()}, "and 1 more"),
        ({"trained_on": "elsewhere"}, "differ in trained on (d, elsewhere)"),
        ({"data": {}}, "differ in training videos (train, absent)"),
        ({"seed": 0}, "both have seed 0"),
    ],
)
def test_a_folder_of_runs_that_are_not_seeds_of_one_is_refused(keep, out, changes, words):
    keep(scored(0, 1))
    keep(scored(1, 1), **({"seed": 1, "key": "other"} | changes))
    with pytest.raises(RunError) as error:
        load_runs("d/good", out)
    assert words in str(error.value) and "good0" in str(error.value) and "other" in str(error.value)


def test_failed_and_damaged_runs_among_others_are_left_out_with_a_note(keep, out):
    keep(scored(0, 1))
    keep(scored(1, 1), seed=1, status="failed", error="no")
    (keep(scored(2, 1), seed=2) / "result.json").write_text('{"schema_version": 99}')
    (keep(scored(3, 1), seed=3) / "result.json").write_text('{"schema')
    found = load_runs("d/good", out)
    assert [r.seed for r, _ in found.found] == [0]
    assert len(found.notes) == 3
    for key, words in (("good1", "failed run"), ("good2", "schema 99"), ("good3", "cannot read")):
        assert any(key in n and words in n for n in found.notes)


def test_a_run_that_is_damaged_or_failed_or_absent_is_refused_when_named(keep, out):
    (keep(scored(0, 1)) / "result.json").write_text("{")
    with pytest.raises(RunError, match="cannot read"):
        load_runs("d/good/good0", out)
    keep(scored(1, 1), seed=1, status="failed", error="no")
    with pytest.raises(RunError, match=r"no finished run to compare.*failed run"):
        load_runs("good1", out)
    with pytest.raises(RunError, match="no runs in"):
        load_runs(str(out), out)
    with pytest.raises(RunError, match="no single run called 'nothing'"):
        load_runs("nothing", out)


def test_imported_weights_without_results_are_refused(keep, out):
    folder = out / "d" / "good" / "abc"
    folder.mkdir(parents=True)
    (folder / "checkpoint.json").write_text("{}")
    with pytest.raises(RunError, match="--from"):
        load_runs("abc", out)


def test_a_side_is_called_by_what_it_is(keep, out):
    keep(scored(0, 1), changed=["width"], trained_on="x")
    keep(scored(0, 1), seed=1, key="b", changed=["width"], trained_on="x")
    assert load_runs("d/good", out).label == "good width=4 trained on x on d, protocol native, seeds 0, 1"


def test_a_name_from_elsewhere_cannot_write_on_the_terminal(keep, out):
    hostile = "\x1b[2J\u202ered\nline"
    keep(scored(0, 1), config={"width": hostile}, changed=["width"])
    rules = NATIVE.rules.model_dump(mode="json")
    keep(scored(0, 1), "bad", protocol=rules | {"crop\x1b[1m": hostile})
    good, bad = load_runs("d/good", out), load_runs("d/bad", out)
    assert good.label == "good width=[2Jred line on d, protocol native, seed 0"
    assert any("crop[1m (absent, [2Jred line)" in line for line in contrasts(good, bad))
    assert all(line.isprintable() for line in contrasts(good, bad))


# What may be paired.


def sides(keep, out, a, b, **changes):
    keep(a, "a")
    keep(b, "b", **changes)
    return load_runs("d/a", out), load_runs("d/b", out)


def test_identical_runs_compare_as_one(keep, out):
    found = compare(*sides(keep, out, scored(0, 1), scored(0, 1)))
    assert list(found) == ["AUC", "AP", "AnoAUC", "mAUC", "mAP", "mAP@IoU", "FAR"]
    for key, difference in found.items():
        assert (difference.value, difference.low, difference.high, difference.p) == (0, 0, 0, 1)
        assert verdict(key, difference, 1.0) == "identical"


def test_clearly_different_runs_are_told_apart(keep, out):
    a, b = sides(keep, out, scored(0, 2), scored(1, 0))
    found = compare(a, b)
    for key in ("AUC", "AP", "mAUC", "mAP", "mAP@IoU", "FAR"):
        assert found[key].p * len(found) < 0.01
        word = "A is better" if key != "FAR" else "B is higher"
        assert verdict(key, found[key], found[key].p) == word
        assert found[key].value == pytest.approx(a.value(key) - b.value(key))
    back = compare(b, a)
    assert verdict("AUC", back["AUC"], 0.001) == "B is better"
    assert verdict("FAR", back["FAR"], 0.001) == "A is higher"


def test_a_comparison_is_the_resampling_of_written_out_videos(keep, out, monkeypatch):
    """Two seeds against one, other strides; every resample scored from its frames by scikit-learn."""
    monkeypatch.setattr(comparing, "RESAMPLES", 60)
    made = [scored(0, 0.5), scored(1, 0.5), scored(2, 0.4, stride=4)]
    keep(made[0], "a", 0)
    keep(made[1], "a", 1)
    keep(made[2], "b", 0)
    found = compare(load_runs("d/a", out), load_runs("d/b", out), ["AUC"])["AUC"]

    def auc(split, multiplicities):
        drawn = np.repeat(np.arange(VIDEOS), multiplicities.astype(int))
        held = [np.repeat(split.scores[v].anomaly, split.stride) for v in drawn]
        inside = [(np.arange(FRAMES) >= 16) & (np.arange(FRAMES) < 40) & (v % 2 == 1) for v in drawn]
        return roc_auc_score(np.concatenate(inside), np.concatenate(held))

    values = np.array([[auc(split, w) for split in made] for w in draw_videos(VIDEOS, 60)])
    differences = values[:, :2].mean(1) - values[:, 2]
    assert (found.low, found.high) == pytest.approx(np.percentile(differences, [2.5, 97.5]), abs=1e-12)
    fewer = min((differences <= 0).sum(), (differences >= 0).sum())
    assert fewer > 0 and found.p == pytest.approx(2 * (1 + fewer) / 61)
    once = [auc(split, np.ones(VIDEOS)) for split in made]
    assert found.value == pytest.approx((once[0] + once[1]) / 2 - once[2], abs=1e-12)


def test_the_order_of_videos_makes_no_difference(keep, out):
    b = scored(1, 1)
    turned = replace(b, scores=b.scores[::-1], videos=b.videos[::-1])
    keep(b, "b")
    keep(turned, "turned")
    a = keep(scored(0, 1), "a") and load_runs("d/a", out)
    keys = ["AUC", "AP", "FAR"]
    straight, other = (compare(a, load_runs(f"d/{name}", out), keys) for name in ("b", "turned"))
    for key in keys:
        assert (straight[key].low, straight[key].high) == pytest.approx((other[key].low, other[key].high), abs=1e-12)
        assert straight[key].p == other[key].p


def test_other_test_videos_are_named(keep, out):
    a, b = sides(keep, out, scored(0, 1), scored(0, 1, videos=20))
    with pytest.raises(RunError, match="the second lacks 10 of the videos, such as v20"):
        compare(a, b)
    with pytest.raises(RunError, match="the first lacks 10 of the videos, such as v20"):
        compare(b, a)


def test_the_rules_behind_other_test_videos_are_named(keep, out):
    single = NATIVE.rules.model_copy(update={"subset": "single-anomaly"})
    with pytest.raises(RunError, match=r"lacks 1 of.*protocols differ: subset \(all, single-anomaly\)"):
        compare(*sides(keep, out, scored(0, 1), scored(0, 1, videos=29, rules=single)))


def test_other_annotations_are_named(keep, out):
    b = scored(0, 1, rules=NATIVE.rules.model_copy(update={"boundaries": "vadclip"}))
    moved = [replace(v, segments=tuple(Segment(s.label, 15, 40) for s in v.segments)) for v in b.videos]
    with pytest.raises(RunError) as error:
        compare(*sides(keep, out, scored(0, 1), replace(b, videos=moved)))
    message = str(error.value)
    assert "v1 is anomalous in frames [(16, 40)] and [(15, 40)]" in message and "and 12 more" in message
    assert "boundaries (native, vadclip)" in message and len(message.splitlines()) == 1


def test_other_frame_counts_are_named(keep, out):
    b = scored(0, 1)
    longer = [replace(s, frames=s.frames + (s.name == "v7")) for s in b.scores]
    with pytest.raises(RunError, match="v7 has 64 and 65 frames;"):
        compare(*sides(keep, out, scored(0, 1), replace(b, scores=longer)))


def test_every_seed_is_checked(keep, out):
    keep(scored(0, 1), "a", 0)
    keep(scored(1, 1, videos=20), "a", 1)
    with pytest.raises(RunError, match=r"a0 and .*a1 cannot be paired"):
        compare(load_runs("d/a", out), load_runs("d/a", out))


def test_strides_and_tails_may_differ(keep, out):
    a, b = sides(keep, out, scored(0, 2), scored(1, 0, stride=4, rules=protocol("vadclip").rules))
    assert compare(a, b)["AUC"].p < 0.01
    (note,) = contrasts(a, b)
    assert note.startswith("protocols differ: name (native, vadclip), boundaries (native, vadclip), tail (hold, rows)")


def test_class_metrics_over_other_classes_are_not_compared(keep, out):
    a, b = scored(0, 1), scored(1, 1)
    shared = ClassTable((VideoClass("Normal"), VideoClass("Riot")), normal=0)
    crossed = ScoredSplit(
        [replace(s, classes=s.classes[:, :2]) for s in b.scores],
        [replace(v, segments=tuple(s for s in v.segments if s.label == "Riot"), binary=v.runs) for v in b.videos],
        8,
        shared,
        b.rules,
    )
    found = compare(*sides(keep, out, a, crossed), [*COMPARED, "AUC[Riot]"])
    for key in ("mAUC", "mAP", "mAP@IoU", "AUC[Riot]"):
        assert (found[key].p, found[key].low) == (None, None)
        assert verdict(key, found[key], None) == "measured over other classes"
    for key in ("AUC", "AP", "AnoAUC", "FAR"):
        assert found[key].p is not None


@pytest.mark.parametrize(("videos", "told"), [(2, False), (8, False), (9, False), (10, True)])
def test_fewer_than_five_videos_with_anomalies_are_too_few_to_tell(keep, out, videos, told):
    """Every second video is anomalous; however far apart the scores are, four of them are no evidence."""
    found = compare(*sides(keep, out, scored(0, 8, videos=videos), scored(1, 0, videos=videos)))
    assert {"AUC", "mAUC", "FAR"} <= found.keys()
    for key, difference in found.items():
        assert (difference.p is not None) == (difference.low is not None) == told
        assert (verdict(key, difference, difference.p) == "too few videos to tell") != told


def test_a_class_that_fewer_than_five_videos_carry_is_not_judged(keep, out):
    """Of 18 videos five show a riot and four a fire."""
    found = compare(*sides(keep, out, scored(0, 8, videos=18), scored(1, 0, videos=18)), ["AUC[Riot]", "AUC[Fire]"])
    assert found["AUC[Riot]"].p is not None
    assert (found["AUC[Fire]"].p, found["AUC[Fire]"].low) == (None, None)
    assert verdict("AUC[Fire]", found["AUC[Fire]"], None) == "too few videos to tell"


def test_the_first_editions_spelling_of_a_class_is_understood(keep, out):
    a, b = sides(keep, out, scored(0, 2), scored(1, 0))
    assert compare(a, b, ["AUC/Riot", "AUC[Riot]"]) == compare(a, b, ["AUC[Riot]"])


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("classes", ClassTable((VideoClass("Normal"), VideoClass("Riot"), VideoClass("Flood")), normal=0)),
        ("normal", replace(TABLE, normal=2)),
    ],
)
def test_other_classes_are_noticed_whatever_a_video_is_called(keep, out, name, other):
    def made(seed, table):
        split = scored(seed, 1)
        truth = [replace(v, segments=tuple(replace(g, label="Riot") for g in v.segments)) for v in split.videos]
        scores = [replace(split.scores[0], name=name), *split.scores[1:]]
        return replace(split, scores=scores, videos=[replace(truth[0], name=name), *truth[1:]], classes=table)

    found = compare(*sides(keep, out, made(0, TABLE), made(1, other)), ["AUC", "mAUC", "AUC[Riot]"])
    assert found["AUC"].p is not None
    assert found["mAUC"].reason == found["AUC[Riot]"].reason == "measured over other classes"


def test_settings_that_are_called_like_other_facts_of_a_run_are_compared(keep, out):
    """A setting named 'version' is not the method's version, nor does it hide it."""
    keep(scored(0, 1), config={"version": 1, "method": "x"})
    keep(scored(1, 1), seed=1, config={"version": 1, "method": "x"}, method_version="2")
    with pytest.raises(RunError, match=r"differ in version \(1, 2\)"):
        load_runs("d/good", out)


def test_metrics_must_be_defined_on_both_sides(keep, out):
    without = replace(scored(1, 1), scores=[s.without_classes() for s in scored(1, 1).scores])
    a, b = sides(keep, out, scored(0, 1), without)
    assert list(compare(a, b)) == ["AUC", "AP", "AnoAUC", "FAR"]
    with pytest.raises(UnknownNameError, match="unknown metric of both sides 'mAUC'; did you mean 'AUC'"):
        compare(a, b, ["AUC", "mAUC"])
    with pytest.raises(UnknownNameError, match="did you mean 'AnoAUC'"):
        compare(a, b, ["AnoAuc"])


def test_metrics_of_branches_cannot_be_compared(keep, out):
    split = scored(0, 1)
    branched = replace(split, scores=[replace(s, branches={"align": s.anomaly}) for s in split.scores])
    with pytest.raises(RunError, match=r"scores of branches are not compared, found AUC\(align\)"):
        compare(*sides(keep, out, branched, branched), ["AUC(align)"])


def test_a_class_is_compared_by_its_name(keep, out):
    a, b = sides(keep, out, scored(0, 2), scored(1, 0))
    found = compare(a, b, ["AUC[Riot]", "mAP@0.3"])
    assert list(found) == ["AUC[Riot]", "mAP@0.3"]
    assert found["AUC[Riot]"].value == pytest.approx(a.value("AUC[Riot]") - b.value("AUC[Riot]"))
    assert found["AUC[Riot]"].p < 0.01


def test_damaged_scores_are_named(keep, out):
    a, b = sides(keep, out, scored(0, 1), scored(1, 1))
    path = out / "d" / "b" / "b0" / "scores.npz"
    np.savez(path, names=np.array(["v0"]))
    with pytest.raises(RunError, match=r"cannot read .*b0/scores.npz"):
        compare(a, b)
    path.unlink()
    with pytest.raises(RunError, match=r"cannot read .*b0/scores.npz"):
        compare(a, b)


def test_what_else_differs_is_said(keep, out):
    best = NATIVE.rules.model_copy(update={"selection": "best-on-test"})
    a, b = sides(
        keep,
        out,
        scored(0, 1),
        scored(1, 1, rules=best),
        fingerprint={"encoder": "large", "stride": 16, "pooling": "first"},
        clip={"model": "large"},
        trained_on="elsewhere",
    )
    assert contrasts(a, b) == [
        "protocols differ: selection (last, best-on-test)",
        "features differ: encoder (small, large)",
        "CLIPs differ: model (small, large)",
        "training data differ: data set (d, elsewhere)",
    ]
    assert contrasts(a, a) == []
    assert "(best-on-test)" in b.label


def test_verdicts_go_by_the_adjusted_p_value():
    difference = Difference(0.1, 0.02, 0.2, p=0.02)
    assert verdict("AUC", difference, 0.05) == "A is better"
    assert verdict("AUC", difference, 0.06) == "not distinguishable"
    assert verdict("FAR", difference, 0.02) == "A is higher"
    assert verdict("FAR", Difference(-0.1, -0.2, -0.02, p=0.02), 0.02) == "B is higher"
    assert verdict("AUC", Difference(-0.1, -0.2, -0.02, p=0.02), 0.02) == "B is better"
