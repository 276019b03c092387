"""Tables of all checks of methods and of data sets, and the functions that run them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from vadbench.base.types import Progress, silent
from vadbench.plugins.registry import PluginKind, Registry, installed
from vadbench.testing.conformance import Check, CheckTable, checks_of, judge

if TYPE_CHECKING:
    from vadbench.dataset import Dataset
    from vadbench.method import Method
    from vadbench.testing.tested_dataset import TestedDataset
    from vadbench.testing.tested_method import TestedMethod

METHOD_CHECKS: CheckTable = {
    "settings": ("conduct", "every setting has a description, and the defaults of every data set are valid"),
    "config": ("conduct", "the settings class that its spec names is imported without torch"),
    "fits": ("conduct", "whether it fits a data set is answered in words, whatever is known so far"),
    "needs": ("conduct", "it reads the streams, frames and texts that its needs name, and no others"),
    "shapes": (
        "score_checks",
        "a finite score a row, within 0 and 1 unless declared, for any number of rows, and what goes with it fits",
    ),
    "probabilities": ("score_checks", "class probabilities sum to one, with the normal class in its place"),
    "together": (
        "dependence",
        "no score depends on the order of videos or on which are scored together, unless declared",
    ),
    "reach": (
        "dependence",
        "a long video scored in windows of the reach that is declared has the scores of the whole",
    ),
    "lookahead": ("dependence", "a method that says it is causal looks no further ahead than it says"),
    "float16": ("score_checks", "features stored in float16 hardly change a score"),
    "width": ("score_checks", "without text, rows of any width do"),
    "memory": ("score_checks", "nothing is kept of the videos that were scored"),
    "estimate": ("conduct", "costs of scoring are estimated without reading a video"),
    "gradients": ("parameters", "the loss is finite and reaches every trainable parameter"),
    "seeds": ("parameters", "the same seed gives the same weights"),
    "checkpoint": ("parameters", "tensors alone bring back weights and scores, bit for bit"),
    "vocabulary": ("parameters", "a method of an open vocabulary keeps its weights under other classes"),
    "resume": ("fitting", "a training that is broken off in each of its stages resumes to the same bits"),
    "workers": ("fitting", "0, 1 and 3 worker processes make the same batches, bit for bit"),
    "names": ("fitting", "what videos are called changes neither weights nor scores"),
    "bounded": ("fitting", "a fit holds a few videos at a time, whatever their number"),
    "device": (
        "device_check",
        "on a GPU, which is pretended, it is trained, resumed and scored with the CPU's values, and all of it is there",
    ),
    "network": ("conduct", "nothing is fetched from a network, unless declared"),
    "writes": ("conduct", "no file is written, or only below the cache where that is declared"),
    "supervision": ("learning", "a method that says it learns nothing keeps nothing of training videos"),
    "blind": ("learning", "neither annotations nor files of the data set are looked at"),
    "learns": ("learning", "it beats random scores on synthetic"),
    "leak": ("learning", "test annotations reach neither weights nor scores, and training labels decide the weights"),
}
DATASET_CHECKS: CheckTable = {
    "classes": ("tested_dataset", "class names, words and aliases are distinct, and one class is normal"),
    "expected": ("tested_dataset", "the number of videos of a complete copy is stated for each split, test among them"),
    "files": ("tested_dataset", "it says what is expected where"),
    "attributes": (
        "tested_dataset",
        "what has a default is of its kind, and each other division and ground truth says which files it needs",
    ),
    "constructor": ("tested_dataset", "making it is cheap and needs no file"),
    "missing-root": ("tested_dataset", "a missing root is a DataError that names it"),
    "names": ("videos", "every video has a name of its own within its split"),
    "splits": ("videos", "no video is in two splits, and none is empty"),
    "labels": ("videos", "every video carries classes of the table, by their official names"),
    "segments": ("videos", "no training video has segments; the others' are of their classes and inside their frames"),
    "order": ("videos", "the same list twice is the same"),
    "paths": ("videos", "every file is inside the root"),
    "boundaries": ("videos", "every reading of the intervals is accepted"),
    "counts": ("videos", "there are no more videos than a complete copy has"),
    "partitions": ("variants", "each other division can be followed, and no two of its splits share a video"),
    "truths": ("variants", "each other ground truth lies on the test videos"),
}


def method_checks(
    method: str | type[Method], plugins: Sequence[Path | str] = (), progress: Progress = silent
) -> list[Check]:
    """Return the checks of a method, for ``@pytest.mark.parametrize("check", method_checks("mine"), ids=str)``.

    They share resources such as a training on ``synthetic``, which the first check that needs it makes. All of them
    take seconds for a small method, less than two minutes for the slowest built-in one.

    Args:
        method: its name, or its class. It is checked with its settings for the data set ``synthetic``, those of
            ``dataset_defaults`` or else its defaults.
        plugins: files of plugins that are not installed, as ``--plugin``.
        progress: called with the progress of long checks.

    Raises:
        UnknownNameError: the name is not registered.
    """
    registry = _registry("method", method, plugins)

    @cache
    def subject() -> TestedMethod:
        from vadbench.testing.tested_method import TestedMethod

        return TestedMethod(method, registry, progress)

    return checks_of(METHOD_CHECKS, subject, lambda: subject().kind.known_failures)


def check_method(method: str | type[Method], *, plugins: Sequence[Path | str] = ()) -> None:
    """Run every check on a method, given by its name or as a class.

    Warns (:class:`vadbench.testing.NotCheckedWarning`) about checks that were skipped and known failures.

    Raises:
        AssertionError: lists every check that failed, with what was found and how to fix it.
        UnknownNameError: the name is not registered.
        PluginError: the class cannot be imported.
    """
    name = method if isinstance(method, str) else method.__name__
    judge(f"method '{name}'", method_checks(method, plugins))


def dataset_checks(
    dataset: str | type[Dataset],
    plugins: Sequence[Path | str] = (),
    data_root: Path | None = None,
    progress: Progress = silent,
    truth: str = "",
) -> list[Check]:
    """Return the checks of a data set, for ``@pytest.mark.parametrize("check", dataset_checks("mine"), ids=str)``.

    Args:
        dataset: its name, or its class.
        plugins: files of plugins that are not installed, as ``--plugin``.
        data_root: its folder; otherwise found as ``vadbench run`` does. Without one, the checks that need files are
            skipped.
        progress: called with the progress of generating its files.
        truth: a variant of its ground truth, or a file, to check it under, as ``--truth``; empty for its own.

    Raises:
        UnknownNameError: the name is not registered.
    """
    registry = _registry("dataset", dataset, plugins)

    @cache
    def source() -> TestedDataset:
        from vadbench.testing.tested_dataset import TestedDataset

        kind = registry.dataset(dataset) if isinstance(dataset, str) else dataset
        return TestedDataset(kind, data_root, progress, registry, truth)

    return checks_of(DATASET_CHECKS, source)


def check_dataset(
    dataset: str | type[Dataset], *, plugins: Sequence[Path | str] = (), data_root: Path | None = None
) -> None:
    """Run every check on a data set, given by its name or as a class.

    Warns (:class:`vadbench.testing.NotCheckedWarning`) about checks that were skipped, for example without data.

    Raises:
        AssertionError: lists every check that failed, with what was found and how to fix it.
        UnknownNameError: the name is not registered.
        PluginError: the class cannot be imported.
    """
    name = dataset if isinstance(dataset, str) else dataset.__name__
    judge(f"data set '{name}'", dataset_checks(dataset, plugins, data_root))


def _registry(kind: PluginKind, plugin: object, files: Sequence[Path | str]) -> Registry:
    """Return the plugins that checks are made with, after making sure that they include one that is given by name."""
    registry = Registry(files=[Path(file) for file in files]) if files else installed()
    if isinstance(plugin, str):
        registry.spec(kind, plugin)
    return registry
