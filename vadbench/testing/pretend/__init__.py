"""A CUDA device that is not there: tensors that say ``cuda:0``, hold real numbers on the CPU, and refuse to be mixed.

Within ``with pretend() as world:`` ``torch.device("cuda")`` can be used in this process and in every thread that is
started there. Everything computes, with the CPU's numbers, so code that looks at values (``int(ends.max())``,
``losses.tolist()``) runs to its end. What a GPU would refuse is refused:

- an operation over a tensor of the device and one of the CPU, except for operands without dimensions
- ``.numpy()``, ``np.asarray`` and whatever else wants the memory of a tensor of the device
- a random generator of the CPU
- operations that have no deterministic form on a GPU, where torch is told to use no others
- binary cross-entropy under autocast (in the flavour ``cuda``)

What costs time there is counted, with the line of the program that asked for it: kernels, copies either way and whether
their memory was pinned, and reads that make the processor wait. Bytes alive on the device are counted too.

There are two flavours, because torch's autograd engine asks the driver once it meets a tensor whose C++ device is CUDA:

- ``meta``, the default: forward, backward, optimiser. In C++ the tensors are of the meta device, whose Python
  attributes say CUDA. CUDA's autocast does not apply to them.
- ``cuda``: forward alone, of the C++ device CUDA, so that CUDA's own lists of autocast decide on types.

torch's ``FakeTensorMode`` is no substitute: its backward pass needs a driver for CUDA, and it has no values.

It cannot show what a GPU rounds to, its speed, a kernel that does not exist for a type, a race between streams, or that
memory runs out.

For tests, ``vadbench check method`` and ``benchmarks/gpu_check.py``; nothing else may import it.
"""

from vadbench.testing.pretend.device import pretend
from vadbench.testing.pretend.tensors import DEVICE, PretendedTensor
from vadbench.testing.pretend.world import DeviceMixError, Flavour, World

__all__ = ["DEVICE", "DeviceMixError", "Flavour", "PretendedTensor", "World", "pretend"]
