"""The checks of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from vadbench.base.types import Progress, silent
from vadbench.plugins.registry import Registry, installed
from vadbench.testing.check import Check, CheckTable, checks_of, judge

if TYPE_CHECKING:
    from vadbench.dataset import Dataset
    from vadbench.testing.tested_dataset import TestedDataset

DATASET_CHECKS: CheckTable = {
    "classes": ("tested_dataset", "class names, words and aliases are distinct, and one class is normal"),
    "expected": ("tested_dataset", "the number of videos of a complete copy is stated for both splits"),
    "files": ("tested_dataset", "it says what is expected where"),
    "constructor": ("tested_dataset", "making it is cheap and needs no file"),
    "missing-root": ("tested_dataset", "a missing root is a DataError that names it"),
    "names": ("videos", "every video has a name of its own within its split"),
    "splits": ("videos", "no video is in both splits, and none is empty"),
    "labels": ("videos", "every video carries classes of the table, by their official names"),
    "segments": ("videos", "test videos alone have segments, of their classes and inside their frames"),
    "order": ("videos", "the same list twice is the same"),
    "paths": ("videos", "every file lies inside the root"),
    "boundaries": ("videos", "every reading of the intervals is accepted"),
    "counts": ("videos", "there are no more videos than a complete copy has"),
}


def dataset_checks(
    dataset: str | type[Dataset],
    plugins: Sequence[Path | str] = (),
    data_root: Path | None = None,
    progress: Progress = silent,
) -> list[Check]:
    """The checks of a data set, for ``@pytest.mark.parametrize("check", dataset_checks("mine"), ids=str)``.

    Args:
        dataset: its name, or its class.
        plugins: files of plugins that are not installed, as ``--plugin``.
        data_root: its folder; otherwise found as ``vadbench run`` does. Without one, the checks that need files are
            skipped.
        progress: told how far the making of its files is.

    Raises:
        UnknownNameError: nobody registered the name.
    """
    registry = Registry(files=[Path(p) for p in plugins]) if plugins else installed()
    if isinstance(dataset, str):
        registry.spec("dataset", dataset)

    @cache
    def source() -> TestedDataset:
        from vadbench.testing.tested_dataset import TestedDataset

        kind = registry.dataset(dataset) if isinstance(dataset, str) else dataset
        return TestedDataset(kind, data_root, progress, registry)

    return checks_of(DATASET_CHECKS, source)


def check_dataset(
    dataset: str | type[Dataset], *, plugins: Sequence[Path | str] = (), data_root: Path | None = None
) -> None:
    """Run every check on a data set, given by its name or as a class.

    Warns (:class:`vadbench.testing.NotCheckedWarning`) of checks that were skipped, as without data.

    Raises:
        AssertionError: lists every check that failed, with what was found and how to mend it.
        UnknownNameError: nobody registered the name.
        PluginError: the class cannot be imported.
    """
    name = dataset if isinstance(dataset, str) else dataset.__name__
    judge(f"data set '{name}'", dataset_checks(dataset, plugins, data_root))
