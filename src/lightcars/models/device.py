"""Device synchronization and transfers."""

from __future__ import annotations

import torch
from torch import Tensor


def wait_for(device: torch.device) -> None:
    """Wait until the device has finished its work; a CPU has."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def sent(values: Tensor, device: torch.device) -> Tensor:
    """Return the values on the device. CUDA copies asynchronously; elsewhere that is not safe."""
    return values.to(device, non_blocking=device.type == "cuda")
