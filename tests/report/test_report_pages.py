"""The page of runs in a real browser: it shows what the run folders say, whatever names they bring."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from report_pages import HOSTILE, find, point, press, readout, texts
from vadbench.metrics.definitions import COMPARED, definition
from vadbench.metrics.measurement import measure


def test_the_figures_are_those_of_the_record(make_split, keep, page, browser):
    split = make_split()
    opened = browser(page(keep(split)))
    metrics = measure(split)
    heads = texts(opened, "#figures thead th")
    assert heads == ["run", *(definition(key).title for key in COMPARED)]
    cells = texts(opened, "#figures tbody td")
    shown = [float(cell.split("[")[0]) for cell in cells]
    assert shown == pytest.approx([100 * metrics[key].value for key in COMPARED], abs=0.005)
    assert f"[{100 * metrics['AUC'].low:.1f}, {100 * metrics['AUC'].high:.1f}]" in cells[0]
    rows = split.rows
    assert texts(opened, "#subtitle") == [
        f"12 test videos, 6 of them abnormal; 768 frames, {100 * rows.prevalence:.2f} % of them anomalous"
    ]
    assert texts(opened, "#classes tbody th") == ["Riot", "Fire"]
    assert len(texts(opened, "#ranking path.curve")) == 2
    assert texts(opened, "#confusion tbody th") == ["Normal", "Riot", "Fire"]


def test_how_a_run_was_made_is_said_in_words(make_split, keep, page):
    assert "stride 8, pooling middle, crops center, dtype float32" in page(keep(make_split())).read_text()


def test_an_undefined_figure_is_a_dash_with_its_reason(make_split, keep, page, browser):
    split = make_split()
    normal = replace(split, given=split.given[::2], videos=split.videos[::2])
    opened = browser(page(keep(normal)))
    auc = opened.find_elements("css selector", "#figures tbody td span")[0]
    assert auc.text == "–"
    opened.execute_script("arguments[0].focus()", auc)
    assert find(opened, "#tip").text == "the split has only normal frames"
    assert "nothing to rank" in find(opened, "#ranking").text


def test_headings_explain_themselves_to_pointer_and_keyboard(make_split, keep, page, browser):
    from selenium.webdriver import ActionChains

    opened = browser(page(keep(make_split())))
    tip = find(opened, "#tip")
    assert not tip.is_displayed()
    heads = opened.find_elements("css selector", "#figures thead button")
    ActionChains(opened, duration=0).move_to_element(heads[1]).perform()
    assert tip.text.startswith("Area under the ROC curve")
    opened.execute_script("arguments[0].focus()", heads[2])
    assert tip.text.startswith("The chance that a random anomalous frame")
    press(opened, "\ue00c")  # Escape
    assert not tip.is_displayed()


def test_sorting_sorts(make_split, keep, page, browser):
    splits = [make_split(seed) for seed in range(3)]
    opened = browser(page(*(keep(s, f"m{i}") for i, s in enumerate(splits))))
    column = opened.find_elements("css selector", "#figures thead th")[1]
    button = column.find_element("css selector", "button")
    aucs = {f"m{i}": measure(s)["AUC"].value for i, s in enumerate(splits)}
    button.click()
    assert column.get_attribute("aria-sort") == "descending"
    assert [t.strip() for t in texts(opened, "#figures tbody th")] == sorted(aucs, key=aucs.get, reverse=True)
    button.click()
    assert column.get_attribute("aria-sort") == "ascending"
    assert [t.strip() for t in texts(opened, "#figures tbody th")] == sorted(aucs, key=aucs.get)
    # By FAR no run is better: it sorts as any number does. Names sort by their letters.
    far = opened.find_elements("css selector", "#figures thead th")[-1]
    far.find_element("css selector", "button").click()
    assert far.get_attribute("aria-sort") == "descending" and column.get_attribute("aria-sort") is None


def test_videos_sort_by_their_own_auc_and_those_without_one_come_last(make_split, keep, page, browser):
    split = make_split()
    opened = browser(page(keep(split)))
    own = {}
    for scores, video in zip(split.scores, split.videos, strict=True):
        truth = np.zeros(64, bool)
        for start, end in video.runs:
            truth[start:end] = True
        if truth.any():
            own[video.name] = roc_auc_score(truth, np.repeat(scores.anomaly, 8))
    find(opened, "#videos thead th:nth-child(5) button").click()
    names = texts(opened, "#videos tbody th")
    shown = [float(v) for v in texts(opened, "#videos tbody td:nth-child(5)")[: len(own)]]
    assert set(names[len(own) :]) == {v.name for v in split.videos if not v.runs}
    assert shown == sorted(shown, reverse=True)
    assert shown == pytest.approx([100 * own[name] for name in names[: len(own)]], abs=0.051)
    best = texts(opened, "#extremes ol:first-of-type button")
    assert best[0] == names[0]


def test_videos_and_classes_may_be_called_like_what_a_script_knows(make_split, keep, page, browser):
    names = ["__proto__", "constructor", "normal", "classes", "toString", "length", "videos", "0", "1", "metrics"]
    split = make_split(names=names, classes=("Normal", "__proto__", "constructor"))
    opened = browser(page(keep(split)))
    assert texts(opened, "#videos tbody th") == names
    assert texts(opened, "#classes tbody th") == ["__proto__", "constructor"]
    shown = dict(zip(texts(opened, "#classes tbody th"), texts(opened, "#classes tbody td:nth-child(2)"), strict=True))
    for name, figures in shown.items():
        assert f"{100 * measure(split)[f'AUC[{name}]'].value:.1f}" in figures


def test_hostile_names_are_text(make_split, keep, page, browser):
    names = [f"{name}{i}" for i, name in enumerate(HOSTILE)]
    split = make_split(names=names, classes=("Normal", *HOSTILE[:3]))
    environment = {"device": HOSTILE[0], "commit": HOSTILE[1]}
    folder = keep(split, notes=list(HOSTILE), environment=environment, clip={"model": HOSTILE[2]})
    path = page(folder)
    for width in (1200, 375):
        opened = browser(path, width=width)
        for row in opened.find_elements("css selector", "#videos .link"):
            opened.execute_script("arguments[0].click()", row)
        for details in opened.find_elements("css selector", "details"):
            details.click()
        point(opened, 20, 64)
        assert opened.execute_script("return window.hacked") is None
        assert opened.execute_script("return [document.images.length, document.scripts.length]") == [0, 2]
        assert texts(opened, "#videos tbody th") == names
        assert set(HOSTILE[:3]) <= set(texts(opened, "#classes tbody th"))
        assert opened.execute_script("return document.documentElement.scrollWidth <= innerWidth")


def test_nothing_is_loaded_and_nothing_but_our_script_runs(make_split, keep, page, browser, chromium):
    path = page(keep(make_split()))
    text = path.read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert re.fullmatch(
        r"default-src 'none'; script-src 'sha256-[\w+/=]+'; style-src 'sha256-[\w+/=]+'; img-src data:;"
        r" base-uri 'none'; form-action 'none'",
        policy,
    )
    assert set(re.findall(r"https?://[^\s\"'`]+", text)) == {"http://www.w3.org/2000/svg"}
    assert "innerHTML" not in text and "eval(" not in text
    opened = browser(path)
    opened.execute_script(
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hacked = 1\">');"
        "const s = document.createElement('script'); s.textContent = 'window.hacked = 2'; document.body.append(s);"
    )
    assert opened.execute_script("return window.hacked") is None
    refused = [entry["message"] for entry in chromium.get_log("browser")]
    assert refused and all("Content Security Policy" in message for message in refused)


@pytest.mark.parametrize("width", [320, 375, 768, 1200])
def test_no_page_is_wider_than_the_screen(make_split, keep, page, browser, width):
    opened = browser(page(keep(make_split()), keep(make_split(1), "other")), width=width)
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(make_split, keep, page, browser, legible, scheme):
    opened = browser(page(keep(make_split()), keep(make_split(1), "other")), scheme=scheme)
    for details in opened.find_elements("css selector", "details"):
        details.click()
    assert legible(scheme) > 100
    # Lines need less than text, on the page and on shaded frames.
    lines = opened.execute_script("return [...Array(6).keys()].map(i => color(`--series-${i}`))")
    for ground in opened.execute_script("return ['--page', '--truth'].map(color)"):
        for line in lines:
            assert legible.contrast(*(f"rgb{tuple(bytes.fromhex(c[1:]))}" for c in (line, ground))) >= 3, (line, ground)


def test_the_whole_of_ucf_crime_is_a_small_page_that_opens_at_once(make_split, keep, page, browser):
    names = [f"Robbery{i:03}_x264" for i in range(290)]
    classes = ("Normal", *(f"class {i}" for i in range(13)))
    path = page(keep(make_split(names=names, frames=3834, stride=16, classes=classes), intervals=False))
    assert path.stat().st_size < 4e6
    timing = "const n = performance.getEntriesByType('navigation')[0]; return n.loadEventEnd - n.startTime"
    loads = [(opened := browser(path)).execute_script(timing) for _ in range(3)]
    assert min(loads) < 2000, "milliseconds"
    assert len(texts(opened, "#videos tbody tr")) == 290
    assert "1,111,860 frames" in find(opened, "#subtitle").text


def test_a_row_a_frame_of_a_large_split_is_shown_as_means_of_16_frames(make_split, keep, page, browser):
    names = [f"n{i}" for i in range(52)]
    split = make_split(names=names, frames=1000, stride=1)
    opened = browser(page(keep(split, intervals=False)))
    opened.execute_script("viewer.move(517)")
    expected = split.scores[1].anomaly[512:528].mean()
    assert abs(readout(opened)[2][0][0] - expected) <= 1 / 510
    assert "A value is the mean of 16 frames" in find(opened, ".viewer").text
    opened.execute_script("viewer.move(999)")
    assert abs(readout(opened)[2][0][0] - split.scores[1].anomaly[992:].mean()) <= 1 / 510


def test_means_of_rows_that_do_not_divide_16_frames_say_of_how_many_they_are(make_split, keep, page, browser):
    names = [f"n{i}" for i in range(51)]
    opened = browser(page(keep(make_split(names=names, frames=5000, stride=5), intervals=False)))
    assert "A value is the mean of 15 frames: good." in find(opened, ".viewer").text


def test_a_video_of_one_frame_and_a_method_without_classes(make_split, keep, page, browser):
    split = make_split(frames=1, stride=16)
    split = replace(split, given=[s.without_classes() for s in split.given])
    split = replace(split, videos=[replace(v, segments=()) for v in split.videos])
    opened = browser(page(keep(split)))
    point(opened, 0, 1)
    assert readout(opened)[0] == 0
    assert find(opened, "#classes").text == "No run here gives class probabilities."


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ({"metrics": {"AUC": {"value": float("nan")}}}, "expected metrics that are finite or null"),
        ({"metrics": {"AUC": {"value": 0.5, "low": float("-inf")}}}, "expected metrics that are finite or null"),
        ({"status": "failed", "error": "no"}, "has no finished run"),
    ],
)
def test_a_record_that_cannot_be_shown_is_refused(make_split, keep, runs, vadbench, damage, words):
    folder = keep(make_split(), intervals=False, **{k: v for k, v in damage.items() if k != "metrics"})
    path = folder / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    said = vadbench("report", folder, "--out", runs, status=2).err
    assert words in said and len(said.splitlines()) == 1


def test_runs_that_cannot_be_paired_are_refused(make_split, keep, runs, vadbench):
    first, second = keep(make_split()), keep(make_split(frames=80), "other")
    said = vadbench("report", first, second, "--out", runs, status=2).err
    assert "cannot be paired: v00 has 64 and 80 frames" in said


def test_labels_tell_runs_apart():
    from vadbench.records.record import RunRecord
    from vadbench.report.page_runs import labels

    def record(method="m", seed=0, key="k", changed=(), config=None, trained_on="d", protocol="native"):
        return RunRecord(
            status="finished", method=method, method_version="1", dataset="d", trained_on=trained_on, seed=seed,
            key=key, evaluation="e", protocol={"name": protocol, "crop": "3"}, config=config or {},
            changed=list(changed), fingerprint={}, clip={}, data={}, environment={}, created="",
        )  # fmt: skip

    assert labels([record(seed=3)]) == ["m"]
    assert labels([record(), record("n")]) == ["m", "n"]
    assert labels([record(), record(seed=1), record("n")]) == ["m, seed 0", "m, seed 1", "n"]
    assert labels([record(), record(changed=["w"], config={"w": 5})]) == ["m", "m w=5"]
    assert labels([record(), record(key="l")]) == ["m, seed 0 (k, e)", "m, seed 0 (l, e)"]
    assert labels([record(trained_on="o")]) == ["m, trained on o"]
    assert labels([record(protocol="vadclip")]) == ["m"]
    assert labels([record(), record(protocol="vadclip")]) == ["m, protocol native", "m, protocol vadclip"]
    assert labels([record(), record(changed=["protocol.crop"])]) == ["m, protocol native", "m, protocol native, crop 3"]
