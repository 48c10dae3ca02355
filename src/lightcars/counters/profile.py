"""What a model costs: counts, memory and tables without running it, and on request its latency."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from textwrap import fill
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from lightcars.counters.flops import flop_counter
from lightcars.counters.latency import Latency, measure_latency
from lightcars.counters.params import count_params
from lightcars.counters.recorder import Recorder
from lightcars.counters.skeleton import (
    InputSize,
    blank_input,
    input_shape,
    running_skeleton,
    skeleton,
)
from lightcars.errors import CountingError
from lightcars.models.unwrapping import unwrap
from lightcars.tables import markdown_table, short_number, text_table

TEXT_WIDTH = 80


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One module. Its counts include those of the modules inside it.

    Attributes:
        name: path inside the model, "" for the model itself.
        type: class name.
        output_shape: of its last call, None if it was not called or returns no tensor.
        num_params: parameters.
        flops: multiply-accumulates of the forward pass, also in a profile with the backward pass: there an
            operator cannot be told to belong to one module.
    """

    name: str
    type: str
    output_shape: tuple[int, ...] | None
    num_params: int
    flops: int


@dataclass(frozen=True, slots=True)
class OperatorRow:
    """One operator of torch.

    Attributes:
        name: as in `torch.ops`.
        calls: how often it ran.
        output_elements: how much it wrote.
        flops: multiply-accumulates; None if it is not counted.
    """

    name: str
    calls: int
    output_elements: int
    flops: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The cost of one pass of a model.

    Attributes:
        model: class name.
        input_shape: (N, C, H, W) that it was taken for.
        backward: whether the backward pass is in it.
        num_params, num_trainable_params: parameters.
        flops: multiply-accumulates of convolutions, matrix products and attention.
        activations: elements written by convolutions and matrix products in the forward pass.
        weights_bytes: parameters and buffers.
        peak_bytes: estimate of weights, input and the most intermediate results (with `backward`, gradients
            too) alive at once; engines' workspaces and optimizer state come on top.
        layers: one row per module, in the model's order.
        operators: one row per operator, the largest first.
        latency: measured on this machine, if that was asked for.
    """

    model: str
    input_shape: tuple[int, ...]
    backward: bool
    num_params: int
    num_trainable_params: int
    flops: int
    activations: int
    weights_bytes: int
    peak_bytes: int
    layers: tuple[LayerRow, ...]
    operators: tuple[OperatorRow, ...]
    latency: Latency | None = None

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Operators that ran and have no count: normalization, activations, pooling, additions, ..."""
        return tuple(row.name for row in self.operators if row.flops is None)

    def to_json(self) -> str:
        """All of it, as one JSON object."""
        return json.dumps({**asdict(self), "uncounted": self.uncounted}, indent=2)

    def to_text(self, *, depth: int = 2) -> str:
        """Tables for a terminal; layers down to `depth` levels."""
        parts = [
            "\n".join(f"{name:<28}{value}" for name, value in self._summary()),
            text_table(*self._layer_table(depth)),
            text_table(*self._operator_table()),
            fill(f"not counted: {', '.join(self.uncounted) or 'nothing'}", TEXT_WIDTH),
        ]
        return "\n\n".join(parts)

    def to_markdown(self, *, depth: int = 2) -> str:
        """The same tables in Markdown."""
        parts = [
            f"# {self.model}",
            markdown_table(("figure", "value"), self._summary()),
            markdown_table(*self._layer_table(depth)),
            markdown_table(*self._operator_table()),
            f"Not counted: {', '.join(self.uncounted) or 'nothing'}.",
        ]
        return "\n\n".join(parts) + "\n"

    def _summary(self) -> list[tuple[str, ...]]:
        passes = "forward and backward" if self.backward else "forward"
        rows: list[tuple[str, ...]] = [
            ("input", " x ".join(map(str, self.input_shape))),
            ("parameters", f"{self.num_params:,} ({self.num_trainable_params:,} trainable)"),
            (f"FLOPs, {passes}" if self.backward else "FLOPs", f"{self.flops:,} multiply-accumulates"),
            ("activations", f"{self.activations:,} elements"),
            ("weights", f"{self.weights_bytes / 2**20:.1f} MiB"),
            ("estimated peak memory", f"{self.peak_bytes / 2**20:.1f} MiB"),
        ]
        return rows + ([] if self.latency is None else _latency_rows(self.latency))

    def _layer_table(self, depth: int) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        rows: list[tuple[str, ...]] = [
            (
                row.name or self.model,
                row.type,
                "x".join(map(str, row.output_shape)) if row.output_shape else "",
                short_number(row.num_params),
                short_number(row.flops),
            )
            for row in self.layers
            if (row.name.count(".") + 1 if row.name else 0) <= depth
        ]
        head: tuple[str, ...] = ("layer", "type", "output", "parameters", "forward FLOPs")
        return head, rows

    def _operator_table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        rows: list[tuple[str, ...]] = [
            (
                row.name,
                str(row.calls),
                short_number(row.output_elements),
                "not counted" if row.flops is None else short_number(row.flops),
            )
            for row in self.operators
        ]
        head: tuple[str, ...] = ("operator", "calls", "elements written", "FLOPs")
        return head, rows


