"""The benchmark of one's own video runs and says where the time goes."""

import json
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "speed" / "own_video.py"


def test_every_part_is_timed(tmp_path):
    command = [sys.executable, "-W", "error", SCRIPT, "--seconds", "2", "--repeats", "1", "--json", tmp_path / "a.json"]
    found = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False, env=os.environ)
    assert found.returncode == 0, found.stderr
    taken = json.loads((tmp_path / "a.json").read_text())["seconds_per_video_second"]
    assert [name.split()[0] for name in taken] == ["decode", "encode", "method", "all"]
    assert all(0 < part["wall"] < 30 for part in taken.values())
    assert all(name in found.stdout for name in taken)
