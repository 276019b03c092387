"""mAP@IoU against VadCLIP's own evaluation of recorded scores on the published segment lists.

Every folder with a ``det_*.npz`` below ``<golden>/vadclip`` is a set; ``VADBENCH_GOLDEN`` names another place. The
segment lists are data that the project does not hold: without them in ``<golden>/vadclip/data`` the cases are skipped.
"""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from vadbench.metrics.glossary import IOU_THRESHOLDS
from vadbench.metrics.localization import KEYS, LocalisedVideo, localise

ROOT = Path(os.environ.get("VADBENCH_GOLDEN", Path(__file__).parents[1] / "golden")) / "vadclip"
CASES = sorted((p.parent.name, p.stem.removeprefix("det_")) for p in ROOT.glob("*/det_*.npz"))
NORMAL_LABEL = "A"
ABNORMAL_VIDEOS = {"ucf": 140, "xd": 500}
"""They come first in the published lists."""


def test_there_is_a_recorded_set():
    assert CASES, f"no folder with a det_*.npz in {ROOT}"


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def case(request):
    """Videos made from the recipe, the arguments of the reference's reading, and what the reference computed."""
    name, dataset = request.param
    if not (ROOT / "data" / f"gt_{dataset}.json").is_file():
        pytest.skip(f"no segment list gt_{dataset}.json in {ROOT / 'data'}")
    spec = importlib.util.spec_from_file_location("vadclip_golden", ROOT / "load.py")
    load = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(load)
    classes = load.UCF_CLASSES if dataset == "ucf" else load.XD_CLASSES
    probabilities, _ = load.det_scores(load.recipe(name)["seed"], dataset)
    videos = []
    for i, (rows, segments, labels) in enumerate(zip(probabilities, *load.det_ground_truth(dataset)[:2], strict=True)):
        if NORMAL_LABEL in labels:
            assert [[int(t) for t in s] for s in segments] == [[0, 16 * len(rows)]]
            truth = []
        else:
            truth = [(classes.index(label), int(s), int(e)) for (s, e), label in zip(segments, labels, strict=True)]
        videos.append(LocalisedVideo(str(i), rows, 16 * len(rows), truth))
    with np.load(ROOT / name / f"det_{dataset}.npz", allow_pickle=False) as file:
        expected = {key: file[key] for key in file.files}
    return videos, (16, classes, 0, "vadclip", NORMAL_LABEL in classes), expected, ABNORMAL_VIDEOS[dataset]


def test_average_precision_per_class_and_threshold(case):
    videos, reading, expected, _ = case
    assert tuple(expected["iou"]) == IOU_THRESHOLDS
    np.testing.assert_allclose(localise(videos, *reading).ap, expected["per_class_ap"], atol=1e-4, rtol=0)


def test_means(case):
    """The tolerance is for proposals of equal score, which the reference ranks in no certain order."""
    videos, reading, expected, _ = case
    percent = np.array([100 * value.value for value in localise(videos, *reading).metrics().values()])
    np.testing.assert_allclose(percent, [*expected["dmap"], expected["dmap"].mean()], atol=1e-3, rtol=0)


def test_only_abnormal_videos_predicted(case):
    """The reference can leave out what is predicted in normal videos; a class that never moves predicts nothing."""
    videos, reading, expected, abnormal = case
    still = [LocalisedVideo(v.name, np.zeros_like(v.probabilities), v.frames, v.segments) for v in videos[abnormal:]]
    found = localise([*videos[:abnormal], *still], *reading)
    percent = 100 * found.metrics()["mAP@0.5"].value
    assert percent == pytest.approx(float(expected["dmap_excludeNormal_iou0.5"]), abs=1e-3)
    ap = found.ap[KEYS.index("mAP@0.5")]
    np.testing.assert_allclose(ap, expected["per_class_ap_excludeNormal_iou0.5"], atol=1e-4, rtol=0)
