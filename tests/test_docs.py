"""The documentation: it builds without a warning, leaves nothing out, and every command in it is one."""

import ast
import html
import os
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from itertools import pairwise

import click
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from places import ROOT
from vadbench import method
from vadbench.base.config import field_descriptions
from vadbench.base.method_config import Recipe, Rows
from vadbench.base.naming import written
from vadbench.cli import cli
from vadbench.data.media import write_video
from vadbench.dataset import Dataset
from vadbench.metrics.definitions import DEFINITIONS
from vadbench.plugins.registry import HOOKS, installed
from vadbench.scoring.protocol import protocols

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture(scope="session")
def site(made_once):
    """The folder that the pages are built into."""
    pytest.importorskip("sphinx", reason="the documentation's own dependencies are not installed")

    def build(out):
        command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "-d", out / "cache"]
        found = subprocess.run([*command, ROOT / "docs", out / "html"], capture_output=True, text=True)
        assert found.returncode == 0, found.stderr

    return made_once("docs", build) / "html"


@pytest.fixture(scope="session")
def built(site):
    """The pages as they are built, as text by the name of their source."""
    return {
        p.relative_to(site).with_suffix("").as_posix(): html.unescape(p.read_text(encoding="utf-8"))
        for p in site.rglob("*.html")
    }


class Loaded(HTMLParser):
    """What a page loads by itself."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        linked = tag == "link" and values.get("rel") not in ("author", "canonical", "index", "next", "prev", "search")
        if tag in ("script", "img", "iframe", "source", "video", "audio", "embed", "object") or linked:
            self.found += [values[key] for key in ("src", "href", "data") if values.get(key)]
        self.found += re.findall(r"url\(([^)]+)\)", values.get("style") or "")


def test_the_pages_load_nothing_from_elsewhere(site):
    loaded = []
    for page in site.rglob("*.html"):
        parser = Loaded()
        parser.feed(page.read_text(encoding="utf-8"))
        loaded += parser.found
    for sheet in site.rglob("*.css"):
        text = sheet.read_text(encoding="utf-8")
        loaded += re.findall(r"url\(\s*['\"]?([^)'\"]+)", text) + re.findall(r"@import\s+['\"]([^'\"]+)", text)
    assert loaded and not [place for place in loaded if re.match(r"(https?:)?//", place)]


def test_formulas_are_written_out_in_the_pages(site):
    text = (site / "methods" / "anomalyclip.html").read_text(encoding="utf-8")
    assert "<mfrac>" in text and "\\frac" not in text


def test_the_figures_beside_the_drawn_scores_are_those_of_what_is_drawn(built):
    (drawn,) = [svg for svg in re.findall(r"<svg.*?</svg>", built["metrics"], re.DOTALL) if "finds the place" in svg]
    shade = re.search(r'<rect x="([\d.]+)" y="\d+" width="([\d.]+)"[^>]*fill="#f59e0b"', drawn)
    start, wide = map(float, shade.groups())
    curves = []
    for left, path in re.findall(r'<path d="M([\d.]+) [\d.]+(V[^"]*)"', drawn):
        heights, ends = zip(*re.findall(r"V([\d.]+)H([\d.]+)", path), strict=True)
        middles = [(float(a) + float(b)) / 2 for a, b in pairwise((left, *ends))]
        curves.append((-np.array(heights, float), [start < middle < start + wide for middle in middles]))
    shown = [float(figure) / 100 for figure in re.findall(r">(\d+) %</text>", drawn)]
    assert len(curves) == 9 and sum(curves[0][1]) == 6 and shown[2:4] == [0.86, 0.5]
    for row in range(3):
        three = curves[3 * row : 3 * row + 3]
        scores, truth = (np.concatenate(parts) for parts in zip(*three, strict=True))
        found = [roc_auc_score(truth, scores), roc_auc_score(three[0][1], three[0][0])]
        assert shown[2 * row : 2 * row + 2] == pytest.approx(found, abs=0.011)


def sentences():
    """The first lines of what is said of attributes on the API page, those that have a colon."""
    modules = re.findall(r"automodule:: ([\w.]+)", (ROOT / "docs" / "api.rst").read_text(encoding="utf-8"))
    for module in modules:
        tree = ast.parse(ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8"))
        for owner in (n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and not n.name.startswith("_")):
            for before, node in pairwise(owner.body):
                said = getattr(getattr(node, "value", None), "value", None)
                if isinstance(before, ast.AnnAssign | ast.Assign) and isinstance(said, str):
                    yield said.split("\n")[0]
                if isinstance(node, ast.FunctionDef) and any("property" in ast.dump(d) for d in node.decorator_list):
                    yield (ast.get_docstring(node) or "").split("\n")[0]


def words(text):
    """The words and signs of a text without its markup."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"\1", re.sub(r"<[^>]+>", "", text))
    return " ".join(re.sub(r"[`'’\"“”]", "", text).split())


