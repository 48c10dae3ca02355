"""A car finder: where the cars in an image are. A light head on the feature maps of an ImageNet model.

One-stage and without anchors, as FCOS (Tian et al., arXiv 1904.01355): every cell of a map predicts a score
and the distances to the four sides of the box of the car that it is in. Differences: one map in place of a
pyramid; distances are fractions of the image, not pixels; the score stands for the overlap of the predicted
box, as in the quality focal loss (Li et al., arXiv 2006.04388), in place of centerness.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightcars.models.backbone import Backbone
from lightcars.models.image_model import ImageModel
from lightcars.models.preprocessing import Preprocessing

STRIDES = (16, 32)
"""Of the maps that the head takes."""
HIDDEN_CHANNELS = 64


@final
class FinderHead(nn.Module):
    """Score and box of every cell.

    (N, channels[0], h, w) and (N, channels[1], h / 2, w / 2) -> (N, h * w, 5): score, left, top, right,
    bottom, all from 0 to 1.

    Args:
        channels: of the two maps.
        hidden: channels of the head's own maps.
    """

    def __init__(self, channels: Sequence[int], hidden: int = HIDDEN_CHANNELS) -> None:
        super().__init__()
        fine, coarse = channels
        self.fine = nn.Conv2d(fine, hidden, 1, bias=False)
        self.coarse = nn.Conv2d(coarse, hidden, 1, bias=False)
        self.norm = nn.BatchNorm2d(hidden)
        self.around = nn.Sequential(
            nn.Conv2d(hidden, hidden, 5, padding=2, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
        )
        self.outputs = nn.Conv2d(hidden, 5, 1)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        return decode(self.raw(fine, coarse))

    def raw(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return (N, 5, h, w): the logits of score and distances."""
        upsampled = F.interpolate(self.coarse(coarse), size=fine.shape[2:], mode="nearest")
        outputs: Tensor = self.outputs(self.around(self.norm(self.fine(fine) + upsampled).relu()))
        return outputs


def decode(raw: Tensor) -> Tensor:
    """(N, 5, h, w) logits of score and distances -> (N, h * w, 5): score, left, top, right, bottom."""
    height, width = raw.shape[2:]
    score, left, top, right, bottom = raw.sigmoid().flatten(2).unbind(1)
    across = (torch.arange(width, device=raw.device) + 0.5) / width
    down = (torch.arange(height, device=raw.device) + 0.5) / height
    x, y = across.repeat(height), down.repeat_interleave(width)
    sides = (x - left, y - top, x + right, y + bottom)
    return torch.stack((score, *(side.clamp(0, 1) for side in sides)), dim=2)


@final
class CarFinder(nn.Module):
    """Images -> score and box of every cell of a map with stride 16.

    (N, 3, S, S), normalized -> (N, (S / 16) ** 2, 5): score, left, top, right, bottom, from 0 to 1. Images
    are squashed to S x S, so boxes are fractions of width and height.

    Args:
        model: whose stem and blocks become this module's, and are frozen.
        resolution: S, a multiple of 32.
        least_score: boxes with a lower score are no cars.

    Attributes:
        preprocessing: from an image to the input.
    """

    def __init__(self, model: ImageModel, resolution: int, *, least_score: float = 0.5) -> None:
        super().__init__()
        assert model.preprocessing is not None
        strides = [info.stride for info in model.feature_info]
        indices = [strides.index(stride) for stride in STRIDES]
        self.backbone = Backbone(model.stem, model.blocks, model.feature_info, out_indices=indices)
        self.backbone.requires_grad_(False)
        self.head = FinderHead([info.channels for info in self.backbone.feature_info])
        self.least_score = least_score
        self.preprocessing = Preprocessing(
            resolution=resolution, mean=model.preprocessing.mean, std=model.preprocessing.std
        )

    def forward(self, x: Tensor) -> Tensor:
        fine, coarse = self.backbone(x)
        found: Tensor = self.head(fine, coarse)
        return found
