"""The grammar of post-processing: one spelling for what means the same, and what is refused."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vadbench.base.errors import ConfigError, UnknownNameError
from vadbench.records.keys import evaluation_key, key_values, restored
from vadbench.scoring.post_steps import STEPS, Step, canonical_post, post_steps
from vadbench.scoring.protocol import NATIVE, Protocol


@st.composite
def lists(draw):
    """A list of steps as somebody may write it, with its one spelling."""

    def blank():
        return draw(st.sampled_from(["", " ", "  "]))

    written, plain = [], []
    for name in draw(st.lists(st.sampled_from(STEPS), max_size=5)):
        whole = draw(st.integers(1, 15))
        number, spelled = f"{whole}", draw(st.sampled_from([f"{whole}", f"{whole}.0", f"0{whole}.000"]))
        if name in ("gaussian", "centre-weight"):
            decimals = draw(st.integers(1, 999_999))
            number = f"{whole}.{decimals:06}".rstrip("0")
            spelled = f"{whole}.{decimals:06}"
        unit = draw(st.sampled_from(["", "f"])) if name in ("gaussian", "moving-mean", "median") else ""
        if name == "logistic":
            written.append(f"{blank()}logistic{blank()}")
            plain.append("logistic")
        elif name == "centre-weight" and draw(st.booleans()):
            written.append(f"{blank()}centre-weight{blank()}")
            plain.append("centre-weight(0.5)")
        else:
            written.append(f"{blank()}{name}{blank()}({blank()}{spelled}{blank()}{unit}{blank()}){blank()}")
            plain.append(f"{name}({number}{unit})")
    return ",".join(written), ", ".join(plain)


@given(lists())
def test_a_list_has_one_spelling_and_reading_what_is_printed_gives_the_same_steps(case):
    written, plain = case
    steps = post_steps(written)
    assert canonical_post(written) == ", ".join(map(str, steps)) == plain
    assert post_steps(plain) == steps and canonical_post(plain) == plain
    rules = NATIVE.on("any", post=written)
    assert rules.post == plain
    assert restored(Protocol, rules.model_dump(mode="json")) == rules


def test_the_smallest_number_is_written_without_an_exponent():
    assert canonical_post("gaussian(0.000001), median(100000f)") == "gaussian(0.000001), median(100000f)"


@pytest.mark.parametrize("text", ["none", " none ", "", "  "])
def test_none_is_no_step(text):
    assert post_steps(text) == () and canonical_post(text) == ""


def test_frames_are_divided_by_the_stride_and_rows_are_not():
    (frames, rows) = post_steps("gaussian(50f), gaussian(50)")
    assert frames == Step("gaussian", "50", frames=True) and rows == Step("gaussian", "50")
    assert (frames.value(16), rows.value(16)) == (3.125, 50)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gausian(2)", "unknown step of post-processing 'gausian'; did you mean 'gaussian'?"),
        ("Gaussian(2)", "unknown step of post-processing 'Gaussian'; did you mean 'gaussian'?"),
        ("smooth", "unknown step of post-processing 'smooth'; known: centre-weight, gaussian, logistic"),
        ("gaussian", r"step 'gaussian' takes a number of rows above 0 .* found 'gaussian'; write it as gaussian\(10\)"),
        ("gaussian()", r"found 'gaussian\(\)'; write it as gaussian\(10\)"),
        ("gaussian(0)", "above 0"),
        ("gaussian(-1)", "above 0"),
        ("gaussian(1e3)", "above 0"),
        ("gaussian(100000.5)", "up to 100000"),
        ("gaussian(2s)", "or of frames as in 50f"),
        ("gaussian(²)", "above 0"),
        ("moving-mean(2.5)", "a whole number of rows from 1"),
        ("median(0)", "a whole number of rows from 1"),
        ("median(2.5f)", "a whole number of rows from 1"),
        ("centre-weight(0)", r"above 0 and up to 1000, found 'centre-weight\(0\)'; write it as centre-weight\(0.5\)"),
        ("centre-weight(8f)", "above 0 and up to 1000"),
        ("logistic(2)", r"step 'logistic' takes no number, found 'logistic\(2\)'; write 'logistic'"),
        ("logistic()", "takes no number"),
        ("round(16)", r"from 0 to 15, found 'round\(16\)'; write it as round\(4\)"),
        ("round(4f)", "from 0 to 15"),
        ("gaussian(2), none", "'none' takes all post-processing away and must stand alone"),
        ("gaussian(2),,round(4)", "expected steps of post-processing such as 'logistic, .*, found '' as one of them"),
        ("gaussian(2) round(4)", r"found 'gaussian\(2\) round\(4\)' as one of them"),
        ("gaussian(2", r"found 'gaussian\(2' as one of them"),
        ("gaussian(2, 3)", r"found 'gaussian\(2' as one of them"),
    ],
)
def test_what_is_no_list_of_steps_is_refused_in_one_line(text, message):
    with pytest.raises((ConfigError, UnknownNameError), match=message) as caught:
        canonical_post(text)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValidationError, match=message):
        NATIVE.on("any", post=text)


def test_only_post_processing_that_is_there_changes_a_key_and_equal_lists_have_one():
    def key(post):
        return evaluation_key(protocol=NATIVE.on("d", post=post), dataset="d", classes=[], manifest="m")

    assert "post" not in key_values(NATIVE.on("d", post="none"))
    assert key("none") == key(None)
    keys = [
        key(post) for post in (None, "gaussian(2)", "gaussian(2f)", "round(2), gaussian(2)", "gaussian(2), round(2)")
    ]
    assert len(set(keys)) == len(keys)
    assert key(" gaussian( 2.0 ) ") == key("gaussian(2)") and key("centre-weight") == key("centre-weight(0.50)")


def test_a_protocol_that_is_older_than_post_processing_has_none():
    old = {k: v for k, v in NATIVE.rules.model_dump(mode="json").items() if k != "post"}
    assert restored(Protocol, old) == NATIVE.rules


def test_the_grammar_is_read_without_numpy():
    code = (
        "import sys, json, vadbench.scoring.protocol; print(json.dumps(sorted({'numpy', 'scipy'} & set(sys.modules))))"
    )
    assert json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) == []
