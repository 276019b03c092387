import json
from typing import Annotated, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError, create_model, field_validator, model_validator

from vadbench.base.config import Settings, field_choices, field_descriptions, field_names, is_content, of_field, resolve
from vadbench.base.errors import ConfigError
from vadbench.base.fields import FromFile, file_setting
from vadbench.base.method_config import MethodConfig, Recipe
from vadbench.base.naming import changed_names, flatten, joined, read_value, same, split_name, written
from vadbench.plugins.registry import installed


class Config(MethodConfig):
    n_ctx: int = Field(8, description="context tokens")
    name: str = Field("a", description="a name")
    recipe: Recipe = Recipe(epochs=50, batch_size=64)


def test_each_layer_lies_on_the_one_below(tmp_path):
    file = tmp_path / "f.toml"
    file.write_text("n_ctx = 3\n[recipe]\nepochs = 3\nbatch_size = 6\n[rows]\nstride = 3\n")
    environment = {"VADBENCH_SET__RECIPE__EPOCHS": "4", "VADBENCH_SET__ROWS__STRIDE": "4", "OTHER": "9"}
    found = resolve(
        Config,
        {"n_ctx": 2, "recipe": {"epochs": 2, "batch_size": 4, "weight_decay": 0.5}},
        file,
        environment,
        ["rows.stride=5"],
    )
    assert (found.recipe.weight_decay, found.n_ctx, found.recipe.batch_size) == (0.5, 3, 6)
    assert (found.recipe.epochs, found.rows.stride) == (4, 5)
    assert found.recipe.learning_rate == Config().recipe.learning_rate


def test_values_are_toml_or_text():
    found = resolve(Config, {}, environment={}, assignments=["name=plain words", "recipe.betas=[0.8, 0.9]"])
    assert found.name == "plain words"
    assert found.recipe.betas == (0.8, 0.9)


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("n_ctxx=4", "unknown setting 'n_ctxx' in --set; did you mean 'n_ctx'?"),
        ("recipe.epoch=4", "did you mean 'recipe.epochs'"),
        ("n_ctx=many", "setting 'n_ctx' from --set"),
        ("n_ctx", "--set expects key=value"),
        ("rows.stride=0", "greater than or equal to 1"),
        ("rows.pooling=max", "'first', 'middle' or 'mean'"),
    ],
)
def test_bad_settings_name_the_key_the_layer_and_a_way_out(assignment, words):
    with pytest.raises(ConfigError) as error:
        resolve(Config, {}, environment={}, assignments=[assignment])
    assert words in str(error.value)


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
    method = installed().method(name)
    for dataset in [None, *method.dataset_defaults]:
        resolve(method.Config, method.dataset_defaults.get(dataset, {}), environment={})
        if method.Config().recipe is not None:
            own = method.dataset_defaults.get(dataset, {})
            assert not resolve(method.Config, own, environment={}, assignments=["recipe.epochs=0"]).trains


def test_a_wrong_key_in_a_file_names_the_file(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[recipe]\nepoch = 3\n")
    with pytest.raises(ConfigError, match=r"mine.toml; did you mean 'recipe.epochs'"):
        resolve(Config, {}, file, {})


def test_a_file_that_is_not_toml_names_the_line(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("a = 1\nb = = 2\n")
    with pytest.raises(ConfigError, match="line 2"):
        resolve(Config, {}, file, {})


def test_every_field_of_the_harness_is_described():
    assert all(field_descriptions(Config).values())


class Part(Settings):
    """A section."""

    size: int = Field(1, description="its size")
    on: bool = Field(False, description="whether it is on")


class Free(MethodConfig):
    """A setting of every form that a plugin may think of; ``recipe`` has no default."""

    flag: bool | None = Field(None, description="a flag")
    either: int | bool = Field(0, description="a number or a flag")
    mode: Literal[True, False, "auto"] = Field("auto", description="a mode")
    share: Annotated[float, Field(ge=0)] | None = Field(None, description="a share")
    N: int = Field(4, description="how many")
    camelCase: str = Field("a", description="a word")
    weights: dict[str, float] = Field({"fire": 1.0, "Riot": 2.0}, description="of the classes")
    counts: dict[int, int] = Field({}, description="by number")
    part: Part = Part()
    extra: Part | None = Field(None, description="another part")
    parts: tuple[Part, ...] = Field((), description="several parts")
    sizes: tuple[int, ...] = Field((), description="several sizes")


def free(*assignments, environment=None, **dataset):
    return resolve(Free, dataset, None, environment or {}, assignments)


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("flag=true", {"flag": True}),
        ("flag=false", {"flag": False}),
        ("flag=null", {"flag": None}),
        ("either=false", {"either": False}),
        ("either=true", {"either": True}),
        ("either=3", {"either": 3}),
        ("mode=false", {"mode": False}),
        ("mode=auto", {"mode": "auto"}),
        ("share=0.5", {"share": 0.5}),
        ("weights.fire=3", {"weights": {"fire": 3.0, "Riot": 2.0}}),
        ("weights={fire = 3, smoke = 1}", {"weights": {"fire": 3.0, "Riot": 2.0, "smoke": 1.0}}),
        ('weights={"fire": 3}', {"weights": {"fire": 3.0, "Riot": 2.0}}),
        ('weights."a.b = c"=3', {"weights": {"fire": 1.0, "Riot": 2.0, "a.b = c": 3.0}}),
        ("weights.Road Accidents=3", {"weights": {"fire": 1.0, "Riot": 2.0, "Road Accidents": 3.0}}),
        ("weights={}", {"weights": {}}),
        ("counts.7=2", {"counts": {7: 2}}),
        ("part={size = 2}", {"part": {"size": 2, "on": False}}),
        ("part={}", {"part": {"size": 1, "on": False}}),
        ("extra.size=2", {"extra": {"size": 2, "on": False}}),
        ("extra={}", {"extra": {"size": 1, "on": False}}),
        ("parts=[{size = 2}, {on = true}]", {"parts": ({"size": 2, "on": False}, {"size": 1, "on": True})}),
        ('parts=[{"size": 2}]', {"parts": ({"size": 2, "on": False},)}),
        ("N=5", {"N": 5}),
    ],
)
def test_a_setting_of_any_type_can_be_set(assignment, expected):
    found, usual = free(assignment).model_dump(), Free().model_dump()
    assert found == usual | expected
    assert all(type(found[name]) is type(value) for name, value in expected.items())