def test_what_is_said_of_an_attribute_is_not_taken_for_its_type(built):
    page = words(built["api"])
    found = [line for line in sentences() if ": " in line]
    assert any(line.startswith("Raise it when") for line in found)
    assert not [line for line in found if words(line).strip() not in page]


def test_every_metric_is_defined_in_it(built):
    assert all(key in built["metrics"] for key in DEFINITIONS)


def test_the_table_of_protocols_says_which_crop_is_scored_on_which_data_set(built):
    row = re.search(r"<tr[^>]*><td><p><code[^>]*><span[^>]*>crop</span>.*?</tr>", built["protocols"], re.S)[0]
    stated = [(name, crop) for preset in protocols().values() for name, crop in preset.crops.items()]
    assert stated
    for name, crop in stated:
        assert f"{crop} on {name}" in words(row)


def test_every_command_is_in_the_reference(built):
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert f"vadbench {name}" in built["commands"] or f"vadbench-{name}" in built["commands"], name
        for option in command.params:
            assert isinstance(option, click.Argument) or option.opts[0] in built["commands"], (name, option.opts)


def test_every_hook_is_documented(built):
    assert all(hook in built["api"] for hook, _ in HOOKS.values())


def test_what_a_method_is_given_gives_and_says_is_documented(site):
    page = (site / "api.html").read_text(encoding="utf-8")
    documented = {name.rpartition(".")[2] for name in re.findall(r'<dt class="sig[^>]*id="(vadbench\.[\w.]+)"', page)}
    assert documented >= set(method.__all__) - {"build_method"}
    assert documented >= {"Needs", "Facts", "Rows", "GroupRecipe", "TextTower", "StreamInput", "TrainingVideo"}
    assert documented >= {"prompt_words", "abnormal", "words", "CachedText", "in_chunks", "drawn_sample", "top_mean"}
    text = words(html.unescape(page)).replace("…", "...")
    for settings in (Rows, Recipe):
        for name, field in settings.model_fields.items():
            assert f"{name} ({written(field.get_default())}): {words(field.description)}" in text, name


@pytest.mark.parametrize("name", sorted(installed().specs("method")))
def test_every_setting_of_a_method_is_documented(built, name):
    pages = " ".join(text for page, text in built.items() if page.startswith("methods/"))
    assert name in pages
    assert all(
        f">{setting.split('.')[-1]}" in pages or setting in pages
        for setting in field_descriptions(installed().method(name).Config)
    )


