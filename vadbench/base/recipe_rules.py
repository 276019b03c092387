"""The settings of a recipe that have an effect only beside others, and what is said where they have none."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from vadbench.base.naming import same, written

_NEEDED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "epoch_steps": {"sampler": ("cycled",)},
    "schedule_unit": {"schedule": ("warmup-cosine", "steps")},
    "warmup_epochs": {"schedule": ("warmup-cosine",), "schedule_unit": ("epoch",)},
    "warmup_steps": {"schedule": ("warmup-cosine",), "schedule_unit": ("step",)},
    "milestones": {"schedule": ("steps",)},
    "gamma": {"schedule": ("steps",)},
    "floor": {"schedule": ("warmup-cosine",)},
    "planned_steps": {"schedule": ("warmup-cosine",), "schedule_unit": ("step",)},
    "look_from": {"look_count": ("run",)},
}
"""The values of other settings that a setting needs."""
_FURTHER: Mapping[str, tuple[str, ...]] = {
    "schedule_unit": ("warmup_steps", "planned_steps"),
    "warmup_epochs": ("warmup_from_zero", "warmup_to_peak"),
    "warmup_steps": ("warmup_from_zero", "warmup_to_peak"),
    "milestones": ("gamma",),
}
"""Settings that are of no use where another is not, and would be refused next."""


def problem_of(name: str, values: Mapping[str, Any], usual: Mapping[str, Any], where: str) -> str:
    """Return what is wrong with a setting of a recipe beside the others, as the rest of a sentence; empty if nothing.

    Args:
        name: the setting.
        values: the settings so far, itself included; one that is not there is taken to be right.
        usual: the defaults, which are right where a setting has no effect.
        where: the dotted name of the section that the settings are in.
    """
    if name == "batch_size" and values[name] % 2 and values.get("sampler", "mixed") != "mixed":
        return f"must be even, one half of it for each kind of video; only {where}.sampler=mixed takes any number"
    # With 0 epochs nothing has an effect, and of what a method's own recipe adds nothing is known here.
    if not values.get("epochs") or name not in usual:
        return ""
    advice = _back(name, usual, where)
    changed = not same(values[name], usual[name])
    for other, needed in _NEEDED.get(name, {}).items() if changed else ():
        if (found := values.get(other, needed[0])) not in needed:
            verb, pronoun = ("have", "they need") if name == "milestones" else ("has", "it needs")
            return f"{verb} no effect with {where}.{other}={found}, {pronoun} {' or '.join(needed)}; {advice}"
    match name:
        case "warmup_from_zero" | "warmup_to_peak" if changed:
            return _warmup_problem(name, values, where, advice)
        case "milestones":
            return _milestones_problem(values, where)
        case "planned_steps" if values[name] == "both-lists" and values.get("sampler") == "mixed":
            return f"must not be both-lists with {where}.sampler=mixed, which has one list; {advice}"
        case "steps" if changed and values["epochs"] != usual["epochs"]:
            either = f"set {where}.steps=0, or {where}.epochs={usual['epochs']} as by default"
            return f"takes the place of {where}.epochs={values['epochs']}; {either}"
        case "look_count" if changed and values.get("look_every") == 0:
            return f"needs a period in {where}.look_every; set it, or {where}.look_count=epoch"
    return ""


def batch_problem(batch_size: int, abnormal: int, normal: int) -> str:
    """Return what is wrong with a batch, half of each kind of video, for so many training videos; empty if nothing."""
    half, fewest = batch_size // 2, min(abnormal, normal)
    if fewest >= half:
        return ""
    remedy = f"set recipe.batch_size={2 * fewest} or less" if fewest else "the training split needs both kinds"
    return (
        f"recipe.batch_size={batch_size} needs {half} abnormal and {half} normal training videos, found {abnormal} and"
        f" {normal}; {remedy}"
    )


def _warmup_problem(name: str, values: Mapping[str, Any], where: str, advice: str) -> str:
    count = "warmup_steps" if values.get("schedule_unit") == "step" else "warmup_epochs"
    warmup = values.get(count)
    if warmup == 0:
        return (
            f"has no effect with {where}.{count}=0; {advice}, or warm up with {where}.schedule=warmup-cosine and"
            f" {where}.{count}"
        )
    if name == "warmup_to_peak" and values.get("warmup_from_zero") is False:
        return f"has no effect with {where}.warmup_from_zero=false, which ends at the peak; {advice}"
    if name == "warmup_to_peak" and warmup == 1:
        return f"needs a warm-up of two or more, found {where}.{count}=1; {advice}"
    return ""


def _milestones_problem(values: Mapping[str, Any], where: str) -> str:
    milestones, unit = values["milestones"], values.get("schedule_unit", "epoch")
    if not milestones and values.get("schedule") == "steps":
        return f"must name the {unit}s of {where}.schedule=steps, as in [4, 8]; or set {where}.schedule=constant"
    if milestones and (milestones[0] < 1 or any(b <= a for a, b in pairwise(milestones))):
        return f"must ascend from {unit} 1 or later, none of them twice"
    return ""


def _back(name: str, usual: Mapping[str, Any], where: str) -> str:
    """Return the advice to reset a setting and those that would be refused next."""
    return "set " + " and ".join(f"{where}.{n}={written(usual[n])}" for n in (name, *_FURTHER.get(name, ())))
