"""Which runs a name stands for: folders, keys, labels, and what brackets choose."""

import pytest

from kept_runs import keep_run
from vadbench.base.errors import ConfigError, RunError, UnknownNameError
from vadbench.records.run_names import find_run, find_runs
from vadbench.records.titles import changed_settings, checked_label

BANK = {"title": "my site", "normal": ["a road"], "classes": {"Fire": ["flames"]}}


@pytest.fixture
def out(tmp_path):
    """Default runs of two seeds beside two ablations, one of which has a label."""
    for seed in (0, 1):
        keep_run(tmp_path, f"a{seed}", seed=seed)
        keep_run(tmp_path, f"b{seed}", seed=seed, recipe={"epochs": 5})
        keep_run(tmp_path, f"c{seed}", seed=seed, recipe={"epochs": 5, "gamma": 1}, label="both at once")
    return tmp_path


def keys(name, out):
    return sorted(folder.name for folder in find_runs(name, out).found)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("d/mil", ["a0", "a1"]),
        ("d/mil[recipe.epochs=5]", ["b0", "b1"]),
        ("d/mil[recipe.epochs=5,recipe.gamma=1]", ["c0", "c1"]),
        ("d/mil[both at once]", ["c0", "c1"]),
        ("both at once", ["c0", "c1"]),
        ("both at once[seed=1]", ["c1"]),
        ("d/mil[recipe.epochs=5,seed=0]", ["b0"]),
        ("d/mil[protocol=native]", ["a0", "a1"]),
        ("a0,b1", ["a0", "b1"]),
        ("a0, d/mil[recipe.epochs=5,seed=1]", ["a0", "b1"]),
    ],
)
def test_a_folder_of_runs_stands_for_those_of_default_settings_and_brackets_for_others(out, name, expected):
    assert keys(name, out) == expected


def test_what_is_left_beside_is_told_in_words_that_name_it(out):
    (told,) = find_runs("d/mil", out).notes
    assert "d/mil[recipe.epochs=5] (seeds 0, 1)" in told and "d/mil[both at once] (seeds 0, 1)" in told
    for spelt, expected in (("d/mil[recipe.epochs=5]", ["b0", "b1"]), ("d/mil[both at once]", ["c0", "c1"])):
        assert keys(spelt, out) == expected


def test_where_no_run_is_of_the_default_settings_the_others_are_told(tmp_path):
    for seed in (0, 1):
        keep_run(tmp_path, f"c{seed}", seed=seed, recipe={"epochs": 5, "gamma": 1}, label="both at once")
    found = find_runs("d/mil", tmp_path)
    assert sorted(folder.name for folder in found.found) == ["c0", "c1"]
    expected = "'d/mil' stands for runs of recipe.epochs=5, recipe.gamma=1 (seeds 0, 1): none is of default settings"
    assert found.notes == [expected]
    (told,) = find_runs("d/mil[recipe.epochs=5]", tmp_path).notes
    assert "stands for runs of recipe.gamma=1 (seeds 0, 1): none is of no other settings" in told
    for named in ("d/mil[recipe.epochs=5,recipe.gamma=1]", "d/mil[both at once]", "both at once", "c0"):
        assert find_runs(named, tmp_path).notes == []


def test_a_single_run_is_found_by_the_same_names(out):
    assert find_run("d/mil[both at once,seed=1]", out).name == "c1"
    with pytest.raises(RunError, match=r"no single run called 'both at once'.*c0, .*c1"):
        find_run("both at once", out)


def test_imported_weights_are_found_though_nothing_was_evaluated(tmp_path):
    for key in ("a0", "b0"):
        (tmp_path / "d" / "mil" / key).mkdir(parents=True)
        (tmp_path / "d" / "mil" / key / "checkpoint.json").write_text("{}")
    assert find_run("a0", tmp_path).name == find_run("d/mil/a0", tmp_path).name == "a0"
    with pytest.raises(RunError, match=r"no single run called 'd/mil': name one of .*a0, .*b0"):
        find_run("d/mil", tmp_path)
    with pytest.raises(RunError, match="holds weights that were not evaluated"):
        find_runs("a0", tmp_path)


def test_without_default_runs_the_message_says_what_there_is(tmp_path):
    keep_run(tmp_path, "b0", recipe={"epochs": 5})
    keep_run(tmp_path, "c0", recipe={"epochs": 6}, seed=1)
    with pytest.raises(RunError) as error:
        find_runs("d/mil", tmp_path)
    for words in ("recipe.epochs (5, 6)", "d/mil[recipe.epochs=5] (seed 0)", "d/mil[recipe.epochs=6] (seed 1)"):
        assert words in str(error.value)
    # What is alone is meant, whatever its settings.
    assert keys("d/mil[recipe.epochs=6]", tmp_path) == ["c0"]


