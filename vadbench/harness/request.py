"""What a user asks for: the options of a run, the training to begin from, and the settings that follow from them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vadbench.base.config import ENVIRONMENT_PREFIX, parse_assignment, resolve
from vadbench.base.errors import ConfigError, PluginError, UnknownNameError
from vadbench.base.fields import file_setting
from vadbench.base.locations import DEFAULT_OUT
from vadbench.base.method_config import MethodConfig
from vadbench.base.naming import split_name
from vadbench.base.recipe import LOOK_FIELDS, Recipe
from vadbench.base.spacing import RowSpacing
from vadbench.features.layouts import LayoutName
from vadbench.harness.checkpoints import CheckpointInfo, read_info, trained_config
from vadbench.harness.rules import divide_assignments
from vadbench.plugins.registry import Registry
from vadbench.records.run_names import find_run
from vadbench.scoring.post_steps import canonical_post
from vadbench.scoring.protocol import Protocol


@dataclass(frozen=True)
class Request:
    """The request of a user; the fields are the options of ``vadbench run``, ``assignments`` those that ``assigned_by``
    names in messages.

    ``features`` is the folder of the first stream, ``streams`` has those given by name. With ``dry_run`` nothing is
    extracted and no folder of results is made.

    ``method`` and ``dataset`` may be left out where ``trained`` names a finished run: they are then that run's own.
    """

    method: str | None = None
    dataset: str | None = None
    assignments: Sequence[str] = ()
    assigned_by: str = "--set"
    descriptions: Path | None = None
    config_file: Path | None = None
    protocol_name: str = "native"
    data_root: Path | None = None
    features: Path | None = None
    streams: Mapping[str, Path] = field(default_factory=dict)
    spacings: Mapping[str, RowSpacing] = field(default_factory=dict)
    features_layout: LayoutName | None = None
    crop: str | None = None
    subset: str | None = None
    selection: str | None = None
    post: str | None = None
    partition: str | None = None
    truth: str | None = None
    allow_incomplete: bool = False
    clip_model: str | None = None
    clip_weights: str | None = None
    device: str = "auto"
    out: Path = DEFAULT_OUT
    trained: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class StartingPoint:
    """The names of the method and the data set, and the finished training to evaluate (``--from``), if there is one."""

    method: str
    dataset: str
    trained: Path | None = None
    info: CheckpointInfo | None = None


def starting_point(request: Request) -> StartingPoint:
    """Return the names that the user gives, or those of the run that the user names.

    Raises:
        ConfigError: a name is missing.
        CheckpointError: the run has no checkpoint that can be read.
    """
    trained = find_run(request.trained, request.out).resolve() if request.trained is not None else None
    info = read_info(trained) if trained else None
    method = request.method or (info.method if info else None)
    dataset = request.dataset or (info.dataset if info else None)
    if method is None or dataset is None:
        raise ConfigError("run needs --method and --dataset, or --from with a finished run")
    return StartingPoint(method, dataset, trained, info)


def requested_config(
    request: Request, start: StartingPoint, settings: type[MethodConfig], version: str, defaults: Mapping[str, Any]
) -> MethodConfig:
    """Return the settings of the method, or those that the training to evaluate was made with.

    Raises:
        ConfigError: the method has no such setting, needs a training that they leave out, or the training to evaluate
            was made with others.
        CheckpointError: that training was made with another version of the method.
    """
    if start.info is None:
        assigned = with_descriptions(
            divide_assignments(request.assignments).of_method, request.descriptions, start.method, settings
        )
        config = resolve(settings, defaults, request.config_file, assignments=assigned, assigned_by=request.assigned_by)
    else:
        _require_settings_of_training(request, start.info)
        config = trained_config(start.info, settings, version)
    return config


def require_selection(method: str, rules: Protocol, config: MethodConfig, changed: Sequence[str]) -> None:
    """Raise if a setting was given that does nothing without a selection rule, where a data set's default may stand, or
    a rule without weights to select.

    Raises:
        ConfigError: names the setting or the option.
    """
    if rules.selection == "last":
        for field in LOOK_FIELDS if config.recipe is not None else ():
            if f"recipe.{field}" in changed and getattr(config.recipe, field) != getattr(Recipe(), field):
                raise ConfigError(
                    f"recipe.{field} has no effect with --selection last; choose another rule, or leave it out"
                )
    elif not config.trains:
        raise ConfigError(f"'{method}' is not trained: there are no weights to select; leave --selection out")


def method_post(method: str, config: MethodConfig) -> str:
    """Return the post-processing that a method proposes, in its one spelling.

    Raises:
        PluginError: it is no list of steps.
    """
    proposed: Any = config.post()
    if not isinstance(proposed, str):
        raise PluginError(f"the post() of '{method}' must return text such as 'gaussian(10)', found {proposed!r}")
    try:
        return canonical_post(proposed)
    except (ConfigError, UnknownNameError) as error:
        raise PluginError(f"the post() of '{method}' gives no post-processing: {error}") from error


def with_descriptions(
    assignments: Sequence[str], descriptions: Path | None, name: str, settings: type[MethodConfig]
) -> Sequence[str]:
    """Return the assignments of ``--set``, with ``--descriptions`` as the setting that is read from a file.

    Raises:
        ConfigError: the method reads none, or both give them.
    """
    if descriptions is None:
        return assignments
    if (setting := file_setting(settings)) is None:
        raise ConfigError(f"'{name}' reads no descriptions; leave --descriptions out")
    place = split_name(setting)
    for text in assignments:
        if any(split_name(given)[: len(place)] == place for given, _ in parse_assignment(text)):
            raise ConfigError(f"--descriptions {descriptions} and --set {text} both give descriptions; leave one out")
    return [*assignments, f"{setting}={json.dumps(str(descriptions))}"]


def _require_settings_of_training(request: Request, info: CheckpointInfo) -> None:
    """Raise if other settings are asked for than those that a finished training was made with.

    Raises:
        ConfigError: names what must be left out.
    """
    if request.method not in (None, info.method):
        raise ConfigError(
            f"--from names a run of '{info.method}', --method says '{request.method}'; leave --method out"
        )
    layered = [n for n in os.environ if n.startswith(ENVIRONMENT_PREFIX)]
    own, rules = divide_assignments(request.assignments)
    selects = request.selection or not rules.keys().isdisjoint(("selection", "subset", "judge"))
    if own or selects or request.descriptions or request.config_file or layered:
        raise ConfigError(
            "--from evaluates a finished training with its own settings; leave out --set, --descriptions, --config,"
            f" --selection and variables {ENVIRONMENT_PREFIX}*"
        )


def require_use_of_recipe(name: str, registry: Registry, config: MethodConfig, usual: MethodConfig) -> None:
    """Raise if settings of ``recipe`` were given to a method that is not trained.

    Its class is imported only where they were given and the method's own settings have none.

    Raises:
        ConfigError: it has neither a loss nor a training of its own.
    """
    if config.recipe is None or usual.recipe is not None:
        return
    from vadbench.method import Method

    method = registry.method(name)
    if method.loss is Method.loss and method.fit is Method.fit:
        raise ConfigError(f"'{name}' is not trained: it has no loss that a recipe would be for; leave recipe out")
