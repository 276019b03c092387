"""What a key hashes: not what is new, but every value that differs."""

import json
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError, create_model

from vadbench.base.config import Settings, resolve
from vadbench.base.fields import Introduced, fields
from vadbench.base.hashing import digest
from vadbench.base.method_config import MethodConfig, Recipe, Rows
from vadbench.base.naming import is_of, same
from vadbench.plugins.registry import installed
from vadbench.records.keys import evaluation_key, key_values, restored, training_key
from vadbench.scoring.protocol import NATIVE, Protocol, protocol, protocols

PARTS: dict[str, Any] = {
    "method": "m", "version": "1", "config": MethodConfig(recipe=Recipe()), "classes": [0, ["Normal", "normal"]],
    "manifest": "a", "fingerprint": "b", "clip": "c", "subset": "all", "selection": "last", "seed": 0,
}  # fmt: skip
VALUES = st.one_of(
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.booleans(),
    st.none(),
    st.tuples(st.integers(), st.integers()),
    st.lists(st.integers(), max_size=2).map(tuple),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
NAMES = st.from_regex(r"new_[a-z]{1,8}", fullmatch=True)


def later(model: type[Settings], name: str, introduced: Any, default: Any) -> type[Settings]:
    """The same settings in a later release: a field more."""
    return create_model(
        f"Later{model.__name__}", __base__=model, **{name: (Annotated[Any, Introduced(introduced)], Field(default))}
    )


def trained(config: Settings) -> str:
    return training_key(**(PARTS | {"config": config}))


def evaluated(rules: Settings) -> str:
    return evaluation_key(protocol=rules, dataset="d", classes=[0], manifest="e")


def with_recipe(recipe: Settings) -> MethodConfig:
    model = create_model("Config", __base__=MethodConfig, recipe=(type(recipe) | None, recipe))
    return model()


@given(NAMES, VALUES)
def test_a_new_field_changes_no_key(name, value):
    assert trained(later(MethodConfig, name, value, value)(recipe=Recipe())) == trained(MethodConfig(recipe=Recipe()))
    assert trained(with_recipe(later(Recipe, name, value, value)())) == trained(MethodConfig(recipe=Recipe()))
    rows = create_model("Config", __base__=MethodConfig, rows=(Rows, later(Rows, name, value, value)()))
    assert trained(rows(recipe=Recipe())) == trained(MethodConfig(recipe=Recipe()))
    for rules in (preset.rules for preset in protocols().values()):
        newer = later(Protocol, name, value, value)
        assert evaluated(newer.model_validate(rules.model_dump())) == evaluated(rules)


@given(NAMES, VALUES, VALUES)
def test_a_default_that_changes_after_the_introduction_changes_the_key(name, introduced, default):
    for model, key in ((MethodConfig, trained), (Recipe, lambda r: trained(with_recipe(r)))):
        before, after = later(model, name, introduced, introduced)(), later(model, name, introduced, default)()
        # 1 and 1.0 are one value, True is another.
        assert (key(after) == key(before)) == same(introduced, default)
    before, after = (later(Protocol, name, introduced, d)(name="native") for d in (introduced, default))
    assert (evaluated(after) == evaluated(before)) == same(introduced, default)


@given(st.data())
def test_every_value_that_is_not_new_is_hashed(data):
    recipe = Recipe()
    name = data.draw(st.sampled_from(["epochs", "learning_rate", "batch_size", "weight_decay", "epsilon"]))
    other = recipe.model_copy(update={name: getattr(recipe, name) * 2 + 2})
    assert trained(MethodConfig(recipe=other)) != trained(MethodConfig(recipe=recipe))
    assert trained(MethodConfig(recipe=None)) != trained(MethodConfig(recipe=recipe))


def test_a_changed_default_and_a_changed_default_of_a_data_set_give_another_key():
    class Before(MethodConfig):
        width: int = 4

    class After(MethodConfig):
        width: int = 5

    def key(model, dataset_defaults):
        return trained(resolve(model, dataset_defaults, environment={}))

    keys = {key(Before, {}), key(After, {}), key(Before, {"width": 6}), key(Before, {"width": 7})}
    assert len(keys) == 4
    # The value counts, and not the layer that it comes from.
    assert key(Before, {"width": 5}) == key(After, {})


def test_a_field_is_hashed_under_its_alias():
    class Spelt(MethodConfig):
        lasting: bool = Field(True, alias="global")
        later: Annotated[int, Introduced(1)] = Field(1, alias="class")

    plain = key_values(MethodConfig())
    assert key_values(Spelt()) == plain | {"global": True}
    assert key_values(Spelt.model_validate({"class": 2})) == plain | {"global": True, "class": 2}
    assert restored(Spelt, plain | {"global": False}) == Spelt.model_validate({"global": False})


def test_every_part_of_a_key_matters():
    keys = {training_key(**PARTS)}
    for name, value in (PARTS | {"dataset_code": ""}).items():
        if name == "config":
            other: Any = MethodConfig()
        else:
            other = [1] if isinstance(value, list) else 1 if value == 0 else "another"
        keys.add(training_key(**(PARTS | {name: other})))
    assert len(keys) == len(PARTS) + 2
    parts: dict[str, Any] = {"protocol": NATIVE.rules, "dataset": "d", "classes": [0], "manifest": "e"}
    others: dict[str, Any] = {"protocol": protocol("vadclip").rules, "dataset": "x", "classes": [1], "manifest": "f"}
    keys = {evaluation_key(**parts), evaluation_key(**parts, dataset_code="g")}
    keys |= {evaluation_key(**(parts | {name: other})) for name, other in others.items()}
    assert len(keys) == len(parts) + 2


def test_a_record_older_than_a_field_means_the_value_that_the_field_came_in_with():
    class Old(MethodConfig):
        width: int = 4

    newer = later(Old, "new_depth", introduced=1, default=3)
    config = restored(newer, Old(recipe=Recipe()).model_dump(mode="json"))
    assert config.new_depth == 1 and newer().new_depth == 3
    assert trained(config) == trained(Old(recipe=Recipe()))
    recipe = with_recipe(later(Recipe, "new_warmth", introduced=(1, 2), default=(3, 4))())
    config = restored(type(recipe), MethodConfig(recipe=Recipe()).model_dump(mode="json"))
    assert config.recipe.new_warmth == (1, 2)
    with pytest.raises(ValidationError, match="new_depth"):
        restored(Old, {"new_depth": 1})


def test_settings_in_lists_and_tables_are_looked_into():
    class Step(Settings):
        size: int = 1

    wider = later(Step, "new_kind", "a", "a")

    class Config(MethodConfig):
        steps: tuple[Step, ...] = ()
        named: dict[str, Step] = {}

    plain = Config(steps=(Step(), Step(size=2)), named={"x": Step()})
    marked = Config.model_construct(rows=Rows(), recipe=None, steps=(wider(), wider(size=2)), named={"x": wider()})
    assert key_values(marked) == key_values(plain)
    other = Config.model_construct(rows=Rows(), recipe=None, steps=(wider(new_kind="b"), wider(size=2)), named={})
    assert key_values(other)["steps"][0] == {"size": 1, "new_kind": "b"}


class Group(Settings):
    rate: float = 1.0


class Other(Settings):
    kind: str = "other"


@given(NAMES, st.integers(0, 5), st.integers(6, 9))
def test_older_records_are_restored_wherever_their_settings_lie(name, introduced, default):
    """In a section, an optional one, a table, a tuple, a list, a union: the key of the old record stays the same."""
    newer = later(Group, name, introduced, default)

    def config(group):
        return create_model(
            "Config",
            __base__=MethodConfig,
            plain=(group, group()),
            maybe=(group | None, None),
            named=(dict[str, group], {}),
            pair=(tuple[group, int], (group(), 1)),
            many=(tuple[group, ...], ()),
            listed=(list[group], []),
            either=(Other | group, Other()),
        )

    values = {
        "plain": {"rate": 2.0}, "maybe": {"rate": 3.0}, "named": {"a": {"rate": 4.0}}, "pair": [{"rate": 5.0}, 7],
        "many": [{"rate": 6.0}, {}], "listed": [{"rate": 7.0}], "either": {"rate": 8.0},
    }  # fmt: skip
    old = config(Group).model_validate(values)
    new = restored(config(newer), old.model_dump(mode="json"))
    assert getattr(new.named["a"], name) == getattr(new.many[1], name) == getattr(new.either, name) == introduced
    assert trained(new) == trained(old)


def test_the_settings_that_come_with_methods_are_hashed_as_ever():
    """A digest that changes names every training of the method anew: only a changed default may do that."""
    found = {}
    for name in installed().specs("method"):
        model = installed().method_config(name)
        for dataset in ["", *model.dataset_defaults]:
            config = resolve(model, model.dataset_defaults.get(dataset, {}), environment={})
            found[f"{name} {dataset}".strip()] = digest(key_values(config))
    known = json.loads(Path(__file__).with_name("key_digests.json").read_text())
    assert {name: found.get(name) for name in known} == known


FIRST_EDITION = json.loads(Path(__file__).with_name("key_fields.json").read_text())


def test_fields_added_to_shipped_settings_say_at_which_value_they_came_in():
    """A field that is in no list must be marked: ``Annotated[kind, Introduced(value)]``; then it needs no entry."""
    models = {"Protocol": Protocol} | {
        f"{name}": installed().method(name).Config for name in installed().specs("method")
    }
    for name, model in models.items():
        unmarked = sorted(_unmarked(model))
        assert unmarked == sorted(FIRST_EDITION[name]), f"{name}: mark new fields with Introduced(...)"


def _unmarked(model: Any) -> list[str]:
    settings = list(fields(model))
    marked = [s.name for s in settings if any(isinstance(mark, Introduced) for mark in s.info.metadata)]
    return [s.name for s in settings if s.section is None and not any(is_of(s.name, new) for new in marked)]
