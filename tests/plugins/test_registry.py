import ast
import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest
from click.testing import CliRunner

import vadbench
from places import ROOT
from vadbench.base.errors import PluginError, UnknownNameError
from vadbench.cli import cli
from vadbench.metrics.localization import localisation_rule
from vadbench.plugins.registry import Registry
from vadbench.scoring.protocol import protocol, protocols

GOOD = """
from vadbench import MethodSpec, hookimpl
@hookimpl
def vadbench_methods():
    return [MethodSpec("{name}", "a method", "{module}:Nothing")]
"""


@pytest.fixture
def points(tmp_path, monkeypatch):
    """Entry points made from source text: a third party's packages."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def make(**sources):
        for name, source in sources.items():
            (tmp_path / f"{name}.py").write_text(source)
            made.append(name)
        return [EntryPoint(n, n, "vadbench") for n in sources]

    yield make
    for name in made:
        sys.modules.pop(name, None)


def test_broken_plugins_are_reported_and_the_others_load(points):
    registry = Registry(
        points(
            plug_good=GOOD.format(name="good", module="plug_good"),
            plug_raises="raise RuntimeError('no luck')",
            plug_exits="import sys; sys.exit(3)",
            plug_needs="import a_package_that_is_not_there",
            plug_garbage="from vadbench import hookimpl\n@hookimpl\ndef vadbench_methods(): return [42]",
            plug_nothing="x = 1",
            plug_argument="from vadbench import hookimpl\n@hookimpl\ndef vadbench_methods(wrong): return []",
        )
    )
    assert list(registry.specs("method")) == ["good"]
    errors = {p.name: p.error for p in registry.plugins}
    assert errors["plug_good"] == ""
    assert "no luck" in errors["plug_raises"]
    assert "SystemExit" in errors["plug_exits"]
    assert "a_package_that_is_not_there" in errors["plug_needs"]
    assert "must return a list of MethodSpec, found [42]" in errors["plug_garbage"]
    assert "no vadbench hook" in errors["plug_nothing"]
    assert "wrong" in errors["plug_argument"]


def test_what_a_plugin_prints_while_it_loads_is_kept_off_the_output(points, capsys):
    Registry(points(plug_loud="print('hello')\n" + GOOD.format(name="loud", module="plug_loud")))
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "hello\n")


def test_a_name_claimed_twice_is_refused_with_both_named(points):
    registry = Registry(
        points(
            plug_one=GOOD.format(name="same", module="plug_one"),
            plug_two=GOOD.format(name="same", module="plug_two"),
            plug_three=GOOD.format(name="other", module="plug_three"),
        )
    )
    assert list(registry.specs("method")) == ["other"]
    with pytest.raises(PluginError, match=r"plug_one.*plug_two"):
        registry.spec("method", "same")


def test_unknown_names_are_offered_close_ones():
    with pytest.raises(UnknownNameError, match="did you mean 'anomalyclip'"):
        Registry().method("anomalyclop")


@pytest.mark.parametrize(
    ("source", "words"), [("", "cannot be imported"), ("Nothing = int", "not a subclass of Method")]
)
def test_a_target_that_is_no_method_is_refused(points, source, words):
    registry = Registry(points(plug_target=GOOD.format(name="t", module="plug_target") + source))
    with pytest.raises(PluginError, match=words):
        registry.method("t")


def test_a_scratch_file_is_a_plugin(tmp_path):
    file = tmp_path / "scratch_plugin_a.py"
    file.write_text(
        GOOD.format(name="scratch", module="scratch_plugin_a")
        + "\nfrom vadbench.method import Method\nclass Nothing(Method): ..."
    )
    assert Registry(files=[file]).method("scratch").__name__ == "Nothing"


@pytest.mark.parametrize(("name", "words"), [("absent.py", "no such file"), ("json.py", "rename")])
def test_a_scratch_file_that_cannot_be_used_is_an_error(tmp_path, name, words):
    import json  # noqa: F401 - the name must be taken

    if name == "json.py":
        (tmp_path / name).write_text("x = 1")
    with pytest.raises(PluginError, match=words):
        Registry(files=[tmp_path / name])


def test_every_built_in_plugin_folder_is_an_entry_point():
    folders = {f.parent.name for side in ("methods", "datasets") for f in (ROOT / side).glob("vadbench_*/__init__.py")}
    assert folders == {p.value for p in entry_points(group="vadbench") if p.value.startswith("vadbench_")} & folders
    assert len(folders) >= 4
    assert not list(ROOT.glob("*/__init__.py")) or [p.parent.name for p in ROOT.glob("*/__init__.py")] == ["vadbench"]


BROKEN = {
    "vadbench-raises": ("raise RuntimeError('no luck')", "RuntimeError: no luck"),
    "vadbench-exits": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "vadbench-needs": ("import a_package_that_is_not_there", "No module named 'a_package_that_is_not_there'"),
    "vadbench-garbage": (
        "from vadbench import hookimpl\n@hookimpl\ndef vadbench_methods(): return {'mine': 42}",
        "must return a list of MethodSpec, found {'mine': 42}",
    ),
    "vadbench-syntax": ("def", "SyntaxError"),
    "vadbench-nothing": ("x = 1", "implements no vadbench hook"),
    "vadbench-absent": (None, "ModuleNotFoundError"),
    "vadbench-copy": (GOOD.format(name="anomalyclip", module="vadbench_copy"), "name claimed twice: anomalyclip"),
}
"""Distributions of third parties: the text of their module, and what is said of them."""


@pytest.fixture
def site(tmp_path):
    """A folder into which the broken distributions and a good one are installed, metadata and all."""
    good = {"vadbench-good": (GOOD.format(name="good", module="vadbench_good"), "ok")}
    for name, (source, _) in (BROKEN | good).items():
        module = name.replace("-", "_")
        if source is not None:
            (tmp_path / f"{module}.py").write_text(source)
        metadata = tmp_path / f"{module}-1.2.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (metadata / "entry_points.txt").write_text(f"[vadbench]\n{module} = {module}\n")
    return tmp_path


def call(site, *arguments):
    """The command line in a process of its own, in an environment that has what ``site`` holds."""
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))}
    command = [sys.executable, "-P", "-m", "vadbench", *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True)


def test_installed_plugins_that_are_broken_are_each_reported(site):
    done = call(site, "plugins", "--json")
    assert done.returncode == 1
    entries = {e["distribution"]: e for e in json.loads(done.stdout) if e["version"] == "1.2"}
    assert entries.keys() == BROKEN.keys() | {"vadbench-good"}
    for name, (_, words) in BROKEN.items():
        assert words in entries[name]["status"], name
        assert entries[name]["name"] == name.replace("-", "_")
    good = entries["vadbench-good"]
    assert (good["status"], good["kind"], good["brings"]) == ("ok", "method", "good")
    assert good["file"] == str(site / "vadbench_good.py")
    table = call(site, "plugins")
    assert table.returncode == 1 and "no luck" in table.stdout and "1.2" in table.stdout


def test_installed_plugins_that_are_broken_take_nothing_down(site):
    done = call(site, "list", "methods", "--json")
    assert done.returncode == 0, done.stderr
    methods = {m["name"] for m in json.loads(done.stdout)}
    # Two plugins claim it, so it is neither's.
    assert methods >= {"good", "random", "vadclip"} and "anomalyclip" not in methods
    for name in BROKEN.keys() - {"vadbench-copy"}:
        assert f"of {name} is left out" in done.stderr
    assert "method anomalyclip is left out, it is registered by" in done.stderr
    assert call(site, "list", "datasets").returncode == 0
    assert call(site, "--help").returncode == 0
    chosen = call(site, "show", "method", "anomalyclip")
    assert chosen.returncode == 2
    assert "vadbench-copy (vadbench_copy)" in chosen.stderr and "vadbench (vadbench_anomalyclip)" in chosen.stderr


def test_a_scratch_plugin_is_shown_with_its_hash(tmp_path):
    file = tmp_path / "scratch_plugin_b.py"
    file.write_text(GOOD.format(name="scratch", module="scratch_plugin_b"))
    done = call(tmp_path, "plugins", "--plugin", str(file), "--json")
    (entry,) = [e for e in json.loads(done.stdout) if e["distribution"] == "--plugin"]
    assert entry["brings"] == "scratch" and entry["status"] == "ok" and len(entry["version"]) == 12
    file.write_text(GOOD.format(name="random", module="scratch_plugin_b"))
    done = call(tmp_path, "plugins", "--plugin", str(file))
    assert done.returncode == 1 and done.stdout.count("name claimed twice: random") == 2
    file.write_text("raise RuntimeError('no luck')")
    done = call(tmp_path, "plugins", "--plugin", str(file))
    assert done.returncode == 2 and "no luck" in done.stderr


def test_the_core_names_no_method_of_a_paper():
    """Its code knows file layouts by a paper's name, as they circulate, and nothing else."""
    core = Path(vadbench.__file__).parent
    found = {
        path.relative_to(core).as_posix()
        for path in core.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in ("anomalyclip", "vadclip", "general")
    }
    assert found == {"cli/options.py", "features/layout_detection.py", "features/layouts.py"}


