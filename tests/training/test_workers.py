"""Worker processes: the same batches bit for bit as without them, and errors that say what they were at."""

import os
import pickle
import signal

import numpy as np
import pytest
import torch

import worker_methods
from method_inputs import labelled
from places import KINDS
from processes import is_alive
from stores import PRINT, append, some_rows
from vadbench.base.errors import DataError, PluginError, TrainingError
from vadbench.base.method_config import MethodConfig, Recipe
from vadbench.dataset import ClassTable, VideoClass
from vadbench.method import Method, Task
from vadbench.plugins.registry import Registry, import_scratch
from vadbench.training.prefetching import BatchLoader, batch_difference
from vadbench.training.views import BatchPlan
from vadbench.training.workers import open_workers

TABLE = ClassTable((VideoClass("Fire"), VideoClass("Normal"), VideoClass("Fall")), normal=1)
RECIPE = Recipe(batch_size=4)


def videos(count=12):
    rng = np.random.default_rng(0)
    kinds = [("Fire", "Fall") if i % 2 else ("Normal",) for i in range(count)]
    return [labelled(rng.normal(size=(5 + i, 4)).astype(np.float32), k, TABLE, f"v{i}") for i, k in enumerate(kinds)]


def plan(**changes):
    return BatchPlan(videos(), 1, RECIPE.model_copy(update=changes), seed=4)


def method(kind=worker_methods.Drawing, **settings):
    task = Task(TABLE, 4, torch.device("cpu"), lambda: pytest.fail("no text needed"))
    return kind(getattr(kind, "Config", MethodConfig)(**settings), task)


def batches(kind, workers, view=None, epochs=1, plan=None):
    made = method(kind)
    with BatchLoader(made, plan or globals()["plan"](), getattr(made, view) if view else None, workers) as loader:
        return [batch for epoch in range(epochs) for batch in loader.epoch(epoch)]


def test_batches_of_no_worker_one_and_three_are_equal_to_the_bit():
    assert batch_difference(method(width=2), plan(), epochs=2) == ""


def test_a_difference_is_found():
    class Counting(worker_methods.Drawing):
        calls = 0

        def view(self, video, rng):
            self.calls += 1
            return {"x": np.array(self.calls)}

    found = batch_difference(method(Counting), plan(), (0, 0))
    assert found == "batch 0 of epoch 0 differs in views between 0 and 0 workers"


def test_workers_are_processes_of_their_own_with_a_thread_each():
    found = batches(worker_methods.Telling, 3, epochs=2)
    processes = [set(batch.views["process"].tolist()) for batch in found]
    assert all(len(own) == 1 for own in processes) and len(found) == 6
    assert len(set.union(*processes)) == 3 and {os.getpid()} not in processes
    # The same ones in every epoch, each every third batch.
    assert processes[:3] == processes[3:]
    assert {n for batch in found for n in batch.views["threads"].tolist()} == {1}


def test_a_thread_of_this_process_computes_with_one_thread_too():
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = batches(worker_methods.Telling, 0)
        assert {n for batch in found for n in batch.views["threads"].tolist()} == {1}
        assert {n for batch in found for n in batch.views["process"].tolist()} == {os.getpid()}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(usual)


def test_batches_say_which_videos_they_hold_and_when():
    found = batches(worker_methods.Drawing, 1)
    kept = videos()
    for step, ((_, indices), batch) in enumerate(zip(plan().batches(0), found, strict=True)):
        assert (batch.step, batch.epoch) == (step, 0)
        assert batch.names == batch.keys == tuple(kept[i].name for i in indices)


def test_another_view_of_the_method_is_called_by_its_name():
    made = method()
    with BatchLoader(made, plan(), made.other, 1) as loader:
        assert loader._workers is not None
        (batch, *_) = loader.epoch(0)
    assert list(batch.views) == ["first"]


def test_a_scratch_plugin_is_imported_by_the_workers():
    module = import_scratch(KINDS / "two_stage.py")
    task = Task(TABLE, 4, torch.device("cpu"), lambda: None)
    made = module.TwoStage(module.Config(width=3), task)
    assert batch_difference(made, plan(), (0, 1), view=made.numbered) == ""


def defined_here(of_class=False):
    class Local(worker_methods.Drawing):
        pass

    class LocalConfig(worker_methods.Config):
        pass

    made = method(Local) if of_class else method()
    made.config = LocalConfig() if not of_class else made.config
    return made


@pytest.mark.parametrize("of_class", [True, False])
def test_a_class_that_no_other_process_can_import_is_served_by_the_thread(of_class):
    made = defined_here(of_class)
    assert open_workers(made, made.view, plan(), 1) is None
    with BatchLoader(made, plan(), workers=2) as served, BatchLoader(method(), plan()) as usual:
        for one, other in zip(served.epoch(0), usual.epoch(0), strict=True):
            assert torch.equal(one.views["rows"], other.views["rows"])


