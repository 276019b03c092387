"""The decision whether a method can run on a data set, made before anything is read.

A run, a benchmark's grid and ``vadbench score`` all ask here: first with the classes and splits alone, and again when
the lists of videos were read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from vadbench.base.errors import MisfitError
from vadbench.base.method_config import MethodConfig
from vadbench.base.needs import Facts, Kind
from vadbench.base.recipe_rules import batch_problem
from vadbench.dataset import Dataset, Split, Video
from vadbench.harness.frame_counts import is_there

FitCheck = Callable[[Mapping[Split, Sequence[Video]]], None]
"""Raises if a method cannot run on the videos that take part, by split; called before their features are made."""


def require_fit(method: str, config: MethodConfig, facts: Facts, trained: bool = False) -> None:
    """Raise if a method cannot run on a data set.

    Args:
        method: its name.
        config: its settings.
        facts: what is known so far.
        trained: whether a finished training is evaluated, which needs neither these classes nor training videos.

    Raises:
        MisfitError: says what it lacks and what to change.
    """
    if reason := misfit(config, facts, trained):
        raise MisfitError(f"'{method}' cannot run on {facts.dataset or 'these videos'}: {reason}")


def misfit(config: MethodConfig, facts: Facts, trained: bool = False) -> str:
    """Return why a method with these settings cannot run on a data set; an empty string if it can.

    What is not known yet is not judged.
    """
    reason = "" if trained else config.unfit(facts) or _without_training_videos(config, facts)
    return reason or _without_inputs(config, facts)


def video_counts(dataset: Dataset, videos: Mapping[Split, Sequence[Video]]) -> dict[tuple[str, Kind], int]:
    """Return the number of videos by split and kind, as in :class:`vadbench.base.needs.Facts`."""
    return {
        (split, kind): n
        for split, listed in videos.items()
        for kind, n in Counter(_kind(dataset, video) for video in listed).items()
    }


def have_files(videos: Mapping[Split, Sequence[Video]]) -> bool:
    """Return True if the file of some video is there."""
    return any(is_there(video) for listed in videos.values() for video in listed)


def _kind(dataset: Dataset, video: Video) -> Kind:
    return "normal" if dataset.is_normal(video) else "abnormal"


def _without_inputs(config: MethodConfig, facts: Facts) -> str:
    needs = config.needs()
    if needs.supervision == "oracle" and facts.truth is False:
        return "it is an oracle, which is handed the ground truth, and there is none; use another method"
    if config.rows.crops == "bag" and not config.takes_bags:
        return "it is given the crops of a video one by one, not as a bag; set rows.crops=one or all"
    missing = [name for name in needs.streams if facts.streams is not None and name not in facts.streams]
    if missing:
        reads, there = ", ".join(needs.streams), ", ".join(facts.streams or ()) or "none"
        # Of one's own videos there are CLIP's rows alone.
        given = f"give features of {missing[0]} (--features {missing[0]}=DIR)"
        advice = "use another method" if facts.truth is False else given
        return f"it reads the streams {reads} with these settings, found {there}; {advice}"
    if needs.frames and facts.files is False:
        return "it decodes the videos, and no file of them is here; name their folder with --data-root DIR"
    if needs.text and facts.text is False:
        return "it compares rows with texts, and there is no CLIP for them; use features of a CLIP"
    return ""


def _without_training_videos(config: MethodConfig, facts: Facts) -> str:
    needs = config.needs()
    if not needs.learns:
        return ""
    if facts.splits is not None and "train" not in facts.splits:
        return (
            f"it must be trained, and {facts.dataset} has no train split; train it on another data set and evaluate"
            " that training here (--from RUN)"
        )
    if facts.videos is None:
        return ""
    normal, abnormal = facts.videos.get(("train", "normal"), 0), facts.videos.get(("train", "abnormal"), 0)
    if needs.supervision == "one-class" and not normal:
        return "it learns from normal training videos, and there are none; choose another data set or division"
    recipe = config.recipe if needs.supervision == "weak" and config.trains else None
    if recipe is None or recipe.sampler == "mixed":
        return ""
    if not (normal and abnormal):
        return (
            f"it is trained on batches of normal and abnormal videos, found {normal} and {abnormal} in the train split;"
            " choose another data set or division, or recipe.sampler=mixed where the method takes it"
        )
    # Of each crop as a sample of its own, there are as many more.
    return "" if config.rows.crops == "all" else batch_problem(recipe.batch_size, abnormal, normal)
