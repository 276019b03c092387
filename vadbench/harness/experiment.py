"""From names and options to everything a run needs, checked before anything expensive starts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from vadbench.base.config import ENVIRONMENT_PREFIX, resolve
from vadbench.base.errors import CheckpointError, ConfigError
from vadbench.base.fields import file_setting
from vadbench.base.files import make_folder
from vadbench.base.locations import DEFAULT_OUT, cache_root, find_data_root, without_folders
from vadbench.base.method_config import MethodConfig
from vadbench.base.naming import changed_names
from vadbench.base.types import Progress, silent
from vadbench.clip import SMALL, Clip, ClipSource, TextTower, load_clip
from vadbench.clip.weights import is_file
from vadbench.dataset import Dataset
from vadbench.features.crops import MAXIMUM, training_notes
from vadbench.features.layouts import LayoutName
from vadbench.harness.checkpoints import CheckpointInfo, read_info, trained_config
from vadbench.harness.environment import choose_device
from vadbench.harness.given_features import GivenFeatures
from vadbench.harness.provision import Provision, provide
from vadbench.method import Method, require_trainable
from vadbench.metrics.localization import localisation_rule
from vadbench.plugins.provenance import Provenance
from vadbench.plugins.registry import Registry
from vadbench.records.folders import find_run
from vadbench.records.record import weights_name
from vadbench.scoring.protocol import Protocol, protocol

SMALL_CLIP_NOTE = (
    "features come from the small CLIP embedded in vadbench, trained on rendered scenes: the figures compare methods"
    " on this data, they say nothing about the published encoders"
)

SMALL_TEXT_NOTE = (
    "text of the small CLIP: texts are encoded by the one embedded in vadbench, trained on captions of rendered scenes;"
    " the figures say nothing about the published encoders"
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
    features_layout: LayoutName | None = None
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

    ``version`` and ``code`` say whose code the method and the data set are; both are part of keys. ``changed`` is as in
    :class:`vadbench.records.record.RunRecord`. ``trained`` is the folder of a finished training to evaluate instead of
    training (``--from``). ``normal_segments`` is as in :class:`vadbench.scoring.split.ScoredSplit`. ``used`` grows by
    the parts of the CLIP that the method asks for.
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
    code: Mapping[Literal["method", "dataset"], Provenance] = field(default_factory=dict)
    normal_segments: bool = False
    used: set[str] = field(default_factory=set, compare=False)

    @property
    def method_digest(self) -> str:
        """Digest of the files of the method; empty where they are not known."""
        return self.code["method"].digest if "method" in self.code else ""

    @property
    def dataset_code(self) -> str:
        """Identity of the data set's code as part of keys; empty for vadbench's own."""
        return self.code["dataset"].identity if "dataset" in self.code else ""

    @property
    def precision(self) -> str:
        """Arithmetic of training and scoring."""
        return self.config.recipe.precision if self.config.recipe else "fp32"

    @property
    def fingerprint(self) -> dict[str, Any]:
        return self.provision.fingerprint.to_dict()

    @property
    def clip_source(self) -> dict[str, str]:
        """The CLIP in a record: weights from a file are named by the file's name, and by their hash."""
        source = self.clip.source
        return {"model": source.model, "weights": weights_name(source.weights), "sha256": self.clip.weights_sha256}

    def text(self) -> TextTower:
        """CLIP's text tower, for a method that asks for it; :meth:`notes` then says whose it is."""
        self.used.add("text")
        return self.clip.text

    def without_folders(self, text: str) -> str:
        """A text for a record, which names no folder of this machine."""
        folders = [self.dataset.root, self.provision.features.folder, self.out, cache_root(), Path.cwd(), Path.home()]
        return without_folders(text, folders)

    def notes(self) -> list[str]:
        """What a reader of the results must know before comparing them."""
        made_by, trained = self.provision.fingerprint, self.config.recipe is not None
        # Of features of unknown origin the CLIP is what they are held against, not what made them.
        origin = clip_notes(self.clip.source) if made_by.known else []
        if not origin and "text" in self.used:
            origin = text_notes(self.clip.source)
        crops = training_notes(made_by, self.config.rows.crops) if trained else []
        return [self.without_folders(note) for note in (*origin, *crops, *self.provision.notes)]


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
    code: dict[Literal["method", "dataset"], Provenance] = {
        "method": registry.provenance("method", method_name),
        "dataset": registry.provenance("dataset", dataset_name),
    }
    defaults = method.dataset_defaults.get(info.dataset if info else dataset_name, {})
    if info is not None:
        config = _config_of(info, method, version, request)
    else:
        assigned = with_descriptions(request.assignments, request.descriptions, method_name, method)
        config = resolve(method.Config, defaults, request.config_file, assignments=assigned)
    require_trainable(method_name, method, config)
    preset = protocol(request.protocol_name, registry)
    rules = preset.on(
        dataset_name,
        crop=request.crop,
        subset=request.subset,
        selection=info.selection if info else request.selection,
    )
    localisation_rule(rules.localization)  # a rule that is missing must not end a run after its training
    if info is None:
        method.require_classes(config, dataset_class.classes)
    changed = changed_names(config, resolve(method.Config, defaults, environment={}))
    _require_selection(rules, config, changed)
    if not config.trains and rules.selection != "last":
        raise ConfigError(f"'{method_name}' is not trained: there are no weights to select; leave --selection out")
    if request.features is None and request.features_layout is not None:
        raise ConfigError("--features-layout says how the files in --features lie; give both")
    device = choose_device(request.device)
    make_folder(request.out)
    root = find_data_root(dataset_name, dataset_class.makes_itself, request.data_root)
    if info is not None and trained is not None:
        clip = load_clip_of(info, trained, request.clip_model, request.clip_weights, device)
    else:
        clip = load_clip(clip_source(request.clip_model, request.clip_weights), device)
    dataset = dataset_class(root)
    named = preset.on(dataset_name)
    provision = provide(
        dataset,
        config.rows,
        clip,
        cache_root(),
        rules,
        None if request.features is None else GivenFeatures(request.features, request.features_layout),
        # A number that is the protocol's own says nothing more than the protocol does: one key, one meaning.
        crop_asked=request.crop is not None and not (request.crop == named.crop and request.crop.isdecimal()),
        allow_incomplete=request.allow_incomplete,
        progress=progress,
    )
    # What was asked for, and not that features of regions are scored by their maximum.
    changed += [f"protocol.{name}" for name in changed_names(rules, named)]
    if provision.fingerprint.regions:
        rules = rules.model_copy(update={"crop": MAXIMUM})
    return Experiment(
        method_name,
        method,
        version,
        config,
        dataset,
        provision,
        clip,
        rules,
        changed,
        device,
        request.out,
        trained,
        code,
        dataset_name in preset.normal_segments,
    )


