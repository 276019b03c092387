"""``prompt-contrast``: its equations against loops, its switches, its remarks, and videos of any length in blocks."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from vadbench_descriptions import contrast
from vadbench_descriptions.bank import find_bank
from vadbench_descriptions.contrast import PromptContrast
from vadbench_descriptions.contrast_config import PromptContrastConfig
from vadbench_descriptions.wording import token_counts

from method_inputs import as_videos
from vadbench.base.config import resolve
from vadbench.base.errors import ConfigError, FeatureError
from vadbench.base.needs import Facts
from vadbench.dataset import ClassTable, VideoClass
from vadbench.inputs import VideoInput
from vadbench.method import Scores, Task
from vadbench.scoring.windows import windows
from vadbench.training.loop import autocast

DIM = 16
CPU = torch.device("cpu")
CLASSES = ClassTable(
    (VideoClass("Arson", words="arson attack"), VideoClass("Fighting", aliases=("fight",)), VideoClass("Normal")), 2
)
BANK: dict[str, Any] = {
    "normal": ["people walking", "a quiet street", "a parked car"],
    "abnormal": ["something strange", "an odd thing"],
    "classes": {"Arson": [f"arson {i}" for i in range(5)], "fight": [f"fight {i}" for i in range(3)]},
    "normals": {"Arson": [f"a chimney {i}" for i in range(4)]},
}
FULL_RATE = {"rows": {"stride": 1}, "sample": 4, "tau": 0.5}


class Words:
    """A text tower: a direction of its own for every text, and what it was asked for."""

    dim, context_length = DIM, 77

    def __init__(self) -> None:
        self.asked: list[str] = []

    def to(self, device: torch.device) -> Words:
        return self

    def __call__(self, texts: list[str]) -> torch.Tensor:
        self.asked += texts
        return torch.from_numpy(np.stack([feature(text) for text in texts])).float()


def feature(text: str) -> np.ndarray:
    return 3 * np.random.default_rng(list(text.encode())).standard_normal(DIM)


def built(classes: ClassTable = CLASSES, known: Any = None, words: Words | None = None, **settings: Any) -> Any:
    config = PromptContrastConfig.model_validate({"descriptions": BANK, "tau": 0.5} | settings)
    return PromptContrast(config, Task(classes, DIM, CPU, lambda: words or Words(), known=known)).eval()


def rows(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.standard_normal((count, DIM)), axis=0) / 3
    return (1 + walk + 0.3 * rng.standard_normal((count, DIM))).astype(np.float32)


def scored(method: PromptContrast, *videos: np.ndarray) -> list[Scores]:
    with torch.inference_mode():
        return method.score(as_videos([torch.from_numpy(v) for v in videos]))


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def top(values: list[float]) -> float:
    count = max(1, int(0.5 * len(values)))
    return sum(sorted(values)[-count:]) / count


def of_row(x: np.ndarray, anchor: np.ndarray | None) -> tuple[list[float], str]:
    """The scores of Arson, Fighting and the anomalies of no class, and the sentence that won."""
    sides = [
        (BANK["classes"]["Arson"], BANK["normals"]["Arson"]),
        (BANK["classes"]["fight"], BANK["normal"]),
        (BANK["abnormal"], BANK["normal"]),
    ]
    found, best = [], []
    for anomalous, normal in sides:
        high = {s: float(x @ unit(feature("Anomalous scene: " + s))) for s in anomalous}
        low = [float(x @ unit(feature("Normal scene: " + s))) for s in normal]
        low += [] if anchor is None else [float(x @ anchor)]
        found.append(float(sigmoid((0.9 * top(list(high.values())) - top(low)) / 0.5)))
        best.append(max(high, key=high.get))
    return found, best[int(np.argmax(found))]


def literal(x: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Scores, class probabilities and sentences by loops: rows as they are, or a row a frame with motion."""
    z = unit(x.astype(np.float64))
    count, step = len(z), 4 if stride == 1 else 1
    if stride == 1:
        motion = [1 - z[max(t - 1, 0)] @ z[min(t + 1, count - 1)] for t in range(count)]
        means = unit(np.stack([np.mean(z[max(t - 2, 0) : t + 3], axis=0) for t in range(count)]))
    else:
        motion, means = [np.inf] * count, z
    samples = means[::step]
    first = samples[:32]
    weights = np.exp([-max(of_row(x, None)[0]) / 0.3 for x in first])
    anchor = unit(weights @ first)
    by_sample = [of_row(x, anchor) for x in samples]
    anomaly, classes = np.zeros(count), np.zeros((count, 3))
    for t in range(count):
        low, share = t // step, t % step / step
        high = min(low + 1, len(samples) - 1)
        mix = [(1 - share) * a + share * b for a, b in zip(by_sample[low][0], by_sample[high][0], strict=True)]
        score = (1 - share) * max(by_sample[low][0]) + share * max(by_sample[high][0])
        anomaly[t] = score * sigmoid(20 * (motion[t] - 0.02))
        classes[t] = [*(anomaly[t] * np.array(mix[:2]) / sum(mix[:2])), 1 - anomaly[t]]
    return anomaly, classes, [by_sample[t // step][1] for t in range(count)]


@pytest.mark.parametrize("stride", [16, 1])
@pytest.mark.parametrize("count", [1, 2, 5, 31, 90, 150])
def test_scores_classes_and_remarks_against_loops(stride, count):
    method = built(rows={"stride": stride}, sample=4)
    x = rows(count, seed=count)
    (found,) = scored(method, x)
    anomaly, classes, sentences = literal(x, stride)
    np.testing.assert_allclose(found.anomaly, anomaly, atol=2e-6)
    np.testing.assert_allclose(found.classes, classes, atol=2e-6)
    assert found.remarks.on_each(count) == [[text] for text in sentences]
    if count > 100:
        assert 1 < len(found.remarks) < count, "neighbours with one sentence share a remark"


@pytest.mark.parametrize("settings", [{}, FULL_RATE, {**FULL_RATE, "scoring": "retrieval"}], ids=str)
def test_rows_in_blocks_have_the_scores_of_all_at_once(settings, monkeypatch):
    (whole,) = scored(built(**settings), rows(133))
    monkeypatch.setattr(contrast, "_ROWS_AT_ONCE", 5)
    (parts,) = scored(built(**settings), rows(133))
    torch.testing.assert_close(parts.anomaly, whole.anomaly, rtol=0, atol=1e-6)
    torch.testing.assert_close(parts.classes, whole.classes, rtol=0, atol=1e-6)
    assert parts.remarks.on_each(133) == whole.remarks.on_each(133)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"motion": {"enabled": True}},
        FULL_RATE,
        {**FULL_RATE, "sample": 1},
        {**FULL_RATE, "motion": {"enabled": False}},
        {**FULL_RATE, "motion": {"window": 1}},
        {**FULL_RATE, "motion": {"window": 9}},
        {**FULL_RATE, "scoring": "retrieval"},
    ],
    ids=str,
)
def test_without_an_anchor_a_window_of_its_reach_has_the_scores_of_the_whole(settings):
    method = built(**settings, anchor={"enabled": False})
    assert not method.reach.whole
    count, size = 83, 5 * method.reach.chunk
    x = torch.from_numpy(rows(count))
    (whole,) = scored(method, x.numpy())
    found = []
    for w in windows(method.reach, size, count):
        (part,) = scored(method, x[w.start : w.stop].numpy())
        found.append(part.anomaly[w.scored])
    assert len(found) > 1
    torch.testing.assert_close(torch.cat(found), whole.anomaly, rtol=0, atol=1e-6)


