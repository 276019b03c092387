"""The table of scenarios on a report page, and what it says of classes where nobody annotated any."""

from dataclasses import replace

from report_pages import HOSTILE, find, texts
from vadbench.metrics.scenarios import by_scenario


def in_places(made, names):
    """The split with its abnormal videos in places by turns."""
    return replace(
        made,
        videos=[replace(v, scenario=names[i // 2 % len(names)] if v.runs else "") for i, v in enumerate(made.videos)],
    )


def shown(value, low=None):
    digits = f"{100 * value:.1f}"
    return digits if low is None else digits + " ["


def test_scenarios_have_a_table_of_their_own(make_split, keep, page, browser):
    names = [f"v{i:02}" for i in range(32)]
    places = ["mall", "mall", "park"]
    splits = [in_places(make_split(seed, names=names), places) for seed in (0, 1)]
    found = [by_scenario(split) for split in splits]
    folders = [keep(split, f"m{i}", scenarios=own) for i, (split, own) in enumerate(zip(splits, found, strict=True))]
    opened = browser(page(*folders))
    assert texts(opened, "#scenarios tbody th") == ["mall", "park"]
    assert texts(opened, "#scenarios tbody td:nth-child(2)") == ["11", "5"]
    for column, key in ((3, "AUC"), (4, "AUC/within")):
        cells = texts(opened, f"#scenarios tbody td:nth-child({column})")
        for cell, place in zip(cells, ("mall", "park"), strict=True):
            for own in found:
                value = own[place].metrics[key]
                assert shown(value.value, value.low) in cell
    assert find(opened, "#scenarios-section").is_displayed()


def test_a_scenario_of_few_videos_has_no_interval(make_split, keep, page, browser):
    split = in_places(make_split(), ["mall", "park"])
    found = by_scenario(split)
    assert {name: result.abnormal for name, result in found.items()} == {"mall": 3, "park": 3}
    opened = browser(page(keep(split, scenarios=found)))
    assert "[" not in "".join(texts(opened, "#scenarios tbody td"))


def test_a_page_without_scenarios_shows_no_table_of_them(make_split, keep, page, browser):
    opened = browser(page(keep(make_split())))
    assert not find(opened, "#scenarios-section").is_displayed()
    assert find(opened, "#classes-section").is_displayed()


def test_names_of_scenarios_are_text(make_split, keep, page, browser):
    split = in_places(make_split(), HOSTILE[:3])
    opened = browser(page(keep(split, scenarios=by_scenario(split))))
    assert set(texts(opened, "#scenarios tbody th")) == set(HOSTILE[:3])
    assert opened.execute_script("return window.hacked") is None


def test_a_page_says_where_nobody_annotated_classes(make_split, keep, page, browser):
    opened = browser(page(keep(replace(make_split(), by_class=False))))
    assert find(opened, "#classes").text == "The data set annotates no classes."
    assert find(opened, "#confusion").text == ""
