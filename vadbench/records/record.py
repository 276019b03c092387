"""The record of a run, and means of several over their seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath
from statistics import fmean, stdev
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from vadbench.base.errors import RunError
from vadbench.base.metric_keys import MetricKey
from vadbench.base.needs import Reading, Supervision
from vadbench.base.text import amount
from vadbench.metrics.definitions import MetricValue
from vadbench.metrics.scenarios import ScenarioResult
from vadbench.plugins.hookspecs import NAME
from vadbench.plugins.provenance import Provenance
from vadbench.records.costs import Amount, ComputeRecord, CostName, CostRecord
from vadbench.records.titles import Label, changed_settings

SCHEMA = 3
FIRST_EDITION = 2
"""The schema of the first edition's records, which are read too: their metric keys are translated."""
RESULT = "result.json"
SCORES = "scores.npz"
REMARKS = "remarks.jsonl"
CHECKPOINT = "checkpoint.safetensors"
CHECKPOINT_INFO = "checkpoint.json"
INCOMPLETE = "incomplete"
"""Beginning of the notes on missing videos."""
COMPUTED_BY_OTHERS = "scores were computed by others"
"""Beginning of the note on the source of recorded scores."""
PICTURES = ("roc.png", "pr.png", "per-class.png", "reliability.png")

Name = Annotated[str, Field(pattern=NAME)]
"""A name that may become that of a folder: a record may come from anywhere, and must not point elsewhere."""

Key = Annotated[str, AfterValidator(lambda key: str(MetricKey.parse(key)))]
"""A metric key in the grammar of :mod:`vadbench.base.metric_keys`."""


class SplitRecord(BaseModel):
    """The videos of one split that were found.

    ``expected`` is the size of a complete copy, ``manifest`` a hash of its entries that is part of keys. ``inputs`` is
    the same without the lengths of the videos, which are known only once they were decoded; empty in older records.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    videos: int
    expected: int
    abnormal: int
    manifest: str
    inputs: str = ""
    frames: int | None = None
    positives: int | None = None


class StreamRecord(BaseModel):
    """A stream of features beside the first.

    ``fingerprint`` is what made it, without stride and pooling where they are unknown. ``spacing`` is the distance of
    its rows, such as ``24f`` or ``0.96s``; ``inferred`` tells that nobody stated it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    fingerprint: dict[str, Any]
    dim: int
    spacing: str
    inferred: bool = False

    @property
    def known(self) -> bool:
        """True if the encoder that made it is recorded."""
        return not str(self.fingerprint.get("weights", "unknown")).startswith("unknown")

    @property
    def identity(self) -> dict[str, Any]:
        """What keys and comparisons take of it."""
        return self.model_dump(mode="json", exclude={"inferred"})

    def differences(self, other: StreamRecord) -> list[str]:
        """Return in what another stream's features were made differently; values of unknown origin are not compared.

        Nor are spacings of which one was inferred, or one is in frames and one in seconds.
        """
        mine, theirs = ({**s.fingerprint, "dim": s.dim, "spacing": s.spacing} for s in (self, other))
        if not (self.known or other.known):
            theirs["weights"] = mine["weights"]
        if self.inferred or other.inferred or self.spacing[-1:] != other.spacing[-1:]:
            theirs["spacing"] = mine["spacing"]
        names = dict.fromkeys([*mine, *theirs])
        return [f"{n}: {mine.get(n)} there, {theirs.get(n)} here" for n in names if mine.get(n) != theirs.get(n)]


