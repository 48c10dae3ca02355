"""HarDNet's layers under the names of its authors' code. No torch.

Source: `hardnet.py` of PingoLH/Pytorch-HarDNet, a list of layers in which poolings and HarDNet-85's inner
dropout have a number too.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from lightcars.models.hardnet.config import STAGES_85, HarDNetConfig
from lightcars.models.tensor_names import Source, TensorNames, conv_unit


def _conv(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    return conv_unit(ours, f"{theirs}.conv", f"{theirs}.norm")


def _depthwise(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    return conv_unit(ours, f"{theirs}.dwconv", f"{theirs}.norm")


def _authors(config: HarDNetConfig) -> Iterator[tuple[str, str]]:
    numbers = (f"base.{number}" for number in count())
    yield from _conv("stem", next(numbers))
    yield from _conv("blocks.0.0", next(numbers))
    for position, stage in enumerate(config.stages):
        before = f"blocks.{position}.1" if position == 0 else f"blocks.{position + 1}.0"
        if position == 0 or stage.stride > 1:
            theirs = next(numbers)
            if config.depthwise:
                yield from _depthwise(before, theirs)
        ours, theirs = f"blocks.{position + 1}.{int(stage.stride > 1)}", next(numbers)
        for layer in range(stage.layers):
            inside, outside = f"{ours}.layers.{layer}", f"{theirs}.layers.{layer}"
            if config.depthwise:
                yield from _conv(f"{inside}.0", f"{outside}.layer1")
                yield from _depthwise(f"{inside}.1", f"{outside}.layer2")
            else:
                yield from _conv(inside, outside)
        is_last = position == len(config.stages) - 1
        if is_last and config.stages == STAGES_85:
            next(numbers)
        yield from _conv(
            "head" if is_last else f"blocks.{position + 1}.{int(stage.stride > 1) + 1}", next(numbers)
        )
    yield "classifier", f"{next(numbers)}.3"


NAMES = TensorNames(
    sources={"pingolh": Source(sign="base.0.conv.weight", layers=_authors)},
    known=lambda _: ("pingolh",),
    title=lambda _: "HarDNet",
)
