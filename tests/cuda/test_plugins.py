"""Methods of other people on a GPU: one that assigns a buffer, those that ``vadbench new method`` writes, the kinds."""

import importlib
import sys

import pytest
import torch

from places import KINDS, PLUGIN
from vadbench.harness.experiment import open_experiment
from vadbench.harness.request import Request
from vadbench.harness.run import run
from vadbench.plugins.registry import Registry
from vadbench.scaffold import METHOD_TEMPLATES
from vadbench.testing.device_check import compared

GPU = torch.device("cuda")


@pytest.mark.usefixtures("tiny_at_hand", "quick_runs")
def test_a_buffer_that_prepare_assigns_follows_the_method(gpu, tmp_path):
    """``self.center = torch.from_numpy(...)`` is what anybody would write."""
    request = Request("linear", "tiny", ("recipe.epochs=1",), clip_model="small", device="cuda", out=tmp_path)
    record = run(open_experiment(request, Registry(files=[PLUGIN])), 0).record
    assert record.status == "finished"


def test_so_it_does_where_the_loop_is_given_by_the_checks(subject, some_gpu):
    assert "trained" in compared(subject("linear", registry=Registry(files=[PLUGIN])), some_gpu)


@pytest.mark.parametrize("kind", sorted(METHOD_TEMPLATES))
def test_a_method_that_is_begun_from_a_template_works_on_a_gpu(
    kind, vadbench, tmp_path, monkeypatch, subject, some_gpu
):
    monkeypatch.chdir(tmp_path)
    name = f"begun-{kind}"
    vadbench("new", "method", name, "--kind", kind)
    (package,) = (path for path in tmp_path.glob("*/vadbench_*") if path.is_dir())
    monkeypatch.syspath_prepend(package.parent)
    module = importlib.import_module(package.name)
    (spec,) = module.vadbench_methods()
    place, _, kind_name = spec.target.partition(":")
    made = getattr(importlib.import_module(place), kind_name)
    try:
        assert "scored: the CPU's values within" in compared(subject(made), some_gpu)
    finally:
        for loaded in [n for n in sys.modules if n.partition(".")[0] == package.name]:
            del sys.modules[loaded]


def kinds():
    for path in sorted(KINDS.glob("*.py")):
        if "MethodSpec(" in path.read_text() and "test_" not in path.name:
            for spec in Registry(points=[], files=[path]).specs("method").values():
                yield pytest.param(path, spec.name, id=spec.name)


@pytest.mark.slow
@pytest.mark.parametrize(("path", "name"), list(kinds()))
def test_every_kind_of_method_works_on_a_gpu(path, name, subject, some_gpu):
    assert "the CPU's values within" in compared(subject(name, registry=Registry(files=[path])), some_gpu)
