"""Packages that ``vadbench new`` writes: complete or not at all, and working before anything is changed in them."""

import json
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest

from method_inputs import as_videos
from places import PLUGIN, ROOT
from vadbench import scaffold
from vadbench.base.errors import ConfigError, DataError, PluginError, StorageError, UnknownNameError
from vadbench.data.media import write_video
from vadbench.dataset import Segment
from vadbench.plugins.registry import Registry
from vadbench.scaffold import METHOD_TEMPLATES, package_words, write_package

SHARED = {"pyproject.toml", "README.md", ".github/workflows/test.yml"}
OWN = {"method": {"__init__.py", "config.py", "method.py"}, "dataset": {"__init__.py", "dataset.py"}}
TEMPLATES = [("method", template) for template in METHOD_TEMPLATES] + [("dataset", "trained")]
NAMES = ["two-stage", "3d.conv", "config", "None", "Method", "a", "x__y-", "9"]


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    """Write a package, import it as if installed, and give its folder and a registry with it."""
    known = set(sys.modules)

    def load(kind, name, template="trained"):
        folder = write_package(kind, name, tmp_path, Registry(), template)
        monkeypatch.syspath_prepend(folder)
        package = package_words(kind, name)["package"]
        return folder, Registry([EntryPoint(name, package, "vadbench")], [PLUGIN])

    yield load
    for name in set(sys.modules) - known:
        if name.startswith("vadbench_"):
            del sys.modules[name]


def files_of(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["method", "dataset"])
def test_a_package_is_whole_whatever_its_name(loaded, kind, name):
    folder, registry = loaded(kind, name)
    package = next(folder.glob("vadbench_*")).name
    assert files_of(folder) == SHARED | {f"{package}/{f}" for f in OWN[kind]} | {f"tests/test_{package}.py"}
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["vadbench"] == {name: package}
    assert project["project"]["name"] == folder.name
    for file in files_of(folder):
        assert "$" not in (folder / file).read_text(), file
    assert name in registry.specs(kind)
    found = getattr(registry, kind)(name)
    assert found.__name__.isidentifier() and found.__module__ == f"{package}.{kind}"


@pytest.mark.parametrize("template", METHOD_TEMPLATES)
def test_the_settings_of_every_kind_are_known_without_torch(tmp_path, template):
    folder = write_package("method", "mine-torchless", tmp_path, Registry([]), template)
    assert METHOD_TEMPLATES[template].does in (folder / "README.md").read_text()
    code = (
        "import sys; from vadbench_mine_torchless import vadbench_methods; from vadbench_mine_torchless.config import"
        " Config\n(spec,) = vadbench_methods(); Config().needs()\n"
        "assert spec.config == 'vadbench_mine_torchless.config:Config' and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folder)


@pytest.fixture
def sound(tmp_path):
    """A second stream of the tiny data set, which tells what the pictures do."""
    folder = tmp_path / "sound"
    folder.mkdir()
    for i, name in enumerate([f"train-{i}" for i in range(8)] + [f"test-{i}" for i in range(6)]):
        rows = np.random.default_rng(i).standard_normal((6, 16), dtype="f4")
        rows[2:4] += 4 * (int(name[-1]) % 2 == 0)
        np.save(folder / f"{name}.npy", rows)
    return folder


@pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
@pytest.mark.parametrize("template", METHOD_TEMPLATES)
def test_every_kind_runs_as_it_is_written(loaded, tmp_path, sound, template):
    """On tiny videos through an untrained CLIP; the tutorial's tests ask what they learn on ``synthetic``."""
    from vadbench.harness.experiment import open_experiment
    from vadbench.harness.request import Request
    from vadbench.harness.run import run

    _, registry = loaded("method", "mine", template)
    config = registry.method_config("mine")()
    settings = ["rows.stride=2", *(["recipe.batch_size=4", "recipe.epochs=4"] if config.recipe else [])]
    streams = {name: sound for name in config.needs().streams[1:]}
    assert bool(streams) == (template == "two-streams") == ("audio=DIR" in METHOD_TEMPLATES[template].options)
    encoder = {"clip_model": "small", "clip_weights": "random:0"} if config.needs().streams else {}
    request = Request("mine", "tiny", settings, device="cpu", out=tmp_path / "runs", streams=streams, **encoder)
    record = run(open_experiment(request, registry), 0).record
    assert record.status == "finished" and record.metrics["AUC"].value is not None
    assert (record.supervision, record.reads) == (config.needs().supervision, config.needs().reads)
    assert set(record.streams) == set(streams) and bool(record.clip) == bool(encoder)


@pytest.mark.parametrize(("kind", "template"), TEMPLATES)
def test_what_is_written_is_clean_python(tmp_path, kind, template):
    folder = write_package(kind, "two-stage", tmp_path, Registry([]), template)
    ruff = [sys.executable, "-m", "ruff"]
    rules = ["--select", "E,F,I,UP,B,SIM,RUF", "--ignore", "RUF012"]
    common = ["--isolated", "--no-cache", "--line-length", "120", "."]
    for command in (["check", *rules], ["format", "--check"]):
        done = subprocess.run([*ruff, *command, *common], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_the_plugin_module_imports_nothing_heavy(tmp_path):
    for number, (kind, template) in enumerate(TEMPLATES):
        package = f"vadbench_mine_{number}"
        folder = write_package(kind, package.removeprefix("vadbench_"), tmp_path, Registry([]), template)
        code = f"import sys, {package}; assert not {{'torch', 'numpy', 'av', 'pydantic'}} & set(sys.modules)"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=folder)


@pytest.mark.parametrize(
    "name", ["", "-x", ".x", "a/b", "../x", "a b", "é", "$name", "a\n", "a\0", "a:b", 'a"b', "a'b", "a\\b"]
)
def test_a_name_that_cannot_be_used_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="a name must begin with"):
        write_package("method", name, tmp_path, Registry([]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("method", "anomalyclip", "a method called 'anomalyclip' exists already"),
        ("dataset", "ucfcrime", "a data set called 'ucfcrime' exists already"),
        ("method", "baselines", "a Python package called 'vadbench_baselines' is installed"),
        ("dataset", "AnomalyCLIP", "a Python package called 'vadbench_anomalyclip' is installed"),
    ],
)
def test_a_name_that_is_taken_is_refused(tmp_path, kind, name, words):
    with pytest.raises(PluginError, match=words):
        write_package(kind, name, tmp_path, Registry())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("there", ["folder", "file", "link"])
