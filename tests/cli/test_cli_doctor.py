"""What ``doctor`` says of the GPUs of a machine, on a pretended one."""

import subprocess

import pytest
import torch

from vadbench.harness import environment
from vadbench.testing.pretend import pretend


@pytest.fixture
def gpu(monkeypatch):
    """A machine with a GPU and a driver."""
    run = subprocess.run

    def answered(command, **options):
        if command[0] != "nvidia-smi":
            return run(command, **options)
        return subprocess.CompletedProcess(command, 0, stdout="580.65.06\n580.65.06\n")

    environment._driver_version.cache_clear()
    monkeypatch.setattr(environment.subprocess, "run", answered)
    with pretend():
        yield
    environment._driver_version.cache_clear()


def checks(vadbench, status):
    return {c["name"]: (c["status"], c["found"]) for c in vadbench("doctor", "--json", status=status).json}


@pytest.mark.usefixtures("gpu")
def test_a_gpu_that_computes_as_the_cpu_is_said_to(vadbench):
    found = checks(vadbench, 0)
    assert found["CUDA"][0] == "ok" and found["CUDA"][1].endswith("driver 580.65.06")
    assert found["GPU 0"] == ("ok", "Pretended GPU, 80.0 of 80.0 GiB free; computes as the CPU does")


def on_the_gpu(compute, change):
    """Return an operation that goes wrong on a GPU alone."""

    def call(*values):
        return change(compute(*values)) if values[0].device.type == "cuda" else compute(*values)

    return call


def illegal(_):
    raise torch.AcceleratorError(
        "CUDA error: an illegal memory access was encountered\nCompile with TORCH_USE_CUDA_DSA"
    )


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("where", "change", "said"),
    [
        ("torch.mm", lambda x: x * 1.001, "a matrix product differs from the CPU's by 0.001 of its largest value"),
        ("torch.nn.functional.conv2d", lambda x: x * float("nan"), "a convolution differs from the CPU's by nan of"),
        ("torch.mm", illegal, "cannot compute: CUDA error: an illegal memory access was encountered; use --device cpu"),
    ],
)
def test_a_gpu_that_computes_wrongly_fails(vadbench, monkeypatch, where, change, said):
    module, name = (torch, "mm") if where == "torch.mm" else (torch.nn.functional, "conv2d")
    monkeypatch.setattr(module, name, on_the_gpu(getattr(module, name), change))
    status, found = checks(vadbench, 1)["GPU 0"]
    assert status == "failed" and said in found and "\n" not in found


def test_a_driver_without_a_usable_gpu_is_named(vadbench, monkeypatch):
    monkeypatch.setattr(environment, "_driver_version", lambda: "470.1")
    assert "though there is a driver 470.1" in checks(vadbench, 0)["CUDA"][1]
