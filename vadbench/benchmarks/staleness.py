"""Decide whether a finished run is still current: defaults, the code of plugins and data may have changed since."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from vadbench.base.config import Settings, resolve
from vadbench.base.errors import FeatureError, VadbenchError
from vadbench.base.locations import cache_root
from vadbench.base.method_config import MethodConfig
from vadbench.base.needs import Needs
from vadbench.benchmarks.parser import assignments, protocol_changes
from vadbench.benchmarks.schema import Cell
from vadbench.benchmarks.site import Site
from vadbench.dataset import Split
from vadbench.features.crops import MAXIMUM
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.pooling import rows_to_take
from vadbench.harness.rules import open_dataset, recorded_rules
from vadbench.plugins.registry import Registry
from vadbench.records.keys import EDITION, key_values, restored
from vadbench.records.record import INCOMPLETE, RunRecord
from vadbench.scoring.protocol import Protocol, protocol


@dataclass(frozen=True)
class Today:
    """Versions, settings and data that a run of a cell would use now.

    Args:
        version: version of the method, as in a record.
        config: the method's settings; ``None`` if they are not compared.
        rules: the protocol; ``None`` if it is not compared.
        dataset_code: identity of the data set's code, empty for vadbench's own.
        inputs: digest of the inputs of each split that is available here.
    """

    version: str
    config: MethodConfig | None = None
    rules: Protocol | None = None
    dataset_code: str = ""
    inputs: Mapping[Split, str] = field(default_factory=dict)

    @property
    def reads_features(self) -> bool:
        """False if the method is known to read none."""
        return self.config is None or bool(self.config.needs().streams)

    def made(self, record: RunRecord) -> bool:
        """Return whether a record was made with this version, code, configuration and data."""
        code = record.code.get("dataset")
        return (
            (record.edition, record.method_version) == (EDITION, self.version)
            and (code is None or code.identity == self.dataset_code)
            and (self.config is None or _same(_on_its_rows(self.config, record), record.config))
            and (self.rules is None or _same(_region_rules(self.rules, record), record.protocol))
            and all(self._same_inputs(split, record) for split in self.inputs)
        )

    def _same_inputs(self, split: Split, record: RunRecord) -> bool:
        there = record.data.get(split)
        if there is None or not there.inputs or any(note.startswith(INCOMPLETE) for note in record.notes):
            return True  # not recorded, or the videos are unknown
        return there.inputs == self.inputs[split]


def today(cell: Cell, registry: Registry, inputs: Callable[[str, Protocol, Needs], Mapping[Split, str]]) -> Today:
    """Return the versions, settings and data that a run of a cell would use now.

    Args:
        cell: the requested cell.
        registry: the plugins.
        inputs: function :func:`inputs_here` for the site.

    Raises:
        VadbenchError: the method cannot be imported, or it has no such setting.
    """
    config = settings_of(cell, registry)
    try:
        code = registry.provenance("dataset", cell.dataset).identity
        preset, changes = protocol(cell.protocol, registry), protocol_changes(cell.settings)
        asked = preset.on(cell.dataset, config.trains, **changes)
        rules = recorded_rules(asked, registry.dataset(cell.dataset))
    except VadbenchError:
        code, asked, rules = "", None, None  # a missing data set is reported elsewhere
    found = {} if asked is None else inputs(cell.dataset, _of_videos(asked), config.needs())
    # Settings of training on another data set are checked with that training.
    own = {split: value for split, value in found.items() if split == "test" or cell.training == cell}
    return Today(registry.version(cell.method), config, rules, code, own)


def settings_of(cell: Cell, registry: Registry) -> MethodConfig:
    """Return the settings of a cell's method.

    Raises:
        VadbenchError: there is no such method, or it has no such setting.
    """
    model = registry.method_config(cell.method)
    usual = model.dataset_defaults.get(cell.trained_on, {})
    return resolve(model, usual, environment={}, assignments=assignments(cell.settings))


def inputs_here(site: Site, registry: Registry, dataset: str, rules: Protocol, needs: Needs) -> dict[Split, str]:
    """Return digests of the current inputs of each split for a method with such needs; empty if the data are absent or
    damaged, as a run reports."""
    from vadbench.harness.given_features import GivenFeatures, GivenStream
    from vadbench.harness.present_inputs import current_inputs

    try:
        root = dict(site.data_roots).get(dataset)
        found = open_dataset(registry.dataset(dataset), root, rules.partition, rules.truth, site.allow_incomplete)
        if not found.root.is_dir():
            return {}
        named = site.streams_of(dataset, needs.streams[:1]).values()
        features = next(iter(named), dict(site.features).get(dataset))
        given = None if features is None else GivenFeatures(features, dict(site.layouts).get(dataset))
        streams = {n: GivenStream(place) for n, place in site.streams_of(dataset, needs.streams[1:]).items()}
        return current_inputs(found, rules, given, cache_root(), streams, needs)
    except VadbenchError:
        return {}


def _of_videos(rules: Protocol) -> Protocol:
    """Return what rules say of the videos and their ground truth alone: inputs are compared once for all the others."""
    return Protocol(
        name=rules.name,
        boundaries=rules.boundaries,
        subset=rules.subset,
        partition=rules.partition,
        truth=rules.truth,
    )


def _region_rules(rules: Protocol, record: RunRecord) -> Protocol:
    """Return the rules for features of regions, which are always scored by their maximum."""
    return rules.model_copy(update={"crop": MAXIMUM}) if record.fingerprint.get("regions") else rules


def _on_its_rows(config: MethodConfig, record: RunRecord) -> MethodConfig:
    """Return the settings as they would be with the features of a record, whose rows a method may take as they are."""
    if not config.any_rows or not record.fingerprint:
        return config
    try:
        made_by = Fingerprint.from_dict(record.fingerprint)
    except FeatureError:
        return config  # the record was edited
    return config.model_copy(update={"rows": rows_to_take(made_by, config.rows)})


def _same(now: Settings, recorded: Mapping[str, Any]) -> bool:
    try:
        return key_values(restored(type(now), recorded)) == key_values(now)
    except ValidationError:
        return False