COMMAND = """
import click
from vadbench import CommandSpec, hookimpl

@hookimpl
def vadbench_commands():
    return [CommandSpec("{name}", "Say hello.", "{target}:hello")]

@click.command("hello")
def hello():
    click.echo("hello")
"""


@pytest.fixture
def commands(points, monkeypatch):
    """The command line with commands of a third party's packages: what a call printed, and its exit status."""

    def make(**sources):
        registry = Registry(points(**sources))
        monkeypatch.setattr("vadbench.plugins.registry.installed", lambda: registry)
        return lambda *arguments: CliRunner().invoke(cli, arguments)

    return make


def test_a_plugin_brings_a_command(commands):
    call = commands(
        plug_hello=COMMAND.format(name="hello", target="plug_hello"),
        plug_broken="raise RuntimeError('no luck')",
        plug_absent=COMMAND.format(name="absent", target="a_package_that_is_not_there"),
    )
    shown = call("--help").output
    assert "Say hello." in shown and "  absent" in shown and "  run " in shown
    assert "a_package_that_is_not_there" not in sys.modules
    assert call("hello").output == "hello\n" and call("hello", "--debug").exit_code == 0
    assert "did you mean 'hello'" in call("helo").output.lower()
    with pytest.raises(PluginError, match="'absent' names a_package_that_is_not_there:hello, which cannot be imported"):
        raise call("absent").exception


