"""Recipes: settings that would do nothing are refused."""

import pytest
from pydantic import ValidationError, create_model

from configs import Config
from vadbench.base.config import resolve
from vadbench.base.errors import ConfigError
from vadbench.base.method_config import MethodConfig, Recipe
from vadbench.plugins.registry import installed

STEPS = ("recipe.schedule=steps", "recipe.milestones=[4, 8]")
WARM = ("recipe.schedule=warmup-cosine", "recipe.warmup_epochs=5")


@pytest.mark.parametrize(
    ("assignments", "key", "words"),
    [
        (["recipe.warmup_epochs=5"], "warmup_epochs", "needs warmup-cosine; set recipe.warmup_epochs=0"),
        ([*STEPS, "recipe.warmup_epochs=5"], "warmup_epochs", "no effect with recipe.schedule=steps"),
        (["recipe.warmup_from_zero=false"], "warmup_from_zero", "no effect with recipe.warmup_epochs=0"),
        (["recipe.schedule=warmup-cosine", "recipe.warmup_from_zero=false"], "warmup_from_zero", "warm up with"),
        (["recipe.milestones=[3]"], "milestones", "they need steps; set recipe.milestones=[]"),
        ([*WARM, "recipe.milestones=[3]"], "milestones", "no effect with recipe.schedule=warmup-cosine"),
        (["recipe.schedule=steps"], "milestones", "must name the epochs of recipe.schedule=steps"),
        (["recipe.schedule=steps", "recipe.milestones=[8, 4]"], "milestones", "must ascend"),
        (["recipe.schedule=steps", "recipe.milestones=[4, 4]"], "milestones", "must ascend"),
        (["recipe.schedule=steps", "recipe.milestones=[0, 4]"], "milestones", "must ascend"),
        (["recipe.gamma=0.5"], "gamma", "it needs steps; set recipe.gamma=0.1"),
        (["recipe.batch_size=5"], "batch_size", "only recipe.sampler=mixed takes any number"),
        (["recipe.sampler=paired", "recipe.batch_size=1"], "batch_size", "must be even"),
        (["recipe.batch_size=0"], "batch_size", "greater than or equal to 1"),
    ],
)
def test_settings_of_a_recipe_that_would_do_nothing_are_refused(assignments, key, words):
    with pytest.raises(ConfigError) as error:
        resolve(Config, {}, environment={}, assignments=assignments)
    assert f"setting 'recipe.{key}'" in str(error.value) and words in str(error.value)
    assert "\n" not in str(error.value)
    # Nothing is trained, so nothing that says how has an effect, and none is asked to be taken back.
    if key != "batch_size":
        assert not resolve(Config, {}, environment={}, assignments=[*assignments, "recipe.epochs=0"]).trains


@pytest.mark.parametrize(
    "assignments",
    [
        [*STEPS, "recipe.gamma=0.5"],
        [*STEPS, "recipe.epochs=3"],
        [*WARM, "recipe.warmup_from_zero=false", "recipe.epochs=6"],
        ["recipe.schedule=warmup-cosine"],
        ["recipe.sampler=mixed", "recipe.batch_size=1"],
        ["recipe.sampler=mixed", "recipe.batch_size=7"],
        ["recipe.look_every=3", "recipe.rollback=true"],
    ],
)
def test_settings_of_a_recipe_that_do_something_are_taken(assignments):
    assert resolve(Config, {}, environment={}, assignments=assignments).trains


def test_defaults_that_a_users_schedule_makes_useless_are_named_with_what_to_set():
    class Warmed(MethodConfig):
        recipe: Recipe = Recipe(schedule="warmup-cosine", warmup_epochs=5)

    own = {"recipe": {"warmup_epochs": 2, "warmup_from_zero": False}}
    with pytest.raises(ConfigError, match=r"'recipe.warmup_epochs' from the method's data set defaults") as error:
        resolve(Warmed, own, environment={}, assignments=["recipe.schedule=constant"])
    said = str(error.value).split("; set ")[1].split(", found")[0].split(" and ")
    found = resolve(Warmed, own, environment={}, assignments=["recipe.schedule=constant", *said])
    assert found.recipe == Recipe()


@pytest.mark.parametrize("settings", [{"warmup_epochs": 3}, {"milestones": (3,)}, {"gamma": 0.5}, {"batch_size": 3}])
def test_a_recipe_made_in_code_is_held_to_the_same(settings):
    with pytest.raises(ValidationError):
        Recipe(**settings)
    if settings.keys() != {"batch_size"}:
        # A class's own defaults count as well.
        with pytest.raises(ValidationError):
            create_model(
                "Own", __base__=Recipe, **{k: (Recipe.model_fields[k].annotation, v) for k, v in settings.items()}
            )()


@pytest.mark.parametrize("name", sorted(installed().specs("method")))
def test_the_settings_that_come_with_methods_are_taken(name):
    config = installed().method_config(name)
    for dataset in [None, *config.dataset_defaults]:
        resolve(config, config.dataset_defaults.get(dataset, {}), environment={})
        if config().recipe is not None:
            own = config.dataset_defaults.get(dataset, {})
            assert not resolve(config, own, environment={}, assignments=["recipe.epochs=0"]).trains
