"""The data flow inside a block, traced from its modules with torch.fx."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightcars.layers import DropPath
from lightcars.layers.gradients import interleave_channels, join_channels, spatial_mean
from lightcars.layers.shuffle import shuffle_channels
from scripts.zoo.network import PLAIN_UNITS, TIMES, MeasuredModel, Shape, is_composite

INPUT, OUTPUT = "input", "output"
MOST_BOXES = 12
"""A larger block is drawn only if its class has no smaller one."""
ADD = "+"
WORDS = {
    "add": ADD,
    "mul": TIMES,
    "cat": "concatenate",
    "join_channels": "concatenate",
    "interleave_channels": "concatenate, shuffle",
    "chunk": "split",
    "spatial_mean": "mean of each channel",
    "halve": "mean of 2" + TIMES + "2 pixels",
}
"""Functions -> the text in their box; others show their name."""


@dataclass(frozen=True, slots=True)
class Box:
    """A module or function of a diagram: one or two lines of text, and what it is apart from its sizes."""

    lines: tuple[str, ...]
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The data flow of one block.

    Attributes:
        title: class of the block.
        where: its name in the model.
        before, after: shapes of the maps, (C, H, W).
        boxes: by name, in the order of execution, with `INPUT` first and `OUTPUT` last.
        edges: pairs of names.
    """

    title: str
    where: str
    before: Shape
    after: Shape
    boxes: Mapping[str, Box]
    edges: tuple[tuple[str, str], ...]

    @property
    def kinds(self) -> Counter[str]:
        """How often each kind of box is in the diagram."""
        return Counter(box.kind for box in self.boxes.values())


class _Tracer(fx.Tracer):
    """Take units and blocks as they are, and sequences apart."""

    def __init__(self) -> None:
        whole = (interleave_channels, join_channels, spatial_mean, shuffle_channels)
        super().__init__(autowrap_functions=whole)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:  # noqa: ARG002
        return not isinstance(m, nn.Sequential)


def drawn_blocks(measured: MeasuredModel, *, without: Collection[type[nn.Module]] = ()) -> list[Block]:
    """Return a diagram for each class of blocks, and more where one does not contain the other.

    A block contains another one of its class if it has all its kinds of boxes; the larger ones come first.

    Args:
        measured: the model.
        without: classes that are left out.
    """
    found: dict[type[nn.Module], dict[object, tuple[str, nn.Module]]] = {}
    for name, module in measured.model.named_modules():
        if is_composite(module) and name in measured.inputs and type(module) not in without:
            keeps_shape = measured.inputs[name] == measured.outputs[name]
            like = keeps_shape, tuple(type(part) for part in module.modules()), tuple(_depthwise(module))
            found.setdefault(type(module), {}).setdefault(like, (name, module))
    chosen: list[Block] = []
    for modules in found.values():
        blocks = [traced(measured, name, module) for name, module in modules.values()]
        small = [block for block in blocks if len(block.boxes) <= MOST_BOXES]
        few = small or [min(blocks, key=lambda block: len(block.boxes))]
        own: list[Block] = []
        for block in sorted(few, key=lambda block: -len(block.boxes)):
            if not any(block.kinds <= larger.kinds for larger in own):
                own.append(block)
        chosen += own
    return chosen


def traced(measured: MeasuredModel, name: str, module: nn.Module) -> Block:
    """Return the data flow of a module of a model."""
    sources: dict[fx.Node, list[str]] = {}
    boxes: dict[str, Box] = {}
    edges: list[tuple[str, str]] = []
    for node in _Tracer().trace(module).nodes:
        before = [source for part in node.all_input_nodes for source in sources[part]]
        box = _box(measured, name, module, node)
        if box is None:
            sources[node] = [] if _is_size(node) else before[:1]
            continue
        if box.lines == (ADD,):  # sums of sums become one
            before = [term for part in before for term in _terms(part, boxes, edges)]
        boxes[node.name] = box
        sources[node] = [node.name]
        edges += [(source, node.name) for source in dict.fromkeys(before)]
    boxes, edges = _without_repeats(*_reached(boxes, edges))
    return Block(
        title=type(module).__name__,
        where=name,
        before=measured.inputs[name][1:],
        after=measured.outputs[name][1:],
        boxes=boxes,
        edges=tuple(edges),
    )


