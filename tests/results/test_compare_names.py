"""Which runs a name stands for."""

import pytest

from compared import scored
from vadbench.base.errors import RunError
from vadbench.results.sides import contrasts, load_runs
from vadbench.scoring.protocol import NATIVE


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
        ({"protocol": NATIVE.rules.model_dump() | {"tail": "rows"}}, "differ in protocol.tail"),
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
    with pytest.raises(RunError, match=r"no finished run: .*failed run"):
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
