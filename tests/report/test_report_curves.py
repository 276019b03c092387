"""Curves of a report page in a real browser: pointing, keys, zooming, several runs."""

import numpy as np
import pytest

from report_pages import find, point, press, readout, texts
from vadbench.records.scores import load_split


def test_the_pointer_shows_the_score_of_the_frame_under_it(make_split, keep, page, browser):
    folder = keep(make_split())
    opened = browser(page(folder))
    kept = load_split(folder)
    assert find(opened, "#video-name").text == "v01"  # the first abnormal one
    for frame in (0, 7, 8, 20, 40, 63):
        point(opened, frame, 64)
        found, truth, scores = readout(opened)
        assert found == frame
        assert truth == ("Riot" if 16 <= frame < 32 else "normal")
        value, text = scores[0]
        expected = kept.scores[1].anomaly[frame // 8]
        assert abs(value - expected) <= 1 / 510
        assert abs(text - expected) <= 0.01


def test_scores_of_any_range_are_shown_as_they_are(make_split, keep, page, browser):
    split = make_split(high=-40.0)
    opened = browser(page(keep(split)))
    span = np.ptp(split.rows.scores)
    for frame in (3, 30, 60):
        point(opened, frame, 64)
        assert abs(readout(opened)[2][0][0] - split.scores[1].anomaly[frame // 8]) <= span / 510


def test_the_keyboard_reaches_the_curve_and_moves_along_it(make_split, keep, page, browser):
    from selenium.webdriver import ActionChains

    opened = browser(page(keep(make_split())))
    opened.execute_script("document.activeElement.blur()")
    for _ in range(150):
        press(opened, "\ue004")  # Tab
        if opened.switch_to.active_element.get_attribute("id") == "curve":
            break
    canvas = opened.switch_to.active_element
    assert (canvas.get_attribute("id"), canvas.get_attribute("role")) == ("curve", "slider")
    right, left, home, end, page_down, shift = "\ue014", "\ue012", "\ue011", "\ue010", "\ue00f", "\ue008"
    for key, frame in ((home, 0), (right, 8), (right, 16), (left, 8), (end, 63), (home, 0), (shift, 63)):
        if key == shift:
            ActionChains(opened, duration=0).key_down(shift).send_keys(right).key_up(shift).perform()
        else:
            press(opened, key)
        assert readout(opened)[0] == frame == int(canvas.get_attribute("aria-valuenow"))
    assert canvas.get_attribute("aria-valuetext").startswith("Frame 63, normal, good 0.")
    press(opened, "+")
    zoomed = opened.execute_script("return viewer.view.to - viewer.view.from")
    assert zoomed == 32
    press(opened, left, left, left, left, left, left)
    assert readout(opened)[0] == 15
    assert opened.execute_script("return viewer.view.from <= 15 && 15 < viewer.view.to")
    press(opened, "0")
    assert opened.execute_script("return [viewer.view.from, viewer.view.to]") == [0, 64]
    press(opened, page_down)
    assert find(opened, "#video-name").text == "v02"


def test_dragging_zooms_to_what_was_picked(make_split, keep, page, browser):
    from selenium.webdriver import ActionChains

    opened = browser(page(keep(make_split())))
    point(opened, 16, 64)
    plot = opened.execute_script("return viewer.boxes().plot")
    step = round(plot["width"] / 4)
    ActionChains(opened, duration=0).click_and_hold().move_by_offset(step, 0).release().perform()
    start, end = opened.execute_script("return [viewer.view.from, viewer.view.to]")
    assert start == pytest.approx(16.5, abs=0.2) and end == pytest.approx(32.5, abs=0.2)
    find(opened, "#video-controls button[aria-label='show the whole video']").click()
    assert opened.execute_script("return [viewer.view.from, viewer.view.to]") == [0, 64]


def test_two_runs_lie_over_each_other_and_each_can_be_hidden(make_split, keep, page, browser):
    good, other = make_split(0), make_split(1, stride=4)
    opened = browser(page(keep(good), keep(other, "other")))
    point(opened, 30, 64)
    found = readout(opened)[2]
    assert abs(found[0][0] - good.scores[1].anomaly[3]) <= 1 / 510
    assert abs(found[1][0] - other.scores[1].anomaly[7]) <= 1 / 510

    def drawn():
        script = """
        const done = arguments[arguments.length - 1];
        requestAnimationFrame(() => requestAnimationFrame(() => {
          const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height), seen = new Set();
          for (let i = 0; i < data.length; i += 4) seen.add([data[i], data[i+1], data[i+2]].join());
          done(["29,91,181", "194,65,12"].map(c => seen.has(c)));
        }));"""
        return opened.execute_async_script(script)

    assert drawn() == [True, True]
    boxes = opened.find_elements("css selector", "#video-legend input")
    boxes[1].click()
    assert drawn()[1] is False and list(readout(opened)[2]) == [0]
    assert len(texts(opened, "#ranking figure:first-child path.curve")) == 2
    # Figures of single videos are those of the run that is chosen.
    before = texts(opened, "#videos tbody td:nth-child(6)")
    from selenium.webdriver.support.select import Select

    Select(find(opened, "#run")).select_by_index(1)
    assert texts(opened, "#videos tbody td:nth-child(6)") != before
    mean = float(texts(opened, "#videos tbody td:nth-child(6)")[0])
    assert mean == pytest.approx(other.scores[0].anomaly.mean(), rel=5e-3)


def test_a_video_is_found_by_name_or_label_and_opened(make_split, keep, page, browser):
    opened = browser(page(keep(make_split())))
    box = find(opened, "#find")
    box.send_keys("fire")
    rows = [row for row in opened.find_elements("css selector", "#videos tbody tr") if row.is_displayed()]
    assert [row.find_element("css selector", "th").text for row in rows] == ["v03", "v07", "v11"]
    assert find(opened, "#found").text == "3 of 12"
    rows[1].find_element("css selector", "button").click()
    assert find(opened, "#video-name").text == "v07"
    assert opened.switch_to.active_element.get_attribute("id") == "curve"
    assert rows[1].get_attribute("aria-current") == "true"
