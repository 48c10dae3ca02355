"""Muon for the weights that are matrices, AdamW for the rest, as one optimizer.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024). torch has it for matrices
alone; those of these models are 1x1 convolutions and linear layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, final

import torch
from torch import Tensor, nn


def is_matrix(parameter: Tensor) -> bool:
    """Tell whether a weight is (out, in), or that with a 1x1 kernel; depthwise ones are (C, 1, ...)."""
    return parameter.ndim >= 2 and parameter.shape[1] > 1 and parameter.shape[2:].numel() == 1


@final
class MuonWithAdamW(torch.optim.Optimizer):
    """`torch.optim.Muon` on groups with `is_matrix` true, `torch.optim.AdamW` on the others.

    Muon's steps are scaled to the size of AdamW's, so both take the same learning rate and weight decay.

    Args:
        groups: of parameters; each says `is_matrix`.
        lr: of groups that give none.
        momentum, ns_steps: Muon's.
        betas, eps: AdamW's.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float,
        *,
        momentum: float = 0.95,
        ns_steps: int = 5,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
    ) -> None:
        if not isinstance(ns_steps, int) or not 1 <= ns_steps < 100:
            raise ValueError(f"ns_steps must be a whole number from 1 to 99, not {ns_steps!r}")
        if len(betas) != 2:
            raise ValueError(f"betas must be two numbers, not {betas!r}")
        super().__init__(groups, {"lr": lr, "weight_decay": 0.0})
        self._parts: list[tuple[list[nn.Parameter], torch.optim.Optimizer]] = []
        for group in self.param_groups:
            twins = [nn.Parameter(_shared(p, group), requires_grad=True) for p in group["params"]]
            part: torch.optim.Optimizer = (
                torch.optim.Muon(
                    twins, lr, momentum=momentum, ns_steps=ns_steps, adjust_lr_fn="match_rms_adamw"
                )
                if group["is_matrix"]
                else torch.optim.AdamW(twins, lr, betas=(betas[0], betas[1]), eps=eps)
            )
            self._parts.append((twins, part))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of both; see `torch.optim.Optimizer.step`."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group, (twins, part) in zip(self.param_groups, self._parts, strict=True):
            for parameter, twin in zip(group["params"], twins, strict=True):
                twin.data = _shared(parameter, group)
                twin.grad = None if parameter.grad is None else parameter.grad.reshape(twin.shape)
            part.param_groups[0].update(lr=group["lr"], weight_decay=group["weight_decay"])
            part.step()
            for twin in twins:
                twin.grad = None  # or it would outlive zero_grad
        return loss

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"parts": [part.state_dict() for _, part in self._parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({name: state_dict[name] for name in ("state", "param_groups")})
        for (_, part), state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)


def _shared(parameter: nn.Parameter, group: dict[str, Any]) -> Tensor:
    """The parameter's own memory, as a matrix where Muon needs one."""
    values = parameter.detach()
    return values.view(values.shape[:2]) if group["is_matrix"] else values
