"""Whether a method can run on a data set: decided once, in a line, for a run, a grid and a user's videos alike."""

from dataclasses import replace

import pytest
from vadbench_baselines.config import LinearConfig
from vadbench_descriptions.config import FrameConfig

from places import PLUGIN, ROOT
from vadbench.base.errors import MisfitError
from vadbench.base.method_config import MethodConfig, Recipe
from vadbench.base.needs import Facts, Needs, StreamFacts
from vadbench.dataset import ClassTable, VideoClass
from vadbench.harness.fitness import misfit, require_fit

PICKY = ROOT / "tests" / "plugins" / "picky.py"
TABLE = ClassTable((VideoClass("Normal"), VideoClass("Fire")), 0)
EVERYTHING = Facts(
    "there",
    TABLE,
    splits=("train", "test"),
    videos={(split, kind): 2 for split in ("train", "test") for kind in ("normal", "abnormal")},
    streams={"clip": StreamFacts(), "audio": StreamFacts()},
    files=True,
    text=True,
)


def needing(**needs):
    class Own(MethodConfig):
        def needs(self):
            return Needs(**{"supervision": "training-free", **needs})

    return Own()


def trained(crops="one", **recipe):
    return LinearConfig(rows={"crops": crops}, recipe={"epochs": 1, "batch_size": 4, **recipe})


def of(**counts):
    return {(split, kind): n for name, n in counts.items() for split, kind in [name.split("_")]}


@pytest.mark.parametrize(
    ("config", "changes", "reason"),
    [
        (needing(streams=("clip", "audio")), {"streams": {"clip": StreamFacts()}}, "streams clip, audio .*audio=DIR"),
        (needing(streams=("clip",)), {"streams": {}}, "found none; give features of clip"),
        (needing(frames=True), {"files": False}, "decodes the videos, and no file of them is here"),
        (needing(text=True), {"text": False}, "no CLIP for them"),
        (needing(supervision="one-class"), {"videos": of(train_abnormal=3)}, "normal training videos, and there"),
        (needing(supervision="one-class"), {"splits": ("test",)}, "there has no train split"),
        (trained(), {"splits": ("test",)}, r"must be trained, and there has no train split; .*--from RUN"),
        (trained(), {"videos": of(train_abnormal=3)}, "found 0 and 3 in the train split"),
        (trained(sampler="paired"), {"videos": of(train_normal=3)}, "found 3 and 0 in the train split"),
        (
            trained(),
            {"videos": of(train_normal=1, train_abnormal=9)},
            r"batch_size=4 needs 2 abnormal and 2 normal.*found 9 and 1; set recipe\.batch_size=2 or less",
        ),
        (
            FrameConfig(descriptions={"normal": ["a"], "classes": {"Fyre": ["b"]}}),
            {},
            "rename the class 'Fyre', which the data set lacks.*did you mean 'Fire'",
        ),
    ],
)  # fmt: skip
def test_what_a_method_lacks_is_said_once_it_is_known(config, changes, reason):
    facts = replace(EVERYTHING, **changes)
    with pytest.raises(MisfitError, match=f"^'mine' cannot run on there: .*{reason}") as found:
        require_fit("mine", config, facts)
    assert "\n" not in str(found.value)
    # Not before it is known, and not where it is there.
    assert misfit(config, replace(EVERYTHING, **dict.fromkeys(changes))) == "" or not changes
    assert misfit(config, EVERYTHING) == "" or not changes


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        (trained(sampler="mixed", batch_size=1), {"videos": of(train_abnormal=3)}),
        (trained(sampler="mixed"), {"videos": of(train_normal=1, train_abnormal=1)}),
        (trained(crops="all"), {"videos": of(train_normal=1, train_abnormal=1)}),
        (trained(epochs=0), {"videos": of(test_normal=1), "splits": ("test",)}),
        (needing(), {"videos": of(test_normal=1), "splits": ("test",), "files": False, "text": False}),
        (needing(streams=()), {"streams": {}}),
        (needing(supervision="oracle"), {"splits": ("test",)}),
        (needing(supervision="one-class"), {"videos": of(train_normal=1)}),
    ],
)
def test_what_a_method_does_not_need_may_be_absent(config, changes):
    assert misfit(config, replace(EVERYTHING, **changes)) == ""


