"""Batched geometric transforms: crops with resizing, affine transforms. Each image has its own parameters."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.functional import _get_inverse_affine_matrix

TRIES = 10
"""How often torchvision tries to sample a box that lies inside the image."""
BOX_CHANCES = 4 * TRIES
"""Random numbers that a box needs."""


def random_boxes(
    chances: Tensor,
    size: tuple[int, int],
    scale: Sequence[float],
    ratio: Sequence[float],
    *,
    tall: bool = False,
) -> tuple[Tensor, Tensor]:
    """Sample boxes as torchvision does: uniform area, log-uniform ratio, the first of ten that fits.

    Args:
        chances: (N, BOX_CHANCES) in [0, 1).
        size: height and width of the images.
        scale: minimum and maximum share of the area.
        ratio: minimum and maximum width / height.
        tall: as in `RandomErasing`: the ratio is height / width, and a box is smaller than each side.

    Returns:
        (N, 4) of top, left, height and width, and (N,): whether one of the ten fits.
    """
    height, width = size
    share, shape, down, right = chances.view(-1, TRIES, 4).unbind(2)
    mean = (height * width * (scale[0] + (scale[1] - scale[0]) * share)).sqrt()
    low, high = math.log(ratio[0]), math.log(ratio[1])
    stretch = torch.exp((low + (high - low) * shape) / 2)
    long, short = (mean * stretch).round(), (mean / stretch).round()
    if tall:
        h, w, fits = long, short, (long < height) & (short < width)
    else:
        h, w, fits = short, long, (short > 0) & (short <= height) & (long > 0) & (long <= width)
    top, left = (down * (height - h + 1)).floor(), (right * (width - w + 1)).floor()
    first = fits.int().argmax(1, keepdim=True)  # the first maximum
    boxes = torch.stack([values.gather(1, first)[:, 0] for values in (top, left, h, w)], dim=1)
    return boxes, fits.any(1)


def largest_box(size: tuple[int, int], ratio: Sequence[float]) -> Tensor:
    """Return (4,), torchvision's fallback where no box fits: the largest central box of allowed ratio."""
    height, width = size
    w, h = min(width, round(height * max(ratio))), min(height, round(width / min(ratio)))
    return torch.tensor([(height - h) // 2, (width - w) // 2, h, w], dtype=torch.float64)


def resampled(pixels: Tensor, boxes: Tensor, side: int) -> Tensor:
    """Crop boxes and resize them to a square, bilinear with antialiasing, as torchvision and Pillow do.

    It is computed as two matrix products, with a weight for each pair of input and output rows or columns.

    Args:
        pixels: (N, C, H, W) of uint8.
        boxes: (N, 4) of top, left, height and width, on the same device.
        side: pixels of the square.

    Returns:
        (N, C, side, side) of uint8.
    """
    number, channels, height, width = pixels.shape
    top, left, h, w = boxes.to(torch.float32).unbind(1)
    images = pixels.permute(0, 2, 3, 1).reshape(number, height, width * channels).float()
    rows = _weights(top, h, height, side) @ images
    rows = rows.view(number, side, width, channels).transpose(2, 3).reshape(number, side * channels, width)
    both = (rows @ _weights(left, w, width, side).mT).view(number, side, channels, side)
    return both.transpose(1, 2).round_().clamp_(0, 255).to(torch.uint8)


def _weights(start: Tensor, length: Tensor, size: int, side: int) -> Tensor:
    """Return (N, side, size): the weight of each input pixel in each output pixel; rows sum to 1."""
    start, length = start[:, None, None], length[:, None, None]
    step = length / side
    pixels = torch.arange(size, device=start.device) + 0.5
    centers = start + (torch.arange(side, device=start.device)[:, None] + 0.5) * step
    weights = (1 - (pixels - centers).abs() / step.clamp(min=1)).clamp_(min=0)
    weights = weights * ((pixels > start) & (pixels < start + length))
    return weights / weights.sum(2, keepdim=True)


def affine_matrix(
    angle: float,
    translate: tuple[float, float] = (0, 0),
    scale: float = 1.0,
    shear: tuple[float, float] = (0, 0),
    *,
    center: tuple[float, float] = (0, 0),
) -> list[float]:
    """Return torchvision's inverse affine matrix: output to input coordinates, both relative to the center.

    Six numbers, row by row; angles in degrees, the others in pixels.
    """
    matrix: list[float] = _get_inverse_affine_matrix(list(center), angle, list(translate), scale, list(shear))
    return matrix


def warped(pixels: Tensor, matrices: Tensor) -> Tensor:
    """Apply an affine transform of its own to each image, with nearest interpolation and black fill.

    Args:
        pixels: (N, C, H, W) of uint8.
        matrices: (N, 6), see `affine_matrix`, on the same device.
    """
    height, width = pixels.shape[2:]
    y, x = (torch.arange(n, device=pixels.device) - (n - 1) / 2 for n in (height, width))
    a, b, c, d, e, f = matrices.float()[..., None, None].unbind(1)
    across, along = a * x + b * y[:, None] + c, d * x + e * y[:, None] + f
    grid = torch.stack([across * (2 / width), along * (2 / height)], dim=3)
    warped_images = F.grid_sample(pixels.float(), grid, "nearest", "zeros", align_corners=False)
    return warped_images.to(torch.uint8)
