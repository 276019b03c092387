"""Checks of a method's settings and of its use of networks."""

from __future__ import annotations

from vadbench.base.config import field_descriptions, resolve
from vadbench.base.errors import ConfigError
from vadbench.base.method_config import MethodConfig
from vadbench.testing.catalogue import METHOD_CHECKS
from vadbench.testing.conformance import Failure, require
from vadbench.testing.guards import without_network
from vadbench.testing.tested_method import TestedMethod


def settings(subject: TestedMethod) -> str:
    """Check that every field is described, the defaults of every data set are valid and known failures name checks."""
    kind = subject.kind
    config = kind.Config
    require(
        issubclass(config, MethodConfig),
        f"Config is {config.__name__}",
        "make it a subclass of vadbench.base.method_config.MethodConfig",
    )
    meanings = field_descriptions(config)
    silent = [name for name, text in meanings.items() if not text.strip()]
    require(
        not silent,
        f"settings without a description: {', '.join(silent)}",
        "write Field(default, description='what it does, its unit, where its value comes from')",
    )
    for dataset, defaults in config.dataset_defaults.items():
        try:
            resolve(config, defaults, environment={})
        except ConfigError as error:
            raise Failure(
                f"Config.dataset_defaults['{dataset}']: {error}", "no run on that data set could start"
            ) from error
    strangers = sorted(kind.known_failures.keys() - METHOD_CHECKS.keys())
    require(
        not strangers,
        f"known_failures names {', '.join(strangers)}, which is not a check",
        f"the checks are {', '.join(METHOD_CHECKS)}",
    )
    return f"{len(meanings)} settings described; defaults for {', '.join(config.dataset_defaults) or 'no data set'}"


def network(subject: TestedMethod) -> str:
    """Check that building, preparing, training and scoring work without a network."""
    tried: list[str] = []
    failure: Exception | None = None
    try:
        with without_network(tried):
            method = subject.train(0)
            subject.score(method, subject.videos((17,)))
    # A method may catch the refusal and raise another error, or recover from it.
    except Exception as error:
        failure = error
    require(
        not tried,
        f"the method tried to reach {', '.join(dict.fromkeys(tried))}",
        "ship what it needs with the package or read it from a file that a setting names; a run may have no network,"
        " and its numbers must not depend on somebody's server",
    )
    if failure is not None:
        raise failure
    return "nothing was asked of a network while it was built, trained and scored"
