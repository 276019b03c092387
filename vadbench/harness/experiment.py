"""Experiments: names and options resolved to everything a run needs, before anything expensive starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vadbench.base.config import resolve
from vadbench.base.errors import ConfigError, PluginError
from vadbench.base.files import make_folder
from vadbench.base.locations import cache_root, without_folders
from vadbench.base.method_config import MethodConfig
from vadbench.base.naming import changed_names
from vadbench.base.needs import CLIP_STREAM, Facts, StreamFacts
from vadbench.base.types import Progress, silent
from vadbench.clip import Clip
from vadbench.dataset import SPLITS, Dataset, Split, Video
from vadbench.features.crops import MAXIMUM, training_notes
from vadbench.harness.checkpoints import retargets
from vadbench.harness.clips import clip_facts, clip_notes, clip_source, open_clip, open_clip_of, text_notes
from vadbench.harness.featureless import provide_without_features
from vadbench.harness.fitness import have_files, require_fit, video_counts
from vadbench.harness.given_features import ClipDemand, GivenFeatures, choose_streams
from vadbench.harness.provision import Provision, provide
from vadbench.harness.request import (
    Request,
    StartingPoint,
    method_post,
    requested_config,
    require_selection,
    require_use_of_recipe,
    starting_point,
)
from vadbench.harness.rules import (
    changed_rules,
    divide_assignments,
    open_dataset,
    require_unseen,
    splits_of,
    under_truth,
)
from vadbench.harness.watched_videos import require_watchable
from vadbench.metrics.localization import localisation_rule
from vadbench.plugins.provenance import Provenance
from vadbench.plugins.registry import Registry
from vadbench.records.record import StreamRecord
from vadbench.scoring.protocol import Protocol, protocol

if TYPE_CHECKING:
    import torch

    from vadbench.clip import TextTower
    from vadbench.method import Method


@dataclass(frozen=True)
class Experiment:
    """Everything that is the same for all seeds of a method on a data set.

    Opening one takes no torch where everything was read before. ``load_method`` imports the method's class,
    ``device_name`` is ``auto``, ``cpu`` or ``cuda``. ``version`` and ``code`` say whose code the method and the data
    set are; both are part of keys. ``changed`` is as in :class:`vadbench.records.record.RunRecord`. ``trained`` is the
    folder of a finished training to evaluate instead of training (``--from``). ``normal_segments`` is as in
    :class:`vadbench.scoring.split.ScoredSplit`. ``retargeted``: the training was made for other classes, and its method
    is asked for those of this data set. ``used`` grows by the parts of the CLIP that the method asks for.
    """

    method_name: str
    load_method: Callable[[], type[Method]]
    version: str
    config: MethodConfig
    dataset: Dataset
    provision: Provision
    clip: Clip | None
    protocol: Protocol
    changed: Sequence[str]
    device_name: str
    out: Path
    trained: Path | None = None
    code: Mapping[Literal["method", "dataset"], Provenance] = field(default_factory=dict)
    normal_segments: bool = False
    retargeted: bool = False
    used: set[str] = field(default_factory=set, compare=False)

    @cached_property
    def method(self) -> type[Method]:
        """The class of the method, imported now."""
        return self.load_method()

    @cached_property
    def device(self) -> torch.device:
        """Where to compute."""
        return chosen_device(self.device_name)

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
        """What made the features in a record, empty without any."""
        made_by = self.provision.fingerprint
        return {} if made_by is None else made_by.to_dict()

    @property
    def streams(self) -> dict[str, StreamRecord]:
        """The streams beside the first in a record."""
        return {name: stream.record for name, stream in self.provision.streams.items()}

    @property
    def clip_source(self) -> dict[str, str]:
        """The CLIP in a record, if any."""
        return {} if self.clip is None else clip_facts(self.clip)

    def text(self) -> TextTower:
        """Return CLIP's text tower, for a method that asks for it; :meth:`notes` then says whose it is.

        Raises:
            PluginError: no CLIP is part of the experiment.
        """
        if self.clip is None:
            raise PluginError(
                f"'{self.method_name}' asks for CLIP's text, and no CLIP is loaded for it; name CLIP's stream in its"
                " needs(), and say text=True"
            )
        self.used.add("text")
        return self.clip.text

    def without_folders(self, text: str) -> str:
        """Return a text for a record, without the folders of this machine."""
        folders = [self.dataset.root, *self.provision.folders, self.out, cache_root()]
        return without_folders(text, [*folders, Path.cwd(), Path.home()])

    def notes(self) -> list[str]:
        """Return the notes that a reader of the results needs before comparing them."""
        made_by, trained = self.provision.fingerprint, self.config.recipe is not None
        # Features of unknown origin are only compared with the CLIP; it need not have made them.
        origin = clip_notes(self.clip.source) if self.clip and made_by and made_by.known else []
        if not origin and self.clip and "text" in self.used:
            origin = text_notes(self.clip.source)
        crops = training_notes(made_by, self.config.rows.crops) if trained and made_by else []
        return [self.without_folders(note) for note in (*origin, *crops, *self.provision.notes)]


def open_experiment(request: Request, registry: Registry, progress: Progress = silent) -> Experiment:
    """Resolve names, settings, device, CLIP, data and features.

    Raises:
        NotExtractedError: it is a dry run, and features are still to be extracted.
        VadbenchError: something cannot be resolved, cheapest checks first.
    """
    start = starting_point(request)
    settings, dataset_class = registry.method_config(start.method), registry.dataset(start.dataset)
    version = registry.version(start.method)
    code: dict[Literal["method", "dataset"], Provenance] = {
        "method": registry.provenance("method", start.method),
        "dataset": registry.provenance("dataset", start.dataset),
    }
    # The settings of a training are those for the data set that it was made on.
    defaults = settings.dataset_defaults.get(start.info.dataset if start.info else start.dataset, {})
    config = requested_config(request, start, settings, version, defaults)
    preset = protocol(request.protocol_name, registry)
    named = preset.on(start.dataset, config.trains, post=preset.rules.post or method_post(start.method, config))
    assigned = {"post": named.post} if request.post is None else {}
    assigned |= divide_assignments(request.assignments).of_protocol
    rules = changed_rules(
        preset,
        start.dataset,
        assigned,
        config.trains,
        crop=request.crop,
        subset=request.subset,
        selection=start.info.selection if start.info else request.selection,
        judge=start.info.judge if start.info else None,
        post=request.post,
        partition=request.partition,
        truth=request.truth,
    )
    crop = assigned.get("crop", request.crop)
    localisation_rule(rules.localization)  # a rule that is missing must not end a run after its training
    fits = partial(require_fit, start.method, config, trained=start.info is not None)
    needs = config.needs()
    given = {CLIP_STREAM, *request.streams, *([] if request.features is None else needs.streams[:1])}
    facts = Facts(
        start.dataset,
        dataset_class.classes,
        splits=splits_of(dataset_class, rules.partition),
        streams={name: StreamFacts() for name in sorted(given)},
    )
    fits(facts)
    usual = resolve(settings, defaults, environment={})
    changed = changed_names(config, usual)
    require_use_of_recipe(start.method, registry, config, usual)
    require_selection(start.method, rules, config, changed)
    wanted = needs.streams
    features, streams = choose_streams(start.method, wanted, request.features, request.streams, request.spacings)
    if crop is not None and not wanted:
        raise ConfigError(f"'{start.method}' reads no features, which have crops; leave --crop {crop} out")
    if features is None and request.features_layout is not None:
        raise ConfigError("--features-layout is the layout of the files in --features; give both")
    if request.device == "cuda":
        chosen_device(request.device)  # before anything else is done
    if not request.dry_run:
        make_folder(request.out)
    dataset = open_dataset(dataset_class, request.data_root, rules.partition, rules.truth, request.allow_incomplete)
    rules = under_truth(rules, dataset, assigned.get("tail"))
    if start.info is not None and start.info.dataset == dataset.name:
        require_unseen(dataset, start.info.partition)
    clip = _clip(request, start) if wanted else None

    def fit_videos(videos: Mapping[Split, Sequence[Video]]) -> None:
        fits(replace(facts, classes=dataset.classes, videos=video_counts(dataset, videos), files=have_files(videos)))
        if start.info is None:
            require_watchable(dataset, rules.selection, videos)

    # Validation videos are looked at only by a training that selects weights.
    splits: Sequence[Split] = SPLITS if rules.selection == "validation" and start.info is None else ("train", "test")
    if clip is None:
        provision = provide_without_features(
            dataset,
            config.rows,
            needs,
            cache_root(),
            rules,
            splits,
            fits=fit_videos,
            allow_incomplete=request.allow_incomplete,
            progress=progress,
        )
    else:
        provision = provide(
            dataset,
            config.rows,
            clip,
            cache_root(),
            rules,
            None if features is None else GivenFeatures(features, request.features_layout),
            splits=splits,
            fits=fit_videos,
            line=wanted[0],
            streams=streams,
            asked=ClipDemand(needs.text, named=request.clip_model is not None or request.clip_weights is not None),
            # A number that is the protocol's own says nothing more than the protocol does: one key, one meaning.
            crop_asked=crop is not None and not (rules.crop == named.crop and rules.crop.isdecimal()),
            needs=needs,
            extract=not request.dry_run,
            allow_incomplete=request.allow_incomplete,
            any_rows=settings.any_rows and config.rows == usual.rows,
            progress=progress,
        )
    return Experiment(
        method_name=start.method,
        load_method=partial(registry.method, start.method),
        version=version,
        config=config if provision.taken is None else config.model_copy(update={"rows": provision.taken}),
        dataset=dataset,
        provision=provision,
        clip=None if provision.foreign else clip,
        protocol=rules.model_copy(update={"crop": MAXIMUM}) if provision.regions else rules,
        # The crop that was asked for, and not that features of regions are scored by their maximum.
        changed=[*changed, *(f"protocol.{name}" for name in changed_names(rules, named))],
        device_name=request.device,
        out=request.out,
        trained=start.trained,
        code=code,
        normal_segments=start.dataset in preset.normal_segments,
        retargeted=start.info is not None and retargets(config, start.info, dataset),
    )


def chosen_device(name: str) -> torch.device:
    """Return the device of that name, as :func:`vadbench.harness.environment.choose_device` does; imports torch."""
    from vadbench.harness.environment import choose_device

    return choose_device(name)


def _clip(request: Request, start: StartingPoint) -> Clip:
    """Return the CLIP that the user names, or that of the training to evaluate."""
    device = partial(chosen_device, request.device)
    if start.trained is None or start.info is None or start.info.clip is None:
        return open_clip(clip_source(request.clip_model, request.clip_weights), device)
    return open_clip_of(start.info.clip, start.trained, request.clip_model, request.clip_weights, device)
