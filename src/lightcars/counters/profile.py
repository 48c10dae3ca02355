"""Profile a model: counts, memory and tables without running it, and on request its latency."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from textwrap import fill

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from lightcars.counters.counter import LayerCounter, MacCounter
from lightcars.counters.inputs import Inputs, InputSize, ModelInputs, read_inputs
from lightcars.counters.latency import Latency, measure_latency
from lightcars.counters.params import count_params
from lightcars.counters.recorder import Recorder
from lightcars.counters.rows import LayerRow, OperatorRow, layer_table, operator_table
from lightcars.counters.skeleton import running_skeleton, skeleton
from lightcars.errors import CountingError
from lightcars.models.unwrapping import unwrap
from lightcars.tables import html_table, markdown_table, short_number, text_table
from lightcars.text import json_text, rounded

TEXT_WIDTH = 80


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Profile:
    """The cost of one pass of a model; `print(profile.to_text())` shows its tables, as a notebook does.

    Attributes:
        model: class name.
        input_shape: shape of the first input, (N, C, H, W) of an image; () if there is none.
        input_shapes: shapes of all inputs that are tensors.
        backward: whether the backward pass is included.
        num_params, num_trainable_params: parameters.
        flops: multiply-accumulates of convolutions, matrix products, attention and distances.
        activations: elements written by convolutions and matrix products in the forward pass.
        weights_bytes: parameters and buffers.
        peak_bytes: estimate of weights, input and the most intermediate results (with `backward`, gradients
            too) alive at once; workspaces of engines and optimizer state come on top.
        layers: one row per module, in the model's order.
        operators: one row per operator, the largest first.
        latency: measured on this machine, if requested.
    """

    model: str
    input_shape: tuple[int, ...]
    input_shapes: tuple[tuple[int, ...], ...]
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
        """Operators that ran and have no count: normalization, activations, pooling, additions, ...

        Of those that multiply, or may, `profile` and `count_flops` also warn.
        """
        return tuple(row.name for row in self.operators if row.flops is None)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.input_shape)) or "none"
        return (
            f"Profile({self.model}, input {shape}: {self.num_params:,} parameters, {self.flops:,} FLOPs"
            f"{' with the backward pass' if self.backward else ''}, {len(self.layers)} layers)"
        )

    def _repr_html_(self) -> str:
        return "".join(
            [
                html_table(("", ""), self._summary(), title=self.model),
                html_table(*layer_table(self.model, self.layers, 2), title="Layers", folded=True),
                html_table(*operator_table(self.operators), title="Operators", folded=True),
            ]
        )

    def to_json(self) -> str:
        """Return everything as one JSON object."""
        return json_text({**asdict(self), "uncounted": self.uncounted})

    def to_text(self, *, depth: int = 2) -> str:
        """Return tables for a terminal, with layers down to `depth` levels."""
        parts = [
            "\n".join(f"{name:<28}{value}" for name, value in self._summary()),
            text_table(*layer_table(self.model, self.layers, depth)),
            text_table(*operator_table(self.operators)),
            fill(f"not counted: {', '.join(self.uncounted) or 'nothing'}", TEXT_WIDTH),
        ]
        return "\n\n".join(parts)

    def to_markdown(self, *, depth: int = 2) -> str:
        """Return the same tables in Markdown."""
        parts = [
            f"# {self.model}",
            markdown_table(("metric", "value"), self._summary()),
            markdown_table(*layer_table(self.model, self.layers, depth)),
            markdown_table(*operator_table(self.operators)),
            f"Not counted: {', '.join(self.uncounted) or 'nothing'}.",
        ]
        return "\n\n".join(parts) + "\n"

    def _summary(self) -> list[tuple[str, ...]]:
        passes = "forward and backward" if self.backward else "forward"
        rows: list[tuple[str, ...]] = [
            ("input", ", ".join(" x ".join(map(str, shape)) for shape in self.input_shapes) or "none"),
            ("parameters", f"{self.num_params:,} ({self.num_trainable_params:,} trainable)"),
            (f"FLOPs, {passes}" if self.backward else "FLOPs", f"{self.flops:,} multiply-accumulates"),
            ("activations", f"{self.activations:,} elements"),
            ("weights", f"{self.weights_bytes / 2**20:.1f} MiB"),
            ("estimated peak memory", f"{self.peak_bytes / 2**20:.1f} MiB"),
        ]
        return rows + ([] if self.latency is None else _latency_rows(self.latency))


def _latency_rows(latency: Latency) -> list[tuple[str, ...]]:
    rate = short_number(round(latency.macs_per_second))
    peak = short_number(round(latency.peak_macs_per_second))
    calls = f"{latency.calls} calls on {latency.device}, {latency.threads} threads"
    return [
        ("latency, median", f"{rounded(latency.median_ms)} ms ({calls})"),
        ("latency, 95th percentile", f"{rounded(latency.p95_ms)} ms"),
        ("images per second", f"{rounded(latency.images_per_second)}"),
        (
            "achieved FLOPs per second",
            f"{rate}, {latency.peak_share_percent:.3g} % of {peak} for large matrix products",
        ),
    ]


def profile(
    model: nn.Module,
    input_size: InputSize = None,
    *,
    inputs: Inputs = None,
    backward: bool = False,
    latency: bool = False,
) -> Profile:
    """Return parameters, FLOPs, activations, memory and tables of one pass in evaluation mode.

    Like `count_flops`, it reads the model's shapes only, unless `latency` is requested, and leaves
    everything unchanged.

    Args:
        model: any module.
        input_size: size of the image of a model that takes one, as in `count_flops`.
        inputs: instead of it, tensors or shapes for any other model, as in `count_flops`.
        backward: include the backward pass (of the sum of the outputs; the inputs need no gradient).
        latency: also run the pass on random inputs, for seconds, on the device of the model, as it is
            (compiled, fused, ...), without the user's hooks; then large matrix products, for the share of
            the machine's peak.

    Raises:
        InputError: inputs that are missing or invalid.
        CountingError: the model cannot be run on shapes alone, or has nothing to train; for the latency: it
            has no weights, or does not run.

    Warns:
        CountingWarning: an operator multiplies, or may, and has no count.

    >>> from lightcars import ghostnet
    >>> profile(ghostnet(), (1, 3, 224, 224)).flops
    141150512
    """
    given = read_inputs(model, input_size, inputs)
    copied = skeleton(model)
    counter, recorder = MacCounter(), Recorder()
    for tensor in [*copied.parameters(), *copied.buffers()]:
        recorder.watch(tensor)
    weights_bytes = recorder.live_bytes
    activations, layers = _run(copied, given, recorder, counter, backward=backward)
    counter.warn(copied, stacklevel=2)
    return Profile(
        model=type(unwrap(model)).__name__,
        input_shape=next(iter(given.shapes), ()),
        input_shapes=given.shapes,
        backward=backward,
        num_params=count_params(copied),
        num_trainable_params=count_params(copied, trainable_only=True),
        flops=counter.total,
        activations=activations,
        weights_bytes=weights_bytes,
        peak_bytes=recorder.peak_bytes,
        layers=layers,
        operators=_operator_rows(recorder, counter),
        latency=measure_latency(model, given, macs=counter.total, backward=backward) if latency else None,
    )


def _run(
    copied: nn.Module, given: ModelInputs, recorder: Recorder, counter: MacCounter, *, backward: bool
) -> tuple[int, tuple[LayerRow, ...]]:
    """Run the skeleton; return the activations and the rows of the forward pass."""
    by_layer = LayerCounter(copied, counter)
    with running_skeleton(copied), torch.set_grad_enabled(backward), recorder, counter:
        blank = given.blank(copied)
        for leaf in tree_leaves((blank.args, blank.kwargs)):
            if isinstance(leaf, Tensor):
                recorder.watch(leaf)
        output = copied(*blank.args, **blank.kwargs)
        activations, layers = recorder.activations, _layer_rows(copied, by_layer)
        if backward:
            _backpropagate(output)
    return activations, layers


def _backpropagate(output: object) -> None:
    leaves = [leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor) and leaf.requires_grad]
    if not leaves:
        raise CountingError("no parameter of the model requires a gradient, so there is no backward pass.")
    total = leaves[0].sum()
    for leaf in leaves[1:]:
        total = total + leaf.sum()
    total.backward()


def _layer_rows(copied: nn.Module, by_layer: LayerCounter) -> tuple[LayerRow, ...]:
    return tuple(
        LayerRow(
            name=name,
            type=type(module).__name__,
            output_shape=by_layer.shapes.get(module),
            num_params=count_params(module),
            flops=by_layer.macs[module],
        )
        for name, module in copied.named_modules()
    )


def _operator_rows(recorder: Recorder, counter: MacCounter) -> tuple[OperatorRow, ...]:
    rows = [
        OperatorRow(
            name=str(operator),
            calls=number,
            output_elements=recorder.outputs[operator],
            flops=counter.by_operator.get(operator),
        )
        for operator, number in recorder.calls.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-(row.flops or 0), -row.output_elements, row.name)))
