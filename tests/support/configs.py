"""Settings of methods: usual ones, and of every form that a plugin may think of."""

from typing import Annotated, Literal

from pydantic import Field

from vadbench.base.config import Settings, resolve
from vadbench.base.method_config import MethodConfig, Recipe


class Config(MethodConfig):
    n_ctx: int = Field(8, description="context tokens")
    name: str = Field("a", description="a name")
    recipe: Recipe = Recipe(epochs=50, batch_size=64)


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