class RecordedSource(BaseModel):
    """Where recorded scores come from: scores that somebody else computed, and that were imported.

    ``source`` is an address or words, ``files`` the SHA-256 of each file by its name. ``saw`` says what the encoder or
    the language model of the method had seen before, as far as it is known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    source: str = ""
    licence: str = ""
    commit: str = ""
    files: dict[str, str] = {}
    saw: str = ""


class RunRecord(BaseModel):
    """The content of ``result.json``.

    ``label`` is what a person calls the run; no key has it. ``status`` is ``stopped`` where the method stopped the
    run, which goes on when it is run again; ``error`` says why a run is not finished. ``edition`` is the
    :data:`vadbench.records.keys.EDITION` that it was made under. ``key`` names the training, ``group`` what all
    seeds of it share (empty for imported weights), ``evaluation`` the way it was evaluated. ``trained_on`` differs
    from ``dataset`` where a training was evaluated on another data set. ``changed`` names the settings in which
    ``config`` differs from the method's defaults for ``trained_on``, and as ``protocol.<field>`` those in which
    ``protocol`` differs from the one of its name, or in ``post`` from what the method or that one proposes.
    ``method_post`` is the post-processing that the method proposes. ``code`` says whose code the method and the
    data set are. ``streams`` are those beside the first. ``notes`` are remarks that a reader needs before comparing
    the figures. ``costs`` are what the method counted, such as calls and tokens. ``seconds`` and ``peak_memory_mb``
    are by stage, over all parts of a run that was interrupted.

    ``supervision``, ``company``, ``lookahead`` and ``unit_scores`` are as in :class:`vadbench.base.needs.Needs`.
    ``threshold`` is as in :class:`vadbench.scoring.split.ScoredSplit`; older records have none. ``scenarios`` is empty
    where the data set names none. ``reads`` says what the scores were made from; ``recorded`` is there for scores that
    were imported. ``fingerprint`` is empty without features, ``clip`` without a CLIP.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    schema_version: int = SCHEMA
    status: Literal["finished", "failed", "stopped"]
    error: str | None = None
    label: Label = ""
    method: Name
    method_version: str
    dataset: Name
    trained_on: Name
    seed: int
    edition: int = 1
    key: Name
    group: str = ""
    evaluation: Name
    protocol: dict[str, Any]
    metrics: dict[Key, MetricValue] = {}
    diagnostics: dict[str, Any] = {}
    scenarios: dict[str, ScenarioResult] = {}
    config: dict[str, Any]
    changed: list[str]
    method_post: str = ""
    fingerprint: dict[str, Any]
    streams: dict[str, StreamRecord] = {}
    clip: dict[str, str]
    data: dict[str, SplitRecord]
    notes: list[str] = []
    code: dict[Literal["method", "dataset"], Provenance] = {}
    supervision: Supervision
    company: Literal["none", "split"] = "none"
    lookahead: int | None = None
    unit_scores: bool = True
    threshold: FiniteFloat | None = None
    reads: Reading = "features"
    recorded: RecordedSource | None = None
    environment: dict[str, Any]
    costs: dict[CostName, CostRecord] = {}
    seconds: dict[str, Amount] = {}
    peak_memory_mb: dict[str, Amount] = {}
    compute: ComputeRecord = ComputeRecord()
    created: str

    @model_validator(mode="before")
    @classmethod
    def _older_supervision(cls, values: Any) -> Any:
        """Add the supervision that a record made before it was recorded leaves out: no method then had another."""
        if not isinstance(values, dict) or "supervision" in values:
            return values
        config = values.get("config")
        recipe = config.get("recipe") if isinstance(config, dict) else None
        trained = isinstance(recipe, dict) and recipe.get("epochs") != 0
        return values | {"supervision": "weak" if trained else "training-free"}

    @property
    def settings(self) -> str:
        """The settings that are not the method's defaults, such as ``recipe.epochs=5``; empty for none."""
        return " ".join(changed_settings(self.config, self.changed))

    @property
    def title(self) -> str:
        """The method with its label, such as ``vadclip [longer]``, or else with its settings."""
        told = f"[{self.label}]" if self.label else self.settings
        return f"{self.method} {told}".rstrip()

    @property
    def selects(self) -> bool:
        """Whether a rule can have selected its weights: a recipe made them, or nobody here knows what did."""
        recipe = self.config.get("recipe")
        return self.recorded is not None or (isinstance(recipe, dict) and recipe.get("epochs") != 0)

    @property
    def values_tested(self) -> str:
        """The inputs of the test split where features of unknown origin are among them: their values alone name these,
        and ``fingerprint`` stands for those of the training videos. Empty otherwise, and in records without inputs."""
        made_by = [self.fingerprint, *(stream.fingerprint for stream in self.streams.values())]
        unknown = any(str(f.get("weights", "")).startswith("unknown") for f in made_by)
        return self.data["test"].inputs if unknown and "test" in self.data else ""

    @property
    def depends(self) -> str:
        """What a score depends on, in words, where that is more than its own video or less than all of it."""
        found = ["on the whole split"] if self.company == "split" else []
        if self.lookahead is not None:
            rows = "1 row" if self.lookahead == 1 else f"{self.lookahead} rows"
            found.append(f"on {rows} ahead" if self.lookahead else "on no later row")
        return " and ".join(found)

    @property
    def post(self) -> str:
        """The steps of post-processing that its metrics include; empty for none."""
        return str(self.protocol.get("post", ""))

    @property
    def marks(self) -> str:
        """The remark that every table must add to the figures, such as " (incomplete, best-on-test)"."""
        selection = self.protocol.get("selection", "last")
        marks = [INCOMPLETE] if any(n.startswith(INCOMPLETE) for n in self.notes) else []
        marks += [str(selection)] if selection != "last" else []
        marks += [f"truth {self.protocol['truth']}"] if self.protocol.get("truth") else []
        marks += [f"partition {self.protocol['partition']}"] if self.protocol.get("partition") else []
        marks += ["recorded"] if self.recorded is not None else []
        marks += ["oracle"] if self.supervision == "oracle" else []
        marks += [f"depends {self.depends}"] if self.depends else []
        marks += [f"after {self.post}"] if self.post else []
        return f" ({', '.join(marks)})" if marks else ""


