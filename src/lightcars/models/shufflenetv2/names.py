"""ShuffleNetV2's layers under torchvision's names. No torch.

Source: `torchvision/models/shufflenetv2.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from lightcars.models.shufflenetv2.config import ShuffleNetV2Config
from lightcars.models.tensor_names import Source, TensorNames, conv_unit


def _torchvision(config: ShuffleNetV2Config) -> Iterator[tuple[str, str]]:
    yield from conv_unit("stem", "conv1.0", "conv1.1")
    position = 0
    for stage, row in enumerate(config.stages):
        for unit in range(row.repeats):
            position += 1  # block 0 is the pooling
            ours, theirs = f"blocks.{position}", f"stage{stage + 2}.{unit}"
            if unit == 0:
                first = f"{theirs}.branch1"
                yield from conv_unit(f"{ours}.bypass.0", f"{first}.0", f"{first}.1")
                yield from conv_unit(f"{ours}.bypass.1", f"{first}.2", f"{first}.3")
            second = f"{theirs}.branch2"
            yield from conv_unit(f"{ours}.expand", f"{second}.0", f"{second}.1")
            yield from conv_unit(f"{ours}.depthwise", f"{second}.3", f"{second}.4")
            yield from conv_unit(f"{ours}.project", f"{second}.5", f"{second}.6")
    yield from conv_unit("head", "conv5.0", "conv5.1")
    yield "classifier", "fc"


NAMES = TensorNames(
    sources={"torchvision": Source(sign="stage2.0.branch1.0.weight", layers=_torchvision)},
    known=lambda _: ("torchvision",),
    title=lambda _: "ShuffleNetV2",
)