@pytest.mark.parametrize("name", sorted(installed().specs("dataset")))
def test_every_data_set_has_its_section(name):
    assert issubclass(installed().dataset(name), Dataset)
    assert name in (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")


def shell_lines(text):
    """Lines of the fenced blocks in no language or the shell's, those joined that end in a backslash."""
    language = None
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.startswith("```"):
            language = line.strip("`").strip() if language is None else None
        elif language in ("", "bash", "console", "sh"):
            yield line.strip().removeprefix("$ ").removeprefix(".venv/bin/")


def shown_commands():
    """Every command line of vadbench on any page."""
    for page in PAGES:
        for line in shell_lines(page.read_text(encoding="utf-8")):
            if line.startswith("vadbench ") and " ..." not in line:
                yield page.name, line.partition("  #")[0].strip()


COMMANDS = sorted(set(shown_commands()))


def test_commands_are_shown():
    assert len(COMMANDS) > 20


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_every_command_shown_is_one_that_vadbench_understands(page, line):
    """Names of commands, options and choices; files that only a user has are not looked for."""
    arguments = shlex.split(line)[1:]
    context = click.Context(cli, info_name="vadbench")
    command: click.Command = cli
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        name, found, arguments = command.resolve_command(context, arguments)
        assert found is not None, name
        command, context = found, click.Context(found, parent=context, info_name=name)
    if "--help" not in arguments:
        command.make_context(context.info_name, arguments, parent=context.parent, resilient_parsing=False)


NOT_HERE = ("DIR", "openai", "NAME", "submission")
ELSEWHERE = {
    "vadbench ui": "it serves until it is stopped: tests/cli/test_cli_ui.py",
    "vadbench check method anomalyclip": "tests/testing/test_method_checks.py",
}


def runnable():
    """What the README and the first page show, each once, but for what needs a user's data or published weights."""
    pages = {"README.md", "start.md"}
    found = dict.fromkeys(line for page, line in shown_commands() if page in pages)
    return [line for line in found if line not in ELSEWHERE and not any(word in line for word in NOT_HERE)]


@pytest.fixture(scope="module")
def place(tmp_path_factory, synthetic_cache):
    """A folder with a video, a folder of videos and a bank, and an environment without the user's own."""
    folder = tmp_path_factory.mktemp("user")
    frames = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), dtype=np.uint8)
    (folder / "my_videos").mkdir()
    write_video(folder / "my_video.mp4", iter(frames), fps=10)
    write_video(folder / "my_videos" / "one.mp4", iter(frames), fps=10)
    (folder / "my_site.toml").write_text('normal = ["a person walking"]\nabnormal = ["a fire", "a car on a walkway"]\n')
    environment = os.environ | {"HOME": str(folder), "VADBENCH_CACHE": str(synthetic_cache)}
    environment |= {"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db", "PYTHONWARNINGS": "ignore"}
    return folder, environment


def parted(text):
    """A text with a mark for each number, and its numbers; without what the run took."""
    text = re.sub(r"\((\d+(\.\d+)? s|finished earlier)\)", "", text)
    number = r"(?<![\w/])\d+(?:\.\d+)?(?![\w/])"
    words = " ".join(re.sub(number, "#", re.sub(r"-{2,}", "-", text)).split())
    return words, [float(found) for found in re.findall(number, text)]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_commands_shown_do_what_they_say(place, monkeypatch):
    folder, environment = place
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    first_output = import_module("first_output")
    commands = runnable()
    assert len(commands) > 15
    # Whatever needs a finished run comes after those that make one.
    for command in sorted(commands, key=lambda c: "KEY" in c):
        runs = sorted((folder / "results" / "runs" / "synthetic" / "anomalyclip").glob("*/result.json"))
        words = [runs[0].parent.name if word == "KEY" else word for word in shlex.split(command)[1:]]
        done = subprocess.run(
            [sys.executable, "-m", "vadbench", *words],
            cwd=folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    # The first output is that of a run which is there by now.
    monkeypatch.setenv("VADBENCH_CACHE", environment["VADBENCH_CACHE"])
    text, numbers = parted(first_output.first_output(folder))
    shown, written = parted(first_output.shown())
    assert text == shown
    # Another processor rounds differently.
    assert numbers == pytest.approx(written, rel=0.02, abs=0.3)
