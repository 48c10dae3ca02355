"""Names of ImageNet's classes."""

from __future__ import annotations

IMAGENET_CLASSES = 1000


def imagenet_classes() -> tuple[str, ...]:
    """Return the 1000 names in the order of the outputs, as torchvision has them."""
    from torchvision.models import EfficientNet_B0_Weights

    return tuple(EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"])