def test_a_section_that_is_usually_absent_begins_with_its_own_defaults(tmp_path):
    assert free("recipe.epochs=7").recipe == Recipe(epochs=7)
    assert free(recipe={"epochs": 7}).recipe == Recipe(epochs=7)
    file = tmp_path / "f.toml"
    file.write_text("[recipe]\nepochs = 7\n[weights]\nRiot = 9\n")
    found = resolve(Free, {}, file, {})
    assert found.recipe == Recipe(epochs=7) and found.weights == {"fire": 1.0, "Riot": 9.0}


def test_a_section_can_be_taken_away_and_begun_anew():
    assert resolve(Config, {}, environment={}, assignments=["n_ctx=3"]).recipe == Recipe(epochs=50, batch_size=64)

    class Optional(Config):
        recipe: Recipe | None = Recipe(epochs=50)

    assert resolve(Optional, {}, environment={}, assignments=["recipe=null"]).recipe is None
    again = resolve(Optional, {}, environment={}, assignments=["recipe=null", "recipe.epochs=2"])
    assert again.recipe == Recipe(epochs=2)


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


def test_data_set_defaults_are_not_changed_by_what_is_laid_on_them():
    usual = {"weights": {}, "part": {"size": 3}}
    assert free("weights.fire=5", **usual).weights == {"fire": 5.0}
    assert usual == {"weights": {}, "part": {"size": 3}}


@pytest.mark.parametrize(
    ("assignment", "name"),
    [
        ("N=true", "N"),
        ("share=false", "share"),
        ("sizes=[1, true]", "sizes"),
        ("weights={fire = true}", "weights"),
        ("part.size=true", "part.size"),
        ("parts=[{size = true}]", "parts.0.size"),
        ("extra.size=true", "extra.size"),
    ],
)
def test_true_is_no_number(assignment, name):
    with pytest.raises(ConfigError, match=rf"setting '{name}'.*must not be true or false"):
        free(assignment)


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


class Temporal(MethodConfig):
    temporal: str = "axial"
    temporal_features: bool = False
    sizes: tuple[int, int] = (1, 2)
    part: Part = Part()


@pytest.mark.parametrize(
    ("content", "assignment", "said"),
    [
        ('temporal = "mlp"', "temporal_features=oops", r"setting 'temporal_features' from --set: .*found 'oops'"),
        ("temporal = 3", "temporal_features=true", r"setting 'temporal' from \S*mine.toml: .*found 3"),
        ("sizes = [1, 'x']", "temporal=a", r"setting 'sizes.1' from \S*mine.toml: .*found 'x'"),
        ("part.size = 'x'", "part.on=true", r"setting 'part.size' from \S*mine.toml: .*found 'x'"),
        ("part.on = true", "part.size=x", r"setting 'part.size' from --set: .*found 'x'"),
        ("part.on = true", "part=5", r"setting 'part' from --set: .*found 5"),
    ],
)
def test_the_layer_that_gave_a_bad_value_is_blamed(tmp_path, content, assignment, said):
    file = tmp_path / "mine.toml"
    file.write_text(content)
    with pytest.raises(ConfigError, match=said):
        resolve(Temporal, {}, file, {}, [assignment])


def test_a_type_of_a_union_is_no_part_of_a_settings_name():
    with pytest.raises(ConfigError, match=r"^setting 'either' from --set: .*integer.* or .*boolean.*, found 'x'$"):
        free("either=x")


