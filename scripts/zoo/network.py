"""The stages of a model, read from its modules: blocks, maps, shares of the costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

import torch
from torch import Tensor, nn

from lightcars.counters.counter import LayerCounter, MacCounter
from lightcars.counters.params import count_params
from lightcars.layers import ConvNormAct
from lightcars.layers.conv_act import ConvAct
from lightcars.models.build import build_model
from lightcars.models.config import ModelConfig
from lightcars.models.image_model import ImageModel

TIMES = "\N{MULTIPLICATION SIGN}"
PARTS_AROUND = ("pool", "neck", "classifier")
PLAIN_UNITS = (ConvNormAct, ConvAct)
"""Units that are drawn as one box, without a diagram of their own."""

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredModel:
    """A model without weights, and what is known of each of its modules, by name.

    Attributes:
        model: on the meta device.
        inputs, outputs: shapes of the first input and of the output for one image, (1, C, H, W) of a map.
        params, macs: parameters and multiply-accumulates.
    """

    model: ImageModel
    inputs: dict[str, Shape]
    outputs: dict[str, Shape]
    params: dict[str, int]
    macs: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Blocks in a row that make maps of one shape, or one other part of the model.

    Attributes:
        title: class of its main module, and how many there are.
        where: name of the part in the model.
        details: kernels, stride and parts that not all blocks have.
        shape: of the output of one image.
        params_share, macs_share: of the whole model, from 0 to 1.
    """

    title: str
    where: str
    details: tuple[str, ...]
    shape: Shape
    params_share: float
    macs_share: float


@cache
def measure(config: ModelConfig) -> MeasuredModel:
    """Return the model of a config with the shapes and costs for one image at its resolution."""
    model = build_model(config, device="meta").eval()
    names = {module: name for name, module in model.named_modules()}
    inputs: dict[str, Shape] = {}
    counter = MacCounter()
    by_layer = LayerCounter(model, counter)

    def record(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        inputs[names[module]] = tuple(given[0].shape)

    for module in model.modules():
        module.register_forward_pre_hook(record)
    with torch.no_grad(), counter:
        model(torch.empty((1, config.img_channels, config.resolution, config.resolution), device="meta"))
    for module in model.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
    return MeasuredModel(
        model=model,
        inputs=inputs,
        outputs={names[module]: shape for module, shape in by_layer.shapes.items()},
        params={name: count_params(module) for module, name in names.items()},
        macs={name: by_layer.macs[module] for module, name in names.items()},
    )


def stages(measured: MeasuredModel) -> list[Stage]:
    """Return the stages of a model in the order in which data flows."""
    model = measured.model
    blocks = [(f"blocks.{index}", block) for index, block in enumerate(model.blocks)]

    def maps_and_class(named: tuple[str, nn.Module]) -> tuple[object, ...]:
        name, block = named
        return measured.outputs[name], type(main_module(block))

    groups = [list(group) for _, group in groupby(blocks, key=maps_and_class)]
    ends = [[(name, getattr(model, name))] for name in PARTS_AROUND]
    parts = [[("stem", model.stem)], *groups, [("head", model.head)], *ends]
    return [_stage(measured, part) for part in parts if not isinstance(part[0][1], nn.Identity)]


def main_module(block: nn.Module) -> nn.Module:
    """Return what a sequence is there for: the part with the most parameters, the block itself otherwise."""
    if not isinstance(block, nn.Sequential):
        return block
    return max(block, key=count_params)


def _stage(measured: MeasuredModel, part: Sequence[tuple[str, nn.Module]]) -> Stage:
    names, modules = [name for name, _ in part], [module for _, module in part]
    count = f"{len(part)} {TIMES} " if len(part) > 1 else ""
    last = names[-1].rpartition(".")[2]
    return Stage(
        title=count + type(main_module(modules[0])).__name__,
        where=names[0] if len(part) == 1 else f"{names[0]} to {last}",
        details=tuple(_details(measured, names, modules)),
        shape=measured.outputs[names[-1]][1:],
        params_share=sum(measured.params[name] for name in names) / measured.params[""],
        macs_share=sum(measured.macs[name] for name in names) / measured.macs[""],
    )


def _details(measured: MeasuredModel, names: Sequence[str], modules: Sequence[nn.Module]) -> Iterator[str]:
    layers = [layer for module in modules for layer in module.modules()]
    kernels = {layer.kernel_size for layer in layers if isinstance(layer, nn.Conv2d)}
    larger = [_sides(kernel) for kernel in sorted(kernels) if kernel != (1, 1)]
    if larger:
        yield ", ".join(larger)
    before, after = measured.inputs[names[0]], measured.outputs[names[0]]
    if len(before) == len(after) == 4 and after[-1] > 1 and before[-1] > after[-1]:
        yield f"stride {round(before[-1] / after[-1])}"
    everywhere = set[type].intersection(*(block_classes(block) for block in _composites(measured.model)))
    for kind in dict.fromkeys(type(layer) for layer in layers if is_composite(layer)):
        having = sum(kind in block_classes(module) for module in modules)
        if kind not in everywhere | {type(main_module(module)) for module in modules}:
            yield kind.__name__ if having == len(modules) else f"{kind.__name__} in {having}"


def block_classes(module: nn.Module) -> set[type[nn.Module]]:
    """Return the classes of blocks in a module, its own included."""
    return {type(part) for part in module.modules() if is_composite(part)}


def _composites(model: ImageModel) -> list[nn.Module]:
    return [block for block in model.blocks if block_classes(block)]


def is_composite(module: nn.Module) -> bool:
    """Return whether a module is a block of ours with layers inside that deserve a diagram."""
    ours = type(module).__module__.startswith("lightcars.layers.")
    sequence = isinstance(module, nn.Sequential | nn.ModuleList)
    return ours and not sequence and not isinstance(module, PLAIN_UNITS) and bool(list(module.children()))


def _sides(kernel: tuple[int, ...]) -> str:
    return TIMES.join(map(str, kernel))
