"""Names of settings and their values as text: all that writes or reads them agrees."""

import json
from typing import Annotated, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model

from configs import Config, Free, Part, free
from vadbench.base.config import Settings, field_descriptions, field_names, of_field, resolve
from vadbench.base.errors import ConfigError
from vadbench.base.method_config import MethodConfig
from vadbench.base.naming import changed_names, flatten, joined, read_value, same, split_name, written


class Spelt(Settings):
    lasting: bool = Field(True, alias="global", description="a word of Python's")
    inner: Part | None = Field(None, alias="class", description="another")


class Aliased(MethodConfig):
    time: Spelt = Spelt()


def test_an_alias_is_the_name_of_a_setting(tmp_path):
    path = tmp_path / "f.toml"
    path.write_text("time.class.size = 3\n")
    found = resolve(Aliased, {}, path, {"VADBENCH_SET__TIME__GLOBAL": "false"})
    assert not found.time.lasting and found.time.inner.size == 3
    assert found.model_dump()["time"] == {"global": False, "class": found.time.inner.model_dump()}
    assert Aliased.model_validate(found.model_dump(mode="json")) == found
    assert {"time.global", "time.class.size"} <= set(field_names(Aliased))
    assert field_descriptions(Aliased)["time.global"] == "a word of Python's"
    with pytest.raises(ConfigError, match=r"did you mean 'time\.global'"):
        resolve(Aliased, {}, environment={}, assignments=["time.globl=true"])


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("N", "7", {"N": 7}),
        ("CAMELCASE", "b", {"camelCase": "b"}),
        ("camelCase", "b", {"camelCase": "b"}),
        ("WEIGHTS__FIRE", "3", {"weights": {"fire": 3.0, "Riot": 2.0}}),
        ("WEIGHTS__RIOT", "3", {"weights": {"fire": 1.0, "Riot": 3.0}}),
        ("WEIGHTS__Abuse", "3", {"weights": {"fire": 1.0, "Riot": 2.0, "Abuse": 3.0}}),
        ("WEIGHTS", "{smoke = 3}", {"weights": {"fire": 1.0, "Riot": 2.0, "smoke": 3.0}}),
        ("FLAG", "true", {"flag": True}),
        ("EXTRA__SIZE", "2", {"extra": {"size": 2, "on": False}}),
    ],
)
def test_a_variable_names_a_setting_in_letters_of_either_case(variable, value, expected):
    found = free(environment={f"VADBENCH_SET__{variable}": value})
    assert found.model_dump() == Free().model_dump() | expected


def test_a_variable_that_may_mean_two_settings_is_refused():
    class Both(Settings):
        n: int = 1
        N: int = 2

    with pytest.raises(ConfigError, match=r"VADBENCH_SET__N may mean 'n' or 'N'; give the setting in a file or by"):
        resolve(Both, {}, environment={"VADBENCH_SET__N": "3"})
    assert resolve(Both, {}, environment={}, assignments=["N=3"]) == Both(N=3)
    with pytest.raises(ConfigError, match=r"unknown setting 'm' in the environment"):
        resolve(Both, {}, environment={"VADBENCH_SET__M": "3"})


def test_a_type_of_a_union_is_no_part_of_a_settings_name():
    with pytest.raises(ConfigError, match=r"^setting 'either' from --set: .*integer.* or .*boolean.*, found 'x'$"):
        free("either=x")


def test_all_that_names_settings_agrees():
    config = free("weights.fire=3", "extra.size=2", "recipe.epochs=7", "flag=true")
    names = dict(flatten(config.model_dump(mode="json")))
    assert set(field_names(Free)) == set(field_descriptions(Free))
    assert all(field_descriptions(Free).values())
    assert all(of_field(name, field_descriptions(Free)) for name in names)
    assert changed_names(config, Free()) == ["recipe.epochs", "flag", "weights.fire", "extra.size"]
    assert changed_names(free("weights={}", "extra={}"), Free()) == ["weights", "extra"]
    assert changed_names(free("weights={}", "weights.fire=1"), Free()) == ["weights.Riot"]
    assert changed_names(free("either=false"), Free()) == ["either"]
    assert changed_names(Free(), config) == ["recipe", "flag", "weights.fire", "extra"]


def _unsigned_zero(number):
    """0.0 for -0.0: the two are the same setting, and JSON writes them apart."""
    return number + 0.0


VALUES = {
    bool: st.booleans(),
    int: st.integers(-(10**9), 10**9),
    float: st.floats(allow_nan=False, allow_infinity=False).map(_unsigned_zero),
    str: st.text(),
    bool | None: st.none() | st.booleans(),
    int | bool: st.booleans() | st.integers(-5, 5),
    str | None: st.none() | st.text(),
    Literal[True, "auto", 3]: st.sampled_from([True, "auto", 3]),
    Annotated[int, Field(ge=0)] | None: st.none() | st.integers(0, 9),
    tuple[int, ...]: st.lists(st.integers(0, 9)).map(tuple),
    tuple[str, bool]: st.tuples(st.text(), st.booleans()),
    dict[str, float]: st.dictionaries(st.text(), st.floats(-9, 9).map(_unsigned_zero)),
    dict[str, str | bool]: st.dictionaries(st.text(), st.text() | st.booleans()),
    Part: st.builds(Part, size=st.integers(0, 9), on=st.booleans()),
    Part | None: st.none() | st.builds(Part, size=st.integers(0, 9), on=st.booleans()),
    tuple[Part, ...]: st.lists(st.builds(Part, size=st.integers(0, 9))).map(tuple),
}
IDENTIFIERS = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,5}(_[A-Za-z0-9]{1,4})?", fullmatch=True).filter(
    lambda name: not hasattr(BaseModel, name) and name not in ("model_", "rows", "recipe")
)


@st.composite
def classes(draw):
    """A settings class, and for each of its fields a default and another value."""
    annotations = draw(st.dictionaries(IDENTIFIERS, st.sampled_from(list(VALUES)), min_size=1, max_size=5))
    usual = {name: draw(VALUES[kind]) for name, kind in annotations.items()}
    other = {name: draw(VALUES[kind]) for name, kind in annotations.items()}
    return create_model("Drawn", __base__=Settings, **{n: (k, usual[n]) for n, k in annotations.items()}), other


@given(classes())
def test_whatever_is_written_is_read_back(drawn):
    model, values = drawn
    wanted = model.model_validate(values)
    for name, value in flatten(wanted.model_dump(mode="json")):
        assert same(read_value(written(value)), value)
        assert joined(split_name(name)) == name
    # A table adds to the one below it: an empty one first takes its entries away.
    tables = [f"{name}={{}}" for name, value in values.items() if isinstance(value, dict)]
    given = [f"{name}={written(value)}" for name, value in flatten(wanted.model_dump(mode="json"))]
    found = resolve(model, {}, environment={}, assignments=[*tables, *given])
    assert found == wanted and json.dumps(found.model_dump()) == json.dumps(wanted.model_dump())
    changed = changed_names(found, model())
    assert (changed == []) == (json.dumps(found.model_dump()) == json.dumps(model().model_dump()))
    assert all(any(name == f or name.startswith(f"{f}.") for f in field_names(model)) or name in values
               for name in changed)  # fmt: skip


@given(st.text())
@example("2024-01-01")
@example("5\nb = 3")
@example("9" * 5000)
@example("[" * 5000)
def test_any_text_can_be_the_value_of_a_setting(text):
    assert read_value(written(text)) == text
    assert resolve(Config, {}, environment={}, assignments=[f"name={written(text)}"]).name == text
