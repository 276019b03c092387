"""Open a method for scoring a user's videos: its weights, its CLIP, the making of its features, its threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from vadbench.base.config import resolve
from vadbench.base.errors import ConfigError, PluginError
from vadbench.base.method_config import MethodConfig
from vadbench.base.naming import defaults
from vadbench.base.needs import CLIP_STREAM, Facts, StreamFacts
from vadbench.clip import Clip
from vadbench.dataset import ClassTable, VideoClass
from vadbench.features.fingerprint import Fingerprint, clip_fingerprint
from vadbench.harness.checkpoints import load_checkpoint, read_info, trained_config
from vadbench.harness.clips import clip_facts, clip_notes, clip_source, open_clip
from vadbench.harness.fitness import require_fit
from vadbench.harness.request import method_post, require_use_of_recipe, with_descriptions
from vadbench.harness.training import own_cache
from vadbench.method import Method, Task, build_method
from vadbench.plugins.registry import Registry
from vadbench.watch.run_features import clip_of_run, features_of_run
from vadbench.watch.scored_by import ScoredBy, settings_and_descriptions
from vadbench.watch.smoothing import streamed_post
from vadbench.watch.thresholds import GIVEN, SHORTEST, EventThreshold, fixed_threshold

if TYPE_CHECKING:
    from vadbench.clip import TextTower

_UNTRAINED = "recipe.epochs=0"
_GIVEN = Facts(
    "", ClassTable((VideoClass("Normal"),), 0), streams={CLIP_STREAM: StreamFacts()}, files=True, truth=False
)
"""What is known of a user's videos, before it is known which classes to look for."""


@dataclass(frozen=True)
class Scorer:
    """Method ready to score a user's videos, with the making of its features.

    Args:
        name: the method's name.
        method: the method with its weights, in evaluation mode.
        clip: CLIP that makes its features; ``None`` for a method that reads none.
        fingerprint: fingerprint of the features to make; all of its crops are scored and averaged.
        precision: arithmetic of the method.
        threshold: of events; ``None`` if the scores of each video say it themselves.
        origin: training of the method, in words.
        notes: notes for readers of the scores.
        seed: of the run.
        post: post-processing of the anomaly scores, such as ``gaussian(50f)``; empty for none.
        shortest: seconds that an event lasts at least.
        by: what a summary records of the method.
    """

    name: str
    method: Method
    clip: Clip | None
    fingerprint: Fingerprint | None
    precision: str
    threshold: EventThreshold | None
    origin: str
    notes: Sequence[str] = field(default_factory=list)
    seed: int = 0
    post: str = ""
    shortest: float = SHORTEST
    by: ScoredBy = field(default_factory=ScoredBy)

    @property
    def stride(self) -> int:
        """Frames per row."""
        return int(self.method.config.rows.stride if self.fingerprint is None else self.fingerprint.stride)

    @property
    def bag(self) -> bool:
        """True if the method is given the crops of a video at once."""
        return bool(self.method.config.rows.crops == "bag")

    @property
    def unit(self) -> bool:
        """True if anomaly scores are between 0 and 1."""
        return bool(self.method.config.needs().unit_scores)

    @property
    def in_company(self) -> bool:
        """True if a score depends on the other videos, which the method is then given at once."""
        return bool(self.method.config.needs().company == "split")

    @property
    def classes(self) -> ClassTable:
        """Classes that the method distinguishes."""
        return self.method.task.classes


def open_trained(
    run: Path,
    registry: Registry,
    device: torch.device,
    clip_model: str | None = None,
    clip_weights: str | None = None,
    threshold: float | None = None,
    threshold_end: float | None = None,
    calibrate: bool = False,
) -> Scorer:
    """Open the method of a finished run, with features made in the same way as those of the run.

    Args:
        run: its folder.
        registry: has the method.
        device: device to compute on.
        clip_model: the run's CLIP, if it is not available under the name that the run recorded.
        clip_weights: weights of that CLIP.
        threshold: threshold to use instead of the one stored with the run.
        threshold_end: score below which events then end.
        calibrate: another threshold follows, so that nothing is missing where the run has none.

    Raises:
        CheckpointError: the weights, the method, its version or the CLIP are not those of the run, or its features
            cannot be made here.
    """
    info = read_info(run)
    method_class = registry.method(info.method)
    config = trained_config(info, method_class.Config, registry.version(info.method))
    _require_readable(info.method, config)
    clip, fingerprint, notes, needs = None, None, [], config.needs()
    if needs.streams:
        clip = clip_of_run(info, run, clip_model, clip_weights, device)
        notes += clip_notes(clip.source)
        fingerprint = features_of_run(info, run, config, clip, notes)
    method = _built(info.method, method_class, config, info.class_table(), clip, device, info.seed)
    load_checkpoint(run, method)
    found = _threshold(method, threshold, threshold_end)
    if threshold is None and info.threshold is not None:
        origin = "99th percentile of the scores of normal training videos"
        found = fixed_threshold(info.threshold, origin, needs.unit_scores)
    elif found is None and needs.learns and not calibrate:
        why, instead = "it is imported or of an older vadbench", "--threshold or --calibrate"
        if needs.company == "split":
            why, instead = "a score depends on the other videos", "--threshold"
        notes.append(f"the run has no threshold: {why}; each video says its own, or give {instead}")
    usual = resolve(method_class.Config, method_class.Config.dataset_defaults.get(info.dataset, {}), environment={})
    stride = config.rows.stride if fingerprint is None else fingerprint.stride
    return Scorer(
        info.method,
        method,
        clip,
        fingerprint,
        config.recipe.precision if config.recipe else "fp32",
        found,
        f"{info.method} {'trained on' if needs.learns else 'for the classes of'} {info.dataset}, seed {info.seed}, run"
        f" {info.key}",
        notes,
        info.seed,
        by=_scored_by(info.method, info.version, config, usual, info.dataset, clip, stride, info.key),
    )


