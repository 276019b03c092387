"""Data sets whose own annotation of test videos is not there, since another ground truth takes its place."""

import json

import pytest
from vadbench_shanghaitech.dataset import ShanghaiTech
from vadbench_ucfcrime.dataset import UcfCrime
from vadbench_xdviolence.dataset import XdViolence

from roots import shanghaitech, ucfcrime, xdviolence
from vadbench.harness.rules import open_dataset


@pytest.mark.parametrize("boundaries", ["native", "anomalyclip", "vadclip"])
@pytest.mark.parametrize(
    ("kind", "module", "annotation", "video"),
    [
        (UcfCrime, ucfcrime, [ucfcrime.TEMPORAL_FILE], "Shooting015_x264"),
        (XdViolence, xdviolence, ["annotations.txt", "annotations_multiclasses.txt"], xdviolence.TEST[0]),
        (ShanghaiTech, shanghaitech, ["testing/test_frame_mask/01_0015.npy"], "01_0015"),
    ],
)
def test_the_annotation_of_test_videos_need_not_be_there(tmp_path, kind, module, annotation, video, boundaries):
    root = module.make_root(tmp_path / "root")
    names = [v.name for v in kind(root).videos("test")]
    truth = tmp_path / "truth.json"
    entries = {n: {"frames": None, "segments": [[None, 3, 7]] if n == video else []} for n in names}
    truth.write_text(json.dumps({"videos": entries}))
    with_annotation = open_dataset(kind, root, truth=str(truth)).read(boundaries)
    for file in annotation:
        (root / file).unlink()
    without = open_dataset(kind, root, truth=str(truth)).read(boundaries)
    for listing in (with_annotation, without):
        found = {v.name: v for v in listing.videos["test"]}
        assert list(found) == names
        assert {n: v.runs for n, v in found.items() if v.runs} == {video: ((3, 7),)}
    assert [v.labels for v in without.videos["train"]] == [v.labels for v in kind(root).videos("train")]
