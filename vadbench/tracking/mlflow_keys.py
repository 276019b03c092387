"""Names in MLflow's limited alphabet: no two metrics and no two settings ever share one.

Characters that MLflow forbids or that would be ambiguous are written between underscores: ``_at_`` for ``@``, ``__``
for an underscore, the code point in hexadecimal for the rest. What is written can be read back, unless it was too long.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Container

from vadbench.base.metric_keys import MetricKey

LONGEST, CUT = 220, 240
"""Maximum length of a name that is logged as it is, and length of a shortened one. Both leave room for suffixes such as
``_high`` below MLflow's limit of 250, so that no two names become the same."""
RENAMED = "set."
"""Prefix of a setting that is called like a fact of the run."""


def metric_key(name: str) -> str:
    """Return a metric's key in MLflow's limited alphabet; different metrics always have different keys.

    A branch and a class follow a slash and a word with a blank, which no measure has. The suffixes ``_low``, ``_high``
    and ``_std`` never occur in a key. A key of more than :data:`LONGEST` characters ends in a digest of the whole.

    >>> metric_key("mAP@0.1"), metric_key("AUC/within(align)"), metric_key("AUC[Car (parked)]")
    ('mAP_at_0.1', 'AUC/within/branch align', 'AUC/class Car _28_parked_29_')
    """
    key = MetricKey.parse(name)
    parts = list(map(spelt, key.metric.split("/")))
    parts += [] if key.branch is None else [f"branch {spelt(key.branch)}"]
    parts += [] if key.of_class is None else [f"class {spelt(key.of_class)}"]
    return _shortened("/".join(parts))


def setting_key(name: str, facts: Container[str]) -> str:
    """Return the name of a setting's parameter; different settings always have different names.

    A name that MLflow takes stays as it is, unless it reads like one that was written in MLflow's alphabet.

    Args:
        name: dotted name of the setting.
        facts: parameters beside the settings; a setting of that name gets the prefix :data:`RENAMED`.

    >>> setting_key("n_ctx", ()), setting_key("weights.Car (parked)", ()), setting_key("seed", ["seed"])
    ('n_ctx', 'weights.Car _28_parked_29_', 'set.seed')
    """
    if name in facts or name.startswith(RENAMED):
        name = f"{RENAMED}{name}"
    taken = re.fullmatch(r"[\w.\-/ ]*[\w.\-]", name) and posixpath.normpath(name) == name
    ambiguous = re.search(r"_(?:at|[0-9a-f]+)_", name)
    return _shortened(name if taken and not ambiguous else spelt(name))


def spelt(text: str) -> str:
    """Return a name in MLflow's alphabet, without a slash or a trailing blank."""
    # Some databases treat a key with a trailing blank as the key without it.
    return re.sub(r"_|[^\w.\- ]| $", lambda c: {"_": "__", "@": "_at_"}.get(c[0], f"_{ord(c[0]):x}_"), text)


def _shortened(name: str) -> str:
    if len(name) <= LONGEST:
        return name
    ending = "_" + hashlib.sha256(name.encode()).hexdigest()[:40]
    return name[: CUT - len(ending)] + ending
