"""Every metric that is stored has a written definition, and reading definitions stays cheap."""

import subprocess
import sys

import numpy as np
import pytest

from vadbench.base.errors import UnknownNameError
from vadbench.metrics.definitions import DEFINITIONS, definition
from vadbench.metrics.evaluation import evaluate
from vadbench.metrics.localization import KEYS
from vadbench.scoring.rows import ScoredRows


def test_all_keys_of_the_interface_are_defined_in_order():
    assert list(DEFINITIONS) == [
        *("AUC", "AUC/within", "AUC/cross", "AUC/video", "AUC/flattened", "pair-share"),
        *("AP", "AP/trapezoid", "prevalence", "AnoAUC", "mAUC", "mAP"),
        *("mAP@0.1", "mAP@0.2", "mAP@0.3", "mAP@0.4", "mAP@0.5", "mAP@IoU"),
        *("recall@1%FPR", "recall@2%FPR", "recall@3%FPR", "recall@5%FPR"),
        *(f"false-frames-per-hour@{rate}%FPR" for rate in (1, 2, 3, 5)),
        *("FPR@95TPR", "distinct"),
        *(f"event-{name}@{iou}" for iou in (0.1, 0.3, 0.5) for name in ("recall", "precision", "F1")),
        *("hit", "delay", "delay/seconds", "false-alarms-per-hour", "FAR"),
    ]


def test_what_evaluate_gives_is_defined_and_in_range():
    counts = np.array([[16, 0], [8, 8], [0, 16]])
    rows = ScoredRows(
        video=np.array([0, 1, 1]),
        names=("a", "b"),
        scores=np.array([0.6, 0.4, 0.7]),
        frames=np.full(3, 16),
        positives=counts[:, 1],
        class_scores=np.array([[0.4, 0.6], [0.6, 0.4], [0.3, 0.7]]),
        class_positives=counts,
        class_names=("Normal", "Road Accidents"),
        normal=0,
        hours=np.array([0.5, 1.0]),
    )
    metrics = evaluate(rows)
    assert "AUC[Road Accidents]" in metrics
    for key, value in metrics.items():
        meaning = definition(key)
        assert meaning.key == key
        assert meaning.low <= value.value <= meaning.high


def test_every_localisation_key_is_defined_and_told_from_the_frame_level_map():
    assert [definition(key).key for key in KEYS] == list(KEYS)
    assert "whereas mAP ranks frames" in definition("mAP@IoU").text
    assert "mAP@IoU" in definition("mAP").text


def test_two_metrics_never_share_a_definition():
    texts = [d.text for d in DEFINITIONS.values()]
    assert len(set(texts)) == len(texts)
    assert all(text.endswith(".") for text in texts)


def test_directions():
    directions = {key: d.better for key, d in DEFINITIONS.items() if d.better != "higher"}
    unranked = ("pair-share", "prevalence", "distinct", "delay", "delay/seconds", "false-alarms-per-hour", "FAR")
    frames = [f"false-frames-per-hour@{rate}%FPR" for rate in (1, 2, 3, 5)]
    assert directions == dict.fromkeys((*unranked, *frames)) | {"FPR@95TPR": "lower"}


@pytest.mark.parametrize(
    "key",
    ["mAP@", "AUC/", "AUC[]", "AUC()", "AUC/Abuse", "FAR/Abuse", "FAR[Abuse]", "mAP(align)", "AUC(a)[b]", "auc", ""],
)
def test_an_unknown_key_is_refused(key):
    with pytest.raises(UnknownNameError, match="unknown metric"):
        definition(key)


def test_reading_definitions_imports_no_numpy():
    code = "import sys, vadbench.metrics.definitions; print(sorted({'numpy', 'torch', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_computing_metrics_imports_neither_torch_nor_scikit_learn():
    code = (
        "import sys; from vadbench.metrics import bootstrap, localization, ranking, recognition;"
        "print(sorted({'torch', 'sklearn', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
