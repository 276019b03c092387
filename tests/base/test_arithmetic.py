import subprocess
import sys

import pytest
import torch

from vadbench.base.arithmetic import arithmetic

CPU, GPU = torch.device("cpu"), torch.device("cuda")
PLACES = {
    "all": torch.backends,
    "cuda": torch.backends.cudnn,
    "cuda products": torch.backends.cuda.matmul,
    "cuda convolutions": torch.backends.cudnn.conv,
    "cuda recurrent": torch.backends.cudnn.rnn,
    "cpu products": torch.backends.mkldnn.matmul,
    "cpu convolutions": torch.backends.mkldnn.conv,
    "cpu recurrent": torch.backends.mkldnn.rnn,
}
OLDER = {
    "products": torch.get_float32_matmul_precision,
    "cuda products": lambda: torch.backends.cuda.matmul.allow_tf32,
    "convolutions": lambda: torch.backends.cudnn.allow_tf32,
}
SETTINGS = {
    "nothing": "pass",
    "everything, newer": "torch.backends.fp32_precision = 'tf32'",
    "cuda, newer": "torch.backends.cudnn.fp32_precision = 'ieee'",
    "products, newer": "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
    "convolutions, newer": "torch.backends.cudnn.conv.fp32_precision = 'ieee'",
    "products of a CPU, newer": "torch.backends.mkldnn.matmul.fp32_precision = 'bf16'",
    "products, older": "torch.set_float32_matmul_precision('medium')",
    "convolutions, older": "torch.backends.cudnn.allow_tf32 = False",
    "both": "torch.set_float32_matmul_precision('high'); torch.backends.cudnn.fp32_precision = 'ieee'",
    "cuDNN": "torch.backends.cudnn.benchmark = True; torch.backends.cudnn.enabled = False",
    "deterministic": "torch.use_deterministic_algorithms(True, warn_only=True)",
}
"""What a caller may have set before."""


def newer() -> dict[str, str]:
    return {name: place.fp32_precision for name, place in PLACES.items()}


def older() -> dict[str, object]:
    """The older settings that can be read: torch refuses while they disagree with the newer."""
    found = {}
    for name, read in OLDER.items():
        try:
            found[name] = read()
        except RuntimeError:
            continue
    return found


def others() -> tuple[object, ...]:
    cudnn = torch.backends.cudnn
    return (
        cudnn.enabled,
        cudnn.benchmark,
        cudnn.deterministic,
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
    )


def require_stated(precision: str, device: torch.device) -> None:
    """Assert what must hold within a block, read through either interface."""
    tf32 = precision == "tf32" and device.type == "cuda"
    found = newer()
    assert {v for n, v in found.items() if n.startswith("cuda ")} == {"tf32" if tf32 else "ieee"}
    assert {v for n, v in found.items() if n.startswith("cpu ")} == {"ieee"}
    assert older() == {"products": "high" if tf32 else "highest", "cuda products": tf32, "convolutions": tf32}
    assert others()[:3] == (True, False, True)
    with torch.backends.cudnn.flags(enabled=False):  # reads the older setting, and undoes some of the newer
        pass
    assert newer() == found


@pytest.fixture
def as_torch_begins():
    """Nothing set by anybody, before the test and after it."""

    def begin() -> None:
        torch.backends.fp32_precision = torch.backends.cudnn.fp32_precision = "none"
        torch.set_float32_matmul_precision("highest")
        torch.backends.cuda.matmul.fp32_precision = torch.backends.mkldnn.matmul.fp32_precision = "none"
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark = True, False
        torch.use_deterministic_algorithms(False)

    begin()
    yield
    begin()


@pytest.mark.usefixtures("as_torch_begins")
@pytest.mark.parametrize("setting", SETTINGS)
def test_the_block_states_its_arithmetic_and_restores_what_the_caller_had_set(setting):
    exec(SETTINGS[setting])
    before, could_be_read = (newer(), others()), older()
    for precision, device in [("fp32", CPU), ("tf32", CPU), ("fp32", GPU), ("tf32", GPU), ("bf16", GPU)]:
        with pytest.raises(ZeroDivisionError), arithmetic(precision, device, deterministic=True):
            require_stated(precision, device)
            assert others()[3:] == ((True, False, False) if device == GPU else before[1][3:])
            with arithmetic("tf32", GPU):
                require_stated("tf32", GPU)
            require_stated(precision, device)
            raise ZeroDivisionError
        assert (newer(), others()) == before
        assert could_be_read.items() <= older().items()


@pytest.mark.usefixtures("as_torch_begins")
def test_what_followed_another_setting_follows_it_again():
    torch.backends.fp32_precision = "tf32"
    with arithmetic("fp32", GPU):
        require_stated("fp32", GPU)
    torch.backends.fp32_precision = "ieee"
    assert set(newer().values()) == {"ieee"}


def test_importing_it_takes_no_torch():
    code = "import sys, vadbench.base.arithmetic; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
