"""The page of near-duplicates in a real browser."""

import numpy as np
import pytest

import planted
from report_pages import HOSTILE
from vadbench.inspect.duplicate_pictures import add_pictures, duplicates_page
from vadbench.inspect.duplicate_report import DuplicateReport, NearDuplicate


@pytest.mark.parametrize("name", HOSTILE)
def test_both_videos_are_shown_side_by_side_whatever_their_names(tmp_path, browser, legible, name):
    rng = np.random.default_rng(0)
    scene = rng.integers(0, 256, (6, 10, 3)).repeat(16, 0).repeat(16, 1).astype(np.uint8)
    planted.write(tmp_path / "v.mp4", np.stack([np.roll(scene, t, 1) for t in range(48)]))
    pair = NearDuplicate(
        name, "b", ("train", "test"), "part", None, 0.97, 0.99, 0.8, 2, 16, (16, 0), 16, ((name,), ("Normal",))
    )
    pictured = add_pictures(
        DuplicateReport([pair], 2, (), (), 1, 16, 0.88), dict.fromkeys((name, "b"), tmp_path / "v.mp4")
    )
    (tmp_path / "page.html").write_text(duplicates_page("d", pictured))
    for scheme, width in (("light", 1200), ("dark", 400)):
        opened = browser(tmp_path / "page.html", width, 900, scheme, drawn=False)
        names = opened.execute_script("return [...document.querySelectorAll('tbody th')].map(e => e.textContent)")
        assert names == [name, "b"] and opened.execute_script("return window.hacked") is None
        sizes = opened.execute_script("return [...document.images].map(i => [i.naturalWidth, i.naturalHeight])")
        assert sizes == [[6 * 90, 54]] * 2
        wide = opened.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, "only the table scrolls"
        assert legible(scheme) > 10