def _latency_rows(found: Latency) -> list[tuple[str, ...]]:
    rate, peak = short_number(round(found.macs_per_second)), short_number(round(found.peak_macs_per_second))
    calls = f"{found.calls} calls on {found.device}, {found.threads} threads"
    return [
        ("latency, median", f"{found.median_ms:.3g} ms ({calls})"),
        ("latency, 95th percentile", f"{found.p95_ms:.3g} ms"),
        ("images per second", f"{found.images_per_second:.3g}"),
        ("reached FLOPs per second", f"{rate}, {found.peak_share_percent:.3g} % of {peak} in large products"),
    ]


def profile(
    model: nn.Module, input_size: InputSize = None, *, backward: bool = False, latency: bool = False
) -> Profile:
    """Parameters, FLOPs, activations, memory and tables of one pass in evaluation mode.

    Like `count_flops`, it reads the model's shapes only, unless `latency` is asked for, and leaves
    everything as it was.

    Args:
        model: any module that takes one image tensor.
        input_size: an int (square), (H, W) or (N, C, H, W); None is the model's own resolution.
        backward: take the backward pass in too (of the sum of the outputs; the input needs no gradient).
        latency: also run the pass on made images, for seconds, on the model's own device and as it is there
            (compiled, fused, ...), without the user's hooks; then large matrix products, for the share of
            the machine's peak.

    Raises:
        InputError: an input size that is missing or cannot be.
        CountingError: the model cannot be run on shapes alone, or nothing in it can be trained; for the
            latency: it has no weights, or does not run.

    >>> from lightcars import ghostnet
    >>> profile(ghostnet(), (1, 3, 224, 224)).flops
    141150512
    """
    shape = input_shape(model, input_size)
    twin = skeleton(model)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, module in twin.named_modules():
        module.register_forward_hook(_shape_hook(shapes, name))
    recorder, counter = Recorder(), flop_counter()
    tensors = [*twin.parameters(), *twin.buffers()]
    for tensor in tensors:
        recorder.watch(tensor)
    weights_bytes = recorder.live_bytes
    with running_skeleton(), torch.set_grad_enabled(backward), recorder, counter:
        x = blank_input(twin, shape)
        recorder.watch(x)
        output = twin(x)
        activations, by_layer = recorder.activations, counter.get_flop_counts()
        if backward:
            _backpropagate(output)
    counts, flops = counter.get_flop_counts(), counter.get_total_flops() // 2
    return Profile(
        model=type(unwrap(model)).__name__,
        input_shape=shape,
        backward=backward,
        num_params=count_params(twin),
        num_trainable_params=count_params(twin, trainable_only=True),
        flops=flops,
        activations=activations,
        weights_bytes=weights_bytes,
        peak_bytes=recorder.peak_bytes,
        layers=_layer_rows(twin, shapes, by_layer),
        operators=_operator_rows(recorder, counts.get("Global", {})),
        latency=measure_latency(model, shape, macs=flops, backward=backward) if latency else None,
    )


def _shape_hook(shapes: dict[str, tuple[int, ...]], name: str) -> Callable[..., None]:
    def remember(_module: nn.Module, _args: object, output: object) -> None:
        if isinstance(output, Tensor):
            shapes[name] = tuple(output.shape)

    return remember


def _backpropagate(output: object) -> None:
    leaves = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor) and leaf.requires_grad]
    if not leaves:
        raise CountingError("no parameter of the model requires a gradient, so there is no backward pass.")
    total = leaves[0].sum()
    for leaf in leaves[1:]:
        total = total + leaf.sum()
    total.backward()


def _layer_rows(
    twin: nn.Module,
    shapes: dict[str, tuple[int, ...]],
    counts: dict[str, dict[Any, int]],
) -> tuple[LayerRow, ...]:
    root = type(twin).__name__
    return tuple(
        LayerRow(
            name=name,
            type=type(module).__name__,
            output_shape=shapes.get(name),
            num_params=count_params(module),
            flops=sum(counts.get(f"{root}.{name}" if name else root, {}).values()) // 2,
        )
        for name, module in twin.named_modules()
    )


def _operator_rows(recorder: Recorder, flops: dict[Any, int]) -> tuple[OperatorRow, ...]:
    rows = [
        OperatorRow(
            name=str(operator),
            calls=number,
            output_elements=recorder.outputs[operator],
            flops=flops[operator] // 2 if operator in flops else None,
        )
        for operator, number in recorder.calls.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-(row.flops or 0), -row.output_elements, row.name)))
