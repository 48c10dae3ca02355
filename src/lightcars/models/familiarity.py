"""Whether an image looks like those that a model was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

NUM_DIRECTIONS = 64
FAMILIAR_SHARE = 0.98
"""Of the images that the limit is fitted to, so many count as familiar."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Familiarity:
    """The subspace in which a model's features of known images lie: what leaves it far is something else.

    Features are the last map's means. Source: the residual of Wang et al., "ViM: Out-Of-Distribution with
    Virtual-logit Matching", arXiv 2203.10807, section 4.1, around the mean and without the logits.

    Attributes:
        mean: (F,), of the features.
        directions: (F, K), their main directions, orthonormal.
        limit: distances from the subspace above it are unfamiliar.
    """

    mean: Tensor
    directions: Tensor
    limit: float

    def distance(self, last_map: Tensor) -> Tensor:
        """The last map, (N, F, h, w) -> (N,): how far each image's features are from the subspace."""
        return distance(last_map.mean((2, 3)), self.mean, self.directions)

    def is_familiar(self, last_map: Tensor) -> Tensor:
        """The last map, (N, F, h, w) -> (N,): whether each image looks like those of the training."""
        return self.distance(last_map) <= self.limit


def distance(features: Tensor, mean: Tensor, directions: Tensor) -> Tensor:
    """(N, F), (F,), (F, K) -> (N,): Euclidean distance from the subspace."""
    centre, basis = (part.to(features.device, torch.float32) for part in (mean, directions))
    values = features.float() - centre
    outside: Tensor = values - values @ basis @ basis.T
    found: Tensor = torch.linalg.vector_norm(outside, dim=1)
    return found


def fit_familiarity(trained: Tensor, others: Tensor, dtype: torch.dtype = torch.float16) -> Familiarity:
    """The subspace of images that were trained on, and the distance that 98 % of other known images keep.

    Args:
        trained: (N, F) features of the training's images, without augmentation.
        others: (M, F) features of images of the same classes that were not trained on.
        dtype: in which the subspace is kept.
    """
    mean = trained.double().mean(0)
    values = trained.double() - mean
    directions = torch.linalg.eigh(values.T @ values).eigenvectors.flip(1)[:, :NUM_DIRECTIONS]
    kept = mean.to(dtype), directions.to(dtype).contiguous()
    limit = distance(others, *kept).quantile(FAMILIAR_SHARE).item()
    return Familiarity(mean=kept[0], directions=kept[1], limit=limit)
