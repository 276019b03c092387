"""Recipes: groups of parameters with settings of their own, and what the loop counts in steps."""

import json
import re
import tomllib

import pytest
from pydantic import ValidationError

from configs import Config
from places import ROOT
from vadbench.base.config import resolve
from vadbench.base.errors import ConfigError
from vadbench.base.fields import Introduced
from vadbench.base.method_config import MethodConfig
from vadbench.base.naming import changed_names, flatten
from vadbench.base.recipe import GroupRecipe, Recipe
from vadbench.records.keys import key_values, restored

COSINE = ("recipe.schedule=warmup-cosine",)
PER_STEP = (*COSINE, "recipe.schedule_unit=step")
REFINER = {"optimiser": "stable-adamw", "learning_rate": 1e-3, "amsgrad": True, "epsilon": 1e-10}


def settings(*assignments, **options):
    return resolve(Config, options.pop("dataset_defaults", {}), environment=options, assignments=assignments)


@pytest.mark.parametrize(
    ("assignments", "key", "words"),
    [
        (["recipe.epoch_steps=5"], "epoch_steps", "with recipe.sampler=balanced, it needs cycled; set recipe.epoch_s"),
        (["recipe.steps=5", "recipe.epochs=3"], "steps", "place of recipe.epochs=3; set recipe.steps=0, or rec"),
        (["recipe.schedule_unit=step"], "schedule_unit", "with recipe.schedule=constant, it needs warmup-cosine or"),
        (["recipe.warmup_steps=5"], "warmup_steps", "with recipe.schedule=constant, it needs warmup-cosine; set"),
        ([*COSINE, "recipe.warmup_steps=5"], "warmup_steps", "with recipe.schedule_unit=epoch, it needs step"),
        ([*PER_STEP, "recipe.warmup_epochs=5"], "warmup_epochs", "with recipe.schedule_unit=step, it needs epoch"),
        ([*PER_STEP, "recipe.warmup_from_zero=false"], "warmup_from_zero", "no effect with recipe.warmup_steps=0"),
        (["recipe.warmup_to_peak=true"], "warmup_to_peak", "no effect with recipe.warmup_epochs=0; set recipe.warmu"),
        (
            [*PER_STEP, "recipe.warmup_steps=5", "recipe.warmup_from_zero=false", "recipe.warmup_to_peak=true"],
            "warmup_to_peak", "no effect with recipe.warmup_from_zero=false, which ends at the peak",
        ),
        ([*COSINE, "recipe.warmup_epochs=1", "recipe.warmup_to_peak=true"], "warmup_to_peak", "two or more, found"),
        (["recipe.floor=0.1"], "floor", "with recipe.schedule=constant, it needs warmup-cosine; set recipe.floor=0.0"),
        ([*COSINE, "recipe.planned_steps=9"], "planned_steps", "with recipe.schedule_unit=epoch, it needs step"),
        ([*PER_STEP, "recipe.planned_steps=0"], "planned_steps", "'taken' or 'both-lists' or"),
        (
            [*PER_STEP, "recipe.sampler=mixed", "recipe.planned_steps=both-lists"],
            "planned_steps", "recipe.sampler=mixed, which has one list; set recipe.planned_steps=taken",
        ),
        (["recipe.schedule=steps", "recipe.schedule_unit=step"], "milestones", "must name the steps of recipe.sched"),
        (["recipe.look_from=5"], "look_from", "with recipe.look_count=epoch, it needs run; set recipe.look_from=0"),
        (["recipe.look_count=run"], "look_count", "needs a period in recipe.look_every; set it, or recipe.look_count"),
        (["recipe.sampler=cycled", "recipe.batch_size=5"], "batch_size", "only recipe.sampler=mixed takes any number"),
    ],
)  # fmt: skip
def test_settings_that_would_do_nothing_are_refused(assignments, key, words):
    with pytest.raises(ConfigError) as error:
        settings(*assignments)
    assert f"setting 'recipe.{key}'" in str(error.value) and words in str(error.value)
    assert "\n" not in str(error.value)
    if key not in ("batch_size", "planned_steps"):
        # Nothing is trained, so nothing that says how has an effect.
        assert not settings(*(a for a in assignments if "epochs=" not in a), "recipe.epochs=0").trains


@pytest.mark.parametrize(
    "assignments",
    [
        ["recipe.sampler=cycled", "recipe.epoch_steps=5", "recipe.steps=12"],
        ["recipe.steps=12"],
        [*PER_STEP, "recipe.warmup_steps=5", "recipe.warmup_to_peak=true", "recipe.floor=0.1"],
        [*PER_STEP, "recipe.planned_steps=2510"],
        [*PER_STEP, "recipe.planned_steps=both-lists"],
        [*COSINE, "recipe.warmup_epochs=2", "recipe.warmup_to_peak=true"],
        ["recipe.schedule=steps", "recipe.schedule_unit=step", "recipe.milestones=[100, 250]"],
        ["recipe.look_every=5", "recipe.look_from=205", "recipe.look_count=run", "recipe.look_ties=last"],
        ["recipe.optimiser=adam-l2", "recipe.amsgrad=true"],
    ],
)
def test_settings_that_do_something_are_taken(assignments):
    found = settings(*assignments)
    assert found.trains
    assert set(changed_names(found, Config())) == {a.partition("=")[0] for a in assignments}


