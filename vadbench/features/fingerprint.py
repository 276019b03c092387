"""Fingerprints: the encoder and the settings that made a set of features, and the differences between two sets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from vadbench.base.errors import FeatureError, did_you_mean
from vadbench.base.files import regular, write_json
from vadbench.base.types import Arithmetic
from vadbench.clip import CROPS
from vadbench.features.regions import LONGEST, SLOTS

if TYPE_CHECKING:
    from vadbench.clip import Clip

Pooling = Literal["first", "middle", "mean"]
Precision = Literal["float32", "float16"]
PYAV = "pyav"
REFERENCE_ONLY = "pyav, reference frames only"
"""The decoder where frames that no other frame depends on were passed over."""
UNKNOWN = "unknown"
"""The value of a field that was not recorded."""

FINGERPRINT_FILE = "fingerprint.json"
"""File name of the fingerprint in the folder of a feature store."""

_SHORT = 12
_WHOLE = "whole frames"
_RECORDED = ("av", "numpy", "open_clip_torch", "torch", "torchvision")


@dataclass(frozen=True)
class Fingerprint:
    """Everything that decides the numbers in a feature row, and nothing else.

    Library versions are recorded beside it: they rarely change a number, and hashing them would part features that are
    the same.

    Args:
        encoder: architecture, such as ``"ViT-B-16-quickgelu"``; ``"unknown"`` where it is not recorded.
        weights: sha256 of the encoder's weights as float32, or ``"unknown"``.
        activation: ``"gelu"``, ``"quickgelu"`` or ``"unknown"``.
        preprocessing: from decoded frame to encoder input, in words.
        stride: frames from one row to the next.
        pooling: which of a row's ``n`` frames stand for it: the first, the middle one (frame ``n // 2``), or the mean
            of all; or ``"unknown"``. Always ``"mean"`` at stride 1, where it makes no difference.
        crops: names of the crops, in the order of the crop axis.
        dim: width of a row.
        dtype: how a value is stored.
        normalised: whether rows have unit length.
        decoder: what decoded the videos: :data:`PYAV`, or :data:`REFERENCE_ONLY`.
        arithmetic: of the encoder.
        regions: the origin of the regions that were encoded instead of whole frames, in words with a digest; ``None``
            for whole frames. The crop axis then holds the regions of a frame, and a video has as many of ``crops`` as
            its frame with the most regions.

    Raises:
        FeatureError: a value outside its range.
    """

    encoder: str
    weights: str
    activation: str
    preprocessing: str
    stride: int
    pooling: Pooling | Literal["unknown"]
    dim: int
    crops: tuple[str, ...] = ("center",)
    dtype: Precision = "float32"
    normalised: bool = False
    decoder: str = PYAV
    arithmetic: Arithmetic | Literal["unknown"] = "fp32"
    regions: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "crops", tuple(self.crops))
        if self.stride == 1:
            # A single frame is its own first, middle and mean: one digest for all three.
            object.__setattr__(self, "pooling", "mean")
        if self.stride < 1 or self.dim < 1 or not self.crops:
            raise FeatureError(
                f"a fingerprint needs a stride, a dim and a number of crops of at least 1,"
                f" found {self.stride}, {self.dim} and {len(self.crops)}"
            )
        for name, kind in (("pooling", Pooling), ("dtype", Precision), ("arithmetic", Arithmetic)):
            known = (*get_args(kind), *(() if kind is Precision else (UNKNOWN,)))
            if getattr(self, name) not in known:
                raise FeatureError(
                    f"a fingerprint's {name} must be one of {', '.join(known)}, found '{getattr(self, name)}'"
                )

    @property
    def known(self) -> bool:
        """True if the encoder that made the features is recorded."""
        return not self.weights.startswith(UNKNOWN)

    @property
    def digest(self) -> str:
        """12 hex digits that name exactly these features."""
        return _hash(self.to_dict())

    @property
    def family(self) -> str:
        """12 hex digits shared by all strides and poolings of one encoder: results within a family may be ranked."""
        return _hash({k: v for k, v in self.to_dict().items() if k not in ("stride", "pooling")})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON. ``regions`` is left out for whole frames, as older stores do not have it."""
        values = asdict(self) | {"crops": list(self.crops)}
        return values if self.regions else {k: v for k, v in values.items() if k != "regions"}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Fingerprint:
        """Return the inverse of :meth:`to_dict`.

        Raises:
            FeatureError: a field is missing, unknown or outside its range.
        """
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                raise FeatureError(f"unknown field '{name}' in a fingerprint{did_you_mean(name, known)}")
        try:
            return cls(**values)
        except TypeError as error:
            raise FeatureError(f"a fingerprint must have the fields {', '.join(known)}: {error}") from error

    def differences(self, other: Fingerprint) -> list[str]:
        """Return one line for each field in which the two differ: ``stride: 1 here, 16 there``."""
        mine, theirs = ({"regions": _WHOLE} | made.to_dict() for made in (self, other))
        return [f"{name}: {mine[name]} here, {theirs[name]} there" for name in mine if mine[name] != theirs[name]]


