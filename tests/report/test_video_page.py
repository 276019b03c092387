"""The page of one scored video in a real browser."""

import io
from dataclasses import replace

import pytest
from PIL import Image

from vadbench.watch.events import Event
from vadbench.watch.timeline import Thumbnail
from vadbench.watch.video_page import video_page

NAME = '<img src=x onerror=alert(1)> "שלום" </title><script>document.title="run"</script>'
EVENTS = [Event(61.0, 62.5, 10, 25, 0.9, 61.5, 15, 0.7, NAME), Event(70.0, 71.0, 50, 60, 0.8, 70.5, 55, 0.75, "Fire")]


def picture(kind, width, height):
    file = io.BytesIO()
    Image.new("RGB", (width, height), (200, 0, 0)).save(file, kind)
    return file.getvalue()


@pytest.fixture
def opened(browser, tmp_path):
    def call(**window):
        thumbnails = {event.peak_frame: Thumbnail(event.peak_frame, picture("JPEG", 192, 108)) for event in EVENTS}
        page = video_page(NAME, {"video": NAME}, [NAME], EVENTS, picture("PNG", 1100, 500), thumbnails)
        (tmp_path / "page.html").write_text(page, encoding="utf-8")
        return browser(tmp_path / "page.html", drawn=False, **window)

    return call


def test_names_are_text_and_nothing_runs(opened):
    page = opened()
    assert page.title == NAME and page.find_element("tag name", "h1").text == NAME
    assert not page.find_elements("css selector", "script, img[onerror]")
    cells = [cell.text for cell in page.find_elements("css selector", "tbody tr:first-child td")]
    assert cells == ["1:01.0", "1:02.5", "1:01.5", "0.900", "0.700", NAME, ""]
    widths = page.execute_script("return [...document.images].map((image) => image.naturalWidth)")
    assert widths == [1100, 192, 192], "every picture is there"


def test_remarks_are_a_column_of_text(browser, tmp_path):
    events = [replace(EVENTS[0], remarks=(NAME, "runs")), replace(EVENTS[1], remarks=())]
    (tmp_path / "page.html").write_text(video_page("v", {}, [], events, b"", {}), encoding="utf-8")
    page = browser(tmp_path / "page.html", drawn=False)
    assert [head.text for head in page.find_elements("css selector", "thead th")][-2:] == ["remarks", "peak frame"]
    cells = [cell.text for cell in page.find_elements("css selector", "tbody td:nth-child(7)")]
    assert cells == [f"{NAME}\nruns", ""]
    assert not page.find_elements("css selector", "script, img[onerror]")


@pytest.mark.parametrize("width", [360, 1200])
def test_it_fits_its_width_and_squeezes_no_figure(opened, width):
    page = opened(width=width)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    for number in page.find_elements("css selector", "td.number"):
        assert page.execute_script("return arguments[0].getClientRects()[0].width", number) > 30
    for image in page.find_elements("tag name", "img"):
        shown, own = page.execute_script(
            "return [arguments[0].width / arguments[0].height, arguments[0].naturalWidth / arguments[0].naturalHeight]",
            image,
        )
        assert shown == pytest.approx(own, rel=0.03)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_legible(opened, legible, scheme):
    opened(scheme=scheme)
    assert legible(scheme) > 15
