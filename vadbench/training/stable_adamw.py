"""StableAdamW: AdamW with clipped updates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class StableAdamW(torch.optim.Optimizer):
    """AdamW whose step is divided, for each tensor, by the root mean square of its scaled gradient where that is above
    1, so that a gradient much larger than those before it moves the tensor no further than they did.

    For a tensor with gradient g at its step t = 1, 2, ... (all operations elementwise but the norm)::

        w <- w (1 - lr decay)
        m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  u <- max(u, v) with amsgrad, else v
        d = sqrt(u) / sqrt(1 - b2^t) + epsilon
        r = max(1, |g / d| / sqrt(number of elements))
        w <- w - lr / ((1 - b1^t) r) m / d

    Args:
        params: the parameters.
        lr, betas, eps, weight_decay, amsgrad: as of :class:`torch.optim.AdamW`.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        amsgrad: bool = False,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take a step; parameters without a gradient stay as they are."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, (first, second), rate = self.state[parameter], group["betas"], group["lr"]
        if not state:
            # On the CPU, so that reading it does not wait for a GPU.
            state["step"] = torch.zeros((), dtype=torch.float32)
            for name in ("exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if group["amsgrad"] else [])):
                state[name] = torch.zeros_like(parameter)
        state["step"] += 1
        steps = state["step"].item()
        parameter.mul_(1 - rate * group["weight_decay"])
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(gradient, 1 - first)
        square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        if group["amsgrad"]:
            square = torch.maximum(state["max_exp_avg_sq"], square, out=state["max_exp_avg_sq"])
        scale = (square.sqrt() / math.sqrt(1 - second**steps)).add_(group["eps"])
        excess = (gradient / scale).norm().div_(math.sqrt(parameter.numel())).clamp_(min=1)
        parameter.sub_((mean / scale).mul_(rate / (1 - first**steps)).div_(excess))
