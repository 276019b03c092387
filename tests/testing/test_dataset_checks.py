"""Every check fails a data set that breaks what it asks, and no other; the data sets that come with vadbench pass."""

import warnings
from importlib import import_module
from unittest import SkipTest

import pytest

import broken_datasets as broken
from places import BROKEN_DATASETS
from vadbench.base.errors import UnknownNameError
from vadbench.testing import NotCheckedWarning, check_dataset, dataset_checks
from vadbench.testing.catalogue import DATASET_CHECKS

NEED_FILES = set(broken.LISTED)


def make_root(name, folder, **changes):
    return import_module(f"roots.{name}").make_root(folder, **changes)


@pytest.fixture
def root(tmp_path):
    return broken.make_root(tmp_path / "root")


def outcomes(dataset, data_root=None, plugins=(BROKEN_DATASETS,)):
    return {c.name: c.result() for c in dataset_checks(dataset, plugins, data_root)}


def status(results, wanted):
    return {name for name, r in results.items() if r.status == wanted}


def test_every_check_has_a_data_set_that_breaks_it():
    assert {own for own, *_ in broken.FAILS.values()} == DATASET_CHECKS.keys()


@pytest.mark.parametrize("name", broken.SOUND)
def test_a_sound_data_set_passes(name, root):
    assert status(outcomes(name, root), "passed") == DATASET_CHECKS.keys()


def test_what_is_found_is_counted_by_split(root):
    results = outcomes("three-parts", root)
    assert results["expected"].found == "4 train videos, 4 validation videos, 4 test videos"
    assert results["splits"].found == "4 train, 4 validation, 4 test videos, none in two splits"
    assert results["segments"].found == (
        "2 of 4 validation videos have segments, 4 a stated frame count;"
        " 2 of 4 test videos have segments, 4 a stated frame count"
    )
    assert outcomes("for-testing", root)["counts"].found == "4 of 4 test videos"


@pytest.mark.parametrize("name", broken.FAILS)
def test_a_broken_data_set_fails_its_check_and_no_other(name, root):
    assert status(outcomes(name, root), "FAILED") == set(broken.FAILS[name])


@pytest.mark.parametrize(
    ("name", "check", "found", "mend"),
    [
        ("double-words", "classes", "words of several classes are 'a fire'", "its own"),
        ("no-normal", "classes", "the normal class is number 3 of 3", "from 0"),
        ("half-expected", "expected", "expected is {'train': 4}", "'test': M"),
        ("odd-split", "expected", "'val': 4", "'validation': K"),
        ("odd-split", "names", "and names train, val, test", "correct it in OddSplit"),
        ("no-files-text", "files", "files is ''", "which files are expected where"),
        ("odd-headline", "attributes", "headline is 'mAP'", "'AUC' or 'AP'"),
        ("no-stride", "attributes", "extraction_stride is 0", "from 1"),
        ("no-rate", "attributes", "frame_rate is 0", "leave it out"),
        ("letters-for-folders", "attributes", "truth_folders is 'masks'", "frozenset({'masks'})"),
        ("eager", "constructor", "raises: no videos", "look at files in prepare()"),
        ("slow", "constructor", "making it takes 0.", "just to be listed"),
        ("content-with-nothing", "missing-root", "accepts a root that does not exist", "super().prepare"),
        ("other-error", "missing-root", "prepare() raises FileNotFoundError", "raise a DataError"),
        ("unnamed-root", "missing-root", "does not name the root: the root is missing", "super().prepare"),
        ("same-name-twice", "names", "1 names appear more than once among the train videos: train-0", "by name"),
        ("overlap", "splits", "1 videos are in two splits: train-0", "may share"),
        ("selects-on-test", "splits", "1 videos are in two splits: test-0", "selected on"),
        ("half-annotated", "segments", "1 abnormal validation videos have no segment, others have", "or none"),
        ("normal-validation-segment", "segments", "1 validation videos are normal and have", "label the video"),
        ("by-alias", "labels", "2 videos carry labels that are not names of classes: train-1", "official names"),
        ("strong", "segments", "1 training videos carry segments: train-1", "validation split only"),
        ("past-the-end", "segments", "1 test videos have frames and a segment outside them: test-1", "half-open"),
        ("unmerged", "segments", "1 test videos have binary runs that overlap", "vadbench.dataset.merged"),
        ("reverses", "order", "the train videos asked twice are not the same", "sort"),
        ("elsewhere", "paths", "2 videos are outside the root", "refuse absolute paths and '..'"),
        ("not-there", "paths", "2 videos have a path and no file", "path=None"),
        ("native-only", "boundaries", "videos('train', 'anomalyclip') raises ValueError", "ignore it"),
        ("counts-wrong", "counts", "4 of 3 train videos", "complete copy"),
    ],
)
def test_a_failure_says_what_was_found_and_how_to_mend_it(name, check, found, mend, root):
    (chosen,) = (c for c in dataset_checks(name, (BROKEN_DATASETS,), root) if c.name == check)
    said = chosen.result().found
    assert found in said and mend in said
    assert "\n" not in said


