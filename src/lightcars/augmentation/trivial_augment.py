"""Batched `TrivialAugmentWide` of torchvision: each image has its own operation and magnitude."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from lightcars.augmentation.resampling import affine_matrix, warped
from lightcars.models.device import sent

Change: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(N, C, H, W) of uint8 and (N,) magnitudes, on one device -> the images, changed."""


@final
class BatchTrivialAugment:
    """The operations, magnitudes and signs of torchvision's table, with the same probabilities."""

    chances = 3

    def __init__(self, transform: v2.TrivialAugmentWide) -> None:
        table, bins = transform._AUGMENTATION_SPACE, transform.num_magnitude_bins
        values = {name: strengths(bins, 0, 0) for name, (strengths, _) in table.items()}
        self.names = tuple(table)
        self._strengths = torch.stack(
            [torch.zeros(bins) if found is None else found.float() for found in values.values()]
        )
        self._signed = torch.tensor([signed for _, signed in table.values()])

    def draw(self, chances: Tensor) -> tuple[Tensor, Tensor]:
        """Return (N,) indices into `names` and (N,) magnitudes for (N, 3) random numbers."""
        kinds = (chances[:, 0] * len(self.names)).long()
        found = self._strengths[kinds, (chances[:, 1] * self._strengths.shape[1]).long()]
        turned = self._signed[kinds] & (chances[:, 2] <= 0.5)
        return kinds, torch.where(turned, -found, found)

    def __call__(self, pixels: Tensor, chances: Tensor) -> Tensor:
        """Transform (N, C, H, W) of uint8; chances: (N, 3) on the CPU."""
        kinds, magnitudes = self.draw(chances)
        changed = pixels.clone()
        for kind, name in enumerate(self.names):
            rows = (kinds == kind).nonzero()[:, 0]
            if not len(rows) or name == "Identity":
                continue
            values = magnitudes[rows]
            rows = sent(rows, pixels.device)
            changed.index_copy_(0, rows, _CHANGES[name](pixels[rows], values))
        return changed


def _affine(matrix: Callable[[float, tuple[float, float]], list[float]]) -> Change:
    """Return an affine operation; `matrix` takes a magnitude and the upper left corner from the center."""

    def change(pixels: Tensor, magnitudes: Tensor) -> Tensor:
        corner = (-pixels.shape[3] / 2, -pixels.shape[2] / 2)
        matrices = torch.tensor([matrix(value, corner) for value in magnitudes.tolist()])
        return warped(pixels, sent(matrices, pixels.device))

    return change


def _angle(magnitude: float) -> float:
    return math.degrees(math.atan(magnitude))


def _blend(plain: Callable[[Tensor], Tensor]) -> Change:
    """Return an operation that blends the image with `plain`, as torchvision's `_blend` does."""

    def change(pixels: Tensor, magnitudes: Tensor) -> Tensor:
        images = pixels.float()
        mixed = images + (images - plain(pixels)) * _beside(magnitudes, pixels)
        return mixed.clamp_(0, 255).to(torch.uint8)

    return change


def _blurred(pixels: Tensor) -> Tensor:
    """Return the 3 x 3 mean in which the center has weight 5; border pixels stay."""
    soft = pixels.float()
    inner = soft[..., 1:-1, 1:-1]
    soft[..., 1:-1, 1:-1] = ((9 * F.avg_pool2d(soft, 3, 1) + 4 * inner) / 13).round_()
    return soft


def _mean_gray(pixels: Tensor) -> Tensor:
    gray: Tensor = functional.rgb_to_grayscale(pixels)
    return gray.float().mean((1, 2, 3), keepdim=True)


def _posterized(pixels: Tensor, bits: Tensor) -> Tensor:
    return pixels & _beside((256 - 2 ** (8 - bits)).to(torch.uint8), pixels)


def _solarized(pixels: Tensor, thresholds: Tensor) -> Tensor:
    return torch.where(pixels >= _beside(255 * thresholds, pixels), 255 - pixels, pixels)


def _beside(values: Tensor, pixels: Tensor) -> Tensor:
    return sent(values, pixels.device).view(-1, 1, 1, 1)


_CHANGES: Mapping[str, Change] = {
    "ShearX": _affine(lambda value, corner: affine_matrix(0, shear=(_angle(value), 0), center=corner)),
    "ShearY": _affine(lambda value, corner: affine_matrix(0, shear=(0, _angle(value)), center=corner)),
    "TranslateX": _affine(lambda value, _: affine_matrix(0, (int(value), 0))),
    "TranslateY": _affine(lambda value, _: affine_matrix(0, (0, int(value)))),
    "Rotate": _affine(lambda value, _: affine_matrix(-value)),
    "Brightness": _blend(torch.zeros_like),
    "Color": _blend(functional.rgb_to_grayscale),
    "Contrast": _blend(_mean_gray),
    "Sharpness": _blend(_blurred),
    "Posterize": _posterized,
    "Solarize": _solarized,
    "AutoContrast": lambda pixels, _: functional.autocontrast(pixels),
    "Equalize": lambda pixels, _: functional.equalize(pixels),
}
