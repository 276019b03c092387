"""Scoring: running a method over videos and laying its scores beside the ground truth.

The package is also the plugin that brings the protocol ``native``.
"""

from vadbench.plugins.hookspecs import ProtocolSpec, hookimpl


@hookimpl
def vadbench_protocols() -> list[ProtocolSpec]:
    """The protocol that is the default."""
    return [
        ProtocolSpec(
            "native",
            "true frame counts, the official intervals, every row's score held for its own frames",
            "vadbench.scoring.protocol:NATIVE",
        )
    ]
