"""``vadbench check dataset --truth``: a data set whose own ground truth is not there."""

import json

import broken_datasets as broken
from places import BROKEN_DATASETS


def check(vadbench, root, *arguments, status=0):
    call = ("check", "dataset", "many-sided", "--plugin", BROKEN_DATASETS, "--data-root", root, "--json", *arguments)
    return {entry["check"]: entry for entry in json.loads(vadbench(*call, status=status).out)}


def test_a_ground_truth_that_is_named_takes_the_place_of_the_annotation(vadbench, tmp_path):
    root = broken.make_root(tmp_path / "root")
    (root / broken.ANNOTATION).unlink()
    without = check(vadbench, root, status=1)
    assert {name for name, e in without.items() if e["result"] == "FAILED"} >= set(broken.LISTED)
    assert f"no {broken.ANNOTATION}" in without["names"]["found"]
    path = tmp_path / "truth.json"
    videos = {f"test-{i}": {"frames": 10, "segments": [["Fight", 0, 1]] if i == 3 else []} for i in range(4)}
    path.write_text(json.dumps({"videos": videos}))
    for truth, annotated in (("later", 2), (path, 1)):
        results = check(vadbench, root, "--truth", truth)
        assert {e["result"] for e in results.values()} == {"passed"}
        assert f"{annotated} of 4 test videos have segments" in results["segments"]["found"]


def test_a_ground_truth_that_nobody_knows_fails_with_what_is_known(vadbench, tmp_path):
    results = check(vadbench, broken.make_root(tmp_path / "root"), "--truth", "latr", status=1)
    assert "did you mean 'later'" in results["names"]["found"]
