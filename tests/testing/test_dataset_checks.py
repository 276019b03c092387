"""Every check fails a data set that breaks what it asks, and no other; the data sets that come with vadbench pass."""

import json
import warnings
from importlib import import_module
from unittest import SkipTest

import pytest

import broken_datasets as broken
from places import BROKEN_DATASETS, KINDS
from vadbench.base.errors import UnknownNameError
from vadbench.testing import NotCheckedWarning, check_dataset, dataset_checks
from vadbench.testing.catalogue import DATASET_CHECKS

LISTED = set(broken.LISTED)
NEED_FILES = LISTED | {"partitions", "truths"}


def make_root(name, folder, **changes):
    return import_module(f"roots.{name}").make_root(folder, **changes)


@pytest.fixture
def root(tmp_path):
    return broken.make_root(tmp_path / "root")


def outcomes(dataset, data_root=None, plugins=(BROKEN_DATASETS,), truth=""):
    return {c.name: c.result() for c in dataset_checks(dataset, plugins, data_root, truth=truth)}


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
        ("perhaps-by-class", "attributes", "by_class is None", "make it False if"),
        ("pair-for-reading", "attributes", "share_reading is (0, 1)", "IntervalReading"),
        ("letters-for-remarks", "attributes", "remarks is 'results on it are old'", "a sequence of texts"),
        ("odd-partition-name", "attributes", "partitions has 'swapped over'", "to a Partition"),
        ("untested-partition", "attributes", "expected of partition swapped is {'train': 4}", "'test': M"),
        ("unexplained-truth", "attributes", "truths has 'later': TruthVariant(about=''", "to a TruthVariant"),
        (
            "odd-tail",
            "attributes",
            "tail of the ground truth later is 'cut'",
            "'hold', 'zero', 'rows' or 'rows-prolonged'",
        ),
        ("eager", "constructor", "raises: no videos", "look at files in prepare()"),
        ("slow", "constructor", "making it takes 0.", "just to be listed"),
        ("content-with-nothing", "missing-root", "accepts a root that does not exist", "super().prepare"),
        ("other-error", "missing-root", "prepare() raises FileNotFoundError", "raise a DataError"),
        ("unnamed-root", "missing-root", "does not name the root: the root is missing", "super().prepare"),
        ("same-name-twice", "names", "1 names appear more than once among the train videos: train-0", "by name"),
        ("numbered", "names", "4 names of test videos are no text: 0, 1, 2", "by a text"),
        ("numbered-scenes", "labels", "4 videos have a scenario that is no text: test-0", "leave it empty"),
        ("double-own-table", "labels", "names of several classes are 'Fire'", "its own"),
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
        ("leaky-partition", "partitions", "partition swapped: 3 videos are in two splits: train-1", "may share"),
        ("crowded-partition", "partitions", "swapped has 4 test videos, expected names 3", "self.partition"),
        ("empty-partition", "partitions", "swapped has 0 train videos, expected names 4", "correct its expected"),
        ("double-in-partition", "partitions", "a train video has no name or one of another", "once"),
        ("crashing-partition", "partitions", "raised KeyError: 'train' (broken_datasets.py", "fix it"),
        ("chatty-partition", "partitions", "has several lines: the list is missing", "in one line which file"),
        ("misnamed-truth", "truths", "truth('later') is called 'other'", "the name that truths has"),
        ("short-truth", "truths", "does not lie on the test videos: the ground truth later lacks 1 of 4", "every test"),
        ("truth-past-the-end", "truths", "line 2: a segment of 'test-1' ends at frame 80", "within its frames"),
        ("truth-of-nothing", "truths", "by later no test video has an anomalous frame", "read the annotation"),
        ("unread-truth", "truths", "unknown ground truth of unread-truth 'later'", "later"),
        ("crashing-truth", "truths", "raised KeyError: 'later' (broken_datasets.py", "fix it"),
        ("chatty-truth", "truths", "has several lines: the file is missing", "in one line which file"),
        ("other-videos-under-truth", "truths", "under the ground truth later other test videos", "the same videos"),
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
    results = outcomes(name, made, ())
    # Files of other divisions and ground truths need not be there.
    skipped = status(results, "skipped")
    assert skipped <= {"partitions", "truths"} and all(" not here, " in results[n].found for n in skipped)
    assert status(results, "passed") == DATASET_CHECKS.keys() - skipped