def test_with_an_anchor_the_whole_video_counts():
    method = built()
    assert method.reach.whole
    x = rows(60)
    moved = x.copy()
    moved[:32] = rows(32, seed=9)
    (a,), (b,) = scored(method, x), scored(method, moved)
    assert not torch.allclose(a.anomaly[32:], b.anomaly[32:])
    (a,), (b,) = (scored(built(anchor={"enabled": False}), v) for v in (x, moved))
    assert torch.equal(a.anomaly[32:], b.anomaly[32:])


def test_a_video_with_fewer_rows_than_the_minimum_has_no_anchor():
    with_one, without = built(anchor={"minimum": 9}), built(anchor={"enabled": False})
    for count, same in ((8, True), (9, False)):
        (a,), (b,) = scored(with_one, rows(count)), scored(without, rows(count))
        assert torch.equal(a.anomaly, b.anomaly) == same


def test_what_is_there_from_the_start_is_taken_as_normal():
    """Rows like a fight from the first to the last score lower than the same rows after another beginning."""
    fight = np.repeat(unit(feature("Anomalous scene: fight 0"))[None].astype(np.float32), 40, axis=0)
    later = np.concatenate([rows(32), fight])
    (always,), (after,) = scored(built(), fight), scored(built(), later)
    assert always.anomaly[-1] < after.anomaly[-1] - 0.1


