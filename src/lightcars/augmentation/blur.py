"""Batched `GaussianBlur` of torchvision, for a share of the images, on their device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import v2

from lightcars.errors import ConfigError
from lightcars.models.device import sent


@final
class GaussianBlur:
    """Blurs some images, each with a standard deviation of its own.

    The kernel and the reflected border are torchvision's.
    """

    def __init__(
        self, kernel_size: int, sigma: float | Sequence[float] = (0.1, 2.0), *, p: float = 0.5
    ) -> None:
        """`sigma`: a number or a range, in pixels; `p`: the probability that an image is blurred."""
        if not isinstance(kernel_size, int):
            raise ConfigError(f"kernel_size must be one odd number here, not {kernel_size!r}.")
        if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p <= 1:
            raise ConfigError(f"p must be from 0 to 1, not {p!r}.")
        checked = v2.GaussianBlur(kernel_size, sigma)
        self._size, self._p = kernel_size, p
        self._low, self._high = checked.sigma

    def __call__(self, images: Tensor) -> Tensor:
        """Blur some of (N, C, H, W), sampled from torch's generator on the CPU."""
        (number, channels, height, width), margin = images.shape, self._size // 2
        if margin >= min(height, width):
            raise ConfigError(
                f"GaussianBlur: kernel_size {self._size} is too large for {height} x {width} px."
            )
        chances = torch.rand(number, 2, dtype=torch.float64)
        chosen = (chances[:, 0] < self._p).nonzero()[:, 0]
        if not len(chosen):
            return images
        sigmas = self._low + (self._high - self._low) * chances[chosen, 1]
        kernels = sent(gaussian(self._size, sigmas).float(), images.device).to(images.dtype)
        kernels = kernels.repeat_interleave(channels, 0)
        chosen = sent(chosen, images.device)
        layers = images[chosen].reshape(1, len(kernels), height, width)
        layers = F.pad(layers, [margin] * 4, mode="reflect")
        layers = F.conv2d(layers, kernels[:, None, :, None], groups=len(kernels))
        layers = F.conv2d(layers, kernels[:, None, None, :], groups=len(kernels))
        return images.index_copy(0, chosen, layers.reshape(-1, channels, height, width))


def gaussian(size: int, sigmas: Tensor) -> Tensor:
    """Return (N, size) kernels that sum to 1 for (N,) standard deviations in pixels."""
    offsets = torch.arange(size, dtype=sigmas.dtype) - (size - 1) / 2
    return torch.softmax(-0.5 * (offsets / sigmas[:, None]) ** 2, dim=1)
