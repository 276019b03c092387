"""The inputs of a run as they are at present, to tell whether a finished run is still current."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vadbench.base.hashing import digest
from vadbench.base.needs import Needs
from vadbench.data.media import source_id
from vadbench.dataset import SPLITS, Dataset, Split
from vadbench.features.source import VerifiedFeatures
from vadbench.harness.featureless import file_identities
from vadbench.harness.frame_counts import is_there
from vadbench.harness.given_features import CHECKED, GivenFeatures, GivenStream, choose_features, open_of_videos
from vadbench.harness.participants import every_video, participants
from vadbench.harness.provision import manifest_entry
from vadbench.harness.streams import current_streams
from vadbench.scoring.protocol import Protocol


def current_inputs(
    dataset: Dataset,
    rules: Protocol,
    given: GivenFeatures | None,
    cache: Path,
    streams: Mapping[str, GivenStream] | None = None,
    needs: Needs | None = None,
) -> dict[Split, str]:
    """Return the present :attr:`vadbench.records.record.SplitRecord.inputs` of each split, without extracting anything.

    Args:
        dataset, rules, given, cache, streams, needs: as for :func:`vadbench.harness.provision.provide`.

    Returns:
        no entry for a split with a video that is not here.

    Raises:
        DataError: files contradict each other, or features that are given are damaged.
    """
    if needs is not None and not needs.streams:
        return _without_features(dataset, rules, needs)
    videos = participants(dataset, rules).videos
    every = every_video(videos)
    given = choose_features(dataset, every, given)
    if given is None:
        identity = {v.name: source_id(v.path) for v in every if v.path is not None and v.path.exists()}
    else:
        source = open_of_videos(given, every)
        verified = VerifiedFeatures(cache / "features" / dataset.name / CHECKED)
        identity = {name: verified.look(source, name).digest for name in source.names}
        if needs is not None and needs.frames:
            files = {v.name: source_id(v.path) for v in every if v.path is not None and is_there(v)}
            identity = {name: f"{own} {files[name]}" for name, own in identity.items() if name in files}
    beside = current_streams(streams or {}, every, cache / "features" / dataset.name)
    return {
        split: digest([manifest_entry(v, identity[v.name], *beside[v.name]) for v in own])
        for split, own in videos.items()
        if all(v.name in identity and v.name in beside for v in own)
    }


def _without_features(dataset: Dataset, rules: Protocol, needs: Needs) -> dict[Split, str]:
    """Return the same for a method that reads no features, without decoding anything."""
    videos = participants(dataset, rules, SPLITS if needs.learns else ("test",)).videos
    there = {split: [v for v in own if is_there(v)] for split, own in videos.items()}
    identity = {v.name: "" for v in every_video(videos)} | file_identities(there, needs)
    return {
        split: digest([manifest_entry(v, identity[v.name]) for v in own])
        for split, own in videos.items()
        if not needs.frames or len(there[split]) == len(own)
    }