def test_a_command_is_never_taken_for_one_of_the_core_or_of_another_plugin(commands):
    call = commands(
        plug_run=COMMAND.format(name="run", target="plug_run"),
        plug_one=COMMAND.format(name="same", target="plug_one"),
        plug_two=COMMAND.format(name="same", target="plug_two"),
    )
    shown = call("--help").output
    assert shown.count("  run ") == 1 and "Say hello." not in shown
    assert "Train and evaluate" in call("run", "--help").output
    with pytest.raises(PluginError, match=r"command 'same' is registered by .*plug_one.*plug_two"):
        raise call("same").exception


def test_a_command_called_as_one_of_the_core_is_reported(tmp_path):
    file = tmp_path / "scratch_plugin_c.py"
    file.write_text(COMMAND.format(name="run", target="scratch_plugin_c"))
    done = call(tmp_path, "plugins", "--plugin", str(file), "--json")
    (entry,) = [e for e in json.loads(done.stdout) if e["distribution"] == "--plugin"]
    assert done.returncode == 1
    assert (entry["kind"], entry["status"]) == ("command", "name claimed twice: run")


def test_help_lists_commands_of_plugins_without_torch():
    code = (
        "import sys; from vadbench.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        "sys.exit('torch' in sys.modules or 'pydantic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "descriptions " in done.stdout, done.stderr


PROTOCOL = """
from vadbench import ProtocolSpec, hookimpl
from vadbench.scoring.protocol import Protocol, ProtocolPreset

@hookimpl
def vadbench_protocols():
    return [ProtocolSpec("mine", "a protocol", "{module}:MINE"{more})]

MINE = ProtocolPreset(Protocol(name="{name}", tail="rows"), crops={{"ucfcrime": "3"}})
"""


def test_a_plugin_brings_a_protocol(points):
    registry = Registry(points(plug_rules=PROTOCOL.format(module="plug_rules", name="mine", more="")))
    assert list(registry.specs("protocol")) == ["mine", "native"]
    assert protocol("mine", registry).on("ucfcrime").crop == "3"
    assert protocol("mine", registry).on("xdviolence", selection="validation").model_dump(
        include={"name", "tail", "crop", "selection"}
    ) == {"name": "mine", "tail": "rows", "crop": "center", "selection": "validation"}
    assert list(protocols(registry)) == ["native", "mine"]
    with pytest.raises(UnknownNameError, match="unknown protocol 'mien'; did you mean 'mine'"):
        protocol("mien", registry)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (PROTOCOL.format(module="plug_odd", name="yours", more=""), "rules that call themselves 'yours'"),
        (PROTOCOL.format(module="plug_odd", name="mine", more="") + "MINE = 3", "is not a ProtocolPreset"),
        (PROTOCOL.format(module="plug_absent", name="mine", more=""), "cannot be imported"),
    ],
)
def test_a_protocol_that_cannot_be_used_is_refused_and_harms_no_other(points, source, words):
    registry = Registry(points(plug_odd=source))
    with pytest.raises(PluginError, match=words):
        protocol("mine", registry)
    assert list(protocols(registry)) == ["native"]


