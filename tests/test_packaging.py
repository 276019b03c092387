"""What a user gets from the wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from places import ROOT


@pytest.mark.slow
def test_the_wheel_holds_all_packages_and_their_data_and_nothing_else(tmp_path):
    # A copy, so that building leaves nothing behind in the checkout.
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    for name in filter(None, tracked):
        target = tmp_path / "source" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "-w",
        tmp_path / "wheel",
        tmp_path / "source",
    ]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    packages = {n.split("/")[0] for n in names if not n.split("/")[0].endswith(".dist-info")}
    expected = {p.parent.name for p in ROOT.glob("*/vadbench_*/__init__.py")} | {"vadbench"}
    assert packages == expected
    data = [
        n
        for n in tracked
        if n.split("/")[0] not in ("tests", ".ci")
        and Path(n).suffix in (".json", ".safetensors", ".typed", ".toml", ".csv")
    ]
    inside = [n for n in data if "/" in n]
    assert "vadbench/assets/small_clip.safetensors" in inside
    for name in inside:
        assert name in names or name.partition("/")[2] in names, name


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
