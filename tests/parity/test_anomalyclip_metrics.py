"""The metrics against AnomalyCLIP's own test-time output on recorded cases, in every folder of that form."""

import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest

from vadbench.metrics.evaluation import evaluate
from vadbench.metrics.ranking import average_precision, roc_auc
from vadbench.metrics.recognition import recognise
from vadbench.scoring.rows import ScoredRows

ROOT = Path(os.environ.get("VADBENCH_GOLDEN", Path(__file__).parents[1] / "golden")) / "anomalyclip"
SETS = sorted(p.parent.name for p in ROOT.glob("*/meta.json"))
NORMAL = 7
"""Id of the normal class in every recorded case whose own recipe states no other (the README beside ``load.py``)."""


def test_there_is_a_recorded_set():
    assert SETS, f"no folder with a meta.json in {ROOT}"


def load_recipe():
    spec = importlib.util.spec_from_file_location("anomalyclip_golden", ROOT / "load.py")
    load = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(load)
    return load


def recorded():
    """Every (set, tag) of every set."""
    return [(s, tag) for s in SETS for tag in json.loads((ROOT / s / "meta.json").read_text("utf-8"))["metrics"]]


@pytest.fixture(scope="module", params=recorded(), ids="-".join)
def case(request):
    """Rows of one frame each, made from the recipe, and what the reference computed from them."""
    name, tag = request.param
    golden = load_recipe().Golden(name, root=str(ROOT))
    expected = golden.expected(f"metrics_{tag}")
    classes = len(expected["mc_auroc"])
    recipe = {"num_classes": classes, "normal_id": int(expected.get("normal_id", NORMAL))} | golden.meta["metrics"][tag]
    inputs, normal = golden.metric_inputs(**recipe), recipe["normal_id"]
    scores, labels = inputs["scores"], inputs["labels"]
    similarity = np.exp(inputs["similarity"] - inputs["similarity"].max(1, keepdims=True))
    joint = similarity / similarity.sum(1, keepdims=True) * scores[:, None]
    one_hot = (labels[:, None] == np.arange(classes)).astype(int)
    rows = ScoredRows(
        video=np.zeros(len(scores), dtype=int),
        names=("all",),
        scores=scores,
        frames=np.ones(len(scores), dtype=int),
        positives=(labels != normal).astype(int),
        class_scores=np.insert(joint, normal, 1 - scores, axis=1),
        class_positives=one_hot,
        class_names=tuple(f"class {c}" for c in range(classes)),
        normal=normal,
    )
    return rows, expected


def test_split_metrics(case):
    rows, expected = case
    metrics = evaluate(rows, drop_zeros=True)
    keys = {"AUC": "auc_roc", "AP": "auc_pr", "mAUC": "mean_mc_auroc", "mAP": "mean_mc_aupr"}
    for ours, theirs in keys.items():
        assert metrics[ours].value == pytest.approx(float(expected[theirs]), abs=1e-6), ours


def test_per_class_metrics(case):
    """The reference writes 0 and NaN for a class without frames, where ours is undefined."""
    rows, expected = case
    metrics = evaluate(rows)
    for c in range(len(rows.class_names)):
        if c == rows.normal:
            columns = rows.class_scores[:, c], rows.class_positives[:, c], rows.positives
            auc, ap = roc_auc(*columns), average_precision(*columns)
        else:
            auc, ap = (metrics[f"{metric}[class {c}]"].value for metric in ("AUC", "AP"))
        assert (0.0 if auc is None else auc) == pytest.approx(float(expected["mc_auroc"][c]), abs=1e-6)
        assert (np.nan if ap is None else ap) == pytest.approx(float(expected["mc_aupr"][c]), abs=1e-6, nan_ok=True)


def test_recognition(case):
    rows, expected = case
    found = recognise(rows)
    assert found.threshold == expected["optimal_threshold"]
    np.testing.assert_array_equal(found.predictions, expected["y_pred"])
    np.testing.assert_allclose(found.top1, expected["top1_accuracy"], atol=1e-6)
    np.testing.assert_allclose(found.top5, expected["top5_accuracy"], atol=1e-6)
    np.testing.assert_allclose(found.confusion, expected["confusion"], atol=1e-6)
    np.testing.assert_allclose(found.f1, expected["f1"], atol=1e-6)