def _require_selection(rules: Protocol, config: MethodConfig, changed: Sequence[str]) -> None:
    """Raise if a setting was given that does nothing without a selection rule; a data set's default may stand.

    Raises:
        ConfigError: names it.
    """
    if rules.selection != "last" or config.recipe is None:
        return
    for name in changed:
        if name in ("recipe.look_every", "recipe.rollback") and getattr(config.recipe, name.partition(".")[2]):
            raise ConfigError(f"{name} has no effect with --selection last; choose another rule, or leave it out")


def with_descriptions(
    assignments: Sequence[str], descriptions: Path | None, name: str, method: type[Method]
) -> Sequence[str]:
    """What ``--set`` says, and ``--descriptions`` as the setting that the method reads from a file.

    Raises:
        ConfigError: it reads none.
    """
    if descriptions is None:
        return assignments
    if (setting := file_setting(method.Config)) is None:
        raise ConfigError(f"'{name}' reads no descriptions; leave --descriptions out")
    return [*assignments, f"{setting}={json.dumps(str(descriptions))}"]


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
    return trained_config(info, method, version)


def clip_notes(source: ClipSource) -> list[str]:
    """What must be said of features made by CLIPs that no paper uses."""
    if source.weights.startswith("random:"):
        return ["features come from an untrained CLIP: this is a control, not a result"]
    return [SMALL_CLIP_NOTE] if _is_small(source) else []


def text_notes(source: ClipSource) -> list[str]:
    """What must be said where only texts are encoded by a CLIP that no paper uses."""
    if source.weights.startswith("random:"):
        return ["text of an untrained CLIP: this is a control, not a result"]
    return [SMALL_TEXT_NOTE] if _is_small(source) else []


def _is_small(source: ClipSource) -> bool:
    return source.model == SMALL and not source.weights


def clip_source(model: str | None, weights: str | None) -> ClipSource:
    """The CLIP that ``--clip`` and ``--clip-weights`` name; the embedded small one where neither does."""
    if model is None and weights is not None:
        return ClipSource("", weights)
    return ClipSource(model or SMALL, weights or "")


def load_clip_of(info: CheckpointInfo, run: Path, model: str | None, weights: str | None, device: torch.device) -> Clip:
    """The CLIP of a finished training, which records its hash.

    Args:
        info: of the training.
        run: its folder.
        model: what the user calls the CLIP; the recorded name where neither this nor ``weights`` is given.
        weights: its weights; a record names those from a file by the file's name alone.
        device: where to compute.

    Raises:
        CheckpointError: it is another CLIP, or it must be named.
    """
    said = f"the run in {run} used the CLIP {info.clip.model} {info.clip.weights} with sha256 {info.clip.sha256[:12]}"
    source = ClipSource(info.clip.model, info.clip.weights) if model is None else clip_source(model, weights)
    if model is None and weights is not None:
        source = ClipSource(info.clip.model, weights)
    elif model is None and is_file(source.weights) and not Path(source.weights).is_file():
        raise CheckpointError(f"{said}, a file that is not here; name it with --clip-weights")
    clip = load_clip(source, device)
    if clip.weights_sha256 != info.clip.sha256:
        raise CheckpointError(
            f"{said}, found sha256 {clip.weights_sha256[:12]}; name it with --clip and --clip-weights"
        )
    return clip
