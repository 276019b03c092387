"""Options shared by several commands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from vadbench.base.arguments import DEVICES, LARGEST_SEED
from vadbench.base.errors import ConfigError
from vadbench.base.locations import DATA_VARIABLE, DEFAULT_OUT
from vadbench.base.spacing import RowSpacing
from vadbench.cli.output import only_results
from vadbench.plugins.hookspecs import NAME

debug = click.Option(["--debug"], is_flag=True, expose_value=False, help="Show the traceback of an error.")
device = click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    help="Device to use.",
)
data_root = click.option(
    "--data-root",
    type=click.Path(path_type=Path),
    help=f"Folder of the data set's files; otherwise the user's config file, then {DATA_VARIABLE}/<dataset>.",
)
allow_incomplete = click.option(
    "--allow-incomplete", is_flag=True, help="Continue without missing or damaged videos; the result says incomplete."
)
LAYOUTS = click.Choice(["store", "anomalyclip", "vadclip", "rows-crops", "crops-rows"])
features = click.option(
    "--features",
    type=click.Path(path_type=Path),
    help="Folder of features to use instead of extracting them: a feature store, or .npy files as AnomalyCLIP, VadCLIP"
    " and others publish them.",
)
streams = click.option(
    "--features",
    multiple=True,
    metavar="[STREAM=]DIR",
    help="Folder of features to use instead of extracting them: a feature store, or .npy files as AnomalyCLIP, VadCLIP"
    " and others publish them. With a name, such as audio=DIR, those of that stream; may be repeated.",
)
spacing = click.option(
    "--spacing",
    "spacings",
    multiple=True,
    metavar="STREAM=LENGTH",
    help="Distance of the rows of a stream beside the first, in frames or seconds: audio=24f or audio=0.96s; may be"
    " repeated.  [default: what its folder states, else inferred from the lengths of the videos]",
)


def given_streams(features: Sequence[str], spacings: Sequence[str]) -> dict[str, Any]:
    """Return ``--features`` and ``--spacing`` as fields of a request.

    Raises:
        ConfigError: a value has another form, or something is given twice.
    """
    found: dict[str, Any] = {"features": None, "streams": {}, "spacings": {}}
    for text in features:
        name, sign, folder = text.partition("=")
        if not sign or not re.fullmatch(NAME, name) or Path(text).exists():
            if found["features"] is not None:
                raise ConfigError(
                    f"--features {found['features']} and --features {text} both give the first stream; name the other"
                    " stream, as in --features audio=DIR"
                )
            found["features"] = Path(text)
        else:
            _put_once(found["streams"], "--features", name, Path(folder))
    for text in spacings:
        name, _, length = text.partition("=")
        _put_once(found["spacings"], "--spacing", name, RowSpacing.parse(length))
    return found


def _put_once(values: dict[str, Any], option: str, name: str, value: Any) -> None:
    if name in values:
        raise ConfigError(
            f"{option} {name}={values[name]} and {option} {name}={value} are of one stream; leave one out"
        )
    values[name] = value


features_layout = click.option(
    "--features-layout",
    type=LAYOUTS,
    help="Layout of these files: vadbench's store, a file per video with a row per frame (anomalyclip), a file per crop"
    " with a row per 16 frames (vadclip), or all crops in one array.  [default: detected]",
)
partition = click.option(
    "--partition",
    metavar="NAME",
    help="Division of the data set's videos into splits (vadbench show dataset NAME).  [default: its own]",
)
truth = click.option(
    "--truth",
    metavar="NAME|FILE",
    help="Ground truth of the test videos: a variant of the data set (vadbench show dataset NAME), or a JSON file as"
    " vadbench data export writes it.  [default: the data set's own]",
)


def checked_name(context: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    """Return a label of ``--name`` if it can be used; a callback, so that it is refused before anything takes time."""
    from vadbench.records.titles import checked_label

    return None if name is None else checked_label(name)


name = click.option(
    "--name",
    metavar="LABEL",
    callback=checked_name,
    help="Label for people, by which tables call the run and commands find it; it changes no result and no key. A"
    " finished run gets it too; '' takes it away.",
)

crop = click.option(
    "--crop",
    help="Crop of the features to score: its name, its number, or mean; for regions always max.  [default: the"
    " protocol's]",
)
clip_model = click.option(
    "--clip",
    "clip_model",
    metavar="MODEL",
    help="CLIP to use (vadbench list clips): a model name such as ViT-B-16-quickgelu, or 'small', embedded in vadbench."
    "  [default: small, or inferred from a --clip-weights file in OpenAI's format]",
)
clip_weights = click.option(
    "--clip-weights",
    metavar="TAG|FILE",
    help="Weights of that CLIP: an open_clip tag such as openai, a local .safetensors or .pt file, or random:SEED.",
)
out = click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=DEFAULT_OUT,
    show_default=True,
    help="Folder for run folders.",
)
as_json = click.option(
    "--json", "as_json", is_flag=True, callback=only_results, help="Print JSON for a program to read."
)


_HOURS = {"h": 1, "d": 24, "w": 7 * 24}


def parse_age(context: click.Context, parameter: click.Parameter, text: str | None) -> datetime | None:
    """Parse a time before now, such as ``12h``, ``30d`` or ``2w``, or a date; without the option, return none."""
    if text is None:
        return None
    if found := re.fullmatch(r"(\d{1,5})([hdw])", text):
        return datetime.now(UTC) - timedelta(hours=int(found[1]) * _HOURS[found[2]])
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"expected an age such as 30d, 2w or 12h, or a date such as 2026-11-29, found '{text}'"
        ) from error


yes = click.option("--yes", is_flag=True, help="Delete without asking.")
no_mlflow = click.option("--no-mlflow", is_flag=True, help="Do not log to MLflow; vadbench log does it later.")
plugin = click.option(
    "--plugin",
    "plugin_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Python file with a plugin that is not installed; may be repeated.",
)


def parse_seeds(context: click.Context, parameter: click.Parameter, text: str | None) -> list[int]:
    """Parse seeds from ``0``, ``0-2`` or ``0,3,5``; without the option, return none."""
    seeds: list[int] = []
    for part in text.split(",") if text is not None else []:
        first, dash, last = part.strip().partition("-")
        numbers = [first, last] if dash else [first]
        # Of more digits, int would make what takes long to count through, or to make.
        short = all(n.isdecimal() and len(n) <= len(str(LARGEST_SEED)) for n in numbers)
        if not short or int(numbers[-1]) < int(first):
            raise click.BadParameter(f"expected 0, 0-2 or 0,3,5 with seeds up to {LARGEST_SEED}, found '{text}'")
        seeds.extend(range(int(first), int(numbers[-1]) + 1))
    return list(dict.fromkeys(seeds))
