"""The panels of a run's page on the place of an anomaly and on false positives, in a real browser."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from report_pages import find, texts
from vadbench.metrics.blind import BLIND, blind_metrics
from vadbench.metrics.definitions import PLACE, MetricValue, definition
from vadbench.metrics.glossary import FALSE_POSITIVE_RATES
from vadbench.metrics.measurement import measure

RECALLS = [f"recall@{rate:.0%}FPR" for rate in FALSE_POSITIVE_RATES]


def frames_of(split):
    """Truth and score of every frame."""
    truth = np.concatenate([[any(a <= t < b for a, b in v.runs) for t in range(64)] for v in split.videos])
    return truth, np.concatenate([np.repeat(s.anomaly, split.stride) for s in split.scores])


def before(metrics):
    """The metrics of a run that was measured before those of place and of operating points were there."""
    return {k: v for k, v in metrics.items() if k in ("AUC", "AP", "AnoAUC", "mAUC", "mAP", "mAP@IoU", "FAR")}


@pytest.fixture
def values(make_split):
    """Metrics with figures that can be told apart."""
    place = {key: around(0.9 - 0.07 * i) for i, key in enumerate(PLACE)}
    recalls = {key: MetricValue(value=0.1 + 0.1 * i, low=0.05, high=0.6) for i, key in enumerate(RECALLS)}
    hourly = {
        key.replace("recall", "false-frames-per-hour"): MetricValue(value=1080 * i) for i, key in enumerate(RECALLS, 1)
    }
    alarms = {"FPR@95TPR": 0.3, "false-alarms-per-hour": 7.5, "distinct": 1234.0}
    alone = {key: MetricValue(value=value) for key, value in alarms.items()}
    return measure(make_split()) | place | recalls | hourly | alone


def around(value):
    return MetricValue(value=value, low=value - 0.05, high=value + 0.05)


def shapes(opened, selector, *names):
    """The data of shapes, one after the other, and where they lie from the left of the chart, from 0 to 1."""
    script = """
    return [...document.querySelectorAll(arguments[0])].map(e => {
      const own = e.getBoundingClientRect(), dot = e.querySelector("circle")?.getBoundingClientRect() ?? own;
      const all = e.closest("svg").getBoundingClientRect();
      return [...arguments[1].map(name => e.dataset[name]), ((dot.left + dot.right) / 2 - all.left) / all.width];
    });"""
    return opened.execute_script(script, selector, names)


def test_the_auc_and_its_parts_are_those_of_the_record(make_split, keep, page, browser, values):
    opened = browser(page(keep(make_split(), metrics=values)))
    assert texts(opened, "#place thead th") == ["score", *(definition(key).title for key in PLACE)]
    cells = texts(opened, "#place tbody tr:first-child td")
    figures = [[100 * part for part in (values[key].value, values[key].low, values[key].high)] for key in PLACE]
    assert cells == [f"{value:.1f}[{low:.1f}, {high:.1f}]" for value, low, high in figures]
    drawn = shapes(opened, "#place g[data-run]", "metric", "value")
    assert {key: float(value) for key, value, _ in drawn} == pytest.approx({key: values[key].value for key in PLACE})
    ticks = dict(zip((0, 25, 50, 75, 100), shapes(opened, "#place svg line.axis, #place svg line.guide"), strict=True))
    for key, _, x in drawn:
        along = (x - ticks[0][0]) / (ticks[100][0] - ticks[0][0])
        assert along == pytest.approx(values[key].value, abs=0.01), key
    said = find(opened, "#place svg[role=img]").get_attribute("aria-label")
    assert said.startswith("AUC and its parts; good: AUC 90.0 %, AUC within 83.0 %")


def test_blind_scores_are_marks_of_their_own(make_split, keep, page, browser, values):
    split = make_split()
    opened = browser(page(keep(split, metrics=values)))
    blind = blind_metrics(split, PLACE)
    assert texts(opened, "#place tbody tr.muted th") == [f" {name}" for name in BLIND]
    shown = [
        f"{100 * found[key].value:.1f}" if key in found and found[key].value is not None else "–"
        for found in blind.values()
        for key in PLACE
    ]
    assert texts(opened, "#place tbody tr.muted td") == shown
    drawn = opened.execute_script("""
        const marks = [...document.querySelectorAll("#place figure [data-blind]")];
        return marks.map(e => [e.dataset.blind, e.getAttribute("d") + e.className.baseVal]);""")
    assert {name for name, _ in drawn} == set(BLIND)
    assert len({tuple(mark) for mark in drawn}) == len(BLIND) == len({look for _, look in drawn})
    # However they are sorted, the runs come first.
    find(opened, "#place thead th:nth-child(2) button").click()
    assert texts(opened, "#place tbody th")[0].strip() == "good"


def test_marks_say_what_they_are_under_the_pointer(make_split, keep, page, browser, values):
    from selenium.webdriver import ActionChains

    opened = browser(page(keep(make_split(), metrics=values)))
    for selector, said in (
        ("#place g[data-metric='AUC/within'] circle", "good: AUC within 83.0 [78.0, 88.0] %"),
        (
            "#place figure [data-blind=blind-oracle-label]",
            "blind-oracle-label, 1 in abnormal videos, 0 in normal ones",
        ),
        (
            "#operating circle[data-rate='2']",
            "good: recall 20.0 [5.0, 60.0] % at 2 % false positives; 2,160 false frames",
        ),
    ):
        ActionChains(opened, duration=0).move_to_element(find(opened, selector)).perform()
        assert find(opened, "#tip").text.startswith(said)


def test_the_operating_curve_is_the_roc_curve_on_a_logarithmic_axis(make_split, keep, page, browser, values):
    split = make_split()
    opened = browser(page(keep(split, metrics=values)))
    fpr, tpr, _ = roc_curve(*frames_of(split), drop_intermediate=False)
    rates, recalls = opened.execute_script("return data.runs[0].operating.curve")
    assert (rates[0], rates[-1], recalls[-1]) == (0.001, 1, 1)
    assert recalls == pytest.approx([tpr[fpr <= rate + 1e-6].max() for rate in rates], abs=1e-4)
    labels = opened.execute_script("""
        const found = [...document.querySelectorAll("#operating svg text[text-anchor=middle]")];
        return found.map(e => [e.textContent, e.getAttribute("x")]);""")
    ticks = {float(text): float(x) for text, x in labels if text.replace(".", "").isdigit()}
    assert list(ticks) == [0.1, 1, 2, 3, 5, 10, 100]
    low, high = ticks[0.1], ticks[100]
    for value, x in ticks.items():
        assert (x - low) / (high - low) == pytest.approx(np.log10(value / 0.1) / 3)
    assert len(texts(opened, "#operating path.curve")) == 1
    assert texts(opened, "#operating svg g text") == ["10", "20", "30", "40"]


def test_operating_points_are_those_of_the_record(make_split, keep, page, browser, values):
    opened = browser(page(keep(make_split(), metrics=values)))
    cells = texts(opened, "#operating tbody td")
    hourly = ("1,080", "2,160", "3,240", "4,320")
    assert cells[:4] == [f"{10 * i}.0[5.0, 60.0]{alarms} /h" for i, alarms in enumerate(hourly, 1)]
    assert cells[4:] == ["30.0", "7.5", "1,234"]
    drawn = shapes(opened, "#operating circle", "rate", "value")
    assert [float(rate) for rate, *_ in drawn] == pytest.approx([100 * rate for rate in FALSE_POSITIVE_RATES])
    assert [float(value) for _, value, _ in drawn] == pytest.approx([values[key].value for key in RECALLS])


def test_a_recall_that_no_threshold_reaches_says_why(make_split, keep, page, browser, values):
    values |= {RECALLS[0]: MetricValue(value=0, reason="no threshold is that strict")}
    opened = browser(page(keep(make_split(), metrics=values)))
    shown = find(opened, "#operating tbody td span")
    assert shown.text == "0.0"
    opened.execute_script("arguments[0].focus()", shown)
    assert find(opened, "#tip").text == "no threshold is that strict"


def test_a_run_measured_before_is_drawn_from_its_scores_and_says_how_to_add_the_rest(
    make_split, keep, page, browser, values
):
    split = make_split()
    old = keep(split, "old", metrics=before(values))
    opened = browser(page(old))
    for panel in ("#place", "#operating"):
        said = find(opened, panel).text
        assert "This run was measured before these metrics were there. vadbench rescore adds them" in said
    truth, scores = frames_of(split)
    fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
    expected = [100 * tpr[fpr <= rate].max() for rate in FALSE_POSITIVE_RATES]
    assert [float(cell) for cell in texts(opened, "#operating tbody td")[:4]] == pytest.approx(expected, abs=0.051)
    assert texts(opened, "#place tbody tr:first-child td")[1:] == ["–"] * 4
    opened = browser(page(keep(make_split(1), metrics=values), old))
    assert "Measured before these metrics were there: old. vadbench rescore" in find(opened, "#place").text
    assert len(texts(opened, "#operating path.curve")) == 2
    assert not texts(opened, "#operating svg g text")


def test_what_speaks_against_a_run_is_said_in_words(make_split, keep, page, browser, values):
    split = make_split()
    blind = blind_metrics(split, PLACE)
    low = {
        "AUC": blind["blind-oracle-label"]["AUC"].value,
        "AUC/within": blind["blind-centre"]["AUC/within"].value - 0.01,
        "AUC/flattened": blind["blind-oracle-label"]["AUC"].value,
        "distinct": 7.0,
    }
    folder = keep(split, metrics=values | {key: MetricValue(value=value) for key, value in low.items()})
    opened = browser(page(folder))
    assert texts(opened, "#place .warning") == [
        "good: AUC within no better than blind-centre, which looks at no frame; AUC no better than blind-oracle-label, "
        "which knows the label of each video and nothing else; AUC flattened not below AUC: the curve within videos "
        "adds nothing."
    ]
    assert texts(opened, "#operating .warning") == ["good: only 7 distinct scores: operating points are coarse."]
    better = {key: MetricValue(value=value + 0.02) for key, value in low.items() if key != "distinct"}
    opened = browser(page(keep(split, "better", metrics=values | better | {"AUC/flattened": MetricValue(value=0.1)})))
    assert not texts(opened, ".warning")


def test_headline_figures_without_post_processing_stand_beside_those_with_it(make_split, keep, page, browser, values):
    values |= {"AUC/unprocessed": MetricValue(value=0.4321)}
    opened = browser(page(keep(make_split(), metrics=values)))
    assert texts(opened, "#figures .without") == ["43.21 without post-processing"]


def test_frames_of_one_kind_have_no_place_and_no_operating_points(make_split, keep, page, browser):
    split = make_split()
    opened = browser(page(keep(replace(split, given=split.given[::2], videos=split.videos[::2]))))
    assert "no place to find" in find(opened, "#place").text
    assert "nothing to find" in find(opened, "#operating").text
