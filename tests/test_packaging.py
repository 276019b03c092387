"""What a user gets from the wheel, the image and the recipe, and what ``make`` installs."""

import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from floors import floors
from places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PIP_OF_TESTS = (sys.executable, "-m", "pip", "--python")
CONDA = {"torch": "pytorch", "open_clip_torch": "open-clip-torch", "matplotlib": "matplotlib-base"}
"""Names on conda-forge that differ from those on PyPI."""


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tracked():
    return run("git", "ls-files", cwd=ROOT).split()


@pytest.fixture(scope="module")
def source(tmp_path_factory, tracked):
    """A copy of what is tracked, so that building leaves nothing behind in the checkout."""
    folder = tmp_path_factory.mktemp("source")
    for name in tracked:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    return folder


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """Python of an environment that has the dependencies of this one and no vadbench."""
    folder = tmp_path / "environment"
    venv.create(folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    # Files .pth in there, as that of an editable installation, are not followed.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("VADBENCH_MLFLOW", "off")
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    """The wheel as built from the source archive, as a release is."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-c", "import sys; from setuptools import build_meta as b; b.build_sdist(sys.argv[1])"]
    run(*build, folder, cwd=source)
    (archive,) = folder.glob("*.tar.gz")
    # What builds is there, in the version that the project asks for, and no index is needed.
    here = ("--no-index", "--no-build-isolation", "--check-build-dependencies")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *here, "-w", folder, archive)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.mark.slow
def test_the_wheel_holds_all_packages_and_their_data_and_nothing_else(wheel, tracked):
    names = set(zipfile.ZipFile(wheel).namelist())
    packages = {n.split("/")[0] for n in names if not n.split("/")[0].endswith(".dist-info")}
    expected = {p.parent.name for p in ROOT.glob("*/vadbench_*/__init__.py")} | {"vadbench"}
    assert packages == expected
    data = [
        n
        for n in tracked
        if n.split("/")[0] not in ("tests", ".ci", "recipe")
        and Path(n).suffix in (".json", ".safetensors", ".typed", ".toml", ".csv", ".tmpl", ".css", ".js")
    ]
    inside = [n for n in data if "/" in n]
    assert "vadbench/assets/small_clip.safetensors" in inside
    for name in inside:
        assert name in names or name.partition("/")[2] in names, name


@pytest.mark.slow
def test_the_wheel_alone_runs_the_demo(wheel, fresh, tmp_path):
    run(*PIP_OF_TESTS, fresh, "install", "--quiet", "--no-deps", wheel)
    away = tmp_path / "away"
    away.mkdir()

    def vadbench(*arguments):
        return run(fresh.with_name("vadbench"), *arguments, cwd=away)

    code = "import vadbench, vadbench_mil; print(vadbench.__file__, vadbench_mil.__file__)"
    assert run(fresh, "-c", code, cwd=away).count(str(fresh.parents[1])) == 2
    methods = vadbench("list", "methods")
    assert "anomalyclip" in methods and "random" in methods
    assert "AUC                    50.96" in vadbench("run", "--method", "random", "--dataset", "synthetic")
    assert "(anomalyclip/7)" in vadbench("table", "anomalyclip/7")
    assert re.search(r"random +.*50\.96", vadbench("leaderboard"))


@pytest.mark.slow
def test_the_steps_of_the_image_install_vadbench(source, fresh, tmp_path):
    """Without an engine: COPY and RUN in a folder, with the fresh environment as the image's Python."""
    environment, here, root = os.environ.copy(), tmp_path, tmp_path / "image"
    pip = fresh.with_name("pip")
    pip.write_text(f'#!/bin/sh\nexec {shlex.join(PIP_OF_TESTS)} {fresh} "$@"\n')
    pip.chmod(0o755)
    # The dependencies are there, those of building as well; 0 is how this one option is turned on.
    there = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "TORCH_INDEX": ""}
    environment |= {"PATH": f"{fresh.parent}:{environment['PATH']}", **there}
    taken = [f"!{n}" for n in ("pyproject.toml", "vadbench", "methods")]
    assert set(taken) <= set((ROOT / ".dockerignore").read_text().split())
    for step, rest in instructions():
        if step == "WORKDIR":
            here = root / rest.strip("/")
            here.mkdir(parents=True, exist_ok=True)
        elif step == "COPY":
            *names, target = rest.split()
            for name in names:
                copy = shutil.copytree if (source / name).is_dir() else shutil.copy
                copy(source / name, here / target)
        elif step == "RUN":
            run("sh", "-ec", re.sub(r"(?<=\s)/(?=\w)", f"{root}/", rest), cwd=here, env=environment)
        elif step == "ENV":
            environment |= dict(part.split("=", 1) for part in rest.replace("=/", f"={root}/").split())
    assert stat.S_IMODE((root / "cache").stat().st_mode) == 0o1777 and here == root / "work"
    assert "anomalyclip" in run(fresh.with_name("vadbench"), "list", "methods", cwd=here, env=environment)
    assert "python:3.12" in dict(instructions())["FROM"]


def instructions():
    """Yield each instruction of the Dockerfile with the rest of its line."""
    text = re.sub(r"(?m)^#.*\n", "", (ROOT / "Dockerfile").read_text()).replace("\\\n", " ")
    for line in filter(str.strip, text.splitlines()):
        step, _, rest = line.partition(" ")
        yield step, rest