@pytest.mark.parametrize("name", ["ucfcrime", "xdviolence", "shanghaitech", "ucsdped2", "ubnormal"])
def test_without_data_what_needs_files_is_skipped_and_says_so(name, tmp_path):
    for results in (outcomes(name, tmp_path / "absent", ()), outcomes(name, None, ())):
        assert status(results, "passed") == DATASET_CHECKS.keys() - NEED_FILES
        assert all(results[n].status == "skipped" and "no data" in results[n].found for n in NEED_FILES)
    assert str(tmp_path / "absent") in outcomes(name, tmp_path / "absent", ())["names"].found


def test_what_is_found_of_other_divisions_and_ground_truths_is_said(root):
    results = outcomes("many-sided", root)
    assert results["partitions"].found == "swapped: 4 of 4 train, 3 of 3 test"
    assert results["truths"].found == "later: 2 of 4 test videos have segments"
    assert "1 other division, 1 other ground truth" in results["attributes"].found
    plain = outcomes("sound-set", root)
    assert (plain["partitions"].found, plain["truths"].found) == ("no other division", "no other ground truth")


@pytest.mark.parametrize(("name", "check"), broken.ABSENT.items())
def test_a_division_or_ground_truth_whose_files_are_absent_is_skipped_with_what_is_missing(name, check, root):
    results = outcomes(name, root)
    assert status(results, "skipped") == {check} and not status(results, "FAILED")
    missing = {"partitions": "swapped: not here", "truths": "later: not here"}[check]
    assert results[check].found.startswith(missing) and f"{root}: no " in results[check].found


def test_the_data_set_that_the_documentation_shows_passes(tmp_path):
    root, plugin = tmp_path / "root", KINDS / "two_truths.py"
    root.mkdir()
    for name, start in (("annotation", 2), ("revised", 4)):
        spans = {f"video-{i}": {"frames": 9, "segments": [[None, start, 8]] if i % 2 else []} for i in range(14)}
        (root / f"{name}.json").write_text(json.dumps({"videos": spans}))
    (root / "one_class.txt").write_text("".join(f"video-{i}\n" for i in (0, 2, 4, 6)))
    results = outcomes("two-truths", root, [plugin])
    assert status(results, "passed") == DATASET_CHECKS.keys()
    assert results["partitions"].found == "one-class: 4 of 4 train, 10 of 10 test"
    (root / "revised.json").unlink()
    (root / "one_class.txt").unlink()
    results = outcomes("two-truths", root, [plugin])
    assert status(results, "passed") == DATASET_CHECKS.keys() - {"partitions", "truths"}
    assert "no revised.json; fetch it" in results["truths"].found and results["truths"].status == "skipped"
    assert "one_class.txt" in results["partitions"].found and results["partitions"].status == "skipped"


@pytest.mark.parametrize("of", ["name", "file"])
def test_under_another_ground_truth_no_annotation_is_demanded(of, root, tmp_path):
    (root / broken.ANNOTATION).unlink()
    assert status(outcomes("many-sided", root), "FAILED") >= LISTED
    path = tmp_path / "truth.json"
    videos = {f"test-{i}": {"frames": 10, "segments": [["Fight", 0, 1]] if i == 3 else []} for i in range(4)}
    path.write_text(json.dumps({"videos": videos}))
    truth = "later" if of == "name" else str(path)
    results = outcomes("many-sided", root, truth=truth)
    assert status(results, "passed") == DATASET_CHECKS.keys()
    assert f"{2 if of == 'name' else 1} of 4 test videos have segments" in results["segments"].found
    assert status(outcomes(broken.NEEDY, root, truth=truth), "FAILED") >= LISTED


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
    with pytest.raises(AssertionError, match=r"data set 'strong' fails 1 of 16 checks:\n  segments: 1 training videos"):
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
    assert LISTED <= status(results, "FAILED") <= NEED_FILES
    assert "no train list" in results["names"].found


def test_a_name_nobody_registered_is_refused_before_anything_runs():
    with pytest.raises(UnknownNameError, match="did you mean 'synthetic'"):
        dataset_checks("syntetic")
