"""From names and options to everything a run needs, checked before anything expensive starts."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from vadbench.checkpoints import CheckpointInfo, read_info
from vadbench.clip import SMALL, Clip, ClipSource, load_clip
from vadbench.config import ENVIRONMENT_PREFIX, MethodConfig, Settings, flatten, resolve
from vadbench.dataset import Dataset, Progress, silent
from vadbench.environment import choose_device
from vadbench.errors import CheckpointError, ConfigError
from vadbench.features.given import GivenFeatures
from vadbench.features.layouts import Layout
from vadbench.features.provision import Provision, provide
from vadbench.files import make_folder
from vadbench.locations import DEFAULT_OUT, cache_root, find_data_root
from vadbench.method import Method
from vadbench.plugins import Registry
from vadbench.protocols import MAXIMUM, Protocol, protocol
from vadbench.runs import find_run

SMALL_CLIP_NOTE = (
    "features come from the small CLIP embedded in vadbench, trained on rendered scenes: the figures compare methods"
    " on this data, they say nothing about the published encoders"
)


@dataclass(frozen=True)
class Request:
    """What a user asks for; the fields are the options of ``vadbench run``.

    ``method`` and ``dataset`` may be left out where ``trained`` names a finished run: they are then that run's own.
    """

    method: str | None = None
    dataset: str | None = None
    assignments: Sequence[str] = ()
    descriptions: Path | None = None
    config_file: Path | None = None
    protocol_name: str = "native"
    data_root: Path | None = None
    features: Path | None = None
    features_layout: Layout | None = None
    crop: str | None = None
    subset: str | None = None
    selection: str | None = None
    allow_incomplete: bool = False
    clip_model: str | None = None
    clip_weights: str | None = None
    device: str = "auto"
    out: Path = DEFAULT_OUT
    trained: str | None = None


@dataclass(frozen=True)
class Experiment:
    """Everything that is the same for all seeds of a method on a data set.

    ``changed`` is as in :class:`vadbench.runs.RunRecord`. ``trained`` is the folder of a finished training to evaluate
    instead of training (``--from``).
    """

    method_name: str
    method: type[Method]
    version: str
    config: MethodConfig
    dataset: Dataset
    provision: Provision
    clip: Clip
    protocol: Protocol
    changed: Sequence[str]
    device: torch.device
    out: Path
    trained: Path | None = None

    @property
    def precision(self) -> str:
        """Arithmetic of training and scoring."""
        return self.config.recipe.precision if self.config.recipe else "fp32"

    @property
    def fingerprint(self) -> dict[str, Any]:
        return self.provision.fingerprint.to_dict()

    @property
    def clip_source(self) -> dict[str, str]:
        return dataclasses.asdict(self.clip.source) | {"sha256": self.clip.weights_sha256}

    def notes(self) -> list[str]:
        """What a reader of the results must know before comparing them."""
        return [*clip_notes(self.clip.source), *self.provision.notes]


def open_experiment(request: Request, registry: Registry, progress: Progress = silent) -> Experiment:
    """Resolve names, settings, device, CLIP, data and features.

    Raises:
        VadbenchError: whatever cannot be resolved, cheapest checks first.
    """
    trained = find_run(request.trained, request.out).resolve() if request.trained is not None else None
    info = read_info(trained) if trained else None
    method_name = request.method or (info.method if info else None)
    dataset_name = request.dataset or (info.dataset if info else None)
    if method_name is None or dataset_name is None:
        raise ConfigError("run needs --method and --dataset, or --from with a finished run")
    method, dataset_class = registry.method(method_name), registry.dataset(dataset_name)
    version = registry.version(method_name)
    defaults = method.dataset_defaults.get(info.dataset if info else dataset_name, {})
    if info is not None:
        config = _config_of(info, method, version, request)
    else:
        config = resolve(method.Config, defaults, request.config_file, assignments=_assignments(request, method))
    rules = protocol(
        request.protocol_name,
        dataset_class.paper_crops,
        crop=request.crop,
        subset=request.subset,
        selection=info.selection if info else request.selection,
    )
    if not config.trains and rules.selection != "last":
        raise ConfigError(f"'{method_name}' is not trained: there are no weights to select; leave --selection out")
    if request.features is None and request.features_layout is not None:
        raise ConfigError("--features-layout says how the files in --features lie; give both")
    device = choose_device(request.device)
    make_folder(request.out)
    root = find_data_root(dataset_name, dataset_class.makes_itself, request.data_root)
    clip = load_clip(_clip_source(request, info), device)
    dataset = dataset_class(root)
    provision = provide(
        dataset,
        config.rows,
        clip,
        cache_root(),
        rules,
        None if request.features is None else GivenFeatures(request.features, request.features_layout),
        crop_asked=request.crop is not None,
        allow_incomplete=request.allow_incomplete,
        progress=progress,
    )
    if provision.fingerprint.regions:
        rules = rules.model_copy(update={"crop": MAXIMUM})
    named = protocol(request.protocol_name, dataset_class.paper_crops)
    changed = [
        *_changed(config, resolve(method.Config, defaults, environment={})),
        *(f"protocol.{name}" for name in _changed(rules, named)),
    ]
    return Experiment(
        method_name, method, version, config, dataset, provision, clip, rules, changed, device, request.out, trained
    )


def _changed(settings: Settings, usual: Settings) -> list[str]:
    known = dict(flatten(usual.model_dump(mode="json")))
    return [
        name for name, value in flatten(settings.model_dump(mode="json")) if name not in known or known[name] != value
    ]


def _assignments(request: Request, method: type[Method]) -> Sequence[str]:
    """What ``--set`` says, and ``--descriptions`` as a setting."""
    if request.descriptions is None:
        return request.assignments
    if "descriptions" not in method.Config.model_fields:
        raise ConfigError(f"'{request.method}' reads no descriptions; leave --descriptions out")
    return [*request.assignments, f"descriptions={json.dumps(str(request.descriptions))}"]


def _config_of(info: CheckpointInfo, method: type[Method], version: str, request: Request) -> MethodConfig:
    """The settings a finished training was made with; nothing else may be asked for."""
    if request.method not in (None, info.method):
        raise ConfigError(
            f"--from names a run of '{info.method}', --method says '{request.method}'; leave --method out"
        )
    layered = [n for n in os.environ if n.startswith(ENVIRONMENT_PREFIX)]
    if request.assignments or request.descriptions or request.config_file or request.selection or layered:
        raise ConfigError(
            "--from evaluates a finished training with its own settings; leave out --set, --descriptions, --config,"
            f" --selection and variables {ENVIRONMENT_PREFIX}*"
        )
    if version != info.version:
        raise CheckpointError(
            f"the run was made with version {info.version} of '{info.method}', installed is {version}; train again"
        )
    try:
        return method.Config.model_validate(info.config)
    except ValidationError as error:
        raise CheckpointError(f"the run's settings do not fit '{info.method}': {error.errors()[0]['msg']}") from error


def clip_notes(source: ClipSource) -> list[str]:
    """What must be said of features made by CLIPs that no paper uses."""
    if source.weights.startswith("random:"):
        return ["features come from an untrained CLIP: this is a control, not a result"]
    return [SMALL_CLIP_NOTE] if source.model == SMALL else []


def clip_source(model: str | None, weights: str | None) -> ClipSource:
    """The CLIP that ``--clip`` and ``--clip-weights`` name; the embedded small one where neither does."""
    if model is None and weights is not None:
        return ClipSource("", weights)
    return ClipSource(model or SMALL, weights or "")


def _clip_source(request: Request, info: CheckpointInfo | None) -> ClipSource:
    if info is not None and request.clip_model is None and request.clip_weights is None:
        return ClipSource(info.clip.model, info.clip.weights)
    return clip_source(request.clip_model, request.clip_weights)