def test_a_rule_of_localisation_that_nobody_brings_is_named(points, monkeypatch):
    own = ', localization="plug_rule:Rule"'
    source = PROTOCOL.format(module="plug_rule", name="mine", more=own)
    source += "\nfrom vadbench.metrics.localization import Localisation\nclass Rule(Localisation): ...\n"
    registry = Registry(points(plug_rule=source, plug_bare=PROTOCOL.replace('"mine"', '"bare"').format(
        module="plug_bare", name="bare", more="")))  # fmt: skip
    monkeypatch.setattr("vadbench.scoring.protocol.installed", lambda: registry)
    assert localisation_rule("mine").__name__ == "Rule" and localisation_rule("native").__name__ == "Localisation"
    with pytest.raises(PluginError, match="'bare' brings no rule of localisation"):
        localisation_rule("bare")
    with pytest.raises(PluginError, match="'vadclip' comes with the protocol 'vadclip', which no installed plugin"):
        localisation_rule("vadclip")


def test_the_rules_of_a_paper_take_no_torch():
    code = (
        "import sys; from vadbench.metrics.localization import localisation_rule as rule;"
        " from vadbench.scoring.protocol import protocols;"
        " assert rule('vadclip').__module__.startswith('vadbench_vadclip') and len(protocols()) > 2;"
        " assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_protocols_are_listed_with_where_they_come_from(tmp_path):
    done = call(tmp_path, "list", "protocols", "--json")
    found = {p["name"]: p for p in json.loads(done.stdout)}
    assert found.keys() >= {"native", "anomalyclip", "vadclip"}
    assert "AAAI 2024" in found["vadclip"]["paper"] and found["native"]["summary"]
