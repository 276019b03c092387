"""Whose code makes a result: what is edited gives another key, what is installed counts by its version."""

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from places import PLUGIN
from vadbench.base.errors import PluginError
from vadbench.plugins.provenance import files_digest
from vadbench.plugins.registry import Registry, installed

METHOD = """
import torch
from vadbench.method import Method, MethodConfig, Scores
from {package}_core import SIGN

class Config(MethodConfig):
    version = "3"

class Mine(Method):
    Config = Config

    def score(self, videos):
        return [Scores(torch.sigmoid(SIGN * video.rows.mean(1))) for video in videos]
"""
HOOKS = """
from vadbench import MethodSpec, hookimpl

@hookimpl
def vadbench_methods():
    return [MethodSpec("mine", "the mean of a row", "{package}.method:Mine")]
"""
RUN = """
import json, site, sys
site.addsitedir(sys.argv[1])
from vadbench.cli import main
main(sys.argv[2:])
"""


class Package:
    """A distribution of a third party as pip leaves it: files and metadata, an import path where it is editable."""

    def __init__(self, folder, editable, package="vadbench_mine"):
        self.editable, self.package = editable, package
        self.site = folder / "site"
        self.code = folder / "project" / "src" if editable else self.site
        self.write(f"{package}/__init__.py", HOOKS.format(package=package))
        self.write(f"{package}/method.py", METHOD.format(package=package))
        self.write(f"{package}_core.py", "SIGN = 1\n")
        self.metadata("0.3.0")

    def write(self, name, text):
        path = self.code / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def metadata(self, version):
        info = self.site / "mine_dist.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: mine-dist\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[vadbench]\nmine = {self.package}\n")
        files = ["mine_dist.dist-info/METADATA"]
        if self.editable:
            (self.site / "__editable__.pth").write_text(f"{self.code}\n")
            (info / "direct_url.json").write_text(
                json.dumps({"dir_info": {"editable": True}, "url": self.code.parent.as_uri()})
            )
        else:
            files += [p.relative_to(self.site).as_posix() for p in self.site.rglob("*.py")]
        (info / "RECORD").write_text("".join(f"{name},,\n" for name in files))

    def run(self, out, *more, method="mine"):
        base = ["run", "--plugin", PLUGIN, "-d", "tiny", "-m", method, "--clip-weights", "random:0", "--clip", "small"]
        words = [*base, "--device", "cpu", "--out", out, "--json", *more]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "MLFLOW_TRACKING_URI": "/dev/null/nowhere"}
        done = subprocess.run(
            [sys.executable, "-c", RUN, str(self.site), *map(str, words)],
            capture_output=True, text=True, timeout=1500, env=environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        (record,) = json.loads(done.stdout)
        return record, done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_at_hand")
def test_an_edited_editable_plugin_gives_another_key_and_an_installed_one_counts_by_its_version(tmp_path):
    edited = Package(tmp_path / "edited", editable=True)
    first, _ = edited.run(tmp_path / "a")
    assert first["code"]["method"] == first["code"]["method"] | {"distribution": "mine-dist", "version": "0.3.0"}
    assert first["method_version"].startswith("3+") and str(tmp_path) not in json.dumps(first["code"])
    # Beside the package, where the method imports from: a sign turned round turns the result round.
    edited.write("vadbench_mine_core.py", "SIGN = -1\n")
    second, _ = edited.run(tmp_path / "a")
    assert second["key"] != first["key"]
    assert second["metrics"]["AUC"]["value"] == pytest.approx(1 - first["metrics"]["AUC"]["value"])
    edited.write("vadbench_mine_core.py", "SIGN = 1\n")
    assert edited.run(tmp_path / "a")[0]["key"] == first["key"]

    copied = Package(tmp_path / "copied", editable=False)
    third, _ = copied.run(tmp_path / "b")
    assert third["method_version"] == "3+mine-dist-0.3.0"
    copied.write("vadbench_mine/method.py", METHOD.format(package="vadbench_mine") + "\n# a patch\n")
    again, said = copied.run(tmp_path / "b")
    assert again["key"] == third["key"] and again["created"] == third["created"]
    assert "was made before the files of method mine changed; --again runs it anew" in said
    # Old weights under new rules are said to be old.
    moved, _ = copied.run(tmp_path / "b", "--protocol", "vadclip")
    assert moved["key"] == third["key"] and moved["evaluation"] != third["evaluation"]
    assert any("weights were trained before the files of the method changed" in n for n in moved["notes"])
    copied.metadata("0.3.1")
    assert copied.run(tmp_path / "b")[0]["key"] != third["key"]


def scratch(folder, text, name="scratch_one"):
    (folder / f"{name}.py").write_text(text)
    return Registry(points=[], files=[folder / f"{name}.py"])


SCRATCH = (
    (HOOKS.replace("{package}.method", "{package}") + METHOD).replace("from {package}_core", "#").replace("SIGN *", "")
)


def test_an_edited_scratch_file_gives_another_key(tmp_path):
    text = SCRATCH.format(package="scratch_one")
    made = []
    for source in (text, text + "# a comment\n", text):
        registry = scratch(tmp_path, source)
        made.append((registry.version("mine"), registry.provenance("method", "mine")))
    assert made[0] == made[2] and made[0][0] != made[1][0]
    assert made[0][1].distribution == "--plugin" and made[0][0] == f"3+{made[0][1].digest}"


def test_a_method_that_builds_on_a_shipped_one_has_the_version_of_both(tmp_path, monkeypatch):
    text = SCRATCH.format(package="scratch_two").replace("class Mine(Method)", "class Mine(Base)")
    text = text.replace("import torch", "import torch\nfrom vadbench_baselines.mil import Mil as Base")
    registry = scratch(tmp_path, text, "scratch_two")
    base = registry.method("mine").__mro__[1].Config
    before = registry.version("mine")
    assert before.startswith("3+1+")
    monkeypatch.setattr(base, "version", "another")
    assert registry.version("mine") == before.replace("3+1+", "3+another+") != before


def test_files_edited_after_they_were_imported_are_refused(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "plug_late.py").write_text(SCRATCH.format(package="plug_late"))
    point = EntryPoint("plug_late", "plug_late", "vadbench")
    registry = Registry([point])
    registry.version("mine")
    with (tmp_path / "plug_late.py").open("a") as file:
        file.write("# an edit\n")
    with pytest.raises(PluginError, match=r"files of method 'mine'.*changed after they were imported; start again"):
        Registry([point]).version("mine")
    sys.modules.pop("plug_late")
    # A scratch file as well: a worker of a benchmark goes on with what it executed.
    held = scratch(tmp_path, SCRATCH.format(package="scratch_late"), "scratch_late")
    before = held.version("mine")
    edited = SCRATCH.format(package="scratch_late") + "# an edit\n"
    (tmp_path / "scratch_late.py").write_text(edited)
    with pytest.raises(PluginError, match="changed after they were imported"):
        held.version("mine")
    assert scratch(tmp_path, edited, "scratch_late").version("mine") != before


def test_what_a_scratch_file_imports_from_beside_it_counts_and_nothing_else_does(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "one_helper.py").write_text("import two_helper\nSIGN = 1\n")
    (tmp_path / "two_helper").mkdir()
    (tmp_path / "two_helper" / "__init__.py").write_text("SIZE = 2\n")
    text = SCRATCH.format(package="scratch_helped").replace("import torch", "import torch\nimport one_helper")

    def version():
        for name in ("one_helper", "two_helper", "scratch_helped"):
            sys.modules.pop(name, None)
        return scratch(tmp_path, text, "scratch_helped").version("mine")

    before = version()
    (tmp_path / "unrelated.py").write_text("1")
    assert version() == before
    for path in (tmp_path / "one_helper.py", tmp_path / "two_helper" / "__init__.py"):
        path.write_text(path.read_text() + "# an edit\n")
        assert version() != before
        before = version()


def test_the_code_of_a_third_partys_data_set_is_part_of_keys_and_vadbenchs_own_is_not():
    made = Registry(points=[], files=[PLUGIN]).provenance("dataset", "tiny")
    assert made.distribution == "--plugin" and made.identity == made.digest
    registry = installed()
    for kind, name in (("method", "anomalyclip"), ("method", "mil"), ("dataset", "synthetic")):
        made = registry.provenance(kind, name)
        assert made.distribution == "vadbench" and made.identity == "" and len(made.digest) == 12
    assert registry.version("anomalyclip") == registry.method("anomalyclip").Config.version
    # An edit of the core is another commit, and no other plugin.
    folder = Path(sys.modules["vadbench_anomalyclip"].__file__).parent
    assert registry.provenance("method", "anomalyclip").digest == files_digest([folder])


def test_a_digest_is_of_names_and_contents_without_what_python_compiles(tmp_path):
    folder = tmp_path / "package"
    (folder / "__pycache__").mkdir(parents=True)
    (folder / "a.py").write_text("1")
    first = files_digest([folder])
    (folder / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"x")
    (folder / ".hidden").write_text("x")
    assert files_digest([folder]) == first
    (folder / "bank.toml").write_text("x")
    second = files_digest([folder])
    (folder / "bank.toml").rename(folder / "other.toml")
    assert len({first, second, files_digest([folder])}) == 3
