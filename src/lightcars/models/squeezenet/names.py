"""SqueezeNet's layers under torchvision's names. No torch.

Source: `torchvision/models/squeezenet.py`, which counts poolings and activations of the stem as layers.
"""

from __future__ import annotations

from collections.abc import Iterator

from lightcars.models.squeezenet.config import SqueezeNetConfig
from lightcars.models.tensor_names import Source, TensorNames


def _torchvision(config: SqueezeNetConfig) -> Iterator[tuple[str, str]]:
    yield "stem.conv", "features.0"
    layer = 2
    for position, stride in enumerate(config.block_strides):
        ours = f"blocks.{position}.1" if stride > 1 else f"blocks.{position}"
        layer += stride > 1
        for part in ("squeeze", "expand1x1", "expand3x3"):
            yield f"{ours}.{part}.conv", f"features.{layer}.{part}"
        layer += 1
    yield "classifier", "classifier.1"


NAMES = TensorNames(
    sources={"torchvision": Source(sign="features.3.squeeze.weight", layers=_torchvision)},
    known=lambda _: ("torchvision",),
    title=lambda _: "SqueezeNet",
)
