"""The tutorials in ``docs``, executed as a reader would: in an environment of its own, without the repository."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import numpy as np
import pytest

from places import KINDS, PLUGIN, ROOT
from vadbench.data.media import write_video

BUILT_IN = {"random", "zero-shot", "clip-linear", "mil", "anomalyclip", "vadclip"}
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
REMEMBER = "\npwd > {}\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """vadbench as others get it, built from a copy so that the checkout stays as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in filter(None, subprocess.check_output(listed, cwd=ROOT, text=True).split("\n")):
        if (ROOT / name).is_file():
            target = folder / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "-w", folder]
    subprocess.run([sys.executable, *build, folder / "source"], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """The ``bin`` folder of a fresh virtual environment that has the wheel and borrows everything else.

    It borrows by links to what is installed here, one by one: an editable vadbench must not be seen, neither its
    modules nor its entry points.
    """
    folder = tmp_path_factory.mktemp("environment")
    borrowed = folder / "borrowed"
    borrowed.mkdir()
    for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(place).iterdir():
            own = entry.name.startswith(("vadbench", "__editable__"))
            if not own and entry.suffix != ".pth" and not (borrowed / entry.name).exists():
                (borrowed / entry.name).symlink_to(entry)
    # Its own pip would bring an old setuptools with it on Python 3.11.
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    packages = subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    (Path(packages.decode().strip()) / "borrowed.pth").write_text(f"{borrowed}\n")
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run([python, *install], check=True, capture_output=True, cwd=folder)
    return python.parent


@pytest.fixture
def shell(environment, tmp_path, synthetic_cache):
    """Run a command where the one before it ended, and give what it printed."""
    (tmp_path / "work").mkdir()
    where = tmp_path / "where"
    where.write_text(str(tmp_path / "work"))
    variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")} | {
        "VADBENCH_CACHE": str(synthetic_cache),
        "PATH": f"{environment}{os.pathsep}{os.environ['PATH']}",
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # which is how pip spells it
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }

    def run(script, stdin=None):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script + REMEMBER.format(where)],
            cwd=where.read_text().strip(),
            env=variables,
            input=stdin,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


def follow(page, shell):
    """Run a page's commands, apply its changes, and see that the code it shows is there, or in a plugin that tests try;
    what each command printed."""
    printed = {}
    for language, text in FENCE.findall((ROOT / "docs" / page).read_text(encoding="utf-8")):
        if language == "bash":
            for command in text.strip().splitlines():
                printed[command] = shell(command)
        elif language == "diff":
            shell("git apply --verbose -", stdin=text)
        elif language == "python":
            files = [*map(Path, shell("ls $PWD/vadbench_*/*.py").split()), *KINDS.glob("*.py")]
            sources = [file.read_text() for file in files]
            assert any(text in source for source in sources), f"no file has:\n{text}"
        else:
            assert language == "text", f"{page} has a block that nobody runs: {language}"
    return printed


SKIPPED = {
    "trained": {"lookahead", "estimate", "vocabulary", "bounded"},
    "training-free": {"lookahead", "estimate", "bounded", "width", "gradients", "resume", "workers"},
    "two-streams": {"lookahead", "estimate", "vocabulary", "bounded", "probabilities"},
    "frames": {
        "lookahead", "estimate", "vocabulary", "bounded", "probabilities", "width", "float16", "gradients", "resume",
        "workers",
    },
    "one-class": {"lookahead", "estimate", "vocabulary", "probabilities", "gradients", "resume", "workers"},
    "two-stage": {"lookahead", "estimate", "vocabulary", "probabilities"},
}  # fmt: skip
"""The checks that have nothing to look at in a method of each kind that ``vadbench new`` writes."""


def all_passed(printed, skipped=0):
    """Whether pytest ran tests, and skipped no others than so many."""
    (found,) = re.findall(r"(\d+) skipped", printed) or ("0",)
    return (
        re.search(r"\d+ passed", printed) and not re.search("failed|error|warning", printed) and int(found) == skipped
    )


@pytest.mark.slow
def test_the_repository_is_out_of_reach(shell, environment):
    code = (
        "import json, sys, vadbench\n"
        "from importlib.metadata import entry_points\n"
        "points = [(p.name, p.dist.name) for p in entry_points(group='vadbench')]\n"
        "print(json.dumps([vadbench.__file__, sys.path, points]))"
    )
    file, path, points = json.loads(shell(f'python -c "{code}"'))
    assert Path(file).is_relative_to(environment.parent)
    assert not [p for p in path if p and Path(p).resolve().is_relative_to(ROOT)]
    assert len(points) == len({name for name, _ in points}) >= 9 and {dist for _, dist in points} == {"vadbench"}


@pytest.mark.slow
def test_adding_a_method(shell):
    printed = follow("adding-a-method.md", shell)
    methods = [m["name"] for m in json.loads(shell("vadbench list methods --json"))]
    assert len(methods) == len(set(methods)) and set(methods) >= BUILT_IN | {"two-stage"}
    assert {p["name"]: p["status"] for p in json.loads(shell("vadbench plugins --json"))}["two-stage"] == "ok"
    assert "FAILED" not in printed["vadbench check method two-stage"]
    assert all_passed(printed["python -m pytest"], len(SKIPPED["trained"]))
    board = printed["vadbench leaderboard --dataset synthetic"]
    assert all(name in board for name in ("two-stage", "zero-shot", "clip-linear", "smoothness")), board
    runs = json.loads(shell("vadbench run --method two-stage --dataset synthetic --seeds 0-2 --json"))
    (prompts,) = json.loads(shell("vadbench run --method zero-shot --dataset synthetic --json"))
    for run in runs:
        assert run["metrics"]["AUC"]["value"] > max(0.9, prompts["metrics"]["AUC"]["value"])
        assert set(run["config"]) >= {"smoothness", "span", "top"}