def test_a_module_that_workers_do_not_find_is_served_by_the_thread(monkeypatch, tmp_path):
    (tmp_path / "gone_module.py").write_text("from worker_methods import Drawing\nclass Gone(Drawing): pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    from gone_module import Gone

    (tmp_path / "gone_module.py").unlink()
    made = method(Gone)
    assert open_workers(made, made.view, plan(), 1) is None


def test_a_view_that_is_not_the_class_s_own_is_served_by_the_thread():
    made = method()
    made.view = lambda video, rng: {"x": np.zeros(1)}
    assert open_workers(made, made.view, plan(), 1) is None


def test_videos_that_cannot_be_pickled_are_served_by_the_thread():
    from dataclasses import replace

    samples = [v.with_line(replace(v.stream("clip"), read=lambda v=v: v.rows)) for v in videos()]
    made = method()
    assert open_workers(made, made.view, BatchPlan(samples, 1, RECIPE, 4), 1) is None


def test_a_worker_that_ends_is_an_error_naming_the_video():
    with pytest.raises(TrainingError, match=r"ended with status 3 in Dying.view\(\) of video 'v7'; .*--workers 0"):
        batches(worker_methods.Dying, 2)


def test_a_worker_that_is_killed_is_an_error_naming_a_video():
    with BatchLoader(method(), plan(), workers=1) as loader:
        coming = loader.epoch(0)
        next(coming)
        os.kill(loader._workers._workers[0].pid, signal.SIGKILL)
        with pytest.raises(TrainingError, match=r"was ended by SIGKILL in Drawing.view\(\) of video 'v\d+'"):
            list(coming) and list(loader.epoch(1))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_a_view_is_the_same_from_a_worker(workers):
    with pytest.raises(DataError) as caught:
        batches(worker_methods.Failing, workers)
    assert str(caught.value) == "v7 is damaged"
    if workers:
        assert "of video 'v7'" in caught.value.__notes__[0] and "Traceback" in caught.value.__notes__[0]


def test_a_view_that_reads_weights_or_text_is_told_what_it_may_read():
    with pytest.raises(PluginError, match=r"ReadingLayer.view\(\) reads an attribute .*'layer'.*may read self.config"):
        batches(worker_methods.ReadingLayer, 1)
    with pytest.raises(PluginError, match=r"view\(\) may read the classes and widths of self.task, and no text"):
        batches(worker_methods.ReadingText, 1)


@pytest.mark.parametrize("workers", [0, 1])
def test_views_of_different_forms_are_refused_by_name(workers):
    form = r"x \(2, 4\) float(32|16) for v\d+"
    with pytest.raises(PluginError, match=f"same names, shapes and dtypes for every video, found {form} and {form}"):
        batches(worker_methods.Uneven, workers)


def test_breaking_off_ends_the_workers():
    with BatchLoader(method(), plan(), workers=2) as loader:
        processes = loader._workers._workers
        coming = loader.epoch(0)
        next(coming)
        coming.close()
        assert all(p.poll() is not None for p in processes)


def test_workers_end_with_the_process_that_started_them():
    import subprocess
    import sys
    import time

    code = (
        "import os, test_workers as t; l = t.BatchLoader(m := t.method(), t.plan(), workers=1).__enter__();"
        "print(l._workers._workers[0].pid, flush=True); os.kill(os.getpid(), 9)"
    )
    here = os.path.dirname(__file__)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([here, *sys.path])}
    told = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
    worker = int(told.stdout)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not is_alive(worker):
            return
        time.sleep(0.05)
    pytest.fail("the worker outlived its process")


def test_videos_pickle_as_handles(tmp_path):
    """A pickled memory map would be a copy of its rows."""
    from functools import partial

    from vadbench.features.store import FeatureStore, StoreWriter
    from vadbench.inputs import StreamInput, VideoInput

    rows = {f"v{i}": some_rows(i, 16_000) for i in range(4)}
    with StoreWriter(tmp_path, PRINT) as writer:
        for name, own in rows.items():
            append(writer, name, [own], 16_000, "id")
    store = FeatureStore(tmp_path)
    made = [
        VideoInput(
            name=name,
            row_count=4000,
            stride=4,
            frame_count=16_000,
            streams={"clip": StreamInput(partial(store.crop_rows, name, store.crops(name)[0]), 4000, 4)},
        )
        for name in store.names
    ]
    np.testing.assert_array_equal(made[0].rows, rows["v0"])
    pickled = pickle.dumps(made)
    assert len(pickled) < 4000 < rows["v0"].nbytes
    for video in pickle.loads(pickled):
        np.testing.assert_array_equal(video.rows, rows[video.name])


@pytest.mark.slow
def test_batches_of_all_shipped_methods_are_equal_with_and_without_a_worker():
    from vadbench.testing.tested_method import TestedMethod

    checked = []
    for name in Registry().specs("method"):
        subject = TestedMethod(name, Registry())
        if subject.recipe is None:
            continue
        made = subject.build(0)
        samples = BatchPlan(subject.samples, subject.classes.normal, subject.recipe, seed=0)
        assert batch_difference(made, samples, (0, 1)) == "", name
        checked.append(name)
    assert {"mil", "clip-linear", "anomalyclip", "vadclip"} <= set(checked)


class InMain(Method):
    pass


def test_a_class_of_the_main_module_is_not_importable(monkeypatch):
    monkeypatch.setattr(InMain, "__module__", "__main__")
    made = method(InMain)
    assert open_workers(made, made.view, plan(), 1) is None
