"""The pretended device: it computes, refuses what a GPU refuses, and counts what a GPU is asked for."""

import copy
import gc
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vadbench.testing.pretend import DeviceMixError, PretendedTensor, pretend
from vadbench.testing.pretend.world import program_file


@pytest.fixture
def world():
    with pretend() as made:
        yield made


def trained(device):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 2)).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), fused=True)
    rows = torch.randn(16, 4).to(device)
    for _ in range(3):
        optimiser.zero_grad()
        hidden = F.scaled_dot_product_attention(rows[None], rows[None], rows[None])[0]
        F.cross_entropy(model(hidden), torch.arange(16, device=device) % 2).backward()
        optimiser.step()
    return {name: value.cpu() for name, value in model.state_dict().items()}


def test_a_training_ends_with_the_weights_of_the_cpu():
    expected = trained("cpu")
    with pretend() as world:
        found = trained("cuda")
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6)
    assert world.kernels > 50 and world.kernels_of["scaled_dot_product_attention"] == 3
    assert world.flops > 0 and world.traffic > 0 and world.peak > 16 * 4 * 4


@pytest.mark.parametrize(
    "what",
    [
        lambda there, here: there + here,
        lambda there, here: there @ here,
        lambda there, here: torch.cat([there, here]),
        lambda there, here: here[there[0].long()],
        lambda there, here: here.add_(there.sum()),
        lambda there, here: F.scaled_dot_product_attention(there[None], here[None], here[None]),
        lambda there, here: there.__setitem__((torch.tensor([0]),), here[:1]),
    ],
)
def test_tensors_of_two_devices_are_not_mixed(what, world):
    with pytest.raises(DeviceMixError, match=r"device|cpu"):
        what(torch.ones(3, 3, device="cuda"), torch.ones(3, 3))


def test_numbers_without_dimensions_may_be_of_the_cpu(world):
    assert (torch.ones(3, device="cuda") * torch.tensor(2.0)).tolist() == [2, 2, 2]


@pytest.mark.parametrize("what", [lambda t: t.numpy(), np.asarray, np.sqrt])
def test_numpy_gets_no_memory_of_the_device(what, world):
    with pytest.raises(TypeError, match="can't convert cuda:0"):
        what(torch.ones(3, device="cuda"))


def test_a_generator_of_the_cpu_draws_nothing_there(world):
    with pytest.raises(RuntimeError, match="'cuda' device type for generator"):
        torch.rand(3, device="cuda", generator=torch.Generator())


def test_an_operation_without_a_deterministic_form_is_refused_if_others_are_asked_for(world):
    values = torch.rand(8, device="cuda")
    torch.histc(values)
    torch.use_deterministic_algorithms(True)
    try:
        with pytest.raises(RuntimeError, match="histc does not have a deterministic implementation"):
            torch.histc(values)
    finally:
        torch.use_deterministic_algorithms(False)


def test_copies_are_told_apart_by_the_memory_that_they_come_from(world):
    pinned, plain = torch.ones(4, 4).pin_memory(), torch.ones(4, 4)
    assert pinned.is_pinned() and pinned[1:3].is_pinned() and not plain.is_pinned()
    there = pinned[1:3].to("cuda", non_blocking=True)
    pinned.to("cuda")  # is waited for
    plain.to("cuda", non_blocking=True)
    back = torch.empty(2, 4, pin_memory=True)
    back.copy_(there, non_blocking=True)
    there.cpu()
    assert {kind: n for (kind, _, _), n in world.events.items()} == {
        "h2d-pinned": 1, "h2d-pageable": 2, "d2h-pinned": 1, "d2h": 1,
    }  # fmt: skip
    assert world.copied["h2d-pinned"] == 32 and world.copied["h2d-pageable"] == 128
    assert sum(world.waits().values()) == world.count("d2h") == 1


@pytest.mark.parametrize(
    "what",
    [
        lambda t: t.sum().item(),
        lambda t: bool(t[0] > 0),
        lambda t: t.tolist(),
        lambda t: t[t > 0],
        lambda t: t.nonzero(),
        lambda t: torch.cuda.synchronize(),
        lambda t: torch.cuda.Event().synchronize(),
    ],
)
def test_reads_of_values_are_waits(what, world):
    values = torch.ones(3, device="cuda")
    world.reset()
    what(values)
    assert sum(world.waits().values()) == 1


def test_streams_and_events_cost_the_processor_nothing(world):
    side, values = torch.cuda.Stream(), torch.ones(3, device="cuda")
    with torch.cuda.stream(side):
        more = values + 1
        mark = side.record_event()
    torch.cuda.current_stream().wait_event(mark)
    more.record_stream(torch.cuda.current_stream())
    assert mark.query() and not world.waits()


def test_threads_of_the_block_see_the_device_and_memory_goes_with_the_last_tensor(world):
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.zeros(256, device="cuda")))
    thread.start()
    thread.join()
    (values,) = found
    assert isinstance(values, PretendedTensor) and world.live == torch.cuda.memory_allocated() == 1024
    part = values[:2]
    found.clear()
    del values
    gc.collect()
    assert world.live == 1024, part
    del part
    gc.collect()
    assert world.live == 0 and world.peak == 1024
    assert torch.cuda.mem_get_info()[0] == torch.cuda.mem_get_info()[1]


def test_a_copy_of_a_module_keeps_its_parameters(world):
    model = copy.deepcopy(nn.Linear(2, 3).to("cuda"))
    assert len(list(model.parameters())) == 2 and all(isinstance(p, nn.Parameter) for p in model.parameters())


def test_cross_entropy_of_probabilities_is_refused_under_autocast():
    with pretend("cuda"):
        shares = torch.full((3,), 0.5, device="cuda")
        F.binary_cross_entropy(shares, shares)
        with torch.autocast("cuda", torch.bfloat16), pytest.raises(RuntimeError, match="unsafe to autocast"):
            F.binary_cross_entropy(shares, shares)


def test_there_is_one_device_at_a_time_and_afterwards_none(world):
    with pytest.raises(RuntimeError, match="already"), pretend():
        pass
    assert torch.cuda.device_count() == 1


def test_what_torch_had_is_there_again():
    before = torch.cuda.is_available(), torch.Tensor.pin_memory, F.scaled_dot_product_attention
    with pytest.raises(ZeroDivisionError), pretend():
        raise ZeroDivisionError
    assert before == (torch.cuda.is_available(), torch.Tensor.pin_memory, F.scaled_dot_product_attention)
    assert torch.ones(2).sum().item() == 2


def test_lines_of_the_program_are_those_of_vadbench_and_of_plugins():
    from vadbench_vadclip import method

    from vadbench.nn import sampling
    from vadbench.testing.pretend import tensors

    assert program_file(sampling.__file__) == "vadbench/nn/sampling.py"
    assert program_file(method.__file__) == "vadbench_vadclip/method.py"
    assert program_file(tensors.__file__) == program_file(np.__file__) == program_file(__file__) == ""