def test_the_anomalous_side_alone_is_half_of_one_plus_the_mean_cosine():
    (found,) = scored(built(sides="anomalous"), rows(7))
    for x, score in zip(unit(rows(7).astype(np.float64)), found.anomaly, strict=True):
        sides = [*BANK["classes"].values(), BANK["abnormal"]]
        means = [top([float(x @ unit(feature("Anomalous scene: " + s))) for s in side]) for side in sides]
        assert float(score) == pytest.approx((1 + max(means)) / 2, abs=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 0.03])
def test_retrieval_against_loops(temperature):
    own = {"nearest": 6, "alpha": 0.8, "temperature": temperature}
    words = Words()
    (found,) = scored(built(scoring="retrieval", retrieval=own, words=words), rows(20))
    assert "Anomalous scene, arson attack: arson 0" in words.asked
    assert "Normal scene, Fighting: people walking" in words.asked
    groups = [
        ("arson attack", "Arson", BANK["normals"]["Arson"]),
        ("Fighting", "fight", BANK["normal"]),
        ("anomaly", None, BANK["normal"]),
    ]
    memory = []
    for number, (category, name, normal) in enumerate(groups):
        for s in BANK["abnormal"] if name is None else BANK["classes"][name]:
            memory.append((0.8 * unit(feature(f"Anomalous scene, {category}: {s}")), number, s))
        memory += [(unit(feature(f"Normal scene, {category}: {s}")), None, s) for s in normal]
    for i, x in enumerate(unit(rows(20).astype(np.float64))):
        near = sorted(memory, key=lambda entry: -float(x @ entry[0]))[:6]
        weights = np.exp([float(x @ e) / temperature for e, _, _ in near])
        weights /= weights.sum()
        by_group = [sum(w for w, (_, g, _) in zip(weights, near, strict=True) if g == n) for n in range(3)]
        assert float(found.anomaly[i]) == pytest.approx(sum(by_group), abs=1e-5)
        if sum(by_group[:2]) > 1e-6:
            shares = np.array(by_group[:2]) / sum(by_group[:2])
            np.testing.assert_allclose(found.classes[i, :2], sum(by_group) * shares, atol=1e-5)
        best = max((e for e in memory if e[1] is not None), key=lambda e: float(x @ e[0]))
        assert found.remarks.on_each(20)[i] == [best[2]]


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({}, {"Normal scene: a chimney 3", "Anomalous scene: arson 4", "Normal scene: a parked car"}),
        ({"sentences": 2}, {"Normal scene: a chimney 1", "Anomalous scene: arson 1", "Normal scene: a quiet street"}),
        ({"normals": "shared"}, {"Normal scene: a parked car", "Anomalous scene: arson 4"}),
        ({"prefixes": {"anomalous": "", "normal": ""}}, {"a chimney 3", "arson 4", "a parked car"}),
    ],
)
def test_which_sentences_are_read_and_how(settings, expected):
    words = Words()
    built(**settings, words=words)
    last = {"sentences": "arson 2", "normals": "chimney"}.get(next(iter(settings), ""), "never")
    assert expected <= set(words.asked) and not any(last in text for text in words.asked)
    assert len(words.asked) == len(set(words.asked)), "each is read once"