def test_the_image_names_no_index_and_is_made_of_what_its_ignore_file_lets_in():
    text = (ROOT / "Dockerfile").read_text() + (ROOT / "recipe" / "recipe.yaml").read_text()
    assert "://" not in text
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}
    copied = {name for step, rest in instructions() if step == "COPY" for name in rest.split()[:-1]}
    assert copied == let_in and all((ROOT / name).exists() for name in copied)
    with_code = {p.parent for p in ROOT.glob("*/vadbench_*/__init__.py")} | {ROOT / "vadbench"}
    assert all(any(folder.is_relative_to(ROOT / name) for name in copied) for folder in with_code)


def test_the_recipe_has_the_bounds_of_pyproject():
    recipe = yaml.safe_load((ROOT / "recipe" / "recipe.yaml").read_text())
    assert recipe["context"]["version"] == PROJECT["version"]
    assert f">={recipe['context']['python_min']}" in PROJECT["requires-python"]
    scripts = [f"{name} = {target}" for name, target in PROJECT["scripts"].items()]
    assert recipe["build"]["python"]["entry_points"] == scripts
    expected = {"python": PROJECT["requires-python"]}
    for dependency in map(Requirement, PROJECT["dependencies"]):
        expected[CONDA.get(dependency.name, dependency.name)] = str(dependency.specifier)
    found = dict(line.split(" ", 1) for line in recipe["requirements"]["run"])
    assert {name: set(s.split(",")) for name, s in found.items()} == {n: set(s.split(",")) for n, s in expected.items()}
    assert recipe["about"]["summary"] == PROJECT["description"] and recipe["about"]["license"] == PROJECT["license"]


def test_floors_are_the_bounds_and_constraints_lie_above_them(tmp_path):
    oldest = dict(line.split("==") for line in floors(ROOT / "pyproject.toml", ["test"]))
    assert {r.name for r in map(Requirement, PROJECT["dependencies"])} | {"pytest"} <= oldest.keys()
    pinned = dict(line.lower().split("==") for line in (ROOT / "constraints.txt").read_text().splitlines())
    for extra in ("test", "dev", "docs", "ray"):
        for requirement in map(Requirement, PROJECT["dependencies"] + PROJECT["optional-dependencies"][extra]):
            if requirement.name == PROJECT["name"]:
                continue
            if requirement.name in oldest:
                assert requirement.specifier.contains(oldest[requirement.name])
            assert requirement.specifier.contains(pinned[requirement.name.lower()]), requirement
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\ndependencies = ["av>=14.0,!=14.1", "ray[client]>=2.6", "numpy"]')
    found = floors(project, [])
    assert [next(found), next(found)] == ["av==14.0", "ray==2.6"]
    with pytest.raises(ValueError, match=r"expected a lower bound, .* found numpy$"):
        next(found)


SHIM = """#!/bin/sh
echo "$(basename $0) $*" >> "$LOG"
[ "$*" = "-m venv .venv" ] && mkdir -p .venv/bin && for name in python vadbench ruff; do cp "$0" .venv/bin/$name; done
[ "$(basename $0)" != uv ] || exit ${UV_STATUS:-0}
"""


@pytest.fixture
def make(tmp_path):
    """Run a target of the Makefile with programs that only write down how they were called, and return that."""
    place, programs, log = tmp_path / "checkout", tmp_path / "programs", tmp_path / "log"
    place.mkdir()
    programs.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, place)
    for name in ("sh", "mkdir", "cp", "basename", "touch", "echo", "make"):
        (programs / name).symlink_to(shutil.which(name))

    def call(target, uv=None):
        for name in ("python3", *(["uv"] if uv is not None else [])):
            (programs / name).write_text(SHIM)
            (programs / name).chmod(0o755)
        log.write_text("")
        run("make", target, cwd=place, env={"PATH": str(programs), "LOG": str(log), "UV_STATUS": str(uv)})
        return log.read_text().splitlines()

    return call


PIP = "python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable"
UV = "uv pip install --quiet --python .venv/bin/python --constraint constraints.txt --editable"


def test_the_demo_installs_what_it_needs_and_the_tests_the_rest(make):
    demo, first = make("demo"), ["python3 -m venv .venv", f"{PIP} ."]
    assert demo[:2] == first and [line.split()[:3] for line in demo[2:]] == [["vadbench", "run", "--method"]] * 4
    assert make("demo") == demo[2:]
    lint = make("lint")
    assert lint[1] == f"{PIP} .[dev,docs,ray]"
    assert make("demo") == demo[2:] and len(make("test")) == 1


def test_uv_installs_where_it_can_and_pip_where_it_cannot(make):
    assert make("demo", uv=0)[1:3] == [f"{UV} .", make("demo", uv=0)[0]]
    failed = make("test", uv=2)
    assert failed[1:3] == [f"{UV} .[dev,docs,ray]", f"{PIP} .[dev,docs,ray]"]


def test_no_package_shadows_a_well_known_name():
    for folder in ("methods", "datasets", "benchmarks", "results", "tests"):
        assert not (ROOT / folder / "__init__.py").exists()
    code = "import importlib.util; assert importlib.util.find_spec('datasets') is None"
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")


def test_constraints_hold_no_package_index():
    text = (ROOT / "constraints.txt").read_text()
    assert "://" not in text and "--" not in text
    names = {line.partition("==")[0].lower() for line in text.splitlines()}
    assert {"torch", "mlflow", "open_clip_torch", "pytest"} <= names