def features_words(record: RunRecord) -> str:
    """Return the encoders of a run's features, or that it read none."""
    if record.recorded is not None:
        return f"not known, the scores are recorded: {recorded_words(record.recorded)}"
    if record.reads != "features":
        return "none, it decodes the videos" if record.reads == "frames" else "none"
    beside = [f"{name} ({s.fingerprint.get('encoder')}, {s.dim} wide)" for name, s in record.streams.items()]
    return ", ".join([str(record.fingerprint.get("encoder", "of unknown origin")), *beside])


def recorded_words(origin: RecordedSource) -> str:
    """Return where recorded scores come from, as far as it is stated."""
    commit = f", commit {origin.commit}" if origin.commit else ""
    return f"{origin.source or 'source not stated'}{commit}, licence {origin.licence or 'not stated'}"


def machine_words(record: RunRecord) -> str:
    """Return the machine that a run was made on, as far as its record says."""
    found = record.environment
    processor, threads = found.get("processor", "an unknown machine"), found.get("threads")
    used = f", {threads} of them used" if threads is not None and "threads" in str(processor) else ""
    device = "no GPU" if found.get("device") == "cpu" else found.get("device", "an unknown device")
    return f"{processor}{used}, {device}"


def costs_words(record: RunRecord) -> str:
    """Return what the test videos cost, such as ``calls 1,200 (100 a video)``; empty where nothing was counted."""
    return ", ".join(f"{n} {amount(c.total)} ({amount(c.per_video)} a video)" for n, c in record.costs.items())


def weights_name(weights: str) -> str:
    """Return the name of a CLIP's weights in records: a tag as it is, a file by its name without its folder.

    >>> weights_name("laion2b_s34b_b88k"), weights_name("/data/clip/ViT-B-16.pt")
    ('laion2b_s34b_b88k', 'ViT-B-16.pt')
    """
    return PurePath(weights).name


def seed_values(records: Iterable[RunRecord], metric: str) -> list[float]:
    """Return the values of a metric for every seed, or an empty list where it is undefined for any."""
    values = [r.metrics[metric].value if metric in r.metrics else None for r in records]
    defined = [v for v in values if v is not None]
    return defined if len(defined) == len(values) else []


def summarise(records: Sequence[RunRecord]) -> dict[str, tuple[float, float | None]]:
    """Return mean and standard deviation (n - 1) over seeds of each metric that is defined for every seed.

    Raises:
        RunError: the records are not of one method, data set and protocol.
    """
    if len({(r.method, r.dataset, r.evaluation) for r in records}) != 1:
        raise RunError("a mean over seeds needs runs of one method, data set and evaluation")
    out: dict[str, tuple[float, float | None]] = {}
    # A record of an earlier version may lack a metric, or have one that was removed.
    for name in dict.fromkeys(name for r in records for name in r.metrics):
        if values := seed_values(records, name):
            out[name] = (fmean(values), stdev(values) if len(values) > 1 else None)
    return out
