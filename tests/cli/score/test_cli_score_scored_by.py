"""What a scored video records of what scored it."""

import json
from pathlib import Path

import pytest

import vadbench as package
from scored import TINY
from watch_media import encode, noise

CLIP = ("--clip", "small", "--clip-weights", "random:0")


@pytest.fixture
def video(tmp_path):
    return encode(tmp_path / "a.mp4", noise(20))


def page_facts(folder):
    text = (Path(folder) / "index.html").read_text(encoding="utf-8")
    return dict(json.JSONDecoder().raw_decode(text[text.index('"facts":') + len('"facts":') :])[0])


def test_words_that_nobody_named_are_named(score, vadbench, video, tmp_path):
    (found,), _ = score(video, "-m", "descriptions-frame", "--set", "rows.stride=8", *CLIP)
    by = found["scored_by"]
    assert by == json.loads((Path(found["folder"]) / "summary.json").read_text())["scored_by"]
    assert (by["vadbench"], by["method"], by["method_version"]) == (package.__version__, "descriptions-frame", "1")
    assert (by["run"], by["dataset"], by["settings"], by["stride"]) == (None, None, ["rows.stride=8"], 8)
    assert by["descriptions"]["title"] == "general" and len(by["descriptions"]["digest"]) == 6
    assert (by["clip"]["model"], by["clip"]["weights"]) == ("small", "random:0") and len(by["clip"]["sha256"]) == 64
    facts = page_facts(found["folder"])
    assert facts["method"] == "descriptions-frame without training" and facts["settings"] == "rows.stride=8"
    assert facts["descriptions"] == f"general ({by['descriptions']['digest']})"
    assert facts["features"] == "CLIP small random:0, a row every 8 frames"
    said = vadbench("score", *TINY, video, "-m", "descriptions-frame", *CLIP, "--out", tmp_path / "b").out
    bank = f"general ({by['descriptions']['digest']})"
    assert said.startswith(f"descriptions-frame without training; descriptions {bank}; threshold")


def test_an_edited_bank_has_another_digest(score, video, tmp_path):
    bank, found = tmp_path / "site.toml", []
    for word in ("yard", "street"):
        bank.write_text(f'normal = ["an empty {word}"]\nabnormal = ["a fence"]\n')
        (summary,), _ = score(video, "-m", "descriptions-frame", "--descriptions", bank, *CLIP)
        assert summary["scored_by"]["settings"] == []
        found.append(summary["scored_by"]["descriptions"])
    assert [b["title"] for b in found] == ["untitled"] * 2 and found[0]["digest"] != found[1]["digest"]


def test_a_run_is_named_with_its_settings(trained, score, video):
    run = trained("mil", "tiny", "--set=recipe.epochs=1", "--set=recipe.batch_size=4")
    record = json.loads((run / "result.json").read_text())
    (found,), _ = score(video, "--run", run)
    by = found["scored_by"]
    assert (by["run"], by["dataset"], by["stride"]) == (record["key"], "tiny", 16)
    assert by["settings"] == ["recipe.epochs=1", "recipe.batch_size=4"] and by["descriptions"] is None
    assert by["clip"] == record["clip"]


def test_a_method_without_features_has_no_clip_and_one_of_a_data_set_its_classes(score, video):
    (found,), _ = score(video, "-m", "motion-energy")
    assert found["scored_by"]["clip"] is None and page_facts(found["folder"])["settings"] == "the method's defaults"
    (found,), _ = score(video, "-m", "zero-shot", "-d", "ucfcrime", *CLIP)
    assert found["scored_by"]["dataset"] == "ucfcrime"
    assert page_facts(found["folder"])["method"] == "zero-shot without training, for the classes of ucfcrime"


def test_random_scores_look_for_no_class(score, video):
    (found,), _ = score(video, "-m", "random")
    assert found["rows"] == 20 and found["scored_by"]["dataset"] is None
