"""Pictures of near-duplicates: whether they are mirrored, and what the page is made of."""

import numpy as np
import pytest
from PIL import Image

import planted
from vadbench.inspect.duplicate_pictures import SHOWN, add_pictures, describe, duplicates_page, is_mirrored
from vadbench.inspect.duplicate_report import DuplicateReport, NearDuplicate

RNG = np.random.default_rng(0)
SCENE = RNG.integers(0, 256, (6, 10, 3)).repeat(16, 0).repeat(16, 1).astype(np.uint8)


def picture(array):
    return Image.fromarray(array)


def pair(a="a", b="b", **changes):
    values = dict(
        splits=("train", "test"), kind="part", mirrored=None, cosine=0.97, rows=0.99, changes=0.8, overlap=2,
        spacing=16, start=(16, 0), offset=16, labels=None,
    )  # fmt: skip
    return NearDuplicate(a, b, **(values | changes))


def report(*pairs):
    return DuplicateReport(pairs, 4, (), (), 1, 16, 0.88)


def test_a_mirror_image_is_told_from_the_same_and_from_another():
    noisy = np.clip(SCENE.astype(int) + RNG.integers(-20, 20, SCENE.shape), 0, 255).astype(np.uint8)
    other = RNG.integers(0, 256, (6, 10, 3)).repeat(16, 0).repeat(16, 1).astype(np.uint8)
    assert is_mirrored([picture(SCENE)], [picture(noisy[:, ::-1])]) is True
    assert is_mirrored([picture(SCENE)] * 2, [picture(noisy)] * 2) is False
    assert is_mirrored([picture(SCENE)], [picture(other)]) is None
    assert is_mirrored([picture(np.zeros_like(SCENE))], [picture(SCENE)]) is None


@pytest.fixture
def files(tmp_path):
    moving = np.stack([np.roll(SCENE, 4 * t, 1) for t in range(48)])
    planted.write(tmp_path / "a.mp4", moving, crf=20)
    planted.write(tmp_path / "b.mp4", moving[16:, :, ::-1], crf=20)
    return {name: tmp_path / f"{name}.mp4" for name in "ab"}


def test_corresponding_frames_are_shown_and_say_that_one_is_mirrored(files):
    pictured = add_pictures(report(pair()), files)
    a, b = pictured.strips["a", "b"]
    assert [y - x for x, y in zip(b.frames, a.frames, strict=True)] == [16] * 6
    assert pictured.report.pairs[0].mirrored is True and not pictured.notes
    assert add_pictures(report(pair(start=(16, 3))), files).report.pairs[0].mirrored is not False


def test_without_a_file_there_are_no_pictures_and_a_damaged_one_is_a_note(files):
    nothing = add_pictures(report(pair()), {"a": files["a"]})
    assert not nothing.strips and nothing.report.pairs[0].mirrored is None
    files["b"].write_bytes(b"damaged")
    damaged = add_pictures(report(pair(mirrored=True)), files)
    assert not damaged.strips and damaged.report.pairs[0].mirrored is True
    assert len(damaged.notes) == 1 and str(files["b"]) in damaged.notes[0]


def test_what_a_pair_is():
    assert describe(pair()) == "part"
    labels = (("Abuse", "Fire"), ("Normal",))
    assert describe(pair(mirrored=True, labels=labels)) == "part, mirrored; labelled Abuse, Fire and Normal"


def test_names_and_labels_are_text_on_the_page():
    hostile = "<script>alert(1)</script>"
    made = duplicates_page(hostile, add_pictures(report(pair(hostile, "b", labels=((hostile,), ("Normal",)))), {}))
    assert "<script" not in made and made.count("&lt;script&gt;") == 4
    assert "script-src" not in made


def test_a_page_of_many_pairs_says_how_many_it_shows():
    made = duplicates_page("d", add_pictures(report(*[pair(f"a{i}") for i in range(SHOWN + 1)]), {}))
    assert made.count("<h2>") == SHOWN and f"The first {SHOWN} pairs are shown" in made and f"a{SHOWN}" not in made