def test_a_finished_training_needs_neither_these_classes_nor_training_videos_and_its_inputs_all_the_same():
    bank = FrameConfig(descriptions={"normal": ["a"], "classes": {"Fyre": ["b"]}})
    facts = replace(EVERYTHING, splits=("test",))
    assert misfit(bank, facts, trained=True) == misfit(trained(), facts, trained=True) == ""
    frames = needing(frames=True)
    assert "decodes the videos" in misfit(frames, replace(facts, files=False), trained=True)


def test_the_shipped_methods_say_truly_when_they_use_clips_texts():
    from vadbench_anomalyclip.config import AnomalyClipConfig
    from vadbench_vadclip.config import VadClipConfig

    assert AnomalyClipConfig().needs().text
    assert not AnomalyClipConfig(directions="free", text_encoder="none").needs().text
    assert VadClipConfig().needs().text
    coarse = VadClipConfig(branches="coarse", visual_prompt="none", score_branch="coarse")
    assert not coarse.needs().text
    assert MethodConfig(recipe=Recipe(epochs=1)).needs().supervision == "weak"
    assert AnomalyClipConfig(recipe={"epochs": 0, "warmup_epochs": 0}).needs().supervision == "one-class"


@pytest.mark.usefixtures("tiny_at_hand")
def test_a_run_that_cannot_be_is_refused_in_a_line_before_anything_is_read(vadbench, tmp_path):
    def refused(*arguments):
        base = ("run", "--plugin", PLUGIN, "--plugin", PICKY, "-m", "picky", "--out", tmp_path / "runs")
        out, err = vadbench(*base, *arguments, status=2)
        assert not out and len(err.splitlines()) == 1
        return err

    said = refused("-d", "ucfcrime")
    assert "'picky' cannot run on ucfcrime: it tells 1 abnormal classes apart, found 13" in said
    said = refused("-d", "tiny", "--set", "reads_audio=true")
    assert "'picky' cannot run on tiny: it reads the streams clip, audio" in said and "--features audio=DIR" in said
    assert not (tmp_path / "runs").exists()


BENCHMARK = """
title = "t"
seeds = [0]
[[tables]]
id = "1"
title = "T"
columns = [{ dataset = "tiny", metric = "AUC" }, { dataset = "synthetic", metric = "AUC" }]
rows = [{ label = "a", method = "picky" }]
"""


@pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
def test_a_grid_says_impossible_here_and_counts_it_as_no_failure(vadbench, tmp_path, monkeypatch):
    file = tmp_path / "b.toml"
    file.write_text(BENCHMARK)
    place = ("--out", tmp_path / "runs")
    base = ("bench", file, "--plugin", PLUGIN, "--plugin", PICKY, "--device", "cpu")
    for arguments in (("--dry-run",), ()):
        found = vadbench(*base, *place, *arguments, "--json").json
        states = {c["dataset"]: (c["state"], c["reason"]) for c in found["cells"]}
        assert states["synthetic"][0] == "impossible" and "found 6; raise most_classes" in states["synthetic"][1]
        assert states["tiny"][0] == ("to do" if arguments else "done")
    assert "impossible here: picky on synthetic" in vadbench(*base, *place).out
    # Only the lists of a data set that makes itself show the rest, when the cell is about to run.
    monkeypatch.setenv("TINY_TEST", "12")
    found = vadbench(*base, "--out", tmp_path / "others", "--json")
    assert {c["dataset"]: c["state"] for c in found.json["cells"]} == {"tiny": "impossible", "synthetic": "impossible"}
    assert "at most 4 normal test videos" in found.out
    assert "impossible picky on tiny, seed 0" in found.err and not found.json["counts"].get("failed")
