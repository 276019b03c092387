"""The order of the stages, declared in pyproject.toml: what would break it is found."""

import ast
import os
import shutil
import subprocess
import sys
from collections import defaultdict

import pytest

from places import ROOT

FOLDERS = ("vadbench", "methods", "datasets", "benchmarks", "results")


def lint(root):
    """The exit status and the output of import-linter on the packages of a checkout."""
    pytest.importorskip("importlinter", reason="import-linter is not installed: pip install -e '.[dev]'")
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    paths = os.pathsep.join(str(root / folder) for folder in ("", *FOLDERS[1:]))
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=root, env=os.environ | {"PYTHONPATH": paths}
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the packages' modules, to be spoiled."""
    root = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / "pyproject.toml", root)
    for path in (p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py")):
        target = root / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return root


def test_every_module_belongs_to_a_stage_and_imports_from_earlier_ones():
    status, out = lint(ROOT)
    assert status == 0, out


@pytest.mark.parametrize(
    ("path", "added", "complaint"),
    [
        ("vadbench/base/errors.py", "from vadbench.cli import output", "vadbench.base is not allowed to import"),
        ("vadbench/metrics/ranking.py", "import vadbench.tables.table", "vadbench.metrics is not allowed to import"),
        ("vadbench/loose.py", "", "vadbench.loose"),
        ("vadbench/harness/run.py", "import vadbench_vadclip", "vadbench is not allowed to import vadbench_vadclip"),
        ("vadbench/base/errors.py", "import vadbench.base.files", "No cycles are allowed in vadbench.base"),
    ],
)  # fmt: skip
def test_an_import_against_the_order_is_found(checkout, path, added, complaint):
    changed = checkout / path
    before = changed.read_text() if changed.exists() else None
    changed.write_text(f"{before or ''}\n{added}\n")
    status, out = lint(checkout)
    if before is None:
        changed.unlink()
    else:
        changed.write_text(before)
    assert status == 1
    assert complaint in " ".join(out.split())


def public_types(path):
    """Names of the public classes and type aliases of a module."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            name = node.name
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
        else:
            continue
        if name[0].isupper() and not name.isupper():
            yield name


def test_a_public_type_name_means_one_thing_in_the_package():
    found = defaultdict(list)
    for path in (ROOT / "vadbench").rglob("*.py"):
        for name in public_types(path):
            found[name].append(path.relative_to(ROOT).as_posix())
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def test_two_modules_of_one_name_are_a_command_and_what_it_runs():
    found = defaultdict(set)
    for path in (ROOT / "vadbench").rglob("*.py"):
        if not path.name.startswith("__") and path.parent != ROOT / "vadbench" / "cli":
            found[path.name].add(path.relative_to(ROOT).as_posix())
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


def test_modules_are_short_enough_to_be_read_at_once():
    lengths = {
        p.relative_to(ROOT).as_posix(): len(p.read_text().splitlines()) for p in (ROOT / "vadbench").rglob("*.py")
    }
    assert {path: lines for path, lines in lengths.items() if lines > 300} == {}
