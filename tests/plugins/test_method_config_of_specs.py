"""The settings class of a method: named by its spec, known without torch, the one place of what it says."""

import subprocess
import sys

import pytest

from vadbench.base.errors import PluginError
from vadbench.base.method_config import MethodConfig
from vadbench.method import Method
from vadbench.plugins.registry import Registry, installed

SPEC = """
from vadbench import MethodSpec, hookimpl
from vadbench.method import Method, MethodConfig


class Config(MethodConfig):
    version = "7"


class Mine(Method):
    CONFIG


@hookimpl
def vadbench_methods():
    return [MethodSpec("mine", "for tests", "NAME:Mine"NAMED)]
"""


def scratch(folder, name, config="Config = Config", named=""):
    text = SPEC.replace("CONFIG", config).replace("NAMED", named).replace("NAME", name)
    (folder / f"{name}.py").write_text(text)
    return Registry(points=[], files=[folder / f"{name}.py"])


def test_settings_versions_and_origins_of_the_shipped_methods_are_known_without_torch():
    code = (
        "import sys; from vadbench.plugins.registry import installed; r = installed()\n"
        "print(*(f'{n} {r.method_config(n).__name__} {r.version(n)} {r.provenance(\"method\", n).digest}'\n"
        "        for n in r.specs('method')), sep='\\n')\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    registry = installed()
    for line, name in zip(done.stdout.splitlines(), registry.specs("method"), strict=True):
        kind = registry.method(name)
        bases = [c for c in kind.__mro__ if issubclass(c, Method) and c is not Method]
        # One package, so one version.
        assert {c.__module__.partition(".")[0] for c in bases} == {kind.__module__.partition(".")[0]}
        digest = registry.provenance("method", name).digest
        assert line == f"{name} {kind.Config.__name__} {kind.Config.version} {digest}"


def test_a_spec_may_leave_the_settings_class_out_or_name_it(tmp_path):
    for name, named in (("spec_silent", ""), ("spec_naming", ', config="spec_naming:Config"')):
        registry = scratch(tmp_path, name, named=named)
        assert registry.method_config("mine") is registry.method("mine").Config
        assert registry.version("mine").startswith("7+")


@pytest.mark.parametrize(
    ("name", "named", "words"),
    [
        ("spec_base", "vadbench.base.method_config:MethodConfig", "is spec_base:Config; name this class in its spec"),
        ("spec_method", "spec_method:Mine", "which is not a subclass of MethodConfig"),
        ("spec_nothing", "spec_nothing:Nothing", "cannot be imported"),
    ],
)
def test_a_spec_that_names_another_class_than_the_methods_is_refused(tmp_path, name, named, words):
    registry = scratch(tmp_path, name, named=f', config="{named}"')
    with pytest.raises(PluginError, match=words):
        registry.method("mine")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('version = "2"', "move 'version' to Config.version"),
        ("dataset_defaults = {}", "move 'dataset_defaults' to Config.dataset_defaults"),
        ("needs_training = False", "move 'needs_training' to Config.needs_training"),
        ("def require_classes(self): ...", r"move 'require_classes' to Config.unfit\(self, facts\)"),
    ],
)
def test_a_class_that_still_says_what_its_settings_say_is_refused_in_a_line(tmp_path, line, words):
    with pytest.raises(PluginError, match=words) as found:
        scratch(tmp_path, "spec_old", line)
    assert "\n" not in str(found.value)


def test_what_a_class_inherits_from_outside_is_refused_too():
    class ReadsClasses:
        def named_classes(self):
            return []

    with pytest.raises(PluginError, match=r"move 'named_classes' to Config.named_classes"):
        type("Old", (ReadsClasses, Method), {})


def test_a_method_without_settings_of_its_own_has_those_of_all(tmp_path):
    registry = scratch(tmp_path, "spec_plain", "pass")
    assert registry.method("mine").Config is registry.method_config("mine") is MethodConfig