def open_untrained(
    name: str,
    registry: Registry,
    device: torch.device,
    *,
    descriptions: Path | None = None,
    dataset: str | None = None,
    assignments: Sequence[str] = (),
    clip_model: str | None = None,
    clip_weights: str | None = None,
    threshold: float | None = None,
    threshold_end: float | None = None,
    post: str | None = None,
) -> Scorer:
    """Open a method without a run, which looks for events described in words.

    Args:
        name: name of the method.
        registry: has the method and the data set.
        device: device to compute on.
        descriptions: file of phrases; without a data set, the classes that it names are used.
        dataset: data set whose classes and whose settings of the method are used.
        assignments: settings as ``key=value``.
        clip_model: the CLIP; the embedded small one if neither this nor its weights are given.
        clip_weights: its weights.
        threshold: threshold to use instead of what each video says itself.
        threshold_end: score below which events then end.
        post: post-processing to use instead of what the method proposes.

    Raises:
        ConfigError: the method must be trained, no classes are given, or the post-processing cannot be done here.
    """
    method_class = registry.method(name)
    settings = method_class.Config
    untrained = ConfigError(f"'{name}' must be trained first: vadbench run --method {name}, and then --run RUN")
    chosen = [*with_descriptions(assignments, descriptions, name, settings)]
    if defaults(settings).get("recipe") is not None:
        if settings.needs_training:
            raise untrained
        chosen.append(_UNTRAINED)
    own = {} if dataset is None else settings.dataset_defaults.get(dataset, {})
    config = resolve(settings, own, assignments=chosen)
    # That nothing is trained is no setting of the user's.
    usual = resolve(settings, own, environment={}, assignments=[c for c in chosen if c == _UNTRAINED])
    require_use_of_recipe(name, registry, config, resolve(settings, own, environment={}))
    if config.needs().learns:
        raise untrained
    _require_readable(name, config)
    classes = _classes(name, config, registry, dataset)
    require_fit(name, config, replace(_GIVEN, dataset=dataset or "", classes=classes))
    steps = streamed_post(method_post(name, config) if post is None else post, config.rows.stride)
    clip = open_clip(clip_source(clip_model, clip_weights), lambda: device) if config.needs().streams else None
    method = _built(name, method_class, config, classes, clip, device)
    return Scorer(
        name,
        method,
        clip,
        clip_fingerprint(clip, stride=config.rows.stride, pooling=config.rows.pooling) if clip else None,
        config.recipe.precision if config.recipe else "fp32",
        _threshold(method, threshold, threshold_end),
        f"{name} without training" + (f", for the classes of {dataset}" if dataset else ""),
        clip_notes(clip.source) if clip else [],
        post=steps,
        by=_scored_by(name, registry.version(name), config, usual, dataset or "", clip, config.rows.stride),
    )


def _scored_by(
    name: str,
    version: str,
    config: MethodConfig,
    usual: MethodConfig,
    dataset: str,
    clip: Clip | None,
    stride: int,
    run: str = "",
) -> ScoredBy:
    made_by = {} if clip is None else clip_facts(clip)
    return ScoredBy(name, version, run, dataset, *settings_and_descriptions(config, usual), made_by, int(stride))


def _require_readable(name: str, config: MethodConfig) -> None:
    """Raise if a method, of whatever classes, cannot score videos from rows of CLIP alone or from frames alone.

    Raises:
        ConfigError: says what it needs.
    """
    require_fit(name, config, _GIVEN, trained=True)
    needs = config.needs()
    if needs.streams and needs.frames:
        raise ConfigError(
            f"'{name}' reads frames beside features with these settings, score gives one or the other; use other"
            " settings, or vadbench run"
        )


def _threshold(method: Method, given: float | None, end: float | None) -> EventThreshold | None:
    """Return the threshold that was given, or else the method's own; ``None`` if there is neither."""
    unit = method.config.needs().unit_scores
    if given is not None:
        return fixed_threshold(given, GIVEN, unit, end)
    if method.threshold is not None:
        return fixed_threshold(method.threshold, "the method's own", unit)
    return None


def _built(
    name: str,
    method_class: type[Method],
    config: MethodConfig,
    classes: ClassTable,
    clip: Clip | None,
    device: torch.device,
    seed: int = 0,
) -> Method:
    def text() -> TextTower:
        if clip is None:
            raise PluginError(f"{method_class.__name__} asks for CLIP's text, and its needs() name no stream of CLIP")
        return clip.text

    task = Task(classes, clip.dim if clip else {}, device, text, cache=own_cache(name, config), seed=seed)
    return build_method(method_class, config, task, seed).eval()


def _classes(name: str, config: MethodConfig, registry: Registry, dataset: str | None) -> ClassTable:
    if dataset is not None:
        return registry.dataset(dataset).classes
    named = config.named_classes()
    if named is None:
        raise ConfigError(
            f"no classes are given for '{name}' to look for; name a data set that has them with --dataset"
        )
    words = named or ["Anomaly"]
    normal = "Normal" if "Normal" not in words else "Nothing unusual"
    return ClassTable((VideoClass(normal), *map(VideoClass, words)), 0)
