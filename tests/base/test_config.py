import json
from typing import Annotated

import pytest
from pydantic import Field, create_model, field_validator, model_validator

from configs import Config, Free, Part, free
from vadbench.base.config import Settings, field_choices, field_descriptions, field_names, is_content, resolve
from vadbench.base.errors import ConfigError
from vadbench.base.fields import FromFile, file_setting
from vadbench.base.method_config import MethodConfig, Recipe


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


def test_a_wrong_key_in_a_file_names_the_file(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[recipe]\nepoch = 3\n")
    with pytest.raises(ConfigError, match=r"mine.toml; did you mean 'recipe.epochs'"):
        resolve(Config, {}, file, {})


def test_the_mark_that_editors_put_before_text_is_no_content(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_bytes(b"\xef\xbb\xbfn_ctx = 3\r\n")
    assert resolve(Config, {}, file, {}).n_ctx == 3
    file.write_bytes(b"n_ctx = 3\n\xef\xbb\xbf")
    with pytest.raises(ConfigError, match="line 2"):
        resolve(Config, {}, file, {})


def test_a_file_that_is_not_toml_names_the_line(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("a = 1\nb = = 2\n")
    with pytest.raises(ConfigError, match="line 2"):
        resolve(Config, {}, file, {})


def test_every_field_of_the_harness_is_described():
    assert all(field_descriptions(Config).values())


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