@pytest.mark.slow
def test_adding_a_data_set(shell):
    printed = follow("adding-a-dataset.md", shell)
    assert "yard" in {d["name"] for d in json.loads(shell("vadbench list datasets --json"))}
    assert all_passed(printed["python -m pytest --basetemp copy"])
    root = "copy/data0/yard"
    assert "FAILED" not in printed[f"vadbench check dataset yard --data-root {root}"]
    assert "complete, 14 of 14 videos can be used" in printed[f"vadbench data check yard --data-root {root}"]
    (run,) = json.loads(shell(f"vadbench run --method zero-shot --dataset yard --data-root {root} --json"))
    assert run["data"]["test"] == run["data"]["test"] | {"videos": 6, "abnormal": 3, "frames": 192, "positives": 48}


@pytest.mark.slow
def test_a_data_set_passes_its_tests_unchanged_whatever_its_name(shell):
    folder = json.loads(shell("vadbench new dataset 9yards --json"))["folder"]
    shell(f"cd {folder} && python -m pip install -e .")
    assert all_passed(shell("python -m pytest -W error"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", SKIPPED)
def test_a_method_of_every_kind_passes_its_tests_unchanged_whatever_its_name(shell, kind):
    folder = json.loads(shell(f"vadbench new method AnOther.{kind} --kind {kind} --json"))["folder"]
    shell(f"cd {folder} && python -m pip install -e .")
    printed = shell("python -m pytest -W error -v")
    assert set(re.findall(r"\[([\w-]+)\] SKIPPED", printed)) == SKIPPED[kind]
    assert all_passed(printed, len(SKIPPED[kind]))


@pytest.fixture
def place(shell, tmp_path):
    """The folder in which the shell begins, with a second stream of the data set ``tiny``, and a video."""
    work = tmp_path / "work"
    (work / "sound").mkdir()
    for i, name in enumerate([f"train-{i}" for i in range(8)] + [f"test-{i}" for i in range(6)]):
        np.save(work / "sound" / f"{name}.npy", np.random.default_rng(i).standard_normal((6, 16), dtype="f4"))
    frames = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), dtype=np.uint8)
    write_video(work / "my_video.mp4", iter(frames), fps=10)
    return work


def install_example(shell, place, name):
    """Make a distribution of an example of the page on kinds of methods, with the ``pyproject.toml`` shown there."""
    page = (ROOT / "docs" / "kinds-of-methods.md").read_text(encoding="utf-8")
    (project,) = (text for language, text in FENCE.findall(page) if language == "toml")
    module = name.replace("-", "_")
    (place / name).mkdir()
    (place / name / "pyproject.toml").write_text(
        project.replace("two-streams", name).replace("two_streams", module), encoding="utf-8"
    )
    (place / name / f"{module}.py").write_text((KINDS / f"{module}.py").read_text(encoding="utf-8"), encoding="utf-8")
    shell(f"python -m pip install --quiet ./{name}")
    (plugin,) = (p for p in json.loads(shell("vadbench plugins --json")) if p["name"] == name)
    assert (plugin["status"], plugin["distribution"]) == ("ok", f"vadbench-{name}")


KILLED = """
{command} --out killed > /dev/null 2>&1 & process=$!
until [ "$(cat killed/*/*/*/training.jsonl 2> /dev/null | wc -l)" -ge 3 ]; do kill -0 $process; sleep 0.02; done
kill -9 $process
wait $process || true
ls killed/*/*/*/result.json 2> /dev/null || true
"""
"""Prints nothing where the run was killed before its end."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("two-streams", "--features audio=sound --clip small --clip-weights random:0 --set recipe.epochs=300"),
        ("brightness", "--set recipe.epochs=60"),
        ("frames-only", ""),
    ],
)
def test_an_example_as_a_distribution_from_a_run_to_a_leaderboard(shell, place, name, options):
    install_example(shell, place, name)
    command = f"vadbench run --plugin {PLUGIN} -m {name} -d tiny --device cpu {options}"
    (whole,) = json.loads(shell(f"{command} --out whole --json"))
    assert whole["method_version"] == f"1+vadbench-{name}-0.1.0"
    if "epochs" in options:
        assert not shell(KILLED.format(command=command))
    (resumed,) = json.loads(shell(f"{command} --out killed --json"))
    assert resumed["metrics"] == whole["metrics"] and resumed["key"] == whole["key"]
    for file in ("checkpoint.safetensors", "training.jsonl")[: 2 if "epochs" in options else 1]:
        one, two = (place / Path(r["folder"]) / file for r in (whole, resumed))
        assert one.read_bytes() == two.read_bytes(), file
    assert json.loads(shell(f"{command} --out killed --json")) == [resumed], "it is returned, not repeated"
    shell(f"vadbench report {whole['folder']} --out report.html")
    assert name in (place / "report.html").read_text(encoding="utf-8")
    assert name in shell("vadbench leaderboard --out whole")
    if name == "two-streams":
        refused = shell(f"! vadbench score my_video.mp4 --run {whole['folder']} --out scored 2>&1")
        assert len(refused.splitlines()) == 1 and "audio" in refused
        return
    threshold = "--threshold 0.5" if name == "brightness" else ""
    shell(f"vadbench score my_video.mp4 --run {whole['folder']} --device cpu {threshold} --out scored")
    (rows,) = place.glob("scored/*/scores.csv")
    assert len(rows.read_text().splitlines()) == 1 + 40 // whole["config"]["rows"]["stride"]
