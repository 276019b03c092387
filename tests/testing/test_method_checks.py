"""Every check fails a method that breaks what it asks, and no other; the methods that come with vadbench pass."""

import importlib.util
import subprocess
import sys
import warnings
from dataclasses import replace
from unittest import SkipTest

import pytest
import torch

import broken_kinds
import broken_methods as broken
from places import BROKEN_KINDS, BROKEN_METHODS, KINDS
from vadbench.base.errors import PluginError, UnknownNameError
from vadbench.plugins.registry import Registry, installed
from vadbench.testing import Check, NotCheckedWarning, check_method, method_checks
from vadbench.testing.catalogue import METHOD_CHECKS

BUILT_IN = sorted(installed().specs("method"))
BROKEN = broken.FAILS | broken_kinds.FAILS
SHOWN = [path for path in sorted(KINDS.glob("*.py")) if "MethodSpec(" in path.read_text() and "test_" not in path.name]
"""Plugins that each show a kind of method."""


def outcomes(method, chosen, plugins=(BROKEN_METHODS, BROKEN_KINDS)):
    return {c.name: r for c in method_checks(method, plugins) if c.name in chosen for r in [c.result()]}


def failed(results):
    return {name for name, r in results.items() if r.status == "FAILED"}


@pytest.fixture
def one_seed(monkeypatch):
    """Trainings on ``synthetic`` under one seed: under all of them they take more than twice the time."""
    monkeypatch.setattr("vadbench.testing.learning.SEEDS", range(1))


def quick():
    return METHOD_CHECKS.keys() - broken.SLOW


def test_every_check_has_a_method_that_breaks_it():
    assert {own for own, *_ in BROKEN.values()} == METHOD_CHECKS.keys()


def test_a_sound_method_passes():
    results = outcomes("sound", quick())
    assert {name for name, r in results.items() if r.status == "skipped"} == {
        "config",  # of a scratch file
        "lookahead",
        "estimate",
        "vocabulary",
        "bounded",
    }
    assert {r.status for r in results.values()} == {"passed", "skipped"}


def test_tensors_of_others_in_the_process_are_no_growth_of_the_method():
    others = [torch.zeros(1) for _ in range(4000)]
    (result,) = outcomes("sound", {"memory"}).values()
    assert result.status == "passed", (result.found, len(others))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["open", *BROKEN])
def test_a_broken_method_fails_its_check_and_no_other(name):
    assert failed(outcomes(name, quick())) == set(BROKEN.get(name, ())) & quick()


@pytest.mark.slow
@pytest.mark.usefixtures("synthetic")
@pytest.mark.parametrize("name", ["sound", *(name for name, own in BROKEN.items() if broken.ON_SYNTHETIC & set(own))])
def test_a_broken_method_fails_its_check_on_synthetic_and_no_other(name):
    # Methods that break nothing on synthetic take minutes; that sound ones fail nothing there is tested below.
    assert failed(outcomes(name, broken.ON_SYNTHETIC)) == set(BROKEN.get(name, ())) & broken.ON_SYNTHETIC


