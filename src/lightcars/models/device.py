"""The device on which a model works."""

from __future__ import annotations

import torch


def wait_for(device: torch.device) -> None:
    """Until the device has done what it was given; a processor has."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
