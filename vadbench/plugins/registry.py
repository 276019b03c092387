"""Finding plugins: entry points of the group ``vadbench``, loaded one by one so that a broken one harms no other."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import pluggy

from vadbench.base.errors import PluginError, UnknownNameError, VadbenchError, one_line
from vadbench.plugins import hookspecs
from vadbench.plugins.hookspecs import NAME, BenchmarkSpec, CommandSpec, DatasetSpec, MethodSpec, ProtocolSpec, Spec
from vadbench.plugins.provenance import OWN, SCRATCH, Provenance, provenance
from vadbench.plugins.targets import import_scratch, load_class

if TYPE_CHECKING:
    from vadbench.base.method_config import MethodConfig
    from vadbench.dataset import Dataset
    from vadbench.method import Method

PluginKind = Literal["method", "dataset", "benchmark", "protocol", "command"]
CORE = "vadbench.scoring"
"""The module of the core that is a plugin as well: it brings the protocol ``native``."""
_FOUNDATIONS = frozenset({OWN, "abc", "builtins", "pydantic", "torch", "typing"})
"""Packages that every plugin builds on, which are not part of keys."""
_imported: dict[tuple[type, str], str] = {}
"""Digest of the files of plugins that are being edited, as they were when they were first asked for."""
HOOKS: dict[PluginKind, tuple[str, type[Spec]]] = {
    "method": ("vadbench_methods", MethodSpec),
    "dataset": ("vadbench_datasets", DatasetSpec),
    "benchmark": ("vadbench_benchmarks", BenchmarkSpec),
    "protocol": ("vadbench_protocols", ProtocolSpec),
    "command": ("vadbench_commands", CommandSpec),
}


@dataclass
class Plugin:
    """A plugin and the outcome of its loading.

    ``error`` is empty where it loaded; otherwise it says why not, and the plugin's specs are left out. ``origin`` is
    the distribution that it belongs to, ``None`` for a scratch plugin.
    """

    name: str
    module: str
    distribution: str
    file: str = ""
    error: str = ""
    origin: Distribution | None = None
    specs: dict[PluginKind, list[Spec]] = field(default_factory=dict)


class Registry:
    """The specs of all plugins that loaded.

    Args:
        points: entry points to load; those of the installed distributions by default.
        files: scratch plugins that are not installed (``--plugin FILE``).
    """

    def __init__(self, points: Iterable[EntryPoint] | None = None, files: Sequence[Path] = ()) -> None:
        self.plugins: list[Plugin] = []
        manager = pluggy.PluginManager("vadbench")
        manager.add_hookspecs(hookspecs)
        self._load(manager, Plugin("native", CORE, OWN), lambda: importlib.import_module(CORE))
        found = sorted(entry_points(group="vadbench") if points is None else points, key=lambda p: (p.name, p.value))
        for point in found:
            distribution = point.dist.name if point.dist else "unknown"
            self._load(manager, Plugin(point.name, point.value, distribution, origin=point.dist), point.load)
        for file in files:
            plugin = Plugin(file.stem, str(file), SCRATCH, str(file))
            self._load(manager, plugin, lambda file=file: import_scratch(file))
            if plugin.error:
                raise PluginError(f"cannot load --plugin {file}: {plugin.error}")

    def specs(self, kind: PluginKind) -> dict[str, Spec]:
        """Return specs by name, without the names that two plugins claim."""
        owners = self._owners(kind)
        return {name: found[0][1] for name, found in sorted(owners.items()) if len(found) == 1}

    def conflicts(self, kind: PluginKind) -> dict[str, list[str]]:
        """Return names claimed more than once, with the distributions that claim them."""
        return {
            name: [f"{p.distribution} ({p.module})" for p, _ in found]
            for name, found in sorted(self._owners(kind).items())
            if len(found) > 1
        }

    def spec(self, kind: PluginKind, name: str) -> Spec:
        """Return one spec.

        Raises:
            UnknownNameError: the name is not registered.
            PluginError: two plugins registered it.
        """
        if claims := self.conflicts(kind).get(name):
            raise PluginError(
                f"{kind} '{name}' is registered by {' and '.join(claims)}; uninstall or rename one of them"
            )
        specs = self.specs(kind)
        if name not in specs:
            raise UnknownNameError(kind, name, specs)
        return specs[name]

    def method(self, name: str) -> type[Method]:
        """Return the class of a method, imported now.

        Raises:
            PluginError: it cannot be imported, or its ``Config`` is another class than the spec names.
        """
        from vadbench.method import Method

        spec = self.spec("method", name)
        found = load_class(spec, Method)
        if _named_config(spec) not in (None, found.Config):
            place = f"{found.Config.__module__}:{found.Config.__qualname__}"
            raise PluginError(f"the Config of method '{name}' is {place}; name this class in its spec, as config")
        return found

    def method_config(self, name: str) -> type[MethodConfig]:
        """Return the settings class of a method; its code is imported only if its spec does not name the class."""
        return _named_config(self.spec("method", name)) or self.method(name).Config

    def version(self, name: str) -> str:
        """Return a method's version for a run's key: the one it declares, with the identity of third-party code.

        A method that builds on one of another package has the version of both.
        """
        from vadbench.base.method_config import MethodConfig

        config = self.method_config(name)
        if self._owner("method", name).distribution == OWN:
            declared = {_top(c.__module__): c.version for c in reversed(config.__mro__) if issubclass(c, MethodConfig)}
            own = declared.pop(_top(config.__module__))
        else:
            from vadbench.method import Method

            kind = self.method(name)
            declared = {_top(c.__module__): c.Config.version for c in reversed(kind.__mro__) if issubclass(c, Method)}
            own = declared.pop(_top(kind.__module__))
        declared.pop(OWN, None)  # of the classes that all methods build on
        return "+".join(filter(None, (own, *declared.values(), self.provenance("method", name).identity)))

    def provenance(self, kind: Literal["method", "dataset"], name: str) -> Provenance:
        """Return the origin of the code of a method or a data set.

        Raises:
            PluginError: its files are not those that this process imported.
        """
        plugin = self._owner(kind, name)
        # The code of vadbench's own methods is not imported for it.
        of_method = self.method_config if plugin.distribution == OWN else self.method
        found: type = self.dataset(name) if kind == "dataset" else of_method(name)
        packages = {_top(base.__module__) for base in found.__mro__} - _FOUNDATIONS
        if plugin.distribution != SCRATCH:
            packages.add(_top(plugin.module))
        if plugin.distribution != OWN:
            # Those of vadbench count by their version.
            packages -= {_top(p.module) for p in self.plugins if p.distribution == OWN}
        scratch = Path(plugin.file) if plugin.distribution == SCRATCH else None
        made = provenance(plugin.origin, packages, scratch)
        if made.edited:
            imported = _imported.setdefault((found, plugin.file), made.digest)
            if imported != made.digest:
                raise PluginError(
                    f"the files of {kind} '{name}' ({plugin.distribution}) changed after they were imported; start"
                    " again, so that what runs is what is recorded"
                )
        return made

    def dataset(self, name: str) -> type[Dataset]:
        """Return the class of a data set, imported now."""
        from vadbench.dataset import Dataset

        found = load_class(self.spec("dataset", name), Dataset)  # type: ignore[type-abstract]
        if found.name != name:
            raise PluginError(f"data set '{name}' names {found.__name__}, which calls itself '{found.name}'")
        return found

    def _owner(self, kind: PluginKind, name: str) -> Plugin:
        self.spec(kind, name)  # raises where there is none, or there are two
        return self._owners(kind)[name][0][0]

    def _owners(self, kind: PluginKind) -> dict[str, list[tuple[Plugin, Spec]]]:
        owners: dict[str, list[tuple[Plugin, Spec]]] = {}
        for plugin in self.plugins:
            for spec in plugin.specs.get(kind, []):
                owners.setdefault(spec.name, []).append((plugin, spec))
        return owners

    def _load(self, manager: pluggy.PluginManager, plugin: Plugin, load: Any) -> None:
        self.plugins.append(plugin)
        # A third party's module may raise anything at all, SystemExit included; the others must still load.
        try:
            # Its output would appear in the middle of a command's own output.
            with redirect_stdout(sys.stderr):
                module: ModuleType = load()
            plugin.file = str(getattr(module, "__file__", "") or plugin.file)
            manager.register(module, name=f"{plugin.distribution}:{plugin.name}")
            for kind, (hook, spec_type) in HOOKS.items():
                caller = manager.subset_hook_caller(hook, [p for p in manager.get_plugins() if p is not module])
                plugin.specs[kind] = _checked(caller(), hook, spec_type)
            if not any(plugin.specs.values()):
                plugin.error = "implements no vadbench hook"
        except (Exception, SystemExit) as error:
            plugin.specs = {}
            # The class says what a third party's error is about; vadbench's own say it themselves.
            named = "" if isinstance(error, VadbenchError) else f"{type(error).__name__}: "
            plugin.error = one_line(f"{named}{error}")


@cache
def installed() -> Registry:
    """Return the registry of the installed plugins."""
    return Registry()


def _checked(results: list[Any], hook: str, spec_type: type[Spec]) -> list[Spec]:
    specs: list[Spec] = []
    for result in results:
        if not isinstance(result, list) or not all(isinstance(s, spec_type) for s in result):
            raise PluginError(f"{hook} must return a list of {spec_type.__name__}, found {result!r}")
        specs.extend(result)
    for spec in specs:
        if not re.fullmatch(NAME, spec.name):
            raise PluginError(f"a name must be letters, digits, '.', '_' and '-', found '{spec.name}'")
    return specs


def _named_config(spec: Spec) -> type[MethodConfig] | None:
    """Return the settings class that the spec of a method names, if it does."""
    from vadbench.base.method_config import MethodConfig

    target = spec.config if isinstance(spec, MethodSpec) else ""
    return load_class(spec, MethodConfig, target) if target else None


def _top(module: str) -> str:
    return module.partition(".")[0]