@pytest.mark.slow
@pytest.mark.parametrize(("name", "fails"), [("sound", False), ("knows-where", True)])
def test_views_that_depend_on_the_process_are_found(name, fails):
    found = outcomes(name, {"workers"})["workers"]
    assert (found.status == "FAILED") == fails
    assert ("differs in views between 0 and 1 workers" if fails else "0, 1, 3 workers") in found.found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "check", "found", "mend"),
    [
        ("undescribed", "settings", "settings without a description: width", "Field(default, description="),
        ("bad-defaults", "settings", "dataset_defaults['ucfcrime']: unknown setting 'lenght'", "no run"),
        ("one-short", "shapes", "of a video of 1 rows are (0,), expected (1,)", "every row of the video"),
        ("out-of-range", "shapes", "range from 1.", "sigmoid or a softmax"),
        ("raw-distances", "shapes", "range from 2.", "unit_scores=False in needs()"),
        ("three-for-the-video", "shapes", "must be (7,), found (3,)", "scores of the video of video-0"),
        ("remarks-past-the-end", "shapes", "rows 0 to 2 and text 0 of 1", "must be on rows from 0 to 1"),
        ("negative-cost", "shapes", "found -1", "a number from 0 on"),
        ("heavy-settings", "config", "HeavyConfig imports torch", "leave config out of the spec"),
        ("no-answer", "fits", "of the classes of synthetic alone gave None", "or an empty string"),
        ("asks-for-sound", "needs", "has no stream 'audio', only clip", "name it in needs().streams"),
        ("asks-for-frames", "needs", "has no frames: say so in the method's needs()", "frames=True"),
        ("asks-for-text", "needs", "asked for CLIP's text tower", "features of another encoder are refused then"),
        ("parts-of-a-video", "reach", "its reach is less than the whole", "leave Scores.video out"),
        ("chooses-in-company", "together", "scored one by one, anomaly scores differ by 0.005", "video by video"),
        ("one-generator", "together", "scored one by one, anomaly scores differ by 0.0009", "draw from video.rng()"),
        ("peeks", "lookahead", "cut after row 1, anomaly scores up to row 0 differ by", "raise lookahead"),
        ("one-width", "width", "mat1 and mat2 shapes cannot be multiplied", "fix it"),
        ("estimate-reads", "estimate", "estimate() reads the videos", "row_count, frame_count and crop_count"),
        ("estimate-guesses", "estimate", "returned {'calls': 'many'}", "a number from 0 on"),
        ("half-an-optimiser", "gradients", "'classifier.bias' are in no group of optimisers()", "in one group"),
        ("grows", "checkpoint", "bank is (8, 64), expected (0, 64)", "in resize(shapes)"),
        ("forgets-weights", "vocabulary", "'layer.weight', 'layer.bias' are not those", "keep what was trained"),
        ("other-tower", "vocabulary", "another text tower", "hand self.task.text on"),
        ("counts-steps", "resume", "stage 'main' before step 2 and resumed, classifier.bias", "on self is lost"),
        ("learns-names", "names", "training ends with other classifier.bias", "they tell the class in many data sets"),
        ("scores-names", "names", "anomaly scores differ by 0.2", "draw from video.rng()"),
        ("hoards", "bounded", "24 more normal videos of 2,000 rows (12 MiB) a fit holds 23", "one after the other"),
        ("makes-on-cpu", "device", ": return rows * torch.ones(rows.shape[-1]))", "device=rows.device"),
        ("asks-numpy", "device", "np.square(s.anomaly.numpy())", "call .detach().cpu() before .numpy()"),
        ("stays-behind", "device", "after fit() scales, kept as attributes, are not on the GPU", "as buffers"),
        ("other-on-gpu", "device", "anomaly scores differ from the CPU's by 0.2", "depends on the device"),
        ("writes-unsaid", "writes", "broken-kinds.txt, and its needs() do not say", "in buffers"),
        ("writes-elsewhere", "writes", "broken-kinds.txt, outside of task.cache", "below self.task.cache alone"),
        ("no-scores-of-one", "shapes", "ValueError: a video needs two rows (broken_methods.py, line", "fix it"),
        ("not-one", "probabilities", "sum to one within 0.1", "softmax over all classes"),
        ("normal-first", "probabilities", "not of the normal class (column 5", "task.classes.normal"),
        ("batch-mean", "together", "scored one by one, ", "take no statistics over a batch"),
        ("noisy", "together", "scored once more, anomaly scores differ by", "leave dropout off"),
        ("sees-further", "reach", "differ by 0.0", "reach is Reach(chunk=1, margin=0, whole=False): set chunk"),
        (
            "longer-chunks",
            "reach",
            "in windows of 64 with a margin of 0, anomaly scores of",
            "long videos are cut accordingly",
        ),
        ("last-bits", "float16", "with features in float16 anomaly scores change by 0.09", "threshold"),
        ("keeps-rows", "memory", "scoring 32 videos of 2,000 rows left ", "on self"),
        ("keeps-scores", "memory", "rows left 0.2", "on self"),
        ("looks-at-normal", "supervision", "and center differ with and without", "supervision='weak'"),
        ("trains-in-secret", "supervision", "'training-free' and has a recipe", "supervision='weak'"),
        ("dead", "gradients", "no gradient reaches 'unused.weight', 'unused.bias'", "make it a buffer"),
        ("left-out", "gradients", "'scale' are in no group", "in one group"),
        ("vector-term", "gradients", "loss 'class' is (1,)", "scalar"),
        ("not-finite", "gradients", "loss term class is not finite", "learning_rate"),
        ("own-generator", "seeds", "differ in 'classifier.bias', 'classifier.weight'", "the generator that view()"),
        ("attribute", "checkpoint", "of a method restored from its checkpoint differ by", "what prepare() computes"),
        ("extra-state", "checkpoint", "'_extra_state', which is dict, not a tensor", "buffers"),
        ("keeps-tower", "checkpoint", "CLIP's text tower is a module", "self.task.text"),
        ("calls-home", "network", "tried to reach '127.0.0.1'", "ship what it needs"),
    ],
)
def test_a_failure_says_what_was_found_and_how_to_mend_it(name, check, found, mend):
    said = outcomes(name, {check})[check].found
    assert found in said and mend in said
    assert "\n" not in said


