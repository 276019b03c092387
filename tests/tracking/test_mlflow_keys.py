"""Names in MLflow against an inverse that is written by itself, and against MLflow's own check."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from vadbench.base.metric_keys import MetricKey
from vadbench.tracking.mlflow_keys import metric_key, setting_key


def read(text):
    return re.sub("_(.*?)_", lambda c: {"": "_", "at": "@"}.get(c[1]) or chr(int(c[1], 16)), text)


def decoded(key):
    """What a key in MLflow stands for: metric, branch, class, and what is said of it. Written by itself, as the inverse
    of what vadbench writes."""

    told = ""
    # What begins with an underscore and is not closed by another is no part of the key.
    for suffix in ("_low", "_high", "_std"):
        if key.endswith(suffix) and re.fullmatch(r"(?:[^_]|_[0-9a-f]*_|_at_)*", key.removesuffix(suffix)):
            key, told = key.removesuffix(suffix), suffix
    parts = {"metric": [], "branch": None, "class": None}
    for part in key.split("/"):
        kind, blank, name = part.partition(" ")
        if blank:
            parts[kind] = read(name)
        else:
            parts["metric"].append(read(part))
    return "/".join(parts["metric"]), parts["branch"], parts["class"], told


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9@._+%-]{0,8}", fullmatch=True)
KEYS = st.builds(
    lambda names, branch, of_class: MetricKey("/".join(names), branch, of_class),
    st.lists(NAMES, min_size=1, max_size=3),
    st.none() | st.from_regex(r"[a-z_][a-z0-9_-]{0,5}( [a-z0-9_-]{1,5})?", fullmatch=True),
    st.none() | st.text(min_size=1, max_size=15) | st.text("[]()/ @_.,:low5f", min_size=1, max_size=15),
)


@given(KEYS, st.sampled_from(["", "_low", "_high", "_std"]))
def test_every_metric_has_a_key_of_its_own_in_mlflow_and_mlflow_takes_it(key, suffix):
    from mlflow.utils.validation import _validate_metric_name

    name = metric_key(str(key)) + suffix
    _validate_metric_name(name)
    assert re.fullmatch(r"[/\w.\- ]*", name) and len(name) <= 250  # on Windows too
    assert decoded(name) == (key.metric, key.branch, key.of_class, suffix)


@given(st.text("ab/é_[] ", min_size=1, max_size=3), st.text("ab/é_[] ", min_size=1, max_size=3), st.integers(60, 400))
def test_long_names_of_classes_stay_apart_within_mlflows_limit(a, b, count):
    keys = [
        metric_key(str(MetricKey("AUC", of_class=name * count))) + suffix for name in (a, b) for suffix in ("", "_low")
    ]
    assert all(len(key) <= 250 for key in keys)
    assert len(set(keys)) == (4 if a * count != b * count else 2)


def test_simple_keys_stay_readable_in_mlflow():
    for key in ("AUC", "AUC/within", "prevalence", "event-F1"):
        assert metric_key(key) == key
    assert metric_key("mAP@0.1") == "mAP_at_0.1"
    assert metric_key("AUC[Road Accidents]") == "AUC/class Road Accidents"
    assert metric_key("AP(class agnostic)") == "AP/branch class agnostic"


def setting(parameter):
    """The name of the setting of a parameter."""
    name = read(parameter) if re.search("_(at|[0-9a-f]+)_", parameter) else parameter
    return name.removeprefix("set.")


SETTINGS = st.from_regex(r"[a-z][a-z_0-9]{0,6}", fullmatch=True)
OTHERS = st.text(max_size=15) | st.text("[]()/ @_.,:low5fat", max_size=15)


@given(st.builds(lambda *parts: "".join(parts), SETTINGS | st.sampled_from(["set", "seed"]), OTHERS))
@example("weights.a@b")
@example("weights.a_at_b")
@example("weights.a__at__b")
@example("weights.a/../b")
@example("weights.a ")
@example("set.seed")
@example("seed")
def test_every_setting_has_a_name_of_its_own_in_mlflow_and_mlflow_takes_it(name):
    from mlflow.utils.validation import _validate_param_name

    facts = {"seed", "post"}
    parameter = setting_key(name, facts)
    _validate_param_name(parameter)
    assert re.fullmatch(r"[/\w.\- ]*", parameter) and len(parameter) <= 250
    assert parameter not in facts
    assert setting(parameter) == name


@given(st.text("ab/é_[] ", min_size=1, max_size=3), st.text("ab/é_[] ", min_size=1, max_size=3), st.integers(60, 400))
def test_long_names_of_settings_stay_apart_within_mlflows_limit(a, b, count):
    keys = [setting_key(f"weights.{name * count}", ()) for name in (a, b)]
    assert all(len(key) <= 250 for key in keys)
    assert (keys[0] == keys[1]) == (a * count == b * count)


def test_usual_settings_keep_their_names_in_mlflow():
    for name in ("n_ctx", "recipe.learning_rate", "rows.stride", "post.steps", "weights.Road Accidents", "words.打架"):
        assert setting_key(name, {"seed"}) == name
