"""Peak arithmetic rate of this machine, measured with large matrix products."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from lightcars.models.device import wait_for

SIDES = {"cpu": (512, 1024), "cuda": (4096, 8192)}
"""Sides of the square matrices: large enough to keep all units busy, small enough to take milliseconds."""
SECONDS = 0.15
"""Measuring time of each product."""


@torch.inference_mode()
def attainable_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the multiply-accumulates per second of the fastest large product on the current threads.

    Measures a matrix product and the same product as a 1x1 convolution: they use different libraries, and on
    a GPU different default precisions (TF32 for convolutions only). The fastest single call is taken, because
    other load on the machine can only slow a call down.
    """
    return max(
        side**3 / _least_seconds(product, device)
        for side in SIDES.get(device.type, SIDES["cpu"])
        for product in _products(side, device, dtype)
    )


def _products(side: int, device: torch.device, dtype: torch.dtype) -> Iterator[Callable[[], Tensor]]:
    """Yield the product of two side x side matrices in two forms."""
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
