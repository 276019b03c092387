"""The tests here are not vacuous: device bugs put into a copy of the program, one at a time, are seen.

These are no bugs on CUDA, and nothing need see them, because something else moves the tensor: ``owners`` of
descriptions-frame made on the CPU (``.to()`` moves a buffer), CLIP's text tower loaded to the CPU (the task moves it),
tensors of a checkpoint left on the device (safetensors copies them) or on the CPU (``load_state_dict`` copies them),
frames sent to the encoder from the CPU (it sends them), and indices on the CPU (CUDA takes them, with a wait).
"""

import compileall
import shutil
from py_compile import PycInvalidationMode

import pytest

from devices import REAL
from forked_pytest import forked_pytest
from places import ROOT

FOLDERS = ("vadbench", "methods", "datasets", "benchmarks/vadbench_benchmarks", "results/vadbench_results")
AS_ON_CPU = "test_a_method_is_trained_resumed_and_scored_as_on_the_cpu"
FEATURES = "test_features_are_those_of_the_cpu_and_frames_come_from_pinned_memory"
MUTANTS = {
    # What is changed: file, from, to, and the test that sees it.
    "rows counted on the CPU": (
        "vadbench/nn/sampling.py", "torch.arange(length, device=lengths.device)", "torch.arange(length)",
        f"test_methods.py::{AS_ON_CPU}[clip-linear-defaults]",
    ),
    "a constant as an attribute": (
        "methods/vadbench_descriptions/frame.py",
        'self.register_buffer("owners", torch.tensor(owners, device=phrases.device), persistent=False)',
        "self.owners = torch.tensor(owners)",
        f"test_methods.py::{AS_ON_CPU}[descriptions-frame-defaults]",
    ),
    "masks left on the CPU": (
        "methods/vadbench_anomalyclip/selector.py", "Masks(sent(top, device), sent(bottom, device))",
        "Masks(top, bottom)", f"test_methods.py::{AS_ON_CPU}[anomalyclip-defaults]",
    ),
    "masks waited for": (
        "methods/vadbench_anomalyclip/selector.py", "Masks(sent(top, device), sent(bottom, device))",
        "Masks(top.to(device), bottom.to(device))",
        "test_budget.py::test_a_step_waits_and_copies_in_the_listed_lines_alone[pageable-anomalyclip]",
    ),
    "widths of segments on the CPU": (
        "methods/vadbench_baselines/mil.py", "torch.from_numpy(ends - starts).to(scores.device)",
        "torch.from_numpy(ends - starts)", f"test_methods.py::{AS_ON_CPU}[mil-defaults]",
    ),
    "distances as an attribute": (
        "vadbench/nn/temporal.py",
        'self.register_buffer("distances", (place[:, None] - place).abs(), persistent=False)',
        "self.distances = (place[:, None] - place).abs()",
        f"test_methods.py::{AS_ON_CPU}[clip-temporal-linear-defaults]",
    ),
    "batches left on the CPU": (
        "vadbench/training/placement.py", ".to(self._device, non_blocking=True))", ")",
        f"test_methods.py::{AS_ON_CPU}[mil-defaults]",
    ),
    "batches in memory that is not pinned": (
        "vadbench/training/placement.py", "self._slot.pinned(name, array)", "torch.from_numpy(array)",
        "test_budget.py::test_a_step_waits_and_copies_in_the_listed_lines_alone[pageable-mil]",
    ),
    "scores read on the device": (
        "vadbench/scoring/checks.py", "tensor.float().cpu().numpy()", "tensor.float().numpy()",
        "test_harness.py::test_a_run_has_the_metrics_of_the_cpu_and_names_the_gpu[zero-shot]",
    ),
    "tokens left on the CPU": (
        "vadbench/clip/text_tower.py", "return tokens.to(self.text_projection.device)", "return tokens",
        f"test_methods.py::{AS_ON_CPU}[zero-shot-defaults]",
    ),
    "means of colours on the CPU": (
        "vadbench/clip/model.py", "torch.tensor(values, device=self.device)", "torch.tensor(values)",
        f"test_harness.py::{FEATURES}[1-mean]",
    ),
    "features read on the device": (
        "vadbench/features/encoders.py", "crop.cpu().numpy() for crop", "crop.numpy() for crop",
        f"test_harness.py::{FEATURES}[1-mean]",
    ),
    "texts read on the device": (
        "methods/vadbench_descriptions/wording.py", "normalize(clip.text(phrases).cpu(), dim=-1)",
        "normalize(clip.text(phrases), dim=-1)", "test_harness.py::test_banks_and_features_are_looked_at_on_a_gpu",
    ),
    "texts compared on the device": (
        "vadbench/features/preflight.py", "text_features.detach().cpu().numpy()", "text_features.detach().numpy()",
        "test_harness.py::test_banks_and_features_are_looked_at_on_a_gpu",
    ),
    "buffers that prepare assigned left where they are": (
        "vadbench/training/stage_state.py", "        method.to(device)\n", "        pass\n",
        "test_plugins.py::test_a_buffer_that_prepare_assigns_follows_the_method",
    ),
    "a cross-entropy under autocast": (
        "methods/vadbench_urdmu/method.py", "with torch.autocast(pairs.device.type, enabled=False):", "if True:",
        "test_autocast.py::test_losses_and_scores_are_finite_float32_and_finely_graded[urdmu-defaults]",
    ),
    "losses under autocast": (
        "methods/vadbench_vadclip/method.py",
        'with torch.autocast(labels.device.type, enabled=False):\n                if "coarse"',
        'if True:\n                if "coarse"',
        "test_autocast.py::test_losses_and_scores_are_finite_float32_and_finely_graded[vadclip-defaults]",
    ),
    "the CPU's autocast turned off": (
        "methods/vadbench_vadclip/method.py", "with torch.autocast(rows.device.type, enabled=False):",
        'with torch.autocast("cpu", enabled=False):',
        "test_autocast.py::test_losses_and_scores_are_finite_float32_and_finely_graded[vadclip-defaults]",
    ),
    "losses read at once": (
        "vadbench/training/loop.py", "losses.to(\"cpu\", non_blocking=True)", "losses.to(\"cpu\")",
        "test_budget.py::test_a_step_waits_and_copies_in_the_listed_lines_alone[waits-clip-linear]",
    ),
}  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.skipif(REAL, reason="on a real GPU only the tests themselves are of use")]


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of the packages, to be spoiled; compiled so that a module is compiled again where its text differs."""
    root = tmp_path_factory.mktemp("copy")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    assert compileall.compile_dir(root, quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
    return root


@pytest.mark.parametrize("name", MUTANTS)
def test_a_device_bug_is_seen(name, copied):
    file, old, new, test = MUTANTS[name]
    path = copied / file
    before = path.read_text(encoding="utf-8")
    assert before.count(old) >= 1, f"{file} has no {old!r} any more: change the mutant"
    path.write_text(before.replace(old, new), encoding="utf-8")
    try:
        status, printed = _tested(copied, test)
    finally:
        path.write_text(before, encoding="utf-8")
    assert status == 1 and "1 failed" in printed, printed[-2000:]


def test_the_copy_itself_passes(copied):
    """Otherwise a mutant might be seen for another reason."""
    status, printed = _tested(copied, *sorted({test for *_, test in MUTANTS.values()}))
    assert status == 0, printed[-2000:]


def _tested(root, *tests):
    paths = [str(root / folder) for folder in ("", "methods", "datasets", "benchmarks", "results")]
    words = ["-q", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-p", "no:cacheprovider", "-x"]
    return forked_pytest([*words, *(str(ROOT / "tests" / "cuda" / test) for test in tests)], paths, root)
