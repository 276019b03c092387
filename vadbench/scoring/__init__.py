"""Scoring: running a method over videos and laying its scores beside the ground truth.

The package is also the plugin that brings the protocol ``native``.
"""

from vadbench.plugins.hookspecs import ProtocolSpec, hookimpl


@hookimpl
def vadbench_protocols() -> list[ProtocolSpec]:
    """Return the protocol that is the default."""
    return [
        ProtocolSpec(
            "native",
            "true frame counts, the official intervals, every row's score counts for its own frames",
            "vadbench.scoring.protocol:NATIVE",
        )
    ]
