"""Run folders made without a run, and one headless Chromium for all tests of pages."""

import re
import shutil

import numpy as np
import pytest

from vadbench.dataset import ClassTable, Segment, Video, VideoClass
from vadbench.features.fingerprint import Fingerprint
from vadbench.metrics.measurement import measure
from vadbench.records.folders import write_record
from vadbench.records.record import RunRecord, SplitRecord
from vadbench.records.scores import save_split
from vadbench.scoring.protocol import NATIVE
from vadbench.scoring.split import ScoredSplit
from vadbench.scoring.video_scores import VideoScores

CLASSES = ("Normal", "Riot", "Fire")
ROOM = """
const seen = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode, element = node.parentElement;
  if (!node.textContent.trim() || !element.getClientRects().length || element.closest("[hidden], script")) continue;
  const style = getComputedStyle(element);
  let around = element, back = "rgba(0, 0, 0, 0)";
  while (around && /, 0\\)$|transparent/.test(back)) {
    back = getComputedStyle(around).backgroundColor;
    around = around.parentElement;
  }
  seen.push([element instanceof SVGElement ? style.fill : style.color, back, node.textContent.trim().slice(0, 30)]);
}
return seen;
"""
FINGERPRINT = Fingerprint("vit", "0" * 64, "quickgelu", "resized", 16, "middle", dim=4).to_dict()


@pytest.fixture(scope="session")
def make_split():
    """Make a scored test split."""
    return _split


def _split(seed=0, names=tuple(f"v{i:02}" for i in range(12)), frames=64, stride=8, classes=CLASSES, high=1.0):
    """Every other video anomalous in its middle, where scores are higher; scores between 0 and ``high``."""
    rng = np.random.default_rng(seed)
    table = ClassTable(tuple(VideoClass(name) for name in classes), normal=0)
    rows = -(-frames // stride)
    middle = (np.arange(rows) + 0.5) * stride
    truth, scores = [], []
    for i, name in enumerate(names):
        label = classes[0] if i % 2 == 0 else classes[1 + i // 2 % (len(classes) - 1)]
        segments = () if i % 2 == 0 else (Segment(label, frames // 4, max(1, frames // 2)),)
        inside = (middle > frames / 4) & (middle < frames / 2) & (i % 2 == 1)
        logits = rng.normal(size=(rows, len(classes)))
        logits[inside, 0] -= 2
        shares = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)
        truth.append(Video(name, (label,), segments=segments))
        scores.append(VideoScores(name, frames, (high * (1 - shares[:, 0])).astype(np.float32), shares))
    return ScoredSplit(scores, truth, stride, table, NATIVE.rules)


@pytest.fixture
def runs(tmp_path):
    """Folder of the run folders that ``keep`` writes."""
    return tmp_path / "runs"


@pytest.fixture
def keep(runs):
    """Write a run folder as the harness does; its path."""

    def call(split, method="good", seed=0, intervals=True, **changes):
        folder = runs / "d" / method / f"{method}{seed}"
        values = measure(split) if intervals else {}
        record = dict(
            status="finished", method=method, method_version="1", dataset="d", trained_on="d", seed=seed,
            key=folder.name, evaluation="e", created="2026-01-01",
            protocol=split.rules.model_dump(mode="json"), config={"width": 4},
            changed=[], fingerprint={**FINGERPRINT, "stride": split.stride},
            clip={"model": "ViT-B-16-quickgelu", "weights": "openai"},
            data={s: SplitRecord(videos=9, expected=9, abnormal=3, manifest=s) for s in ("train", "test")},
            metrics=values, environment={},
        )  # fmt: skip
        write_record(folder, RunRecord(**(record | changes)))
        save_split(split, folder / "scores.npz")
        return folder

    return call


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium that sees no network; skips where none is installed."""
    selenium = pytest.importorskip("selenium", reason="selenium is not installed: pip install -e '.[dev]'")
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    chromedriver = shutil.which("chromedriver")
    if browser is None or chromedriver is None:
        pytest.skip("no browser: install chromium and chromium-driver (Debian) to test pages")
    assert selenium
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(chromedriver))
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium):
    """A way to open a page of a file in a window of one size and colour scheme; the page must log no error.

    One that is not ``drawn`` has no script.
    """

    def call(path, width=1200, height=900, scheme="light", drawn=True):
        chromium.get_log("browser")
        chromium.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        chromium.get(path.resolve().as_uri())
        # What waits for the sizes of the first picture has run by the second.
        chromium.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        ready = chromium.execute_script("return document.body.dataset.ready")
        assert ready == ("true" if drawn else None), chromium.get_log("browser")
        return chromium

    yield call
    # The only remarks on rendering are on a test that looks at the drawn pixels.
    errors = [entry for entry in chromium.get_log("browser") if entry["source"] != "rendering"]
    assert not errors, errors


@pytest.fixture
def legible(chromium):
    """Check that every text of the open page stands out as WCAG 2.1 asks; how many texts there are."""

    def check(scheme):
        seen = chromium.execute_script(ROOM)
        for color, back, text in seen:
            assert _contrast(color, back) >= 4.5, (text, color, back)
        page = chromium.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (_contrast(page, "rgb(0, 0, 0)") < 2) == (scheme == "dark")
        return len(seen)

    check.contrast = _contrast
    return check


def _contrast(color, back):
    """Ratio of the relative luminances, WCAG 2.1."""

    def luminance(text):
        parts = [float(p) for p in re.findall(r"[\d.]+", text.removeprefix("color(srgb"))[:3]]
        scale = 1 if text.startswith("color(srgb") else 255
        linear = [p / scale / 12.92 if p / scale <= 0.04045 else ((p / scale + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    high, low = sorted((luminance(color), luminance(back)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.fixture
def page(runs, tmp_path, vadbench):
    """Write the page of runs by their folders; its path."""

    def call(*folders):
        vadbench("report", *folders, "--out", runs, "--output", tmp_path / "page.html")
        return tmp_path / "page.html"

    return call
