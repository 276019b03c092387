import sys
from importlib.metadata import EntryPoint, entry_points

import pytest

from vadbench.errors import PluginError, UnknownNameError
from vadbench.plugins import Registry

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
    from pathlib import Path

    root = Path(__file__).resolve().parents[1]
    folders = {f.parent.name for side in ("methods", "datasets") for f in (root / side).glob("vadbench_*/__init__.py")}
    assert folders == {p.value for p in entry_points(group="vadbench") if p.value.startswith("vadbench_")} & folders
    assert len(folders) >= 4
    assert not list(root.glob("*/__init__.py")) or [p.parent.name for p in root.glob("*/__init__.py")] == ["vadbench"]
