"""Two methods from their run folders: which runs a name stands for, what may be paired, and what comes out."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from compared import FRAMES, TABLE, VIDEOS, scored
from vadbench.base.errors import RunError, UnknownNameError
from vadbench.dataset import ClassTable, Segment, VideoClass
from vadbench.metrics.bootstrap import draw_videos
from vadbench.metrics.comparison import Difference
from vadbench.metrics.definitions import COMPARED
from vadbench.records.record import SplitRecord
from vadbench.results import compare as comparing
from vadbench.results.compare import compare, verdict
from vadbench.results.sides import contrasts, load_runs
from vadbench.scoring.protocol import NATIVE, protocol
from vadbench.scoring.split import ScoredSplit

# What may be paired.


def sides(keep, out, a, b, **changes):
    keep(a, "a")
    keep(b, "b", **changes)
    return load_runs("d/a", out), load_runs("d/b", out)


def test_identical_runs_compare_as_one(keep, out):
    found = compare(*sides(keep, out, scored(0, 1), scored(0, 1)))
    assert list(found) == ["AUC", "AUC/within", "AUC/flattened", "AP", "AnoAUC", "mAUC", "mAP", "mAP@IoU", "FAR"]
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
    turned = replace(b, given=b.scores[::-1], videos=b.videos[::-1])
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
        compare(*sides(keep, out, scored(0, 1), replace(b, given=longer)))


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


@pytest.mark.parametrize("videos", [2, 8, 9, 10])
def test_fewer_than_five_videos_with_anomalies_are_too_few_to_tell(keep, out, videos):
    """Every second video is anomalous; however far apart the scores are, four of them are no evidence.

    The false-alarm rate counts the normal videos, of which there is one more where the number is odd.
    """
    found = compare(*sides(keep, out, scored(0, 8, videos=videos), scored(1, 0, videos=videos)))
    assert {"AUC", "mAUC", "FAR"} <= found.keys()
    for key, difference in found.items():
        count = (videos + 1) // 2 if key == "FAR" else videos // 2
        assert (difference.p is not None) == (difference.low is not None) == (count >= 5)
        plural = f"video{'s' * (count > 1)}"
        kinds = {"FAR": f"normal {plural}", "AUC/within": f"{plural} with frames of both kinds"}
        said = f"too few videos to tell: {count} {kinds.get(key, f'abnormal {plural}')}, fewer than 5"
        assert (verdict(key, difference, difference.p) == said) == (count < 5)


def test_a_class_that_fewer_than_five_videos_carry_is_not_judged(keep, out):
    """Of 18 videos five show a riot and four a fire."""
    found = compare(*sides(keep, out, scored(0, 8, videos=18), scored(1, 0, videos=18)), ["AUC[Riot]", "AUC[Fire]"])
    assert found["AUC[Riot]"].p is not None
    assert (found["AUC[Fire]"].p, found["AUC[Fire]"].low) == (None, None)
    told = verdict("AUC[Fire]", found["AUC[Fire]"], None)
    assert told == "too few videos to tell: 4 videos of class Fire, fewer than 5"


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
        return replace(split, given=scores, videos=[replace(truth[0], name=name), *truth[1:]], classes=table)

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
    without = replace(scored(1, 1), given=[s.without_classes() for s in scored(1, 1).scores])
    a, b = sides(keep, out, scored(0, 1), without)
    assert list(compare(a, b)) == ["AUC", "AUC/within", "AUC/flattened", "AP", "AnoAUC", "FAR"]
    with pytest.raises(UnknownNameError, match="unknown metric of both sides 'mAUC'; did you mean 'AUC'"):
        compare(a, b, ["AUC", "mAUC"])
    with pytest.raises(UnknownNameError, match="did you mean 'AnoAUC'"):
        compare(a, b, ["AnoAuc"])


def test_metrics_of_branches_cannot_be_compared(keep, out):
    split = scored(0, 1)
    branched = replace(split, given=[replace(s, branches={"align": s.anomaly}) for s in split.scores])
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


def test_other_values_of_features_of_unknown_origin_are_said(keep, out):
    def data(inputs):
        test = SplitRecord(videos=9, expected=9, abnormal=3, manifest="t", inputs=inputs)
        return {"train": SplitRecord(videos=9, expected=9, abnormal=3, manifest="n"), "test": test}

    unknown, known = ({"encoder": "x", "weights": weights} for weights in ("unknown-1", "3" * 64))
    for name, inputs in (("one", "1"), ("two", "2"), ("older", "")):
        keep(scored(0, 1), name, fingerprint=unknown, data=data(inputs))
    for name, inputs in (("first", "1"), ("last", "2")):
        keep(scored(0, 1), name, fingerprint=known, data=data(inputs))
    a, b, older, first, last = (load_runs(f"d/{n}", out) for n in ("one", "two", "older", "first", "last"))
    assert contrasts(a, b) == ["values of features differ: test videos (1, 2)"]
    assert contrasts(a, older) == contrasts(first, last) == []


def test_verdicts_go_by_the_adjusted_p_value():
    difference = Difference(0.1, 0.02, 0.2, p=0.02)
    assert verdict("AUC", difference, 0.05) == "A is better"
    assert verdict("AUC", difference, 0.06) == "not distinguishable"
    assert verdict("FAR", difference, 0.02) == "A is higher"
    assert verdict("FAR", Difference(-0.1, -0.2, -0.02, p=0.02), 0.02) == "B is higher"
    assert verdict("AUC", Difference(-0.1, -0.2, -0.02, p=0.02), 0.02) == "B is better"