def write_fingerprint(folder: Path, fingerprint: Fingerprint) -> None:
    """Write a store's fingerprint, with the library versions of the day beside it."""
    record = {
        "digest": fingerprint.digest,
        "fingerprint": fingerprint.to_dict(),
        "versions": {name: version(name) for name in _RECORDED},
    }
    write_json(folder / FINGERPRINT_FILE, record)


def read_fingerprint(folder: Path) -> Fingerprint:
    """Read a store's fingerprint.

    Raises:
        FeatureError: there is no store, or the file is damaged.
    """
    path = folder / FINGERPRINT_FILE
    try:
        content = json.loads(regular(path).read_text(encoding="utf-8"))
        fingerprint, digest = Fingerprint.from_dict(content["fingerprint"]), content["digest"]
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FeatureError(
            f"{folder} is no feature store: expected a folder with {FINGERPRINT_FILE}; make one with vadbench extract"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FeatureError(f"cannot read {path}: {error!r}; extract again into another folder") from error
    if fingerprint.digest != digest:
        raise FeatureError(
            f"{path} was edited: its digest is {digest}, that of its fields {fingerprint.digest}; extract again into"
            " another folder"
        )
    return fingerprint


def _hash(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_SHORT]


def clip_fingerprint(
    clip: Clip,
    *,
    stride: int,
    pooling: Pooling,
    dtype: Precision = "float32",
    crops: Sequence[str] = CROPS[:1],
    arithmetic: Arithmetic = "fp32",
    regions: str | None = None,
    reference_only: bool = False,
) -> Fingerprint:
    """Return the fingerprint of features that an encoder makes with this CLIP.

    Args:
        clip: encodes the images.
        stride: frames from one row to the next.
        pooling: which of a row's frames stand for it. ``mean`` encodes every frame, the others one in ``stride``.
        dtype: how values are stored.
        crops: names of those wanted, of :data:`vadbench.clip.CROPS`.
        arithmetic: of the encoder.
        regions: the label of a :class:`vadbench.features.regions.RegionSource` whose regions take the place of crops.
        reference_only: whether frames that no other frame depends on are passed over.
    """
    mean, std = (" ".join(f"{value:.8g}" for value in values) for values in (clip.mean, clip.std))
    cut_out = "square crops"
    scaled = f"squashed to {clip.image_size}, bilinear" if clip.squashed else f"short side {clip.image_size}, bicubic"
    if regions:
        crops, cut_out = SLOTS, f"centre crop of a region, its middle where over {LONGEST} to 1"
    elif tuple(crops) == CROPS[:1]:
        cut_out = "whole frame" if clip.squashed else "centre crop"
    return Fingerprint(
        encoder=clip.name,
        weights=clip.weights_sha256,
        activation=clip.activation,
        preprocessing=f"{scaled}, antialias, uint8, {cut_out}; mean {mean}, std {std}",
        stride=stride,
        pooling=pooling,
        dim=clip.dim,
        crops=tuple(crops),
        dtype=dtype,
        decoder=REFERENCE_ONLY if reference_only else PYAV,
        arithmetic=arithmetic,
        regions=regions,
    )
