"""The commands that look and list, and what the command line may cost."""

import click
import pytest

from command_line import heavy_imports
from vadbench.cli import cli


@pytest.mark.parametrize(
    "arguments", [["--help"], ["list", "methods"], ["list", "datasets"], ["plugins"], ["list", "metrics"]]
)
def test_looking_imports_nothing_heavy(arguments):
    assert not heavy_imports(*arguments)


def test_every_command_explains_itself(vadbench):
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        text = vadbench(name, "--help").out
        assert command.short_help and command.help
        assert "--debug" in text
        assert all(p.help for p in command.params if p.param_type_name == "option"), name


def test_the_built_in_methods_and_data_sets_are_listed(vadbench):
    methods = {m["name"] for m in vadbench("list", "methods", "--json").json}
    assert {"random", "zero-shot", "anomalyclip"} <= methods
    datasets = {d["name"] for d in vadbench("list", "datasets", "--json").json}
    assert {"synthetic", "ucsdped2"} <= datasets
    assert "anomalyclip" in vadbench("list", "methods").out


def test_metrics_are_listed_with_their_definition(vadbench):
    entries = {m["name"]: m["definition"] for m in vadbench("list", "metrics", "--json").json}
    assert {"AUC", "AP", "mAUC", "mAP", "AnoAUC", "FAR", "prevalence"} <= set(entries)
    assert all(len(text) > 40 for text in entries.values())


def test_a_method_shows_every_setting_with_its_meaning(vadbench):
    shown = vadbench("show", "method", "anomalyclip", "--dataset", "ucfcrime", "--json").json
    settings = {s["name"]: s for s in shown["settings"]}
    assert float(settings["recipe.learning_rate"]["value"]) == 1e-5
    assert settings["temporal"]["choices"] == "mlp | short | long | mtn | axial"
    assert all(s["meaning"] for s in shown["settings"]), [s["name"] for s in shown["settings"] if not s["meaning"]]


def test_a_data_set_shows_its_classes_and_files(vadbench):
    shown = vadbench("show", "dataset", "ucsdped2", "--json").json
    assert shown["test videos"] == 18
    assert [c["name"] for c in shown["classes"]] == ["Anomaly", "Normal (normal)"]
    assert "not set" in shown["root"]


def test_plugins_are_shown_with_their_distribution(vadbench):
    entries = {p["name"]: p for p in vadbench("plugins", "--json").json}
    assert entries["baselines"]["status"] == "ok"
    assert entries["baselines"]["distribution"] == "vadbench"
    assert list(entries["baselines"]) == ["name", "kind", "brings", "distribution", "version", "file", "status"]
    assert entries["baselines"]["kind"] == "method" and "zero-shot" in entries["baselines"]["brings"]
    assert entries["baselines"]["version"] == entries["synthetic"]["version"] != "-"


def test_the_doctor_names_what_it_looked_at(vadbench):
    checks = {c["name"]: c for c in vadbench("doctor", "--json").json}
    assert {"python", "torch", "CUDA", "codec h264", "MLflow store", "data synthetic", "disk for runs"} <= set(checks)
    assert checks["torch"]["status"] == "ok"
    assert checks["data ucsdped2"]["status"] == "absent"


def test_extract_finds_videos_in_folders_and_keeps_their_names(vadbench, tmp_path):
    import numpy as np
    from PIL import Image

    from vadbench.data.media import write_video
    from vadbench.features.store import FeatureStore

    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "frames").mkdir()
    for name in ("a.mp4", "sub/a.avi.mp4", "sub/b #1 é.mp4"):
        write_video(tmp_path / "in" / name, (np.full((32, 32, 3), t, np.uint8) for t in range(33)), 10)
    for t in range(20):
        Image.fromarray(np.full((32, 32, 3), t, np.uint8)).save(tmp_path / "in" / "frames" / f"{t}.png")
    arguments = ["extract", str(tmp_path / "in"), "--clip", "small", "--clip-weights", "random:0", "--json"]
    report = vadbench(*arguments, "--out", str(tmp_path / "store")).json
    store = FeatureStore(tmp_path / "store")
    assert set(store.names) == {"a", "sub/a.avi", "sub/b #1 é", "frames"} == set(report["extracted"])
    assert store.rows("a").shape[1] == 3
    assert store.frames("frames") == 20
    again = vadbench(*arguments, "--out", str(tmp_path / "store")).json
    assert again["extracted"] == [] and len(again["present"]) == 4


def test_keep_going_leaves_a_damaged_video_out_and_says_so(vadbench, tmp_path):
    import numpy as np

    from vadbench.data.media import write_video

    write_video(tmp_path / "good.mp4", (np.full((32, 32, 3), t, np.uint8) for t in range(33)), 10)
    (tmp_path / "bad.mp4").write_text("text")
    arguments = [
        "extract",
        str(tmp_path),
        "--clip",
        "small",
        "--clip-weights",
        "random:0",
        "--out",
        str(tmp_path / "s"),
    ]
    report = vadbench(*arguments, "--keep-going", "--json", status=1).json
    assert report["extracted"] == ["good"]
    assert report["failed"][0][0] == "bad"