@pytest.mark.slow
@pytest.mark.usefixtures("synthetic")
@pytest.mark.parametrize(
    ("name", "check", "found", "mend"),
    [
        ("asks-for-truth", "blind", "looked at the data set Synthetic", "test annotations must never reach a method"),
        ("reads-files", "blind", "manifest.json", "test annotations must never reach a method"),
        ("flat", "learns", "AUC 0.500 on synthetic (mean of 3 seeds) against 0.50", "dataset_defaults['synthetic']"),
        ("prompted", "leak", "shuffled labels ends with the same weights", "use batch.labels in loss()"),
        ("remembers", "leak", "the same training ends with other classifier.bias", "what a class or a module keeps"),
        ("finds-truth", "leak", "the scores of test_02", "the caller's variables"),
    ],
)
def test_a_failure_on_synthetic_says_so_too(name, check, found, mend):
    said = outcomes(name, {check})[check].found
    assert found in said and mend in said


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILT_IN)
def test_the_methods_that_come_with_vadbench_pass(name):
    assert not failed(outcomes(name, quick(), ()))


@pytest.mark.slow
@pytest.mark.usefixtures("synthetic", "one_seed")
@pytest.mark.parametrize("name", BUILT_IN)
def test_the_methods_that_come_with_vadbench_pass_on_synthetic(name):
    results = outcomes(name, broken.ON_SYNTHETIC, ())
    assert not failed(results)
    # What moves is seldom what is anomalous on synthetic.
    assert {n for n, r in results.items() if r.status == "known"} == ({"learns"} if name == "motion-energy" else set())
    if name == "anomalyclip":
        # Its prompts find what they name whatever the labels say, which is told and proves no leak.
        said = results["leak"].found
        assert "with shuffled labels the weights are others, and their AUC is 0.8" in said and "prompts" in said


@pytest.mark.slow
@pytest.mark.usefixtures("synthetic", "one_seed")
@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.stem)
def test_the_plugins_that_show_a_kind_of_method_pass(path):
    ours = [s.name for s in Registry(points=[], files=[path]).specs("method").values()]
    # Trained on frames of synthetic, brightness decodes for minutes; it passes (AUC 0.61).
    chosen = METHOD_CHECKS.keys() - ({"learns", "leak"} if path.stem == "brightness" else set())
    for name in ours:
        results = outcomes(name, chosen, (path,))
        assert not failed(results), name
        assert all(r.found for r in results.values())


def said(plugin, name, check):
    return outcomes(name, {check}, (KINDS / f"{plugin}.py",))[check]


def test_what_is_declared_is_verified_and_said():
    transductive = said("transductive", "transductive", "together")
    assert transductive.status == "passed" and "declared company='split', the same once more" in transductive.found
    assert said("causal", "causal", "lookahead").found.startswith("declared: 1 rows ahead")
    assert said("oracle", "oracle", "blind").found.startswith("exempt: it says that it is an oracle")
    unfit = said("picky", "picky", "fits")
    assert unfit.status == "passed" and "it tells 1 abnormal classes apart, found 6" in unfit.found
    assert "it cannot run on synthetic" in said("picky", "picky", "learns").found
    assert said("picky", "picky", "shapes").status == "passed"


def test_every_kind_gets_videos_of_its_kind():
    assert "64 and 24" in said("two_streams", "two-streams", "width").found
    assert "it reads frames" in said("brightness", "brightness", "needs").found
    assert "as needs() say not between 0 and 1" in said("causal", "causal", "shapes").found
    assert "2,000 rows it holds" in said("one_class", "nearest", "bounded").found
    assert said("one_class", "nearest", "checkpoint").found.startswith("1 tensors")
    stages = said("two_stage", "two-stage", "resume").found
    assert "stage 'mil' before step 10, 'pseudo', stage 'refine' before step 10" in stages


class DeclaredNetwork(broken.CallsHome):
    class Config(broken.SoundConfig):
        def needs(self):
            return replace(super().needs(), network=True)


class DeclaredWrites(broken.Sound):
    Config = broken_kinds.WritesConfig

    def score(self, videos):
        (self.task.cache / "scored.txt").write_text("was here")
        return super().score(videos)


