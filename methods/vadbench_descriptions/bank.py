"""The banks that come with the methods, and a bank as a setting."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, SerializationInfo

from vadbench.base.config import read_toml
from vadbench.base.errors import ConfigError, did_you_mean
from vadbench.descriptions import Bank, parse_bank, read_bank, require_sound

_BANKS = files("vadbench_descriptions") / "banks"


def bank_names() -> list[str]:
    """Names of the banks that come with the methods."""
    return sorted(entry.name.removesuffix(".toml") for entry in _BANKS.iterdir() if entry.name.endswith(".toml"))


def find_bank(value: Any) -> Bank:
    """A bank from its name, the path of its file, or its content as a run's record has it.

    A name goes before a file of the same name.

    Raises:
        ConfigError: there is no such bank, or it cannot be used.
    """
    if isinstance(value, Bank):
        return value
    if not isinstance(value, str):
        return require_sound(parse_bank(value, "in the settings"), "in the settings")
    if value in bank_names():
        return require_sound(parse_bank(read_toml(Path(str(_BANKS / f"{value}.toml"))), value), value)
    path = Path(value)
    if not path.is_file():
        raise ConfigError(f"no description bank '{value}', and no file either{did_you_mean(value, bank_names())}")
    return require_sound(read_bank(path), value)


def _written(bank: Bank, info: SerializationInfo) -> Any:
    return {**vars(bank)} if info.mode == "json" else str(bank)


BankSetting = Annotated[Bank, BeforeValidator(find_bank), PlainSerializer(_written)]
"""A bank where a setting is expected: given by name or path, and recorded by content. So a run's record says which
words it used, its key changes with every edit of the file, and its weights are used without the file. The title of a
bank that comes with the methods is its name."""