def test_shared_normals_are_those_of_every_class():
    shared = BANK | {"abnormal": [], "normals": {}}
    (a,) = scored(built(descriptions=BANK | {"abnormal": []}, normals="shared"), rows(9))
    (b,) = scored(built(descriptions=shared), rows(9))
    assert torch.equal(a.anomaly, b.anomaly)


def test_only_known_classes_are_read():
    words = Words()
    method = built(known=("Arson", "Normal"), words=words)
    assert any("arson" in text for text in words.asked) and not any("fight" in text for text in words.asked)
    (found,) = scored(method, rows(5))
    assert not found.classes[:, CLASSES.id("Fighting")].any()
    torch.testing.assert_close(found.classes.sum(1), torch.ones(5))
    whole = method.retarget(CLASSES)
    assert any("fight" in text for text in words.asked), "the sentences are handed over anew"
    assert torch.equal(scored(whole, rows(5))[0].anomaly, scored(built(), rows(5))[0].anomaly)
    with pytest.raises(ConfigError, match="has no sentence for any of the classes Normal"):
        built(known=("Normal",), descriptions=BANK | {"abnormal": []})
    lacking = ClassTable((VideoClass("Arson"), VideoClass("Normal")), 1)
    with pytest.raises(ConfigError, match="rename the class 'fight', which the data set lacks"):
        built(classes=lacking, known=("Arson",))


def test_classes_without_sentences_have_no_probability_and_a_bank_without_classes_gives_none():
    more = ClassTable((*CLASSES.classes, VideoClass("Riot")), 2)
    (found,) = scored(built(classes=more), rows(9))
    assert not found.classes[:, 3].any()
    torch.testing.assert_close(found.classes.sum(1), torch.ones(9))
    (found,) = scored(built(descriptions={"normal": ["a"], "abnormal": ["b", "c"]}), rows(9))
    assert found.classes is None and len(found.remarks)


def test_without_a_bank_it_says_how_to_name_one():
    config = resolve(PromptContrastConfig, {}, environment={})
    assert config.descriptions is None and config.named_classes() == []
    said = config.unfit(Facts("msad", CLASSES))
    assert "name one with --descriptions" in said and "general" in said
    assert not resolve(PromptContrastConfig, {}, environment={}, assignments=["descriptions=general"]).unfit(
        Facts("msad", CLASSES)
    )
    with pytest.raises(ConfigError, match="name one with --descriptions"):
        built(descriptions=None)


@pytest.mark.parametrize(
    "assignments, message",
    [
        (["motion.window=4"], "setting 'motion'.*window must be odd"),
        (["scoring=retrieval", "sides=anomalous"], "scoring=retrieval needs sides=both"),
        (["retrieval.template=sentence"], "template must contain {sentence}"),
        (["top_share=0"], "top_share"),
        (["tau=0"], "tau"),
        (["anchor.row=3"], "did you mean 'anchor.rows'"),
        (["descriptions=ucfcrime_contras"], "did you mean 'ucfcrime_contrast'"),
    ],
)
def test_settings_that_contradict_are_named(assignments, message):
    with pytest.raises(ConfigError, match=message):
        resolve(PromptContrastConfig, {}, environment={}, assignments=assignments)


def test_what_it_is_to_others():
    config = resolve(PromptContrastConfig, {}, environment={})
    needs = config.needs()
    assert needs.text and needs.supervision == "training-free" and needs.company == "none" and needs.unit_scores
    assert config.post() == "gaussian(50f)" and (config.rows.stride, config.rows.pooling) == (16, "first")
    assert not config.gated and resolve(PromptContrastConfig, {"rows": {"stride": 1}}, environment={}).gated
    record = json.loads(json.dumps(config.model_dump(mode="json")))
    assert PromptContrastConfig.model_validate(record) == config