@pytest.mark.parametrize("usual", ["native", "vadclip"])
def test_of_several_protocols_the_usual_one_is_meant(tmp_path, usual):
    keep_run(tmp_path, "a0", protocol={"name": usual})
    keep_run(tmp_path, "b0", protocol={"name": usual}, recipe={"epochs": 5})
    if usual == "native":
        keep_run(tmp_path, "c0", protocol={"name": "vadclip"})
        assert keys("d/mil[protocol=vadclip]", tmp_path) == ["c0"]
    assert keys("d/mil", tmp_path) == ["a0"]


def test_names_that_are_wrong_say_what_is_meant(out):
    with pytest.raises(UnknownNameError, match=r"did you mean 'recipe\.epochs'"):
        find_runs("d/mil[recipe.epoch=5]", out)
    with pytest.raises(RunError, match=r"chooses no run; there are d/mil \(seeds 0, 1\)"):
        find_runs("d/mil[recipe.epochs=77]", out)
    with pytest.raises(RunError, match="did you mean 'both at once'"):
        find_runs("both at onc", out)
    with pytest.raises(RunError, match="did you mean 'd/mil'"):
        find_run("d/mill", out)


def test_a_label_of_two_experiments_names_both(out):
    keep_run(out, "e0", "other", label="both at once")
    with pytest.raises(RunError, match=r"'both at once' holds runs that are not seeds of one: .*differ in"):
        find_runs("both at once", out)


def test_a_further_evaluation_is_named_by_both_keys(tmp_path):
    training = keep_run(tmp_path, "a0")
    evaluation = keep_run(tmp_path, "a0", place=training / "evaluations" / "7ab2", evaluation="7ab2", label="smooth")
    assert find_run("a0", tmp_path) == training
    assert find_run("a0/7a", tmp_path) == find_run("smooth", tmp_path) == evaluation


def test_settings_with_commas_and_brackets_can_be_named(tmp_path):
    for key, streams in (("a0", ["clip"]), ("b0", ["clip", "audio"])):
        keep_run(tmp_path, key, config={"streams": streams}, changed=["streams"])
    assert keys('d/mil[streams=["clip", "audio"]]', tmp_path) == ["b0"]


def test_a_bank_is_named_by_its_title_and_others_by_their_content_in_short(tmp_path):
    titled = ["bank.title", "bank.normal", "bank.classes.Fire"]
    keep_run(tmp_path, "a0", config={"bank": BANK}, changed=titled)
    keep_run(tmp_path, "b0", config={"bank": BANK | {"title": ""}}, changed=titled)
    assert changed_settings({"bank": BANK, "n": 2}, ["n", *titled]) == ["n=2", "bank=my site"]
    assert keys("d/mil[bank=my site]", tmp_path) == ["a0"]
    (untitled,) = changed_settings({"bank": BANK | {"title": ""}}, titled)
    assert untitled.startswith("bank=untitled ") and keys(f"d/mil[{untitled}]", tmp_path) == ["b0"]
    # The title of a shipped bank does not stand for another content.
    (edited,) = changed_settings({"bank": BANK}, ["bank.normal"])
    assert edited.startswith("bank=my site ") and len(edited) == len("bank=my site 123456")


def test_settings_from_elsewhere_may_hold_anything(tmp_path):
    odd = {"bank": {"title": "", "normal": ["\ud800", float("nan")]}}
    (text,) = changed_settings(odd, ["bank.normal"])
    assert text.startswith("bank=untitled ") and text.isprintable()
    assert changed_settings({"bank": {"title": 5}}, ["bank.title"]) == ["bank=5"]


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("a/b", "none of"),
        ("a\\b", "none of"),
        ("a,b", "none of"),
        ("k=v", "none of"),
        ("a[b]", "none of"),
        ("../x", "none of"),
        ("..", "must not begin"),
        ("-x", "must not begin"),
        ("~x", "must not begin"),
        (" x", "blanks"),
        ("two\nlines", "printable"),
        ("\x1b[2J", "printable"),
        ("\u202ex", "printable"),
        ("1f0c", "taken for a key"),
        ("2026", "taken for a key"),
        ("x" * 61, "at most 60"),
    ],
)
def test_a_label_that_could_be_something_else_is_refused(label, words):
    with pytest.raises(ConfigError, match=words) as error:
        checked_label(label)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("label", ["", "dense attention", "v2", "打架", "x" * 60, "a.b", "with (brackets)"])
def test_other_labels_can_be_given(label):
    assert checked_label(label) == label
