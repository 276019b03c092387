"""What scored a video, as its summary and its page record it: method, run, settings, descriptions and CLIP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import vadbench
from vadbench.base.errors import listed
from vadbench.base.fields import file_setting
from vadbench.base.method_config import MethodConfig
from vadbench.base.naming import changed_names, is_of, split_name
from vadbench.records.titles import changed_settings, content_digest

_SAID = 5
"""Number of settings that the command prints."""


@dataclass(frozen=True)
class ScoredBy:
    """What scored a video.

    Args:
        method: its name.
        version: version of the method.
        run: key of the run that was trained, empty for none.
        dataset: data set that it was trained on, or whose classes it looks for; empty for none.
        settings: those that are not the method's defaults for that data set, such as ``rows.stride=8``.
        descriptions: title and digest of the bank of descriptions, empty for a method that reads none.
        clip: the CLIP of the features, as in a run's record; empty for none.
        stride: frames per row.
    """

    method: str = ""
    version: str = ""
    run: str = ""
    dataset: str = ""
    settings: Sequence[str] = ()
    descriptions: Mapping[str, str] = field(default_factory=dict)
    clip: Mapping[str, str] = field(default_factory=dict)
    stride: int = 1

    @property
    def bank(self) -> str:
        """The bank of descriptions in words, such as ``general (1f0c2a)``; empty for none."""
        return f"{self.descriptions['title']} ({self.descriptions['digest']})" if self.descriptions else ""

    @property
    def words(self) -> str:
        """The bank and the first changed settings, to print behind the name of the method; empty for neither."""
        bank = [f"descriptions {self.bank}"] if self.bank else []
        return "".join(f"; {part}" for part in [*bank, *([listed(self.settings, _SAID)] if self.settings else [])])

    @property
    def facts(self) -> dict[str, str]:
        """What the page says beside the name of the method."""
        found = {"descriptions": self.bank, "settings": ", ".join(self.settings) or "the method's defaults"}
        return {name: text for name, text in found.items() if text} | {"version": f"vadbench {vadbench.__version__}"}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a summary."""
        return {
            "vadbench": vadbench.__version__,
            "method": self.method,
            "method_version": self.version,
            "run": self.run or None,
            "dataset": self.dataset or None,
            "settings": list(self.settings),
            "descriptions": dict(self.descriptions) or None,
            "clip": dict(self.clip) or None,
            "stride": self.stride,
        }


def settings_and_descriptions(config: MethodConfig, usual: MethodConfig) -> tuple[list[str], dict[str, str]]:
    """Return the settings that are not the usual ones, and title and digest of the bank of descriptions, if any.

    Args:
        config: settings of a method.
        usual: its defaults.
    """
    values = config.model_dump(mode="json")
    bank = file_setting(type(config))
    changed = [name for name in changed_names(config, usual) if bank is None or not is_of(name, bank)]
    settings = changed_settings(values, changed)
    content = None if bank is None else reduce(lambda table, part: table[part], split_name(bank), values)
    if not isinstance(content, Mapping):
        return settings, {}
    return settings, {"title": str(content.get("title") or "untitled"), "digest": content_digest(content)}
