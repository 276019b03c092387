"""Whether a finished run is what its cell would give today: defaults and the code of plugins change."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from vadbench.benchmarks.reading import assignments
from vadbench.benchmarks.schema import Cell
from vadbench.config import MethodConfig, resolve
from vadbench.errors import VadbenchError
from vadbench.keys import EDITION, key_values, restored
from vadbench.plugins import Registry
from vadbench.runs import RunRecord


@dataclass(frozen=True)
class Today:
    """What a run of a cell would be made with now.

    Args:
        version: the method's, as in a record.
        config: the method's settings; ``None`` where they are not looked at.
        dataset_code: identity of the data set's code, empty for vadbench's own.
    """

    version: str
    config: MethodConfig | None = None
    dataset_code: str = ""

    def made(self, record: RunRecord) -> bool:
        """Whether a run was made with the same, whatever else it may be of."""
        code = record.code.get("dataset")
        return (
            (record.edition, record.method_version) == (EDITION, self.version)
            and (code is None or code.identity == self.dataset_code)
            and (self.config is None or _same_settings(self.config, record))
        )


def today(cell: Cell, registry: Registry) -> Today:
    """What a run of a cell would be made with now.

    Raises:
        VadbenchError: the method cannot be imported, or the cell's settings are none of its.
    """
    method = registry.method(cell.method)
    usual = method.dataset_defaults.get(cell.trained_on, {})
    config = resolve(method.Config, usual, environment={}, assignments=assignments(cell.settings))
    try:
        code = registry.provenance("dataset", cell.dataset).identity
    except VadbenchError:
        code = ""  # whether the data set can be had is asked elsewhere
    return Today(registry.version(cell.method), config, code)


def _same_settings(config: MethodConfig, record: RunRecord) -> bool:
    try:
        return key_values(restored(type(config), record.config)) == key_values(config)
    except ValidationError:
        return False