def test_sentences_and_rows_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="81 tokens long, CLIP reads 77"):
        built(descriptions={"normal": ["a"], "abnormal": [" ".join(["walking"] * 74)]})
    assert token_counts(["Anomalous scene: "]) == [7]
    config = PromptContrastConfig.model_validate({"descriptions": BANK})
    with pytest.raises(FeatureError, match="features are 24 wide"):
        PromptContrast(config, Task(CLASSES, 24, CPU, Words))


def test_cosines_stay_in_full_precision_where_bf16_is_asked_for():
    (expected,) = scored(built(tau=0.03), rows(50))
    with autocast("bf16", CPU):
        (found,) = scored(built(tau=0.03), rows(50))
    assert torch.equal(found.anomaly, expected.anomaly)


def test_rows_are_read_at_their_length_and_of_nothing_but_themselves():
    method = built()
    x = rows(40)
    (a,), (b,) = scored(method, x), scored(method, 7 * x)
    torch.testing.assert_close(a.anomaly, b.anomaly, rtol=0, atol=1e-6)
    (zero,) = scored(method, np.zeros((3, DIM), np.float32))
    assert torch.isfinite(zero.anomaly).all() and torch.isfinite(zero.classes).all()
    with torch.inference_mode():
        (named,) = method.score([VideoInput.of_rows(torch.from_numpy(x), "Fighting_1", stride=16, seed=5)])
    assert torch.equal(named.anomaly, a.anomaly)


def test_the_contrast_banks_have_as_many_sentences_on_each_side_and_fit_any_clip():
    for name, count in (("ucfcrime", 13), ("xdviolence", 6), ("shanghaitech", 17)):
        bank = find_bank(f"{name}_contrast")
        assert len(bank.classes) == len(bank.normals) == len(bank.avoid) == count
        assert {len(p) for _, p in (*bank.classes, *bank.normals)} == {len(bank.normal)} == {20}
        texts = [*("Anomalous scene: " + p for p in bank.anomalies), *("Normal scene: " + p for p in bank.normalities)]
        assert max(token_counts(texts)) <= 21


PROGRAM = """
import json, sys
from pathlib import Path
import torch
from vadbench.inputs import VideoInput
from vadbench.method import Task
from vadbench.plugins.registry import Registry
from vadbench_descriptions.contrast import PromptContrast
from vadbench_descriptions.contrast_config import PromptContrastConfig

def peak():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024

class Drawn:  # a real text tower would take more memory than the scoring
    dim, context_length = 128, 77
    def to(self, device):
        return self
    def __call__(self, texts):
        return torch.randn(len(texts), self.dim, generator=torch.Generator().manual_seed(1))

settings = json.loads(sys.argv[1]) | {"descriptions": "ucfcrime_contrast"}
config = PromptContrastConfig.model_validate(settings)
task = Task(Registry().dataset("ucfcrime").classes, Drawn.dim, torch.device("cpu"), Drawn)
method = PromptContrast(config, task).eval()
peaks = []
for count in (19_440, 194_400):
    # Each row begins an element after the one before it: as many rows as wanted, in hardly any memory.
    line = torch.randn(count + Drawn.dim - 1, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        (found,) = method.score([VideoInput.of_rows(line.unfold(0, Drawn.dim, 1))])
    columns = (found.remarks.first, found.remarks.end, found.remarks.which)
    kept = found.anomaly.nbytes + found.classes.nbytes + sum(c.nbytes for c in columns)
    assert len(found.remarks) > count / 50
    peaks.append({"peak": peak(), "kept": kept / 2**20, "remarks": len(found.remarks)})
    del found
print(json.dumps(peaks))
"""


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {"rows": {"stride": 1}}], ids=str)
def test_ten_times_the_rows_take_no_more_memory_than_their_scores_and_remarks(settings):
    """2.4 hours of rows and 24, in a process of its own, as torch's memory is seen from outside alone."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(settings)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    short, long = json.loads(found.stdout.splitlines()[-1])
    print(short, long)
    # All cosines at once would be 385 MB.
    assert long["peak"] - short["peak"] - (long["kept"] - short["kept"]) < 20
