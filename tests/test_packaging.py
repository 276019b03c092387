"""What a user gets from the wheel, the image and the recipe, and what ``make`` installs."""

import json
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
DOCKERFILE = (ROOT / "Dockerfile").read_text()
RECIPE = (ROOT / "recipe" / "recipe.yaml").read_text()
PIP_OF_TESTS = (sys.executable, "-m", "pip", "--python")
CONDA = {"torch": "pytorch", "open_clip_torch": "open-clip-torch", "matplotlib": "matplotlib-base"}
"""Names on conda-forge that differ from those on PyPI."""
# The dependencies are there, those of building as well; 0 is how this one option is turned on.
ALL_IS_THERE = {"PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}


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


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Where rendered videos are kept, for all environments."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def fresh(tmp_path, monkeypatch, cache):
    """Python of an environment that has the dependencies of this one and no vadbench."""
    monkeypatch.setenv("VADBENCH_CACHE", str(cache))
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
    environment |= {"PATH": f"{fresh.parent}:{environment['PATH']}", **ALL_IS_THERE, "TORCH_INDEX": ""}
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


@pytest.mark.slow
def test_the_steps_of_the_recipe_install_what_its_tests_ask_for(source, fresh, tmp_path):
    """Without conda: its script in a copy of its source, with the fresh environment as the host, then its tests."""
    recipe = yaml.safe_load(RECIPE)
    assert (ROOT / "recipe" / recipe["source"]["path"]).resolve() == ROOT
    # As rattler-build does, so that what building leaves is not in the way of other tests.
    work, empty = shutil.copytree(source, tmp_path / "work"), tmp_path / "empty"
    empty.mkdir()
    environment = os.environ | {"PATH": f"{fresh.parent}:{os.environ['PATH']}", **ALL_IS_THERE}
    script, count = re.subn(r"\$\{\{ PYTHON \}\}", str(fresh), recipe["build"]["script"])
    assert count == 1
    run("sh", "-ec", script, cwd=work, env=environment)
    shutil.rmtree(work)

    def inside(*command):
        return run(*command, cwd=empty, env=environment)

    imports = [name for test in recipe["tests"] for name in test.get("python", {}).get("imports", ())]
    commands = [line for test in recipe["tests"] for line in test.get("script", ())]
    assert imports and len(commands) == 4
    code = "import importlib, sys; print(*(importlib.import_module(n).__file__ for n in sys.argv[1:]), sep='\\n')"
    places = inside(fresh, "-c", code, *imports).splitlines()
    assert len(places) == len(imports) and all(Path(p).is_relative_to(fresh.parents[1]) for p in places)
    assert inside("sh", "-ec", "command -v vadbench").strip() == str(fresh.with_name("vadbench"))
    printed = [inside("sh", "-ec", line) for line in commands]
    assert all(printed) and "AUC                    50.96" in printed[-1]


def instructions(text=DOCKERFILE):
    """Yield each instruction of a Dockerfile with the rest of its line."""
    text = re.sub(r"(?m)^\s*#.*\n", "", text).replace("\\\n", " ")
    for line in filter(str.strip, text.splitlines()):
        step, _, rest = line.partition(" ")
        yield step, rest


def test_the_image_names_no_index_and_is_made_of_what_its_ignore_file_lets_in():
    assert "://" not in DOCKERFILE + RECIPE
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")}
    copied = {name for step, rest in instructions() if step == "COPY" for name in rest.split()[:-1]}
    assert copied == let_in and all((ROOT / name).exists() for name in copied)
    with_code = {p.parent for p in ROOT.glob("*/vadbench_*/__init__.py")} | {ROOT / "vadbench"}
    assert all(any(folder.is_relative_to(ROOT / name) for name in copied) for folder in with_code)


# fmt: off
INSTRUCTIONS = {
    "ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "ONBUILD", "RUN",
    "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR",
}
# fmt: on


def faults_of_image(text):
    """Yield what is wrong with a Dockerfile, as far as no engine is needed to see it."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for number, line in enumerate(lines):
        if re.search(r"\\\s+$", line):
            yield f"a space after the backslash: {line}"
        elif line.endswith("\\") and not "".join(lines[number + 1 : number + 2]).strip():
            yield f"continued by nothing: {line}"
    steps = list(instructions(text))
    yield from (f"no instruction: {step}" for step, _ in steps if step not in INSTRUCTIONS)
    if not steps or steps[0][0] != "FROM":
        yield "does not start with FROM"
    users = [rest.strip() for step, rest in steps if step == "USER"]
    if not users or re.match(r"(root|0)?(:|$)", users[-1]):
        yield "ends as root"
    if not {"CMD", "ENTRYPOINT"} & {step for step, _ in steps}:
        yield "starts nothing"
    for step, rest in steps:
        if step == "FROM" and not re.fullmatch(r"[\w./-]+:(?!latest)[\w.-]*\d[\w.-]*( AS \w+)?", rest.strip()):
            yield f"no pinned tag: {rest}"
        elif step in ("CMD", "ENTRYPOINT") and not is_exec_form(rest):
            yield f"not in exec form: {step} {rest}"
        elif step == "RUN":
            if re.search(r"\bapt(-get)?\b", rest):
                yield f"apt, whose packages are of no fixed version: {rest}"
            for command in re.split(r"[;&|]+", rest):
                if re.search(r"\bpip3? install\b", command) and "--no-cache-dir" not in command.split():
                    yield f"pip keeps a cache: {command}"


def is_exec_form(rest):
    """Whether a command is a list of words in JSON, which no shell stands in front of."""
    try:
        words = json.loads(rest)
    except ValueError:
        return False
    return isinstance(words, list) and bool(words) and all(isinstance(word, str) for word in words)


NEEDED_BY_RECIPES = {"schema_version", "package", "source", "build", "requirements", "tests", "about"}
KEYS_OF_RECIPES = NEEDED_BY_RECIPES | {"context", "extra"}
BOUND = r"(>=|<=|==|!=|~=|>|<|=)?\d+(\.\w+)*(\.\*)?"
EXPRESSION = r"\$\{\{ *(\w+) *\}\}"


def faults_of_recipe(text):
    """Yield what is wrong with a recipe, as far as no conda is needed to see it."""
    recipe = yaml.safe_load(text)
    yield from (f"no key of a recipe: {key}" for key in recipe.keys() - KEYS_OF_RECIPES)
    yield from (f"lacks a key: {key}" for key in NEEDED_BY_RECIPES - recipe.keys())
    context = recipe.get("context", {})
    yield from (f"unknown name: {name}" for name in set(re.findall(EXPRESSION, text)) - {*context, "PYTHON"})
    if re.search(r"\{\{|\}\}", re.sub(EXPRESSION, "", text)):
        yield "braces that enclose no name"
    for line in (line for lines in recipe.get("requirements", {}).values() for line in lines):
        full = re.sub(EXPRESSION, lambda found: str(context.get(found[1], found[0])), line)
        if not re.fullmatch(rf"[a-z0-9_][a-z0-9_.-]*( {BOUND}(,{BOUND})*)?", full):
            yield f"no requirement: {line}"
    build = recipe.get("build", {})
    if build.get("noarch") != "python":
        yield "is not noarch: python"
    points = build.get("python", {}).get("entry_points", [])
    if not points or not all(re.fullmatch(r"[\w-]+ = [\w.]+:\w+", point) for point in points):
        yield f"no entry points: {points}"


def test_image_and_recipe_have_no_faults():
    assert not [*faults_of_image(DOCKERFILE), *faults_of_recipe(RECIPE)]


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("FROM python:3.12-slim", "FROM python", "no pinned tag"),
        ("FROM python:3.12-slim", "FROM python:latest", "no pinned tag"),
        ("FROM python:3.12-slim", "FROM python:slim", "no pinned tag"),
        ("FROM ", "ARG A=1\nFROM ", "does not start with FROM"),
        ("WORKDIR /src", "WORKDIRS /src", "no instruction: WORKDIRS"),
        ("torch torchvision; \\\n", "torch torchvision;\n", "no instruction"),
        ("torch torchvision; \\\n", "torch torchvision; \\ \n", "a space after the backslash"),
        ("torch torchvision; \\\n", "torch torchvision; \\\n\n", "continued by nothing"),
        ('CMD ["--help"]', 'CMD ["--help"] \\', "continued by nothing"),
        ("USER 1000:1000\n", "", "ends as root"),
        ("USER 1000:1000", "USER 1000:1000\nUSER root", "ends as root"),
        ("USER 1000:1000", "USER 0:0", "ends as root"),
        ('ENTRYPOINT ["vadbench"]', "ENTRYPOINT vadbench", "not in exec form: ENTRYPOINT"),
        ('CMD ["--help"]', "CMD ['--help']", "not in exec form: CMD"),
        ('CMD ["--help"]', "CMD [3]", "not in exec form: CMD"),
        ('ENTRYPOINT ["vadbench"]\nCMD ["--help"]', "", "starts nothing"),
        ("install --no-cache-dir --constraint", "install --constraint", "pip keeps a cache"),
        ("install --no-cache-dir --no-deps", "install --no-deps", "pip keeps a cache"),
        ("RUN mkdir", "RUN apt-get update && mkdir", "apt"),
    ],
)
def test_a_fault_of_the_image_is_seen(good, bad, said):
    assert good in DOCKERFILE
    assert any(fault.startswith(said) for fault in faults_of_image(DOCKERFILE.replace(good, bad, 1)))


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("about:", "abuot:", "no key of a recipe: abuot"),
        ("about:", "extra:", "lacks a key: about"),
        ("schema_version: 1\n", "", "lacks a key: schema_version"),
        ("requirements:", "outputs:", "lacks a key: requirements"),
        ("${{ version }}", "${{ versoin }}", "unknown name: versoin"),
        ('  python_min: "3.11"\n', "", "unknown name: python_min"),
        ("${{ version }}", "${{ version }", "braces"),
        ("${{ PYTHON }}", "${ PYTHON }}", "braces"),
        ("- numpy >=2.2", "- numpy>=2.2", "no requirement: numpy>=2.2"),
        ("- numpy >=2.2", "- numpy >=>2.2", "no requirement"),
        ("- python >=3.11,<3.14", "- python >=3.11, <3.14", "no requirement"),
        ("- pip\n", "- Pip\n", "no requirement: Pip"),
        ("noarch: python", "noarch: generic", "is not noarch"),
        ("  noarch: python\n", "", "is not noarch"),
        ("      - vadbench = vadbench.cli:main\n", "      []\n", "no entry points"),
        ("vadbench.cli:main", "vadbench.cli", "no entry points"),
    ],
)
def test_a_fault_of_the_recipe_is_seen(good, bad, said):
    assert good in RECIPE
    assert any(fault.startswith(said) for fault in faults_of_recipe(RECIPE.replace(good, bad, 1)))


def test_the_recipe_has_the_bounds_of_pyproject():
    recipe = yaml.safe_load(RECIPE)
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
