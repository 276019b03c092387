"""UR-DMU as a vadbench plugin."""

from vadbench import MethodSpec, hookimpl


@hookimpl
def vadbench_methods() -> list[MethodSpec]:
    return []