@pytest.mark.parametrize(
    ("kind", "check", "words"),
    [
        (DeclaredNetwork, "network", "its needs() say that it reaches for a network"),
        (DeclaredWrites, "writes", "it writes below task.cache alone"),
    ],
)
def test_what_a_method_says_that_it_reaches_for_is_allowed(kind, check, words):
    (found,) = (c.result() for c in method_checks(kind) if c.name == check)
    assert found.status == "passed" and words in found.found


class KnownShapes(broken.OutOfRange):
    known_failures = {"shapes": "its scores are distances"}


class KnownNothing(broken.Sound):
    known_failures = {"shapes": "its scores are distances"}


class KnownCrash(broken.NoScoresOfOne):
    known_failures = {"shapes": "its scores are distances"}


def test_a_known_failure_is_shown_as_known_and_never_as_passed():
    (check,) = (c for c in method_checks(KnownShapes) if c.name == "shapes")
    result = check.result()
    assert result.status == "known"
    assert result.found.startswith("known: its scores are distances (now: anomaly scores of a video of 1 rows range")
    with pytest.raises(pytest.xfail.Exception, match="known: its scores are distances"):
        check()


def test_without_pytest_a_known_failure_is_skipped(monkeypatch):
    (check,) = (c for c in method_checks(KnownShapes) if c.name == "shapes")
    monkeypatch.delitem(sys.modules, "pytest")
    with pytest.raises(SkipTest, match="known: its scores are distances"):
        check()


@pytest.mark.parametrize(
    ("kind", "words"), [(KnownNothing, "it passes; remove it from known_failures"), (KnownCrash, "needs two rows")]
)
def test_a_known_failure_that_passes_or_crashes_is_a_failure(kind, words):
    (check,) = (c for c in method_checks(kind) if c.name == "shapes")
    with pytest.raises(AssertionError, match=words):
        check()


def test_a_plugin_that_leaves_the_process_fails_its_check_and_the_others_run():
    result = Check("shapes", "", lambda: sys.exit(3)).result()
    assert result.status == "FAILED" and "raised SystemExit: 3" in result.found


@pytest.mark.slow
def test_all_checks_at_once_list_every_failure(monkeypatch):
    for name in broken.SLOW:
        monkeypatch.delitem(METHOD_CHECKS, name)
    with pytest.raises(AssertionError) as caught, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        check_method("noisy", plugins=[BROKEN_METHODS])
    said = str(caught.value)
    assert said.splitlines()[0] == f"method 'noisy' fails 4 of {len(METHOD_CHECKS)} checks:"
    assert "\n  together: scored once more" in said and "\n  checkpoint: " in said
    assert "  lookahead: the method does not say that it is causal" in str(warned[0].message)
    with pytest.warns(NotCheckedWarning, match="gradients: the method is not trained"):
        check_method("random")


def test_names_nobody_registered_are_refused_before_anything_runs():
    with pytest.raises(UnknownNameError, match="did you mean 'anomalyclip'"):
        method_checks("anomalyclop")
    with pytest.raises(PluginError, match="no such file"):
        method_checks("mine", ["absent.py"])


def test_a_class_that_cannot_be_imported_is_no_failed_check(tmp_path):
    file = tmp_path / "nothing_there_plugin.py"
    file.write_text(
        "from vadbench import MethodSpec, hookimpl\n@hookimpl\ndef vadbench_methods():\n"
        "    return [MethodSpec('mine', 'x', 'nothing_there_plugin:Nothing')]\n"
    )
    with pytest.raises(PluginError, match="cannot be imported"):
        method_checks("mine", [file])[0].result()


def test_checks_read_well_as_tests():
    checks = method_checks("random")
    assert [str(c) for c in checks] == list(METHOD_CHECKS)
    assert all(len(c.about.split()) > 4 for c in checks)


def test_collecting_checks_imports_nothing_heavy():
    code = (
        "import sys\nfrom vadbench.testing import dataset_checks, method_checks\n"
        "method_checks('anomalyclip'), dataset_checks('synthetic')\n"
        "heavy = {'torch', 'mlflow', 'open_clip', 'numpy', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_every_check_is_a_function_with_a_docstring():
    for name, (module, _) in METHOD_CHECKS.items():
        assert importlib.util.find_spec(f"vadbench.testing.{module}")
        assert getattr(importlib.import_module(f"vadbench.testing.{module}"), name.replace("-", "_")).__doc__
