"""Settings of a method."""

from pydantic import Field

from vadbench.base.method_config import MethodConfig, Recipe


class Config(MethodConfig):
    n_ctx: int = Field(8, description="context tokens")
    name: str = Field("a", description="a name")
    recipe: Recipe = Recipe(epochs=50, batch_size=64)
