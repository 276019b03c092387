"""Pictures of pages for the documentation, light and dark: the report, the leaderboard and a video of one's own.

``python docs/pictures.py [NAME...]`` writes ``docs/_static/NAME-{light,dark}.png`` for the names given, or for all of
``PICTURES``, with a headless Chromium (chromium and chromedriver must be installed, and the extra ``dev``). Names with
``narrow`` show a page at the width of a telephone, 390 pixels. The leaderboard is the committed one of the benchmark
``quick``; the video is a rendered minute with a fire and a car on the walkway, scored with ``zero-shot``. The report is
of runs on the synthetic data set, which are made first::

    for method in anomalyclip vadclip zero-shot; do vadbench run --method $method --dataset synthetic; done

Sections of the report between its figures and its videos are left out of the picture.
"""

from __future__ import annotations

import base64
import io
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image
from vadbench_synthetic.events import EVENTS
from vadbench_synthetic.render import film
from vadbench_synthetic.script import Event, cameras, write

import vadbench
from vadbench.records.published import published_numbers
from vadbench.report.board import leaderboard_page
from vadbench.tables.table import tables_from_json

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

FOLDER = Path(__file__).parent / "_static"
RUNS = ("synthetic/anomalyclip", "synthetic/vadclip", "synthetic/zero-shot")
PLANTED = (("Fire", 300, 380), ("Vehicle on walkway", 450, 500))
"""Events of the minute: class, first frame, one past the last, at ten frames a second."""
MOST_BYTES = 150_000


class Picture(NamedTuple):
    """What is seen of a page: its width in pixels, how sharp, down to which element, and what a script does before."""

    name: str
    width: int
    scale: float
    last: str
    script: str = ""


REPORT = """
for (const part of document.querySelectorAll("main > section")) {
  part.hidden = !["figures-title", "videos-title"].includes(part.getAttribute("aria-labelledby"));
}
for (const part of document.querySelectorAll("#facts, #figures p")) part.hidden = true;
viewer.move(190);
"""


def first_rows(name: str, width: int, scale: float, count: int) -> Picture:
    """Return the picture of a leaderboard with a number of rows; the next row is hidden, so that none of it shows."""
    row = "section.measured tbody tr:nth-child"
    hide = f"for (const row of document.querySelectorAll('{row}(n+{count + 1})')) row.hidden = true;"
    return Picture(name, width, scale, f"{row}({count})", hide)


def report(folder: Path) -> Path:
    """Return a page on three runs."""
    page = folder / "report.html"
    subprocess.run(["vadbench", "report", *RUNS, "--output", page], check=True)
    return page


def leaderboard(folder: Path) -> Path:
    """Return the page of the committed leaderboard."""
    page = folder / "leaderboard.html"
    tables = tables_from_json((files("vadbench_results") / "quick.json").read_text(encoding="utf-8"))
    page.write_text(leaderboard_page(tables, published_numbers()), encoding="utf-8")
    return page


def own_video(folder: Path) -> Path:
    """Return the page of a minute of a street with two events."""
    scene = write("Normal", (0, 9, 2), cameras(0), (600, 600))
    rng = np.random.default_rng(0)
    events = [
        Event(kind, start, end, tuple(EVENTS[kind](rng, scene.camera, start, end))) for kind, start, end in PLANTED
    ]
    video = folder / "door.mp4"
    film(replace(scene, events=tuple(events)), video)
    (result,) = vadbench.score(video, method="zero-shot", dataset="synthetic", out=folder / "scored")
    return result.folder / "index.html"


PICTURES: dict[str, tuple[Picture, Callable[[Path], Path]]] = {
    picture.name: (picture, page)
    for picture, page in (
        (Picture("report", 1100, 1.25, "#readout ul", REPORT), report),
        (first_rows("leaderboard", 1400, 1, 10), leaderboard),
        (first_rows("leaderboard-narrow", 390, 1.5, 5), leaderboard),
        (Picture("own-video", 1000, 1, ".events tbody tr:nth-child(2)", "viewer.move(3400);"), own_video),
        (Picture("own-video-narrow", 390, 1.5, ".events tbody tr:nth-child(2)", "viewer.move(3400);"), own_video),
    )
}


def main() -> None:
    """Write the pictures that are named, or all."""
    with TemporaryDirectory() as folder:
        browser, made = open_browser(), {}
        try:
            for name in sys.argv[1:] or PICTURES:
                picture, page = PICTURES[name]
                # The wide and the narrow picture are of one page.
                made[page] = made.get(page) or page(Path(folder)).resolve()
                for scheme in ("light", "dark"):
                    take(browser, made[page], picture, scheme)
        finally:
            browser.quit()


def open_browser() -> Chrome:
    """Return a headless Chromium."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or sys.exit("expected chromium on the path; install it")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    return Chrome(options=options, service=Service(shutil.which("chromedriver")))


def take(browser: Chrome, page: Path, picture: Picture, scheme: str) -> None:
    """Write one picture, in as few colours as keep it small."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": picture.width, "deviceScaleFactor": picture.scale, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size | {"height": 2000})
    browser.get(page.as_uri())
    browser.execute_script(picture.script)
    # Curves are drawn with the next frame of the screen.
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]));")
    last = browser.find_element("css selector", picture.last).rect
    clip = {"x": 0, "y": 0, "width": picture.width, "height": last["y"] + last["height"] + 8, "scale": 1}
    shot = base64.b64decode(browser.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip})["data"])
    path = FOLDER / f"{picture.name}-{scheme}.png"
    Image.open(io.BytesIO(shot)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    if path.stat().st_size > MOST_BYTES:
        sys.exit(f"expected at most {MOST_BYTES / 1000:.0f} kB; show less of the page")


if __name__ == "__main__":
    main()
