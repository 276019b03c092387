"""The benchmark of one's own video runs and says where the time goes."""

import json
import runpy
import sys

from places import ROOT

SCRIPT = ROOT / "benchmarks" / "speed" / "own_video.py"


def test_every_part_is_timed(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    arguments = [SCRIPT, "--seconds", "2", "--repeats", "1", "--json", tmp_path / "a.json"]
    monkeypatch.setattr(sys, "argv", [str(a) for a in arguments])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    printed = capsys.readouterr().out
    taken = json.loads((tmp_path / "a.json").read_text())["seconds_per_video_second"]
    assert [name.split()[0] for name in taken] == ["decode", "encode", "method", "all"]
    assert all(part["wall"] > 0 for part in taken.values())
    assert all(name in printed for name in taken)
