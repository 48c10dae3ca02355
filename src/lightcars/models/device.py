"""The device on which a model works."""

from __future__ import annotations

import torch
from torch import Tensor


def wait_for(device: torch.device) -> None:
    """Until the device has done what it was given; a processor has."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def sent(values: Tensor, device: torch.device) -> Tensor:
    """The values on the device. CUDA copies them while the processor goes on; for others that is not safe."""
    return values.to(device, non_blocking=device.type == "cuda")
