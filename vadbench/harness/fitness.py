"""The decision whether a method can run on a data set, made before anything is read.

A run, a benchmark's grid and ``vadbench score`` all ask here: first with the classes alone, and again when streams,
files and videos are known.
"""

from __future__ import annotations

from vadbench.base.errors import ConfigError, listed
from vadbench.base.method_config import MethodConfig
from vadbench.base.needs import Facts


def require_fit(method: str, config: MethodConfig, facts: Facts) -> None:
    """Raise if a method cannot run on a data set.

    Args:
        method: its name.
        config: its settings.
        facts: what is known so far.

    Raises:
        ConfigError: says what it lacks and what to change.
    """
    if reason := misfit(config, facts):
        raise ConfigError(f"'{method}' cannot run on {facts.dataset or 'these videos'}: {reason}")


def misfit(config: MethodConfig, facts: Facts) -> str:
    """Return why a method with these settings cannot run on a data set; an empty string if it can.

    What is not known yet is not judged.
    """
    return config.unfit(facts) or _without_streams(config, facts) or _without_training_videos(config, facts)


def _without_streams(config: MethodConfig, facts: Facts) -> str:
    needs = config.needs()
    if facts.streams is not None:
        for name in needs.streams:
            if name not in facts.streams:
                there = listed(list(facts.streams), 5) or "none"
                return f"it reads the stream '{name}', the streams here are: {there}; give features of that stream too"
    if needs.frames and facts.files is False:
        return "it decodes the videos, and their files are not here; name their folder with --data-root DIR"
    if needs.text and facts.text is False:
        return (
            "it compares rows with CLIP's text features, and these rows are not of a CLIP whose text tower is known;"
            " use features of a CLIP"
        )
    return ""


def _without_training_videos(config: MethodConfig, facts: Facts) -> str:
    if facts.videos is None:
        return ""
    normal, abnormal = facts.videos.get(("train", "normal"), 0), facts.videos.get(("train", "abnormal"), 0)
    if config.needs().supervision == "one-class":
        return "" if normal else "it learns from normal training videos, and there are none; choose another data set"
    if config.recipe is None or not config.trains:
        return ""
    if not normal + abnormal:
        return "it is trained, and there are no training videos; train it on another data set and evaluate that run"
    if config.recipe.sampler != "mixed" and not (normal and abnormal):
        return (
            f"recipe.sampler={config.recipe.sampler} takes normal and abnormal training videos, and there are"
            f" {normal} and {abnormal}; choose another data set, or set recipe.sampler=mixed if the method allows it"
        )
    return ""
