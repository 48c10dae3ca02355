"""Out-of-distribution detection: does an image look like the training data?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightcars.errors import InputError

NUM_DIRECTIONS = 64
FAMILIAR_SHARE = 0.98
"""Share of the in-distribution images below the limit that is fitted to them."""
LEAST_DEVIATION = 1e-4
"""Features with a smaller standard deviation over the training images are ignored."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Familiarity:
    """Distribution of a model's features: images far from every class are out-of-distribution.

    Features are the means of the maps that `ImageModel.features` returns, one after the other. Source: Lee et
    al., "A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks",
    arXiv 1807.03888, section 2.1, with the covariance of all images instead of that inside the classes.

    Attributes:
        mean: (F,), of the features.
        directions: (F, K), their main directions, scaled so that the training's images vary by one in each.
        centers: (C, K), the mean image of each class in these directions.
        limit: images whose distance from the nearest center is above it are out-of-distribution.
    """

    mean: Tensor
    directions: Tensor
    centers: Tensor
    limit: float

    def distance(self, maps: Sequence[Tensor]) -> Tensor:
        """Return each image's distance from the nearest class, (N,), for what `features` returns."""
        return distance(pooled(maps), self.mean, self.directions, self.centers)

    def is_familiar(self, maps: Sequence[Tensor]) -> Tensor:
        """Return whether each image is in-distribution, (N,), for what `features` returns."""
        return self.distance(maps) <= self.limit


def pooled(maps: Sequence[Tensor]) -> Tensor:
    """Maps, each (N, C, h, w) -> (N, sum of C): their means."""
    return torch.cat([each.mean((2, 3)).float() for each in maps], dim=1)


def distance(features: Tensor, mean: Tensor, directions: Tensor, centers: Tensor) -> Tensor:
    """(N, F), (F,), (F, K), (C, K) -> (N,): Euclidean distance from the nearest centre."""
    middle, basis, known = (part.to(features.device, torch.float32) for part in (mean, directions, centers))
    found: Tensor = torch.cdist((features.float() - middle) @ basis, known).amin(1)
    return found


def fit_familiarity(
    trained: Tensor, labels: Tensor, others: Tensor, dtype: torch.dtype = torch.float16
) -> Familiarity:
    """Fit directions and class centers to training images, and the limit to 98 % of other images.

    Args:
        trained: (N, F) features of the training's images, without augmentation.
        labels: (N,), their classes.
        others: (M, F) features of images of the same classes outside the training data.
        dtype: of everything but the limit.

    Raises:
        InputError: features that are not finite, too large for `dtype`, or the same for all images.
    """
    if not (trained.isfinite().all() and others.isfinite().all()):
        raise InputError(
            "out-of-distribution detection cannot be fitted: the model's features are not finite."
        )
    mean = trained.double().mean(0)
    values = trained.double() - mean
    deviations = values.std(0, correction=0)
    scale = torch.where(deviations > LEAST_DEVIATION, 1 / deviations, 0.0)
    variances, basis = torch.linalg.eigh((values * scale).T @ (values * scale) / len(values))
    main = (variances > variances[-1] * 1e-6) & (variances > 0)
    main[:-NUM_DIRECTIONS] = False
    directions = scale[:, None] * basis[:, main] / variances[main].sqrt()
    centers = torch.stack([values[labels == label].mean(0) for label in labels.unique()]) @ directions
    kept = [part.to(dtype).contiguous() for part in (mean, directions, centers)]
    if not main.any():
        raise InputError("out-of-distribution detection cannot be fitted: all images have the same features.")
    if not all(part.isfinite().all() for part in kept):
        raise InputError(
            f"out-of-distribution detection cannot be fitted: the features are too large for {dtype}."
        )
    limit = distance(others, *kept).quantile(FAMILIAR_SHARE).item()
    return Familiarity(mean=kept[0], directions=kept[1], centers=kept[2], limit=limit)