def test_what_lies_there_already_is_left_alone(tmp_path, there):
    target = tmp_path / "vadbench-mine"
    if there == "folder":
        target.mkdir()
    elif there == "file":
        target.write_text("precious")
    else:
        target.symlink_to(tmp_path / "nowhere")
    before = target.lstat()
    with pytest.raises(ConfigError, match="exists already"):
        write_package("method", "mine", tmp_path, Registry([]))
    assert target.lstat() == before and list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("fails_at", range(7))
def test_nothing_is_left_half_written(tmp_path, monkeypatch, fails_at):
    calls = iter(range(99))
    write = Path.write_text

    def full(self, *arguments, **named):
        if next(calls) == fails_at:
            raise OSError(28, "No space left on device")
        return write(self, *arguments, **named)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(StorageError, match="the disk is full"):
        write_package("method", "mine", tmp_path / "out", Registry([]))
    assert not list((tmp_path / "out").iterdir())


def test_every_template_is_used_and_shipped():
    folder = Path(scaffold.__file__).parent / "templates"
    templates = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    named = {t for files in scaffold._FILES.values() for t in files.values()}
    packages = {f"{t.replace('$template', kind)}.tmpl" for t in named for kind in METHOD_TEMPLATES}
    assert templates == {*packages, "benchmark/benchmark.toml.tmpl"}
    globs = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["vadbench"]
    shipped = {p for g in globs for p in (ROOT / "vadbench").glob(g)}
    assert {folder / t for t in templates} <= shipped


def test_the_method_trains(loaded, tmp_path):
    """On tiny videos through an untrained CLIP; the tutorial's test asks what it learns on ``synthetic``."""
    from vadbench.harness.experiment import open_experiment
    from vadbench.harness.request import Request
    from vadbench.harness.run import run

    _, registry = loaded("method", "mine")
    settings = ["rows.stride=2", "recipe.batch_size=4", "recipe.epochs=40", "recipe.learning_rate=0.05"]
    request = Request(
        "mine", "tiny", settings, clip_model="small", clip_weights="random:0", device="cpu", out=tmp_path / "runs"
    )
    outcome = run(open_experiment(request, registry), 0)
    assert set(outcome.record.metrics) >= {"AUC", "AUC[Square]", "mAP", "mAP@IoU", "FAR"}
    losses = [json.loads(line)["loss"] for line in (outcome.folder / "training.jsonl").read_text().splitlines()]
    assert losses[0]["class"] == pytest.approx(np.log(2), abs=0.1)
    assert losses[-1]["class"] < 0.8 * losses[0]["class"]


def test_the_methods_scores_are_probabilities_at_any_length(loaded):
    import torch

    from vadbench.dataset import ClassTable, VideoClass
    from vadbench.method import Task

    _, registry = loaded("method", "mine")
    method = registry.method("mine")
    table = ClassTable((VideoClass("Fire"), VideoClass("Normal"), VideoClass("Riot")), normal=1)
    model = method(method.Config(), Task(table, 8, torch.device("cpu"), lambda: None)).eval()
    torch.nn.init.normal_(model.classifier.weight)
    videos = [torch.randn(n, 8) for n in (1, 2, 15, 16, 17, 300)]
    with torch.inference_mode():
        together, alone = model.score(as_videos(videos)), [model.score(as_videos([v]))[0] for v in videos]
    for rows, score, single in zip(videos, together, alone, strict=True):
        assert score.anomaly.shape == (len(rows),) and score.classes.shape == (len(rows), 3)
        assert torch.allclose(score.classes.sum(-1), torch.ones(len(rows)))
        assert torch.allclose(score.anomaly, 1 - score.classes[:, 1], atol=1e-6)
        assert torch.equal(score.anomaly, single.anomaly)


