"""What the records of the speed benchmarks say about a processor, and the tables that are made of them."""

from __future__ import annotations

import json
import platform
import subprocess
from functools import partial
from types import SimpleNamespace

import pytest

from places import ROOT

SPEED = ROOT / "benchmarks" / "speed"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SPEED))


INTEL = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz
stepping\t: 8
flags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16 amx_tile amx_int8

processor\t: 1
vendor_id\t: GenuineIntel
flags\t\t: another
"""
ARM = """processor\t: 0
Features\t: fp asimd sve bf16
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd4f
CPU revision\t: 1
"""


@pytest.mark.parametrize(
    ("described", "expected", "name"),
    [
        (
            INTEL,
            ("Intel", "6", "143", "8", ["avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8"]),
            "speed-intel-family6-model143-2threads-fp32.json",
        ),
        (
            ARM,
            ("Arm", "8", "0xd4f", "1", ["asimd", "sve", "bf16"]),
            "speed-arm-family8-model0xd4f-2threads-fp32.json",
        ),
        ("", ("unknown",) * 4 + ([],), "speed-unknown-familyunknown-modelunknown-2threads-fp32.json"),
    ],
)
def test_a_processor_is_known_by_vendor_family_and_model(tmp_path, described, expected, name):
    import machine

    (tmp_path / "cpuinfo").write_text(described)
    for index, (level, kind, size) in enumerate([("1", "Data", "48K"), ("2", "Unified", "1024K")]):
        folder = tmp_path / "cpu0" / "cache" / f"index{index}"
        folder.mkdir(parents=True)
        for file, text in (("level", level), ("type", kind), ("size", size)):
            (folder / file).write_text(f"{text}\n")
    found = machine.processor(tmp_path / "cpuinfo", tmp_path)
    assert tuple(found[key] for key in ("vendor", "family", "model", "stepping", "flags")) == expected
    assert found["caches_kib"] == {"L1d": 48, "L2": 1024}
    assert machine.file_name({"machine": found, "threads": 2, "device": "cpu"}, "fp32") == name
    on_gpu = machine.file_name({"machine": found, "threads": 2, "device": "NVIDIA X"}, "fp32")
    assert on_gpu == name.replace("speed-", "speed-nvidia-x-")


def test_a_record_names_the_processor_the_build_and_the_rates_but_no_host():
    import machine
    import torch

    made_on = machine.environment(torch.device("cpu"))
    assert made_on["machine"] == machine.processor() and made_on["machine"]["cores"] >= 1
    assert made_on["torch_build"].keys() == {"MKL", "oneDNN", "instructions"}
    rates = dict(made_on["rates"])
    assert list(rates) == ["convolution", "matrix product", "linear layer", "bf16", "GB/s"]
    has_bf16 = {"avx512_bf16", "amx_bf16", "bf16"} & set(made_on["machine"]["flags"])
    assert (rates.pop("bf16") is not None) == bool(has_bf16)
    assert all(0.1 < rate < 100_000 for rate in rates.values())
    line = machine.words(made_on)
    assert line.startswith(machine.title(made_on)) and "\n" not in line
    assert f"convolution {rates['convolution']:.0f}," in line and f"memory {rates['GB/s']:.0f} GB/s" in line
    if len(platform.node()) > 3:
        assert platform.node() not in json.dumps(made_on) + line


def test_longer_work_is_called_less_often():
    from measuring import rounds

    def calls(seconds, quick=False):
        made = []

        def call():
            made.append(0)
            return [(len(made), seconds), (0, seconds)]

        return [ours for (ours, _), _ in rounds(call, quick)]

    assert calls(3) == [2, 3, 4, 5, 6], "the first does not count"
    assert calls(5) == [1, 2, 3]
    assert calls(61) == calls(1, quick=True) == [1]


def test_sides_take_turns_and_say_what_they_know(tmp_path):
    from turns import Turn, in_turns

    def side(letter):
        write = partial(subprocess.run, ["sh", "-c", f"printf {letter} >> {tmp_path / 'order'}"], check=True)
        return Turn, (write, partial(dict, side=letter))

    taken = in_turns(1, [side("a"), side("b")])
    assert (tmp_path / "order").read_text() == "ab" * 6
    assert [one.facts for one in taken] == [{"side": "a"}, {"side": "b"}]
    assert all(len(one.seconds) == 5 and min(map(min, one.seconds)) > 0 for one in taken)


def record(model, works):
    """A record of two works on a processor: seconds of ours and of the literal version."""
    figures = [
        {
            "work": work,
            "wall": 1.0,
            "cpu": sorted(ours)[len(ours) // 2],
            "calls": [[1.0, cpu] for cpu in ours],
            "peak_gb": 0.5,
            "gpu_gb": 0.0,
            "floor": floor,
            "literal": None if literal is None else {"calls": [[2.0, cpu] for cpu in literal]},
        }
        for work, ours, literal, floor in works
    ]
    caches = {"L1d": 48}
    machine = {"vendor": "AMD", "family": "26", "model": model, "stepping": "1", "name": "AMD EPYC"}
    rates = {"convolution": 240.0, "matrix product": 110.0, "linear layer": 220.0, "bf16": None, "GB/s": 20.0}
    return {
        "settings": {"full": False, "quick": False, "device": "cpu", "precision": "fp32"},
        "figures": figures,
        "growth": {},
        "seconds": 1500.0,
        "environment": {
            "machine": machine | {"flags": ["avx2"], "cores": 2, "caches_kib": caches},
            **{"threads": 2, "device": "cpu", "commit": "0123456789", "packages": {"torch": "2.15.0"}},
            **{"torch_build": {"MKL": "1", "oneDNN": "2"}, "rates": rates, "load": [0.1, 0.1, 0.1]},
        },
    }


def cells(table):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]


def test_processors_stand_side_by_side_as_ratios_alone():
    import merged

    step = ("step", [4.0, 3.0, 5.0], [10.0, 10.0, 10.0], 2.0)
    records = [record("2", [step, ("day", [90.0], None, 60.0)]), record("17", [("step", [8.0], [10.0], 5.0)])]
    heads, _, *rows = cells(merged.ratios(records))
    assert heads == [
        "work",
        "AMD family 26 model 2, 2 threads: share of literal",
        "AMD family 26 model 2, 2 threads: times floor",
        "AMD family 26 model 17, 2 threads: share of literal",
        "AMD family 26 model 17, 2 threads: times floor",
    ]
    assert rows == [
        ["step", "40.0% (30.0%-50.0%)", "2 (1.5-2.5)", "80.0% (once)", "1.6 (once)"],
        ["day", "-", "1.5 (once)", "-", "-"],
    ]
    heads, _, *rows = cells(merged.compared(records[0]))
    assert heads == ["work", "wall s", "CPU s", "literal CPU s", "share", "floor CPU s", "times floor", "peak GB"]
    assert rows[0] == [*("step", "1 (1-1)", "4 (3-5)", "10 (10-10)", "40.0% (30.0%-50.0%)", "2", "2 (1.5-2.5)", "0.50")]


def test_each_size_of_a_curve_that_bends_is_shown():
    import merged

    made = record("2", [])
    sizes = {"sizes": [29, 290, 2900], "wall": [1.0] * 3, "cpu": [0.1, 0.5, 6.0], "exponent": 1.08}
    memory = {"inputs_gb": [0.001, 0.013, 0.133], "peak_gb": [0.002, 0.018, 0.107], "gpu_gb": [0.0] * 3}
    made["growth"] = {"metrics with intervals, videos": sizes | memory}
    curves, points = merged.compared(made).split("\n\n")
    assert cells(curves)[2] == ["metrics with intervals, videos", "29 to 2,900", "1.08", "6", "0.133", "0.107"]
    assert cells(points)[2:] == [
        ["29", "0.1", "0.2", "1", "2"],
        ["290", "0.5", "1", "13", "18"],
        ["2,900", "6", "12", "133", "107"],
    ]


def test_a_page_without_its_marks_is_refused():
    import merged

    text = merged.README.read_text(encoding="utf-8")
    new = merged.filled(text, "ratios", "new")
    assert new != text and new.count("\n\nnew\n\n") == 1
    assert merged.filled(new, "ratios", "other") == merged.filled(text, "ratios", "other")
    with pytest.raises(ValueError, match="must hold the lines"):
        merged.filled("no marks", "ratios", "new")


def test_the_page_shows_the_committed_records():
    import merged

    for path, text in merged.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run python benchmarks/speed/merged.py"


def test_precision_compares_the_same_seeds(tmp_path, monkeypatch, capsys):
    """Areas and seconds are made up; a real step in bf16 is done."""
    import precision
    from turns import Taken

    def run(method, dataset, *, seed, settings, **_):
        assert (method, dataset) == ("mil", "synthetic")
        area = 0.9 + 0.01 * seed - (0.02 * (seed + 1) if "recipe.precision" in settings else 0)
        return SimpleNamespace(record=SimpleNamespace(metrics={"AUC": SimpleNamespace(value=area)}))

    def in_turns(threads, sides, quick):
        for make, arguments in sides:
            make(*arguments).call()
        return [Taken([(1.0, 2.0), (1.0, 4.0)], {}), Taken([(1.0, 1.0), (1.0, 1.0)], {})]

    monkeypatch.setattr(precision.vadbench, "run", run)
    monkeypatch.setattr(precision, "in_turns", in_turns)
    file = tmp_path / "figures.json"
    options = ["mil", "--seeds", "2", "--threads", "1", "--quick", "--json", str(file)]
    monkeypatch.setattr("sys.argv", ["precision.py", *options])
    precision.main()
    row = cells(capsys.readouterr().out.strip().split("\n\n")[1])[2]
    assert row == ["mil", "90.50 ± 0.71", "87.50 ± 0.71", "-3.00 (-4.00 to -2.00)", "0.38 (0.25-0.50)"]
    found = json.loads(file.read_text())
    assert found["figures"][0]["auc"] == {"fp32": [0.9, 0.91], "bf16": pytest.approx([0.88, 0.87])}
    assert "machine" in found["environment"] and found["settings"]["precision"] == "bf16"
