"""``vadbench import-checkpoint``: turn the authors' released weights into a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vadbench.base.progress_bar import shown_progress
from vadbench.cli import options
from vadbench.cli.output import note, print_json


@click.command("import-checkpoint", short_help="Turn the authors' released weights into a run.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--method", "-m", required=True, help="Method of the weights, such as anomalyclip.")
@click.option("--dataset", "-d", required=True, help="Data set they were trained on.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a setting; may be repeated.")
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="TOML file with settings.")
@options.partition
@options.data_root
@options.allow_incomplete
@options.streams
@options.spacing
@options.features_layout
@options.crop
@options.clip_model
@options.clip_weights
@options.device
@options.out
@options.plugin
@options.as_json
def command(
    file: Path,
    features: tuple[str, ...],
    spacings: tuple[str, ...],
    plugin_files: tuple[Path, ...],
    as_json: bool,
    **request: Any,
) -> None:
    """Turn a checkpoint that a method's authors released into a run folder.

    \b
      vadbench import-checkpoint -m anomalyclip -d ucfcrime last.ckpt --data-root UCFCrime \\
          --clip ViT-B-16-quickgelu --clip-weights openai
      vadbench run --from results/runs/ucfcrime/anomalyclip/KEY --protocol anomalyclip --data-root UCFCrime

    Only tensors are read, and no code in the file is run. Every name and shape must match this method. The data set is
    needed for its classes, and for values that the file lacks: AnomalyCLIP's centroid of normal training features.
    """
    from vadbench.harness.experiment import open_experiment
    from vadbench.harness.import_checkpoint import import_checkpoint, read_reference
    from vadbench.harness.request import Request
    from vadbench.plugins.registry import Registry

    state = read_reference(file)
    with shown_progress() as progress:
        asked = Request(**request, **options.given_streams(features, spacings))
        experiment = open_experiment(asked, Registry(files=plugin_files), progress)
        folder = import_checkpoint(experiment, file, state, progress)
    if as_json:
        print_json({"folder": str(folder)})
        return
    click.echo(f"{file} is now {folder}")
    note(f"evaluate it with: vadbench run --from {folder}")