def test_a_group_takes_from_the_recipe_what_it_leaves_out(tmp_path):
    """Whichever layer gives it, and whatever later layers say of the recipe itself."""
    path = tmp_path / "f.toml"
    path.write_text('[recipe.groups.refiner]\noptimiser = "stable-adamw"\namsgrad = true\n')
    found = resolve(
        Config,
        {"recipe": {"groups": {"refiner": {"learning_rate": 5.0, "epsilon": 1e-10}}}},
        path,
        {"VADBENCH_SET__RECIPE__GROUPS__refiner__learning_rate": "1e-3"},
        ["recipe.weight_decay=0.5", "recipe.groups.other.gamma=0.5", "recipe.schedule=steps", "recipe.milestones=[3]"],
    ).recipe
    assert found.groups["refiner"].given == REFINER
    whole = found.model_copy(update={"groups": {}})
    assert found.group("refiner") == whole.model_copy(update=REFINER)
    assert found.group("other") == whole.model_copy(update={"gamma": 0.5})
    assert found.group("default") == found.group("unnamed") == whole
    assert found.group("refiner").weight_decay == 0.5
    assert not settings("recipe.groups.a.gamma=0.5", "recipe.groups={}", "recipe.epochs=3").recipe.groups


def test_groups_are_written_as_they_were_given():
    found = settings(*(f"recipe.groups.refiner.{name}={json.dumps(value)}" for name, value in REFINER.items()))
    assert dict(flatten(found.model_dump()["recipe"]["groups"])) == {f"refiner.{n}": v for n, v in REFINER.items()}
    assert restored(Config, json.loads(found.model_dump_json())) == found
    assert set(changed_names(found, Config())) == {f"recipe.groups.refiner.{name}" for name in REFINER}
    assert key_values(found)["recipe"]["groups"] == {"refiner": REFINER}
    # A field that a group leaves out is no part of a key, so one can be added to groups.
    assert "groups" not in key_values(Config())["recipe"]


def test_every_field_of_a_group_is_one_of_the_recipe_and_takes_the_same_values():
    bounds = (0, -1, -0.5, 0.5, 1, 1.5, 3, True, "step", "x", (), (0.5, 0.5), (1, 2), "both-lists", "adam-l2", "steps")
    for name in GroupRecipe.model_fields:
        assert name in Recipe.model_fields
        for value in bounds:
            taken = []
            for model in (Recipe, GroupRecipe):
                try:
                    # Nothing is trained: only what the field itself takes counts.
                    taken.append(getattr(model(**{name: value} | ({"epochs": 0} if model is Recipe else {})), name))
                except ValidationError:
                    taken.append(None)
            assert taken[0] == taken[1], (name, value)


@pytest.mark.parametrize(
    ("assignments", "words"),
    [
        (
            ["floor=0.1"],
            "refiner.floor has no effect with recipe.groups.refiner.schedule=constant, it needs warmup-cos",
        ),
        (["schedule=steps"], "refiner.milestones must name the epochs of recipe.groups.refiner.schedule=steps"),
        (["learning_rate=0"], "setting 'recipe.groups.refiner.learning_rate' from --set: Input should be greater"),
        (["learnin_rate=1"], "did you mean 'recipe.groups.refiner.learning_rate'"),
        (["epochs=3"], "unknown setting 'recipe.groups.refiner.epochs' in --set"),
    ],
)
def test_what_is_wrong_with_a_group_is_said(assignments, words):
    with pytest.raises(ConfigError) as error:
        settings(*(f"recipe.groups.refiner.{a}" for a in assignments))
    assert words in str(error.value) and "\n" not in str(error.value)


def test_what_a_group_inherits_may_be_of_no_use_to_it():
    recipe = settings(*COSINE, "recipe.warmup_epochs=5", "recipe.groups.head.schedule=constant").recipe
    assert recipe.group("head").schedule == "constant"
    with pytest.raises(ConfigError, match=r"set recipe\.FIELD"):
        settings("recipe.groups.default.gamma=0.5")


def test_what_was_added_to_recipes_says_at_which_value_it_came_in():
    added = {n: next(m.value for m in f.metadata if isinstance(m, Introduced)) for n, f in Recipe.model_fields.items()
             if any(isinstance(m, Introduced) for m in f.metadata)}  # fmt: skip
    assert added == {name: Recipe.model_fields[name].default for name in added} and len(added) == 14
    assert key_values(MethodConfig(recipe=Recipe()))["recipe"].keys() == Recipe.model_fields.keys() - added.keys()


def test_the_recipes_of_the_documentation_are_taken(tmp_path):
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        (tmp_path / "f.toml").write_text(block)
        found = resolve(Config, {}, tmp_path / "f.toml", {}).recipe.model_dump(mode="json")
        for name, value in flatten(tomllib.loads(block)["recipe"]):
            assert dict(flatten(found))[name] == value
