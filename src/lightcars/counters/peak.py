"""What this machine reaches at best: measured with large products, not taken from a data sheet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from lightcars.models.device import wait_for

SIDES = {"cpu": (512, 1024), "cuda": (4096, 8192)}
"""Of the square matrices: large enough to keep all units busy, small enough to take milliseconds."""
SECONDS = 0.15
"""For each product."""


@torch.inference_mode()
def attainable_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Multiply-accumulates per second of the fastest large product, with PyTorch's threads of now.

    A matrix product, and the same product as a 1x1 convolution: they go through other libraries, and on a GPU
    by default in other precisions (TF32 for convolutions only). What counts is the quickest call of all,
    because whatever else the machine does only slows it.
    """
    return max(
        side**3 / _least_seconds(product, device)
        for side in SIDES.get(device.type, SIDES["cpu"])
        for product in _products(side, device, dtype)
    )


def _products(side: int, device: torch.device, dtype: torch.dtype) -> Iterator[Callable[[], Tensor]]:
    """side x side by side x side, in two ways."""
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.rand(side, side, generator=generator).to(device, dtype) for _ in range(2))
    yield lambda: left @ right
    maps = left.T.reshape(1, side, 32, side // 32).contiguous(memory_format=torch.channels_last)
    weights = right.reshape(side, side, 1, 1)
    yield lambda: torch.conv2d(maps, weights)


def _least_seconds(product: Callable[[], Tensor], device: torch.device) -> float:
    product()
    wait_for(device)
    times: list[float] = []
    until = time.perf_counter() + SECONDS
    while not times or time.perf_counter() < until:
        start = time.perf_counter()
        product()
        wait_for(device)
        times.append(time.perf_counter() - start)
    return min(times)