@pytest.mark.parametrize("name", ["ucfcrime", "xdviolence", "shanghaitech", "ucsdped2", "ubnormal"])
def test_the_data_sets_of_the_papers_pass_on_generated_roots(name, tmp_path):
    made = make_root(name, tmp_path)
    assert status(outcomes(name, made, ()), "passed") == DATASET_CHECKS.keys()


@pytest.mark.parametrize("name", ["ucfcrime", "xdviolence", "shanghaitech", "ucsdped2", "ubnormal"])
def test_without_data_what_needs_files_is_skipped_and_says_so(name, tmp_path):
    for results in (outcomes(name, tmp_path / "absent", ()), outcomes(name, None, ())):
        assert status(results, "passed") == DATASET_CHECKS.keys() - NEED_FILES
        assert all(results[n].status == "skipped" and "no data" in results[n].found for n in NEED_FILES)
    assert str(tmp_path / "absent") in outcomes(name, tmp_path / "absent", ())["names"].found


@pytest.mark.slow
@pytest.mark.usefixtures("synthetic")
def test_synthetic_passes_and_makes_its_own_files():
    results = outcomes("synthetic", None, ())
    assert status(results, "skipped") == {"missing-root"}
    assert not status(results, "FAILED")
    assert results["counts"].found == "120 of 120 train videos, 40 of 40 test videos"


def test_all_checks_at_once(root, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_dataset("sound-set", plugins=[BROKEN_DATASETS], data_root=root)
        check_dataset(broken.SoundSet, data_root=root)
    with pytest.raises(AssertionError, match=r"data set 'strong' fails 1 of 14 checks:\n  segments: 1 training videos"):
        check_dataset("strong", plugins=[BROKEN_DATASETS], data_root=root)
    with pytest.warns(NotCheckedWarning, match=r"data set 'sound-set' was not checked in full:\n  names: no data at"):
        check_dataset("sound-set", plugins=[BROKEN_DATASETS], data_root=tmp_path / "absent")


def test_each_check_is_a_test(root, tmp_path):
    checks = {str(c): c for c in dataset_checks("strong", [BROKEN_DATASETS], root)}
    checks["names"]()
    with pytest.raises(AssertionError, match="training videos carry segments"):
        checks["segments"]()
    with pytest.raises(SkipTest, match="no data at"):
        dataset_checks("strong", [BROKEN_DATASETS], tmp_path / "absent")[-1]()


def test_an_incomplete_root_is_a_failure_that_names_what_is_missing(tmp_path):
    made = make_root("ucfcrime", tmp_path, **{"Anomaly_Train.txt": None})
    results = outcomes("ucfcrime", made, ())
    assert status(results, "FAILED") == NEED_FILES
    assert "no train list" in results["names"].found


def test_a_name_nobody_registered_is_refused_before_anything_runs():
    with pytest.raises(UnknownNameError, match="did you mean 'synthetic'"):
        dataset_checks("syntetic")