def test_the_method_shares_a_video_equally_among_its_classes(loaded):
    """The labels are those that the training loop makes of a video that names two classes."""
    import torch

    from vadbench.dataset import ClassTable, VideoClass
    from vadbench.method import Batch, Task
    from vadbench.training.batches import weak_labels

    _, registry = loaded("method", "mine")
    kind = registry.method("mine")
    table = ClassTable((VideoClass("Fire"), VideoClass("Normal"), VideoClass("Riot")), normal=1)
    model = kind(kind.Config(), Task(table, 8, torch.device("cpu"), lambda: None))
    torch.nn.init.normal_(model.classifier.weight)
    views = {"rows": torch.randn(1, 6, 8), "count": torch.tensor([6])}

    def loss(*names):
        labels, first = weak_labels(names, table)
        with torch.no_grad():
            return float(model.loss(Batch(views, torch.from_numpy(labels)[None], torch.tensor([first])))["class"])

    assert loss("Fire", "Riot") == pytest.approx((loss("Fire") + loss("Riot")) / 2, rel=1e-5)
    assert loss("Fire", "Riot") == loss("Riot", "Fire")


@pytest.fixture
def yard(loaded, tmp_path):
    """The data set's class, its root with a file a video, and a function that writes the csv file."""
    _, registry = loaded("dataset", "yard")
    root = tmp_path / "data"
    for split in ("train", "test"):
        for name in ("a", "b"):
            write_video(
                root / split / f"{split}-{name}.mp4", (np.full((32, 32, 3), t, np.uint8) for t in range(20)), 10
            )

    def write(*lines, header="video,class,start,end"):
        (root / "segments.csv").write_text("\n".join([header, *lines]) + "\n")
        return registry.dataset("yard")(root)

    return write


def test_the_data_set_reads_labels_and_segments(yard):
    dataset = yard("train-b,Intruder,,", "test-a,Intruder,3,9", "test-a,Intruder,12,15")
    train = {v.name: v for v in dataset.videos("train")}
    test = {v.name: v for v in dataset.videos("test")}
    assert {n: v.labels for n, v in train.items()} == {"train-a": ("Normal",), "train-b": ("Intruder",)}
    assert all(not v.segments for v in train.values())
    assert test["test-a"].segments == (Segment("Intruder", 3, 9), Segment("Intruder", 12, 15))
    assert test["test-a"].labels == ("Intruder",)
    assert test["test-b"].labels == ("Normal",) and not test["test-b"].segments
    assert [v.path.name for v in dataset.videos("test")] == ["test-a.mp4", "test-b.mp4"]


@pytest.mark.parametrize(
    ("line", "header", "error", "words"),
    [
        ("other,Intruder,1,2", None, DataError, "names 'other', which no split has"),
        ("test-a,Intrduer,1,2", None, UnknownNameError, "did you mean 'Intruder'"),
        ("test-a,Intruder,,", None, DataError, "test-a needs a start and an end"),
        ("test-a,Intruder", None, DataError, "test-a needs a start and an end"),
        ("test-a,Intruder,9,3", None, DataError, "0 <= start < end"),
        ("test-a,Intruder,1,2", "video,class,first,last", DataError, "must have the columns video, class, start, end"),
    ],
)
def test_a_wrong_csv_file_is_refused(yard, line, header, error, words):
    dataset = yard(line, header=header) if header else yard(line)
    with pytest.raises(error, match=words):
        dataset.videos("test")


def test_missing_files_are_named(yard):
    dataset = yard()
    (dataset.root / "segments.csv").unlink()
    with pytest.raises(DataError, match=r"segments.csv.*expected under"):
        dataset.videos("test")
    with pytest.raises(DataError, match="no videos in"):
        type(dataset)(dataset.root / "nowhere").videos("test")


def test_what_the_readme_of_a_package_names_exists(tmp_path):
    for kind, name in (("method", "one"), ("dataset", "two")):
        folder = write_package(kind, name, tmp_path, Registry([]))
        text = (folder / "README.md").read_text()
        for file in [f for f in files_of(folder) if f.endswith(".py")]:
            assert f"`{file}`" in text


def test_the_packages_tests_run_vadbenchs_checks(tmp_path):
    testing = import_module("vadbench.testing")
    for kind, name in (("method", "one"), ("dataset", "two")):
        folder = write_package(kind, name, tmp_path, Registry([]))
        assert f'{kind}_checks("{name}")' in next((folder / "tests").iterdir()).read_text()
        assert callable(getattr(testing, f"{kind}_checks"))
