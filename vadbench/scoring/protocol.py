"""The rules by which scores meet ground truth, and the protocols that give them names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field

from vadbench.base.config import Settings
from vadbench.base.errors import PluginError, UnknownNameError, VadbenchError
from vadbench.base.fields import Introduced
from vadbench.plugins.hookspecs import ProtocolSpec
from vadbench.plugins.registry import Registry, installed
from vadbench.plugins.targets import load_class, load_object
from vadbench.scoring.post_steps import EXAMPLE, canonical_post

T = TypeVar("T")

Selection = Literal["last", "validation", "best-on-test"]
"""The weights of a training that are evaluated."""


def _canonical(post: str) -> str:
    try:
        return canonical_post(post)
    except VadbenchError as error:
        raise ValueError(str(error)) from error


class Protocol(Settings):
    """The rules of an evaluation; every result carries them.

    ``selection`` and ``subset`` shape the training, the rest only the evaluation.
    """

    name: str = Field(description="what the rules are called in tables")
    boundaries: str = Field("native", description="whose reading of the official intervals")
    tail: Literal["hold", "zero", "rows", "rows-prolonged"] = Field(
        "hold",
        description="how many frames a video has; hold: its true number, each row's score counting for its own frames"
        " and the last one's to the end; zero: its true number, frames behind those of the last row having score 0, as"
        " code does that fills an array of zeros; rows: rows times stride, as the papers' code counts; rows-prolonged:"
        " the same, frames behind the last true one being anomalous or not as that one is",
    )
    crop: str = Field(
        "center",
        description="which crop of the features is scored; mean: the mean of all crops' scores; max: the maximum of all"
        " regions' scores, as features of regions always are",
    )
    tolerance: int = Field(
        2, ge=0, description="frames by which a stated count may be off and an interval may end past its video"
    )
    subset: Literal["all", "single-anomaly"] = Field(
        "all", description="which videos take part; single-anomaly: those of at most one anomaly class"
    )
    selection: Selection = Field(
        "last",
        description="which weights are evaluated; last: those after the last epoch; validation: the best on the"
        " validation split or, without one, on training videos held out; best-on-test: the best on the test split, as"
        " several papers do, never ranked beside others",
    )
    judge: Annotated[Literal["", "AUC", "AP", "AP/trapezoid"], Introduced("")] = Field(
        "",
        description="the metric of frames by which looks at test videos choose weights, only with"
        " selection=best-on-test; empty: the one that the data set is ranked by",
    )
    localization: str = Field(
        "native", description="whose average precision and mean over classes mAP@IoU takes: the name of a protocol"
    )
    drop_zeros: bool = Field(
        False, description="leave classes whose AUC or AP is exactly 0 out of mAUC and mAP, as AnomalyCLIP's code does"
    )
    post: Annotated[str, Introduced(""), AfterValidator(_canonical)] = Field(
        "", description=f"steps between the scores of a method and the metrics, such as '{EXAMPLE}'; empty: none"
    )

    truth: Annotated[str, Introduced("")] = Field(
        "", description="the ground truth of the test videos: a variant of the data set, or a file; empty: its own"
    )
    partition: Annotated[str, Introduced("")] = Field(
        "", description="the division of the data set's videos into splits; empty: its own"
    )

    @property
    def counts_rows(self) -> bool:
        """Whether a video has the frames that its rows stand for, whatever its true number is."""
        return self.tail in ("rows", "rows-prolonged")

    @property
    def unprocessed(self) -> Protocol:
        """The same rules without post-processing."""
        return self.model_copy(update={"post": ""})


@dataclass(frozen=True)
class ProtocolPreset:
    """A protocol as a plugin brings it: rules under a name, and what they say of single data sets.

    Args:
        rules: they have the name that the protocol is registered under.
        crops: which of ten crops is scored, by the name of the data set.
        changes: other fields that the rules have on a data set, by its name.
        normal_segments: names of the data sets on which the rule of mAP@IoU takes all of a normal video for one
            annotated segment of the normal class, if it is one that asks for this.
    """

    rules: Protocol
    crops: Mapping[str, str] = field(default_factory=dict)
    changes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    normal_segments: frozenset[str] = frozenset()

    def on(self, dataset: str, trained: bool = True, **changes: str | None) -> Protocol:
        """Return the rules on a data set, with the user's changes.

        Args:
            dataset: its name.
            trained: whether the method is; of one that is not, there are no weights to select but the last.
            changes: fields to change; ``None`` leaves one as it is.

        Returns:
            The rules, without a judge where it judges nothing.

        Raises:
            pydantic.ValidationError: a change that the field does not take.
        """
        own = {"crop": self.crops.get(dataset)} | dict(self.changes.get(dataset, {}))
        own |= {} if trained else {"selection": "last"}
        fields = own | {k: v for k, v in changes.items() if v is not None}
        found = Protocol.model_validate(self.rules.model_dump() | {k: v for k, v in fields.items() if v is not None})
        return found if found.selection == "best-on-test" else found.model_copy(update={"judge": ""})


NATIVE = ProtocolPreset(Protocol(name="native"))
"""The default: the core's own rules, no paper's."""


def protocol(name: str, registry: Registry | None = None) -> ProtocolPreset:
    """Return a protocol by its name.

    Args:
        name: the one it is registered under.
        registry: the plugins; the installed ones by default.

    Raises:
        UnknownNameError: the name is not registered.
        PluginError: the plugin that did cannot be imported, or its rules have another name.
    """
    found = load_object((registry or installed()).spec("protocol", name), ProtocolPreset)
    if found.rules.name != name:
        raise PluginError(f"protocol '{name}' has rules that call themselves '{found.rules.name}'")
    return found


def protocols(registry: Registry | None = None) -> dict[str, ProtocolPreset]:
    """Return every protocol that can be imported, by its name, ``native`` first.

    Args:
        registry: the plugins; the installed ones by default.
    """
    found = {"native": NATIVE}
    for name in (registry or installed()).specs("protocol"):
        try:
            found[name] = protocol(name, registry)
        except VadbenchError:
            continue  # a command that asks for this one says why
    return found


def localisation_class(name: str, base: type[T]) -> type[T]:
    """Return the class that computes mAP@IoU by the rule of a protocol.

    Commands that measure a finished run again take no plugin files, so the protocol must be an installed one's.

    Args:
        name: of the protocol whose rule it is.
        base: base class that the class must have.

    Raises:
        PluginError: no installed plugin brings it, or it cannot be imported.
    """
    try:
        spec = installed().spec("protocol", name)
    except UnknownNameError as error:
        raise PluginError(
            f"the rule of localisation '{name}' comes with the protocol '{name}', which no installed plugin brings;"
            " install its package (vadbench plugins shows what failed to load)"
        ) from error
    target = spec.localization if isinstance(spec, ProtocolSpec) else ""
    if not target:
        raise PluginError(f"the protocol '{name}' brings no rule of localisation; use another's, such as native")
    return load_class(spec, base, target)
