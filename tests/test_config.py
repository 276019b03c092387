import pytest
from pydantic import Field

from vadbench.config import MethodConfig, Recipe, field_descriptions, resolve
from vadbench.errors import ConfigError


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