def _box(measured: MeasuredModel, name: str, module: nn.Module, node: fx.Node) -> Box | None:
    """Return the box of a node; None for what changes nothing or makes no map."""
    if node.op == "placeholder":
        return Box(("input", _map(measured.inputs[name])), INPUT)
    if node.op == "output":
        return Box(("output", _map(measured.outputs[name])), OUTPUT)
    if node.op == "call_module":
        layer = module.get_submodule(str(node.target))
        if isinstance(layer, nn.Identity | DropPath):
            return None
        whole = f"{name}.{node.target}"
        return described(layer, measured.inputs[whole], measured.outputs[whole])
    if _is_size(node) or node.target is operator.getitem:
        return None
    called = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    word = WORDS.get(called, called.replace("_", " "))
    return Box((word,), word)


def _is_size(node: fx.Node) -> bool:
    """Return whether a node makes a size rather than a map."""
    return node.target is getattr or node.target in ("size", "dim", "shape")


def described(layer: nn.Module, before: Shape, after: Shape) -> Box:
    """Return the text of a layer, given the shapes of its input and output."""
    conv = getattr(layer, "conv", layer) if isinstance(layer, PLAIN_UNITS) else layer
    if isinstance(conv, nn.Conv2d):
        return _convolution(layer, conv)
    kind = type(layer).__name__
    if isinstance(layer, _BatchNorm):
        return Box(("batch norm",), kind)
    channels = f"{before[1]} channels" if before[1] == after[1] else f"{before[1]} → {after[1]}"
    if is_composite(layer) or isinstance(layer, nn.Linear):
        return Box((kind, channels), kind)
    pooled = getattr(layer, "kernel_size", None)
    size = f" {pooled}{TIMES}{pooled}" if isinstance(pooled, int) else ""
    return Box((f"{kind}{size}{_stride(getattr(layer, 'stride', 1))}",), kind)


def _convolution(layer: nn.Module, conv: nn.Conv2d) -> Box:
    depthwise = conv.groups == conv.in_channels > 1
    kernel = TIMES.join(map(str, conv.kernel_size))
    kind = f"{kernel} depthwise" if depthwise else f"{kernel} conv"
    groups = f", {conv.groups} groups" if conv.groups > 1 and not depthwise else ""
    inside, outside = conv.in_channels, conv.out_channels
    after = [f"{outside} channels" if inside == outside else f"{inside} → {outside}"]
    after += ["BN"] if hasattr(layer, "norm") else []
    act = getattr(layer, "act", nn.Identity())
    after += [] if isinstance(act, nn.Identity) else [type(act).__name__]
    general = ("depthwise" if depthwise else "conv") + ("" if max(conv.kernel_size) > 1 else " 1")
    return Box((kind + groups + _stride(conv.stride), ", ".join(after)), general)


def _stride(stride: object) -> str:
    longest = max(stride) if isinstance(stride, tuple) else stride
    return f", stride {longest}" if isinstance(longest, int) and longest > 1 else ""


def _map(shape: Shape) -> str:
    return f" {TIMES} ".join(map(str, shape[1:]))


def _terms(part: str, boxes: dict[str, Box], edges: Sequence[tuple[str, str]]) -> list[str]:
    if boxes[part].lines != (ADD,):
        return [part]
    return [before for before, after in edges if after == part]


def _reached(
    boxes: dict[str, Box], edges: list[tuple[str, str]]
) -> tuple[dict[str, Box], list[tuple[str, str]]]:
    """Return what contributes to the output."""
    kept = {name for name, box in boxes.items() if box.kind == OUTPUT}
    while more := {before for before, after in edges if after in kept} - kept:
        kept |= more
    return (
        {name: box for name, box in boxes.items() if name in kept},
        [(before, after) for before, after in edges if after in kept],
    )


def _without_repeats(
    boxes: dict[str, Box], edges: list[tuple[str, str]]
) -> tuple[dict[str, Box], list[tuple[str, str]]]:
    """Draw equal boxes between the same neighbors once, with their number."""
    alike: dict[object, list[str]] = {}
    for name, box in boxes.items():
        before = frozenset(source for source, target in edges if target == name)
        after = frozenset(target for source, target in edges if source == name)
        alike.setdefault((box, before, after), []).append(name)
    kept = {}
    for names in alike.values():
        first = boxes[names[0]]
        number = f"{len(names)} parallel: " if len(names) > 1 else ""
        kept[names[0]] = replace(first, lines=(number + first.lines[0], *first.lines[1:]))
    ordered = {name: kept[name] for name in boxes if name in kept}
    return ordered, [edge for edge in edges if edge[0] in kept and edge[1] in kept]


def _depthwise(module: nn.Module) -> Iterator[bool]:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            yield layer.groups == layer.in_channels > 1
