"""Metric keys: what is written reads back the same, whatever a class is called; old spellings are understood."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vadbench.base.metric_keys import MetricKey, from_first_edition, is_branch
from vadbench.metrics.definitions import DEFINITIONS, canonical, definition

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9@._-]{0,8}", fullmatch=True)
BRANCHES = st.from_regex(r"[a-z_][a-z0-9_-]{0,5}( [a-z0-9_-]{1,5})?", fullmatch=True)
HOSTILE = st.one_of(
    st.text(min_size=1),
    st.text("[]()/ @_.,\n\\", min_size=1),
    st.sampled_from(
        ["within", "align", "(align)", "a]b", "]", "[x]", "/", "a/b", "__proto__", " ", "AUC[x]", "é", "\ud800"]
    ),
)
KEYS = st.builds(
    lambda names, branch, of_class: MetricKey("/".join(names), branch, of_class),
    st.lists(NAMES, min_size=1, max_size=3),
    st.none() | BRANCHES,
    st.none() | HOSTILE,
)


@given(KEYS)
def test_what_is_written_reads_back_the_same(key):
    assert MetricKey.parse(str(key)) == key


@given(KEYS, KEYS)
def test_two_keys_never_have_one_spelling(a, b):
    assert (str(a) == str(b)) == (a == b)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("AUC", MetricKey("AUC")),
        ("AUC/within", MetricKey("AUC/within")),
        ("AUC(align)", MetricKey("AUC", branch="align")),
        ("AUC[Abuse]", MetricKey("AUC", of_class="Abuse")),
        ("AUC/within(align)", MetricKey("AUC/within", branch="align")),
        ("AP/trapezoid/base", MetricKey("AP/trapezoid/base")),
        ("event-F1@0.3", MetricKey("event-F1@0.3")),
        ("AUC(class agnostic)[(align)]", MetricKey("AUC", "class agnostic", "(align)")),
    ],
)
def test_keys_by_hand(text, key):
    assert MetricKey.parse(text) == key and str(key) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AUC/",
        "/AUC",
        "AUC//x",
        "AUC x",
        "AUC[]",
        "AUC()",
        "AUC(a)(b)",
        "AUC[a](b)",
        "AUC(a/b)",
        "AUC[a",
        "[a]",
        "AUC ",
    ],
)
def test_what_is_no_key_is_refused(text):
    with pytest.raises(ValueError, match="expected metric"):
        MetricKey.parse(text)


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        (("AUC[a]",), "a class in the metric"),
        (("AUC", "a)b"), "a bracket in a branch"),
        (("AUC", "x.npy"), "a point in a branch"),
        (("AUC", None, ""), "an empty class"),
        (("AUC(a)", None, "b"), "a branch in the metric"),
    ],
)
def test_parts_that_would_read_back_as_others_are_refused(parts, why):
    with pytest.raises(ValueError, match="expected metric"):
        MetricKey(*parts)


@given(st.text())
def test_a_branch_has_a_name_exactly_where_a_key_can_carry_it(name):
    try:
        carried = MetricKey.parse(f"AUC({name})") == MetricKey("AUC", name)
    except ValueError:
        carried = False
    assert is_branch(name) == carried


# The first edition.


@given(st.sets(HOSTILE), st.sets(BRANCHES, max_size=3))
def test_keys_of_a_first_edition_record_go_to_its_classes_and_branches(classes, branches):
    """A branch had overwritten a class of its name, with which the record has the branch's value."""
    plain = [key for key in DEFINITIONS if "/" not in key]  # measures came later
    of_classes = {f"{m}/{c}": MetricKey(m, of_class=c) for m in ("AUC", "AP") for c in classes}
    of_branches = {f"{m}/{b}": MetricKey(m, branch=b) for m in ("AUC", "AP", "AnoAUC") for b in branches}
    found = from_first_edition([*plain, *(of_classes | of_branches)])
    assert found == {k: k for k in plain} | {k: str(v) for k, v in (of_classes | of_branches).items()}
    assert len(set(found.values())) == len(found)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("AUC/Abuse", "AUC[Abuse]"),
        ("AP/Road Accidents", "AP[Road Accidents]"),
        ("AUC/Car (parked)", "AUC[Car (parked)]"),
        ("AUC[a/b]", "AUC[a/b]"),
        ("time_ms[optical flow]", "time_ms/optical-flow"),
        ("time_ms/total", "time_ms/total"),
        ("mAP@IoU", "mAP@IoU"),
        ("FAR/Abuse", "FAR/Abuse"),
        ("AUC_base", "AUC_base"),
        ("no such thing", "no such thing"),
    ],
)
def test_both_editions_are_understood_where_a_person_writes_a_key(text, key):
    assert canonical(text) == key


@given(HOSTILE)
def test_a_class_of_any_name_has_a_definition_in_either_spelling(name):
    assume(f"AUC/{name}" not in DEFINITIONS)  # today's meaning of a key comes first
    assert definition(f"AUC[{name}]").key == canonical(f"AUC/{name}") == f"AUC[{name}]"
    assert definition(f"AUC[{name}]").title == f"AUC {name}"


def test_a_branch_has_the_definition_of_its_metric_and_says_so():
    found = definition("AnoAUC(align)")
    assert (found.title, found.better) == ("Ano-AUC align", "higher")
    assert found.text.startswith(definition("AnoAUC").text) and "'align'" in found.text


def test_what_ranks_nothing_says_why():
    for key, meaning in DEFINITIONS.items():
        assert (meaning.better is None) == bool(meaning.unranked), key
