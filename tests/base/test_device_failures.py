"""Errors of memory and of devices: one line with figures and a remedy, and nothing else is taken for one."""

import gc
import re
import weakref

import numpy as np
import pytest
import torch

from failing_devices_plugin import ASSERTED, FULL
from vadbench.base.device_failures import device_error, device_errors, release_memory
from vadbench.base.errors import DataError, DeviceFailedError, MemoryShortageError


def told(error):
    found = device_error(error, "take less")
    assert found is None or "\n" not in str(found)
    return found


def test_a_full_gpu_is_said_with_the_figures_that_torch_wrote():
    assert str(told(torch.OutOfMemoryError(FULL))) == (
        "the GPU's memory does not suffice (tried to allocate 2.50 GiB, 1.02 GiB of 7.79 GiB free, this process has"
        " 6.77 GiB); take less"
    )


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED_ALLOC_FAILED"),
    ],
)
def test_memory_that_is_short_within_cuda_is_said_with_what_is_free_now(monkeypatch, error):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (2**30, 8 * 2**30))
    found = told(error)
    assert isinstance(found, MemoryShortageError)
    assert str(found) == "the GPU's memory does not suffice (1.00 GiB of 8.00 GiB free); take less"
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: 1 / 0)
    assert str(told(error)) == "the GPU's memory does not suffice; take less"


@pytest.mark.parametrize("allocate", [lambda: torch.empty(2**50), lambda: np.empty(2**55)], ids=["torch", "numpy"])
def test_the_memory_of_the_machine_is_no_gpus(allocate):
    with pytest.raises(MemoryShortageError) as error, device_errors("take less"):
        allocate()
    said = str(error.value)
    assert said.startswith("the memory of this machine does not suffice (") and said.endswith("; take less")
    assert re.search(r"[\d.]+ GiB of [\d.]+ GiB free", said)


def test_what_torch_could_not_allocate_on_the_cpu_is_said():
    for text in ("can't allocate memory: you tried to allocate 4294967296 bytes.", "not enough memory: you tried ..."):
        said = str(told(RuntimeError(f"[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: {text}")))
        assert ("(tried to allocate 4.00 GiB, " in said) == ("4294967296" in text) and "this machine" in said


def test_a_broken_gpu_is_said_in_one_line():
    found = told(torch.AcceleratorError(ASSERTED))
    assert isinstance(found, DeviceFailedError)
    assert str(found).startswith("the GPU failed: CUDA error: device-side assert triggered; this process")
    assert "CUDA_LAUNCH_BLOCKING=1" in str(found)


def test_a_library_that_notices_first_is_believed_once_the_gpu_says_so_too(monkeypatch):
    failed = RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`")
    assert told(failed) is None
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    assert told(failed) is None
    monkeypatch.setattr(torch.cuda, "synchronize", broken)
    assert isinstance(told(failed), DeviceFailedError)
    assert told(ValueError("of a plugin")) is None


def broken():
    raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), DataError("no such file"), KeyError("x")])
def test_other_errors_pass_as_they_are(error):
    with pytest.raises(type(error)) as found, device_errors("take less"):
        raise error
    assert found.value is error


def test_an_error_that_is_kept_keeps_no_tensors(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    emptied = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(1))
    seen = []

    def fail():
        held = torch.zeros(3)
        seen.append(weakref.ref(held))
        raise torch.OutOfMemoryError(FULL)

    kept = None
    try:
        with device_errors("take less"):
            fail()
    except MemoryShortageError as error:
        kept = error
    gc.collect()
    assert seen[0]() is not None, "the traceback holds the frame, whose variables this is about"
    release_memory(kept)
    assert seen[0]() is None and emptied and kept.__traceback__ is not None
