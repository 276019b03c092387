"""Checks of what a method says of itself: its settings, its needs, whether it fits, and what it reaches for."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn
from unittest import SkipTest

from vadbench.base.config import field_descriptions, resolve
from vadbench.base.errors import ConfigError, PluginError, listed
from vadbench.base.method_config import MethodConfig
from vadbench.base.needs import Facts, Needs, StreamFacts
from vadbench.harness.request import method_post
from vadbench.inputs import StreamInput, VideoInput
from vadbench.method import Method
from vadbench.plugins.hookspecs import MethodSpec
from vadbench.plugins.targets import scratch_files
from vadbench.testing.catalogue import METHOD_CHECKS
from vadbench.testing.conformance import Failure, require
from vadbench.testing.guards import without_network, written_files
from vadbench.testing.tested_method import HOME, TestedMethod, two_classes

SHOWN = 3
"""Maximum number of files and addresses named in a message."""
SEPARATE = (
    "import importlib, sys\n"
    "sys.path[:] = sys.argv[3:]\n"
    "module, _, name = sys.argv[1].partition(':')\n"
    "file = sys.argv[2]\n"
    "if file:\n"
    "    from pathlib import Path\n"
    "    from vadbench.plugins.targets import import_scratch\n"
    "    import_scratch(Path(file))\n"
    "importlib.import_module(module)\n"
    "print('torch' in sys.modules)\n"
)
"""Program that imports a settings class in a process of its own."""


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


def config(subject: TestedMethod) -> str:
    """Check that the settings class that a spec names is imported without torch."""
    spec = subject.registry.spec("method", subject.method) if isinstance(subject.method, str) else None
    if not (isinstance(spec, MethodSpec) and spec.config):
        raise SkipTest("no spec names its settings class, so commands that only look at the method import its code")
    stem = spec.config.partition(":")[0]
    file = next((str(f) for f in scratch_files() if f.stem == stem), "")
    done = subprocess.run(
        [sys.executable, "-c", SEPARATE, spec.config, file, *sys.path], capture_output=True, text=True, check=False
    )
    require(
        done.returncode == 0,
        f"{spec.config} cannot be imported by itself: {(done.stderr.strip().splitlines() or ['?'])[-1]}",
        "let its module import only what vadbench.base, pydantic and the standard library have",
    )
    require(
        done.stdout.strip().endswith("False"),
        f"importing {spec.config} imports torch",
        "keep settings in a module without torch, and its package's __init__ cheap; or leave config out of the spec",
    )
    return f"{spec.config} is the Config of the method and needs no torch"


def needs(subject: TestedMethod) -> str:
    """Check that what the method asks for is what its ``needs()`` say."""
    said: Any = subject.needs
    require(isinstance(said, Needs), f"needs() returned {type(said).__name__}", "return a vadbench.base.needs.Needs")
    look = said.lookahead
    require(
        look is None or (isinstance(look, int) and look >= 0),
        f"needs().lookahead is {look!r}",
        "make it a number of rows from 0 on, or None where a score may depend on all of the video",
    )
    try:
        method_post(subject.name, subject.config)
    except PluginError as error:
        require(False, str(error), "return steps as docs/protocols.md lists them, or an empty string")
    # One that asks for frames or for a stream that it does not name gets an error that says so.
    subject.score(subject.trained, subject.videos((17,)))
    require(
        said.text or not subject.asked_for_text,
        "the method asked for CLIP's text tower, and its needs() do not say text=True",
        "say it for the settings under which it does: features of another encoder are refused then, and not otherwise",
    )
    reads = [*said.streams, *(["frames"] if said.frames else [])]
    unused = [name for name in reads if name not in subject.footage.read]
    unused += ["text"] if said.text and not subject.asked_for_text else []
    what = f"it reads {', '.join(reads) or 'neither features nor frames'}{' and texts' if said.text else ''}"
    return f"{what}; learns: {said.supervision}{f'; did not touch {listed(unused, 5)}' if unused else ''}"


def fits(subject: TestedMethod) -> str:
    """Check that ``unfit`` answers in words, whatever is known so far."""
    table = subject.home.classes
    streams = {name: StreamFacts(subject.widths[name], 16.0) for name in subject.needs.streams}
    whole = Facts(
        HOME,
        table,
        splits=("train", "test"),
        videos={(s, k): 20 for s in ("train", "test") for k in ("normal", "abnormal")},
        streams=streams,
        files=True,
        text=True,
        truth=True,
    )
    asked = {
        "the classes of synthetic alone": Facts(HOME, table),
        "all that can be known of it": whole,
        "a user's own videos": Facts("", two_classes(table), files=True),
    }
    for what, facts in asked.items():
        answer: Any = subject.config.unfit(facts)
        require(
            isinstance(answer, str) and "\n" not in answer,
            f"Config.unfit() of {what} gave {answer!r}",
            "return one line that says what is lacking and what to change, or an empty string",
        )
    reason = subject.unfit
    if reason:
        return f"it does not fit {HOME}, so what needs a training there is not checked: {reason}"
    return f"it fits {HOME}, and says so"


def estimate(subject: TestedMethod) -> str:
    """Check that the costs of scoring are estimated from counts alone, as finite numbers."""
    if subject.kind.estimate is Method.estimate:
        raise SkipTest("the method estimates no costs")
    found: Any = subject.trained.estimate([_unread(video) for video in subject.videos((17, 40))])
    require(
        isinstance(found, Mapping)
        and all(isinstance(v, int | float) and math.isfinite(v) and v >= 0 for v in found.values()),
        f"estimate() returned {found!r}",
        "return a number from 0 on for each cost by name",
    )
    return f"17 and 40 rows would cost {', '.join(f'{name} {value:,}' for name, value in found.items())}"


def network(subject: TestedMethod) -> str:
    """Check that building, preparing, training and scoring work without a network, unless needs() say otherwise."""
    if subject.needs.network:
        return "its needs() say that it reaches for a network: its numbers depend on somebody's server"
    tried: list[str] = []
    failure: Exception | None = None
    try:
        with without_network(tried):
            _work(subject)
    # A method may catch the refusal and raise another error, or recover from it.
    except Exception as error:
        failure = error
    require(
        not tried,
        f"the method tried to reach {', '.join(dict.fromkeys(tried))}",
        "ship what it needs with the package or read it from a file that a setting names, or say network=True in"
        " needs(); a run may have no network, and its numbers must not depend on somebody's server",
    )
    if failure is not None:
        raise failure
    return "nothing was asked of a network while it was built, trained and scored"


def writes(subject: TestedMethod) -> str:
    """Check that the method writes no file, or only below ``task.cache`` if its needs() say so."""
    written: list[str] = []
    assert subject.trained  # what vadbench itself writes the first time is not the method's
    with written_files(written):
        method = _work(subject)
    allowed = str(method.task.cache) if method.task.cache is not None else ""
    elsewhere = [path for path in dict.fromkeys(written) if not (allowed and path.startswith(allowed))]
    where = "outside of task.cache" if allowed else "and its needs() do not say writes=True"
    require(
        not elsewhere,
        f"the method wrote {listed(elsewhere, SHOWN)}, {where}",
        "write below self.task.cache alone and say writes=True in needs(), or keep it in buffers",
    )
    return "it writes below task.cache alone, as needs() say" if allowed else "it wrote no file"


def _work(subject: TestedMethod) -> Method:
    """Build, train and score."""
    method = subject.train(0)
    subject.score(method, subject.videos((17,)))
    return method


def _unread(video: VideoInput) -> VideoInput:
    """Return a video of which nothing but the counts can be read."""

    def refuse(*_: int) -> NoReturn:
        raise Failure(
            "estimate() reads the videos", "use row_count, frame_count and crop_count: a dry run reads nothing"
        )

    streams: dict[str, StreamInput] = {name: replace(own, read=refuse) for name, own in video.streams.items()}
    return replace(video, streams=streams, decode=refuse if video.decode else None)