class Sized(Settings):
    heads: int = 4
    width: int = 128

    @model_validator(mode="after")
    def _divisible(self):
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) must be a multiple of heads ({self.heads})")
        return self


class Whole(MethodConfig):
    heads: int = 4
    width: int = 128
    attention: Sized = Sized()
    words: tuple[str, ...] = ()
    length: int = 16

    @model_validator(mode="after")
    def _divisible(self):
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) must be a multiple of heads ({self.heads})")
        return self

    @field_validator("words")
    @classmethod
    def _few(cls, words):
        if len(words) > 3:
            raise ValueError("at most 3 words")
        return words


def test_a_validator_of_all_settings_is_answered_with_what_was_given():
    with pytest.raises(ConfigError) as error:
        resolve(Whole, {"length": 8}, environment={}, assignments=["heads=3"])
    assert str(error.value) == (
        "settings: width (128) must be a multiple of heads (3); given: heads=3 (--set), length=8 (the method's data set"
        " defaults)"
    )


def test_a_validator_of_a_section_is_answered_with_what_was_given():
    environment = {"VADBENCH_SET__WIDTH": "64"}
    with pytest.raises(ConfigError) as error:
        resolve(Whole, {}, environment=environment, assignments=["length=4", "attention.heads=3"])
    assert str(error.value) == (
        "setting 'attention': width (128) must be a multiple of heads (3); given: attention.heads=3 (--set), length=4"
        " (--set), width=64 (the environment)"
    )


def test_no_message_repeats_a_long_value():
    words = json.dumps([f"word {i}" for i in range(500)])
    for assignments in ([f"words={words}"], [f"words={words}", "heads=3"]):
        with pytest.raises(ConfigError) as error:
            resolve(Whole, {}, environment={}, assignments=assignments)
        assert len(str(error.value)) < 250 and "\n" not in str(error.value)
    many = {f"name{i}": i for i in range(50)}
    with pytest.raises(ConfigError, match=r"and \d+ more$") as error:
        resolve(create_model("Many", __base__=Whole, table=(dict[str, int], {})), {"table": many, "heads": 3}, None, {})
    assert len(str(error.value)) < 400


def test_a_class_without_all_defaults_can_be_filled():
    class Needy(MethodConfig):
        layers: int
        name: str = "a"

    assert field_names(Needy)[-2:] == ["layers", "name"]
    assert resolve(Needy, {}, environment={}, assignments=["layers=3"]).layers == 3
    with pytest.raises(ConfigError, match=r"^settings: .*|setting 'layers': Field required"):
        resolve(Needy, {}, environment={}, assignments=["name=b"])


def test_choices_are_written_as_they_are_given():
    found = field_choices(Free)
    assert found["flag"] == "true | false | null"
    assert found["mode"] == "true | false | auto"
    assert found["rows.pooling"] == "first | middle | mean"
    assert not {"N", "weights", "either"} & found.keys()


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


VALUES = {
    bool: st.booleans(),
    int: st.integers(-(10**9), 10**9),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(),
    bool | None: st.none() | st.booleans(),
    int | bool: st.booleans() | st.integers(-5, 5),
    str | None: st.none() | st.text(),
    Literal[True, "auto", 3]: st.sampled_from([True, "auto", 3]),
    Annotated[int, Field(ge=0)] | None: st.none() | st.integers(0, 9),
    tuple[int, ...]: st.lists(st.integers(0, 9)).map(tuple),
    tuple[str, bool]: st.tuples(st.text(), st.booleans()),
    dict[str, float]: st.dictionaries(st.text(), st.floats(-9, 9)),
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


def test_the_setting_that_a_file_gives_is_found_by_its_mark():
    class Marked(Settings):
        width: int = 3
        words: Annotated[dict[str, list[str]], FromFile()] = Field({}, description="read from a file")

    assert file_setting(Marked) == "words" and file_setting(Config) is None


@pytest.mark.parametrize(
    ("text", "same_content"),
    [
        ('normal = ["a"]\n[classes]\nFire = ["b"]\nBomb = ["c"]', True),
        ('[classes]\nFire = ["b"]\nBomb = ["c"]\n[normal]', False),
        ('abnormal = []\nnormal = ["a"]\nclasses = { Fire = ["b"], Bomb = ["c"] }', True),
        ('normal = ["a"]\nclasses = { Bomb = ["c"], Fire = ["b"] }', False),
        ('normal = ["a", "b"]\nclasses = { Fire = ["b"], Bomb = ["c"] }', False),
        ("normal = [", False),
    ],
)
def test_a_table_of_a_record_is_known_by_its_file_or_its_title(tmp_path, text, same_content):
    recorded = {"normal": ["a"], "abnormal": [], "classes": [["Fire", ["b"]], ["Bomb", ["c"]]], "title": ""}
    file = tmp_path / "site.toml"
    file.write_text(text)
    assert is_content(recorded, str(file)) is same_content
    assert is_content({**recorded, "title": "site"}, "site") and not is_content(recorded, "site")
